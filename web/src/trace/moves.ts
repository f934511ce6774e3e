// Going about a trace: what each key, and each click on a row, does to the address.
import { setQuery } from '../router.ts';
import type { Matches } from './find.ts';
import { ERROR } from './skeleton.ts';
import type { TraceStore } from './store.ts';
import { ancestors, hasChildren, nextRun, nextSibling, rowOf, type Tree } from './tree.ts';

export class Moves {
    constructor(
        private readonly store: TraceStore,
        private readonly now: () => {
            tree: Tree;
            rows: Int32Array; // what is seen, in the order of the tree
            selected: number;
            matches: Matches | null;
        } | null,
        private readonly show: (run: number) => void,
    ) {}

    // Choose it, seen or not: what is above it is unfolded, and scrolled to.
    go(run: number): void {
        const tree = this.now()?.tree;
        if (!tree || run < 0) return;
        this.store.unfold(ancestors(tree, run));
        setQuery({ run: tree.skeleton.ids[run] });
        this.show(run);
    }

    // By so many rows.
    step(by: number): void {
        const at = this.now();
        if (!at || !at.rows.length) return;
        const row = rowOf(at.tree, at.rows, at.selected) + by;
        this.go(at.rows[Math.max(0, Math.min(at.rows.length - 1, row))]);
    }

    // Fold it, or go to what is above.
    left(): void {
        const at = this.now();
        if (!at || at.selected < 0) return;
        const { tree, selected } = at;
        if (hasChildren(tree, selected) && !this.store.folded.value.has(selected)) this.store.toggle(selected, false);
        else this.go(tree.parent[selected]);
    }

    // Unfold it, or go to what is below.
    right(): void {
        const at = this.now();
        if (!at || at.selected < 0 || !hasChildren(at.tree, at.selected)) return;
        if (this.store.folded.value.has(at.selected)) this.store.toggle(at.selected, true);
        else this.step(1);
    }

    // To the next that failed.  Of a chain that failed because of one below it, that one says why.
    error(): boolean {
        const at = this.now();
        if (!at) return false;
        const { tree, selected } = at;
        const failed = (run: number): boolean =>
            tree.skeleton.status[run] === ERROR && tree.errors[run] === 1;
        const run = nextRun(tree, selected, 1, failed);
        this.go(run);
        return run >= 0;
    }

    match(step: 1 | -1): void {
        const at = this.now();
        const { matches } = at ?? {};
        if (at && matches) this.go(nextRun(at.tree, at.selected, step, (run) => matches.on[run] === 1));
    }

    sibling(step: 1 | -1): void {
        const at = this.now();
        if (!at || at.selected < 0) return;
        const s = at.tree.skeleton;
        const llm = s.types.indexOf('llm');
        this.go(nextSibling(at.tree, at.selected, step, (run) => s.type[run] === llm));
    }
}
