// packs.mjs - runs that were sealed into packs read as they did before.
//
// Agents' traces with growing histories, and whatever else a client may send,
// go in over HTTP; what every way of reading answers before sealing is what it
// answers after it, byte for byte.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dice, rawMember, uuid } from './lib/client.mjs';
import { Server, run, sealed } from './lib/server.mjs';

const random = dice(20261125);
const words = Array.from({ length: 4000 }, () =>
    Array.from({ length: 3 + random.below(9) }, () => 'etaoinshrdlucmfwyp'[random.below(18)]).join(
        '',
    ),
);
const prose = (n) => Array.from({ length: n }, () => random.one(words)).join(' ');

// The runs of one agent: each call has all that was said before.
function agentTrace(project) {
    const trace = uuid();
    const system = prose(300);
    const said = [`{"role":"system","content":"${system}"}`];
    const runs = [];
    for (let i = 0; i < 2 + random.below(20); i++) {
        said.push(`{"role":"user","content":"${prose(20 + random.below(200))}"}`);
        const answer = `{"role":"assistant","content":"${prose(10 + random.below(300))}"}`;
        const id = random.chance(0.8) ? `"id":"${uuid(Date.now())}",` : '';
        runs.push(
            `{${id}"trace_id":"${trace}","name":"call ${i}","session_name":"${project}",` +
                `"start_time":"2026-11-25T10:00:${String(i).padStart(2, '0')}.000000Z",` +
                `"inputs":{"messages":[${said.join(', ')}], "n" : 1e2},"outputs":{"m":${answer}}}`,
        );
        said.push(answer);
    }
    return { trace, runs };
}

