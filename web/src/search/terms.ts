// terms.ts - the keys of the search bar, and what each makes of its value in the filter
// language of the API (src/run/filter.h).

import { own } from '../own.ts';

export class Wrong extends Error {}

// A text in the filter language.
export const text = (value: string): string => JSON.stringify(value.replaceAll('\0', '\ufffd'));

export const isId = (value: string): boolean =>
    /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(value);

export const idOf = (value: string): string =>
    value.toLowerCase().replace(/-/g, '').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

export interface Term {
    does: string; // for who completes
    values?: readonly string[]; // those there are
    observed?: 'name' | 'tag' | 'model'; // those that were seen
    matched?: string; // the attribute, where a regular expression may be the value
    // The filter of it; throws Wrong.
    filter: (value: string, quoted: boolean, now: number) => string;
}

const every = (parts: string[]): string => (parts.length === 1 ? parts[0]! : `and(${parts.join(', ')})`);
const any = (parts: string[]): string => (parts.length === 1 ? parts[0]! : `or(${parts.join(', ')})`);

// The first text behind all that begin with `prefix`, by code points; null: there is none.
function behind(prefix: string): string | null {
    const points = Array.from(prefix);
    while (points.length) {
        const last = points.pop()!.codePointAt(0)!;
        if (last < 0x10ffff)
            return points.join('') + String.fromCodePoint(last === 0xd7ff ? 0xe000 : last + 1);
    }
    return null;
}

const begins = (attribute: string, prefix: string): string[] => {
    const end = behind(prefix);
    return [`gte(${attribute}, ${text(prefix)})`, ...(end === null ? [] : [`lt(${attribute}, ${text(end)})`])];
};

// One of several, by commas, unless it is in quotes.
const each = (value: string, quoted: boolean, one: (value: string) => string): string =>
    any((quoted ? [value] : value.split(',').filter(Boolean)).map(one));

// Equal, or with a star at the end: begins with.
const textual = (attribute: string) => (value: string, quoted: boolean): string =>
    each(value, quoted, (one) => {
        if (quoted || !one.endsWith('*')) return `eq(${attribute}, ${text(one)})`;
        if (one === '*') return `neq(${attribute}, null)`;
        return every(begins(attribute, one.slice(0, -1)));
    });

const contains = (attribute: string) => (value: string): string =>
    `search(${attribute}, ${text(value.replace(/^~/, ''))})`;

const UNITS: Record<string, number> = { us: 1e-6, 'µs': 1e-6, ms: 1e-3, '': 1, s: 1, m: 60, min: 60, h: 3600, d: 86400 };
const SIZES: Record<string, number> = { '': 1, k: 1e3, m: 1e6 };

function seconds(value: string): number {
    const found = /^(-?\d+(?:\.\d+)?)([a-zµ]*)$/i.exec(value);
    const unit = found ? own(UNITS, found[2]!.toLowerCase()) : undefined;
    if (!found || unit === undefined) throw new Wrong(`“${value}” is no time: 500ms, 2s, 1.5m, 1h`);
    return Number((Number(found[1]) * unit).toPrecision(12));
}

function amount(value: string): number {
    const found = /^\$?(-?\d+(?:\.\d+)?)([km]?)$/i.exec(value);
    if (!found) throw new Wrong(`“${value}” is no number: 1000, 1.5k, 0.25`);
    return Number((Number(found[1]) * SIZES[found[2]!.toLowerCase()]!).toPrecision(12));
}

const whole = (value: string): number => {
    const n = amount(value);
    if (!Number.isInteger(n)) throw new Wrong(`“${value}” is no whole number`);
    return n;
};

const OPERATORS: Record<string, string> = { '>': 'gt', '>=': 'gte', '<': 'lt', '<=': 'lte', '=': 'eq' };

