// Stats.tsx - S8: a project over time, in numbers that are counted span by span.
import { useEffect, useLayoutEffect, useMemo, useState } from 'preact/hooks';
import { useAgain } from '../again.ts';
import { asked, faultOf, isAbort } from '../api.ts';
import type { ApiError } from '../api.ts';
import { useLate } from '../ask.ts';
import { Chart } from '../components/Chart.tsx';
import { Fault } from '../components/Fault.tsx';
import { OfProject } from '../components/OfProject.tsx';
import { TimeRange, rangeOf } from '../components/TimeRange.tsx';
import { absolute, cost, count, duration, percent, short, time } from '../format.ts';
import { goTo } from '../goTo.ts';
import { bindKeys } from '../keys.ts';
import { href, navigate, route, setQuery } from '../router.ts';
import { histogram, queryStats } from '../runs.ts';
import type { Histogram, Stats as Numbers, Which } from '../runs.ts';
import { SearchBar, Unread } from '../search/SearchBar.tsx';
import { parse } from '../search/parse.ts';

const BUCKETS = 30;
const AT_ONCE = 3; // requests

interface Over {
    on: string; // the question
    bars: Histogram | null;
    spans: readonly (Numbers | null)[]; // null: not there yet, or empty
    done: number;
    waiting: boolean;
    error: ApiError | null;
}

// The last microsecond of a span is the one before the next span's first.
const spanOf = (which: Which, bars: Histogram, i: number): Which => {
    const begin = time(bars.start_time) + (i * bars.bucket_us) / 1000;
    return { ...which, from: begin, to: begin + bars.bucket_us / 1000 - 1 };
};

function useOver(which: Which, on: string): Over {
    const [state, setState] = useState<Over>({ on, bars: null, spans: [], done: 0, waiting: true, error: null });
    const again = useAgain(state.error, state.waiting);
    useEffect(() => {
        const abort = new AbortController();
        const all = async () => {
            setState((now) => ({ ...now, waiting: true }));
            const bars = await histogram(which, BUCKETS, abort.signal);
            const spans: (Numbers | null)[] = bars.count.map(() => null);
            setState({ on, bars, spans, done: 0, waiting: true, error: null });
            const left = bars.count.map((_, i) => i).filter((i) => bars.count[i]! > 0).reverse();
            const count_next = async () => {
                for (let i = left.pop(); i !== undefined; i = left.pop()) {
                    spans[i] = await queryStats(spanOf(which, bars, i), abort.signal);
                    setState((now) => ({ ...now, spans: [...spans], done: now.done + 1 }));
                }
            };
            await Promise.all(Array.from({ length: AT_ONCE }, count_next));
            setState((now) => ({ ...now, waiting: false }));
        };
        all().catch((error: unknown) => {
            if (isAbort(error) || abort.signal.aborted) return;
            abort.abort(); // the other requests
            setState((now) => ({ ...now, on, bars: now.on === on ? now.bars : null, waiting: false, error: faultOf(error) }));
        });
        return () => abort.abort();
    }, [on, again, asked.value]);
    return state;
}

const us = (seconds: number | null | undefined) => (seconds == null ? null : Math.round(seconds * 1e6));

