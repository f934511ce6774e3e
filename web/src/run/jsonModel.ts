// A JSON value as rows: which are open, and what of each is shown.
//
// Made so that a value of any size costs only what is looked at: a row is made when the one
// above it opens, more than GROUP members stand in groups, and a long string is cut, with its
// length said.  It runs in the page for small values and in a worker for large ones.

export type Kind = 'object' | 'array' | 'group' | 'string' | 'number' | 'boolean' | 'null';

export interface Row {
    id: number;
    depth: number;
    key: string | null; // null: the value itself
    index: boolean; // the key is a position in a list
    kind: Kind;
    text: string; // of a container: what is in it, in short
    size: number; // members, or characters of a string
    cut: boolean; // text is not all of the string
    open: boolean | null; // null: there is nothing to open
    match: boolean;
}

export interface Found {
    matches: number;
    more: boolean; // there are more than were counted
    row: number; // of the match that was gone to; -1: none
    at: number; // its number among the matches
}

// A number that cannot be told exactly as a number.
export class Exact {
    constructor(readonly text: string) {}
}

const GROUP = 100;
const SHOWN = 300; // characters of a string
const FIRST_ROWS = 400; // so many rows at most are open from the start
const MOST_MATCHES = 10_000;

interface Node {
    id: number;
    parent: Node | null;
    depth: number;
    key: string | null;
    index: boolean;
    value: unknown;
    from: number; // of a group: its part of the members of `value`
    to: number;
    open: boolean;
}

const isContainer = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !(value instanceof Exact);

function sizeOf(value: unknown): number {
    if (Array.isArray(value)) return value.length;
    if (isContainer(value)) return Object.keys(value).length;
    return typeof value === 'string' ? value.length : 0;
}

const simple = /^[A-Za-z_$][\w$]*$/;

export class JsonModel {
    private readonly rows: Node[] = [];
    private readonly nodes = new Map<number, Node>();
    private keys = new WeakMap<object, string[]>();
    private matching = new Set<number>();
    private found: (string | number)[][] = [];
    private foundMore = false;
    private sought = '';
    private at = -1;
    private ids = 0;

    constructor(private readonly value: unknown) {
        const root = this.node(null, null, false, value);
        this.rows.push(root);
        this.openFirst();
    }

    get count(): number {
        return this.rows.length;
    }

    slice(from: number, to: number): Row[] {
        return this.rows.slice(from, to).map((node) => this.shown(node));
    }

    // Open it, or close it.
    toggle(id: number): void {
        const node = this.nodes.get(id);
        if (!node || !this.canOpen(node)) return;
        if (node.open) this.close(node);
        else this.open(node, this.rows.indexOf(node));
    }

    // Open all, as long as there are not more rows than `most`; whether that was all.
    openAll(most = 100_000): boolean {
        for (let i = 0; i < this.rows.length; i++) {
            if (this.rows.length > most) return false;
            const node = this.rows[i];
            if (this.canOpen(node) && !node.open) this.open(node, i);
        }
        return true;
    }

    closeAll(): void {
        this.close(this.rows[0]);
        this.open(this.rows[0], 0);
    }

    // The string of a row, a piece of it.
    textOf(id: number, from: number, to: number): string {
        const value = this.nodes.get(id)?.value;
        return typeof value === 'string' ? value.slice(from, to) : '';
    }

    // How a program would name it: .messages[0]["a b"]
    path(id: number): string {
        const steps: string[] = [];
        for (let node = this.nodes.get(id) ?? null; node; node = node.parent) {
            if (node.key === null || this.isGroup(node)) continue;
            steps.push(node.index ? `[${node.key}]` : simple.test(node.key) ? `.${node.key}` : `[${JSON.stringify(node.key)}]`);
        }
        return steps.reverse().join('') || '.';
    }

    json(id: number): string {
        const node = this.nodes.get(id);
        return node ? write(this.isGroup(node) ? this.members(node).map(([, value]) => value) : node.value) : '';
    }

    // Go to the next match of `text`, or the one before; keys and values, as they are told.
    find(text: string, step: 1 | -1 | 0): Found {
        if (text !== this.sought) this.search(text);
        const count = this.found.length;
        if (!count) return { matches: 0, more: false, row: -1, at: -1 };
        this.at = this.at < 0 ? (step < 0 ? count - 1 : 0) : (this.at + step + count) % count;
        return { matches: count, more: this.foundMore, row: this.reveal(this.found[this.at]), at: this.at };
    }

