// marked.ts - which runs are marked, by their ids.
import type { Run } from '../runs.ts';

export type Marked = ReadonlyMap<string, Run>;

// `run` becomes marked or not; with `from`, all rows from there to it become as it.
export function markedWith(marked: Marked, rows: readonly Run[], run: Run, from: string): Marked {
    const next = new Map(marked);
    const on = !marked.has(run.id);
    const at = rows.findIndex(({ id }) => id === run.id);
    const first = from ? rows.findIndex(({ id }) => id === from) : -1;
    const all = first < 0 || at < 0 ? [run] : rows.slice(Math.min(at, first), Math.max(at, first) + 1);
    for (const one of all)
        if (on) next.set(one.id, one);
        else next.delete(one.id);
    return next;
}
