// Large payloads: fetched, parsed and gone through where the page does not wait for it.
import type { Answer, Field, Question } from './ask.ts';
import { readConversation } from './conversation.ts';
import { cut, Texts } from './cut.ts';
import { JsonModel, readJson } from './jsonModel.ts';
import { sourceOf, type JsonSource } from './source.ts';

const PIECE = 4 << 20;

const values: Partial<Record<Field, unknown>> = {};
const sources: Partial<Record<Field, JsonSource>> = {};
const texts = new Texts();

const say = (answer: Answer): void => postMessage(answer);

function take(field: Field, text: string): number {
    const value = readJson(text);
    values[field] = value;
    const model = new JsonModel(value);
    sources[field] = sourceOf(model);
    return model.count;
}

async function fetchPiece(path: string, headers: Record<string, string>, from: number): Promise<Response> {
    const response = await fetch(path, { headers: { ...headers, range: `bytes=${from}-${from + PIECE - 1}` } });
    if (!response.ok) throw new Error(`The server answered with ${response.status}`);
    return response;
}

// Range by range, each of the same bytes as the first: else the value has changed meanwhile.
async function fetchText(n: number, { path, headers, total }: Question & { do: 'fetch' }): Promise<string> {
    const pieces: Uint8Array[] = [];
    let got = 0;
    let etag = '';
    do {
        const response = await fetchPiece(path, headers, got);
        const tag = response.headers.get('etag') ?? '';
        if (got && tag !== etag) throw new Error('The run was changed while it was read. Open it again');
        etag = tag;
        const range = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
        const whole = response.status === 200 || !range;
        if (whole && got) throw new Error('The server did not send the part that was asked for');
        const piece = new Uint8Array(await response.arrayBuffer());
        if (!piece.length) throw new Error('The server sent nothing');
        pieces.push(piece);
        got += piece.length;
        total = whole ? got : Number(range[1]);
        say({ n, got, total });
    } while (got < total);
    const decoder = new TextDecoder();
    const texts = pieces.map((piece) => decoder.decode(piece, { stream: true }));
    return texts.join('') + decoder.decode();
}

async function answer(n: number, question: Question): Promise<unknown> {
    switch (question.do) {
        case 'fetch':
            return take(question.field, await fetchText(n, question));
        case 'take':
            return take(question.field, question.text);
        case 'conversation':
            return cut(readConversation(values.inputs, values.outputs), texts);
        case 'piece':
            return texts.piece(question.ref, question.from, question.to);
        case 'ask': {
            const source = sources[question.field] as unknown as Record<string, (...args: unknown[]) => unknown>;
            return source[question.call](...question.args);
        }
    }
}

function reply(n: number, question: Question): Promise<void> {
    return answer(n, question).then(
        (result) => say({ n, answer: result }),
        (error: unknown) => say({ n, failed: error instanceof Error ? error.message : String(error) }),
    );
}

// A conversation needs what was fetched before it; what is asked of a source does not wait.
let before: Promise<void> = Promise.resolve();

addEventListener('message', ({ data }: MessageEvent<{ n: number; question: Question }>) => {
    const { n, question } = data;
    if (question.do === 'ask' || question.do === 'piece') void reply(n, question);
    else before = before.then(() => reply(n, question));
});
