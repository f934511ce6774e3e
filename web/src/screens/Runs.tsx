// Runs.tsx - S2: the runs of a project, found, counted, and looked at as they come.
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api.ts';
import { useAsk, useLate, useNow } from '../ask.ts';
import { Bars } from '../components/Bars.tsx';
import { Copy, copyText } from '../components/Copy.tsx';
import { Fault } from '../components/Fault.tsx';
import { OfProject } from '../components/OfProject.tsx';
import { Status } from '../components/Status.tsx';
import { Time } from '../components/Time.tsx';
import { TimeRange, rangeOf, setRange } from '../components/TimeRange.tsx';
import { toast } from '../components/Toast.tsx';
import { Type } from '../components/Type.tsx';
import { VirtualTable } from '../components/VirtualTable.tsx';
import type { Column } from '../components/VirtualTable.tsx';
import { cost, count, duration, percent, short, time, words } from '../format.ts';
import { bindKeys } from '../keys.ts';
import { href, navigate, route, setQuery } from '../router.ts';
import { histogram, instant, queryStats } from '../runs.ts';
import type { Run, Which } from '../runs.ts';
import { goTo } from '../goTo.ts';
import { SearchBar, Unread } from '../search/SearchBar.tsx';
import type { Observed } from '../search/complete.ts';
import { parse } from '../search/parse.ts';
import { MarksLine, NOT_SO_MANY, compareHref, markColumn, useMarks } from './Marks.tsx';
import type { Marks } from './Marks.tsx';
import { keepPlace, keptPlace, useRuns } from './useRuns.ts';

const BUCKETS = 60;
const LIVE_MS = 5000; // between two counts, while runs arrive

const latencyUs = (run: Run): number | null => {
    const took = time(run.end_time) - time(run.start_time);
    return Number.isFinite(took) && took >= 0 ? Math.round(took * 1000) : null;
};

// From a millisecond to a quarter of an hour, by its logarithm.
const barOf = (us: number): string => `${Math.max(2, Math.min(100, (Math.log10(us / 1000 + 1) / 6) * 100))}%`;

const traceHref = (run: Run): string => href(`/ui/traces/${run.trace_id}`, { run: run.id === run.trace_id ? null : run.id });

// Three scores at most: a name and its mean.
const feedbackOf = (run: Run): string =>
    Object.entries(run.feedback_stats ?? {})
        .slice(0, 3)
        .map(([key, { avg, n }]) => `${key} ${avg == null ? `×${n ?? 0}` : Math.round(avg * 100) / 100}`)
        .join(', ');

// A trace whose top is good, though not all below it is.
function FailedBelow({ run }: { run: Run }) {
    if (!run.error_count || run.status === 'error') return null;
    const failed = count(run.error_count);
    return (
        <a class="bad" href={href(`/ui/traces/${run.trace_id}`, { only: 'errors' })} tabIndex={-1} title={`${failed} of the runs of this trace failed`}>
            ✕ {failed}
            <span class="word"> failed</span>
        </a>
    );
}

// Without feedback there is no column for it.
function columnsAt(now: number, feedback: boolean, marks: Marks): Column<Run>[] {
    const all: Column<Run>[] = [
        markColumn(marks),
        { key: 'status', title: 'Status', quiet: true, least: 16, cell: (run) => <Status status={run.status} /> },
        { key: 'type', title: 'Type', quiet: true, least: 16, rank: 2, cell: (run) => <Type type={run.run_type} /> },
        {
            key: 'name',
            title: 'Name',
            least: 92,
            share: 2,
            cell: (run) => (
                <span class="within">
                    <a href={traceHref(run)} tabIndex={-1} class="cut" title={run.name}>
                        {run.name || '(no name)'}
                    </a>
                    <FailedBelow run={run} />
                </span>
            ),
        },
        { key: 'input', title: 'Input', least: 120, share: 3, rank: 4, cell: (run) => <span class="soft">{words(run.inputs_preview)}</span> },
        {
            key: 'output',
            title: 'Output',
            least: 120,
            share: 3,
            rank: 5,
            cell: (run) =>
                run.error ? <span class="bad">{run.error}</span> : <span class="soft">{words(run.outputs_preview)}</span>,
        },
        { key: 'feedback', title: 'Feedback', least: 100, rank: 8, cell: feedbackOf },
        { key: 'tokens', title: 'Tokens', least: 56, end: true, rank: 3, cell: (run) => (run.total_tokens ? short(run.total_tokens) : '') },
        { key: 'cost', title: 'Cost', least: 66, end: true, rank: 7, cell: (run) => (run.total_cost ? cost(run.total_cost) : '') },
        {
            key: 'latency',
            title: 'Latency',
            least: 72,
            end: true,
            cell: (run) => {
                const us = latencyUs(run);
                return us === null ? (
                    <span class="soft">running</span>
                ) : (
                    <span class="lasting">
                        <i style={{ width: barOf(us) }} />
                        {duration(us)}
                    </span>
                );
            },
        },
        { key: 'start', title: 'Started', least: 80, end: true, rank: 1, cell: (run) => <Time at={run.start_time} now={now} /> },
    ];
    return all.filter(({ key }) => key !== 'feedback' || feedback);
}

