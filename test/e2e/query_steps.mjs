// query_steps.mjs - queries that have much to look through: they go on in steps, end their
// page in time, let others have their turn, and stop when nobody waits any more.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { ask, run, uuid } from './lib/client.mjs';
import { all, load, useHere } from './lib/clients.mjs';
import { Server, mode } from './lib/server.mjs';

const { Client } = load('langsmith');

const RUNS = 200;
const LOOK = 20;
const at = (i) => new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();
const needle = 'search(name, "needle")'; // no index of any kind knows it
const nothing = 'gt(latency, 1000)';

// Runs of one project, the oldest of which is the needle.
async function fill(server, count = RUNS) {
    const session_name = 'haystack';
    const list = Array.from({ length: count }, (_, i) =>
        run({
            session_name,
            name: i === 0 ? 'a needle' : `hay ${i % 7}`,
            start_time: at(i),
            extra: { metadata: { thread_id: `thread ${i % 3}` } },
        }),
    );
    const ids = [];
    for (let i = 0; i < count; i += 1000)
        ids.push(...(await server.store(list.slice(i, i + 1000))));
    const { json } = await server.get(`/runs/${ids[0]}`);
    return { ids: ids.reverse(), session: [json.session_id] };
}

const post = (server, path, body, headers = {}) =>
    server.post(path, JSON.stringify(body), headers);

