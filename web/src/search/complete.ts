// complete.ts - what may come where the caret is: keys, and the values of a key.
import { own } from '../own.ts';
import { lex } from './lex.ts';
import { TERMS } from './terms.ts';

// Values that runs on the screen have.
export interface Observed {
    name: readonly string[];
    tag: readonly string[];
    model: readonly string[];
    metadata: readonly string[]; // keys
    feedback: readonly string[]; // keys
}

export interface Option {
    insert: string; // instead of the text between from and to
    label: string;
    does: string;
}

export interface Completion {
    from: number;
    to: number;
    options: Option[];
}

const MOST = 12;
const NONE: Completion = { from: 0, to: 0, options: [] };

const quoted = (value: string): string =>
    /^[^\s()",*~<>/-][^\s()",*]*$/.test(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`;

function valuesOf(key: string, observed: Observed): readonly string[] {
    const term = own(TERMS, key);
    if (term?.values) return term.values;
    if (term?.observed) return observed[term.observed];
    if (key === 'feedback') return observed.feedback;
    return key.startsWith('feedback.') ? ['up', 'down'] : [];
}

function keysOf(begun: string, observed: Observed): Option[] {
    const known = Object.entries(TERMS).map(([key, { does }]) => ({ key, does }));
    const seen = [
        ...observed.metadata.map((key) => ({ key: `metadata.${key}`, does: 'of the metadata' })),
        ...observed.feedback.map((key) => ({ key: `feedback.${key}`, does: '>0.5, up, down' })),
    ].filter(({ key }) => /^[\w.-]+$/.test(key));
    return [...known, ...seen]
        .filter(({ key }) => key.startsWith(begun.toLowerCase()))
        .map(({ key, does }) => ({ insert: `${key}:`, label: `${key}:`, does }));
}

export function complete(source: string, caret: number, observed: Observed): Completion {
    const from = source.slice(0, caret).search(/[^\s()]*$/);
    const word = source.slice(from, caret);
    const inside = lex(source).tokens.find((token) => token.from < caret && caret <= token.to);
    if (inside && 'form' in inside && inside.form === 'pattern') return NONE;
    if (word.includes('"') || ((source.slice(0, from).match(/"/g) ?? []).length & 1) === 1) return NONE;
    const begin = from + (word.startsWith('-') ? 1 : 0);
    const begun = source.slice(begin, caret);
    const colon = begun.indexOf(':');
    if (colon < 0) {
        const to = caret + (/^[\w.-]*:?/.exec(source.slice(caret))?.[0].length ?? 0);
        return { from: begin, to, options: keysOf(begun, observed).slice(0, MOST) };
    }
    const value = begun.slice(colon + 1);
    const after = value.lastIndexOf(',') + 1;
    const part = value.slice(after).toLowerCase();
    const at = begin + colon + 1 + after;
    const to = caret + (/^[^\s(),"]*/.exec(source.slice(caret))?.[0].length ?? 0);
    const options = valuesOf(begun.slice(0, colon), observed)
        .filter((one) => one.toLowerCase().includes(part) && one.toLowerCase() !== part)
        .sort((a, b) => Number(b.toLowerCase().startsWith(part)) - Number(a.toLowerCase().startsWith(part)))
        .slice(0, MOST)
        .map((one) => ({ insert: `${quoted(one)} `, label: one, does: '' }));
    return { from: at, to, options };
}
