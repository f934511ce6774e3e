// What is known of a run beside its payloads, and what was said of it.
import { api } from '../api.ts';
import { isObject, type Json } from './message.ts';

export interface RunInfo {
    id: string;
    trace_id: string;
    name: string;
    run_type: string;
    status: string;
    start_time: string;
    end_time: string | null;
    first_token_time: string | null;
    error: string | null;
    extra: unknown;
    events: unknown;
    tags: unknown;
    parent_run_id: string | null;
    dotted_order: string | null;
    session_id: string | null;
    session_name: string;
    thread_id: string | null;
    prompt_tokens: number | null;
    completion_tokens: number | null;
    total_tokens: number | null;
    total_cost: number | string | null;
    reference_example_id: string | null;
    s3_urls: unknown;
}

const SELECT = [
    'id', 'trace_id', 'name', 'run_type', 'status', 'start_time', 'end_time', 'first_token_time', 'error', 'extra',
    'events', 'tags', 'parent_run_id', 'dotted_order', 'session_id', 'session_name', 'thread_id', 'prompt_tokens',
    'completion_tokens', 'total_tokens', 'total_cost', 'reference_example_id', 's3_urls',
];

export async function readRun(id: string, signal: AbortSignal): Promise<RunInfo | null> {
    const { runs } = await api.json<{ runs: RunInfo[] }>('POST', '/runs/query', { id: [id], select: SELECT, limit: 1 }, signal);
    return runs[0] ?? null;
}

export const metadataOf = (run: RunInfo): Json => {
    const extra = isObject(run.extra) ? run.extra : {};
    return isObject(extra.metadata) ? extra.metadata : {};
};

export const tagsOf = (run: RunInfo): string[] =>
    Array.isArray(run.tags) ? run.tags.filter((tag) => typeof tag === 'string') : [];

// ---- attachments ----

export interface Attachment {
    name: string;
    mime: string;
    url: string;
}

// Only addresses of this server; a run says no others, but what says so came over the wire.
export function attachmentsOf(run: RunInfo): Attachment[] {
    if (!isObject(run.s3_urls)) return [];
    return Object.entries(run.s3_urls).flatMap(([key, value]): Attachment[] => {
        if (!key.startsWith('attachment.') || !isObject(value)) return [];
        const url = String(value.presigned_url ?? '');
        if (!url.startsWith('/public/download?')) return [];
        return [{ name: key.slice('attachment.'.length), mime: String(value.mime_type ?? ''), url }];
    });
}

// ---- feedback ----

export interface Feedback {
    id: string;
    key: string;
    score: number | boolean | null;
    value: unknown;
    comment: string | null;
    created_at: string;
    feedback_source: unknown;
}

export const readFeedback = (id: string, signal?: AbortSignal): Promise<Feedback[]> =>
    api.json('GET', `/feedback?run=${encodeURIComponent(id)}&limit=1000`, undefined, signal);

export const giveFeedback = (run: RunInfo, what: { key: string; score: number | null; comment: string }): Promise<Feedback> =>
    api.json('POST', '/feedback', {
        run_id: run.id,
        trace_id: run.trace_id,
        key: what.key,
        score: what.score,
        comment: what.comment || null,
        feedback_source: { type: 'app' },
    });

export const takeBack = (id: string): Promise<unknown> => api.json('DELETE', `/feedback/${encodeURIComponent(id)}`);

// ---- addresses ----

const word = (text: string): string => (/^[\w.*-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`);

// The runs of its project for which the search bar says this.
export function searchHref(run: RunInfo, ...terms: [string, string][]): string {
    const q = terms.map(([key, value]) => `${key}:${word(value)}`).join(' ');
    const query = new URLSearchParams({ project: run.session_name, q, view: 'runs' });
    return `/ui/runs?${query}`;
}

export const curlOf = (path: string): string =>
    `curl -s${sessionStorage.getItem('rundlet.key') ? ' -H "x-api-key: $LANGSMITH_API_KEY"' : ''} '${location.origin}${path}'`;
