// differ.ts - fields of two runs, read and compared: of what is large, the beginning.
import type { Field } from '../run/ask.ts';
import { readStart } from '../run/payload.ts';
import type { Compared, Question, Side } from './said.ts';

const NOTHING: Side = { text: '', cut: false };

// '' is no run.
async function sideOf(run: string, field: Field, signal: AbortSignal): Promise<Side> {
    if (!run) return NOTHING;
    const { bytes, total } = await readStart(`/runs/${encodeURIComponent(run)}/${field}`, signal);
    if (!bytes) throw new Error('The server sent more than it was asked for');
    const cut = total > bytes.length;
    // A character that ends behind the end is not there.
    return { text: new TextDecoder().decode(bytes, { stream: cut }), cut };
}

type Waiting = { done: (answer: Compared) => void; failed: (why: Error) => void };

export class Differ {
    private worker: Worker | null = null; // another one, after one that broke
    private waiting: Waiting | null = null;
    private last: Promise<unknown> = Promise.resolve();

    // One after the other, and only what is still wanted then: nobody waits for more than one
    // answer to what they went on from.
    ask(question: Question, signal: AbortSignal): Promise<Compared> {
        const answer = this.last.then(() => {
            signal.throwIfAborted();
            return this.tell(question);
        });
        this.last = answer.catch(() => {});
        return answer;
    }

    private tell(question: Question): Promise<Compared> {
        return new Promise((done, failed) => {
            this.waiting = { done, failed };
            (this.worker ??= this.start()).postMessage(question);
        });
    }

    private start(): Worker {
        const worker = new Worker(WORKERS.diff!);
        worker.onmessage = ({ data }: MessageEvent<{ answer?: Compared; failed?: string }>) => {
            if (data.answer) this.waiting?.done(data.answer);
            else this.waiting?.failed(new Error(data.failed));
        };
        worker.onerror = () => {
            this.close();
            this.waiting?.failed(new Error('The browser could not compare them'));
        };
        return worker;
    }

    async fields(field: Field, left: string, right: string, json: boolean, signal: AbortSignal): Promise<Compared & { cut: boolean }> {
        const [a, b] = await Promise.all([sideOf(left, field, signal), sideOf(right, field, signal)]);
        const answer = await this.ask({ field, left: a, right: b, json }, signal);
        return { ...answer, cut: a.cut || b.cut };
    }

    close(): void {
        this.worker?.terminate();
        this.worker = null;
    }
}
