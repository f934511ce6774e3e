// v2.mjs - v2 of the LangSmith API: selects, pages, events, traces, threads, shares.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFault, ask, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const now = Date.now();
// `i` seconds after an hour ago.
const at = (i) => new Date(now - 3600_000 + i * 1000).toISOString();

// The operations of JSON Patch that are sent, on the document they are about.
function patched(events) {
    let document;
    for (const operations of events)
        for (const { op, path, value } of operations) {
            if (op === 'add' && path === '') document = value;
            else if (op === 'add' && path === '/items/-') document.items.push(value);
            else if (op === 'replace' && path === '/next_cursor') document.next_cursor = value;
            else assert.fail(`${op} ${path}`);
        }
    return document;
}

// { data: [...], names: [...] } of text/event-stream.
function eventsOf(text) {
    const data = [];
    const names = [];
    for (const event of text.split('\n\n').filter((e) => e.length)) {
        const lines = event.split('\n');
        assert.match(lines[0], /^event: \w+$/);
        names.push(lines[0].slice(7));
        assert.equal(lines.length, 2, 'an event has one line of data');
        assert.match(lines[1], /^data: /);
        if (names.at(-1) === 'data') data.push(JSON.parse(lines[1].slice(6)));
    }
    return { data, names };
}

describe('v2', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const post = async (path, body, status = 200) => {
        const answer = await server.post(path, JSON.stringify(body));
        assert.equal(answer.status, status, answer.text);
        return answer.json;
    };
    const get = async (path, status = 200) => {
        const answer = await server.get(path);
        assert.equal(answer.status, status, answer.text);
        return answer.json;
    };
    const project = async (list) => {
        const session_name = `project ${uuid()}`;
        const ids = await server.store(
            list.map((r, i) => run({ session_name, start_time: at(i), ...r })),
        );
        const { session_id } = (await server.get(`/runs/${ids[0]}`)).json;
        return { project_id: session_id, project_ids: [session_id], ids };
    };
    const usage = (input_tokens, output_tokens, more = {}) => ({
        usage_metadata: { input_tokens, output_tokens, ...more },
    });

    describe('POST /v2/runs/query', () => {
        it('shows what is selected, only that, in the words of v2', async () => {
            const { project_ids, ids } = await project([
                {
                    name: 'a',
                    run_type: 'llm',
                    end_time: at(2.5),
                    inputs: { x: 1 },
                    outputs: usage(3, 4, {
                        total_cost: 0.25,
                        input_token_details: { cache_read: 2 },
                    }),
                    error: 'e'.repeat(500),
                    serialized: { name: 's' },
                    extra: { metadata: { thread_id: 'T', k: [1] } },
                    tags: ['t'],
                },
            ]);
            assert.deepEqual(await post('/api/v2/runs/query', { project_ids }), {
                items: [{ id: ids[0] }],
                next_cursor: null,
            });
            const selects = [
                ...['NAME', 'RUN_TYPE', 'STATUS', 'LATENCY_SECONDS', 'METADATA', 'MANIFEST'],
                ...['PROJECT_ID', 'THREAD_ID', 'IS_ROOT', 'TOTAL_TOKENS', 'TOTAL_COST', 'TAGS'],
                ...['PROMPT_TOKEN_DETAILS', 'COMPLETION_TOKEN_DETAILS', 'INPUTS', 'SHARE_URL'],
                ...['ERROR_PREVIEW', 'ATTACHMENTS', 'FEEDBACK_STATS', 'NOBODY_KNOWS'],
            ];
            const { items } = await post('/v2/runs/query', { project_ids, selects });
            assert.deepEqual(items, [
                {
                    name: 'a',
                    run_type: 'LLM',
                    status: 'ERROR',
                    latency_seconds: 2.5,
                    error_preview: 'e'.repeat(160),
                    metadata: { thread_id: 'T', k: [1] },
                    inputs: { x: 1 },
                    manifest: { name: 's' },
                    project_id: project_ids[0],
                    thread_id: 'T',
                    is_root: true,
                    total_tokens: 7,
                    total_cost: 0.25,
                    prompt_token_details: { raw: { cache_read: 2 } },
                    completion_token_details: null,
                    tags: ['t'],
                    attachments: {},
                    feedback_stats: null,
                },
            ]);
        });
        it('asks by project, ids, trace, type, root, error, example, filters and times', async () => {
            const root = uuid();
            const reference_example_id = uuid();
            const { project_ids } = await project([
                { name: 'root', id: root, trace_id: root, tags: ['t'] },
                { name: 'child', trace_id: root, parent_run_id: root, run_type: 'llm' },
                { name: 'bad', error: 'no', reference_example_id },
                { name: 'old', start_time: '2026-01-01T00:00:00Z' },
            ]);
            const names = async (more) =>
                (await post('/v2/runs/query', { selects: ['NAME'], ...more })).items.map(
                    (r) => r.name,
                );
            const all = { project_ids };
            assert.deepEqual(await names(all), ['bad', 'child', 'root']);
            assert.deepEqual(await names({ ...all, min_start_time: '2025-01-01T00:00:00Z' }), [
                ...['bad', 'child', 'root', 'old'],
            ]);
            assert.deepEqual(await names({ ...all, max_start_time: at(1) }), ['root']);
            assert.deepEqual(await names({ ids: [root] }), ['root']);
            assert.deepEqual(await names({ trace_id: root }), ['child', 'root']);
            assert.deepEqual(await names({ ...all, run_type: 'LLM' }), ['child']);
            assert.deepEqual(await names({ ...all, is_root: true }), ['bad', 'root']);
            assert.deepEqual(await names({ ...all, has_error: true }), ['bad']);
            assert.deepEqual(await names({ reference_examples: [reference_example_id] }), ['bad']);
            assert.deepEqual(await names({ ...all, trace_filter: 'has(tags, "t")' }), [
                ...['child', 'root'],
            ]);
        });
        it('has pages', async () => {
            const { project_ids, ids } = await project(Array.from({ length: 7 }, () => ({})));
            const found = [];
            let cursor;
            do {
                const page = await post('/v2/runs/query', { project_ids, page_size: 3, cursor });
                assert.ok(page.items.length <= 3);
                found.push(...page.items.map((r) => r.id));
                cursor = page.next_cursor;
            } while (cursor);
            assert.deepEqual(found, [...ids].reverse());
        });
        it('says what makes no sense', async () => {
            const bad = async (body) => server.post('/v2/runs/query', JSON.stringify(body));
            const project_ids = [uuid()];
            assertFault(await bad({ project_ids: ['x'] }), 'uuid_parsing', [
                ...['body', 'project_ids', 0],
            ]);
            assertFault(await bad({ project_ids, page_size: 0 }), 'greater_than_equal', [
                ...['body', 'page_size'],
            ]);
            assertFault(await bad({ project_ids, page_size: 1001 }), 'less_than_equal', [
                ...['body', 'page_size'],
            ]);
            assertFault(await bad({ project_ids, cursor: 'x' }), 'value_error', ['body', 'cursor']);
            assert.equal((await bad({})).status, 400);
            assert.equal((await bad({ project_ids, filter: 'eq(' })).status, 400);
            assert.equal((await bad({ project_ids, ai_search: 'x' })).status, 501);
        });
    });

    describe('events', () => {
        const headers = { accept: 'text/event-stream', 'content-type': 'application/json' };
        const stream = async (path, body) => {
            const answer = await ask(server, 'POST', path, { headers, body: JSON.stringify(body) });
            assert.equal(answer.status, 200, answer.text);
            assert.equal(answer.headers['content-type'], 'text/event-stream');
            const { data, names } = eventsOf(answer.text);
            assert.equal(names.at(-1), 'end');
            assert.equal(names.filter((n) => n === 'end').length, 1);
            return patched(data);
        };
        it('make the page that is sent whole otherwise', async () => {
            const { project_ids } = await project(
                Array.from({ length: 5 }, (_, i) => ({ name: `r${i}`, inputs: { i } })),
            );
            const body = { project_ids, selects: ['ID', 'NAME', 'INPUTS'], page_size: 3 };
            const page = await post('/v2/runs/query', body);
            assert.deepEqual(await stream('/v2/runs/query', body), page);
            assert.equal(page.items.length, 3);
            const none = { project_ids: [uuid()] };
            assert.deepEqual(await stream('/v2/runs/query', none), { items: [], next_cursor: null });
        });
        it('have one line each, however the run was sent, and whatever its size', async () => {
            const id = uuid();
            const start_time = at(0);
            const raw =
                `[{"id":"${id}","trace_id":"${id}","name":"n","start_time":"${start_time}",` +
                `"inputs":{\r\n  "a\\n": [1,\n\n2],\n"text":"${'x'.repeat(1_500_000)}"}}]`;
            assert.equal((await server.post('/runs', raw)).status, 201);
            const { items } = await stream('/v2/runs/query', { ids: [id], selects: ['INPUTS'] });
            assert.deepEqual(items[0].inputs['a\n'], [1, 2]);
            assert.equal(items[0].inputs.text.length, 1_500_000);
        });
    });

    describe('one run', () => {
        it('is there by id, in its project only', async () => {
            const { project_id, ids } = await project([{ name: 'a', inputs: { x: 1 } }]);
            const path = `/api/v2/runs/${ids[0]}`;
            assert.deepEqual(await get(`${path}?project_id=${project_id}`), { id: ids[0] });
            assert.deepEqual(
                await get(`${path}?project_id=${project_id}&start_time=x&selects=NAME&selects=INPUTS`),
                { name: 'a', inputs: { x: 1 } },
            );
            assert.deepEqual(await get(`${path}?selects=NAME,IS_ROOT`), {
                name: 'a',
                is_root: true,
            });
            await get(`${path}?project_id=${uuid()}`, 404);
            await get(`/v2/runs/${uuid()}?project_id=${project_id}`, 404);
            await get('/v2/runs/x', 422);
            await get(`${path}?project_id=x`, 422);
        });
        it('has an address', async () => {
            const { project_id, ids } = await project([{ name: 'a' }]);
            const { url } = await get(
                `/v2/runs/${ids[0]}/url?project_id=${project_id}&trace_id=${uuid()}`,
            );
            assert.ok(url.startsWith(`http://127.0.0.1:${server.port}/o/`), url);
            assert.ok(url.includes(`/projects/p/${project_id}/r/${ids[0]}?trace_id=`), url);
            await get(`/v2/runs/${uuid()}/url`, 404);
        });
    });

    describe('traces', () => {
        const tree = () => {
            const root = uuid();
            const below = { trace_id: root, parent_run_id: root };
            return [
                { name: 'root', id: root, trace_id: root, outputs: usage(100, 100) },
                {
                    ...{ name: 'llm', run_type: 'llm', ...below, outputs: usage(3, 4) },
                    events: [{ name: 'new_token', time: at(1.5) }],
                },
                { name: 'llm 2', run_type: 'llm', ...below, outputs: usage(1, 2, { total_cost: 1 }) },
            ];
        };
        it('come with what all their runs used', async () => {
            const list = tree();
            const alone = uuid();
            const root = list[0].id;
            list.push({ name: 'tool', run_type: 'tool', trace_id: root, parent_run_id: root, error: 'no' });
            list.push({ name: 'alone', id: alone, trace_id: alone, outputs: usage(5, 6) });
            const { project_id } = await project(list);
            const selects = ['NAME', 'TOTAL_TOKENS', 'TOTAL_COST', 'FIRST_TOKEN_TIME'];
            const page = await post('/v2/traces/query', { project_id, selects });
            const time = `${new Date(at(1.5)).toISOString().slice(0, -1)}000Z`;
            assert.deepEqual(page, {
                items: [
                    {
                        root_run: { name: 'alone' },
                        trace_aggregates: {
                            first_token_time: null,
                            total_tokens: 11,
                            total_cost: null,
                        },
                    },
                    {
                        root_run: { name: 'root' },
                        trace_aggregates: { first_token_time: time, total_tokens: 10, total_cost: 1 },
                    },
                ],
                next_cursor: null,
            });
            const errors = { project_id, selects: ['ERROR_COUNT'] };
            assert.deepEqual(
                (await post('/v2/traces/query', errors)).items.map((one) => one.trace_aggregates),
                [{ error_count: 0 }, { error_count: 1 }],
            );
            const some = { project_id, trace_ids: [alone], selects: ['NAME'] };
            assert.deepEqual((await post('/v2/traces/query', some)).items, [
                { root_run: { name: 'alone' } },
            ]);
            const filtered = { project_id, tree_filter: 'eq(name, "llm")', selects: ['NAME'] };
            assert.equal((await post('/v2/traces/query', filtered)).items.length, 1);
            await post('/v2/traces/query', {}, 422);
        });
        it('are listed whole, the oldest run first', async () => {
            const list = tree();
            const { project_id } = await project(list);
            const path = `/v2/traces/${list[0].id}/runs?project_id=${project_id}`;
            const names = async (more) =>
                (await get(`${path}&selects=NAME${more}`)).items.map((r) => r.name);
            assert.deepEqual(await names(''), ['root', 'llm', 'llm 2']);
            assert.deepEqual(await names(`&filter=${encodeURIComponent('eq(run_type,"llm")')}`), [
                ...['llm', 'llm 2'],
            ]);
            assert.deepEqual(await get(path).then((a) => Object.keys(a)), ['items']);
            await get(`/v2/traces/${list[0].id}/runs`, 422);
        });
    });

    describe('threads', () => {
        const turn = (thread_id, i, more = {}) => {
            const root = uuid();
            const extra = { metadata: { thread_id } };
            return [
                {
                    ...{ name: `${thread_id} ${i}`, id: root, trace_id: root, extra },
                    ...{ start_time: at(i * 10), end_time: at(i * 10 + 2) },
                    ...{ inputs: { q: `q${i}` }, outputs: { a: `a${i}` }, ...more },
                },
                {
                    ...{ name: 'model', trace_id: root, parent_run_id: root, extra },
                    ...{ start_time: at(i * 10 + 1), run_type: 'llm', outputs: usage(i, 1) },
                },
            ];
        };
        it('are runs with the same thread id, the last active first', async () => {
            const { project_id } = await project([
                ...turn('A', 1),
                ...turn('B', 2),
                ...turn('A', 3, { error: 'boom', end_time: at(34) }),
                { name: 'without' },
            ]);
            const page = await post('/v2/threads/query', { project_id });
            assert.deepEqual(page.items.map((t) => t.thread_id), ['A', 'B']);
            const [a] = page.items;
            assert.equal(a.count, 2);
            assert.equal(a.num_errored_turns, 1);
            assert.equal(a.last_error, 'boom');
            assert.match(a.first_inputs, /q1/);
            assert.match(a.last_outputs, /a3/);
            assert.equal(a.total_tokens, 6);
            assert.equal(a.latency_p50, 3);
            assert.equal(Date.parse(a.min_start_time), Date.parse(at(10)));
            assert.equal(Date.parse(a.max_start_time), Date.parse(at(30)));
            assert.notEqual(a.first_trace_id, a.last_trace_id);

            const one = await post('/v2/threads/query', { project_id, page_size: 1 });
            assert.deepEqual(one.items.map((t) => t.thread_id), ['A']);
            const two = await post('/v2/threads/query', {
                ...{ project_id, page_size: 1, cursor: one.next_cursor },
            });
            assert.deepEqual(two.items.map((t) => t.thread_id), ['B']);
            assert.equal(two.next_cursor, null);

            const failed = { project_id, filter: 'neq(error, null)' };
            assert.deepEqual(
                (await post('/v2/threads/query', failed)).items.map((t) => [t.thread_id, t.count]),
                [['A', 1]],
            );
            await post('/v2/threads/query', { project_id, thread_filter: 'x' }, 501);
        });
        it('have turns, with what was used for each', async () => {
            const thread = 'ä/ü 1';
            const { project_id } = await project([...turn(thread, 1), ...turn(thread, 2)]);
            const path = `/v2/threads/${encodeURIComponent(thread)}/traces?project_id=${project_id}`;
            const page = await get(`${path}&selects=NAME&selects=TOTAL_TOKENS&selects=THREAD_ID`);
            assert.deepEqual(
                page.items.map(({ name, total_tokens, thread_id }) => [name, total_tokens, thread_id]),
                [
                    [`${thread} 2`, 3, thread],
                    [`${thread} 1`, 2, thread],
                ],
            );
            assert.ok(page.items.every((t) => t.trace_id));
            const first = await get(`${path}&page_size=1`);
            assert.equal(first.items.length, 1);
            const next = await get(`${path}&page_size=1&cursor=${first.next_cursor}`);
            assert.notEqual(next.items[0].trace_id, first.items[0].trace_id);
            await get(`${path}&page_size=0`, 422);
        });
        it('are summed, one of them or all', async () => {
            const { project_id } = await project([
                ...turn('A', 1),
                ...turn('A', 2, { error: 'boom' }),
                ...turn('B', 3),
                ...turn('B', 4),
            ]);
            const selects = ['TURNS', 'TOTAL_TOKENS', 'LATENCY_P99', 'FEEDBACK_STATS'];
            const query = selects.map((s) => `&selects=${s}`).join('');
            assert.deepEqual(await get(`/v2/threads/A/stats?session_id=${project_id}${query}`), {
                turns: 2,
                latency_p99_seconds: 2,
                total_tokens: 5,
                feedback_stats: {},
            });
            assert.deepEqual(
                await post('/v2/threads/stats', {
                    project_id,
                    select: ['THREAD_COUNT', 'TRACE_COUNT', 'ERROR_RATE', 'PROMPT_TOKENS'],
                }),
                { thread_count: 2, trace_count: 4, error_rate: 0.25, prompt_tokens: 10 },
            );
            const none = await get(`/v2/threads/C/stats?session_id=${project_id}&selects=TURNS`);
            assert.deepEqual(none, { turns: 0 });
        });
    });

    describe('GET /v2/sessions', () => {
        it('lists projects, in pages', async () => {
            const word = uuid();
            for (let i = 0; i < 5; i++)
                await post('/sessions', {
                    name: `${word} ${i}`,
                    ...(i === 0 && { reference_dataset_id: word }),
                });
            const found = [];
            let cursor = '';
            do {
                const page = await get(
                    `/api/v2/sessions?name_contains=${word}&page_size=2&cursor=${cursor}`,
                );
                assert.ok(page.items.length <= 2);
                found.push(...page.items);
                cursor = page.next_cursor;
            } while (cursor);
            assert.equal(found.length, 5);
            assert.deepEqual(
                found.map(({ name, type }) => [name, type]).sort(),
                Array.from({ length: 5 }, (_, i) => [
                    `${word} ${i}`,
                    i === 0 ? 'EXPERIMENT' : 'PROJECT',
                ]),
            );
            const of = await get(`/v2/sessions?reference_dataset_id=${word}`);
            assert.deepEqual(of.items.map((p) => p.name), [`${word} 0`]);
            await get('/v2/sessions?page_size=0', 422);
            await get('/v2/sessions?cursor=x', 422);
        });
    });

    describe('what is shared', () => {
        it('is the trace, for whoever has the token, until it is not', async () => {
            const root = uuid();
            const { project_id, ids } = await project([
                { name: 'root', id: root, trace_id: root },
                { name: 'child', trace_id: root, parent_run_id: root },
                { name: 'other' },
            ]);
            const body = { session_id: project_id, trace_id: root };
            const { share_token } = await post(`/v2/runs/${ids[1]}/share`, body);
            assert.equal((await post(`/v2/runs/${root}/share`, body)).share_token, share_token);
            const url = (await get(`/v2/runs/${root}?selects=SHARE_URL`)).share_url;
            assert.equal(url, `http://127.0.0.1:${server.port}/public/${share_token}/r`);

            const path = `/api/v2/public/${share_token}`;
            const query = { selects: ['NAME', 'SHARE_URL'] };
            assert.deepEqual(await post(`${path}/runs/query`, query), {
                items: [{ name: 'root' }, { name: 'child' }],
            });
            assert.deepEqual(await get(`${path}/run/${ids[1]}?selects=NAME&start_time=x`), {
                name: 'child',
            });
            await get(`${path}/run/${ids[2]}`, 404);
            await post(`/v2/public/${uuid()}/runs/query`, {}, 404);

            const removed = await ask(server, 'DELETE', `/v2/runs/${root}/share`, {
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ session_id: project_id }),
            });
            assert.equal(removed.status, 204);
            assert.equal(removed.text, '');
            await post(`${path}/runs/query`, query, 404);
            assert.deepEqual(await get(`/v2/runs/${root}?selects=SHARE_URL`), {});
        });
    });
});
