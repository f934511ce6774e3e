// encodings.mjs - bodies that come packed: gzip, zstd, chunked, corrupt, bombs;
// and clients we did not write: curl and Node's fetch.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { Wire, ask, head, run, uuid } from './lib/client.mjs';
import { Server, scratch } from './lib/server.mjs';

const MiB = 1 << 20;
const emptyFrame = Buffer.from('28b52ffd2000010000', 'hex');

function zstd(bytes, ...options) {
    const made = spawnSync('zstd', ['-q', '-c', ...options], { input: bytes, maxBuffer: 1 << 30 });
    assert.equal(made.status, 0, String(made.stderr));
    return made.stdout;
}

async function curl(...args) {
    const child = spawn('curl', ['-sS', '--max-time', '60', ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out = [];
    const err = [];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => err.push(piece));
    const [code] = await once(child, 'close');
    return { code, text: Buffer.concat(out).toString(), talk: Buffer.concat(err).toString() };
}

describe('encodings', () => {
    let server;
    let dir;
    before(async () => {
        server = await Server.start();
        dir = await scratch();
    });
    after(async () => {
        await rm(dir, { recursive: true, force: true });
        await server.close();
    });

    const batch = (n, size = 0) => {
        const ids = Array.from({ length: n }, () => uuid());
        // Text that does not pack to a two-hundredth of its size.
        const runs = ids.map((id) =>
            run({ id, inputs: { text: randomBytes(18 * size).toString('hex') } }),
        );
        return { ids, bytes: Buffer.from(JSON.stringify(runs)) };
    };
    const check = async ({ ids, bytes }) => {
        const sent = JSON.parse(bytes);
        for (let i = 0; i < ids.length; i += Math.ceil(ids.length / 10))
            assert.deepEqual((await server.get(`/runs/${ids[i]}/inputs`)).json, sent[i].inputs);
    };
    const nothing = async ({ ids }) => {
        const found = await server.post('/runs/batch', ids.slice(0, 1000));
        assert.equal(found.text, '{"runs":[],"count":0}');
    };

    for (const [coding, pack] of Object.entries({
        gzip: (bytes) => zlib.gzipSync(bytes),
        'gzip of the best level': (bytes) => zlib.gzipSync(bytes, { level: 9 }),
        'gzip without compression': (bytes) => zlib.gzipSync(bytes, { level: 0 }),
        zstd: (bytes) => zstd(bytes),
        'zstd at level 19': (bytes) => zstd(bytes, '-19'),
        'zstd with a checksum': (bytes) => zstd(bytes, '--check'),
        'zstd without a content size': (bytes) => zstd(bytes, '--no-check', '--no-content-size'),
        identity: (bytes) => bytes,
    }))
        it(`${coding} is decoded`, async () => {
            for (const [n, size] of [
                [1, 0],
                [3, 10],
                [500, 40],
                [20, 5000],
            ]) {
                const sent = batch(n, size);
                const word = coding.split(' ')[0];
                assert.deepEqual(
                    await server.store(pack(sent.bytes), { 'content-encoding': word }),
                    sent.ids,
                );
                await check(sent);
            }
        });

    it('the name of a coding may be in any case', async () => {
        const { ids, bytes } = batch(1);
        assert.deepEqual(
            await server.store(zlib.gzipSync(bytes), { 'content-encoding': 'GZip' }),
            ids,
        );
    });

    it('packed and chunked at once', async () => {
        for (const coding of ['gzip', 'zstd']) {
            const sent = batch(50, 30);
            const packed = coding === 'gzip' ? zlib.gzipSync(sent.bytes) : zstd(sent.bytes);
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Transfer-Encoding': 'chunked',
                    'Content-Encoding': coding,
                }),
            );
            for (let at = 0; at < packed.length; at += 7) {
                const piece = packed.subarray(at, at + 7);
                wire.send(
                    Buffer.concat([
                        Buffer.from(`${piece.length.toString(16)}\r\n`),
                        piece,
                        Buffer.from('\r\n'),
                    ]),
                );
            }
            wire.send('0\r\n\r\n');
            const answer = await wire.answer();
            assert.equal(answer.status, 201, answer.text);
            wire.close();
            await check(sent);
        }
    });

    it('a packed body that comes byte by byte', async () => {
        for (const coding of ['gzip', 'zstd']) {
            const sent = batch(2, 3);
            const packed = coding === 'gzip' ? zlib.gzipSync(sent.bytes) : zstd(sent.bytes);
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Content-Length': packed.length,
                    'Content-Encoding': coding,
                }),
            );
            for (const byte of packed) {
                wire.send(Buffer.from([byte]));
                await new Promise(setImmediate);
            }
            assert.equal((await wire.answer()).status, 201);
            wire.close();
            await check(sent);
        }
    });

    it('several zstd frames, and the empty one that Node sends at the end', async () => {
        const sent = batch(10, 10);
        const half = sent.bytes.length >> 1;
        for (const packed of [
            Buffer.concat([zstd(sent.bytes), emptyFrame]),
            Buffer.concat([
                zstd(sent.bytes.subarray(0, half)),
                zstd(sent.bytes.subarray(half)),
                emptyFrame,
                emptyFrame,
            ]),
        ])
            assert.deepEqual(await server.store(packed, { 'content-encoding': 'zstd' }), sent.ids);
        await check(sent);
    });

    describe('corrupt: 400, and nothing stored', () => {
        const flip = (bytes, at) => {
            const copy = Buffer.from(bytes);
            copy[at < 0 ? copy.length + at : at] ^= 0x55;
            return copy;
        };
        const wrecks = {
            gzip: (bytes) => {
                const good = zlib.gzipSync(bytes);
                return {
                    'not gzip at all': bytes,
                    'cut in the header': good.subarray(0, 5),
                    'cut in the middle': good.subarray(0, good.length >> 1),
                    'cut by one byte': good.subarray(0, -1),
                    'a wrong checksum': flip(good, -6),
                    'a wrong length': flip(good, -2),
                    'a wrong magic': flip(good, 1),
                    'bytes after the end': Buffer.concat([good, Buffer.from('rubbish')]),
                    nothing: Buffer.alloc(0),
                };
            },
            zstd: (bytes) => {
                const good = zstd(bytes, '--check');
                return {
                    'not zstd at all': bytes,
                    'cut in the header': good.subarray(0, 5),
                    'cut in the middle': good.subarray(0, good.length >> 1),
                    'cut by one byte': good.subarray(0, -1),
                    'a wrong checksum': flip(good, -1),
                    'a wrong magic': flip(good, 0),
                    'bytes after the end': Buffer.concat([good, Buffer.from('rubbish')]),
                    'a frame begun after the end': Buffer.concat([good, good.subarray(0, 8)]),
                };
            },
        };
        for (const [coding, wreck] of Object.entries(wrecks)) {
            const names = Object.keys(wreck(Buffer.from('[]')));
            for (const name of names)
                it(`${coding}: ${name}`, async () => {
                    const sent = batch(30, 5);
                    const answer = await server.post('/runs', wreck(sent.bytes)[name], {
                        'content-encoding': coding,
                    });
                    // An empty body has nothing that could be corrupt.
                    assert.ok(
                        name === 'nothing'
                            ? [400, 422].includes(answer.status)
                            : answer.status === 400,
                        `${answer.status} ${answer.text}`,
                    );
                    await nothing(sent);
                });
        }
        it('zstd: a window over 2^27', async () => {
            const child = spawn('sh', [
                '-c',
                'printf "[]" | zstd -q -c --ultra --long=28 --no-content-size',
            ]);
            const out = [];
            child.stdout.on('data', (piece) => out.push(piece));
            await once(child, 'close');
            const packed = Buffer.concat(out);
            // Frame header descriptor, then the window: exponent 10 + (byte >> 3).
            assert.equal(10 + (packed[5] >> 3), 28, 'the test made the frame it wants');
            const answer = await server.post('/runs', packed, { 'content-encoding': 'zstd' });
            assert.ok([400, 413].includes(answer.status), answer.text);
        });
    });

    describe('bombs: 413 when over 200:1 above 32 MiB', () => {
        const bomb = Buffer.from(`[${' '.repeat(40 * MiB)}]`);
        for (const [coding, pack] of Object.entries({
            gzip: (b) => zlib.gzipSync(b),
            zstd: (b) => zstd(b),
        }))
            it(coding, async () => {
                const packed = pack(bomb);
                assert.ok(bomb.length / packed.length > 200, 'it is a bomb');
                const answer = await server.post('/runs', packed, { 'content-encoding': coding });
                assert.equal(answer.status, 413, answer.text);
            });
        it('a ratio over 200 is fine below 32 MiB: an input that repeats itself', async () => {
            const id = uuid();
            const inputs = { text: 'again '.repeat(4_000_000) };
            const text = Buffer.from(`[${JSON.stringify(run({ id, inputs }))}]`);
            const packed = zlib.gzipSync(text);
            assert.ok(text.length / packed.length > 200);
            assert.deepEqual(await server.store(packed, { 'content-encoding': 'gzip' }), [id]);
        });
        it('memory stays bounded', async () => {
            const packed = zstd(Buffer.from(`[${' '.repeat(120 * MiB)}]`));
            const at = server.rss();
            for (let i = 0; i < 5; i++)
                assert.equal(
                    (await server.post('/runs', packed, { 'content-encoding': 'zstd' })).status,
                    413,
                );
            assert.ok(server.rss() - at < 72 * MiB, `${at} -> ${server.rss()}`);
        });
    });

    it('an unknown coding: 415, and the sentence names those that are taken', async () => {
        for (const coding of ['br', 'deflate', 'compress', 'gzip, zstd', 'nonsense']) {
            const answer = await server.post('/runs', [run()], { 'content-encoding': coding });
            assert.equal(answer.status, 415, coding);
            assert.match(answer.json.detail, /Content-Encoding: (gzip|zstd)/, answer.text);
        }
    });

    describe('Expect: 100-continue', () => {
        it('is answered before the body is sent', async () => {
            const { ids, bytes } = batch(1);
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Content-Length': bytes.length,
                    Expect: '100-continue',
                }),
            );
            const go = await wire.answer(10_000);
            assert.equal(go?.status, 100);
            wire.send(bytes);
            const answer = await wire.answer();
            assert.equal(answer.status, 201);
            assert.deepEqual(JSON.parse(answer.text).run_ids, ids);
            wire.close();
        });
        it('is not answered when the body would be refused', async () => {
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', { 'Content-Length': 1e12, Expect: '100-continue' }),
            );
            const answer = await wire.answer(10_000);
            assert.equal(answer?.status, 413);
            wire.close();
        });
        it('is not answered twice, nor when the body is there already', async () => {
            const { bytes } = batch(1);
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs', {
                    'Content-Length': bytes.length,
                    Expect: '100-continue',
                }),
            );
            wire.send(bytes);
            let answer = await wire.answer();
            if (answer.status === 100) answer = await wire.answer();
            assert.equal(answer.status, 201);
            wire.close();
        });
        it('curl sends two megabytes with it', async () => {
            const sent = batch(20, 3000);
            assert.ok(sent.bytes.length > 2 * MiB);
            const file = join(dir, 'expect.json');
            await writeFile(file, sent.bytes);
            const began = Date.now();
            const answer = await curl(
                '-H',
                'Content-Type: application/json',
                '-H',
                'Expect: 100-continue',
                '--expect100-timeout',
                '30',
                '--data-binary',
                `@${file}`,
                `${server.url}/runs`,
            );
            assert.equal(answer.code, 0, answer.talk);
            assert.deepEqual(JSON.parse(answer.text).run_ids, sent.ids);
            assert.ok(Date.now() - began < 25_000, 'curl did not wait its time-out');
            await check(sent);
        });
    });

    describe('curl', () => {
        it('posts with the header that the 415 of its default shows', async () => {
            const { ids, bytes } = batch(1);
            const refused = await curl('-d', bytes.toString(), `${server.url}/runs`);
            const detail = JSON.parse(refused.text).detail;
            const [, header] = /-H '([^']+)'/.exec(detail);
            const answer = await curl('-H', header, '-d', bytes.toString(), `${server.url}/runs`);
            assert.equal(answer.text, `{"status":"created","run_ids":["${ids[0]}"]}`);
        });
        it('posts chunked from a pipe, and gzip from a file', async () => {
            const sent = batch(3, 100);
            const file = join(dir, 'body.gz');
            await writeFile(file, zlib.gzipSync(sent.bytes));
            const answer = await curl(
                '-H',
                'Content-Type: application/json',
                '-H',
                'Content-Encoding: gzip',
                '-H',
                'Transfer-Encoding: chunked',
                '--data-binary',
                `@${file}`,
                `${server.url}/runs`,
            );
            assert.deepEqual(JSON.parse(answer.text).run_ids, sent.ids, answer.text);
            await check(sent);
        });
        it('reads packed answers with --compressed', async () => {
            const { ids } = batch(1);
            const inputs = { text: 'abc '.repeat(5000) };
            await server.store([run({ id: ids[0], inputs })]);
            for (const coding of ['gzip', 'zstd']) {
                const answer = await curl(
                    '--compressed',
                    '-H',
                    `Accept-Encoding: ${coding}`,
                    '-D',
                    '-',
                    `${server.url}/runs/${ids[0]}/inputs`,
                );
                const [headers, body] = answer.text.split('\r\n\r\n');
                assert.match(headers.toLowerCase(), new RegExp(`content-encoding: ${coding}`));
                assert.equal(body, JSON.stringify(inputs));
            }
        });
        it('HEAD, and HTTP/1.0', async () => {
            const [id] = await server.store([run()]);
            const headers = await curl('-I', `${server.url}/runs/${id}`);
            assert.equal(headers.code, 0, headers.talk);
            assert.match(headers.text, /^HTTP\/1\.1 200/);
            const old = await curl('-0', `${server.url}/runs/${id}`);
            assert.equal(JSON.parse(old.text).id, id);
        });
    });

    it("Node's fetch posts, reads and understands packed answers", async () => {
        const id = uuid();
        const inputs = { text: 'fetch '.repeat(3000) };
        const posted = await fetch(`${server.url}/runs`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify([run({ id, inputs })]),
        });
        assert.equal(posted.status, 201);
        assert.deepEqual(await posted.json(), { status: 'created', run_ids: [id] });
        const got = await fetch(`${server.url}/runs/${id}`, {
            headers: { 'accept-encoding': 'gzip' },
        });
        assert.equal(got.headers.get('content-encoding'), 'gzip');
        assert.deepEqual((await got.json()).inputs, inputs);
    });

    it('every cut of a small gzip and zstd body is a 400, and the connection is not lost by surprise', async () => {
        const { bytes } = batch(1);
        for (const [coding, packed] of [
            ['gzip', zlib.gzipSync(bytes)],
            ['zstd', zstd(bytes)],
        ])
            for (let n = 1; n < packed.length; n += 3) {
                const answer = await ask(server, 'POST', '/runs', {
                    headers: { 'content-encoding': coding, 'content-type': 'application/json' },
                    body: packed.subarray(0, n),
                });
                assert.equal(answer.status, 400, `${coding} cut at ${n}: ${answer.text}`);
            }
    });
});
