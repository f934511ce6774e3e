// folds.ts - which lines of a comparison are shown.
import type { Line } from './diff.ts';

const AROUND = 3; // lines kept before and behind a difference

export type Fold = { at: number; line: Line } | { at: number; folded: number };

// With `only` the differences and what is around them; what lies between is folded, unless it
// was opened: by the number of its first line.
export function folds(lines: readonly Line[], only: boolean, opened: ReadonlySet<number>): Fold[] {
    if (!only) return lines.map((line, at) => ({ at, line }));
    const near = new Uint8Array(lines.length);
    lines.forEach(({ is }, at) => {
        if (is !== 'same') near.fill(1, Math.max(0, at - AROUND), at + AROUND + 1);
    });
    const list: Fold[] = [];
    for (let at = 0; at < lines.length; ) {
        let end = at;
        while (end < lines.length && near[end] === near[at]) end++;
        // One line takes no more room than to say that there is one.
        if (near[at] || opened.has(at) || end === at + 1) for (; at < end; at++) list.push({ at, line: lines[at]! });
        else list.push({ at, folded: end - at });
        at = end;
    }
    return list;
}
