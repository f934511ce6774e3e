// entities.mjs - what is kept beside runs: projects, feedback, shares, deletes, attachments;
// by the calls of the LangSmith SDKs, over a kill and a rebuild.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFault, run, uuid } from './lib/client.mjs';
import { Server, mode, run as command } from './lib/server.mjs';

const json = (value) => JSON.stringify(value);
// A call with a JSON body: the answer, whose status must be this.
const call = async (server, method, path, body, status = 200, headers = {}) => {
    const answer = await server.ask(method, path, {
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? null : typeof body === 'string' ? body : json(body),
    });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.text ? answer.json : null;
};
const is404 = (server, method, path, body) => call(server, method, path, body, 404);

// A run as the SDKs send one.
const makeRun = (fields = {}) => {
    const id = fields.id ?? uuid(Date.now());
    return {
        id,
        trace_id: id,
        name: 'a run',
        run_type: 'chain',
        start_time: '2026-11-23T16:00:00.000000Z',
        inputs: { q: 1 },
        ...fields,
    };
};
const storeRun = async (server, fields) => {
    const one = makeRun(fields);
    await call(server, 'POST', '/runs', one, 202);
    return one;
};

// A multipart body of parts [name, type, bytes].
const multipart = (parts) => {
    const boundary = 'xxBOUNDARYxx';
    const pieces = parts.flatMap(([name, type, bytes]) => [
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n` +
            `Content-Type: ${type}; length=${Buffer.byteLength(bytes)}\r\n\r\n`,
        bytes,
        '\r\n',
    ]);
    return {
        body: Buffer.concat([...pieces, `--${boundary}--\r\n`].map((piece) => Buffer.from(piece))),
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    };
};
const storeParts = async (server, parts) => {
    const { body, headers } = multipart(parts);
    const answer = await server.ask('POST', '/runs/multipart', { body, headers });
    assert.equal(answer.status, 202, answer.text);
};
const dotted = (one) => `${one.start_time.replace(/[-:.]/g, '')}${one.id}`;
const mainPart = (one) => [
    `post.${one.id}`,
    'application/json',
    json({ ...one, dotted_order: dotted(one) }),
];

describe('a trace that is shared', () => {
    it('is listed whole, a page or all of it', async () => {
        const server = await Server.start();
        const root = uuid();
        const of = (id, n) => run({ id, trace_id: root, name: `run ${n}`, ...(n && { parent_run_id: root }) });
        const ids = [root, ...Array.from({ length: 1099 }, () => uuid())];
        await server.store(ids.map(of));
        const shared = await server.ask('PUT', `/runs/${root}/share`, {
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ run_id: root }),
        });
        const { share_token: token } = shared.json;
        for (const some of [1, 100, 101, 150]) {
            const asked = ids.slice(0, some).map((id) => `id=${id}`).join('&');
            const answer = await server.get(`/public/${token}/runs?${asked}`);
            assert.equal(answer.status, 200, answer.text);
            assert.equal(answer.json.length, some);
        }
        assert.equal((await server.get(`/public/${token}/runs`)).json.length, 1000);
        const found = new Set();
        for (let cursor = null, pages = 0; pages === 0 || cursor; pages++) {
            const page = await server.post(`/public/${token}/runs/query`, cursor ? { cursor } : {});
            for (const { id } of page.json.runs) found.add(id);
            cursor = page.json.cursors.next;
        }
        assert.equal(found.size, ids.length);
        await server.close();
    });
});

describe('projects', () => {
    let server;
    before(async () => (server = await Server.start()));
    after(() => server.close());

    it('there is one from the first look on', async () => {
        const [first] = await call(server, 'GET', '/sessions?limit=1');
        assert.equal(first.name, 'default');
        assert.match(first.tenant_id, /^[0-9a-f-]{36}$/);
        const again = await call(server, 'GET', '/api/v1/sessions?limit=1');
        assert.equal(again[0].id, first.id);
    });
    it('a run without a project is in it', async () => {
        const one = await storeRun(server);
        const [first] = await call(server, 'GET', '/sessions?name=default');
        const shown = await call(server, 'GET', `/runs/${one.id}`);
        assert.equal(shown.session_id, first.id);
    });
    it('is made, read, changed, removed', async () => {
        const made = await call(server, 'POST', '/sessions', {
            name: 'mine ü',
            description: 'd',
            extra: { metadata: { k: 'v' } },
        });
        for (const key of ['id', 'name', 'start_time', 'end_time', 'extra', 'reference_dataset_id'])
            assert.ok(key in made, key);
        assert.deepEqual(made.extra, { metadata: { k: 'v' } });
        assert.deepEqual(await call(server, 'GET', `/sessions/${made.id}`), made);
        const changed = await call(server, 'PATCH', `/sessions/${made.id}`, {
            name: null,
            description: 'e',
            end_time: 1795450963859,
        });
        assert.equal(changed.name, 'mine ü');
        assert.equal(changed.description, 'e');
        assert.equal(changed.end_time, '2026-11-23T16:22:43.859000Z');
        assert.deepEqual(changed.extra, made.extra);
        assert.deepEqual(await call(server, 'GET', `/sessions/${made.id}`), changed);
        await call(server, 'DELETE', `/sessions/${made.id}`, undefined, 202);
        await is404(server, 'GET', `/sessions/${made.id}`);
        await is404(server, 'PATCH', `/sessions/${made.id}`, { description: 'x' });
        await is404(server, 'DELETE', `/sessions/${made.id}`);
    });
    it('names that differ only at their end are of two', async () => {
        const names = ['a', 'b'].map((last) => 'n'.repeat(8191) + last);
        const ids = [];
        for (const session_name of names) {
            const run = await storeRun(server, { session_name });
            ids.push((await call(server, 'GET', `/runs/${run.id}`)).session_id);
        }
        assert.notEqual(ids[0], ids[1]);
        assert.equal((await call(server, 'GET', `/sessions/${ids[1]}`)).name, names[1]);
    });
    it('a taken name is a 409, or with upsert the one that is there', async () => {
        const made = await call(server, 'POST', '/sessions', { name: 'taken' });
        await call(server, 'POST', '/sessions', { name: 'taken' }, 409);
        const same = await call(server, 'POST', '/sessions?upsert=True', {
            name: 'taken',
            description: 'now',
        });
        assert.equal(same.id, made.id);
        assert.equal(same.description, 'now');
        const other = await call(server, 'POST', '/sessions', { name: 'other' });
        await call(server, 'PATCH', `/sessions/${other.id}`, { name: 'taken' }, 409);
        await call(server, 'POST', '/sessions', { name: 'third', id: made.id }, 409);
    });
    it('an empty extra does not replace what is more', async () => {
        const extra = { metadata: { k: 'v' } };
        const { id } = await call(server, 'POST', '/sessions', { name: 'kept', extra });
        const upsert = (body) =>
            call(server, 'POST', '/sessions?upsert=true', { name: 'kept', ...body });
        const patch = (body) => call(server, 'PATCH', `/sessions/${id}`, body);
        for (const change of [upsert, patch]) {
            assert.deepEqual((await change({ extra: {}, description: 'd' })).extra, extra);
            assert.deepEqual((await change({ extra: null })).extra, extra);
        }
        assert.deepEqual((await patch({ extra: { metadata: {} } })).extra, { metadata: {} });
        const bare = await call(server, 'POST', '/sessions', { name: 'bare', extra: {} });
        assert.deepEqual(bare.extra, {});
    });
    it('of many who make the same name one succeeds', async () => {
        const answers = await Promise.all(
            Array.from({ length: 20 }, () => server.post('/sessions', { name: 'raced' })),
        );
        const statuses = answers.map((answer) => answer.status).sort();
        assert.deepEqual(statuses, [200, ...Array(19).fill(409)]);
        const upserts = await Promise.all(
            Array.from({ length: 10 }, (_, i) =>
                server.post('/sessions?upsert=true', { name: 'raced too', description: `${i}` }),
            ),
        );
        assert.deepEqual(new Set(upserts.map((answer) => answer.status)), new Set([200]));
        assert.equal(new Set(upserts.map((answer) => answer.json.id)).size, 1);
    });
    it('changes of one at the same time are all made', async () => {
        const { id } = await call(server, 'POST', '/sessions', { name: 'busy' });
        const changes = ['description', 'extra', 'end_time'];
        const values = ['d', { a: 1 }, '2026-01-01T00:00:00Z'];
        await Promise.all(
            changes.map((key, i) => call(server, 'PATCH', `/sessions/${id}`, { [key]: values[i] })),
        );
        const shown = await call(server, 'GET', `/sessions/${id}`);
        assert.equal(shown.description, 'd');
        assert.deepEqual(shown.extra, { a: 1 });
        assert.equal(shown.end_time, '2026-01-01T00:00:00.000000Z');
    });
    it('one that a run names is made, and shown with what is usual', async () => {
        const one = await storeRun(server, { session_name: 'by a run' });
        const [made] = await call(server, 'GET', '/sessions?name=by%20a%20run');
        assert.equal(made.start_time, one.start_time);
        assert.equal(made.description, null);
        const changed = await call(server, 'PATCH', `/sessions/${made.id}`, { name: 'renamed' });
        assert.equal(changed.id, made.id);
        assert.equal((await call(server, 'GET', `/runs/${one.id}`)).session_name, 'renamed');
        assert.deepEqual(await call(server, 'GET', '/sessions?name=by%20a%20run'), []);
        const two = await storeRun(server, { session_name: 'by a run' });
        assert.notEqual((await call(server, 'GET', `/runs/${two.id}`)).session_id, made.id);
    });
    it('lists by name, part of it, ids, metadata, dataset; sorted, in pages', async () => {
        const dataset = uuid();
        const of = async (name, extra) => call(server, 'POST', '/sessions', { name, ...extra });
        const a = await of('List A', { extra: { metadata: { x: 'y', n: 1 } } });
        const b = await of('List B', { reference_dataset_id: dataset });
        const c = await of('List C', {});
        const names = async (query) =>
            (await call(server, 'GET', `/sessions?${query}`)).map((one) => one.name);
        assert.deepEqual(await names('name=List%20B'), ['List B']);
        assert.deepEqual(await names('name=list%20b'), []);
        assert.deepEqual(await names('name_contains=LIST'), ['List C', 'List B', 'List A']);
        assert.deepEqual(await names(`id=${a.id}&id=${c.id}`), ['List C', 'List A']);
        assert.deepEqual(await names(`metadata=${encodeURIComponent('{"x":"y"}')}`), ['List A']);
        assert.deepEqual(await names(`metadata=${encodeURIComponent('{"x":"y","n":2}')}`), []);
        assert.deepEqual(await names(`reference_dataset=${dataset}`), [b.name]);
        assert.deepEqual(await names('name_contains=list&reference_free=true'), ['List C', 'List A']);
        assert.deepEqual(
            await names('name_contains=list&sort_by=name&sort_by_desc=False'),
            ['List A', 'List B', 'List C'],
        );
        assert.deepEqual(await names('name_contains=list&limit=1&offset=1'), ['List B']);
        assert.deepEqual(await names('name_contains=list&reference_free=true&limit=1&offset=1'), [
            'List A',
        ]);
    });
    it('counts the runs of each, if asked to', async () => {
        const of = { session_name: 'counted' };
        const { id } = await storeRun(server, {
            ...of,
            end_time: '2026-11-23T16:00:02.000000Z',
            run_type: 'llm',
            outputs: { usage_metadata: { input_tokens: 3, output_tokens: 4 } },
        });
        await storeRun(server, { ...of, error: 'no', end_time: '2026-11-23T16:00:02.000000Z' });
        await call(server, 'POST', '/feedback', { run_id: id, key: 'good', score: 0.5 });
        const [plain] = await call(server, 'GET', '/sessions?name=counted');
        assert.ok(!('run_count' in plain));
        const [shown] = await call(server, 'GET', '/sessions?name=counted&include_stats=True');
        assert.equal(shown.run_count, 2);
        assert.equal(shown.error_rate, 0.5);
        assert.equal(shown.latency_p50, 2);
        assert.equal(shown.total_tokens, 7);
        assert.equal(shown.feedback_stats.good.avg, 0.5);
        assert.match(shown.last_run_start_time, /^2026-11-23T16:00:00/);
        assert.deepEqual(
            await call(server, 'GET', `/sessions/${shown.id}?include_stats=true`),
            shown,
        );
        const all = await call(server, 'GET', '/sessions?include_stats=true');
        assert.ok(all.every((one) => 'run_count' in one));
    });
    it('says what is wrong', async () => {
        assertFault(await server.post('/sessions', {}), 'missing', ['body', 'name']);
        assertFault(await server.post('/sessions', { name: 3 }), 'string_type', ['body', 'name']);
        assertFault(await server.post('/sessions', '[]'), 'dict_type', ['body']);
        assertFault(await server.get('/sessions/x'), 'uuid_parsing', ['path', 'id']);
        assertFault(await server.get('/sessions?id=x'), 'uuid_parsing', ['query', 'id']);
        assertFault(await server.get('/sessions?limit=0'), 'int_parsing', ['query', 'limit']);
        assert.equal((await server.get('/sessions?metadata=x')).status, 422);
    });
    it('the address of an agent leads to its project', async () => {
        await storeRun(server, { address: 'lrn:agents/bot/environments/production' });
        const { session_id } = await call(
            server,
            'GET',
            '/api/v1/sessions/resolutions?kind=AGENT&id=bot&environment=PRODUCTION',
        );
        assert.equal((await call(server, 'GET', `/sessions/${session_id}`)).name, 'bot/production');
        await is404(server, 'GET', '/sessions/resolutions?kind=AGENT&id=no&environment=PRODUCTION');
    });
});

describe('feedback', () => {
    let server;
    let one;
    before(async () => {
        server = await Server.start();
        one = await storeRun(server, { session_name: 'judged' });
    });
    after(() => server.close());
    const stats = async () => (await call(server, 'GET', `/runs/${one.id}`)).feedback_stats;

    it('is given, read, changed, removed; and the run says so each time', async () => {
        assert.equal(await stats(), null);
        const id = uuid();
        const given = await call(server, 'POST', '/feedback', {
            id,
            run_id: one.id,
            key: 'correct',
            score: 0.8765,
            comment: 'ok',
            correction: { a: 1 },
        });
        const run = await call(server, 'GET', `/runs/${one.id}`);
        assert.equal(given.id, id);
        assert.equal(given.trace_id, one.id);
        assert.equal(given.session_id, run.session_id);
        assert.equal(given.feedback_source.type, 'api');
        assert.equal(run.feedback_stats.correct.n, 1);
        assert.equal(run.feedback_stats.correct.avg, 0.8765);
        assert.deepEqual(await call(server, 'GET', `/feedback/${id}`), given);
        const changed = await call(server, 'PATCH', `/feedback/${id}`, { score: true, comment: null });
        assert.equal(changed.score, 1);
        assert.equal(changed.comment, null);
        assert.deepEqual(changed.correction, { a: 1 });
        assert.equal((await stats()).correct.avg, 1);
        await call(server, 'DELETE', `/feedback/${id}`);
        assert.equal(await stats(), null);
        await is404(server, 'GET', `/feedback/${id}`);
        await is404(server, 'PATCH', `/feedback/${id}`, { score: 1 });
        await is404(server, 'DELETE', `/feedback/${id}`);
    });
    it('with an id that is there replaces it', async () => {
        const id = uuid();
        const give = (score) =>
            call(server, 'POST', '/feedback', { id, run_id: one.id, key: 'again', score });
        const first = await give(1);
        const second = await give(0);
        assert.equal(second.created_at, first.created_at);
        assert.equal((await call(server, 'GET', `/feedback/${id}`)).score, 0);
        assert.equal((await stats()).again.n, 1);
    });
    it('takes any run, and any value', async () => {
        const run_id = uuid();
        for (const value of ['up', 3, true, { a: [] }, null])
            await call(server, 'POST', '/feedback', { run_id, key: 'any', value, score: null });
        const list = await call(server, 'GET', `/feedback?run=${run_id}`);
        assert.equal(list.length, 5);
        for (const score of ['1e400', '-1e400', `${'9'.repeat(400)}`])
            assertFault(
                await server.post('/feedback', `{"run_id":"${run_id}","key":"k","score":${score}}`),
                'finite_number',
                ['body', 'score'],
            );
        assertFault(await server.post('/feedback', { run_id }), 'missing', ['body', 'key']);
        assertFault(await server.post('/feedback', { run_id: 1, key: 'k' }), 'uuid_type', [
            'body',
            'run_id',
        ]);
        assertFault(await server.post('/feedback', { key: 'k', score: 'x' }), 'float_type', [
            'body',
            'score',
        ]);
    });
    it('that came among the parts of runs looks the same', async () => {
        const run = makeRun({ session_name: 'parts' });
        const id = uuid();
        await storeParts(server, [
            mainPart(run),
            [
                `feedback.${id}`,
                'application/json',
                json({ id, run_id: run.id, trace_id: run.id, key: 'part', score: false, value: null }),
            ],
        ]);
        const shown = await call(server, 'GET', `/feedback/${id}`);
        assert.equal(shown.score, 0);
        assert.equal(shown.key, 'part');
        assert.equal(shown.run_id, run.id);
        const { session_id, feedback_stats } = await call(server, 'GET', `/runs/${run.id}`);
        assert.equal(feedback_stats.part.n, 1);
        const list = await call(server, 'GET', `/feedback?session=${session_id}`);
        assert.deepEqual(
            list.map((each) => each.id),
            [id],
        );
        assert.equal((await call(server, 'PATCH', `/feedback/${id}`, { score: 0.5 })).score, 0.5);
    });
    it('lists by run, key, source, project; newest first, in pages', async () => {
        const run = await storeRun(server, { session_name: 'listed' });
        const ids = [];
        for (let i = 0; i < 4; i++)
            ids.unshift(
                (
                    await call(server, 'POST', '/feedback', {
                        run_id: run.id,
                        key: i % 2 ? 'odd' : 'even',
                        score: i,
                        feedback_source: { type: i < 2 ? 'model' : 'api', metadata: {} },
                    })
                ).id,
            );
        const list = async (query) =>
            (await call(server, 'GET', `/feedback?run=${run.id}&${query}`)).map((each) =>
                ids.indexOf(each.id),
            );
        assert.deepEqual(await list(''), [0, 1, 2, 3]);
        assert.deepEqual(await list('key=odd'), [0, 2]);
        assert.deepEqual(await list('key=odd&key=even&limit=3'), [0, 1, 2]);
        assert.deepEqual(await list('source=model'), [2, 3]);
        assert.deepEqual(await list('limit=2&offset=1'), [1, 2]);
        const { session_id } = await call(server, 'GET', `/runs/${run.id}`);
        assert.deepEqual(await list(`session=${session_id}&limit=2&offset=2`), [2, 3]);
        assert.deepEqual(await list(`session=${uuid()}`), []);
        assert.deepEqual(await call(server, 'GET', `/feedback?run=${uuid()}`), []);
    });
    it('is counted and listed whatever there is of it, and however large it is', async () => {
        const runs = [makeRun({ session_name: 'much' }), makeRun({ session_name: 'much' })];
        const many = 6000;
        const part = (i, fields) => {
            const id = uuid();
            const run = runs[i % 2];
            return [
                `feedback.${id}`,
                'application/json',
                json({ id, run_id: run.id, trace_id: run.id, key: 'much', score: 1, ...fields }),
            ];
        };
        const comment = 'c'.repeat(80);
        await storeParts(server, runs.map(mainPart));
        await storeParts(
            server,
            Array.from({ length: many }, (_, i) => part(i, { comment })),
        );
        const large = 'l'.repeat(1 << 20);
        await storeParts(
            server,
            [0, 2, 4].map((i) => part(i, { key: 'large', correction: { large } })),
        );
        const { feedback_stats: one } = await call(server, 'GET', `/runs/${runs[0].id}`);
        assert.equal(one.much.n, many / 2);
        assert.equal(one.much.avg, 1);
        assert.equal(one.large.n, 3);
        const both = await call(server, 'POST', '/runs/query', {
            id: runs.map((run) => run.id),
            select: ['id', 'feedback_stats'],
        });
        assert.deepEqual(
            both.runs.map((run) => run.feedback_stats.much.n),
            [many / 2, many / 2],
        );
        const { feedback_stats: sum } = await call(server, 'POST', '/runs/stats', {
            id: runs.map((run) => run.id),
        });
        assert.equal(sum.much.n, many);
        // Every way to walk them gives each once, in the same order.
        const all = [];
        for (let page; page?.length !== 0; all.push(...page))
            page = await call(
                server,
                'GET',
                `/feedback?run=${runs[0].id}&key=much&limit=1000&offset=${all.length}`,
            );
        assert.equal(new Set(all.map((each) => each.id)).size, many / 2);
        const last = await call(
            server,
            'GET',
            `/feedback?run=${runs[0].id}&key=much&key=none&source=api&limit=10&offset=${many / 2 - 10}`,
        );
        assert.deepEqual(last, all.slice(-10));
        // Also those of a project, behind all that are of others and do not say so.
        const old = makeRun({ session_name: 'little' });
        const [first] = part(0, {});
        await storeParts(server, [
            mainPart(old),
            [first, 'application/json', json({ id: first.slice(9), run_id: old.id, key: 'k', created_at: '2020-01-01T00:00:00Z' })],
        ]);
        const { session_id: little } = await call(server, 'GET', `/runs/${old.id}`);
        const { session_id: much } = await call(server, 'GET', `/runs/${runs[0].id}`);
        const ofProject = (query) => call(server, 'GET', `/feedback?session=${query}`);
        assert.deepEqual((await ofProject(little)).map((each) => each.id), [first.slice(9)]);
        assert.equal((await ofProject(`${much}&limit=1000&offset=5500`)).length, 503);
        const ofLarge = await call(server, 'GET', `/feedback?run=${runs[0].id}&key=large`);
        assert.deepEqual(
            ofLarge.map((each) => each.correction.large.length),
            [1 << 20, 1 << 20, 1 << 20],
        );
    });
    it('of a project is listed with little memory, however much there is of others', async () => {
        const small = await Server.start({ flags: ['--answers-max', '2MiB'] });
        try {
            const run = makeRun({ session_name: 'much' });
            const comment = 'c'.repeat(2000);
            const parts = Array.from({ length: 3000 }, () => {
                const id = uuid();
                return [
                    `feedback.${id}`,
                    'application/json',
                    json({ id, run_id: run.id, trace_id: run.id, key: 'k', comment }),
                ];
            });
            await storeParts(small, [mainPart(run), ...parts]);
            const { id } = await call(small, 'POST', '/sessions', { name: 'none' });
            assert.deepEqual(await call(small, 'GET', `/feedback?session=${id}`), []);
            const { session_id } = await call(small, 'GET', `/runs/${run.id}?fields=session_id`);
            const last = await call(small, 'GET', `/feedback?session=${session_id}&offset=2990`);
            assert.equal(last.length, 10);
        } finally {
            await small.close();
        }
    });
    it('tokens let others give it until they expire', async () => {
        const run = await storeRun(server);
        const token = await call(server, 'POST', '/feedback/tokens', {
            run_id: run.id,
            feedback_key: 'thumb',
            expires_in: { hours: 1 },
        });
        const url = new URL(token.url);
        assert.equal(url.port, String(server.port));
        await call(server, 'GET', `${url.pathname}?score=1&comment=nice`);
        await call(server, 'POST', url.pathname, { score: 0, value: 'down' });
        const { feedback_stats } = await call(server, 'GET', `/runs/${run.id}`);
        assert.equal(feedback_stats.thumb.n, 2);
        assert.equal(feedback_stats.thumb.avg, 0.5);
        const [listed] = await call(server, 'GET', `/feedback/tokens?run_id=${run.id}`);
        assert.equal(listed.id, token.id);
        await call(server, 'POST', url.pathname, {
            score: 0.5,
            run_id: uuid(),
            trace_id: uuid(),
            session_id: uuid(),
            key: 'other',
            feedback_source: { type: 'model' },
            error: true,
        });
        const { session_id, trace_id } = await call(server, 'GET', `/runs/${run.id}`);
        const given = await call(server, 'GET', `/feedback?run=${run.id}&key=thumb`);
        assert.equal(given.length, 3);
        for (const one of given)
            assert.deepEqual(
                [one.session_id, one.trace_id, one.feedback_source.type, one.error],
                [session_id, trace_id, 'app', null],
                'it is of the run that the token is for, whatever is said',
            );
        const much = { comment: 'x'.repeat(65536) };
        await call(server, 'POST', url.pathname, much, 413);
        const two = await call(server, 'POST', '/feedback/tokens', [
            { run_id: run.id, feedback_key: 'late', expires_at: '2020-01-01T00:00:00Z' },
            { run_id: run.id, feedback_key: 'good', expires_in: { days: 1, minutes: 1 } },
        ]);
        assert.equal(two.length, 2);
        await call(server, 'GET', `/feedback/tokens/${two[0].id}?score=1`, undefined, 403);
        await call(server, 'GET', `/feedback/tokens/${two[1].id}?score=1e400`, undefined, 422);
        await call(server, 'GET', `/feedback/tokens/${two[1].id}?score=1`);
        await is404(server, 'GET', `/feedback/tokens/${uuid()}?score=1`);
    });
});

describe('shares', () => {
    let server;
    let root;
    let child;
    let other;
    before(async () => {
        server = await Server.start();
        root = await storeRun(server, { name: 'root' });
        child = await storeRun(server, {
            name: 'child',
            trace_id: root.id,
            parent_run_id: root.id,
            start_time: '2026-11-23T16:00:01.000000Z',
        });
        other = await storeRun(server, { name: 'other' });
    });
    after(() => server.close());

    it('a run is shared once, read by its token with its trace, and no more', async () => {
        assert.equal(await call(server, 'GET', `/runs/${root.id}/share`), null);
        const put = await server.ask('PUT', `/runs/${root.id}/share`, {
            headers: { 'content-type': 'text/plain' },
            body: json({ run_id: root.id, share_token: uuid() }),
        });
        assert.equal(put.status, 200, put.text);
        const { share_token } = put.json;
        assert.equal(put.json.run_id, root.id);
        const again = await call(server, 'PUT', `/runs/${root.id}/share`, { share_token: uuid() });
        assert.equal(again.share_token, share_token);
        assert.deepEqual(await call(server, 'GET', `/runs/${root.id}/share`), put.json);
        assert.equal((await call(server, 'GET', `/runs/${root.id}`)).share_token, share_token);

        const at = `/public/${share_token}`;
        assert.equal((await call(server, 'GET', `${at}/run`)).name, 'root');
        assert.equal((await call(server, 'GET', `${at}/r`)).name, 'root');
        assert.equal((await call(server, 'GET', `${at}/run/${child.id}`)).name, 'child');
        await is404(server, 'GET', `${at}/run/${other.id}`);
        const page = await call(server, 'POST', `${at}/runs/query`, {});
        assert.deepEqual(page.runs.map((run) => run.name).sort(), ['child', 'root']);
        assert.equal(page.cursors.next, null);
        const one = await call(server, 'POST', `${at}/runs/query`, { id: [child.id, other.id] });
        assert.deepEqual(
            one.runs.map((run) => run.name),
            ['child'],
        );
        const many = { id: Array.from({ length: 1001 }, () => child.id) };
        await call(server, 'POST', `${at}/runs/query`, many, 422);
        for (const path of [`runs?id=${child.id}`, `runsshare_token=${share_token}&id=${child.id}`])
            assert.deepEqual(
                (await call(server, 'GET', `${at}/${path}`)).map((run) => run.name),
                ['child'],
                path,
            );
        assert.equal((await call(server, 'GET', `${at}/runs`)).length, 2);

        await call(server, 'DELETE', `/runs/${root.id}/share`);
        await call(server, 'DELETE', `/runs/${root.id}/share`);
        assert.equal(await call(server, 'GET', `/runs/${root.id}/share`), null);
        assert.equal((await call(server, 'GET', `/runs/${root.id}`)).share_token, null);
        for (const path of ['run', `run/${child.id}`, 'runs', 'r'])
            await is404(server, 'GET', `${at}/${path}`);
        await is404(server, 'POST', `${at}/runs/query`, {});
    });
    it('of a run that is not there there is none', async () => {
        await is404(server, 'PUT', `/runs/${uuid()}/share`, {});
        await is404(server, 'GET', `/public/${uuid()}/run`);
    });
    it('a token is one run\'s', async () => {
        const { share_token } = await call(server, 'PUT', `/runs/${root.id}/share`, {});
        await call(server, 'PUT', `/runs/${other.id}/share`, { share_token }, 409);
    });
    it('ends with its run', async () => {
        const run = await storeRun(server);
        const { share_token } = await call(server, 'PUT', `/runs/${run.id}/share`, {});
        await call(server, 'DELETE', `/runs/${run.id}`, undefined, 202);
        await is404(server, 'GET', `/public/${share_token}/run`);
    });
});

describe('deletes', () => {
    let server;
    before(async () => (server = await Server.start()));
    after(() => server.close());
    const query = async (body) =>
        (await call(server, 'POST', '/runs/query', body)).runs.map((run) => run.id);

    it('a run is gone from every answer, and does not come back', async () => {
        const root = await storeRun(server, { session_name: 'd1' });
        const child = await storeRun(server, { trace_id: root.id, parent_run_id: root.id });
        assert.equal((await call(server, 'GET', `/runs/${child.id}`)).id, child.id);
        await call(server, 'DELETE', `/runs/${child.id}`, undefined, 202);
        await is404(server, 'GET', `/runs/${child.id}`);
        assert.deepEqual(await query({ trace: root.id }), [root.id]);
        assert.equal((await server.get(`/runs/search?trace_id=${root.id}`)).json.runs.length, 1);
        await storeRun(server, { ...child, name: 'again' });
        await is404(server, 'GET', `/runs/${child.id}`);
        await is404(server, 'DELETE', `/runs/${child.id}`);
    });
    it('a trace with all its runs, also those that come later', async () => {
        const root = await storeRun(server);
        const said = await call(server, 'DELETE', `/runs?trace_id=${root.id}`, undefined, 202);
        assert.equal(said.deleted, 1);
        assert.match(said.receipt, /^[0-9a-f-]{36}$/);
        await is404(server, 'GET', `/runs/${root.id}`);
        const late = await storeRun(server, { trace_id: root.id, parent_run_id: root.id });
        await is404(server, 'GET', `/runs/${late.id}`);
        await is404(server, 'DELETE', `/runs?trace_id=${root.id}`);
        await call(server, 'DELETE', '/runs', undefined, 400);
    });
    it('several at once', async () => {
        const runs = [];
        for (let i = 0; i < 3; i++) runs.push(await storeRun(server));
        const { deleted } = await call(
            server,
            'POST',
            '/api/v1/runs/delete',
            { ids: [runs[0].id, runs[0].id, uuid()], trace_ids: [runs[1].id, runs[1].id] },
            202,
        );
        assert.equal(deleted, 2, 'each is counted once');
        assert.deepEqual(await query({ id: runs.map((run) => run.id) }), [runs[2].id]);
        assertFault(await server.post('/runs/delete', {}), 'missing', ['body', 'trace_ids']);
    });
    it('a project, which takes no more runs by its id', async () => {
        const { id: session_id } = await call(server, 'POST', '/sessions', { name: 'to be gone' });
        await storeRun(server, { session_id });
        await call(server, 'DELETE', `/sessions/${session_id}`, undefined, 202);
        const [good, bad] = [makeRun(), makeRun({ session_id })];
        const both = [good, bad].map((one) => ({ ...one, dotted_order: dotted(one) }));
        for (const [path, body] of [
            ['/runs', bad],
            ['/runs/batch', { post: both }],
        ]) {
            const answer = await server.post(path, body);
            assert.equal(answer.status, 422, answer.text);
            assert.equal(answer.json.detail, `run ${bad.id}: session_id: the project was deleted`);
        }
        const { id, trace_id, name } = bad;
        assertFault(await server.post('/runs', [{ id, trace_id, name, session_id }]), 'value_error', [
            'body',
            0,
            'session_id',
        ]);
        await is404(server, 'GET', `/runs/${good.id}`);
        await call(server, 'POST', '/runs/batch', { post: both.slice(0, 1) }, 202);
        await call(server, 'GET', `/runs/${good.id}`);
        const named = await storeRun(server, { session_name: 'to be gone' });
        const shown = await call(server, 'GET', `/runs/${named.id}`);
        assert.notEqual(shown.session_id, session_id);
    });
    it('a project with its runs; its name is free for a new one', async () => {
        const run = await storeRun(server, { session_name: 'doomed' });
        const { session_id } = await call(server, 'GET', `/runs/${run.id}`);
        const { id } = await call(server, 'POST', '/feedback', { run_id: run.id, key: 'k' });
        await call(server, 'DELETE', `/sessions/${session_id}`, undefined, 202);
        await is404(server, 'GET', `/runs/${run.id}`);
        await is404(server, 'GET', `/feedback/${id}`);
        assert.deepEqual(await call(server, 'GET', '/sessions?name=doomed'), []);
        const next = await storeRun(server, { session_name: 'doomed' });
        const made = await call(server, 'GET', `/runs/${next.id}`);
        assert.notEqual(made.session_id, session_id);
        await is404(server, 'GET', `/runs/${run.id}`);
    });
});

describe('attachments', () => {
    let server;
    let run;
    const bytes = Buffer.from([0, 1, 2, 253, 254, 255, 13, 10, 45, 45]);
    before(async () => {
        server = await Server.start({ env: { RUNDLET_API_KEY: 'a-key-of-ours' } });
        run = makeRun();
        const { body, headers } = multipart([
            mainPart(run),
            [`attachment.${run.id}.my pic ü`, 'image/png', bytes],
            [`attachment.${run.id}.empty`, 'text/plain', ''],
        ]);
        const answer = await server.ask('POST', '/runs/multipart', {
            body,
            headers: { ...headers, 'x-api-key': 'a-key-of-ours' },
        });
        assert.equal(answer.status, 202, answer.text);
    });
    after(() => server.close());
    const keyed = { 'x-api-key': 'a-key-of-ours' };
    const links = async () =>
        (await call(server, 'GET', `/runs/${run.id}`, undefined, 200, keyed)).s3_urls;

    it('are read by an address that needs no key, and cannot be made up', async () => {
        const urls = await links();
        const link = urls['attachment.my pic ü'];
        assert.equal(link.mime_type, 'image/png');
        assert.equal((await server.get(`/runs/${run.id}`)).status, 401);
        const answer = await server.get(link.presigned_url);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], 'image/png');
        assert.deepEqual(answer.body, bytes);
        const other = link.presigned_url.replace(/=[0-9a-f]{32}$/, `=${'0'.repeat(32)}`);
        assert.notEqual(other, link.presigned_url);
        assert.equal((await server.get(other)).status, 403);
        assert.equal((await server.get('/public/download')).status, 403);
        const swapped = link.presigned_url.replace(/name=[^&]*/, 'name=empty');
        assert.equal((await server.get(swapped)).status, 403);
    });
    it('a range of them, and nothing of nothing', async () => {
        const urls = await links();
        const at = urls['attachment.my pic ü'].presigned_url;
        const part = await server.get(at, { range: 'bytes=2-4' });
        assert.equal(part.status, 206);
        assert.equal(part.headers['content-range'], 'bytes 2-4/10');
        assert.deepEqual(part.body, bytes.subarray(2, 5));
        assert.equal((await server.get(at, { range: 'bytes=10-' })).status, 416);
        const empty = await server.get(urls['attachment.empty'].presigned_url);
        assert.equal(empty.status, 200);
        assert.equal(empty.body.length, 0);
    });
    it('stand in pages of runs too', async () => {
        const page = await call(
            server,
            'POST',
            '/runs/query',
            { id: [run.id], select: ['inputs'] },
            200,
            keyed,
        );
        assert.deepEqual(page.runs[0].s3_urls, await links());
    });
    it('end with their run', async () => {
        const at = (await links())['attachment.my pic ü'].presigned_url;
        await call(server, 'DELETE', `/runs/${run.id}`, undefined, 202, keyed);
        assert.equal((await server.get(at)).status, 404);
    });
});

describe('without a key', () => {
    let server;
    const keyed = { 'x-api-key': 'a-key-of-ours' };
    before(async () => (server = await Server.start({ env: { RUNDLET_API_KEY: 'a-key-of-ours' } })));
    after(() => server.close());

    it('shares and tokens are open, all else is not', async () => {
        const run = makeRun();
        await call(server, 'POST', '/runs', run, 202, keyed);
        const { share_token } = await call(server, 'PUT', `/runs/${run.id}/share`, {}, 200, keyed);
        const token = await call(
            server,
            'POST',
            '/feedback/tokens',
            { run_id: run.id, feedback_key: 'k' },
            200,
            keyed,
        );
        await call(server, 'GET', `/public/${share_token}/run`);
        await call(server, 'GET', `/feedback/tokens/${token.id}?score=1`);
        for (const [method, path] of [
            ['GET', '/sessions'],
            ['POST', '/sessions'],
            ['GET', '/feedback'],
            ['GET', '/feedback/tokens'],
            ['POST', '/feedback/tokens'],
            ['GET', `/runs/${run.id}/share`],
            ['DELETE', `/runs/${run.id}`],
        ])
            await call(server, method, path, method === 'POST' ? {} : undefined, 401);
    });
});

// Nodes of one deployment.
describe('two nodes', { skip: mode !== 'production' }, () => {
    let a;
    let b;
    before(async () => {
        a = await Server.start();
        b = await Server.start({ place: { ...a.place, drop: null } });
    });
    after(async () => {
        await b.close();
        await a.close();
    });
    it('who make the same name at once: one succeeds', async () => {
        for (let round = 0; round < 5; round++) {
            const answers = await Promise.all(
                Array.from({ length: 10 }, (_, i) =>
                    (i % 2 ? a : b).post('/sessions', { name: `raced ${round}` }),
                ),
            );
            const statuses = answers.map((answer) => answer.status).sort();
            assert.deepEqual(statuses, [200, ...Array(9).fill(409)]);
        }
    });
    it('changes of one at the same time are all made', async () => {
        const { id } = await call(a, 'POST', '/sessions', { name: 'busy' });
        await Promise.all([
            call(a, 'PATCH', `/sessions/${id}`, { description: 'd' }),
            call(b, 'PATCH', `/sessions/${id}`, { extra: { a: 1 } }),
        ]);
        for (const node of [a, b]) {
            const shown = await call(node, 'GET', `/sessions/${id}`);
            assert.equal(shown.description, 'd');
            assert.deepEqual(shown.extra, { a: 1 });
        }
    });
    it('what one shares, judges and deletes the other shows', async () => {
        const run = await storeRun(a);
        await call(b, 'POST', '/feedback', { run_id: run.id, key: 'k', score: 1 });
        const { share_token } = await call(b, 'PUT', `/runs/${run.id}/share`, {});
        const shown = await call(a, 'GET', `/runs/${run.id}?consistency=strong`);
        assert.equal(shown.feedback_stats.k.avg, 1);
        assert.equal(shown.share_token, share_token);
        await call(a, 'DELETE', `/runs/${run.id}`, undefined, 202);
        await is404(b, 'GET', `/public/${share_token}/run`);
        await is404(b, 'GET', `/runs/${run.id}?consistency=strong`);
    });
});

describe('all of it', () => {
    // What a server says of what was made below.
    const see = async (server, made) => ({
        project: await call(server, 'GET', `/sessions/${made.project}`),
        byRun: await call(server, 'GET', '/sessions?name=renamed'),
        feedback: await call(server, 'GET', `/feedback/${made.feedback}`),
        stats: (await call(server, 'GET', `/runs/${made.kept.id}`)).feedback_stats,
        share: await call(server, 'GET', `/runs/${made.kept.id}/share`),
        shared: (await call(server, 'GET', `/public/${made.share}/run`)).id,
        gone: (
            await call(server, 'POST', '/runs/query', {
                id: [made.kept.id, made.run.id, made.trace.id, made.projectRun.id],
            })
        ).runs.map((run) => run.id),
        names: (await call(server, 'GET', '/sessions')).map((one) => one.name).sort(),
        token: (await call(server, 'GET', `/feedback/tokens?run_id=${made.kept.id}`)).length,
    });
    const make = async (server) => {
        const made = {};
        await call(server, 'GET', '/sessions');
        made.project = (await call(server, 'POST', '/sessions', { name: 'p', extra: { a: 1 } })).id;
        made.kept = await storeRun(server, { session_name: 'first' });
        const { session_id } = await call(server, 'GET', `/runs/${made.kept.id}`);
        await call(server, 'PATCH', `/sessions/${session_id}`, { name: 'renamed' });
        made.run = await storeRun(server, { session_name: 'p' });
        made.trace = await storeRun(server);
        made.projectRun = await storeRun(server, { session_name: 'doomed' });
        made.feedback = (
            await call(server, 'POST', '/feedback', { run_id: made.kept.id, key: 'k', score: 1 })
        ).id;
        await call(server, 'PATCH', `/feedback/${made.feedback}`, { score: 0.25 });
        made.share = (await call(server, 'PUT', `/runs/${made.kept.id}/share`, {})).share_token;
        await call(server, 'POST', '/feedback/tokens', { run_id: made.kept.id, feedback_key: 'k' });
        await call(server, 'DELETE', `/runs/${made.run.id}`, undefined, 202);
        await call(server, 'DELETE', `/runs?trace_id=${made.trace.id}`, undefined, 202);
        const doomed = await call(server, 'GET', `/runs/${made.projectRun.id}`);
        await call(server, 'DELETE', `/sessions/${doomed.session_id}`, undefined, 202);
        return made;
    };

    it('survives a kill and a rebuild', async () => {
        const server = await Server.start();
        const made = await make(server);
        const before = await see(server, made);
        assert.deepEqual(before.gone, [made.kept.id]);
        assert.deepEqual(before.names, ['default', 'p', 'renamed']);
        assert.equal(before.stats.k.avg, 0.25);
        await server.kill();
        await server.up();
        assert.deepEqual(await see(server, made), before);
        if (mode === 'embedded' || mode === 'bucket+sqlite') {
            await server.stop();
            const args = ['reindex', ...server.place.flags, '--data', server.data];
            const rebuilt = await command(args, { env: server.env });
            assert.equal(rebuilt.code, 0, String(rebuilt.stderr));
            await server.up();
            assert.deepEqual(await see(server, made), before);
        }
        await server.close();
    });
});