function Table({ over }: { over: Over }) {
    const { bars, spans } = over;
    if (!bars) return null;
    const heads = ['From', 'Runs', 'Errors', 'P50', 'P95', 'P99', 'Tokens', 'Cost'];
    return (
        <details class="asTable">
            <summary>As a table</summary>
            <div class="wide" tabIndex={0} role="region" aria-label="The numbers as a table">
                <table>
                    <thead>
                        <tr>
                            {heads.map((head) => (
                                <th key={head} scope="col">
                                    {head}
                                </th>
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {bars.count.map((runs, i) => (
                            <tr key={i}>
                                <th scope="row">{absolute(time(bars.start_time) + (i * bars.bucket_us) / 1000)}</th>
                                <td>{count(runs)}</td>
                                <td>{count(bars.errors[i])}</td>
                                <td>{duration(us(spans[i]?.latency_p50))}</td>
                                <td>{duration(us(spans[i]?.latency_p95))}</td>
                                <td>{duration(us(spans[i]?.latency_p99))}</td>
                                <td>{count(spans[i]?.total_tokens)}</td>
                                <td>{cost(spans[i]?.total_cost)}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </details>
    );
}

function Charts({ over, busy, onPick }: { over: Over; busy: boolean; onPick: (from: number, to: number) => void }) {
    const [at, setAt] = useState(-1);
    const { bars, spans } = over;
    if (!bars) return null;
    const begin = time(bars.start_time);
    const bucket = bars.bucket_us / 1000;
    const of = (read: (numbers: Numbers) => number | null | undefined) => spans.map((one) => (one ? (read(one) ?? null) : null));
    const common = {
        begin,
        bucket,
        at,
        onAt: setAt,
        onPick: (i: number) => onPick(begin + i * bucket, begin + (i + 1) * bucket),
    };
    // Of what nobody said there is no chart.
    const known = (read: (numbers: Numbers) => unknown) => spans.some((one) => one && read(one) != null);
    return (
        <div class="charts" aria-busy={busy || undefined}>
            <Chart
                {...common}
                title="Runs"
                format={short}
                series={[
                    { title: 'all', tint: 'good', bars: true, values: bars.count },
                    { title: 'errors', tint: 'fault', bars: true, values: bars.errors },
                ]}
            />
            <Chart
                {...common}
                title="Error rate"
                format={percent}
                series={[{ title: 'errors', tint: 'fault', values: bars.count.map((n, i) => (n ? bars.errors[i]! / n : null)) }]}
            />
            <Chart
                {...common}
                title="Latency"
                format={duration}
                series={[
                    { title: 'P50', tint: 'good', values: of((one) => us(one.latency_p50)) },
                    { title: 'P99', tint: 'second', values: of((one) => us(one.latency_p99)) },
                ]}
            />
            {known((one) => one.first_token_p50) && <Chart
                {...common}
                title="Time to first token"
                format={duration}
                series={[
                    { title: 'P50', tint: 'good', values: of((one) => us(one.first_token_p50)) },
                    { title: 'P99', tint: 'second', values: of((one) => us(one.first_token_p99)) },
                ]}
            />}
            <Chart
                {...common}
                title="Tokens"
                format={short}
                series={[
                    { title: 'in', tint: 'good', values: of((one) => one.prompt_tokens) },
                    { title: 'out', tint: 'second', values: of((one) => one.completion_tokens) },
                ]}
            />
            {known((one) => one.total_cost) && <Chart
                {...common}
                title="Cost"
                format={cost}
                series={[{ title: 'all', tint: 'good', bars: true, values: of((one) => (one.total_cost == null ? null : Number(one.total_cost))) }]}
            />}
        </div>
    );
}

function Counted({ which, all, on, onPick }: {
    which: Which;
    all: boolean; // of all time
    on: string;
    onPick: (from: number, to: number) => void;
}) {
    const over = useOver(which, on);
    const busy = useLate(over.waiting && over.on !== on);
    const total = over.bars?.count.filter(Boolean).length ?? 0;
    const runs = over.bars?.count.reduce((sum, n) => sum + n, 0) ?? 0;
    return (
        <>
            <Fault of={over.error} />
            {over.bars && runs === 0 && !over.error && (
                <section class="empty">
                    <h2>Nothing to count here</h2>
                    {!all && (
                        <p>
                            <button type="button" onClick={() => setQuery({ since: 'all', from: null, to: null }, false)}>
                                Look at all time
                            </button>
                        </p>
                    )}
                </section>
            )}
            {runs > 0 && <Charts over={over} busy={busy} onPick={onPick} />}
            {runs > 0 && <Table over={over} />}
            <footer class="row soft" aria-busy={over.waiting}>
                {over.bars && !over.bars.complete && 'Not all of it could be counted in time. '}
                {over.waiting && total > 0 ? `Counting… ${over.done} of ${total}` : `${count(runs)} ${runs === 1 ? 'run' : 'runs'}`}
            </footer>
        </>
    );
}

function Found({ id, name }: { id: string; name: string }) {
    const { query } = route.value;
    const q = query.get('q') ?? '';
    const roots = query.get('view') === 'traces';
    const view = ['q', 'view', 'since', 'from', 'to'].map((key) => query.get(key) ?? '').join('\n');
    const { which, range, readable } = useMemo(() => {
        const moment = Date.now();
        const { filter, problems } = parse(q, moment);
        const span = rangeOf(query, moment);
        // What is counted ends now, so that spans are not counted while they grow.
        const to = span.to ?? (span.from === null ? null : moment);
        return { range: span, which: { project: id, filter, roots, from: span.from, to }, readable: problems.length === 0 };
    }, [id, view]);
    const on = `${id}\n${view}`;
    const observed = { name: [], tag: [], model: [], metadata: [], feedback: [] };
    const show = (from: number, to: number) =>
        navigate(
            href('/ui/runs', {
                project: name,
                q,
                view: roots ? null : 'runs',
                from: new Date(from).toISOString(),
                to: new Date(to).toISOString(),
            }),
        );
    return (
        <>
            <div class="bar">
                <SearchBar value={q} observed={() => observed} onSearch={(text) => text !== q && setQuery({ q: text })} onId={(run) => void goTo(run)} />
                <TimeRange range={range} />
                <span class="switch" role="group" aria-label="What is counted">
                    <button type="button" aria-pressed={roots} onClick={() => setQuery({ view: 'traces' })}>
                        Traces
                    </button>
                    <button type="button" aria-pressed={!roots} onClick={() => setQuery({ view: null })}>
                        Runs
                    </button>
                </span>
            </div>
            {readable ? <Counted which={which} all={range.since === 'all'} on={on} onPick={show} /> : <Unread />}
        </>
    );
}

export function Stats() {
    useLayoutEffect(
        () =>
            bindKeys({
                title: 'Stats',
                keys: {
                    '/': { does: 'Search', run: () => document.querySelector<HTMLElement>('.search input')?.focus() },
                    v: { does: 'Traces, or all runs', run: () => setQuery({ view: route.value.query.get('view') ? null : 'traces' }) },
                },
            }),
        [],
    );
    return <OfProject title="Stats">{({ id, name }) => <Found key={id} id={id} name={name} />}</OfProject>;
}
