// defects.mjs - the defects of the service that this one replaces, each with a
// test of its own, so that none of them can come back.
import assert from 'node:assert/strict';
import { open, readdir, truncate } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ask, rawMember, rawRun, run, uuid } from './lib/client.mjs';
import { Server, ofFiles, run as command, shared } from './lib/server.mjs';

describe('defects of the original', () => {
    let server;
    before(async () => {
        server = await Server.start({ flags: ['--loops', '2'] });
    });
    after(() => server.close());

    const delta = async (names, act) => {
        const before = await server.metrics();
        await act();
        const now = await server.metrics();
        return names.map((name) => now.get(name) - before.get(name));
    };
    const HITS_RUN = 'rundlet_cache_hits_total{kind="run"}';
    const HITS_SEARCH = 'rundlet_cache_hits_total{kind="search"}';
    const MISSES_RUN = 'rundlet_cache_misses_total{kind="run"}';
    const INDEX = 'rundlet_index_reads_total';
    const STORE = 'rundlet_store_reads_total';

    it('the cache was never used: the second GET is a hit, in the header and in the metrics', async () => {
        const [id] = await server.store([run({ inputs: { a: 1 } })]);
        const moved = await delta([HITS_RUN, MISSES_RUN], async () => {
            assert.equal((await server.get(`/runs/${id}`)).headers['x-cache'], 'MISS');
            for (let i = 0; i < 9; i++)
                assert.equal((await server.get(`/runs/${id}`)).headers['x-cache'], 'HIT');
        });
        assert.deepEqual(moved, [9, 1]);
    });

    it('the cache key held addresses, so there were 0 hits: other connections and spellings hit too', async () => {
        const [id] = await server.store([run()]);
        await server.get(`/runs/${id}`);
        for (const path of [
            `/runs/${id}`,
            `/runs/${id.toUpperCase()}`,
            `/runs/${id.replaceAll('-', '')}`,
            `/runs/${id}?`,
        ])
            for (let i = 0; i < 4; i++) {
                const agent = new http.Agent({ keepAlive: false }); // a connection of its own
                const answer = await ask(server, 'GET', path, { agent });
                assert.equal(answer.status, 200);
                assert.equal(answer.headers['x-cache'], 'HIT', path);
            }
    });

    it('a search is cached too, and the second one is a hit', async () => {
        // Where nodes share an index a page is used for 240 ms after the last look at what the
        // others did.  A server that did not get to look for so long has to ask the index.
        for (let tries = shared ? 20 : 1; ; tries--) {
            const trace_id = uuid();
            await server.store([run({ trace_id })]);
            const path = `/runs/search?trace_id=${trace_id}`;
            const first = await server.get(path);
            const [hits, reads] = await delta([HITS_SEARCH, INDEX], async () => {
                for (let i = 0; i < 5; i++) assert.equal((await server.get(path)).text, first.text);
            });
            assert.equal(hits + reads, 5, 'each is a hit, or one read');
            if (hits === 5) return;
            assert.ok(tries > 1, `${hits} hits`);
        }
    });

    it('the cache leaked: its bytes stay within its size', async () => {
        const small = await Server.start({ flags: ['--cache-size', '4MiB'] });
        const ids = await small.store(
            Array.from({ length: 1000 }, (_, i) =>
                run({ inputs: { text: String(i).repeat(10_000) } }),
            ),
        );
        for (let round = 0; round < 2; round++)
            for (const id of ids) await small.get(`/runs/${id}`);
        const m = await small.metrics();
        assert.ok(m.get('rundlet_cache_bytes') > 0);
        assert.ok(m.get('rundlet_cache_bytes') <= 4 << 20, `${m.get('rundlet_cache_bytes')}`);
        assert.ok(m.get('rundlet_cache_evictions_total') > 0);
        await small.close();
    });

    it('a hit still opened a database connection: now it reads neither index nor store', async () => {
        const [id] = await server.store([run({ inputs: { text: 'x'.repeat(20_000) } })]);
        await server.get(`/runs/${id}`);
        const moved = await delta([INDEX, STORE, HITS_RUN], async () => {
            for (let i = 0; i < 20; i++) await server.get(`/runs/${id}`);
        });
        assert.deepEqual(moved, [0, 0, 20]);
    });

    it('a 304 reads nothing from the store either', async () => {
        const [id] = await server.store([run({ inputs: { text: 'x'.repeat(20_000) } })]);
        const { etag } = (await server.get(`/runs/${id}`)).headers;
        const [store] = await delta([STORE], async () => {
            for (let i = 0; i < 20; i++)
                assert.equal(
                    (await server.get(`/runs/${id}`, { 'if-none-match': etag })).status,
                    304,
                );
        });
        assert.equal(store, 0);
    });

    it('search was stale for four hours after an insert: it sees the insert at once, cached or not', async () => {
        const trace_id = uuid();
        const word = uuid();
        const paths = [
            `/runs/search?trace_id=${trace_id}`,
            `/runs/search?name=${word}`,
            `/runs/search?trace_id=${trace_id}&name=${word}`,
        ];
        for (let i = 0; i < 20; i++) {
            for (const path of paths)
                for (let twice = 0; twice < 2; twice++)
                    assert.equal((await server.get(path)).json.count, i, path);
            await server.store([run({ trace_id, name: `n ${word}` })]);
        }
    });

    it('a run that was not found was remembered as such: it is found once it is there', async () => {
        const id = uuid();
        for (let i = 0; i < 3; i++) assert.equal((await server.get(`/runs/${id}`)).status, 404);
        await server.store([run({ id })]);
        assert.equal((await server.get(`/runs/${id}`)).status, 200);
    });

    ofFiles(it)('a failed batch left objects behind: a refused batch does not grow the log', async () => {
        const known = run({ id: uuid(), name: 'known' });
        await server.store([known]);
        const big = { text: 'x'.repeat(200_000) };
        const records = async () =>
            JSON.parse((await command(['verify', '--data', server.data])).stdout).records;
        const before = await records();
        const moved = await delta(
            ['rundlet_log_bytes_total', 'rundlet_log_size_bytes'],
            async () => {
                for (let i = 0; i < 5; i++) {
                    assert.equal(
                        (
                            await server.post('/runs', [
                                run({ inputs: big }),
                                { ...known, name: 'other' },
                            ])
                        ).status,
                        409,
                    );
                    assert.equal(
                        (await server.post('/runs', [run({ inputs: big }), { name: 'x' }])).status,
                        422,
                    );
                    assert.equal(
                        (await server.post('/runs', [run({ inputs: big, metadata: null })])).status,
                        422,
                    );
                    assert.equal(
                        (await server.post('/runs', `[${JSON.stringify(run({ inputs: big }))}`))
                            .status,
                        422,
                    );
                }
            },
        );
        assert.deepEqual(moved, [0, 0]);
        assert.equal(await records(), before);
        // The counter is not simply dead.
        const [grown] = await delta(['rundlet_log_bytes_total'], () =>
            server.store([run({ inputs: big })]),
        );
        assert.ok(grown >= 200_000, `${grown} bytes`);
        assert.equal(await records(), before + 1);
    });

    it('a duplicate id was a 500, so that a retry could never succeed: it is 201, and grows nothing', async () => {
        const text = JSON.stringify([run({ id: uuid(), inputs: { text: 'y'.repeat(100_000) } })]);
        assert.equal((await server.post('/runs', text)).status, 201);
        const [grown] = await delta(['rundlet_log_bytes_total'], async () => {
            for (let i = 0; i < 5; i++)
                assert.equal((await server.post('/runs', text)).status, 201);
        });
        assert.equal(grown, 0);
    });

    describe('valid JSON was refused with 500', () => {
        const kept = async (inputs, name = '"x"') => {
            const answer = await server.post(
                '/runs',
                `[${rawRun({ trace_id: `"${uuid()}"`, name, inputs })}]`,
            );
            assert.equal(answer.status, 201, answer.text);
            const [id] = answer.json.run_ids;
            assert.equal((await server.get(`/runs/${id}/inputs`)).text, inputs);
            return (await server.get(`/runs/${id}`)).text;
        };
        it('integers over 64 bits', () =>
            kept(
                '{"a":18446744073709551616,"b":-9223372036854775809,"c":123456789012345678901234567890}',
            ));
        it('depth over 254', async () => {
            for (const n of [255, 256, 400, 510])
                await kept('{"a":'.repeat(n - 1) + '{}' + '}'.repeat(n - 1));
            for (const n of [255, 509])
                await kept(`{"a":${'['.repeat(n - 1)}${']'.repeat(n - 1)}}`);
        });
        it('NUL in a name', async () => {
            const word = uuid();
            const text = await kept('{"a":"\\u0000"}', `"nul\\u0000${word}"`);
            assert.equal(JSON.parse(rawMember(text, 'name')), `nul\0${word}`);
            assert.equal((await server.get(`/runs/search?name=${word}`)).json.count, 1);
        });
        it('lone surrogates, in payloads and in a name', async () => {
            const word = uuid();
            const text = await kept(
                '{"a":"\\ud800","\\udfff":"\\udc00\\ud800"}',
                `"\\ud800${word}\\udc00"`,
            );
            assert.equal(JSON.parse(rawMember(text, 'name')), `\ud800${word}\udc00`);
            assert.equal((await server.get(`/runs/search?name=${word}`)).json.count, 1);
        });
        it('floats beyond a double', () => kept('{"a":1e999,"b":-1e999,"c":1e-999}'));
    });

    it('floats were spelled anew: every spelling comes back', async () => {
        const numbers = [
            '1.0',
            '1.10',
            '1e2',
            '1E+2',
            '100',
            '0.1',
            '1e-7',
            '0.0000001',
            '-0.0',
            '-0',
            '3.141592653589793238462643383279',
            '1e22',
            '1e+22',
            '5e-324',
            '2.50e0',
        ];
        const inputs = `{${numbers.map((n, i) => `"n${i}":${n}`).join()}}`;
        const [id] = await server.store(
            `[${rawRun({ trace_id: `"${uuid()}"`, name: '"f"', inputs })}]`,
        );
        assert.equal((await server.get(`/runs/${id}/inputs`)).text, inputs);
        assert.ok((await server.get(`/runs/${id}`)).text.includes(`"inputs":${inputs},`));
    });

    it('find() pointed inside the wrong field when a name equals a field: every field is its own', async () => {
        const tricky = [
            'inputs',
            'outputs',
            'metadata',
            '"inputs"',
            '{}',
            '{"a":1}',
            '","inputs":{"x":1},"y":"',
            'inputs":',
            ':',
            'null',
            '0',
        ];
        for (const name of tricky) {
            const want = {
                inputs: `{"name":${JSON.stringify(name)},"outputs":{"wrong":1}}`,
                outputs: '{"a":1}',
                metadata: '{"inputs":{},"a":1}',
            };
            for (const order of [
                ['name', 'inputs', 'outputs', 'metadata'],
                ['metadata', 'outputs', 'inputs', 'name'],
            ]) {
                const all = { ...want, name: JSON.stringify(name) };
                const fields = {
                    trace_id: `"${uuid()}"`,
                    ...Object.fromEntries(order.map((key) => [key, all[key]])),
                };
                const [id] = await server.store(`[${rawRun(fields)}]`);
                for (const field of ['inputs', 'outputs', 'metadata'])
                    assert.equal(
                        (await server.get(`/runs/${id}/${field}`)).text,
                        want[field],
                        `${field} of ${name}`,
                    );
                assert.equal((await server.get(`/runs/${id}?fields=name`)).json.name, name);
            }
        }
        // Equal fields of several runs of one batch, too.
        const same = Array.from({ length: 50 }, (_, i) => ({
            inputs: '{"a":1}',
            outputs: '{"a":1}',
            metadata: i % 2 ? '{"a":1}' : '{"b":2}',
        }));
        const ids = await server.store(
            `[${same.map((w) => rawRun({ trace_id: `"${uuid()}"`, name: '"a"', ...w })).join()}]`,
        );
        for (let i = 0; i < 50; i++)
            assert.equal((await server.get(`/runs/${ids[i]}/metadata`)).text, same[i].metadata);
    });

    it('one connection per request, so 150 clients meant errors: 150 at once are all served', async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 150 });
        const trace_id = uuid();
        const clients = Array.from({ length: 150 }, async (_, i) => {
            for (let round = 0; round < 5; round++) {
                const id = uuid();
                const body = JSON.stringify([run({ id, trace_id, inputs: { i, round } })]);
                const headers = { 'content-type': 'application/json' };
                const posted = await ask(server, 'POST', '/runs', { headers, body, agent });
                assert.equal(posted.status, 201, posted.text);
                const got = await ask(server, 'GET', `/runs/${id}`, { agent });
                assert.equal(got.status, 200);
                assert.deepEqual(got.json.inputs, { i, round });
                assert.equal(
                    (
                        await ask(server, 'GET', `/runs/search?trace_id=${trace_id}&limit=1`, {
                            agent,
                        })
                    ).status,
                    200,
                );
            }
        });
        await Promise.all(clients);
        agent.destroy();
        assert.equal(
            (await server.get(`/runs/search?trace_id=${trace_id}&limit=1000`)).json.count,
            750,
        );
    });

    it('150 clients that ask for the same cold run cost one read', async () => {
        const [id] = await server.store([run({ inputs: { text: 'z'.repeat(300_000) } })]);
        const agent = new http.Agent({ keepAlive: true, maxSockets: 150 });
        const [index] = await delta([INDEX], async () => {
            const all = await Promise.all(
                Array.from({ length: 150 }, () => ask(server, 'GET', `/runs/${id}`, { agent })),
            );
            for (const answer of all) assert.equal(answer.status, 200);
        });
        agent.destroy();
        assert.ok(index >= 1 && index <= 10, `${index} reads of the index`);
    });

    it('a search range spanned 17 MB for 16 wanted bytes: two small runs far apart cost a small read', async () => {
        const trace_id = uuid();
        const filler = { text: 'f'.repeat(900_000) };
        await server.store([
            run({ trace_id, inputs: { a: 1 } }),
            ...Array.from({ length: 18 }, () => run({ inputs: filler })),
            run({ trace_id, inputs: { a: 2 } }),
        ]);
        const [bytes] = await delta(['rundlet_store_read_bytes_total'], async () => {
            assert.equal((await server.get(`/runs/search?trace_id=${trace_id}`)).json.count, 2);
        });
        assert.ok(bytes > 0 && bytes < 1 << 20, `${bytes} bytes read`);
    });

    it('limit=-1 was a 500: it is a 422', async () => {
        const answer = await server.get('/runs/search?name=a&limit=-1');
        assert.equal(answer.status, 422);
        assert.deepEqual(answer.json.detail[0].loc, ['query', 'limit']);
    });

    it('LIKE wildcards were not escaped: % and _ find only themselves', async () => {
        const trace_id = uuid();
        await server.store(['a%b', 'a_b', 'axb', 'ab'].map((name) => run({ trace_id, name })));
        const find = async (name) =>
            (
                await server.get(
                    `/runs/search?trace_id=${trace_id}&name=${encodeURIComponent(name)}`,
                )
            ).json.runs.map((r) => r.name);
        assert.deepEqual(await find('%'), ['a%b']);
        assert.deepEqual(await find('_'), ['a_b']);
        assert.deepEqual(await find('a%b'), ['a%b']);
        assert.deepEqual(await find('a_b'), ['a_b']);
        assert.deepEqual((await find('a')).length, 4);
    });

    it('the order was random: it is the same each time, newest first, ties by id', async () => {
        const trace_id = uuid();
        const start_time = '2026-05-05T05:05:05Z';
        const ids = Array.from({ length: 100 }, () => uuid());
        await server.store(ids.map((id) => run({ id, trace_id, start_time })));
        const want = [...ids].sort().reverse();
        for (let i = 0; i < 5; i++) {
            const got = (
                await server.get(`/runs/search?trace_id=${trace_id}&limit=${100 + i}`)
            ).json.runs.map((r) => r.id);
            assert.deepEqual(got, want);
        }
    });

    it('the ETag was unusable: it is strong, stable, and gives 304', async () => {
        const [id] = await server.store([run()]);
        const first = await server.get(`/runs/${id}`);
        assert.match(first.headers.etag, /^"[^"]+"$/);
        for (let i = 0; i < 3; i++)
            assert.equal((await server.get(`/runs/${id}`)).headers.etag, first.headers.etag);
        assert.equal(
            (await server.get(`/runs/${id}`, { 'if-none-match': first.headers.etag })).status,
            304,
        );
    });
});

