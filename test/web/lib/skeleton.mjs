// skeleton.mjs - skeletons that no server made: large ones, running ones, broken ones.
import { ask } from '../../e2e/lib/client.mjs';

const us = (text) => (text ? Math.round(Date.parse(`${text.slice(0, 19)}Z`) * 1000 + Number((text.slice(20).replace('Z', '') + '000000').slice(0, 6))) : -1);

async function skeletonOf(server, traceId) {
    const answer = await ask(server, 'POST', '/runs/query', {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ trace: traceId, select: ['id', 'start_time', 'end_time', 'status', 'name', 'run_type', 'parent_run_id', 'total_tokens', 'session_name', 'session_id', 'first_token_time'] }),
    });
    const runs = answer.json.runs ?? [];
    if (!runs.length) return null;
    runs.sort((a, b) => us(a.start_time) - us(b.start_time) || (a.id < b.id ? -1 : 1));
    const t0 = us(runs[0].start_time);
    const names = [...new Set(runs.map((r) => r.name))];
    const types = [...new Set(runs.map((r) => r.run_type))];
    const index = new Map(runs.map((r, i) => [r.id, i]));
    return {
        trace_id: traceId, count: runs.length, start_us: t0, names, types,
        id: runs.map((r) => r.id),
        parent: runs.map((r) => index.get(r.parent_run_id) ?? -1),
        name: runs.map((r) => names.indexOf(r.name)),
        type: runs.map((r) => types.indexOf(r.run_type)),
        start: runs.map((r) => us(r.start_time) - t0),
        duration: runs.map((r) => (r.end_time ? us(r.end_time) - us(r.start_time) : -1)),
        status: runs.map((r) => ({ success: 0, error: 1, pending: 2 })[r.status]),
        tokens: runs.map((r) => r.total_tokens ?? -1),
        cost: runs.map(() => null),
        first_token: runs.map((r) => (r.first_token_time ? us(r.first_token_time) - us(r.start_time) : -1)),
        flags: runs.map(() => 0),
        project: { id: runs[0].session_id, name: runs[0].session_name },
        truncated: false,
    };
}

export async function fakeSkeleton(page, server, fixed = {}) {
    await page.route(/\/traces\/[^/]+\/skeleton$/, async (route) => {
        const id = route.request().url().split('/').at(-2);
        const json = fixed[id] ?? (await skeletonOf(server, id));
        await route.fulfill(json ? { json, headers: { etag: `"${JSON.stringify(json).length}"` } } : { status: 404, json: { detail: 'No run has this trace.' } });
    });
}
