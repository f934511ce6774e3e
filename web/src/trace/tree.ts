// The tree of a trace's runs, and which of its rows are to be seen.
//
// Runs are known by their index in the skeleton.  In `order` they stand as in a book: each
// before those below it, which end at `end`; so folding a run is skipping to there, and all
// that is asked here is one pass.  A run whose parent is not there, and one of several that
// are each other's parents, stands at the top.
import { ERROR, RUNNING, type Skeleton } from './skeleton.ts';

export interface Tree {
    skeleton: Skeleton;
    parent: Int32Array; // as in the skeleton, without circles
    order: Int32Array; // position -> run
    position: Int32Array; // run -> position
    end: Int32Array; // run -> position behind what is below it
    depth: Int32Array;
    errors: Int32Array; // how many failed, of it and what is below it
    running: number;
    length: number; // us from the start to the last end that is known
}

interface Children {
    from: Int32Array; // run -> where its children begin in `list`; has one more
    list: Int32Array;
}

function childrenOf(parent: Int32Array): Children {
    const count = parent.length;
    const from = new Int32Array(count + 1);
    for (let i = 0; i < count; i++) if (parent[i] >= 0) from[parent[i] + 1]++;
    for (let i = 0; i < count; i++) from[i + 1] += from[i];
    const list = new Int32Array(from[count]);
    const next = from.slice(0, count);
    for (let i = 0; i < count; i++) if (parent[i] >= 0) list[next[parent[i]]++] = i;
    return { from, list };
}

// No run is above itself.
function withoutCircles(given: Int32Array): Int32Array {
    const parent = given.slice();
    const passed = new Int32Array(parent.length); // by which walk, one more than its start
    for (let i = 0; i < parent.length; i++) {
        let at = i;
        while (at >= 0 && !passed[at]) {
            passed[at] = i + 1;
            const up = parent[at];
            if (up >= 0 && passed[up] === i + 1) parent[at] = -1;
            at = parent[at];
        }
    }
    return parent;
}

export function buildTree(skeleton: Skeleton): Tree {
    const { count } = skeleton;
    const parent = withoutCircles(skeleton.parent);
    const children = childrenOf(parent);
    const order = new Int32Array(count);
    const position = new Int32Array(count);
    const end = new Int32Array(count);
    const depth = new Int32Array(count);
    const stack = new Int32Array(count);
    let size = 0;
    for (let i = count - 1; i >= 0; i--) if (parent[i] < 0) stack[size++] = i;
    for (let at = 0; size > 0; at++) {
        const run = stack[--size];
        order[at] = run;
        position[run] = at;
        depth[run] = parent[run] < 0 ? 0 : depth[parent[run]] + 1;
        for (let c = children.from[run + 1] - 1; c >= children.from[run]; c--)
            stack[size++] = children.list[c];
    }
    const errors = new Int32Array(count);
    let running = 0;
    let length = 0;
    for (let at = count - 1; at >= 0; at--) {
        const run = order[at];
        end[run] = Math.max(end[run], at + 1);
        if (skeleton.status[run] === ERROR) errors[run]++;
        if (skeleton.status[run] === RUNNING) running++;
        length = Math.max(length, skeleton.start[run] + Math.max(0, skeleton.duration[run]));
        const up = parent[run];
        if (up < 0) continue;
        errors[up] += errors[run];
        end[up] = Math.max(end[up], end[run]);
    }
    return { skeleton, parent, order, position, end, depth, errors, running, length };
}

export const hasChildren = (tree: Tree, run: number): boolean =>
    tree.end[run] > tree.position[run] + 1;

// How many are right below it.
export function childCount(tree: Tree, run: number): number {
    let n = 0;
    for (let at = tree.position[run] + 1; at < tree.end[run]; at = tree.end[tree.order[at]]) n++;
    return n;
}

// ---- what is to be seen ----

// The runs to be seen, in order: those `keep` has, without what is below a folded one.
export function visibleRows(
    tree: Tree,
    folded: { has(run: number): boolean },
    keep: Uint8Array | null,
): Int32Array {
    const rows = new Int32Array(tree.order.length);
    let size = 0;
    for (let at = 0; at < tree.order.length; ) {
        const run = tree.order[at];
        if (keep && !keep[run]) {
            at = tree.end[run];
            continue;
        }
        rows[size++] = run;
        at = folded.has(run) ? tree.end[run] : at + 1;
    }
    return rows.subarray(0, size);
}

// Those of which `wanted` says so, and what is above them.
export function keepWith(tree: Tree, wanted: (run: number) => boolean): Uint8Array {
    const keep = new Uint8Array(tree.order.length);
    for (let at = tree.order.length - 1; at >= 0; at--) {
        const run = tree.order[at];
        if (!keep[run] && !wanted(run)) continue;
        keep[run] = 1;
        if (tree.parent[run] >= 0) keep[tree.parent[run]] = 1;
    }
    return keep;
}

// All at this depth that have something below them.
export function foldedAt(tree: Tree, depth: number): Set<number> {
    const folded = new Set<number>();
    for (let run = 0; run < tree.depth.length; run++)
        if (tree.depth[run] === depth && hasChildren(tree, run)) folded.add(run);
    return folded;
}

// What must be unfolded for it to be seen.
export function ancestors(tree: Tree, run: number): number[] {
    const list = [];
    for (let up = tree.parent[run]; up >= 0; up = tree.parent[up]) list.push(up);
    return list;
}

// Its row; of one that is not seen, that of the last before it.
export function rowOf(tree: Tree, rows: Int32Array, run: number): number {
    if (run < 0) return -1;
    const position = tree.position[run];
    let [low, high] = [0, rows.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (tree.position[rows[middle]] <= position) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

// ---- going from run to run ----

// The next of `wanted` after `from` in the order of the tree, or before it; around the end.
// -1: there is none.
export function nextRun(
    tree: Tree,
    from: number,
    step: 1 | -1,
    wanted: (run: number) => boolean,
): number {
    const count = tree.order.length;
    const start = from < 0 ? (step > 0 ? -1 : count) : tree.position[from];
    for (let k = 1; k <= count; k++) {
        const run = tree.order[(((start + step * k) % count) + count) % count];
        if (wanted(run)) return run;
    }
    return -1;
}

// Its next sibling of `wanted`, or the previous one; not around the end.
export function nextSibling(
    tree: Tree,
    from: number,
    step: 1 | -1,
    wanted: (run: number) => boolean,
): number {
    const up = tree.parent[from];
    const first = up < 0 ? 0 : tree.position[up] + 1;
    const stop = up < 0 ? tree.order.length : tree.end[up];
    let before = -1;
    for (let at = first; at < stop; at = tree.end[tree.order[at]]) {
        const run = tree.order[at];
        if (!wanted(run) || run === from) continue;
        if (at < tree.position[from]) before = run;
        else return step > 0 ? run : before;
    }
    return step > 0 ? -1 : before;
}

export function findRun(skeleton: Skeleton, id: string): number {
    return id ? skeleton.ids.indexOf(id) : -1;
}
