// runs.ts - runs as the API gives them, and the questions that the screens share.
import { api } from './api.ts';
import { time } from './format.ts';

export interface Run {
    id: string;
    name: string;
    run_type: string;
    status: string;
    start_time: string;
    end_time: string | null;
    trace_id: string;
    error?: string | null;
    inputs_preview?: string | null;
    outputs_preview?: string | null;
    total_tokens?: number | null;
    total_cost?: number | string | null;
    error_count?: number | null; // of a root: of all runs of its trace
    feedback_stats?: Record<string, { n?: number; avg?: number | null }> | null;
}

// What the index knows: no payload is read for it.
export const SELECT = [
    'id', 'name', 'run_type', 'status', 'start_time', 'end_time', 'trace_id', 'error',
    'inputs_preview', 'outputs_preview', 'total_tokens', 'total_cost', 'feedback_stats',
] as const;

export interface Project {
    id: string;
    name: string;
    run_count?: number | null;
    error_rate?: number | null;
    latency_p50?: number | null; // seconds
    latency_p95?: number | null;
    latency_p99?: number | null;
    total_tokens?: number | null;
    total_cost?: number | string | null;
    last_run_start_time?: string | null;
}

export interface Stats {
    run_count: number;
    error_rate: number | null;
    latency_p50: number | null; // seconds
    latency_p95: number | null;
    latency_p99: number | null;
    first_token_p50?: number | null;
    first_token_p99?: number | null;
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    total_cost: number | string | null;
}

export interface Histogram {
    start_time: string;
    end_time: string;
    bucket_us: number;
    count: number[];
    errors: number[];
    complete: boolean;
}

// Which runs: what a screen's address says, with the project's id.
export interface Which {
    project: string;
    filter: string | null;
    roots: boolean;
    from: number | null; // ms since 1970
    to: number | null;
}

export const instant = (ms: number): string => new Date(ms).toISOString();

const conditions = ({ project, filter, roots, from, to }: Which) => ({
    session: [project],
    ...(filter && { filter }),
    ...(roots && { is_root: true }),
    ...(from !== null && { start_time: instant(from) }),
    ...(to !== null && { end_time: instant(to) }),
});

export async function projectNamed(name: string, signal?: AbortSignal): Promise<Project | null> {
    const found = await api.json<Project[]>('GET', `/sessions?name=${encodeURIComponent(name)}`, undefined, signal);
    return found[0] ?? null;
}

export const projects = (query: Record<string, string>, signal?: AbortSignal): Promise<Project[]> =>
    api.json('GET', `/sessions?${new URLSearchParams(query)}`, undefined, signal);

export interface Page {
    runs: Run[];
    cursors: { next: string | null };
}

export const queryRuns = (which: Which, more: { cursor?: string | null; limit?: number }, signal?: AbortSignal): Promise<Page> =>
    api.json('POST', '/runs/query', { ...conditions(which), select: SELECT, ...more }, signal);

// In no order; what is not there is left out.
export async function runsById(ids: readonly string[], signal?: AbortSignal): Promise<Run[]> {
    const page = await api.json<Page>('POST', '/runs/query', { id: ids, select: SELECT, limit: ids.length }, signal);
    return page.runs;
}

// Roots say little of tokens: what a trace used is what its models did.
export async function queryStats(which: Which, signal?: AbortSignal): Promise<Stats> {
    const ask = (body: object) => api.json<Stats>('POST', '/runs/stats', body, signal);
    if (!which.roots) return ask(conditions(which));
    const { is_root, filter, ...rest } = conditions(which) as { is_root: true; filter?: string };
    const [roots, all] = await Promise.all([
        ask(conditions(which)),
        ask({ ...rest, ...(filter && { trace_filter: filter }) }),
    ]);
    const { prompt_tokens, completion_tokens, total_tokens, total_cost } = all;
    return { ...roots, prompt_tokens, completion_tokens, total_tokens, total_cost };
}

interface Total {
    total_tokens: number | null;
    total_cost: number | string | null;
    error_count: number;
}

export type Totals = Map<string, Total>;

// What all runs of each trace used, and how many failed, by the trace's id.
export async function traceTotals(project: string, ids: readonly string[], signal?: AbortSignal): Promise<Totals> {
    const found = await api.json<{
        items: { root_run: { trace_id: string }; trace_aggregates: Total }[];
    }>(
        'POST',
        '/v2/traces/query',
        {
            project_id: project,
            trace_ids: ids,
            min_start_time: '1970-01-01T00:00:00Z',
            selects: ['TRACE_ID', 'TOTAL_TOKENS', 'TOTAL_COST', 'ERROR_COUNT'],
            page_size: ids.length,
        },
        signal,
    );
    return new Map(found.items.map(({ root_run, trace_aggregates }) => [root_run.trace_id, trace_aggregates]));
}

function parameters({ project, filter, roots, from, to }: Which): URLSearchParams {
    const query = new URLSearchParams({ session: project });
    if (filter) query.set('filter', filter);
    if (roots) query.set('is_root', 'true');
    if (from !== null) query.set('start_time', instant(from));
    if (to !== null) query.set('end_time', instant(to));
    return query;
}

const LEAST_MS = 60_000; // that a histogram is of
const SECOND_MS = 1000;

// What happened in a moment, in the minute that it was in, until now at most: spans of a second or
// little more, each of whole buckets, so that one holds the runs it shows.
export function widened(data: Histogram, now: number): Histogram {
    const [begin, each] = [time(data.start_time), data.bucket_us / 1000];
    const end = begin + each * data.count.length;
    if (!data.count.length || end - begin >= LEAST_MS) return data;
    const joined = Math.max(1, Math.ceil(SECOND_MS / each));
    const step = joined * each;
    const own = Math.ceil(data.count.length / joined);
    const spare = Math.max(0, Math.ceil(LEAST_MS / step) - own);
    const behind = Math.max(0, Math.min(Math.floor(spare / 2), Math.floor((now - begin) / step) - own));
    const into = (counts: number[]): number[] => {
        const spans = new Array<number>(spare + own).fill(0);
        counts.forEach((n, i) => (spans[spare - behind + Math.floor(i / joined)]! += n));
        return spans;
    };
    const first = begin - (spare - behind) * step;
    return {
        ...data,
        start_time: instant(first),
        end_time: instant(first + (spare + own) * step),
        bucket_us: step * 1000,
        count: into(data.count),
        errors: into(data.errors),
    };
}

export async function histogram(which: Which, buckets: number, signal?: AbortSignal): Promise<Histogram> {
    const query = parameters(which);
    query.set('buckets', String(buckets));
    const data = await api.json<Histogram>('GET', `/runs/histogram?${query}`, undefined, signal);
    return which.from !== null && which.to !== null ? data : widened(data, Date.now());
}

// The address of what is told live of these runs.
export function tailOf(which: Which): string {
    const query = parameters({ ...which, from: null, to: null });
    query.set('select', SELECT.join(','));
    return `/runs/tail?${query}`;
}

// Any run of any project.
export async function anyRun(signal?: AbortSignal): Promise<{ run: Run; project: Project } | null> {
    const all = await projects({ limit: '100' }, signal);
    if (!all.length) return null;
    const { runs } = await api.json<Page>(
        'POST',
        '/runs/query',
        { session: all.map(({ id }) => id), select: [...SELECT, 'session_id'], limit: 1 },
        signal,
    );
    const run = runs[0] as (Run & { session_id?: string }) | undefined;
    if (!run) return null;
    return { run, project: all.find(({ id }) => id === run.session_id) ?? all[0]! };
}
