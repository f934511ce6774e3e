// get.mjs - GET /runs/{id} and its fields: shape, selection, ranges, validators,
// codings, HEAD.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { Wire, assertFault, head, rawKeys, rawMember, rawRun, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const unzstd = (bytes) => {
    const made = spawnSync('zstd', ['-q', '-d', '-c'], { input: bytes, maxBuffer: 1 << 30 });
    assert.equal(made.status, 0, String(made.stderr));
    return made.stdout;
};

describe('GET /runs/{id}', () => {
    let server;
    let id;
    let trace;
    let big; // a run of several KB
    const inputs = '{"a":[1e2, 2],"z":"é"}';
    const bigInputs = JSON.stringify({
        text: Array.from({ length: 3000 }, (_, i) => `word${i % 97}`).join(' '),
    });
    before(async () => {
        server = await Server.start();
        id = uuid();
        trace = uuid();
        await server.store(
            `[${rawRun({ metadata: '{"m":1}', outputs: '{"o":0}', inputs, name: '"g"', trace_id: `"${trace}"`, id: `"${id}"` })}]`,
        );
        [big] = await server.store(
            `[${rawRun({ name: '"b"', trace_id: `"${uuid()}"`, inputs: bigInputs })}]`,
        );
    });
    after(() => server.close());

    describe('the answer', () => {
        it('begins with the six, in this order, compact, bytes as sent', async () => {
            const answer = await server.get(`/runs/${id}`);
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'application/json');
            const start = `{"id":"${id}","trace_id":"${trace}","name":"g","inputs":${inputs},"outputs":{"o":0},"metadata":{"m":1},`;
            assert.equal(answer.text.slice(0, start.length), start);
        });
        it('goes on with the LangSmith fields, each once', async () => {
            const answer = await server.get(`/runs/${id}`);
            const keys = rawKeys(answer.text);
            assert.equal(new Set(keys).size, keys.length, keys.join());
            for (const key of [
                'run_type',
                'start_time',
                'end_time',
                'status',
                'error',
                'extra',
                'events',
                'serialized',
                'tags',
                'parent_run_id',
                'parent_run_ids',
                'session_id',
                'dotted_order',
                'reference_example_id',
            ])
                assert.ok(keys.includes(key), `${key} in ${keys}`);
            assert.match(answer.json.start_time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
        });
        it('stands a query of nothing, and any Accept', async () => {
            const want = (await server.get(`/runs/${id}`)).text;
            assert.equal((await server.get(`/runs/${id}?`)).text, want);
            for (const accept of ['*/*', 'application/json', 'text/html'])
                assert.equal((await server.get(`/runs/${id}`, { accept })).text, want);
        });
        it('is the same a hundred times', async () => {
            const want = await server.get(`/runs/${id}`);
            const all = await Promise.all(
                Array.from({ length: 100 }, () => server.get(`/runs/${id}`)),
            );
            for (const answer of all) {
                assert.equal(answer.text, want.text);
                assert.equal(answer.headers.etag, want.headers.etag);
            }
        });
    });

    it('unknown: 404 with the id', async () => {
        const unknown = uuid();
        for (const path of ['', '/inputs', '/outputs', '/metadata']) {
            const answer = await server.get(`/runs/${unknown}${path}`);
            assert.equal(answer.status, 404);
            assert.equal(answer.text, `{"detail":"Run with ID ${unknown} not found"}`);
        }
    });
    it('a 404 is not remembered', async () => {
        const late = uuid();
        assert.equal((await server.get(`/runs/${late}`)).status, 404);
        await server.store([run({ id: late })]);
        assert.equal((await server.get(`/runs/${late}`)).status, 200);
    });
    it('not a uuid: 422 uuid_parsing at ["path","run_id"]', async () => {
        for (const bad of ['abc', '1', `${id}0`, '%20', 'null'])
            for (const path of ['', '/inputs'])
                assertFault(
                    await server.get(`/runs/${bad}${path}`),
                    'uuid_parsing',
                    ['path', 'run_id'],
                    bad,
                );
    });

    describe('fields=', () => {
        it('selects, and always includes id', async () => {
            const answer = await server.get(`/runs/${id}?fields=name,inputs`);
            assert.equal(answer.text, `{"id":"${id}","name":"g","inputs":${inputs}}`);
            assert.deepEqual(rawKeys((await server.get(`/runs/${id}?fields=id`)).text), ['id']);
            const many = await server.get(`/runs/${id}?fields=status,start_time,metadata`);
            assert.deepEqual(
                new Set(rawKeys(many.text)),
                new Set(['id', 'status', 'start_time', 'metadata']),
            );
            assert.equal(rawMember(many.text, 'metadata'), '{"m":1}');
        });
        it('stands the comma in its percent form', async () => {
            const answer = await server.get(`/runs/${id}?fields=name%2Cinputs`);
            assert.deepEqual(rawKeys(answer.text), ['id', 'name', 'inputs']);
        });
        it('an unknown one is 422', async () => {
            for (const fields of ['nobody', 'name,nobody', 'Name', 'inputs.a']) {
                const answer = await server.get(`/runs/${id}?fields=${fields}`);
                assert.equal(answer.status, 422, fields);
                assert.deepEqual(answer.json.detail[0].loc.slice(0, 2), ['query', 'fields']);
            }
        });
        it('every field there is can be selected alone, with the same bytes', async () => {
            const whole = (await server.get(`/runs/${id}`)).text;
            for (const key of rawKeys(whole)) {
                const one = await server.get(`/runs/${id}?fields=${key}`);
                assert.equal(one.status, 200, `${key}: ${one.text}`);
                assert.equal(rawMember(one.text, key), rawMember(whole, key), key);
            }
        });
    });

    describe('one field', () => {
        it('gives its exact bytes', async () => {
            for (const [field, want] of [
                ['inputs', inputs],
                ['outputs', '{"o":0}'],
                ['metadata', '{"m":1}'],
            ]) {
                const answer = await server.get(`/runs/${id}/${field}`);
                assert.equal(answer.status, 200);
                assert.equal(answer.text, want);
                assert.equal(answer.headers['content-type'], 'application/json');
                assert.equal(answer.headers['content-length'], String(Buffer.byteLength(want)));
            }
        });
        it('of a name nobody knows is 404', async () => {
            for (const field of ['nobody', 'inputs/a', 'Inputs'])
                assert.equal((await server.get(`/runs/${id}/${field}`)).status, 404, field);
        });
    });

    describe('Range', () => {
        const bytes = Buffer.from(bigInputs);
        const size = bytes.length;
        const ranges = [
            ['bytes=0-0', 0, 1],
            ['bytes=0-99', 0, 100],
            ['bytes=100-199', 100, 200],
            [`bytes=${size - 1}-${size - 1}`, size - 1, size],
            [`bytes=${size - 10}-`, size - 10, size],
            ['bytes=0-', 0, size],
            ['bytes=-1', size - 1, size],
            ['bytes=-500', size - 500, size],
            [`bytes=-${size * 2}`, 0, size],
            [`bytes=10-${size * 3}`, 10, size],
        ];
        for (const [range, from, to] of ranges)
            it(`${range}: 206`, async () => {
                const answer = await server.get(`/runs/${big}/inputs`, { range });
                assert.equal(answer.status, 206);
                assert.equal(answer.headers['content-range'], `bytes ${from}-${to - 1}/${size}`);
                assert.equal(answer.headers['content-length'], String(to - from));
                assert.ok(answer.body.equals(bytes.subarray(from, to)));
            });
        for (const range of [`bytes=${size}-`, `bytes=${size + 5}-${size + 9}`, 'bytes=-0'])
            it(`${range}: 416 with the size`, async () => {
                const answer = await server.get(`/runs/${big}/inputs`, { range });
                assert.equal(answer.status, 416, answer.text);
                assert.equal(answer.headers['content-range'], `bytes */${size}`);
            });
        for (const range of [
            'bytes=5-2',
            'bytes=a-b',
            'bytes',
            'lines=0-1',
            'bytes=--5',
            'bytes=1-2-3',
            'bytes=+1-2',
            'bytes= ',
            'bytes=99999999999999999999-',
        ])
            it(`"${range}" is no range: 200, or 416 at worst`, async () => {
                const answer = await server.get(`/runs/${big}/inputs`, { range });
                assert.ok([200, 416].includes(answer.status), String(answer.status));
                if (answer.status === 200) assert.ok(answer.body.equals(bytes));
            });
        it('an end no number can hold is the end, or no range', async () => {
            const answer = await server.get(`/runs/${big}/inputs`, {
                range: 'bytes=10-99999999999999999999999',
            });
            assert.ok(
                answer.body.equals(answer.status === 206 ? bytes.subarray(10) : bytes),
                String(answer.status),
            );
        });
        it('several ranges: all of it, or parts that say so', async () => {
            const answer = await server.get(`/runs/${big}/inputs`, { range: 'bytes=0-1,5-6' });
            if (answer.status === 200) assert.ok(answer.body.equals(bytes));
            else assert.match(answer.headers['content-type'], /^multipart\/byteranges/);
        });
        it('is identity, whatever is accepted', async () => {
            for (const coding of ['gzip', 'zstd', 'gzip, zstd']) {
                const answer = await server.get(`/runs/${big}/inputs`, {
                    range: 'bytes=0-4999',
                    'accept-encoding': coding,
                });
                assert.equal(answer.status, 206);
                assert.equal(answer.headers['content-encoding'], undefined);
                assert.ok(answer.body.equals(bytes.subarray(0, 5000)));
            }
        });
        it('with an If-Range that does not match: the whole', async () => {
            const answer = await server.get(`/runs/${big}/inputs`, {
                range: 'bytes=0-9',
                'if-range': '"other"',
            });
            assert.equal(answer.status, 200);
            assert.ok(answer.body.equals(bytes));
        });
        it('a range that resumes a download gives the same bytes', async () => {
            const pieces = [];
            for (let at = 0; at < size; at += 1777)
                pieces.push(
                    (await server.get(`/runs/${big}/inputs`, { range: `bytes=${at}-${at + 1776}` }))
                        .body,
                );
            assert.ok(Buffer.concat(pieces).equals(bytes));
        });
    });

    describe('validators', () => {
        const paths = () => [
            `/runs/${big}`,
            `/runs/${big}?fields=name`,
            `/runs/${big}/inputs`,
            `/runs/${id}`,
        ];
        it('a strong ETag, the same each time and for HEAD', async () => {
            for (const path of paths()) {
                const answer = await server.get(path);
                assert.match(answer.headers.etag, /^"[\x21\x23-\x7e]+"$/);
                assert.equal((await server.get(path)).headers.etag, answer.headers.etag);
                assert.equal((await server.head(path)).headers.etag, answer.headers.etag);
            }
        });
        it('another run, other fields, another coding: another ETag', async () => {
            const etags = [];
            for (const path of [
                ...paths(),
                `/runs/${big}?fields=name,inputs`,
                `/runs/${big}/outputs`,
            ])
                etags.push((await server.get(path)).headers.etag);
            for (const coding of ['gzip', 'zstd'])
                etags.push(
                    (await server.get(`/runs/${big}`, { 'accept-encoding': coding })).headers.etag,
                );
            assert.equal(new Set(etags).size, etags.length, etags.join());
        });
        it('If-None-Match: 304, no body, and the headers that matter', async () => {
            for (const path of paths()) {
                const { etag } = (await server.get(path)).headers;
                for (const value of [
                    etag,
                    `W/${etag}`,
                    `"x", ${etag}`,
                    `${etag}, "y"`,
                    `"a","b" , ${etag},"c"`,
                    '*',
                ]) {
                    const answer = await server.get(path, { 'if-none-match': value });
                    assert.equal(answer.status, 304, `${path} ${value}`);
                    assert.equal(answer.headers.etag, etag);
                    assert.match(answer.headers.vary ?? '', /accept-encoding/i);
                    assert.equal(answer.headers['cache-control'], 'private, no-cache');
                    assert.equal((await server.head(path, { 'if-none-match': value })).status, 304);
                }
                for (const value of ['"other"', etag.slice(1, -1), `${etag.slice(0, -1)}x"`])
                    assert.equal(
                        (await server.get(path, { 'if-none-match': value })).status,
                        200,
                        value,
                    );
            }
        });
        it("a 304 for one coding does not match the other's ETag", async () => {
            const { etag } = (await server.get(`/runs/${big}`, { 'accept-encoding': 'gzip' }))
                .headers;
            assert.equal(
                (
                    await server.get(`/runs/${big}`, {
                        'accept-encoding': 'gzip',
                        'if-none-match': etag,
                    })
                ).status,
                304,
            );
            const plain = await server.get(`/runs/${big}`, { 'if-none-match': etag });
            assert.equal(plain.status, 200);
        });
        it('If-None-Match: * of an unknown run is 404', async () => {
            assert.equal(
                (await server.get(`/runs/${uuid()}`, { 'if-none-match': '*' })).status,
                404,
            );
        });
        it('an ETag survives a restart', async () => {
            const { etag } = (await server.get(`/runs/${big}`)).headers;
            await server.restart();
            assert.equal((await server.get(`/runs/${big}`)).headers.etag, etag);
            assert.equal((await server.get(`/runs/${big}`, { 'if-none-match': etag })).status, 304);
        });
    });

    describe('headers', () => {
        it('Vary: Accept-Encoding and Cache-Control: private, no-cache', async () => {
            for (const path of [`/runs/${id}`, `/runs/${big}`, `/runs/${big}/inputs`]) {
                const { headers } = await server.get(path);
                assert.match(headers.vary ?? '', /accept-encoding/i);
                assert.equal(headers['cache-control'], 'private, no-cache');
            }
        });
        it('X-Cache: MISS at first, HIT after', async () => {
            const [fresh] = await server.store([run()]);
            assert.equal((await server.get(`/runs/${fresh}`)).headers['x-cache'], 'MISS');
            for (let i = 0; i < 3; i++)
                assert.equal((await server.get(`/runs/${fresh}`)).headers['x-cache'], 'HIT');
        });
    });

    describe('Accept-Encoding, over 1 KB', () => {
        const unpack = { gzip: (b) => zlib.gunzipSync(b), zstd: unzstd };
        for (const path of ['', '/inputs', '?fields=inputs'])
            for (const [accept, coding] of [
                ['gzip', 'gzip'],
                ['zstd', 'zstd'],
                ['zstd, gzip', 'zstd'],
                ['gzip, zstd', 'zstd'],
                ['gzip, deflate, br, zstd', 'zstd'],
                ['gzip;q=1.0, zstd;q=0.5', 'gzip'],
                ['gzip;q=0.5, zstd;q=0.8', 'zstd'],
                ['zstd;q=0, gzip', 'gzip'],
                ['GZIP', 'gzip'],
                ['gzip;q=0', undefined],
                ['br', undefined],
                ['identity', undefined],
                ['', undefined],
            ])
                it(`"${accept}" of ${path || 'the run'}: ${coding ?? 'identity'}`, async () => {
                    const plain = await server.get(`/runs/${big}${path}`);
                    assert.equal(plain.headers['content-encoding'], undefined);
                    const answer = await server.get(`/runs/${big}${path}`, {
                        'accept-encoding': accept,
                    });
                    assert.equal(answer.status, 200);
                    assert.equal(answer.headers['content-encoding'], coding);
                    const body = coding ? unpack[coding](answer.body) : answer.body;
                    assert.ok(body.equals(plain.body));
                    if (coding) assert.ok(answer.body.length < plain.body.length);
                });
        it('a small body is not packed', async () => {
            const answer = await server.get(`/runs/${id}/outputs`, {
                'accept-encoding': 'gzip, zstd',
            });
            assert.equal(answer.headers['content-encoding'], undefined);
            assert.equal(answer.text, '{"o":0}');
        });
    });

    describe('HEAD', () => {
        it('has the headers of GET and no body', async () => {
            for (const path of [
                `/runs/${id}`,
                `/runs/${big}`,
                `/runs/${big}/inputs`,
                `/runs/${big}?fields=name`,
            ]) {
                const get = await server.get(path);
                const wire = await Wire.open(server);
                wire.send(head(server, 'HEAD', path));
                const answer = await wire.answer(10_000, { head: true });
                assert.equal(answer.status, 200);
                assert.equal(answer.headers['content-length'], String(get.body.length), path);
                assert.equal(answer.headers['content-type'], get.headers['content-type']);
                // The next answer begins right after the head.
                wire.send(head(server, 'GET', path));
                assert.equal((await wire.answer()).text, get.text);
                wire.close();
            }
        });
        it('of what is not there is 404, 422 without a body', async () => {
            assert.equal((await server.head(`/runs/${uuid()}`)).status, 404);
            assert.equal((await server.head('/runs/abc')).status, 422);
        });
        it('works wherever GET does', async () => {
            for (const path of [
                '/',
                '/health',
                '/ready',
                '/metrics',
                '/openapi.json',
                '/docs',
                `/runs/search?trace_id=${trace}`,
            ])
                assert.equal(
                    (await server.head(path)).status,
                    (await server.get(path)).status,
                    path,
                );
        });
    });
});