// 5, >5, >=5, <5, <=5, 5..6
const compared = (attribute: string, read: (value: string) => number | string) => (value: string): string => {
    const range = /^(.*?)\.\.(.*)$/.exec(value);
    if (range) {
        const parts = [
            range[1] && `gte(${attribute}, ${read(range[1])})`,
            range[2] && `lte(${attribute}, ${read(range[2])})`,
        ].filter((part): part is string => !!part);
        if (parts.length) return every(parts);
    }
    const [, operator, rest] = /^([<>]=?|=)?(.*)$/s.exec(value)!;
    return `${OPERATORS[operator ?? '=']}(${attribute}, ${read(rest!)})`;
};

const identifier = (attribute: string) => (value: string, quoted: boolean): string =>
    each(value, quoted, (one) => {
        if (!isId(one)) throw new Wrong(`“${one}” is no id: 32 hexadecimal digits`);
        return `eq(${attribute}, ${text(idOf(one))})`;
    });

function instant(value: string): string {
    const date = /^\d{4}-\d\d-\d\d$/.test(value) ? new Date(`${value}T00:00`) : new Date(value);
    if (!/^\d{4}-/.test(value) || Number.isNaN(date.getTime()))
        throw new Wrong(`“${value}” is no date: 2026-01-31, 2026-01-31T12:00`);
    return text(date.toISOString());
}

const oneOf = (attribute: string, values: readonly string[], what: string) => (value: string, quoted: boolean): string =>
    each(value, quoted, (one) => {
        if (!values.includes(one.toLowerCase())) throw new Wrong(`There is no ${what} “${one}”: ${values.join(', ')}`);
        return `eq(${attribute}, ${text(one.toLowerCase())})`;
    });

export const STATUSES = ['success', 'error', 'pending'] as const;
export const TYPES = ['chain', 'llm', 'tool', 'retriever', 'embedding', 'prompt', 'parser'] as const;

const THINGS: Record<string, string> = {
    error: 'neq(error, null)',
    feedback: 'neq(feedback_key, null)',
    tags: 'neq(tags, null)',
    metadata: 'neq(metadata_key, null)',
    tokens: 'neq(total_tokens, null)',
    cost: 'neq(total_cost, null)',
    thread: 'neq(thread_id, null)',
    parent: 'neq(parent_run_id, null)',
};

function has(value: string): string {
    const found = own(THINGS, value);
    if (found) return found;
    if (value.startsWith('metadata.')) return `exists(metadata, ${text(value.slice(9))})`;
    if (value.startsWith('feedback.')) return `eq(feedback_key, ${text(value.slice(9))})`;
    throw new Wrong(`“${value}” cannot be asked for: ${Object.keys(THINGS).join(', ')}, metadata.KEY, feedback.KEY`);
}

const entry = (key: string) => (value: string, quoted: boolean): string =>
    each(value, quoted, (one) => {
        if (!quoted && /^[~<>]/.test(one))
            throw new Wrong('Metadata is compared whole, or by its beginning: user:42, user:4*');
        if (!quoted && one === '*') return `exists(metadata, ${text(key)})`;
        const test =
            !quoted && one.endsWith('*')
                ? begins('metadata_value', one.slice(0, -1))
                : [`eq(metadata_value, ${text(one)})`];
        return `and(eq(metadata_key, ${text(key)}), ${test.join(', ')})`;
    });

const SCORES: Record<string, string> = { up: '1', down: '0', true: '1', false: '0' };
const score = (key: string) => (value: string): string => {
    const word = own(SCORES, value.toLowerCase());
    const test = word ? `eq(feedback_score, ${word})` : compared('feedback_score', amount)(value);
    return `and(eq(feedback_key, ${text(key)}), ${test})`;
};

// `since:24h`: that long ago.
const since = (value: string, _quoted: boolean, now: number): string =>
    `gte(start_time, ${text(new Date(now - seconds(value) * 1000).toISOString())})`;

const named = (value: string, quoted: boolean): string =>
    !quoted && value.startsWith('~') ? contains('name')(value) : textual('name')(value, quoted);

