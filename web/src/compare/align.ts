// align.ts - two trees of runs beside each other: which run of the one is which of the other.
//
// Two that are compared are at the top.  Below two that belong together, those of their children
// that have the same name and type, in the same order, do too (diff.ts); what is below another
// one is in one tree only.
import { used } from '../trace/used.ts';
import type { Tree } from '../trace/tree.ts';
import { common } from './diff.ts';

const WORK = 400_000; // for the children of one run

export interface Aligned {
    left: Int32Array; // run, or -1
    right: Int32Array;
    depth: Int32Array;
    end: Int32Array; // row -> row behind what is below it
    // How many rows before this one differ: in only one tree, or of another status, or tokens, or
    // cost.  It has one more.
    before: Int32Array;
}

export interface Compared {
    tree: Tree;
    run: number; // at the top
    whole: boolean; // it is the trace: what else is at the top belongs to it
}

// Kinds of runs as numbers, the same in both trees.
function kinds(trees: readonly Tree[]): Int32Array[] {
    const known = new Map<string, number>();
    return trees.map(({ skeleton: s }) =>
        Int32Array.from(s.ids, (_, run) => {
            const kind = `${s.types[s.type[run]!]}\n${s.names[s.name[run]!]}`;
            const one = known.get(kind) ?? known.size;
            known.set(kind, one);
            return one;
        }),
    );
}

// From a position on, each behind what is below the one before.
function siblings(tree: Tree, from: number, end: number): number[] {
    const list = [];
    for (let at = from; at < end; at = tree.end[tree.order[at]!]!) list.push(tree.order[at]!);
    return list;
}

const childrenOf = (tree: Tree, run: number): number[] =>
    run < 0 ? [] : siblings(tree, tree.position[run]! + 1, tree.end[run]!);

const othersAtTop = ({ tree, run, whole }: Compared): number[] =>
    whole ? siblings(tree, 0, tree.order.length).filter((one) => one !== run) : [];

type Pair = [left: number, right: number];

function paired(left: number[], right: number[], kind: readonly Int32Array[]): Pair[] {
    if (!left.length) return right.map((run) => [-1, run]);
    if (!right.length) return left.map((run) => [run, -1]);
    const of = (side: number, list: number[]): Int32Array => {
        const kinds = new Int32Array(list.length);
        for (let i = 0; i < list.length; i++) kinds[i] = kind[side]![list[i]!]!;
        return kinds;
    };
    const match = common(of(0, left), of(1, right), WORK);
    const pairs: Pair[] = [];
    let j = 0;
    const rightUpTo = (end: number): void => {
        for (; j < end; j++) pairs.push([-1, right[j]!]);
    };
    left.forEach((run, i) => {
        const to = match[i]!;
        if (to >= 0) rightUpTo(to);
        pairs.push([run, to < 0 ? -1 : right[j++]!]);
    });
    rightUpTo(right.length);
    return pairs;
}

export function align(a: Compared, b: Compared): Aligned {
    const kind = kinds([a.tree, b.tree]);
    const [left, right, depth]: [number[], number[], number[]] = [[], [], []];
    const stack: [Pair, number][] = [];
    const push = (pairs: Pair[], at: number): void => {
        for (let i = pairs.length - 1; i >= 0; i--) stack.push([pairs[i]!, at]);
    };
    push([[a.run, b.run], ...paired(othersAtTop(a), othersAtTop(b), kind)], 0);
    for (let next = stack.pop(); next; next = stack.pop()) {
        const [[l, r], at] = next;
        left.push(l);
        right.push(r);
        depth.push(at);
        push(paired(childrenOf(a.tree, l), childrenOf(b.tree, r), kind), at + 1);
    }
    const before = new Int32Array(left.length + 1);
    for (let row = 0; row < left.length; row++)
        before[row + 1] = before[row]! + (differ(a.tree, left[row]!, b.tree, right[row]!) ? 1 : 0);
    return {
        left: Int32Array.from(left),
        right: Int32Array.from(right),
        depth: Int32Array.from(depth),
        end: ends(depth),
        before,
    };
}

function ends(depth: readonly number[]): Int32Array {
    const end = new Int32Array(depth.length).fill(depth.length);
    const open: number[] = [];
    depth.forEach((now, row) => {
        while (open.length && depth[open.at(-1)!]! >= now) end[open.pop()!] = row;
        open.push(row);
    });
    return end;
}

function differ(a: Tree, left: number, b: Tree, right: number): boolean {
    if (left < 0 || right < 0) return true;
    const [s, t] = [a.skeleton, b.skeleton];
    // NaN is no cost.
    return s.status[left] !== t.status[right] || s.tokens[left] !== t.tokens[right] || !Object.is(s.cost[left], t.cost[right]);
}

export const differs = ({ before }: Aligned, row: number): boolean => before[row + 1]! > before[row]!;

// The rows to be seen: without what is below a folded one; with `only`, those that differ and
// what is above them.
export function seen(aligned: Aligned, folded: ReadonlySet<number>, only: boolean): Int32Array {
    const { end, before } = aligned;
    const rows = new Int32Array(end.length);
    let size = 0;
    for (let row = 0; row < end.length; ) {
        if (only && row > 0 && before[end[row]!]! === before[row]!) {
            row = end[row]!;
            continue;
        }
        rows[size++] = row;
        row = folded.has(row) ? end[row]! : row + 1;
    }
    return rows.subarray(0, size);
}

// What all of it used.
export const usedBy = ({ tree, run, whole }: Compared) =>
    whole ? used(tree, 0, tree.order.length) : used(tree, tree.position[run]!, tree.end[run]!);