    // ---- rows ----

    private node(parent: Node | null, key: string | null, index: boolean, value: unknown, from = 0, to = -1): Node {
        const node = { id: this.ids++, parent, depth: parent ? parent.depth + 1 : 0, key, index, value, from, to, open: false };
        this.nodes.set(node.id, node);
        return node;
    }

    private isGroup(node: Node): boolean {
        return node.to >= 0;
    }

    private canOpen(node: Node): boolean {
        return isContainer(node.value) && sizeOf(node.value) > 0;
    }

    private keysOf(value: object): string[] {
        let keys = this.keys.get(value);
        if (!keys) this.keys.set(value, (keys = Object.keys(value)));
        return keys;
    }

    // [key, value] of the part of the members that the node has.
    private members(node: Node): [string, unknown][] {
        const value = node.value as object;
        const from = node.from;
        const to = this.isGroup(node) ? node.to : sizeOf(value);
        if (Array.isArray(value)) return value.slice(from, to).map((one, i) => [String(from + i), one]);
        return this.keysOf(value)
            .slice(from, to)
            .map((key) => [key, (value as Record<string, unknown>)[key]]);
    }

    private childrenOf(node: Node): Node[] {
        const size = this.isGroup(node) ? node.to - node.from : sizeOf(node.value);
        if (size <= GROUP)
            return this.members(node).map(([key, value]) => this.node(node, key, Array.isArray(node.value), value));
        // As many groups as there may be rows, each of as many as it takes.
        const each = GROUP ** Math.ceil(Math.log(size) / Math.log(GROUP) - 1e-9 - 1) || GROUP;
        const groups = [];
        const end = node.from + size;
        for (let from = node.from; from < end; from += each) {
            const to = Math.min(end, from + each);
            groups.push(this.node(node, `${from} … ${to - 1}`, false, node.value, from, to));
        }
        return groups;
    }

    private open(node: Node, at: number): void {
        if (node.open || !this.canOpen(node)) return;
        node.open = true;
        this.rows.splice(at + 1, 0, ...this.childrenOf(node));
    }

    private close(node: Node): void {
        if (!node.open) return;
        node.open = false;
        const at = this.rows.indexOf(node);
        let end = at + 1;
        while (end < this.rows.length && this.rows[end].depth > node.depth) {
            this.nodes.delete(this.rows[end].id);
            this.matching.delete(this.rows[end].id);
            end++;
        }
        this.rows.splice(at + 1, end - at - 1);
    }

    // Level by level, as long as it stays small.
    private openFirst(): void {
        for (let depth = 0; depth < 12; depth++) {
            const level = this.rows.filter((node) => node.depth === depth && this.canOpen(node));
            const more = level.reduce((sum, node) => sum + Math.min(GROUP, sizeOf(node.value)), 0);
            if (!level.length || (depth > 0 && this.rows.length + more > FIRST_ROWS)) return;
            for (const node of level) this.open(node, this.rows.indexOf(node));
        }
    }

    private shown(node: Node): Row {
        const { value } = node;
        const base = {
            id: node.id,
            depth: node.depth,
            key: node.key,
            index: node.index,
            match: this.matching.has(node.id),
            cut: false,
        };
        if (this.isGroup(node))
            return { ...base, kind: 'group', text: '', size: node.to - node.from, open: node.open };
        if (isContainer(value)) {
            const size = sizeOf(value);
            return {
                ...base,
                kind: Array.isArray(value) ? 'array' : 'object',
                text: node.open ? '' : this.gist(value),
                size,
                open: size ? node.open : null,
            };
        }
        if (typeof value === 'string') {
            const whole = value.length <= SHOWN;
            return { ...base, kind: 'string', text: whole ? value : value.slice(0, SHOWN), cut: !whole, size: value.length, open: null };
        }
        const kind = value === null ? 'null' : typeof value === 'boolean' ? 'boolean' : 'number';
        return { ...base, kind, text: value instanceof Exact ? value.text : String(value), size: 0, open: null };
    }

