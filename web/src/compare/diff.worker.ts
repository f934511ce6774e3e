// Texts are compared where the page does not wait for it.
import { compare, type Question } from './said.ts';

addEventListener('message', ({ data }: MessageEvent<{ n: number; question: Question }>) => {
    const { n, question } = data;
    try {
        postMessage({ n, answer: compare(question) });
    } catch (error) {
        postMessage({ n, failed: error instanceof Error ? error.message : String(error) });
    }
});
