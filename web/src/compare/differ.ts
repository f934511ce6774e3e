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
    private readonly worker = new Worker(WORKERS.diff!);
    private readonly waiting = new Map<number, Waiting>();
    private n = 0;

    constructor() {
        this.worker.onmessage = ({ data }: MessageEvent<{ n: number; answer?: Compared; failed?: string }>) => {
            const one = this.waiting.get(data.n);
            this.waiting.delete(data.n);
            if (data.answer) one?.done(data.answer);
            else one?.failed(new Error(data.failed));
        };
        this.worker.onerror = () => {
            for (const one of this.waiting.values()) one.failed(new Error('The browser could not compare them'));
            this.waiting.clear();
        };
    }

    ask(question: Question): Promise<Compared> {
        return new Promise((done, failed) => {
            this.waiting.set(++this.n, { done, failed });
            this.worker.postMessage({ n: this.n, question });
        });
    }

    async fields(field: Field, left: string, right: string, json: boolean, signal: AbortSignal): Promise<Compared & { cut: boolean }> {
        const [a, b] = await Promise.all([sideOf(left, field, signal), sideOf(right, field, signal)]);
        const answer = await this.ask({ field, left: a, right: b, json });
        return { ...answer, cut: a.cut || b.cut };
    }

    close(): void {
        this.worker.terminate();
    }
}
