// Type.tsx - what kind of run it is: a sign and a colour, and a word for who sees neither.
const SIGNS: Record<string, string> = {
    // A chain of links, a speech bubble, a wrench, a lens, points, a quill, a bracket.
    chain: 'M6.5 9.5l3-3M5 8 3.6 9.4a2.1 2.1 0 0 0 3 3L8 11m3-3 1.4-1.4a2.1 2.1 0 0 0-3-3L8 5',
    llm: 'M3 3.5h10v7H8L5 13v-2.500H3z',
    tool: 'M9.500 6.500 4 12l1 1 5.500-5.500m-1-1A2.800 2.800 0 0 1 13 3l-1.800 1.800 1 1L14 4a2.800 2.800 0 0 1-3.500 3.500',
    retriever: 'M7 3.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7zM9.800 9.800 13 13',
    embedding: 'M4 4h.01M8 4h.01M12 4h.01M4 8h.01M8 8h.01M12 8h.01M4 12h.01M8 12h.01M12 12h.01',
    prompt: 'M3 13l1-3 7-7 2 2-7 7zM9.500 4.500l2 2',
    parser: 'M6 3H4.500v4L3 8l1.500 1v4H6m4-10h1.500v4L13 8l-1.500 1v4H10',
};

export function Type({ type, named = false }: { type: string; named?: boolean }) {
    const known = Object.hasOwn(SIGNS, type) ? type : 'chain';
    return (
        <span class={`type ${known}`} title={type}>
            <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
                <path d={SIGNS[known]} fill="none" stroke="currentColor" stroke-width={known === 'embedding' ? 2.4 : 1.4} stroke-linecap="round" stroke-linejoin="round" />
            </svg>
            <span class={named ? '' : 'away'}>{type}</span>
        </span>
    );
}
