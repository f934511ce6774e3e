// useRuns.ts - the rows of the runs screen: a page after the other, and what comes live.
//
// Rows are newest first.  Live runs that are there already change where they are; new ones wait
// in `fresh` while somebody reads further down, so that nothing moves under their eyes.  What
// was loaded is kept while another screen is shown, for Back.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { useAgain } from '../again.ts';
import { asked, faultOf, isAbort } from '../api.ts';
import type { ApiError } from '../api.ts';
import { follow } from '../events.ts';
import { queryRuns, tailOf, traceTotals } from '../runs.ts';
import type { Run, Totals, Which } from '../runs.ts';
import type { Marked } from './marked.ts';

const PAGE = 100;
const MOST_LIVE = 5000; // rows; older ones are let go while live
const FLUSH_MS = 250;

export interface Rows {
    rows: readonly Run[];
    fresh: readonly Run[];
    next: string | null; // a cursor; null: that is all
    let_go: number; // rows that live ones took the place of
    waiting: boolean;
    stale: boolean; // the rows are of another question
    error: ApiError | null;
    ms: number;
    live: 'off' | 'connecting' | 'open' | 'broken';
    said: string; // of the stream
}

export interface Place {
    key: string;
    state: Rows;
    chosen: string; // id
    scroll: { top: number };
    marked: Marked;
}

const EMPTY: Rows = {
    rows: [], fresh: [], next: null, let_go: 0, waiting: true, stale: false, error: null, ms: 0, live: 'off', said: '',
};

let kept: Place | null = null;
export const keptPlace = (key: string): Place | null => (kept?.key === key ? kept : null);
export const keepPlace = (place: Place): void => void (kept = place);

const newer = (a: Run, b: Run): number =>
    a.start_time === b.start_time ? (a.id < b.id ? 1 : -1) : a.start_time < b.start_time ? 1 : -1;

// `told` into the rows, each once.
export function merged(state: Rows, told: readonly Run[], aside: boolean): Rows {
    const latest = new Map(told.map((run) => [run.id, run]));
    const changed = (list: readonly Run[]) =>
        list.map((run) => {
            const now = latest.get(run.id);
            if (!now) return run;
            latest.delete(run.id);
            return now;
        });
    const rows = changed(state.rows);
    const fresh = [...latest.size ? changed(state.fresh) : state.fresh];
    const added = [...latest.values()];
    if (aside) return { ...state, rows, fresh: [...fresh, ...added].slice(-MOST_LIVE) };
    const all = [...rows, ...fresh, ...added].sort(newer);
    const over = Math.max(0, all.length - MOST_LIVE);
    return over && state.live !== 'off'
        ? { ...state, rows: all.slice(0, MOST_LIVE), fresh: [], next: null, let_go: state.let_go + over }
        : { ...state, rows: all, fresh: [] };
}

const withTotals = (rows: readonly Run[], totals: Totals): Run[] =>
    rows.map((run) => ({ ...run, ...(run.id === run.trace_id && totals.get(run.trace_id)) }));

// `before`: rows of the last question, which stand there until there is an answer to this one.
export function useRuns(key: string, which: Which | null, live: boolean, isAside: () => boolean, before: readonly Run[]) {
    const [state, setState] = useState<Rows>(() => keptPlace(key)?.state ?? { ...EMPTY, rows: before, stale: before.length > 0 });
    const again = useAgain(state.error, state.waiting);
    const began = useRef(keptPlace(key) ? key : '');
    const busy = useRef<AbortController | null>(null);
    // Told while a first page was on its way, which may not have it.
    const meanwhile = useRef<Run[] | null>(null);

    // Beside the rows, which do not wait for it.
    const addTotals = (runs: readonly Run[]) => {
        if (!which?.roots || !runs.length || runs.length > PAGE) return;
        traceTotals(which.project, runs.map(({ trace_id }) => trace_id)).then(
            (totals) => setState((now) => ({ ...now, rows: withTotals(now.rows, totals) })),
            () => {}, // the column stays empty
        );
    };

    const load = useCallback(
        async (cursor: string | null) => {
            if (!which) return;
            busy.current?.abort();
            const abort = (busy.current = new AbortController());
            const begin = performance.now();
            if (!cursor) meanwhile.current = [];
            setState((now) => ({ ...(cursor ? now : { ...now, next: null }), waiting: true }));
            try {
                const page = await queryRuns(which, { limit: PAGE, ...(cursor && { cursor }) }, abort.signal);
                const ms = performance.now() - begin;
                const told = meanwhile.current ?? [];
                meanwhile.current = null;
                setState((now) => {
                    const above = cursor ? now.rows : [];
                    const there = new Set(above.map(({ id }) => id));
                    const rows = [...above, ...page.runs.filter(({ id }) => !there.has(id))];
                    const fresh = cursor ? now.fresh : [];
                    const next = { ...now, rows, fresh, next: page.cursors.next, let_go: cursor ? now.let_go : 0, waiting: false, stale: false, error: null, ms };
                    return told.length ? merged(next, told, isAside()) : next;
                });
                addTotals(page.runs);
            } catch (error) {
                if (isAbort(error) || abort.signal.aborted) return;
                setState((now) => ({
                    ...now,
                    rows: now.stale ? [] : now.rows, // never as the answer to what failed
                    stale: false,
                    waiting: false,
                    error: faultOf(error),
                }));
            } finally {
                if (busy.current === abort) busy.current = null;
            }
        },
        [key, which?.project],
    );

    useEffect(() => {
        if (!which || began.current === `${key} ${asked.value}` || began.current === key) {
            if (began.current === key) began.current = `${key} ${asked.value}`;
            return;
        }
        began.current = `${key} ${asked.value}`;
        void load(null);
    }, [key, which?.project, asked.value]);
    useEffect(() => {
        if (again) void load(state.next);
    }, [again]);
    useEffect(() => () => busy.current?.abort(), []);

    useEffect(() => {
        if (!which || !live) {
            setState((now) => (now.live === 'off' ? now : { ...now, live: 'off', said: '' }));
            return undefined;
        }
        let told: Run[] = [];
        let timer = 0;
        let followed = false;
        const flush = () => {
            timer = 0;
            const all = told;
            told = [];
            setState((now) => merged(now, all, isAside()));
            addTotals(all);
        };
        const stop = follow(tailOf(which), {
            event: ({ type, data }) => {
                if (type === 'dropped') {
                    const { runs, reason } = JSON.parse(data);
                    setState((now) => ({ ...now, said: `${runs ?? 'Some'} runs were not told: ${reason}` }));
                    void load(null);
                    return;
                }
                if (type !== 'run') return;
                const run: Run = JSON.parse(data);
                told.push(run);
                meanwhile.current?.push(run);
                timer ||= setTimeout(flush, FLUSH_MS) as unknown as number;
            },
            state: (now, why) => {
                setState((before) => ({ ...before, live: now, said: why }));
                // What came between the page and the stream is in neither.
                if (now === 'open' && !followed) void load(null);
                followed ||= now === 'open';
            },
        });
        return () => {
            stop();
            clearTimeout(timer);
        };
    }, [key, which?.project, live, asked.value]);

    return {
        state,
        more: () => {
            if (state.next && !state.error && !busy.current) void load(state.next);
        },
        reload: () => void load(null),
        showFresh: () => setState((now) => merged(now, [], false)),
    };
}