function observedIn(rows: readonly Run[]): Observed {
    const some = rows.slice(0, 500);
    const distinct = (values: string[]) => [...new Set(values)].sort().slice(0, 100);
    return {
        name: distinct(some.map((run) => run.name).filter(Boolean)),
        tag: [],
        model: [],
        metadata: [],
        feedback: distinct(some.flatMap((run) => Object.keys(run.feedback_stats ?? {}))),
    };
}

const curlOf = (which: Which): string => {
    const body = {
        session: [which.project],
        ...(which.filter && { filter: which.filter }),
        ...(which.roots && { is_root: true }),
        ...(which.from !== null && { start_time: instant(which.from) }),
        ...(which.to !== null && { end_time: instant(which.to) }),
    };
    return `curl ${location.origin}/runs/query -H 'content-type: application/json' \\\n  -d '${JSON.stringify(body).replaceAll("'", String.raw`'\''`)}'`;
};

const Uncounted = ({ what, error }: { what: string; error: ApiError }) => (
    <p class="numbers soft">{error.passes ? `${what} are not counted yet.` : `${what} could not be counted: ${error.message}`}</p>
);

function Numbers({ which, addressed, beat }: { which: Which; addressed: string; beat: number }) {
    const { value, stale, error, waiting } = useAsk((signal) => queryStats(which, signal), [addressed], beat);
    const busy = useLate(stale && waiting);
    if (error && !value) return <Uncounted what="The numbers" error={error} />;
    const { run_count, error_rate, latency_p50, latency_p95, latency_p99, total_tokens, total_cost } = value ?? {};
    const us = (seconds: number | null | undefined) => (seconds == null ? null : Math.round(seconds * 1e6));
    const pairs: [string, string][] = [
        [which.roots ? 'Traces' : 'Runs', count(run_count)],
        ['Errors', percent(error_rate)],
        ['P50', duration(us(latency_p50))],
        ['P95', duration(us(latency_p95))],
        ['P99', duration(us(latency_p99))],
        ['Tokens', short(total_tokens)],
        ['Cost', cost(total_cost)],
    ];
    return (
        <dl class="numbers" aria-busy={busy}>
            {pairs.map(([title, text]) => (
                <div key={title}>
                    <dt>{title}</dt>
                    <dd>{text}</dd>
                </div>
            ))}
        </dl>
    );
}

function Nothing({ search, all, roots }: { search: string; all: boolean; roots: boolean }) {
    return (
        <section class="empty">
            <h2>{search ? 'Nothing matches' : 'No runs here'}</h2>
            <p class="row middle">
                {search && (
                    <button type="button" onClick={() => setQuery({ q: null }, false)}>
                        Clear the search
                    </button>
                )}
                {!all && (
                    <button type="button" onClick={() => setQuery({ since: 'all', from: null, to: null }, false)}>
                        Look at all time
                    </button>
                )}
                {roots && (
                    <button type="button" onClick={() => setQuery({ view: 'runs' }, false)}>
                        Look at runs inside of traces
                    </button>
                )}
                {!search && <a href="/ui/start">How to send runs</a>}
            </p>
        </section>
    );
}

