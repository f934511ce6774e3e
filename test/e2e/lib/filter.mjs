// filter.mjs - the filter language, the plain way: conditions as trees, their text, and what
// they mean of a run.  What a server finds is compared with it.
//
// A tree is one of
//
//     { kind: 'and' | 'or', of: [tree, ...] }     { kind: 'not', of: [tree] }
//     { kind: 'test', attribute, op, values: [{ is, text }] }     is: compared; text: as written
//     { kind: 'null', attribute, op: 'eq' | 'neq' }
//     { kind: 'has', attribute, text }            { kind: 'exists', text }
//     { kind: 'members', members: { ... } }       has(metadata, '{...}')
//     { kind: 'search', attribute or null, text }
//     { kind: 'matches', attribute or null, text }     of what JavaScript reads in the same way
//
// A subject has a value (or undefined) for each attribute: texts, numbers (microseconds for
// instants and durations), booleans; lists for tags and child_run_name; for metadata and
// feedback a list of [key, value or undefined].
const HALVES = {
    metadata_key: ['metadata', 0],
    metadata_value: ['metadata', 1],
    feedback_key: ['feedback', 0],
    feedback_score: ['feedback', 1],
};
const SEARCHED = ['name', 'error', 'inputs', 'outputs', 'tags', 'metadata'];

// ---- what it means ----

// Texts by their bytes.
function compare(a, b) {
    if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
    return a < b ? -1 : Number(a > b);
}

const orders = {
    gt: (order) => order > 0,
    gte: (order) => order >= 0,
    lt: (order) => order < 0,
    lte: (order) => order <= 0,
};

// Of one value, which may be absent.
function matchOne({ kind, op, values }, value) {
    if (kind === 'null') return (value === undefined) === (op === 'eq');
    const among = value !== undefined && values.some(({ is }) => compare(value, is) === 0);
    if (op === 'eq' || op === 'in') return among;
    if (op === 'neq' || op === 'nin') return !among;
    return value !== undefined && orders[op](compare(value, values[0].is));
}

function elements(attribute, subject) {
    if (HALVES[attribute]) {
        const [list, half] = HALVES[attribute];
        return subject[list].map((pair) => pair[half]);
    }
    return attribute === 'tags' || attribute === 'child_run_name' ? subject[attribute] : null;
}

const OPPOSITE = { neq: 'eq', nin: 'in' };

function matchTest(test, subject) {
    if (test.attribute === 'metadata') return matchOne(test, subject.metadata[0]);
    const list = elements(test.attribute, subject);
    if (!list) return matchOne(test, subject[test.attribute]);
    // Nothing is there: no element is.
    if (test.kind === 'null')
        return list.some((value) => value !== undefined) === (test.op === 'neq');
    if (OPPOSITE[test.op]) {
        const opposite = { ...test, op: OPPOSITE[test.op] };
        return !list.some((value) => matchOne(opposite, value));
    }
    return list.some((value) => matchOne(test, value));
}

// One entry satisfies all of them.
const matchEntry = (tests, list, subject) =>
    subject[list].some((pair) =>
        tests.every((test) => matchOne(test, pair[HALVES[test.attribute][1]])),
    );

const picks = (test) => test.kind === 'test' && (test.op === 'eq' || test.op === 'in');

// Which conditions on halves, direct arguments of one `and`, are about the same entry.
function entriesOf(tests) {
    const entries = [];
    for (const test of tests) {
        const last = entries.at(-1);
        const again = picks(test) && last?.some((t) => picks(t) && t.attribute === test.attribute);
        if (!last || again) entries.push([test]);
        else last.push(test);
    }
    return entries;
}

const together = (entry) =>
    new Set(entry.map(({ attribute }) => attribute)).size === 2 ||
    (entry.length > 1 && entry.some(({ op }) => orders[op]));

function matchAnd(of, subject) {
    const loose = (node) =>
        (node.kind === 'test' || node.kind === 'null') && HALVES[node.attribute];
    const rest = of.filter((node) => !loose(node));
    return (
        rest.every((node) => match(node, subject)) &&
        ['metadata', 'feedback'].every((list) =>
            entriesOf(of.filter((node) => loose(node)?.[0] === list)).every((entry) =>
                together(entry)
                    ? matchEntry(entry, list, subject)
                    : entry.every((test) => matchTest(test, subject)),
            ),
        )
    );
}

