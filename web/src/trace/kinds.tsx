// The kinds of runs and how they ended: a sign and a word each, never a colour alone.
import { ERROR, RUNNING } from './skeleton.ts';

const KNOWN = ['chain', 'llm', 'tool', 'retriever', 'embedding', 'prompt', 'parser'];

export const hueOf = (type: string): string => (KNOWN.includes(type) ? type : 'chain');

const SHAPES: Record<string, string> = {
    chain: 'M6 5.5h4a2.5 2.5 0 0 1 0 5H6a2.5 2.5 0 0 1 0-5Z',
    llm: 'M8 2.5 9.6 6.4l3.9 1.6-3.9 1.6L8 13.5 6.4 9.6 2.5 8l3.9-1.6Z',
    tool: 'M10.5 2.7a3.3 3.3 0 0 0-3.9 4.3L2.8 10.8a1.5 1.5 0 0 0 2.2 2.2L9 9.3a3.3 3.3 0 0 0 4.3-3.9L11.2 7.5 9 7 8.6 4.8Z',
    retriever: 'M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM10 10l3.5 3.5',
    embedding: 'M3 4h2v2H3ZM7 4h2v2H7ZM11 4h2v2h-2ZM3 10h2v2H3ZM7 10h2v2H7ZM11 10h2v2h-2ZM7 7h2v2H7Z',
    prompt: 'M3 3.5h10v7H8.5L5.5 13v-2.5H3Z',
    parser: 'M6 3C3.5 3 5.5 8 3 8c2.5 0 .5 5 3 5M10 3c2.5 0 .5 5 3 5-2.5 0-.5 5-3 5',
};

export function TypeIcon({ type }: { type: string }) {
    const hue = hueOf(type);
    return (
        <svg class={`type-icon ${hue}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
            <path d={SHAPES[hue]} fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round" />
        </svg>
    );
}

export const statusWord = (status: number): string =>
    status === ERROR ? 'error' : status === RUNNING ? 'running' : 'success';

export function Status({ status }: { status: number }) {
    if (status === ERROR) return <span class="status bad">✕ error</span>;
    if (status === RUNNING) return <span class="status busy">◌ running</span>;
    return <span class="status ok">✓ success</span>;
}
