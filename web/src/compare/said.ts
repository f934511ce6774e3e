// said.ts - a field of a run as a text to be compared: its conversation where it has one, else
// JSON with its members in a fixed order.
import { readInputs, readOutputs } from '../run/conversation.ts';
import { Exact, readJson, write } from '../run/jsonModel.ts';
import { isObject } from '../run/message.ts';
import type { Message, Part } from '../run/message.ts';
import type { Field } from '../run/ask.ts';
import { diff } from './diff.ts';
import type { Line } from './diff.ts';

const MOST_LINES = 10_000; // that are told

// What was read of a field; '' where the run has none, or there is no run.
export interface Side {
    text: string;
    cut: boolean; // there is more of it
}

export interface Question {
    field: Field | 'error';
    left: Side;
    right: Side;
    json: boolean; // not as messages, also where they are
}

export interface Compared {
    as: 'messages' | 'JSON' | 'text';
    same: boolean;
    beside: boolean; // the messages are the same, and something beside them is not
    lines: Line[];
    more: number; // lines that are not told
}

function ordered(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(ordered);
    if (!isObject(value) || value instanceof Exact) return value;
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(members.map(([name, one]) => [name, ordered(one)]));
}

const pretty = (value: unknown): string => (typeof value === 'string' ? value : write(ordered(value)));

function saidIn(part: Part): string {
    switch (part.kind) {
        case 'text':
            return part.text;
        case 'reasoning':
        case 'refusal':
            return `(${part.kind})\n${part.text}`;
        case 'media':
            return `(${part.media} ${part.name || part.mime}, ${part.data.length} characters)`;
        case 'link':
            return `(${part.media}) ${part.url}`;
        case 'call':
            return `→ ${part.name} ${part.id}\n${pretty(part.args)}`;
        case 'json':
            return pretty(part.value);
    }
}

const written = (list: readonly Message[]): string =>
    list
        .map(({ role, name, callId, failed, parts }) =>
            [`[${[role, name, callId, failed ? 'failed' : ''].filter(Boolean).join(' ')}]`, ...parts.map(saidIn)].join('\n'),
        )
        .join('\n\n');

// JSON that ends anywhere, with a line for each member, in the order it has.
export function brokenUp(text: string): string {
    let depth = 0;
    let inString = false;
    let out = '';
    let from = 0;
    const line = () => `\n${'  '.repeat(Math.min(depth, 20))}`;
    for (let i = 0; i < text.length; i++) {
        const c = text[i]!;
        if (inString) {
            if (c === '\\') i++;
            else if (c === '"') inString = false;
            continue;
        }
        if (c === '"') inString = true;
        else if (c === '{' || c === '[') depth++;
        else if (c === '}' || c === ']') depth = Math.max(0, depth - 1);
        else if (c !== ',') continue;
        if (c === '"') continue;
        const closes = c === '}' || c === ']';
        out += closes ? text.slice(from, i) + line() + c : text.slice(from, i + 1) + line();
        from = i + 1;
    }
    return out + text.slice(from);
}

const parsed = ({ text, cut }: Side): { value: unknown } | null => {
    if (cut) return null;
    try {
        return { value: text ? readJson(text) : null };
    } catch {
        return null;
    }
};

function compared(as: Compared['as'], left: string, right: string, beside = false): Compared {
    const lines = diff(left, right);
    return { as, same: left === right, beside, lines: lines.slice(0, MOST_LINES), more: Math.max(0, lines.length - MOST_LINES) };
}

export function compare({ field, left, right, json }: Question): Compared {
    if (field === 'error') return compared('text', left.text, right.text);
    const [a, b] = [parsed(left), parsed(right)];
    try {
        if (a && b) return ofValues(field, a.value, b.value, json);
    } catch {
        /* Deeper than can be followed. */
    }
    return compared('text', brokenUp(left.text), brokenUp(right.text));
}

function ofValues(field: Field, a: unknown, b: unknown, json: boolean): Compared {
    const read = field === 'inputs' ? readInputs : readOutputs;
    const asJson = [a, b].map((value) => (value === null ? '' : pretty(value))) as [string, string];
    if (!json) {
        const [left, right] = [read(a), read(b)];
        // What one of them does not have is nothing said.
        if ((left.length || a === null) && (right.length || b === null) && left.length + right.length > 0) {
            const said = [written(left), written(right)] as const;
            return compared('messages', ...said, said[0] === said[1] && asJson[0] !== asJson[1]);
        }
    }
    return compared('JSON', ...asJson);
}
