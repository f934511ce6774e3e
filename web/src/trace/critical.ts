// The critical path: the runs that a trace would have to do faster to end sooner.
//
// From the end of a run backwards: the child that ended last was waited for; before that one
// began, the one that had ended last by then; and so on, and likewise in each of them.
import { endOf } from './skeleton.ts';
import type { Tree } from './tree.ts';

// What of a run's children lies on the path, when the run itself does.
function waitedFor(tree: Tree, run: number, now: number): number[] {
    const s = tree.skeleton;
    const children: number[] = [];
    for (let at = tree.position[run] + 1; at < tree.end[run]; at = tree.end[tree.order[at]])
        children.push(tree.order[at]);
    const stop = endOf(s, run, now);
    // What outlasts its parent was waited for until the parent ended.
    const end = (child: number): number => Math.min(stop, endOf(s, child, now));
    children.sort((a, b) => end(b) - end(a) || s.start[b] - s.start[a]);
    const path = [];
    let until = stop;
    for (const child of children) {
        if (end(child) > until || s.start[child] > until) continue;
        path.push(child);
        until = s.start[child];
    }
    return path;
}

export function criticalPath(tree: Tree, now: number): Uint8Array {
    const on = new Uint8Array(tree.order.length);
    const s = tree.skeleton;
    let last = -1; // of the tops, the one that ends last
    for (let at = 0; at < tree.order.length; at = tree.end[tree.order[at]]) {
        const run = tree.order[at];
        if (last < 0 || endOf(s, run, now) > endOf(s, last, now)) last = run;
    }
    const stack = last < 0 ? [] : [last];
    while (stack.length) {
        const run = stack.pop() as number;
        on[run] = 1;
        for (const child of waitedFor(tree, run, now)) stack.push(child);
    }
    return on;
}
