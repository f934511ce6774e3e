// The inputs and outputs of a run, of whatever size.
//
// What is small is read here, at once.  Of what is large the beginning is shown as text while
// a worker fetches and parses the rest; from then on the worker is asked for rows.
import { signal, type Signal } from '@preact/signals';
import { later, pauseAfter } from '../again.ts';
import { api, apiKey, faultOf, isAbort, type ApiError } from '../api.ts';
import type { Answer, Field, Question } from './ask.ts';
import { readConversation } from './conversation.ts';
import { cut, Texts, type Shown } from './cut.ts';
import { readJson } from './jsonModel.ts';
import { localSource, type JsonSource, type Later } from './source.ts';

export const SMALL = 256 << 10; // bytes

export type Payload =
    | { is: 'loading'; got: number; total: number; head: string }
    | { is: 'ready'; size: number; source: JsonSource; empty: boolean; value?: unknown }
    | { is: 'failed'; why: ApiError; head: string };

// Read up to SMALL bytes; null: there are more.
async function readSmall(response: Response): Promise<Uint8Array | null> {
    const reader = response.body!.getReader();
    const pieces: Uint8Array[] = [];
    let got = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        pieces.push(value);
        got += value.length;
        if (got > SMALL) {
            void reader.cancel();
            return null;
        }
    }
    const all = new Uint8Array(got);
    let at = 0;
    for (const piece of pieces) {
        all.set(piece, at);
        at += piece.length;
    }
    return all;
}

// The beginning of a field, and how many bytes it has (0: not known).  null: there are more than
// SMALL, and the server did not send a part.
export async function readStart(path: string, signal: AbortSignal): Promise<{ bytes: Uint8Array | null; total: number }> {
    const response = await api.get(path, { headers: { range: `bytes=0-${SMALL - 1}` }, signal });
    const range = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    return { total: range ? Number(range[1]) : 0, bytes: await readSmall(response) };
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

class Helper {
    private readonly worker = new Worker(WORKERS.payload);
    private readonly waiting = new Map<number, { done: (answer: unknown) => void; failed: (why: Error) => void; got?: (got: number, total: number) => void }>();
    private n = 0;

    constructor() {
        this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
            const one = this.waiting.get(data.n);
            if (!one) return;
            if ('got' in data) return one.got?.(data.got, data.total);
            this.waiting.delete(data.n);
            if ('failed' in data) one.failed(new Error(data.failed));
            else one.done(data.answer);
        };
        this.worker.onerror = () => {
            for (const one of this.waiting.values()) one.failed(new Error('The browser could not read it'));
            this.waiting.clear();
        };
    }

    ask<T>(question: Question, got?: (got: number, total: number) => void): Promise<T> {
        return new Promise((done, failed) => {
            this.waiting.set(++this.n, { done: done as (answer: unknown) => void, failed, got });
            this.worker.postMessage({ n: this.n, question });
        });
    }

    source(field: Field): JsonSource {
        const call = <T>(name: keyof JsonSource, ...args: unknown[]): Promise<T> =>
            this.ask({ do: 'ask', field, call: name, args });
        return {
            slice: (from, to) => call('slice', from, to),
            count: () => call('count'),
            toggle: (id) => call('toggle', id),
            openAll: () => call('openAll'),
            closeAll: () => call('closeAll'),
            find: (text, step) => call('find', text, step),
            text: (id, from, to) => call('text', id, from, to),
            path: (id) => call('path', id),
            json: (id) => call('json', id),
        };
    }

    close(): void {
        this.worker.terminate();
    }
}

export class Payloads {
    readonly inputs: Signal<Payload> = signal({ is: 'loading', got: 0, total: 0, head: '' });
    readonly outputs: Signal<Payload> = signal({ is: 'loading', got: 0, total: 0, head: '' });
    // null: not read yet.
    readonly conversation = signal<Shown | null>(null);
    private readonly texts = new Texts();
    private readonly small: Partial<Record<Field, { text: string; value: unknown }>> = {};
    private readonly stop = new AbortController();
    private helper: Helper | null = null;
    private readonly ends = new Map<Field, () => void>(); // of those that are asked for again

    constructor(readonly runId: string) {
        void Promise.all([this.open('inputs'), this.open('outputs')]).then(() => this.converse());
    }

    path(field: string): string {
        return `/runs/${encodeURIComponent(this.runId)}/${field}`;
    }

    // More of a text of the conversation.
    piece(ref: number, from: number, to: number): Later<string> {
        return this.helper ? this.helper.ask<string>({ do: 'piece', ref, from, to }) : this.texts.piece(ref, from, to);
    }

    close(): void {
        this.stop.abort();
        for (const end of this.ends.values()) end();
        this.helper?.close();
    }

    private async open(field: Field, tries = 0): Promise<void> {
        const payload = this[field];
        try {
            const { bytes, total } = await readStart(this.path(field), this.stop.signal);
            if (!bytes || total > bytes.length) await this.openLarge(field, total, bytes ? decode(bytes) : '');
            else this.openSmall(field, decode(bytes), bytes.length);
        } catch (error) {
            if (this.stop.signal.aborted || isAbort(error)) return;
            const before = payload.value;
            const head = before.is === 'ready' ? '' : before.head;
            const why = faultOf(error);
            payload.value = { is: 'failed', why, head };
            if (why.passes) this.ends.set(field, later(pauseAfter(why, tries), () => void this.open(field, tries + 1).then(() => this.converse())));
        }
    }

    private openSmall(field: Field, text: string, size: number): void {
        const value = readJson(text || 'null');
        this.small[field] = { text, value };
        const empty = value === null || (typeof value === 'object' && !Object.keys(value).length);
        this[field].value = { is: 'ready', size, source: localSource(value), empty, value };
    }

    private async openLarge(field: Field, total: number, head: string): Promise<void> {
        const payload = this[field];
        payload.value = { is: 'loading', got: 0, total, head };
        this.helper ??= new Helper();
        const key = apiKey();
        const headers: Record<string, string> = key ? { 'x-api-key': key } : {};
        const path = new URL(this.path(field), location.href).href;
        let size = total;
        await this.helper.ask({ do: 'fetch', field, path, headers, total }, (got, all) => {
            size = all;
            payload.value = { is: 'loading', got, total: all, head };
        });
        payload.value = { is: 'ready', size, source: this.helper.source(field), empty: false };
    }

    private async converse(): Promise<void> {
        if (this.stop.signal.aborted) return;
        const { inputs, outputs } = this.small;
        try {
            if (!this.helper) {
                this.conversation.value = cut(readConversation(inputs?.value, outputs?.value), this.texts);
                return;
            }
            if (inputs) await this.helper.ask({ do: 'take', field: 'inputs', text: inputs.text });
            if (outputs) await this.helper.ask({ do: 'take', field: 'outputs', text: outputs.text });
            this.conversation.value = await this.helper.ask<Shown>({ do: 'conversation' });
        } catch {
            // What is no conversation is shown as what it is.
            this.conversation.value = { input: [], output: [] };
        }
    }
}