function Table({ which, addressed, q, live, seen }: {
    which: Which;
    addressed: string;
    q: string;
    live: boolean;
    seen: { current: readonly Run[] };
}) {
    const now = useNow();
    const place = useMemo(() => keptPlace(addressed), [addressed]);
    const scroll = useRef(place?.scroll ?? { top: 0 });
    const [chosenId, setChosenId] = useState(place?.chosen ?? '');
    const last = useRef(chosenId); // as it is now, not as it was drawn
    const chooseId = (id: string) => setChosenId((last.current = id));
    const { state, more, reload, showFresh } = useRuns(addressed, which, live, () => scroll.current.top > 0, seen.current);
    const { rows, fresh } = state;
    seen.current = rows;
    const chosen = chosenId ? rows.findIndex(({ id }) => id === chosenId) : -1;
    const feedback = useMemo(() => rows.some((run) => Object.keys(run.feedback_stats ?? {}).length > 0), [rows]);
    const marks = useMarks(rows, state.stale, place?.marked);
    const columns = useMemo(() => columnsAt(now, feedback, marks), [now, feedback, marks.marked, state.stale]);
    const choose = (index: number) => {
        const run = rows[Math.max(0, Math.min(rows.length - 1, index))];
        if (run) chooseId(run.id);
    };
    const open = (run: Run) => {
        chooseId(run.id);
        navigate(traceHref(run));
    };
    const compare = () => {
        const to = compareHref(marks.marked);
        if (to) navigate(to);
        else toast(NOT_SO_MANY);
    };
    const keep = () => {
        if (!rows.length || state.stale) return;
        const was = { ...state, live: 'off' as const, waiting: false };
        keepPlace({ key: addressed, state: was, chosen: last.current, scroll: { ...scroll.current }, marked: marks.marked });
    };
    const act = useRef({ choose, open, reload, rows, chosen, marks, compare, keep });
    act.current = { choose, open, reload, rows, chosen, marks, compare, keep };
    // Whatever led to a trace or a comparison, a key, a click or a link: Back finds all as it was.
    useLayoutEffect(() => () => {
        if (['trace', 'compare'].includes(route.peek().screen)) act.current.keep();
    }, []);
    useLayoutEffect(() => {
        const at = () => act.current.rows[act.current.chosen];
        return bindKeys({
            title: 'Runs',
            keys: {
                '/': { does: 'Search', run: () => document.querySelector<HTMLElement>('.search input')?.focus() },
                j: { does: 'Next', run: () => act.current.choose(act.current.chosen + 1) },
                ArrowDown: { does: 'Next', run: () => act.current.choose(act.current.chosen + 1) },
                k: { does: 'Previous', run: () => act.current.choose(act.current.chosen - 1) },
                ArrowUp: { does: 'Previous', run: () => act.current.choose(act.current.chosen - 1) },
                x: { does: 'Mark, or not', run: () => at() && act.current.marks.mark(at()!, false) },
                d: { does: 'Compare what is marked', run: () => act.current.compare() },
                Enter: { does: 'Open', run: () => at() && act.current.open(at()!) },
                Escape: { does: 'Choose none', run: () => chooseId('') },
                l: { does: 'Live, or not', run: () => setQuery({ live: route.value.query.get('live') ? null : '1' }) },
                v: { does: 'Traces, or all runs', run: () => setQuery({ view: route.value.query.get('view') === 'runs' ? null : 'runs' }) },
                R: { does: 'Ask again', run: () => act.current.reload() },
                y: { does: 'Copy the id', run: () => at() && void copyText(at()!.id, 'The id is copied') },
                Y: { does: 'Copy the link', run: () => void copyText(at() ? location.origin + traceHref(at()!) : location.href, 'The link is copied') },
            },
        });
    }, []);
    const all = which.from === null && which.to === null;
    const busy = useLate(state.stale);
    if (state.error && !rows.length) return <Fault of={state.error} />;
    if (!rows.length && !state.waiting && !fresh.length) return <Nothing search={q} all={all} roots={which.roots} />;
    return (
        <>
            <Fault of={state.error} />
            <VirtualTable
                label={which.roots ? 'Traces' : 'Runs'}
                columns={columns}
                rows={rows}
                idOf={(run) => run.id}
                total={state.next ? -1 : rows.length}
                chosen={chosen}
                onChoose={choose}
                onOpen={open}
                onEnd={more}
                rowClass={(run) => run.status}
                scroll={scroll.current}
                busy={busy}
            />
            <MarksLine {...marks} onCompare={compare} />
            {fresh.length > 0 && (
                <button
                    type="button"
                    class="main pill"
                    onClick={() => {
                        document.querySelector('.table')?.scrollTo({ top: 0 });
                        showFresh();
                    }}
                >
                    {count(fresh.length)} new
                </button>
            )}
            <footer class="row soft">
                <span>
                    {count(rows.length)} shown
                    {state.next ? ', more below' : ''}
                    {state.let_go > 0 && `; ${count(state.let_go)} older ones let go: press R for them`}
                    {state.ms > 0 && ` · ${state.ms < 10 ? state.ms.toFixed(1) : Math.round(state.ms)} ms`}
                </span>
                {live && (
                    <span role="status">
                        {state.live === 'open' ? 'Live' : state.live === 'broken' ? `Not live: ${state.said}` : 'Connecting…'}
                        {state.live === 'open' && state.said && ` (${state.said})`}
                    </span>
                )}
                <span class="push">
                    {which.filter && <Copy text={which.filter} label="Copy filter" what="The filter is copied" />}
                    <Copy text={curlOf(which)} label="Copy as curl" what="The command is copied" />
                </span>
            </footer>
        </>
    );
}