    // What a closed container has, in a few words.
    private gist(value: object): string {
        const parts: string[] = [];
        let length = 0;
        const keys = Array.isArray(value) ? null : this.keysOf(value);
        const size = keys ? keys.length : (value as unknown[]).length;
        for (let i = 0; i < Math.min(size, 8) && length < 80; i++) {
            const one = keys ? (value as Record<string, unknown>)[keys[i]] : (value as unknown[])[i];
            const said = isContainer(one)
                ? Array.isArray(one) ? '[…]' : '{…}'
                : typeof one === 'string' ? JSON.stringify(one.slice(0, 40)) : one instanceof Exact ? one.text : String(one);
            parts.push(keys ? `${keys[i].slice(0, 40)}: ${said}` : said);
            length += parts[parts.length - 1].length;
        }
        return parts.join(', ') + (parts.length < size ? ', …' : '');
    }

    // ---- finding ----

    private search(text: string): void {
        this.sought = text;
        this.at = -1;
        this.found = [];
        this.foundMore = false;
        this.matching.clear();
        if (!text) return;
        const needle = text.toLowerCase();
        // Strings are compared where they are: joined they would be another 50 MB.
        const stack: { value: unknown; path: (string | number)[] }[] = [{ value: this.value, path: [] }];
        while (stack.length) {
            const { value, path } = stack.pop()!;
            const key = path[path.length - 1];
            const own =
                (typeof key === 'string' && key.toLowerCase().includes(needle)) ||
                (!isContainer(value) && told(value).toLowerCase().includes(needle));
            if (own && path.length) this.found.push(path);
            if (this.found.length >= MOST_MATCHES) {
                this.foundMore = true;
                return;
            }
            if (!isContainer(value)) continue;
            if (Array.isArray(value))
                for (let i = value.length - 1; i >= 0; i--) stack.push({ value: value[i], path: [...path, i] });
            else {
                const keys = this.keysOf(value);
                for (let i = keys.length - 1; i >= 0; i--)
                    stack.push({ value: (value as Record<string, unknown>)[keys[i]], path: [...path, keys[i]] });
            }
        }
    }

    // Open what is above it; its row.
    private reveal(path: (string | number)[]): number {
        let at = 0;
        for (const step of path) {
            const holder = this.rows[at];
            const index = typeof step === 'number' ? step : this.keysOf(holder.value as object).indexOf(step);
            at = this.revealChild(at, index);
        }
        this.matching.clear();
        this.matching.add(this.rows[at].id);
        return at;
    }

    private revealChild(at: number, index: number): number {
        for (;;) {
            const node = this.rows[at];
            this.open(node, at);
            let child = at + 1;
            for (; child < this.rows.length; child++) {
                const one = this.rows[child];
                if (one.depth <= node.depth) return at;
                if (one.depth > node.depth + 1) continue;
                if (this.isGroup(one) ? index >= one.from && index < one.to : this.indexOf(one) === index) break;
            }
            if (child >= this.rows.length) return at;
            at = child;
            if (!this.isGroup(this.rows[at])) return at;
        }
    }

    private indexOf(node: Node): number {
        if (node.index) return Number(node.key);
        return this.keysOf(node.parent!.value as object).indexOf(node.key!);
    }
}

const told = (value: unknown): string => (value instanceof Exact ? value.text : String(value));

// ---- text and values ----

// Whole numbers with more digits than a number of JavaScript has stay as they were sent.
const LONG_NUMBER = /[:[,]\s*-?\d{16}/;

export function readJson(text: string): unknown {
    if (!LONG_NUMBER.test(text)) return JSON.parse(text);
    return JSON.parse(text, ((_key: string, value: unknown, context?: { source?: string }) => {
        if (typeof value !== 'number' || !context?.source || context.source.length < 16) return value;
        return String(value) === context.source ? value : new Exact(context.source);
    }) as (key: string, value: unknown) => unknown);
}

export function write(value: unknown, indent = 2): string {
    const exact: string[] = [];
    const mark = `${Math.random()}:`; // nobody's text has it
    const text = JSON.stringify(
        value,
        (_key, one: unknown) => (one instanceof Exact ? `${mark}${exact.push(one.text) - 1}` : one),
        indent,
    );
    if (!exact.length) return text;
    return text.replace(/"(0\.\d+(?:e-\d+)?:)(\d+)"/g, (all, own: string, i: string) => (own === mark ? exact[Number(i)] : all));
}
