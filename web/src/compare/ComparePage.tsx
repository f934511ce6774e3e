// S5: runs beside each other: in numbers, as one tree of both, and what two of it were given and said.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { asked } from '../api.ts';
import { useAsk, useSettled } from '../ask.ts';
import { copyText } from '../components/Copy.tsx';
import { Fault } from '../components/Fault.tsx';
import { focusOn } from '../components/focus.ts';
import { toast } from '../components/Toast.tsx';
import type { Window } from '../components/window.ts';
import { count } from '../format.ts';
import { bindKeys } from '../keys.ts';
import { route, setQuery } from '../router.ts';
import { findRun } from '../trace/tree.ts';
import { align, differs, seen } from './align.ts';
import type { Aligned } from './align.ts';
import { AlignedTree } from './AlignedTree.tsx';
import { Diff } from './Diff.tsx';
import { Differ } from './differ.ts';
import { idsOf, load, PLACES } from './load.ts';
import type { One } from './load.ts';
import { Numbers, runHref, SIDES } from './Numbers.tsx';

const flag = (name: string): boolean => route.value.query.get(name) === '1';
const turn = (name: string): void => setQuery({ [name]: route.peek().query.get(name) === '1' ? null : '1' });

// Two of those that are compared change places; what of the address was no id goes.
function exchange(i: number, j: number): void {
    const ids = idsOf(route.peek().query);
    [ids[i], ids[j]] = [ids[j]!, ids[i]!];
    setQuery(Object.fromEntries(PLACES.map((place, at) => [place, ids[at]])));
}

const idAt = (one: One, run: number): string => (run < 0 ? '' : one.tree.skeleton.ids[run]!);

// The row with the run of the address, or the first.
function rowWith(left: One, right: One, aligned: Aligned, id: string): number {
    const sides = [[left, aligned.left], [right, aligned.right]] as const;
    for (const [{ tree }, runs] of sides) {
        const run = findRun(tree.skeleton, id);
        const row = run < 0 ? -1 : runs.indexOf(run);
        if (row >= 0) return row;
    }
    return 0;
}

// Where in `rows` it is; of one that is not seen, where the last before it is.
function placeOf(rows: Int32Array, row: number): number {
    let [low, high] = [0, rows.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (rows[middle]! <= row) low = middle + 1;
        else high = middle;
    }
    return Math.max(0, low - 1);
}

const NONE: ReadonlySet<number> = new Set();

// What is folded, of one alignment.
function useFolded(aligned: Aligned) {
    const [state, setState] = useState<{ of: Aligned; rows: ReadonlySet<number> }>({ of: aligned, rows: NONE });
    const folded = state.of === aligned ? state.rows : NONE;
    const set = (rows: Iterable<number>) => setState({ of: aligned, rows: new Set(rows) });
    return {
        folded,
        toggle: (row: number, open: boolean) => set(open ? [...folded].filter((one) => one !== row) : [...folded, row]),
        // So that this row is seen.
        reveal: (row: number) => {
            const over = [...folded].filter((one) => one < row && row < aligned.end[one]!);
            if (over.length) set([...folded].filter((one) => !over.includes(one)));
        },
    };
}

interface Moves {
    aligned: Aligned;
    rows: Int32Array;
    chosen: number;
    folded: ReadonlySet<number>;
    go: (row: number) => void;
    toggle: (row: number, open: boolean) => void;
    page: number;
}

function step({ rows, chosen, go }: Moves, by: number): void {
    go(rows[Math.max(0, Math.min(rows.length - 1, placeOf(rows, chosen) + by))]!);
}

function fold({ aligned, chosen, folded, go, toggle }: Moves): void {
    const { depth, end } = aligned;
    if (end[chosen]! > chosen + 1 && !folded.has(chosen)) return toggle(chosen, false);
    let up = chosen;
    while (up > 0 && depth[up]! >= depth[chosen]!) up--;
    go(up);
}

function unfold(moves: Moves): void {
    const { aligned, chosen, folded, toggle } = moves;
    if (aligned.end[chosen]! <= chosen + 1) return;
    if (folded.has(chosen)) toggle(chosen, true);
    else step(moves, 1);
}

// Around the end.
function nextDifference({ aligned, chosen, go }: Moves, by: 1 | -1): void {
    const size = aligned.end.length;
    for (let k = 1; k <= size; k++) {
        const row = (((chosen + by * k) % size) + size) % size;
        if (differs(aligned, row)) return go(row);
    }
    toast('No run differs: not in status, tokens or cost');
}

const keysOf = (moves: () => Moves) => {
    const does = (what: string, run: () => void) => ({ does: what, run });
    return {
        ArrowDown: does('Next run', () => step(moves(), 1)),
        ArrowUp: does('Previous run', () => step(moves(), -1)),
        j: does('Next run', () => step(moves(), 1)),
        k: does('Previous run', () => step(moves(), -1)),
        ArrowLeft: does('Fold, or go up', () => fold(moves())),
        ArrowRight: does('Unfold, or go down', () => unfold(moves())),
        PageDown: does('A page down', () => step(moves(), moves().page)),
        PageUp: does('A page up', () => step(moves(), -moves().page)),
        Home: does('First run', () => step(moves(), -1e9)),
        End: does('Last run', () => step(moves(), 1e9)),
        n: does('Next run that differs', () => nextDifference(moves(), 1)),
        N: does('Previous run that differs', () => nextDifference(moves(), -1)),
        o: does('Only differences, or all', () => turn('only')),
        s: does('Swap left and right', () => exchange(0, 1)),
        r: does('As JSON, or as messages', () => turn('json')),
        R: does('Ask again', () => void asked.value++),
        Y: does('Copy the link', () => void copyText(location.href, 'Link copied')),
        Enter: does('To the texts', () => focusOn('#diff')),
        Escape: does('Back to the tree', () => focusOn('#pairs')),
    };
};

