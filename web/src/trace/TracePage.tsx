// S3: a trace, as a tree, a waterfall or a transcript, beside one of its runs.
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { useSettled } from '../ask.ts';
import { copyText } from '../components/Copy.tsx';
import { AGAIN } from '../components/Fault.tsx';
import { focusOn } from '../components/focus.ts';
import { toast } from '../components/Toast.tsx';
import type { Window } from '../components/window.ts';
import { bytes, count } from '../format.ts';
import { bindKeys } from '../keys.ts';
import { setQuery } from '../router.ts';
import { RunDetail } from '../run/RunDetail.tsx';
import { Finder } from './find.ts';
import { Minimap } from './Minimap.tsx';
import { Moves } from './moves.ts';
import { Split } from './Split.tsx';
import { TraceStore } from './store.ts';
import { FindBox, Toolbar } from './Toolbar.tsx';
import { TraceHeader } from './TraceHeader.tsx';
import { stepsOf, Transcript } from './Transcript.tsx';
import { findRun, rowOf, type Tree } from './tree.ts';
import { TreeGrid } from './TreeGrid.tsx';
import { depthOf, findOf, onlyOf, openOf, openParam, runOf, setTab, setView, setZoom, tabOf, viewOf, zoomOf, type Zoom } from './view.ts';

// As trace.css has it.
const isNarrow = (): boolean => matchMedia('(max-width: 56rem)').matches;

function zoomBy(whole: number, by: number): void {
    const { from, to } = zoomOf.value ?? { from: 0, to: whole };
    const middle = (from + to) / 2;
    const half = Math.max(5, ((to - from) / 2) * by);
    const next = { from: Math.max(0, middle - half), to: Math.min(whole, middle + half) };
    setZoom(next.to - next.from >= whole ? null : next);
}

interface Bound {
    store: TraceStore;
    moves: Moves;
    field: { current: HTMLInputElement | null };
    selectedId: () => string;
    whole: () => number;
    page: () => number;
}

function keysOf({ store, moves, field, selectedId, whole, page }: Bound) {
    const does = (what: string, run: () => void) => ({ does: what, run });
    const find = (): void => {
        field.current?.focus();
        field.current?.select();
    };
    return {
        ArrowDown: does('Next run', () => moves.step(1)),
        ArrowUp: does('Previous run', () => moves.step(-1)),
        j: does('Next run', () => moves.step(1)),
        k: does('Previous run', () => moves.step(-1)),
        ArrowLeft: does('Fold, or go up', () => moves.left()),
        ArrowRight: does('Unfold, or go down', () => moves.right()),
        PageDown: does('A page down', () => moves.step(page())),
        PageUp: does('A page up', () => moves.step(-page())),
        Home: does('First run', () => moves.step(-1e9)),
        End: does('Last run', () => moves.step(1e9)),
        '[': does('Previous LLM run beside it', () => moves.sibling(-1)),
        ']': does('Next LLM run beside it', () => moves.sibling(1)),
        e: does('Next error', () => void (moves.error() || toast('No run of this trace failed'))),
        n: does('Next match', () => moves.match(1)),
        N: does('Previous match', () => moves.match(-1)),
        '/': does('Find in the trace', find),
        'Mod+f': does('Find in the trace', find),
        t: does('Tree', () => setView('tree')),
        w: does('Waterfall', () => setView('waterfall')),
        c: does('Transcript', () => setView('transcript')),
        r: does('Raw bytes of the run', () => setTab('raw')),
        f: does('Feedback', () => {
            setTab('feedback');
            focusOn('#thumb-up');
        }),
        y: does('Copy the id of the run', () => void copyText(selectedId(), 'Id copied')),
        Y: does('Copy the link', () => void copyText(location.href, 'Link copied')),
        '+': does('Zoom in', () => zoomBy(whole(), 0.5)),
        '-': does('Zoom out', () => zoomBy(whole(), 2)),
        '0': does('See all of the time', () => setZoom(null)),
        Enter: does('Open the run', () => {
            setQuery({ open: '1' }, false);
            focusOn('#tab-panel');
        }),
        Escape: does('Back to the tree', () => {
            if (document.activeElement === field.current && findOf.value) setQuery({ find: null });
            else if (openOf.value) setQuery({ open: isNarrow() ? '0' : null });
            else store.only.value !== 'all' && setQuery({ only: null });
            focusOn('#runs');
        }),
    };
}