describe('what was sealed', () => {
    let server;
    const stored = []; // { id, trace, raw }
    const traces = [];
    const answers = new Map(); // path -> { status, text, etag } before sealing
    const remembered = ['etag', 'content-type', 'content-length', 'vary'];

    const look = async (path, headers) => {
        const answer = await server.get(path, headers);
        return {
            status: answer.status,
            text: answer.text,
            headers: Object.fromEntries(remembered.map((name) => [name, answer.headers[name]])),
        };
    };
    const post = async (raws) => {
        const ids = await server.store(`[${raws.join(',\n ')}]`);
        raws.forEach((raw, i) => stored.push({ id: ids[i], raw }));
    };

    before(async () => {
        // No cache: what is answered was read.
        server = await Server.start({
            flags: ['--cache', 'none', '--segment-size', '1MiB', '--seal-idle', '365d'],
        });
        for (let i = 0; i < 60; i++) traces.push(agentTrace(`agent-${i % 4}`));
        // Concurrent agents: their runs come in turns, in batches of any size.
        const waiting = traces.map((one) => [...one.runs]);
        let batch = [];
        while (waiting.length) {
            const one = random.below(waiting.length);
            batch.push(waiting[one].shift());
            if (!waiting[one].length) waiting.splice(one, 1);
            if (random.chance(0.2)) {
                await post(batch);
                batch = [];
            }
        }
        if (batch.length) await post(batch);
        const trace = uuid();
        const odd = (members) => `{"trace_id":"${trace}","name":"odd",${members}}`;
        await post([
            odd('"inputs":{}'),
            odd('"inputs":{"a":1,"a":2,"big":123456789012345678901234567890}'),
            odd('"inputs":{"lone":"\\ud800","nul":"\\u0000","e":1E+2}, "outputs" : { }'),
            odd(`"inputs":{"text":"${'日本語 '.repeat(20000)}"}`),
            odd('"unknown":[1,2,3],"metadata":{"m":[[],{}]},"tags":["a","b"]'),
        ]);
        // Larger than a block of a pack, and than what is sent in one piece.
        const large = () => Buffer.from(Array.from({ length: 5 << 20 }, () => random.below(256)));
        await post([odd(`"inputs":{"large":"${large().toString('base64')}"}`)]);
        await post([odd(`"inputs":{"large":"${'ab'.repeat(6 << 20)}"}`), odd('"inputs":{"i":1}')]);
        await post([odd('"inputs":{"last":true}')]);
        traces.push({ trace });

        for (const { id } of stored) answers.set(`/runs/${id}`, await look(`/runs/${id}`));
        for (const { trace } of traces) {
            const path = `/runs/search?trace_id=${trace}&limit=1000`;
            answers.set(path, await look(path));
        }
        for (const path of [
            '/runs/search?name=call&limit=100',
            '/runs/search?name=ODD&limit=3',
            `/runs/${stored.at(-3).id}/inputs`,
            `/runs/${stored[0].id}?fields=name,inputs`,
        ])
            answers.set(path, await look(path));
        await server.restart({
            flags: [...server.flags, '--seal-idle', '100ms', '--seal-rate', '0'],
        });
        await sealed(server);
    });
    after(() => server.close());

    it('is in packs, and the segments are gone', async () => {
        const metrics = await server.metrics();
        assert.ok(metrics.get('rundlet_packs') >= 5, 'several packs');
        assert.equal(metrics.get('rundlet_segments'), 0);
        assert.deepEqual(
            (await readdir(join(server.data, 'segments'))).filter((f) => f.endsWith('.seg')),
            [],
        );
        const packs = await readdir(join(server.data, 'packs'));
        assert.equal(packs.length, metrics.get('rundlet_packs'));
        assert.ok(packs.every((f) => /^[0-9a-f]{16}\.pack$/.test(f)));
        assert.ok(
            metrics.get('rundlet_pack_size_bytes') * 2 < metrics.get('rundlet_sealed_bytes_total'),
            'smaller',
        );
    });
    it('has the bytes that were sent', async () => {
        for (const { id, raw } of stored) {
            const text = (await server.get(`/runs/${id}`)).text;
            for (const field of ['inputs', 'outputs', 'metadata'])
                assert.equal(rawMember(text, field), rawMember(raw, field) ?? '{}', id);
        }
    });
    it('is answered as before: runs, traces, pages, fields, ETags', async () => {
        for (const [path, before] of answers) assert.deepEqual(await look(path), before, path);
    });
    it('is answered in parts', async () => {
        const path = `/runs/${stored.at(-3).id}/inputs`;
        const whole = answers.get(path).text;
        for (const [from, to] of [
            [0, 0],
            [1 << 20, (1 << 20) + 99],
            [whole.length - 10, whole.length - 1],
        ]) {
            const part = await server.get(path, { range: `bytes=${from}-${to}` });
            assert.equal(part.status, 206);
            assert.equal(part.text, whole.slice(from, to + 1));
        }
    });
    it('many by id come in the order asked', async () => {
        const asked = Array.from({ length: 200 }, () => random.one(stored).id);
        const answer = await server.post('/runs/batch', [...new Set(asked)]);
        assert.deepEqual(
            answer.json.runs.map((one) => one.id),
            [...new Set(asked)],
        );
        const texts = [...new Set(asked)].map((id) => answers.get(`/runs/${id}`).text);
        assert.equal(answer.text, `{"runs":[${texts.join()}],"count":${texts.length}}`);
    });
    it('a retry of what is in a pack is a duplicate, other bytes are a conflict', async () => {
        const own = stored.filter(({ raw }) => rawMember(raw, 'id'));
        for (let i = 0; i < 20; i++) {
            const { id, raw } = random.one(own);
            assert.equal((await server.post('/runs', `[${raw}]`)).status, 201);
            const other = await server.post('/runs', `[${raw.replace('"n" : 1e2', '"n":1e3')}]`);
            assert.equal(other.status, 409);
            assert.equal(other.json.run_id, id);
        }
    });
    it('goes on: what comes later lies in a segment, is found, and is sealed in turn', async () => {
        const ids = await server.store([{ trace_id: traces[0].trace, name: 'later', inputs: {} }]);
        assert.equal((await server.get(`/runs/${ids[0]}`)).status, 200);
        const page = await server.get(`/runs/search?trace_id=${traces[0].trace}&limit=1000`);
        assert.equal(page.json.count, traces[0].runs.length + 1);
        await sealed(server);
        assert.equal((await server.get(`/runs/${ids[0]}`)).json.name, 'later');
    });
    it('is the same after a restart, and after the index was made anew', async () => {
        await server.stop();
        const reindex = await run(['reindex', '--data', server.data]);
        assert.equal(reindex.code, 0, reindex.stderr.toString());
        assert.equal(JSON.parse(reindex.stdout).runs, stored.length + 1);
        assert.ok(existsSync(join(server.data, 'index.db')));
        const verify = await run(['verify', '--rows', '--data', server.data]);
        assert.equal(verify.code, 0, verify.stdout.toString() + verify.stderr);
        await server.up();
        for (const { id } of stored) {
            const path = `/runs/${id}`;
            assert.deepEqual(await look(path), answers.get(path), path);
        }
        const path = `/runs/search?trace_id=${traces[1].trace}&limit=1000`;
        assert.deepEqual(await look(path), answers.get(path));
    });
});

describe('while segments are being sealed', () => {
    it('readers never notice, and writers go on', async () => {
        const server = await Server.start({
            flags: ['--segment-size', '1MiB', '--seal-idle', '100ms', '--seal-rate', '4MiB'],
        });
        const stored = [];
        let writing = true;
        const write = async () => {
            for (let i = 0; i < 24; i++) {
                const runs = Array.from({ length: 20 }, (_, n) => ({
                    id: uuid(),
                    trace_id: uuid(),
                    name: `w${i}.${n}`,
                    inputs: { text: prose(2000), i, n },
                }));
                await server.store(runs);
                stored.push(...runs);
            }
            writing = false;
        };
        let reads = 0;
        const read = async () => {
            for (;;) {
                const left = (await server.metrics()).get('rundlet_segments');
                if (!writing && left === 0) return;
                for (let i = 0; i < 20 && stored.length; i++) {
                    const one = random.one(stored);
                    const answer = await server.get(`/runs/${one.id}?fields=inputs`);
                    assert.equal(answer.status, 200, answer.text);
                    assert.deepEqual(answer.json.inputs, one.inputs);
                    reads++;
                }
            }
        };
        await Promise.all([write(), read(), read(), read()]);
        const metrics = await server.metrics();
        assert.ok(metrics.get('rundlet_packs') >= 3);
        assert.ok(reads > 100);
        assert.equal(metrics.get('rundlet_store_corrupt_total'), 0);
        for (const one of stored)
            assert.deepEqual((await server.get(`/runs/${one.id}`)).json.inputs, one.inputs);
        await server.close();
    });
});
