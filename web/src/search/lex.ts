// lex.ts - what is written in the search bar, cut into words, marks and keys with values.
//
//     -status:error (name:~agent or "exact text") metadata.user:42
//
// A key is letters, digits, `_`, `-` and `.` before a colon with a value behind it.  Values
// and texts may stand in quotes; \" and \\ are there in them.

import { own } from '../own.ts';

export type Token =
    | { kind: 'open' | 'close' | 'not' | 'or' | 'and'; from: number; to: number }
    | { kind: 'text'; text: string; quoted: boolean; from: number; to: number }
    | { kind: 'key'; key: string; value: string; quoted: boolean; from: number; at: number; to: number };

export interface Problem {
    from: number;
    to: number;
    text: string;
}

const KEY = /[A-Za-z_][\w.-]*:/y;
const WORD = /[^\s()"]+/y;
const MARKS: Record<string, 'or' | 'and' | 'not'> = { or: 'or', '|': 'or', and: 'and', not: 'not' };

// A text in quotes that begins at `at`: what it says, and where it ends; -1 when it does not.
function quotedAt(source: string, at: number): { text: string; to: number } {
    let text = '';
    for (let i = at + 1; i < source.length; i++) {
        const c = source[i]!;
        if (c === '"') return { text, to: i + 1 };
        if (c === '\\' && (source[i + 1] === '"' || source[i + 1] === '\\')) text += source[++i];
        else text += c;
    }
    return { text, to: -1 };
}

function match(shape: RegExp, source: string, at: number): string | null {
    shape.lastIndex = at;
    return shape.exec(source)?.[0] ?? null;
}

export function lex(source: string): { tokens: Token[]; problems: Problem[] } {
    const tokens: Token[] = [];
    const problems: Problem[] = [];
    const quoted = (at: number) => {
        const found = quotedAt(source, at);
        if (found.to >= 0) return found;
        problems.push({ from: at, to: source.length, text: 'A quote is not closed' });
        return { text: found.text, to: source.length };
    };
    for (let at = 0; at < source.length; ) {
        const c = source[at]!;
        const from = at;
        if (/\s/.test(c)) {
            at++;
        } else if (c === '(' || c === ')') {
            tokens.push({ kind: c === '(' ? 'open' : 'close', from, to: ++at });
        } else if (c === '-' && at + 1 < source.length && /[^\s)]/.test(source[at + 1]!)) {
            tokens.push({ kind: 'not', from, to: ++at });
        } else if (c === '"') {
            const { text, to } = quoted(at);
            tokens.push({ kind: 'text', text, quoted: true, from, to: (at = to) });
        } else {
            const key = match(KEY, source, at);
            if (key && source[at + key.length] !== '/') {
                at += key.length;
                const begin = at;
                const inQuotes = source[at] === '"';
                const { text, to } = inQuotes
                    ? quoted(at)
                    : { text: match(WORD, source, at) ?? '', to: at + (match(WORD, source, at)?.length ?? 0) };
                at = to;
                tokens.push({ kind: 'key', key: key.slice(0, -1), value: text, quoted: inQuotes, from, at: begin, to });
                continue;
            }
            const word = match(WORD, source, at) ?? c;
            at += word.length;
            const mark = own(MARKS, word.toLowerCase());
            if (mark) tokens.push({ kind: mark, from, to: at });
            else tokens.push({ kind: 'text', text: word, quoted: false, from, to: at });
        }
    }
    return { tokens, problems };
}