// ---- what is there instead of a trace ----

function Absent({ store }: { store: TraceStore }) {
    const failed = store.failed.value;
    if (!failed) return <p class="soft late">Reading the trace…</p>;
    if (failed.status === 401 || failed.status === 403) return null;
    return (
        <section class="empty">
            {failed.status === 404 ? (
                <>
                    <h1>There is no such trace yet</h1>
                    <p>No run with the trace <code>{store.traceId.slice(0, 60)}</code> is stored, or it was deleted. It appears here by itself when one comes.</p>
                </>
            ) : (
                <>
                    <h1>The trace cannot be shown</h1>
                    <p role="alert">{failed.message} {failed.passes && AGAIN}</p>
                    <button type="button" onClick={() => void store.look()}>Try again</button>
                </>
            )}
        </section>
    );
}

export function TracePage({ traceId }: { traceId: string }) {
    const store = useMemo(() => new TraceStore(traceId, onlyOf, depthOf()), [traceId]);
    const finder = useMemo(() => new Finder(store, findOf), [store]);
    useEffect(
        () => () => {
            finder.close();
            store.close();
        },
        [store, finder],
    );
    const tree = store.tree.value;
    if (!tree) return <Absent store={store} />;
    return tree.order.length ? <Trace store={store} finder={finder} tree={tree} /> : <p class="soft">The trace has no runs.</p>;
}

// The run of the address, or the first.
function chosenIn(tree: Tree): number {
    const found = findRun(tree.skeleton, runOf.peek());
    return found < 0 ? tree.order[0] : found;
}

