// A conversation to be shown: of long texts the beginning, the rest where it can be asked for.
//
// So a worker can hand over the conversation of a large run at once, and no text makes the
// page lay out more than a person reads.
import type { Conversation } from './conversation.ts';
import { write } from './jsonModel.ts';
import type { Message, Part } from './message.ts';

export interface Text {
    text: string;
    length: number; // of the whole
    ref: number; // to ask for more with
}

export type ShownPart =
    | { kind: 'text' | 'reasoning' | 'refusal'; said: Text }
    | { kind: 'json'; said: Text }
    | { kind: 'media'; media: 'image' | 'audio' | 'video' | 'file'; name: string; mime: string; data: string; size: number }
    | { kind: 'link'; media: 'image' | 'audio' | 'video' | 'file'; url: string }
    | { kind: 'call'; id: string; name: string; args: Text; result: ShownPart[] | null; failed: boolean };

export interface ShownMessage extends Omit<Message, 'parts'> {
    parts: ShownPart[];
}

export interface Shown {
    input: ShownMessage[];
    output: ShownMessage[];
}

export const FIRST = 20_000; // characters
const MOST_MEDIA = 12 << 20; // characters of base64 that are shown

export class Texts {
    private readonly all: string[] = [];

    keep(text: string): Text {
        if (text.length <= FIRST) return { text, length: text.length, ref: -1 };
        // Not through the middle of a character.
        const end = /[\ud800-\udbff]/.test(text[FIRST - 1]) ? FIRST - 1 : FIRST;
        return { text: text.slice(0, end), length: text.length, ref: this.all.push(text) - 1 };
    }

    piece(ref: number, from: number, to: number): string {
        return this.all[ref]?.slice(from, to) ?? '';
    }
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : write(value));

function shownPart(part: Part, texts: Texts): ShownPart {
    switch (part.kind) {
        case 'text':
        case 'reasoning':
        case 'refusal':
            return { kind: part.kind, said: texts.keep(part.text) };
        case 'json':
            return { kind: 'json', said: texts.keep(asText(part.value)) };
        case 'call':
            return {
                kind: 'call',
                id: part.id,
                name: part.name,
                args: texts.keep(asText(part.args)),
                result: part.result?.map((one) => shownPart(one, texts)) ?? null,
                failed: part.failed,
            };
        case 'media':
            return { ...part, size: part.data.length, data: part.data.length > MOST_MEDIA ? '' : part.data };
        case 'link':
            return part;
    }
}

const shownMessage = (one: Message, texts: Texts): ShownMessage => ({
    ...one,
    parts: one.parts.map((part) => shownPart(part, texts)),
});

export const cut = ({ input, output }: Conversation, texts: Texts): Shown => ({
    input: input.map((one) => shownMessage(one, texts)),
    output: output.map((one) => shownMessage(one, texts)),
});