function Chosen({ left, right, aligned, row }: { left: One; right: One; aligned: Aligned; row: number }) {
    const runs = [aligned.left[row]!, aligned.right[row]!];
    const [l, r] = runs;
    const { tree } = l! < 0 ? right : left;
    const { skeleton: s } = tree;
    return (
        <div class="row diff-head">
            <h2 class="cut">{s.names[s.name[l! < 0 ? r! : l!]!] || '(no name)'}</h2>
            {[left, right].map((one, side) => {
                const id = idAt(one, runs[side]!);
                return id ? (
                    <a key={side} href={runHref(one.info.trace_id, id)}>
                        {SIDES[side]} run
                    </a>
                ) : (
                    <span key={side} class="soft">
                        Not in the {SIDES[side]!.toLowerCase()} one
                    </span>
                );
            })}
        </div>
    );
}

function Two({ left, right, differ }: { left: One; right: One; differ: Differ }) {
    const only = flag('only');
    const json = flag('json');
    const aligned = useMemo(() => align(left, right), [left, right]);
    const { folded, toggle, reveal } = useFolded(aligned);
    const rows = useMemo(() => seen(aligned, folded, only), [aligned, folded, only]);
    const chosen = rowWith(left, right, aligned, route.value.query.get('run') ?? '');
    const pair = useSettled(`${idAt(left, aligned.left[chosen]!)} ${idAt(right, aligned.right[chosen]!)}`).split(' ');
    const window = useRef<Window | null>(null);
    const go = (row: number): void => {
        const { left: l, right: r } = aligned;
        reveal(row);
        setQuery({ run: l[row]! < 0 ? idAt(right, r[row]!) : idAt(left, l[row]!) });
    };
    const moves = useRef<Moves>(null!);
    moves.current = { aligned, rows, chosen, folded, go, toggle, page: window.current?.page ?? 10 };
    useLayoutEffect(() => {
        focusOn('#pairs');
        return bindKeys({ title: 'In a comparison', keys: keysOf(() => moves.current) });
    }, []);
    useEffect(() => window.current?.show(placeOf(rows, chosen)), [chosen, only]);
    const differing = aligned.before.at(-1)!;
    return (
        <>
            <div class="row compare-tools">
                <button type="button" onClick={() => exchange(0, 1)}>Swap</button>
                <button type="button" aria-pressed={only} onClick={() => turn('only')}>Only differences</button>
                <button type="button" aria-pressed={json} onClick={() => turn('json')}>As JSON</button>
                <span class="soft">
                    {count(differing)} of {count(aligned.end.length)} runs are in one of them only, or of another status, tokens or cost
                </span>
            </div>
            <AlignedTree
                left={left.tree}
                right={right.tree}
                aligned={aligned}
                rows={rows}
                folded={folded}
                chosen={chosen}
                onChoose={go}
                onToggle={toggle}
                onWindow={(now) => (window.current = now)}
            />
            <div
                id="diff"
                role="region"
                aria-label="What was given and said"
                tabIndex={0}
                onKeyDown={(event) => {
                    // There they scroll.
                    if (/^(Arrow|Page|Home|End)/.test(event.key)) event.stopPropagation();
                }}
            >
                <Chosen left={left} right={right} aligned={aligned} row={chosen} />
                <Diff differ={differ} pair={{ left: pair[0]!, right: pair[1]! }} only={only} json={json} />
            </div>
        </>
    );
}

export function ComparePage() {
    const ids = idsOf(route.value.query);
    // Which stands where is no reason to ask again.
    const set = [...new Set(ids)].sort();
    const { value, error } = useAsk(set.length ? (signal) => load(set, signal) : null, [set.join()]);
    const differ = useMemo(() => new Differ(), []);
    useEffect(() => () => differ.close(), [differ]);
    if (ids.length < 2)
        return (
            <section class="empty">
                <h1>Nothing to compare</h1>
                <p>
                    Mark two to four runs or traces <a href="/ui/runs">in a table</a> with <kbd>x</kbd>, then press <kbd>d</kbd>.
                </p>
            </section>
        );
    const all = ids.map((id) => value?.find(({ info }) => info.id === id)).filter((one) => one !== undefined);
    return (
        <div class="compare">
            <h1>Compare</h1>
            <Fault of={error} />
            {all.length < ids.length && !error && <p class="soft late">Reading the traces…</p>}
            {all.length === ids.length && (
                <>
                    <Numbers all={all} onTake={exchange} />
                    <Two left={all[0]!} right={all[1]!} differ={differ} />
                </>
            )}
        </div>
    );
}