function Trace({ store, finder, tree }: { store: TraceStore; finder: Finder; tree: Tree }) {
    const s = tree.skeleton;
    const view = viewOf.value;
    const wanted = runOf.value;
    const found = findRun(s, wanted);
    const selected = found < 0 ? tree.order[0] : found;
    const steps = useMemo(() => stepsOf(tree), [tree]);
    const rows = view === 'transcript' ? steps : store.rows.value;
    const matches = finder.matches.value;
    const now = store.now.value;
    const whole = Math.max(1, tree.length, tree.running ? now : 0);
    const zoom: Zoom = zoomOf.value ?? { from: 0, to: whole };

    const window = useRef<Window | null>(null);
    const field = useRef<HTMLInputElement>(null);
    const toShow = useRef(wanted ? selected : -1);
    const at = useRef({ steps, whole });
    at.current = { steps, whole };

    // As it is now, not as it was drawn: keys may come faster than that.
    const moves = useMemo(() => {
        const now = () => {
            const tree = store.tree.peek();
            if (!tree?.order.length) return null;
            const rows = viewOf.peek() === 'transcript' ? at.current.steps : store.rows.peek();
            return { tree, rows, selected: chosenIn(tree), matches: finder.matches.peek() };
        };
        return new Moves(store, now, (run) => (toShow.current = run));
    }, [store, finder]);
    useLayoutEffect(() => {
        focusOn('#runs');
        return bindKeys({
            title: 'In a trace',
            keys: keysOf({
                store,
                moves,
                field,
                selectedId: () => tree.skeleton.ids[chosenIn(store.tree.peek() ?? tree)],
                whole: () => at.current.whole,
                page: () => window.current?.page ?? 10,
            }),
        });
    }, [store, moves]);
    // Once the rows are drawn, the chosen one is scrolled to.
    useEffect(() => {
        if (toShow.current < 0 || !window.current) return;
        window.current.show(rowOf(tree, rows, toShow.current));
        toShow.current = -1;
    });
    useEffect(() => {
        toShow.current = selected;
        window.current?.show(rowOf(tree, rows, selected));
    }, [view, store.only.value]);

    const version = `${s.status[selected]} ${s.duration[selected]} ${s.tokens[selected]}`;
    const shown = useSettled(`${s.ids[selected]} ${version}`);
    const [shownId, ...shownVersion] = shown.split(' ');
    const open = (run: number): void => {
        moves.go(run);
        setQuery({ open: '1' }, false);
    };
    // On a narrow screen the run is not beside the tree: who touches it wants to see it.
    const select = (run: number): void => (isNarrow() ? open(run) : moves.go(run));
    // Who comes to a run comes to see it, and may go back to the tree.
    useEffect(() => {
        if (wanted && isNarrow() && openParam() === '') setQuery({ open: '1' });
    }, []);
    const back = (): void => {
        setQuery({ open: isNarrow() ? '0' : null });
        focusOn('#runs');
    };
    const shownRun = findRun(s, shownId);
    const common = { tree, selected, now, matches, onSelect: select, onOpen: open, onWindow: (w: Window) => (window.current = w) };
    return (
        <div class="trace">
            <TraceHeader tree={tree} now={now} />
            {store.failed.value && <p class="notice fault" role="alert">{store.failed.value.message} What is shown is from before. {store.failed.value.passes && AGAIN}</p>}
            {s.truncated && <p class="notice" role="status">The trace is larger than the server tells at once: the first {count(s.count)} runs are shown.</p>}
            {wanted && found < 0 && <p class="notice" role="status">The run of this address is not in the trace (yet): its first run is shown.</p>}
            <Toolbar store={store} tree={tree} view={view} shown={rows.length} depth={depthOf()}>
                <FindBox finder={finder} tree={tree} selected={selected} field={field} onMatch={(step) => moves.match(step)} />
            </Toolbar>
            <Split
                open={openOf.value}
                left={
                    <>
                        {view === 'waterfall' && <Minimap tree={tree} whole={whole} zoom={zoomOf.value} now={now} />}
                        {view === 'waterfall' && (
                            <div class="row zoom">
                                <button type="button" class="quiet" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomBy(whole, 0.5)}>+</button>
                                <button type="button" class="quiet" aria-label="Zoom out" title="Zoom out (-)" onClick={() => zoomBy(whole, 2)}>−</button>
                                <button type="button" class="quiet" disabled={!zoomOf.value} onClick={() => setZoom(null)}>All of the time</button>
                            </div>
                        )}
                        {view === 'transcript' ? (
                            <Transcript key="transcript" {...common} steps={steps} />
                        ) : rows.length ? (
                            <TreeGrid
                                key="grid"
                                {...common}
                                rows={rows}
                                folded={store.folded.value}
                                waterfall={view === 'waterfall'}
                                zoom={zoom}
                                onToggle={(run, unfold) => store.toggle(run, unfold)}
                            />
                        ) : (
                            <p class="empty">None of its runs {store.only.value === 'errors' ? 'failed' : 'is one of these'}.</p>
                        )}
                    </>
                }
                right={
                    <div
                        class="run-place"
                        onKeyDown={(event) => {
                            // There they scroll.
                            if (/^(Arrow|Page|Home|End)/.test(event.key)) event.stopPropagation();
                        }}
                    >
                        <RunDetail
                            id={shownId}
                            type={shownRun < 0 ? '' : s.types[s.type[shownRun]]}
                            version={shownVersion.join(' ')}
                            tab={tabOf.value}
                            onBack={back}
                        />
                    </div>
                }
            />
            <footer class="soft trace-foot">
                {count(s.count)} {s.count === 1 ? 'run' : 'runs'}, {bytes(store.bytes.value)} in {Math.round(store.tookMs.value)} ms{store.live.value && ' · live'}
            </footer>
        </div>
    );
}