// What a value of metadata is compared as.
export const asText = (value) =>
    value === null ? undefined : typeof value === 'string' ? value : JSON.stringify(value);

const contains = (text, sought) =>
    text !== undefined && text.toLowerCase().includes(sought.toLowerCase());

// (?-i) is none of JavaScript's.
function isMatch(text, pattern) {
    const flags = pattern.startsWith('(?-i)') ? 'u' : 'iu';
    return text !== undefined && new RegExp(pattern.replace('(?-i)', ''), flags).test(text);
}

// Of a long value of metadata only the beginning is searched.
function beginning(text) {
    const bytes = Buffer.from(text ?? '');
    if (bytes.length <= 64) return text;
    let end = 32;
    while ((bytes[end] & 0xc0) === 0x80) end--;
    return bytes.subarray(0, end).toString();
}

// Is one of the texts what `is` says?
function searchIn(attribute, subject, is) {
    if (!attribute) return SEARCHED.some((one) => searchIn(one, subject, is));
    if (attribute === 'tags') return subject.tags.some(is);
    if (attribute === 'metadata') return subject.metadata.some(([key, value]) => is(key) || is(beginning(value)));
    return is(subject[attribute]);
}

export function match(tree, subject) {
    switch (tree.kind) {
        case 'and':
            return matchAnd(tree.of, subject);
        case 'or':
            return tree.of.some((node) => match(node, subject));
        case 'not':
            return !match(tree.of[0], subject);
        case 'test':
        case 'null':
            return matchTest(tree, subject);
        case 'has':
            return elements(tree.attribute === 'tags' ? 'tags' : 'metadata_key', subject).includes(
                tree.text,
            );
        case 'exists':
            return subject.metadata.some(([key]) => key === tree.text);
        case 'members':
            return Object.entries(tree.members).every(([key, value]) =>
                subject.metadata.some((pair) => pair[0] === key && pair[1] === asText(value)),
            );
        case 'search':
            return searchIn(tree.attribute, subject, (text) => contains(text, tree.text));
        case 'matches':
            return searchIn(tree.attribute, subject, (text) => isMatch(text, tree.text));
    }
    throw new Error(tree.kind);
}

// ---- how it is written ----

export class Pen {
    constructor(random) {
        this.random = random;
    }
    space() {
        return this.random.chance(0.9) ? '' : this.random.one([' ', '  ', '\n', '\t']);
    }
    string(text) {
        const json = JSON.stringify(text);
        if (this.random.chance(0.7)) return json;
        return `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
    }
    name(word) {
        return this.random.chance(0.9) ? word : `"${word}"`;
    }
    call(name, args) {
        const word = this.random.chance(0.9) ? name : name.toUpperCase();
        const list = args.map((arg) => `${this.space()}${arg}${this.space()}`);
        return `${word}${this.space()}(${list.join(this.random.one([',', ', ']))})`;
    }
    write(tree) {
        const { kind, attribute, op, of, text } = tree;
        switch (kind) {
            case 'test': {
                const values = tree.values.map((value) => value.text);
                const value = op === 'in' || op === 'nin' ? `[${values.join(', ')}]` : values[0];
                return this.call(op, [this.name(attribute), value]);
            }
            case 'null':
                return this.call(op, [
                    this.name(attribute),
                    this.random.one(['null', 'None', 'NULL']),
                ]);
            case 'has':
                return this.call('has', [this.name(attribute), this.string(text)]);
            case 'exists':
                return this.call('exists', [this.name('metadata'), this.string(text)]);
            case 'members':
                return this.call('has', ['metadata', this.string(JSON.stringify(tree.members))]);
            case 'search':
            case 'matches':
                return this.call(kind, [...(attribute ? [attribute] : []), this.string(text)]);
            default:
                return this.call(
                    kind,
                    of.map((node) => this.write(node)),
                );
        }
    }
}