// "/ said 200 with the database down", and "a failing store was answered 200
// with {} and cached": spoil the files under the server and ask.
ofFiles(describe)('when the disk lies', () => {
    let server;
    before(async () => {
        server = await Server.start({ flags: ['--cache-size', '0'] });
    });
    after(() => server.discard());

    it('a run whose bytes are gone is an error, never {} and never cached', async () => {
        const [id] = await server.store([run({ inputs: { text: 'gone'.repeat(5000) } })]);
        assert.equal((await server.get(`/runs/${id}`)).status, 200);
        const dir = join(server.data, 'segments');
        for (const name of await readdir(dir)) await truncate(join(dir, name), 100);
        for (let i = 0; i < 3; i++)
            for (const path of [`/runs/${id}`, `/runs/${id}/inputs`]) {
                const answer = await server.get(path);
                assert.ok(
                    answer.status >= 500,
                    `${path}: ${answer.status} ${answer.text.slice(0, 100)}`,
                );
            }
        assert.ok((await server.metrics()).get('rundlet_store_corrupt_total') > 0);
    });

    it('an index that cannot be read is a 5xx, never "not found", and /ready says 503', async () => {
        await server.discard();
        server = await Server.start({ flags: ['--cache-size', '0', '--index-cache', '1MiB'] });
        const known = [];
        for (let i = 0; i < 30; i++)
            known.push(
                ...(await server.store(
                    Array.from({ length: 1000 }, () => run({ id: uuid(), name: `n ${uuid()}` })),
                )),
            );
        for (const name of await readdir(server.data)) {
            if (!/^index\.db(-wal)?$/.test(name)) continue;
            const file = await open(join(server.data, name), 'r+');
            const { size } = await file.stat();
            await file.write(Buffer.alloc(size, 0xa5), 0, size, 0);
            await file.close();
        }
        const statuses = new Set();
        for (let i = 0; i < known.length; i += 97) {
            const answer = await server.get(`/runs/${known[i]}`);
            statuses.add(answer.status);
            if (answer.status === 200) assert.equal(answer.json.id, known[i]);
            else
                assert.ok(
                    answer.status >= 500,
                    `a run that is there: ${answer.status} ${answer.text}`,
                );
        }
        assert.ok(
            [...statuses].some((status) => status >= 500),
            'the index was spoilt',
        );
        const search = await server.get(`/runs/search?trace_id=${uuid()}`);
        assert.ok(search.status >= 500 || search.status === 200);
        assert.equal((await server.ask('GET', '/ready', { lawful: false })).status, 503);
    });
});
