// How runs ended, as a word; and the hue of a kind of run.
import { ERROR, RUNNING } from './skeleton.ts';

const KNOWN = ['chain', 'llm', 'tool', 'retriever', 'embedding', 'prompt', 'parser'];

export const hueOf = (type: string): string => (KNOWN.includes(type) ? type : 'chain');

export const statusWord = (status: number): string =>
    status === ERROR ? 'error' : status === RUNNING ? 'pending' : 'success';
