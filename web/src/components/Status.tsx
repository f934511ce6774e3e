// Status.tsx - how a run ended: a mark and a colour, and a word.
const MARKS: Record<string, [mark: string, word: string]> = {
    success: ['✓', 'success'],
    error: ['✕', 'error'],
    pending: ['…', 'running'],
};

export function Status({ status, named = false }: { status: string; named?: boolean }) {
    const known = Object.hasOwn(MARKS, status) ? status : 'pending';
    const [mark, word] = MARKS[known]!;
    return (
        <span class={`status ${known}`} title={word}>
            <span aria-hidden="true">{mark}</span>
            <span class={named ? '' : 'away'}>{word}</span>
        </span>
    );
}
