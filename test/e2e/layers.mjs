// layers.mjs - what the LangSmith SDKs call to store: what is taken, what is refused, how
// bodies come packed, and where the paths are.  What comes back is in layers_read.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { Wire, ask, head, run, uuid } from './lib/client.mjs';
import { multipart, zstdEncode } from './lib/sdk.mjs';
import { Server } from './lib/server.mjs';

const MiB = 1 << 20;
const emptyFrame = Buffer.from('28b52ffd2000010000', 'hex'); // Node's zstd bodies end with it

const order = (...ids) => ids.map((id) => `20261123T162243753001Z${id}`).join('.');
const post = (id, fields = {}) => ({
    id,
    trace_id: id,
    dotted_order: order(id),
    name: 'a run',
    run_type: 'tool',
    ...fields,
});
const json = (value) => ({
    headers: { 'content-type': 'application/json' },
    body: typeof value === 'string' ? value : JSON.stringify(value),
});

describe('what the SDKs call', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const there = async (id) => assert.equal((await server.get(`/runs/${id}`)).status, 200, id);
    const gone = async (id) => assert.equal((await server.get(`/runs/${id}`)).status, 404, id);
    const parts = (list, path = '/runs/multipart') => ask(server, 'POST', path, multipart(list));

    describe('taken: 202', () => {
        it('POST /runs/multipart: {}', async () => {
            const id = uuid();
            const answer = await parts([
                [`post.${id}`, post(id)],
                [`post.${id}.inputs`, { x: 1 }],
                [`post.${id}.serialized`, null],
            ]);
            assert.equal(answer.status, 202, answer.text);
            assert.equal(answer.headers['content-type'], 'application/json');
            assert.equal(answer.text, '{}');
            await there(id);
        });
        it('POST /runs/batch with lists', async () => {
            const id = uuid();
            const body = { post: [post(id)] };
            const answer = await ask(server, 'POST', '/runs/batch', json(body));
            assert.equal(answer.status, 202, answer.text);
            assert.equal(answer.text, '{"message":"Runs batch ingested"}');
            await there(id);
        });
        it('POST /runs/batch with ids is the native one, white space in front or not', async () => {
            const [id] = await server.store([run()]);
            for (const blank of ['', ' \r\n\t', ' '.repeat(200_000)]) {
                const body = `${blank}["${id}"]`;
                const answer = await ask(server, 'POST', '/runs/batch', json(body));
                assert.equal(answer.status, 200);
                assert.equal(answer.json.count, 1);
                const lists = await ask(server, 'POST', '/runs/batch', json(`${blank}{"post":[]}`));
                assert.equal(lists.status, 202, lists.text);
            }
        });
        it('POST /runs with an object', async () => {
            const id = uuid();
            for (const blank of ['', ' '.repeat(200_000)]) {
                const body = `${blank}{"id":"${id}","name":"single","run_type":"tool"}`;
                const answer = await ask(server, 'POST', '/runs', json(body));
                assert.equal(answer.status, 202, answer.text);
                assert.equal(answer.text, '{"message":"Run created"}');
            }
            await there(id);
        });
        it('POST /runs without a Content-Type', async () => {
            const body = JSON.stringify({ id: uuid(), name: 'single', run_type: 'tool' });
            assert.equal((await ask(server, 'POST', '/runs', { body })).status, 202);
        });
        it('PATCH of a run that nobody knows', async () => {
            const id = uuid();
            const body = {
                id,
                name: null,
                tags: null,
                end_time: '2026-11-23T16:24:04.850347+00:00',
            };
            const answer = await ask(server, 'PATCH', `/runs/${id}`, json(body));
            assert.equal(answer.status, 202, answer.text);
            await there(id);
        });
        it('times of all three forms', async () => {
            for (const start_time of [
                '2026-11-23T16:22:43.784002Z',
                '2026-11-23T16:22:43.784002+05:30',
                '2026-11-23T16:22:43.784002',
                1795450963859,
            ]) {
                const id = uuid();
                const answer = await parts([[`post.${id}`, post(id, { start_time })]]);
                assert.equal(answer.status, 202, answer.text);
            }
        });
        it('attachments and feedback, also of runs that nobody knows', async () => {
            const id = uuid();
            const answer = await parts([
                [
                    `attachment.${id}.a picture é`,
                    Buffer.from('\r\n--a-boundary--\r\n'),
                    'image/png',
                ],
                [`post.${id}`, post(id)],
                [`attachment.${uuid()}.empty`, Buffer.alloc(0), 'text/plain'],
                [`feedback.${uuid()}`, { key: 'correct', trace_id: uuid(), score: true }],
            ]);
            assert.equal(answer.status, 202, answer.text);
            await there(id);
        });
        it('NaN and the infinities, counted', async () => {
            const before = (await server.metrics()).get('rundlet_values_nulled_total');
            const id = uuid();
            const answer = await parts([
                [`post.${id}`, post(id)],
                [`post.${id}.outputs`, '{"a":[NaN,Infinity,-Infinity]}'],
            ]);
            assert.equal(answer.status, 202, answer.text);
            assert.equal((await server.metrics()).get('rundlet_values_nulled_total'), before + 3);
        });
        it('nothing at all', async () => {
            assert.equal((await parts([])).status, 202);
            const answer = await ask(server, 'POST', '/runs/batch', json({ post: [], patch: [] }));
            assert.equal(answer.status, 202);
        });
    });

    describe('packed', () => {
        const body = (id) =>
            multipart([
                [`post.${id}`, post(id)],
                [`post.${id}.inputs`, { text: 'x'.repeat(5000) }],
            ]);
        const half = (bytes) => [
            bytes.subarray(0, bytes.length / 2),
            bytes.subarray(bytes.length / 2),
        ];
        for (const [what, coding, pack] of [
            ['gzip', 'gzip', zlib.gzipSync],
            [
                'two gzip members',
                'gzip',
                (b) => Buffer.concat(half(b).map((p) => zlib.gzipSync(p))),
            ],
            ['zstd', 'zstd', zstdEncode],
            ['zstd and an empty frame', 'zstd', (b) => Buffer.concat([zstdEncode(b), emptyFrame])],
            [
                'empty frames everywhere',
                'zstd',
                (b) => {
                    const [first, second] = half(b).map(zstdEncode);
                    return Buffer.concat([
                        emptyFrame,
                        first,
                        emptyFrame,
                        emptyFrame,
                        second,
                        emptyFrame,
                    ]);
                },
            ],
        ])
            for (const chunked of [false, true])
                it(`${what}${chunked ? ', chunked' : ''}`, async () => {
                    const id = uuid();
                    const { headers, body: plain } = body(id);
                    const packed = pack(plain);
                    const wire = await Wire.open(server);
                    wire.send(
                        head(server, 'POST', '/runs/multipart', {
                            'Content-Type': headers['content-type'],
                            'Content-Encoding': coding,
                            ...(chunked
                                ? { 'Transfer-Encoding': 'chunked' }
                                : { 'Content-Length': packed.length }),
                        }),
                    );
                    for (let at = 0; at < packed.length; at += 11) {
                        const piece = packed.subarray(at, at + 11);
                        if (chunked) wire.send(`${piece.length.toString(16)}\r\n`);
                        wire.send(piece);
                        if (chunked) wire.send('\r\n');
                    }
                    if (chunked) wire.send('0\r\n\r\n');
                    const answer = await wire.answer();
                    assert.equal(answer.status, 202, answer.text);
                    wire.close();
                    await there(id);
                });
        it('plain and chunked, a byte at a time', async () => {
            const id = uuid();
            const { headers, body: plain } = multipart([[`post.${id}`, post(id)]]);
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'POST', '/runs/multipart', {
                    'Content-Type': headers['content-type'],
                    'Transfer-Encoding': 'chunked',
                }),
            );
            for (const byte of plain) wire.send(Buffer.from([0x31, 13, 10, byte, 13, 10]));
            wire.send('0\r\n\r\n');
            assert.equal((await wire.answer()).status, 202);
            wire.close();
            await there(id);
        });
        it('cut short: 400, and nothing is kept', async () => {
            const id = uuid();
            const { headers, body: plain } = body(id);
            const answer = await ask(server, 'POST', '/runs/multipart', {
                headers: { ...headers, 'content-encoding': 'zstd' },
                body: zstdEncode(plain).subarray(0, -5),
            });
            assert.equal(answer.status, 400);
            await gone(id);
        });
    });

    describe('refused: 422 with the place, and nothing is kept', () => {
        for (const [what, part, place] of [
            [
                'an unknown run_type',
                (id) => [`post.${id}`, post(id, { run_type: 'robot' })],
                'run_type',
            ],
            ['no trace_id', (id) => [`post.${id}`, post(id, { trace_id: null })], 'trace_id'],
            [
                'no dotted_order',
                (id) => [`post.${id}`, post(id, { dotted_order: undefined })],
                'dotted_order',
            ],
            [
                'another dotted_order',
                (id) => [`post.${id}`, post(id, { dotted_order: order(uuid()) })],
                'last id',
            ],
            ['a time that is none', (id) => [`patch.${id}`, { end_time: 'now' }], 'end_time'],
            ['another id', (id) => [`patch.${id}`, { id: uuid() }], 'id: '],
            ['not JSON', (id) => [`patch.${id}`, '{"a":'], 'not JSON'],
            ['a field without its run', (id) => [`patch.${id}.inputs`, {}], 'before its fields'],
            ['a field nobody sends', (id) => [`post.${id}.tags`, []], 'its field'],
            ['an unknown part', () => ['runs.x', {}], 'its name'],
            ['an id that is none', () => ['post.x', {}], 'UUID'],
            ['an attachment without a name', (id) => [`attachment.${id}`, 'x'], 'attachment'],
            ['a feedback without a key', () => [`feedback.${uuid()}`, { trace_id: uuid() }], 'key'],
        ])
            it(what, async () => {
                const [good, bad] = [uuid(), uuid()];
                const answer = await parts([[`post.${good}`, post(good)], part(bad)]);
                assert.equal(answer.status, 422, answer.text);
                assert.ok(answer.json.detail.includes(place), answer.text);
                await gone(good);
                await gone(bad);
            });
        for (const field of ['session_name', 'address'])
            it(`a project whose name is too long, by its ${field}`, async () => {
                const [good, bad] = [uuid(), uuid()];
                const name = (len) => 'ß'.repeat(len / 2);
                const answer = await parts([
                    [`post.${good}`, post(good)],
                    [`post.${bad}`, post(bad, { [field]: `${name(8192)}x` })],
                ]);
                assert.equal(answer.status, 422, answer.text);
                assert.ok(answer.json.detail.includes(`${field}: should have at most 8192 bytes`));
                await gone(good);
            });
        it('in a list, with its place there', async () => {
            const good = uuid();
            const body = { post: [post(good), { id: uuid() }] };
            const answer = await ask(server, 'POST', '/runs/batch', json(body));
            assert.equal(answer.status, 422);
            assert.equal(answer.json.detail, 'post[1]: trace_id: is required');
            await gone(good);
        });
        it('a body that ends early', async () => {
            const id = uuid();
            const { headers, body } = multipart([[`post.${id}`, post(id)]]);
            const cut = { headers, body: body.subarray(0, -20) };
            assert.equal((await ask(server, 'POST', '/runs/multipart', cut)).status, 422);
            await gone(id);
        });
        it('a part without a length, or packed by itself', async () => {
            const id = uuid();
            const line = `--b\r\nContent-Disposition: form-data; name="patch.${id}"\r\n`;
            for (const more of ['', 'Content-Encoding: gzip\r\nContent-Length: 2\r\n']) {
                const answer = await ask(server, 'POST', '/runs/multipart', {
                    headers: { 'content-type': 'multipart/form-data; boundary=b' },
                    body: `${line}${more}\r\n{}\r\n--b--\r\n`,
                });
                assert.equal(answer.status, 422, answer.text);
            }
        });
        it('a path without a uuid', async () => {
            assert.equal((await ask(server, 'PATCH', '/runs/x', json({}))).status, 422);
        });
        it('another Content-Type: 415; no boundary: 422', async () => {
            const body = '{}';
            for (const [method, path, type, status] of [
                ['POST', '/runs/multipart', 'application/json', 415],
                ['POST', '/runs/multipart', 'multipart/form-data', 422],
                ['PATCH', `/runs/${uuid()}`, 'text/plain', 415],
                ['POST', '/runs/batch', 'text/plain', 415],
            ]) {
                const answer = await ask(server, method, path, {
                    headers: { 'content-type': type },
                    body,
                });
                assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
            }
        });
        it('what is refused is counted as refused', async () => {
            const before = await server.metrics();
            const id = uuid();
            await parts([
                [`post.${id}`, post(id)],
                [`post.${id}`, post(id, { run_type: 'robot' })],
            ]);
            const now = await server.metrics();
            const grew = (name) => now.get(name) - before.get(name);
            assert.equal(grew('rundlet_runs_received_total'), 2);
            assert.equal(grew('rundlet_runs_refused_total'), 2);
        });
    });

    describe('what is asked first', () => {
        it('GET /info has all that senders look at', async () => {
            const answer = await server.get('/info');
            assert.equal(answer.status, 200);
            const { version, git_sha, instance_flags, batch_ingest_config } = answer.json;
            assert.equal(version, '0.18.0');
            assert.equal(git_sha, (await server.get('/health')).json.version);
            assert.deepEqual(instance_flags, {
                zstd_compression_enabled: true,
                gzip_body_enabled: true,
                ch_query_enabled: true,
                sdb_query_enabled: true,
                dataset_examples_multipart_enabled: true,
            });
            assert.deepEqual(batch_ingest_config, {
                use_multipart_endpoint: true,
                size_limit: 100,
                size_limit_bytes: 20971520,
                scale_up_qsize_trigger: 1000,
                scale_up_nthreads_limit: 16,
                scale_down_nempty_trigger: 4,
            });
        });
        it('GET /ok', async () => {
            for (const path of ['/ok', '/api/v1/ok', '/api/v1/info/health'])
                assert.equal((await server.get(path)).text, '{"ok":true}');
        });
    });

    describe('paths', () => {
        const prefixes = ['', '/api/v1', '/api', '/v1'];
        for (const prefix of prefixes)
            it(`everything is under ${prefix || '/'}`, async () => {
                for (const path of [
                    '/info',
                    '/ok',
                    '/health',
                    '/ready',
                    '/docs',
                    '/openapi.json',
                    '/',
                ]) {
                    assert.equal((await server.get(prefix + path)).status, 200, prefix + path);
                    assert.equal((await server.get(`${prefix}${path}?`)).status, 200);
                }
                const ids = Array.from({ length: 5 }, () => uuid());
                const one = { id: ids[1], name: 'single', run_type: 'tool' };
                for (const [method, path, request, status] of [
                    ['POST', '/runs', json([run({ id: ids[0] })]), 201],
                    ['POST', '/runs', json(one), 202],
                    ['POST', '/runs/batch', json({ post: [post(ids[2])] }), 202],
                    ['POST', '/runs/batch', json([ids[0]]), 200],
                    ['POST', '/runs/multipart', multipart([[`post.${ids[3]}`, post(ids[3])]]), 202],
                    ['PATCH', `/runs/${ids[4]}`, json({ end_time: 5 }), 202],
                ]) {
                    const answer = await ask(server, method, prefix + path, request);
                    assert.equal(answer.status, status, `${method} ${prefix}${path}`);
                }
                for (const id of ids)
                    assert.equal((await server.get(`${prefix}/runs/${id}?`)).status, 200);
            });
        it('one prefix, not two, and only whole segments', async () => {
            for (const path of [
                '/api/api/runs',
                '/v1/v1/info',
                '/apis/info',
                '/v10/info',
                '/api/v2/info',
            ])
                assert.equal((await server.get(path)).status, 404, path);
        });
        it('what is not there says where it is listed what is', async () => {
            for (const path of ['/api/v1/prompts', '/api/v2/insights', '/nothing']) {
                const answer = await server.get(path);
                assert.equal(answer.status, 404);
                assert.match(answer.json.detail, /GET \/openapi\.json/);
            }
        });
    });
});