// A score is asked for behind the key's name.
const judged = (value: string, quoted: boolean): string => {
    const scored = quoted ? null : /^([\w.-]+):?([<>=].*)$/.exec(value);
    if (scored) throw new Wrong(`did you mean “feedback.${scored[1]}:${scored[2]}”?`);
    return textual('feedback_key')(value, quoted);
};

export const TERMS: Record<string, Term> = {
    status: { does: 'success, error or pending', values: STATUSES, filter: oneOf('status', STATUSES, 'status') },
    name: { does: 'is; ~part, begin*, /re.ex/', observed: 'name', matched: 'name', filter: named },
    type: { does: 'llm, tool, chain, …', values: TYPES, filter: (value, quoted) => textual('run_type')(value.toLowerCase(), quoted) },
    latency: { does: '>2s, 100ms..1s', filter: compared('latency', seconds) },
    error: { does: 'the error contains; /re.ex/', matched: 'error', filter: contains('error') },
    tag: {
        does: 'has the tag; /re.ex/',
        observed: 'tag',
        matched: 'tags',
        filter: (value, quoted) => each(value, quoted, (one) => `has(tags, ${text(one)})`),
    },
    model: { does: 'of the model; begin*', observed: 'model', filter: entry('ls_model_name') },
    provider: { does: 'of the provider', filter: entry('ls_provider') },
    input: { does: 'the beginning of the inputs contains; /re.ex/', matched: 'inputs', filter: contains('inputs') },
    output: { does: 'the beginning of the outputs contains; /re.ex/', matched: 'outputs', filter: contains('outputs') },
    tokens: { does: '>1000, 1k..10k', filter: compared('total_tokens', whole) },
    input_tokens: { does: '>1000', filter: compared('prompt_tokens', whole) },
    output_tokens: { does: '>1000', filter: compared('completion_tokens', whole) },
    cost: { does: '>0.1', filter: compared('total_cost', amount) },
    has: { does: 'error, feedback, tags, metadata.KEY, …', values: Object.keys(THINGS), filter: has },
    feedback: { does: 'has feedback with this key', filter: judged },
    thread: { does: 'of the thread', filter: textual('thread_id') },
    trace: { does: 'of the trace', filter: identifier('trace_id') },
    id: { does: 'the run', filter: identifier('id') },
    parent: { does: 'below the run', filter: identifier('parent_run_id') },
    child: { does: 'called a run of this name', observed: 'name', filter: textual('child_run_name') },
    since: { does: '24h, 30m', filter: since },
    after: { does: '2026-01-31', filter: (value) => `gte(start_time, ${instant(value)})` },
    before: { does: '2026-01-31', filter: (value) => `lt(start_time, ${instant(value)})` },
};

// Also of metadata.KEY and feedback.KEY; null: nobody knows it.
export function termOf(key: string): Term['filter'] | null {
    const term = own(TERMS, key);
    if (term) return term.filter;
    if (/^metadata\../.test(key)) return entry(key.slice(9));
    if (/^feedback\../.test(key)) return score(key.slice(9));
    return null;
}

// A regular expression as the value of a key, which stands there as `written`.
export function patternOf(key: string, pattern: string, written: string): string {
    const attribute = own(TERMS, key)?.matched;
    if (attribute) return `matches(${attribute}, ${text(pattern)})`;
    const keys = Object.keys(TERMS).filter((name) => TERMS[name]!.matched);
    throw new Wrong(`Regular expressions are for ${keys.join(', ')}; for this text write "${written}"`);
}

// How many letters must change; for few letters only.
function distance(a: string, b: string): number {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i);
    for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++)
            next[j] = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
        row = next;
    }
    return row[b.length]!;
}

export function meant(key: string): string | null {
    const near = Object.keys(TERMS)
        .map((name) => ({ name, far: distance(key.toLowerCase().slice(0, 40), name) }))
        .sort((a, b) => a.far - b.far)[0]!;
    return near.far <= Math.max(1, Math.floor(key.length / 3)) ? near.name : null;
}
