// limits.mjs - every limit has an answer: 413, 414, 431, 408, 429, 421, 405,
// 403; and many connections at rest cost little.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { Wire, ask, assertFault, head, run, uuid } from './lib/client.mjs';
import { Server, run as command } from './lib/server.mjs';

const KiB = 1 << 10;
const MiB = 1 << 20;

describe('sizes', () => {
    let server;
    before(async () => {
        server = await Server.start({
            flags: [
                '--body-max',
                '1MiB',
                '--wire-max',
                '512KiB',
                '--run-max',
                '256KiB',
                '--batch-runs-max',
                '100',
            ],
        });
    });
    after(() => server.close());

    const sized = (n, more = {}) => {
        const one = { ...run(more), inputs: { text: '' } };
        one.inputs.text = 'x'.repeat(n - JSON.stringify(one).length);
        const text = JSON.stringify(one);
        assert.equal(text.length, n);
        return text;
    };
    const gone = async (id) => assert.equal((await server.get(`/runs/${id}`)).status, 404);

    it('a body that says it is over the wire limit: 413 before one byte of it is sent', async () => {
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': 512 * KiB + 1,
            }),
        );
        const answer = await wire.answer(5000);
        assert.equal(answer?.status, 413);
        assert.match(JSON.parse(answer.text).detail, /524288|512 ?KiB/);
        wire.close();
    });
    it('a chunked body over the wire limit: 413 as soon as it is known', async () => {
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Transfer-Encoding': 'chunked',
            }),
        );
        const piece = `10000\r\n${' '.repeat(0x10000)}\r\n`;
        for (let i = 0; i < 9; i++) wire.send(piece);
        const answer = await wire.answer(5000); // the last chunk was not sent
        assert.equal(answer?.status, 413);
        wire.close();
    });
    it('a body over the decoded limit: 413 with the limit', async () => {
        const noise = Array.from({ length: 8 }, () => sized(200 * KiB));
        const text = `[${noise.join()}]`;
        assert.ok(text.length > MiB);
        const answer = await server.post('/runs', zlib.gzipSync(text), {
            'content-encoding': 'gzip',
        });
        assert.equal(answer.status, 413);
        assert.match(answer.json.detail, /1048576|1 ?MiB/);
    });
    it('a run over its limit: 413 with the limit, nothing stored', async () => {
        const id = uuid();
        const answer = await server.post(
            '/runs',
            `[${JSON.stringify(run({ id }))},${sized(256 * KiB + 1)}]`,
        );
        assert.equal(answer.status, 413);
        assert.match(answer.json.detail, /262144|256 ?KiB/);
        await gone(id);
        assert.equal((await server.post('/runs', `[${sized(256 * KiB)}]`)).status, 201);
    });
    it('a run over its limit is refused before its end is sent', async () => {
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': 400 * KiB,
            }),
        );
        wire.send(`[${sized(300 * KiB).slice(0, 280 * KiB)}`);
        assert.equal((await wire.answer(5000))?.status, 413);
        wire.close();
    });
    it('runs over their number: 413 with the limit, nothing stored', async () => {
        const ids = Array.from({ length: 101 }, () => uuid());
        const answer = await server.post(
            '/runs',
            ids.map((id) => run({ id })),
        );
        assert.equal(answer.status, 413);
        assert.match(answer.json.detail, /\b100\b/);
        for (const id of [ids[0], ids[99], ids[100]]) await gone(id);
        assert.equal(
            (
                await server.post(
                    '/runs',
                    ids.slice(1).map((id) => run({ id })),
                )
            ).status,
            201,
        );
    });
    it('a name over 8 KiB: 413', async () => {
        assert.equal((await server.post('/runs', [run({ name: 'n'.repeat(8193) })])).status, 413);
        assert.equal((await server.post('/runs', [run({ name: 'n'.repeat(8192) })])).status, 201);
        assert.equal((await server.post('/runs', [run({ name: 'é'.repeat(4097) })])).status, 413);
    });
    it('/runs/batch has a limit too', async () => {
        const answer = await server.post('/runs/batch', `["${'x'.repeat(MiB)}"]`);
        assert.ok([413, 422].includes(answer.status));
    });
    it('a body limit over the bytes in flight does not start, and says why', async () => {
        const made = await command([
            'serve',
            '--data',
            `${server.home}/other`,
            '--listen',
            '127.0.0.1:0',
            '--body-max',
            '8MiB',
            '--inflight-max',
            '4MiB',
        ]);
        assert.ok(made.code > 0, `code ${made.code}`);
        assert.match(String(made.stderr), /inflight/);
    });
});

