// diff.ts - what two texts have in common: line by line, and in lines that were changed word by
// word.
//
// After Myers (An O(ND) Difference Algorithm), in stretches: where two things have little in
// common, it settles for the best way so far and goes on from there.  So the work is bounded by
// their length, and only such texts get more marks than they need.

const WORK = 4_000_000; // steps for two lists, about
const FURTHEST = 1000; // differences looked across at once
const NEAREST = 32;
const ALIKE = 0.3; // of a line, to be called the same line changed
const MOST_PIECES = 200; // of a line; a document may be one line, and each piece is an element

export interface Piece {
    text: string;
    changed: boolean;
}

export interface Line {
    is: 'same' | 'left' | 'right' | 'changed';
    left: Piece[]; // of 'right': none
    right: Piece[]; // of 'same' and 'left': none
    at: number; // which line of the left text, from 1; 0: of none
    to: number; // and of the right one
}

interface Lists {
    a: Int32Array;
    b: Int32Array;
    match: Int32Array; // the answer
}

// From (x, y) on, to where the lists end, or where `most` differences lead.
function stretch({ a, b, match }: Lists, x: number, y: number, most: number): [number, number] {
    const [n, m] = [a.length - x, b.length - y];
    const v = new Int32Array(2 * most + 3);
    const zero = most + 1;
    const ways: Int32Array[] = []; // v after each difference, from -d to d
    const down = (row: Int32Array, middle: number, k: number, d: number): boolean =>
        k === -d || (k !== d && row[middle + k - 1]! < row[middle + k + 1]!);
    let best = { sum: -1, k: 0 };
    let d = 0;
    for (let done = false; !done && d <= most; d++) {
        best = { sum: -1, k: 0 };
        for (let k = -d; k <= d; k += 2) {
            let i = d === 0 ? 0 : down(v, zero, k, d) ? v[zero + k + 1]! : v[zero + k - 1]! + 1;
            while (i < n && i - k < m && a[x + i] === b[y + i - k]) i++;
            v[zero + k] = i;
            if (i > n || i - k > m) continue;
            if (2 * i - k > best.sum) best = { sum: 2 * i - k, k };
            done = i === n && i - k === m;
            if (done) break;
        }
        ways.push(v.slice(zero - d, zero + d + 1));
    }
    let k = best.k;
    let i = (best.sum + k) / 2;
    const reached: [number, number] = [x + i, y + i - k];
    for (d--; d > 0; d--) {
        const row = ways[d - 1]!;
        const from = down(row, d - 1, k, d) ? k + 1 : k - 1;
        const start = row[d - 1 + from]!;
        for (let j = i - k; i > start && j > start - from; ) match[x + --i] = y + --j;
        i = start;
        k = from;
    }
    while (i > 0) match[x + --i] = y + i;
    return reached;
}

// Those of a list, from `from` to `end`, that are in the other one at all: where they are.
function shared(list: Int32Array, from: number, end: number, other: Int32Array): Int32Array {
    const there = new Set(other);
    const at = new Int32Array(end - from);
    let size = 0;
    for (let i = from; i < end; i++) if (there.has(list[i]!)) at[size++] = i;
    return at.subarray(0, size);
}

function between(a: Int32Array, b: Int32Array, work: number): Int32Array {
    const match = new Int32Array(a.length).fill(-1);
    const all = a.length + b.length;
    const most = Math.min(all, Math.max(NEAREST, Math.min(FURTHEST, Math.floor(work / (all + 1)))));
    for (let [x, y] = [0, 0]; x < a.length && y < b.length; ) [x, y] = stretch({ a, b, match }, x, y, most);
    return match;
}

// For each of `a` where it is in `b`, -1: nowhere.  Those that are, are in the same order in both.
export function common(a: Int32Array, b: Int32Array, work = WORK): Int32Array {
    const match = new Int32Array(a.length).fill(-1);
    let [x, y, ex, ey] = [0, 0, a.length, b.length];
    while (x < ex && y < ey && a[x] === b[y]) match[x++] = y++;
    while (ex > x && ey > y && a[ex - 1] === b[ey - 1]) match[--ex] = --ey;
    if (x === ex || y === ey) return match;
    const from = shared(a, x, ex, b.subarray(y, ey));
    const to = shared(b, y, ey, a.subarray(x, ex));
    const found = between(from.map((i) => a[i]!), to.map((j) => b[j]!), work);
    found.forEach((j, i) => {
        if (j >= 0) match[from[i]!] = to[j]!;
    });
    return match;
}

