// readers.mjs - readers who leave, who do not read, and who are many.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Wire, dice, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const MB = 1 << 20;

// Text that packs, but not to nothing.
function prose(size) {
    const d = dice(7);
    const words = [];
    for (let length = 0; length < size; length += 6)
        words.push(d.one(['alpha', 'bravo', 'delta', 'sigma', 'omega']));
    return words.join(' ').slice(0, size);
}

async function until(look, what) {
    for (const end = Date.now() + 10_000; Date.now() < end; )
        if (await look()) return;
    assert.fail(what);
}

describe('readers', () => {
    let server;
    let big;
    before(async () => {
        server = await Server.start();
        const body = [run({ name: 'big', inputs: { text: prose(24 * MB) } })];
        [big] = await server.store(JSON.stringify(body));
    });
    after(() => server.close()); // and this must not hang

    const ask = (wire, path, more = '') =>
        wire.send(`GET ${path} HTTP/1.1\r\nHost: ${server.authority}\r\n${more}\r\n`);

    it('who leave in the middle of an encoded answer are forgotten', async () => {
        for (const path of [`/runs/${big}`, '/runs/search?name=big', `/runs/${big}/inputs`])
            for (const coding of ['gzip', 'zstd']) {
                const wire = await Wire.open(server);
                ask(wire, path, `Accept-Encoding: ${coding}\r\n`);
                assert.ok(await wire.until(() => wire.received.length > 100), path);
                wire.socket.pause();
                wire.socket.end(); // half-closed: to the server that is gone
                await wire.until(() => wire.closed, 300);
                wire.close();
            }
        await until(
            async () => (await server.metrics()).get('rundlet_answer_bytes') === 0,
            'what was held for them is given back',
        );
        assert.equal((await server.get(`/runs/${big}?fields=name`)).status, 200);
    });

    it('who do not read are bounded by answers_max, and do not stop writers', async () => {
        const wires = [];
        for (let i = 0; i < 12; i++) {
            const wire = await Wire.open(server);
            wire.socket.pause();
            wires.push(wire);
            ask(wire, '/runs/search?name=big&limit=1');
        }
        await until(
            async () => (await server.metrics()).get('rundlet_answer_bytes') > 16 * MB,
            'what they hold is counted',
        );
        assert.equal((await server.post('/runs', [run()])).status, 201);
        assert.ok(server.rss() < 400 * MB, `${server.rss()} bytes in memory`);
        for (const wire of wires) wire.close();
        await until(
            async () => (await server.metrics()).get('rundlet_answer_bytes') === 0,
            'what was held for them is given back',
        );
    });

    it('who are 150 at once, with a search each, all get theirs', async () => {
        const traces = Array.from({ length: 150 }, () => uuid());
        for (const trace of traces)
            await server.store(
                Array.from({ length: 20 }, () => run({ trace_id: trace, inputs: { a: 'x'.repeat(500) } })),
            );
        const answers = await Promise.all(
            traces.map((trace) =>
                server.ask('GET', `/runs/search?trace_id=${trace}`, { agent: false }),
            ),
        );
        assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
        for (const answer of answers) assert.equal(answer.json.count, 20);
    });

    it('HEAD of a large page says what GET would, and costs nothing', async () => {
        const answer = await server.head('/runs/search?name=big');
        assert.equal(answer.status, 200);
        assert.equal((await server.metrics()).get('rundlet_answer_bytes'), 0);
    });
});