describe('heads', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const send = async (text) => {
        const wire = await Wire.open(server);
        wire.send(text);
        const answer = await wire.answer(10_000);
        wire.close();
        return answer;
    };

    it('a URI over 8 KiB: 414', async () => {
        const answer = await send(head(server, 'GET', `/runs/search?name=${'x'.repeat(8300)}`));
        assert.equal(answer?.status, 414);
        assert.equal(typeof JSON.parse(answer.text).detail, 'string');
        const fits = await send(head(server, 'GET', `/runs/search?name=${'x'.repeat(8000)}`));
        assert.equal(fits?.status, 200);
    });
    it('a URI without end: 414, without waiting for it', async () => {
        assert.equal((await send(`GET /${'x'.repeat(100_000)}`))?.status, 414);
    });
    it('a header line over 16 KiB: 431', async () => {
        assert.equal(
            (await send(head(server, 'GET', '/health', { 'X-A': 'y'.repeat(17_000) })))?.status,
            431,
        );
        assert.equal(
            (await send(head(server, 'GET', '/health', { 'X-A': 'y'.repeat(15_000) })))?.status,
            200,
        );
    });
    it('more than 100 headers: 431', async () => {
        const many = (n) =>
            Object.fromEntries(Array.from({ length: n }, (_, i) => [`X-${i}`, 'y']));
        assert.equal((await send(head(server, 'GET', '/health', many(105))))?.status, 431);
        assert.equal((await send(head(server, 'GET', '/health', many(90))))?.status, 200);
    });
    it('headers over 64 KiB together: 431', async () => {
        const many = Object.fromEntries(
            Array.from({ length: 9 }, (_, i) => [`X-${i}`, 'y'.repeat(8000)]),
        );
        assert.equal((await send(head(server, 'GET', '/health', many)))?.status, 431);
    });
    it('headers without end: 431, without waiting for it', async () => {
        const wire = await Wire.open(server);
        wire.send(`GET /health HTTP/1.1\r\nHost: ${server.authority}\r\nX-A: `);
        for (let i = 0; i < 30 && !wire.closed; i++) wire.send('z'.repeat(10_000));
        assert.equal((await wire.answer(5000))?.status, 431);
        wire.close();
    });

    it('an unknown path: 404', async () => {
        for (const path of [
            '/nothing',
            '/runs/',
            '/runs//',
            '/run',
            '/RUNS',
            '/runs/search/x',
            '/../etc/passwd',
            '/%2e%2e/etc/passwd',
            '/runs%2Fsearch',
        ])
            assert.equal(
                (await send(head(server, 'GET', path)))?.status,
                path === '/runs%2Fsearch' ? 404 : 404,
                path,
            );
    });
    it('a wrong method: 405 with Allow', async () => {
        for (const [method, path, allow] of [
            ['PUT', '/runs', 'POST'],
            ['GET', '/runs', 'POST'],
            ['POST', '/runs/search', 'GET'],
            ['GET', '/runs/batch', 'POST'],
            ['POST', `/runs/${uuid()}`, 'GET'],
            ['POST', `/runs/${uuid()}/inputs`, 'GET'],
            ['DELETE', '/health', 'GET'],
            ['POST', '/metrics', 'GET'],
            ['PUT', '/openapi.json', 'GET'],
        ]) {
            const answer = await ask(server, method, path);
            // GET /runs/batch may be read as a run of that name, which is no uuid.
            if (path === '/runs/batch' && answer.status === 422) continue;
            assert.equal(answer.status, 405, `${method} ${path}: ${answer.text}`);
            assert.ok(
                answer.headers.allow.split(/, */).includes(allow),
                `${path}: ${answer.headers.allow}`,
            );
            if (allow === 'GET')
                assert.ok(answer.headers.allow.includes('HEAD'), answer.headers.allow);
        }
    });
    it('methods nobody uses are refused, not run', async () => {
        for (const method of ['TRACE', 'PROPFIND', 'BREW', 'CONNECT']) {
            const wire = await Wire.open(server);
            wire.send(head(server, method, method === 'CONNECT' ? '127.0.0.1:80' : '/health'));
            const answer = await wire.answer(5000);
            assert.ok([400, 405, 501].includes(answer?.status), `${method}: ${answer?.status}`);
            wire.close();
        }
    });
});