// Texts as numbers: the same ones the same number.
function numbered(...lists: (readonly string[])[]): Int32Array[] {
    const known = new Map<string, number>();
    return lists.map((list) =>
        Int32Array.from(list, (text) => {
            const one = known.get(text) ?? known.size;
            known.set(text, one);
            return one;
        }),
    );
}

const matches = (a: readonly string[], b: readonly string[]): Int32Array => {
    const [left, right] = numbered(a, b);
    return common(left!, right!);
};

const WORD = /[\p{L}\p{N}\p{M}_]+|\s+|[^]/gu;
const tokens = (text: string): string[] => text.match(WORD) ?? [];

// Neighbours that are both changed, or both not, are one piece.
function pieces(words: readonly string[], isChanged: (i: number) => boolean): Piece[] {
    const list: Piece[] = [];
    words.forEach((text, i) => {
        const changed = isChanged(i);
        const last = list.at(-1);
        if (last?.changed === changed) last.text += text;
        else list.push({ text, changed });
    });
    return list;
}

const whole = (text: string): Piece[] => [{ text, changed: false }];

// Two lines as one that was changed; null: they are two.
function changedLine(left: string, right: string): Pick<Line, 'left' | 'right'> | null {
    const [a, b] = [tokens(left), tokens(right)];
    const match = matches(a, b);
    const back = new Set(match);
    const kept = a.reduce((sum, word, i) => sum + (match[i]! >= 0 ? word.trim().length : 0), 0);
    if (kept < ALIKE * Math.max(left.trim().length, right.trim().length)) return null;
    const changed = { left: pieces(a, (i) => match[i]! < 0), right: pieces(b, (i) => !back.has(i)) };
    return changed.left.length + changed.right.length > MOST_PIECES ? null : changed;
}

// Lines that are in one of the texts only, between two that are in both: those that are alike, in
// their order, are changed ones.
function gap(left: readonly string[], right: readonly string[], at: number, to: number): Line[] {
    const pairs = left.slice(0, right.length).map((line, i) => changedLine(line, right[i]!));
    const lines: Line[] = [];
    const one = (i: number, from: number): void => {
        // What is not alike stands below each other: first what was, then what is.
        for (let k = from; k < i; k++) if (k < left.length) lines.push({ is: 'left', left: whole(left[k]!), right: [], at: at + k, to: 0 });
        for (let k = from; k < i; k++) if (k < right.length) lines.push({ is: 'right', left: [], right: whole(right[k]!), at: 0, to: to + k });
    };
    let from = 0;
    pairs.forEach((pair, i) => {
        if (!pair) return;
        one(i, from);
        lines.push({ is: 'changed', ...pair, at: at + i, to: to + i });
        from = i + 1;
    });
    one(Math.max(left.length, right.length), from);
    return lines;
}

const linesOf = (text: string): string[] => (text ? text.split(/\r\n|\n|\r/) : []);

export function diff(left: string, right: string): Line[] {
    const [a, b] = [linesOf(left), linesOf(right)];
    const match = matches(a, b);
    const lines: Line[] = [];
    let [i, j] = [0, 0];
    const upTo = (x: number, y: number): void => {
        // Not spread: there may be more than arguments of a call.
        for (const line of gap(a.slice(i, x), b.slice(j, y), i + 1, j + 1)) lines.push(line);
    };
    for (let x = 0; x < a.length; x++) {
        const y = match[x]!;
        if (y < 0) continue;
        upTo(x, y);
        lines.push({ is: 'same', left: whole(a[x]!), right: [], at: x + 1, to: y + 1 });
        [i, j] = [x + 1, y + 1];
    }
    upTo(a.length, b.length);
    return lines;
}
