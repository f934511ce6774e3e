// Texts are compared where the page does not wait for it.
import { compare, type Question } from './said.ts';

addEventListener('message', ({ data }: MessageEvent<Question>) => {
    try {
        postMessage({ answer: compare(data) });
    } catch (error) {
        postMessage({ failed: error instanceof Error ? error.message : String(error) });
    }
});