describe('who may ask', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    it('a Host we are not: 421, for reads and writes', async () => {
        for (const host of [
            'evil.example',
            'evil.example:8000',
            '127.0.0.1.evil.example',
            'localhost.evil.example',
            '10.0.0.1',
        ]) {
            assert.equal((await server.get('/health', { host })).status, 421, host);
            assert.equal((await server.get(`/runs/search?name=x`, { host })).status, 421, host);
            assert.equal((await server.post('/runs', [run()], { host })).status, 421, host);
        }
    });
    it('the names of loopback are ours', async () => {
        for (const host of [
            'localhost',
            `localhost:${server.port}`,
            '127.0.0.1',
            `127.0.0.1:${server.port}`,
            'LOCALHOST',
            `[::1]:${server.port}`,
        ])
            assert.equal((await server.get('/health', { host })).status, 200, host);
    });
    it('a write from another site: 403, nothing stored', async () => {
        for (const headers of [
            { origin: 'http://evil.example' },
            { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
            { 'sec-fetch-site': 'cross-site' },
            { origin: 'null' },
            { origin: 'http://127.0.0.1:1' },
        ]) {
            const id = uuid();
            const answer = await server.post('/runs', [run({ id })], headers);
            assert.equal(answer.status, 403, JSON.stringify(headers));
            assert.equal((await server.get(`/runs/${id}`)).status, 404);
        }
    });
    it('a write from our own page is fine', async () => {
        for (const headers of [
            { origin: `http://${server.authority}`, 'sec-fetch-site': 'same-origin' },
            { 'sec-fetch-site': 'none' },
            { 'sec-fetch-site': 'same-origin' },
        ])
            assert.equal(
                (await server.post('/runs', [run()], headers)).status,
                201,
                JSON.stringify(headers),
            );
    });
    it("a client that is no browser's page (Node's fetch says sec-fetch-mode) is fine", async () => {
        const answer = await server.post('/runs', [run()], {
            'sec-fetch-mode': 'cors',
            'accept-language': '*',
        });
        assert.equal(answer.status, 201);
    });
    it('text/plain is refused on writes: 415', async () => {
        for (const path of ['/runs', '/runs/batch'])
            for (const type of [
                'text/plain',
                'text/plain;charset=UTF-8',
                'application/x-www-form-urlencoded',
            ])
                assert.equal(
                    (await server.post(path, [run()], { 'content-type': type })).status,
                    415,
                    `${path} ${type}`,
                );
    });
    it('no answer allows another origin', async () => {
        const [id] = await server.store([run()]);
        for (const path of [`/runs/${id}`, '/health', '/openapi.json']) {
            const answer = await server.get(path, { origin: 'http://evil.example' });
            assert.equal(answer.headers['access-control-allow-origin'], undefined);
            assert.match(answer.headers['x-content-type-options'] ?? '', /nosniff/i, path);
        }
        const preflight = await ask(server, 'OPTIONS', '/runs', {
            headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
        });
        assert.equal(preflight.headers['access-control-allow-origin'], undefined);
    });
});

describe('time', () => {
    let server;
    before(async () => {
        server = await Server.start({
            flags: ['--head-timeout', '1s', '--idle-timeout', '2s', '--body-grace', '1s'],
        });
    });
    after(() => server.close());

    it('a head that does not come: 408, and closed', async () => {
        const wire = await Wire.open(server);
        wire.send('GET /health HTTP/1.1\r\nHost: ');
        const answer = await wire.answer(10_000);
        assert.equal(answer?.status, 408);
        assert.equal(typeof JSON.parse(answer.text).detail, 'string');
        assert.ok(await wire.untilClosed(3000));
        wire.close();
    });
    it('a head that drips is not given more time: 408', async () => {
        const wire = await Wire.open(server);
        wire.send('GET /health HTTP/1.1\r\n');
        const began = Date.now();
        const drip = setInterval(() => wire.send(`X-${Date.now()}: y\r\n`), 200);
        const answer = await wire.answer(10_000);
        clearInterval(drip);
        assert.equal(answer?.status, 408);
        assert.ok(Date.now() - began < 8000);
        wire.close();
    });
    it('an idle connection is closed, without a word', async () => {
        const wire = await Wire.open(server);
        wire.send(head(server, 'GET', '/health'));
        assert.equal((await wire.answer()).status, 200);
        assert.ok(await wire.untilClosed(10_000), 'closed');
        assert.equal(wire.received.length, 0);
        wire.close();
    });
    it('a body that is slow but not too slow is taken', async () => {
        const text = JSON.stringify([run({ inputs: { text: 'x'.repeat(6000) } })]);
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': text.length,
            }),
        );
        for (let at = 0; at < text.length; at += 500) {
            wire.send(text.slice(at, at + 500));
            await new Promise((resolve) => setTimeout(resolve, 200)); // 2.5 KB a second
        }
        assert.equal((await wire.answer(20_000))?.status, 201);
        wire.close();
    });
    it('a body that stalls: 408, after its grace', async () => {
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': 1000,
            }) + '[',
        );
        const answer = await wire.answer(20_000);
        assert.equal(answer?.status, 408);
        wire.close();
    });
});