function Answer({ which, addressed, q, live, seen }: {
    which: Which;
    addressed: string;
    q: string;
    live: boolean;
    seen: { current: readonly Run[] };
}) {
    const beat = useNow(live ? LIVE_MS : 0);
    const bars = useAsk((signal) => histogram(which, BUCKETS, signal), [addressed], beat);
    const busy = useLate(bars.stale && bars.waiting);
    return (
        <>
            {bars.value && bars.value.count.some(Boolean) && <Bars data={bars.value} busy={busy} onSpan={setRange} />}
            {bars.error && !bars.value && <Uncounted what="The runs over time" error={bars.error} />}
            <Numbers which={which} addressed={addressed} beat={beat} />
            <Table key={addressed} which={which} addressed={addressed} q={q} live={live} seen={seen} />
        </>
    );
}

// Of one project, whose id is known.
function Found({ id }: { id: string }) {
    const { query } = route.value;
    const q = query.get('q') ?? '';
    const roots = query.get('view') !== 'runs';
    const live = query.get('live') === '1';
    const view = ['q', 'view', 'since', 'from', 'to'].map((name) => query.get(name) ?? '').join('\n');
    const addressed = `${id}\n${view}`;
    const { which, range, readable } = useMemo(() => {
        const moment = Date.now();
        const { filter, problems } = parse(q, moment);
        const span = rangeOf(query, moment);
        return {
            range: span,
            which: { project: id, filter, roots, from: span.from, to: span.to },
            readable: problems.length === 0,
        };
    }, [addressed]);
    const seen = useRef<readonly Run[]>([]);
    // Half a key is a word, too, of which there may be no run: what was there before is offered.
    const known = useRef<readonly Run[]>([]);
    const observed = () => {
        if (seen.current.length) known.current = seen.current;
        return observedIn(known.current);
    };
    return (
        <>
            <div class="bar">
                <SearchBar
                    value={q}
                    observed={observed}
                    onSearch={(text) => text !== q && setQuery({ q: text })}
                    onId={(run) => void goTo(run)}
                />
                <TimeRange range={range} />
                <span class="switch" role="group" aria-label="What is listed">
                    <button type="button" aria-pressed={roots} onClick={() => setQuery({ view: null })}>
                        Traces
                    </button>
                    <button type="button" aria-pressed={!roots} onClick={() => setQuery({ view: 'runs' })}>
                        Runs
                    </button>
                </span>
                <button type="button" aria-pressed={live} onClick={() => setQuery({ live: live ? null : '1' })}>
                    <span class={live ? 'dot on' : 'dot'} aria-hidden="true" /> Live
                </button>
            </div>
            {readable ? <Answer which={which} addressed={addressed} q={q} live={live} seen={seen} /> : <Unread />}
        </>
    );
}

export function Runs() {
    return <OfProject title="Runs">{({ id }) => <Found key={id} id={id} />}</OfProject>;
}