// A server without any time for queries: each step of a page that may end is a page.
describe('when time is up', () => {
    let server;
    let ids;
    let session;
    before(async () => {
        const flags = ['--query-timeout', '0', '--query-rows', `${LOOK}`];
        server = await Server.start({ flags });
        ({ ids, session } = await fill(server));
    });
    after(() => server.close());

    const js = { 'user-agent': 'langsmith-js/0.5.0' };
    // All pages, as a client has them that follows cursors.
    async function pages(body, headers) {
        const list = [];
        for (let cursor; cursor !== null; ) {
            const answer = await post(server, '/runs/query', { ...body, cursor }, headers);
            assert.equal(answer.status, 200, answer.text);
            list.push(answer);
            cursor = answer.json.cursors.next;
            assert.ok(list.length <= RUNS, 'it ends');
        }
        return list;
    }
    const runsOf = (list) => list.flatMap((answer) => answer.json.runs);

    it('a page ends with what was found, and says where to go on', async () => {
        const some = await pages({ session, limit: 100, select: ['id'] }, js);
        assert.deepEqual(runsOf(some).map((r) => r.id), ids);
        const backwards = await pages({ session, select: ['id'], order: 'asc' }, js);
        assert.deepEqual(runsOf(backwards).map((r) => r.id), [...ids].reverse());
    });
    it('also with nothing, for an SDK that goes on from there', async () => {
        const none = await pages({ session, filter: nothing }, js);
        assert.ok(none.length >= RUNS / LOOK, `${none.length} pages`);
        assert.deepEqual(runsOf(none), []);
        const one = await pages({ session, filter: needle }, js);
        assert.ok(one.length >= RUNS / LOOK);
        assert.deepEqual(runsOf(one.slice(0, -2)), []);
        assert.deepEqual(runsOf(one).map((r) => r.id), [ids.at(-1)]);
    });
    it('which finds all there is', async () => {
        useHere(server.url);
        const found = await all(new Client().listRuns({ projectName: 'haystack', filter: needle }));
        assert.deepEqual(found.map((r) => r.id), [ids.at(-1)]);
    });
    it('others would take it for the last: the answer begins, and they wait', async () => {
        const found = await post(server, '/runs/query', { session, filter: needle });
        assert.equal(found.status, 200);
        assert.deepEqual(found.json.runs.map((r) => r.name), ['a needle']);
        assert.match(found.text, /^\{"runs":\[ {8,}\{/);
        const [none] = await pages({ session, filter: nothing });
        assert.deepEqual(none.json.runs, []);
        assert.equal(none.json.cursors.next, null);
        const packed = await ask(server, 'POST', '/runs/query', {
            headers: { 'accept-encoding': 'gzip' },
            body: JSON.stringify({ session, filter: nothing }),
        });
        assert.equal(packed.headers['content-encoding'], undefined);
        assert.deepEqual(packed.json.runs, []);
    });
    it('so it is in v2, with events too', async () => {
        const body = { project_ids: session, min_start_time: at(0), selects: ['id', 'name'] };
        const found = await post(server, '/v2/runs/query', { ...body, filter: needle });
        assert.equal(found.status, 200, found.text);
        assert.match(found.text, /^\{"items":\[ {8,}\{/);
        assert.deepEqual(found.json.items.map((r) => r.name), ['a needle']);
        const events = await post(
            server,
            '/v2/runs/query',
            { ...body, filter: nothing },
            { accept: 'text/event-stream' },
        );
        assert.equal(events.status, 200);
        assert.match(events.text, /\n\n(:\n\n){8,}event: data\n/);
        assert.match(events.text, /event: end/);
    });
    it('a list that has no pages is whole', async () => {
        const trace_id = uuid();
        await server.store(
            Array.from({ length: 5 * LOOK }, (_, i) =>
                run({ trace_id, session_name: 'list', start_time: at(i) }),
            ),
        );
        const asked = await post(server, '/runs/query', { trace: trace_id, limit: 1 });
        const project = asked.json.runs[0].session_id;
        const list = await server.get(`/v2/traces/${trace_id}/runs?project_id=${project}`);
        assert.equal(list.status, 200, list.text);
        assert.equal(list.json.items.length, 5 * LOOK);
    });
    it('one run is found, or not', async () => {
        const found = await server.get(`/v2/runs/${ids[3]}`);
        assert.equal(found.status, 200);
        assert.equal((await server.get(`/v2/runs/${uuid()}`)).status, 404);
    });
    it('numbers of all runs are refused, and what to do is said', async () => {
        const stats = await post(server, '/runs/stats', { session });
        assert.equal(stats.status, 503);
        assert.match(stats.json.detail, /less time/);
    });
});

describe('in small steps', () => {
    let server;
    let session;
    before(async () => {
        server = await Server.start({ flags: ['--query-rows', '3'] });
        ({ session } = await fill(server));
    });
    after(() => server.close());

    it('a page is filled', async () => {
        const page = await post(server, '/runs/query', { session, limit: 100, select: ['id'] });
        assert.equal(page.json.runs.length, 100);
        const found = await post(server, '/runs/query', { session, filter: needle });
        assert.deepEqual(found.json.runs.map((r) => r.name), ['a needle']);
        assert.match(found.text, /^\{"runs":\[\{/);
    });
    it('numbers are those of all runs', async () => {
        const stats = await post(server, '/runs/stats', { session });
        assert.equal(stats.json.run_count, RUNS);
    });
    it('threads are those of all runs', async () => {
        const threads = await post(server, '/v2/threads/query', {
            project_id: session[0],
            min_start_time: at(0),
        });
        assert.equal(threads.status, 200, threads.text);
        assert.equal(threads.json.items.length, 3);
    });
});

// Steps of one run, so that there are very many of them.
describe('while a query goes on', () => {
    const MANY = 2000;
    let server;
    let ids;
    let session;
    before(async () => {
        const flags = ['--query-rows', '1', '--index-readers', '1', '--loops', '1'];
        server = await Server.start({ flags });
        ({ ids, session } = await fill(server, MANY));
    });
    after(() => server.close());

    const reads = async () =>
        Number(/\nrundlet_index_reads_total (\d+)/.exec((await server.get('/metrics')).text)[1]);
    async function begun(since) {
        while ((await reads()) < since + 10);
    }
    // On a slow machine a query may have ended before we do anything: then again.
    async function once(attempt, what) {
        for (let i = 0; i < 20; i++) if (await attempt()) return;
        assert.fail(what);
    }
    // The memory index answers at once, and counts nothing.
    const counts = mode === 'log+memory' ? { skip: 'of indexes with readers' } : {};

    async function runWhileQueries() {
        const since = await reads();
        let ended = 0;
        const long = Array.from({ length: 4 }, async () => {
            const answer = await post(server, '/runs/query', { session, filter: nothing });
            ended++;
            return answer;
        });
        await begun(since);
        const one = await server.get(`/runs/${ids[7]}`);
        const before = ended;
        assert.equal(one.status, 200);
        for (const answer of await Promise.all(long)) assert.deepEqual(answer.json.runs, []);
        assert.ok((await reads()) - since >= long.length * MANY);
        return before < long.length;
    }
    it('others have their turn', counts, () =>
        once(runWhileQueries, 'no run came before the end of all queries'),
    );

    // How many steps there were for a client that left after the first ones.
    async function leave(path) {
        const since = await reads();
        const body = JSON.stringify({ session, filter: nothing });
        const request = http.request({
            host: '127.0.0.1',
            port: server.port,
            method: 'POST',
            path,
            headers: { 'content-length': body.length },
        });
        request.on('error', () => {});
        request.end(body);
        await begun(since);
        request.destroy();
        let now = await reads();
        for (let still = 0; still < 20; ) {
            const next = await reads();
            still = next === now ? still + 1 : 0;
            now = next;
        }
        return now - since;
    }
    for (const path of ['/runs/query', '/runs/stats'])
        it(`${path} stops when its client left`, counts, () =>
            once(async () => (await leave(path)) < MANY, 'all steps are made'),
        );
});