describe('capacity', () => {
    let server;
    before(async () => {
        server = await Server.start({
            flags: ['--inflight-max', '4MiB', '--body-max', '4MiB', '--run-max', '4MiB'],
        });
    });
    after(() => server.close());
    // Wait until the server holds so many.
    async function inFlight(enough) {
        const end = Date.now() + 60_000;
        for (;;) {
            const bytes = (await server.metrics()).get('rundlet_bytes_in_flight');
            if (enough(bytes)) return;
            assert.ok(Date.now() < end, `bytes in flight are ${bytes}`);
        }
    }

    it('bytes in flight over the budget: 429 with Retry-After, and afterwards all is well', async () => {
        const text = `[${JSON.stringify(run({ inputs: { text: 'x'.repeat(3 * MiB) } }))}]`;
        const large = [run({ inputs: { text: 'y'.repeat(2 * MiB) } })];
        const held = await Wire.open(server);
        try {
            held.send(
                head(server, 'POST', '/runs', {
                    'Content-Type': 'application/json',
                    'Content-Length': text.length,
                }),
            );
            held.send(text.slice(0, -10));
            await inFlight((bytes) => bytes >= 3 * MiB - 65536);

            const refused = await server.post('/runs', large);
            assert.equal(refused.status, 429, refused.text);
            assert.equal(refused.headers['retry-after'], '1');
            const small = await server.post('/runs', [run()]);
            assert.equal(small.status, 201, `what is small still fits: ${small.text}`);

            held.send(text.slice(-10));
            const answer = await held.answer();
            assert.equal(answer?.status, 201, answer?.body);
        } finally {
            held.close();
        }
        await inFlight((bytes) => bytes === 0);
        const answer = await server.post('/runs', large);
        assert.equal(answer.status, 201, answer.text);
    });
    it('a length that is only promised takes nothing', async () => {
        const wires = [];
        for (let i = 0; i < 20; i++) {
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Content-Type': 'application/json',
                    'Content-Length': 3 * MiB,
                }) + '[',
            );
            wires.push(wire);
        }
        assert.equal(
            (await server.post('/runs', [run({ inputs: { text: 'z'.repeat(3 * MiB) } })])).status,
            201,
        );
        for (const wire of wires) wire.close();
    });
    it('the budget is given back when clients leave', async () => {
        const text = `[${JSON.stringify(run({ inputs: { text: 'x'.repeat(MiB) } }))}]`;
        for (let round = 0; round < 10; round++) {
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Content-Type': 'application/json',
                    'Content-Length': text.length,
                }),
            );
            wire.send(text.slice(0, -5));
            await new Promise((resolve) => wire.socket.write('', resolve));
            wire.close();
        }
        await inFlight((bytes) => bytes === 0);
    });
});

describe('connections at rest', () => {
    it('a thousand cost at most 8 KiB each, and the next request is answered', async () => {
        const server = await Server.start();
        try {
            const [id] = await server.store([run()]);
            // Warm up: what is allocated once is not theirs.
            for (let i = 0; i < 50; i++) await server.get(`/runs/${id}`);
            const at = server.rss();
            const wires = [];
            for (let i = 0; i < 1000; i++) {
                const wire = await Wire.open(server);
                wire.send(head(server, 'GET', `/runs/${id}`));
                assert.equal((await wire.answer()).status, 200);
                wires.push(wire);
            }
            assert.ok((await server.metrics()).get('rundlet_http_connections') >= 1000);
            const each = (server.rss() - at) / 1000;
            assert.equal((await server.get(`/runs/${id}`)).status, 200);
            assert.equal((await server.post('/runs', [run()])).status, 201);
            // All of them are still good.
            for (const wire of wires) wire.send(head(server, 'GET', '/health'));
            for (const wire of wires) assert.equal((await wire.answer()).status, 200);
            for (const wire of wires) wire.close();
            // ASan keeps what is freed, so the figure means nothing there.
            if (!process.env.ASAN_OPTIONS) assert.ok(each <= 8 * KiB, `${each} bytes each`);
        } finally {
            await server.close();
        }
    });
});