describe('limits of layers', () => {
    let server;
    before(async () => {
        server = await Server.start({
            flags: [
                ...['--inflight-max', '4MiB', '--body-max', '4MiB', '--run-max', '2MiB'],
                ...['--batch-runs-max', '3', '--name-max', '10'],
            ],
        });
    });
    after(() => server.close());

    const parts = (list) => ask(server, 'POST', '/runs/multipart', multipart(list));
    const big = (size) => ({ text: 'x'.repeat(size) });

    it('over one: 413 that says which', async () => {
        const id = uuid();
        const one = [`post.${id}`, post(id)];
        for (const [list, text] of [
            [[one, one, one, one], 'too many runs'],
            [[[`patch.${id}`, { name: '12345678901' }]], 'name'],
            [[one, [`post.${id}.inputs`, big(2.5 * MiB)]], 'too large'],
            [
                [one, [`post.${id}.inputs`, big(1.5 * MiB)], [`post.${id}.outputs`, big(MiB)]],
                'too large',
            ],
            [[[`attachment.${id}.x`, Buffer.alloc(2.5 * MiB)]], 'too large'],
            [
                [
                    one,
                    [`attachment.${id}.x`, Buffer.alloc(1.9 * MiB)],
                    [`attachment.${id}.y`, Buffer.alloc(1.9 * MiB)],
                    [`attachment.${id}.z`, Buffer.alloc(1.9 * MiB)],
                ],
                '',
            ],
        ]) {
            const answer = await parts(list);
            assert.equal(answer.status, 413, answer.text);
            assert.ok(answer.json.detail.includes(text), answer.text);
        }
        assert.equal((await server.get(`/runs/${id}`)).status, 404);
    });

    it('bytes in flight over the budget: 429 with Retry-After', async () => {
        const id = uuid();
        const { headers, body } = multipart([
            [`attachment.${id}.x`, Buffer.alloc(1.9 * MiB)],
            [`attachment.${id}.y`, Buffer.alloc(1.5 * MiB)],
        ]);
        const held = await Wire.open(server);
        held.send(
            head(server, 'POST', '/runs/multipart', {
                'Content-Type': headers['content-type'],
                'Content-Length': body.length,
            }),
        );
        held.send(body.subarray(0, -10));
        let taken = 0;
        for (let i = 0; i < 200 && taken < 3.3 * MiB; i++)
            taken = (await server.metrics()).get('rundlet_bytes_in_flight');
        assert.ok(taken >= 3.3 * MiB, `bytes in flight are ${taken}`);

        const answer = await parts([[`attachment.${id}.z`, Buffer.alloc(1.5 * MiB)]]);
        assert.equal(answer.status, 429, answer.text);
        assert.equal(answer.headers['retry-after'], '1');

        held.send(body.subarray(-10));
        assert.equal((await held.answer()).status, 202);
        held.close();
        assert.equal((await server.metrics()).get('rundlet_bytes_in_flight'), 0);
    });
});

describe('layers with a key', () => {
    it('401 without it, but not for what is asked first', async () => {
        const server = await Server.start({ flags: ['--api-key', 'the-key-of-all'] });
        const id = uuid();
        const { headers, body } = multipart([[`post.${id}`, post(id)]]);
        const send = (more) =>
            ask(server, 'POST', '/api/v1/runs/multipart', {
                headers: { ...headers, ...more },
                body,
            });
        const basic = Buffer.from('pk:the-key-of-all').toString('base64');
        assert.equal((await send({})).status, 401);
        assert.equal((await send({ 'x-api-key': 'other' })).status, 401);
        assert.equal((await send({ 'x-api-key': 'the-key-of-all' })).status, 202);
        assert.equal((await send({ authorization: 'Bearer the-key-of-all' })).status, 202);
        assert.equal((await send({ authorization: `Basic ${basic}` })).status, 202);
        for (const path of ['/info', '/ok', '/health', '/api/v1/info', '/api/v1/info/health'])
            assert.equal((await server.get(path)).status, 200, path);
        assert.equal((await server.get('/api/v1/metrics')).status, 401);
        await server.close();
    });
});
