// cache_changes.mjs - runs change: what was acknowledged is what a GET shows, cached or not,
// and a run that did not change stays a hit however much is committed beside it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const HITS = 'rundlet_cache_hits_total{kind="run"}';
const CONFIRMED = 'rundlet_cache_confirmed_total';
const FINDS = 'rundlet_index_reads_total';
const READS = 'rundlet_store_reads_total';

describe('runs that change', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const send = async (method, path, body, status) => {
        const answer = await ask(server, method, path, {
            headers: { 'content-type': 'application/json' },
            body: body && JSON.stringify(body),
        });
        assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
        return answer;
    };
    const begin = async (fields = {}) => {
        const id = uuid();
        const one = {
            trace_id: id,
            dotted_order: `20261123T162243753001Z${id}`,
            name: 'a run',
            run_type: 'tool',
            inputs: { text: 'x'.repeat(20_000) },
        };
        await send('POST', '/runs', { id, ...one, ...fields }, 202);
        return id;
    };
    const patch = (id, fields) => send('PATCH', `/runs/${id}`, fields, 202);
    const get = async (id, cache, headers) => {
        const answer = await server.get(`/runs/${id}`, headers);
        assert.equal(answer.headers['x-cache'], cache);
        return answer;
    };
    const moved = async (names, act) => {
        const before = await server.metrics();
        await act();
        const now = await server.metrics();
        return names.map((name) => now.get(name) - before.get(name));
    };
    // Cached, and read once more.
    const cached = async (id) => {
        await get(id, 'MISS');
        return get(id, 'HIT');
    };

    it('a patch is seen by the next GET, which is a miss, and the one after it is a hit', async () => {
        const id = await begin();
        const old = await cached(id);
        assert.equal(old.json.outputs, null);
        for (let i = 0; i < 20; i++) {
            await patch(id, { outputs: { i } });
            const now = await get(id, 'MISS');
            assert.deepEqual(now.json.outputs, { i });
            assert.notEqual(now.headers.etag, old.headers.etag);
            assert.equal((await get(id, 'HIT')).text, now.text);
        }
    });

    it('so are its fields by themselves, and a choice of fields', async () => {
        const id = await begin();
        const paths = [`/runs/${id}/outputs`, `/runs/${id}?fields=id,outputs`];
        for (const path of paths) {
            await server.get(path);
            assert.equal((await server.get(path)).headers['x-cache'], 'HIT');
        }
        await patch(id, { outputs: { done: true } });
        assert.deepEqual((await server.get(paths[0])).json, { done: true });
        assert.deepEqual((await server.get(paths[1])).json, { id, outputs: { done: true } });
    });

    it('the tag of before is no 304 any more, that of now is one, cached or not', async () => {
        const id = await begin();
        const old = (await cached(id)).headers.etag;
        await patch(id, { outputs: { done: true } });
        const first = await server.get(`/runs/${id}`, { 'if-none-match': old });
        assert.equal(first.status, 200);
        const { etag } = first.headers;
        await server.store([run()]); // so that it has to be confirmed
        assert.equal((await server.get(`/runs/${id}`, { 'if-none-match': etag })).status, 304);
    });

    it('while others are stored it stays a hit: the index is asked, the store is not', async () => {
        const id = await begin();
        const old = await cached(id);
        const counts = await moved([HITS, CONFIRMED, FINDS, READS], async () => {
            for (let i = 0; i < 20; i++) {
                await server.store([run()]);
                assert.equal((await get(id, 'HIT')).text, old.text); // asks
                assert.equal((await get(id, 'HIT')).text, old.text); // need not
            }
        });
        assert.deepEqual(counts, [40, 20, 20, 0]);
    });

    it('under a load of commits it stays a hit, and no patch is missed', async () => {
        const still = await begin();
        const id = await begin();
        const before = await cached(still);
        await cached(id);
        let ended = false;
        const load = Promise.all(
            Array.from({ length: 4 }, async () => {
                while (!ended) await server.store([run(), run()]);
            }),
        );
        try {
            for (let i = 0; i < 50; i++) {
                await patch(id, { outputs: { i } });
                const answers = await Promise.all(
                    Array.from({ length: 4 }, () => server.get(`/runs/${id}`)),
                );
                for (const { json } of answers) assert.deepEqual(json.outputs, { i });
                assert.equal((await get(still, 'HIT')).text, before.text);
            }
        } finally {
            ended = true;
            await load;
        }
    });

    it('the cold run that many ask for after a patch is read few times', async () => {
        const id = await begin();
        await cached(id);
        await patch(id, { outputs: { done: true } });
        const [reads] = await moved([READS], async () => {
            const answers = await Promise.all(
                Array.from({ length: 32 }, () => server.get(`/runs/${id}`)),
            );
            for (const { json } of answers) assert.deepEqual(json.outputs, { done: true });
        });
        assert.ok(reads < 32, `${reads}`);
    });

    it('a run that was deleted is 404 at once, though it was cached', async () => {
        const id = await begin();
        await cached(id);
        await send('DELETE', `/runs/${id}`, null, 202);
        assert.equal((await server.get(`/runs/${id}`)).status, 404);
        assert.equal((await server.get(`/runs/${id}/inputs`)).status, 404);
    });

    it('so is one whose project was', async () => {
        const name = `p-${uuid()}`;
        const id = await begin({ session_name: name });
        const { session_id } = (await cached(id)).json;
        await send('DELETE', `/sessions/${session_id}`, null, 202);
        assert.equal((await server.get(`/runs/${id}`)).status, 404);
    });

    it('the new name of a project is on its runs, cached or not, with another tag', async () => {
        const name = `p-${uuid()}`;
        const id = await begin({ session_name: name });
        const old = await cached(id);
        assert.equal(old.json.session_name, name);
        await send('PATCH', `/sessions/${old.json.session_id}`, { name: `${name}-new` }, 200);
        const now = await server.get(`/runs/${id}`, { 'if-none-match': old.headers.etag });
        assert.equal(now.status, 200);
        assert.equal(now.json.session_name, `${name}-new`);
        assert.equal((await get(id, 'HIT')).text, now.text);
    });

    it('feedback makes another run of it', async () => {
        const id = await begin();
        const old = await cached(id);
        await send('POST', '/feedback', { run_id: id, key: 'correct', score: 1 }, 200);
        assert.notEqual((await get(id, 'MISS')).headers.etag, old.headers.etag);
        await get(id, 'HIT');
    });
});
