// lex.ts - what is written in the search bar, cut into words, marks and keys with values.
//
//     -status:error (name:~agent or "exact text") metadata.user:42
//
// A key is letters, digits, `_`, `-` and `.` before a colon with a value behind it, unless that
// is an address (http://...).  Values and texts may stand in quotes; \" and \\ are there in them.
//
// A regular expression stands between slashes, and may have spaces; \/ is a slash in it.  The
// first other slash is its end, and has a space, a parenthesis or nothing behind it: else no
// regular expression was meant, but a text like /v1/chat.

import { own } from '../own.ts';

export type Token =
    | { kind: 'open' | 'close' | 'not' | 'or' | 'and'; from: number; to: number }
    | { kind: 'text'; text: string; form: Form; from: number; to: number }
    | { kind: 'key'; key: string; value: string; form: Form; from: number; at: number; to: number };

// How a text or a value stands there.
export type Form = 'plain' | 'quoted' | 'pattern';

export interface Problem {
    from: number;
    to: number;
    text: string;
}

const KEY = /[A-Za-z_][\w.-]*:/y;
const WORD = /[^\s()"]+/y;
const PATTERN = /\/((?:[^\\/]|\\.)+)\/(?=[\s()]|$)/ysu;
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

// A regular expression that begins at `at`, and where it ends; null: there is none.
function patternAt(source: string, at: number): { text: string; to: number } | null {
    PATTERN.lastIndex = at;
    const found = PATTERN.exec(source);
    return found && { text: found[1]!.replace(/\\(.)/gsu, (both, c) => (c === '/' ? c : both)), to: at + found[0].length };
}

function match(shape: RegExp, source: string, at: number): string | null {
    shape.lastIndex = at;
    return shape.exec(source)?.[0] ?? null;
}

export function lex(source: string): { tokens: Token[]; problems: Problem[] } {
    const tokens: Token[] = [];
    const problems: Problem[] = [];
    // What stands at `at`, if anything.
    const valueAt = (at: number): { text: string; form: Form; to: number } => {
        const pattern = patternAt(source, at);
        if (pattern) return { ...pattern, form: 'pattern' };
        if (source[at] !== '"') {
            const text = match(WORD, source, at) ?? '';
            return { text, form: 'plain', to: at + text.length };
        }
        const { text, to } = quotedAt(source, at);
        if (to < 0) problems.push({ from: at, to: source.length, text: 'A quote is not closed' });
        return { text, form: 'quoted', to: to < 0 ? source.length : to };
    };
    for (let at = 0; at < source.length; ) {
        const c = source[at]!;
        const from = at;
        const key = match(KEY, source, at);
        if (/\s/.test(c)) {
            at++;
        } else if (c === '(' || c === ')') {
            tokens.push({ kind: c === '(' ? 'open' : 'close', from, to: ++at });
        } else if (c === '-' && at + 1 < source.length && /[^\s)]/.test(source[at + 1]!)) {
            tokens.push({ kind: 'not', from, to: ++at });
        } else if (key && !source.startsWith('//', at + key.length)) {
            const begin = at + key.length;
            const { text, form, to } = valueAt(begin);
            tokens.push({ kind: 'key', key: key.slice(0, -1), value: text, form, from, at: begin, to: (at = to) });
        } else {
            const { text, form, to } = valueAt(at);
            const mark = form === 'plain' ? own(MARKS, text.toLowerCase()) : undefined;
            at = to;
            if (mark) tokens.push({ kind: mark, from, to });
            else tokens.push({ kind: 'text', text, form, from, to });
        }
    }
    return { tokens, problems };
}
