// ops.mjs - what an operator looks at: /health, /ready, /metrics, the document
// of the API, the page of it, the log.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Wire, ask, dice, head, run, uuid } from './lib/client.mjs';
import { Server, hasLog } from './lib/server.mjs';

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace'];

describe('for operators', () => {
    let server;
    let id;
    before(async () => {
        server = await Server.start();
        [id] = await server.store([run({ name: 'ops' })]);
    });
    after(() => server.close());

    it('/health and /ready say 200', async () => {
        for (const path of ['/health', '/ready']) {
            const answer = await server.get(path);
            assert.equal(answer.status, 200);
            assert.match(answer.headers['content-type'], /^application\/json/);
            assert.equal(typeof answer.json, 'object');
        }
    });

    it('/ is the page, or {"message":"Rundlet"} for JSON', async () => {
        const json = await server.get('/', { accept: 'application/json' });
        assert.equal(json.status, 200);
        assert.equal(json.text, '{"message":"Rundlet"}');
        assert.match(json.headers['content-type'], /^application\/json/);
        const page = await server.get('/', { accept: 'text/html,*/*;q=0.8' });
        assert.equal(page.status, 200);
    });

    describe('/metrics', () => {
        const names = ['stored', 'merged', 'duplicate', 'refused'];
        const balance = (m) =>
            names.reduce((sum, name) => sum + m.get(`rundlet_runs_${name}_total`), 0);

        it('is Prometheus text, each name with its help and type once', async () => {
            const answer = await server.get('/metrics');
            assert.match(answer.headers['content-type'], /^text\/plain; ?version=0\.0\.4/);
            const helps = [...answer.text.matchAll(/^# HELP (\S+) ./gm)].map((m) => m[1]);
            const types = [
                ...answer.text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram|summary)$/gm),
            ].map((m) => m[1]);
            assert.ok(types.length > 10);
            assert.equal(new Set(types).size, types.length);
            assert.deepEqual([...helps].sort(), [...types].sort());
            const known = new Set(types);
            for (const name of (await server.metrics()).keys()) {
                const plain = name.replace(/\{.*/s, '');
                assert.ok(
                    known.has(plain) || known.has(plain.replace(/_(bucket|sum|count)$/, '')),
                    name,
                );
                assert.match(plain, /^rundlet_/);
            }
        });

        it('received = stored + merged + duplicate + refused, in runs, whatever is posted', async () => {
            const before = await server.metrics();
            const delta = {};
            const look = async () => {
                const now = await server.metrics();
                for (const name of ['received', ...names])
                    delta[name] =
                        now.get(`rundlet_runs_${name}_total`) -
                        before.get(`rundlet_runs_${name}_total`);
                assert.equal(balance(now), now.get('rundlet_runs_received_total'));
            };
            const post = async (runs, status) => {
                assert.equal((await server.post('/runs', runs)).status, status);
                await look();
            };
            const one = run({ id: uuid() });
            const two = run({ id: uuid() });
            await post([one, run(), run()], 201);
            assert.deepEqual(delta, {
                received: 3,
                stored: 3,
                merged: 0,
                duplicate: 0,
                refused: 0,
            });
            await post([one], 201);
            assert.deepEqual(delta, {
                received: 4,
                stored: 3,
                merged: 0,
                duplicate: 1,
                refused: 0,
            });
            await post([one, two], 201); // one is there, one is new
            assert.deepEqual(delta, {
                received: 6,
                stored: 4,
                merged: 0,
                duplicate: 2,
                refused: 0,
            });
            await post([run(), { ...one, name: 'other' }], 409);
            assert.deepEqual(delta, {
                received: 8,
                stored: 4,
                merged: 0,
                duplicate: 2,
                refused: 2,
            });
            await post([run(), { name: 1 }], 422);
            assert.deepEqual(delta, {
                received: 10,
                stored: 4,
                merged: 0,
                duplicate: 2,
                refused: 4,
            });
            await post('[]', 400);
            await post('nonsense', 422);
            await post(`[${JSON.stringify(run())},`, 422); // cut short
            await post([two, two, run({ id: uuid() })], 201);
            assert.equal(delta.stored, 5);
            assert.equal(delta.duplicate, 4);
        });

        it('they balance under a random mixture from many clients', async () => {
            const random = dice(4);
            const known = Array.from({ length: 20 }, () => run({ id: uuid() }));
            const jobs = Array.from({ length: 150 }, () => {
                const runs = Array.from({ length: 1 + random.below(30) }, () =>
                    random.chance(0.3) ? random.one(known) : run(),
                );
                if (random.chance(0.2))
                    runs.push({ ...random.one(known), name: `other ${random.below(100)}` });
                if (random.chance(0.2)) runs.push({ nonsense: true });
                return runs;
            });
            const statuses = new Set();
            await Promise.all(
                jobs.map(async (runs) => statuses.add((await server.post('/runs', runs)).status)),
            );
            assert.deepEqual([...statuses].sort(), [201, 409, 422]);
            const m = await server.metrics();
            assert.equal(balance(m), m.get('rundlet_runs_received_total'));
            assert.equal(m.get('rundlet_index_runs'), m.get('rundlet_runs_stored_total'));
        });

        it('what is stored is what is there', async () => {
            const m = await server.metrics();
            assert.ok(m.get('rundlet_runs_stored_total') > 0);
            if (hasLog) assert.ok(m.get('rundlet_segments') >= 1);
            assert.equal(m.get('rundlet_store_corrupt_total'), 0);
            assert.equal(m.get('rundlet_commit_queue_depth'), 0);
            assert.equal(m.get('rundlet_bytes_in_flight'), 0);
        });

        it('counts what it names: after work of every kind nothing of it stands still', async () => {
            const trace_id = uuid();
            const [one] = await server.store([run({ trace_id, inputs: { a: 1 } })]);
            for (let i = 0; i < 2; i++) {
                await server.get(`/runs/${one}`);
                await server.get(`/runs/search?trace_id=${trace_id}`);
            }
            const m = await server.metrics();
            const still = [
                'runs_received_total',
                'runs_stored_total',
                'batches_total',
                'ingest_bytes_total',
                'commit_groups_total',
                'commit_batches_total',
                'commit_seconds_count',
                ...(hasLog
                    ? ['fsync_seconds_count', 'log_bytes_total', 'log_size_bytes', 'segments']
                    : []),
                'index_stage_seconds_count',
                'index_commit_seconds_count',
                'index_reads_total',
                'index_read_seconds_count',
                'index_runs',
                'store_reads_total',
                'store_read_bytes_total',
                'store_read_seconds_count',
                'cache_hits_total{kind="run"}',
                'cache_hits_total{kind="search"}',
                'cache_misses_total{kind="run"}',
                'cache_misses_total{kind="search"}',
                'cache_bytes',
                'cache_entries',
                'http_requests_total{code="2xx"}',
                'http_request_seconds_count',
                'http_connections',
                'http_connections_total',
                'http_received_bytes_total',
                'http_sent_bytes_total',
                'process_resident_bytes',
                'build_info',
            ].filter((name) => !(m.get(`rundlet_${name}`) > 0));
            assert.deepEqual(still, []);
        });

        it('requests are counted by class', async () => {
            const at = async (code) =>
                (await server.metrics()).get(`rundlet_http_requests_total{code="${code}"}`);
            const [two, four] = [await at('2xx'), await at('4xx')];
            await server.get(`/runs/${id}`);
            await server.get(`/runs/${uuid()}`);
            await server.get('/nothing');
            assert.ok((await at('2xx')) >= two + 2);
            assert.equal(await at('4xx'), four + 2);
            assert.equal(await at('5xx'), 0);
        });
    });

    describe('/openapi.json', () => {
        let document;
        before(async () => {
            const answer = await server.get('/openapi.json');
            assert.equal(answer.status, 200);
            assert.match(answer.headers['content-type'], /^application\/json/);
            document = answer.json;
        });
        // What is deleted, changed or shared is nobody's.
        const real = (path, method = 'get') =>
            path.replace(/\{[^}]+\}/g, method === 'get' || method === 'post' ? id : uuid());

        it('is OpenAPI 3.1 and its references lead somewhere', () => {
            assert.match(document.openapi, /^3\.1\./);
            assert.equal(typeof document.info.title, 'string');
            assert.equal(typeof document.info.version, 'string');
            const walk = (value) => {
                if (value === null || typeof value !== 'object') return;
                if (typeof value.$ref === 'string') {
                    assert.match(value.$ref, /^#\//);
                    let at = document;
                    for (const step of value.$ref.slice(2).split('/'))
                        at = at?.[step.replaceAll('~1', '/').replaceAll('~0', '~')];
                    assert.notEqual(at, undefined, value.$ref);
                }
                Object.values(value).forEach(walk);
            };
            walk(document);
        });
        it('names what the contract names', () => {
            const want = [
                ['post', '/runs'],
                ['get', '/runs/{}'],
                ['get', '/runs/{}/inputs'],
                ['get', '/runs/{}/outputs'],
                ['get', '/runs/{}/metadata'],
                ['post', '/runs/batch'],
                ['get', '/runs/search'],
                ['get', '/'],
                ['get', '/health'],
                ['get', '/ready'],
                ['get', '/metrics'],
                ['get', '/openapi.json'],
                ['get', '/docs'],
            ];
            const there = new Map(
                Object.entries(document.paths).map(([path, item]) => [
                    path.replace(/\{[^}]+\}/g, '{}'),
                    item,
                ]),
            );
            for (const [method, path] of want) {
                // One path with a field parameter stands for the three.
                const item =
                    there.get(path) ?? there.get(path.replace(/(inputs|outputs|metadata)$/, '{}'));
                assert.ok(item?.[method], `${method} ${path}`);
            }
        });
        it('every path it names answers, by the methods it names and no others', async () => {
            for (const [path, item] of Object.entries(document.paths)) {
                const named = METHODS.filter((method) => item[method]);
                assert.ok(named.length > 0, path);
                for (const method of ['get', 'post', 'put', 'patch', 'delete']) {
                    const target = real(path, method).replace(
                        /\{field\}|(?<=^\/runs\/[^/]+\/)[0-9a-f-]{36}$/,
                        'inputs',
                    );
                    const body = ['post', 'put', 'patch'].includes(method) ? '[]' : null;
                    // One that has no end is asked for its head.
                    const endless = item[method]?.responses[200]?.content?.['text/event-stream'];
                    const verb = endless && method === 'get' ? 'HEAD' : method.toUpperCase();
                    const answer = await ask(server, verb, target, {
                        headers: body ? { 'content-type': 'application/json' } : {},
                        body,
                    });
                    const what = `${method} ${target}: ${answer.status}`;
                    if (named.includes(method)) {
                        const described = answer.status === 404 && item[method].responses[404];
                        assert.ok(described || ![404, 405, 501].includes(answer.status), what);
                        assert.ok(
                            item[method].responses[answer.status] || item[method].responses.default,
                            `${what} is described`,
                        );
                    } else if (answer.status !== 405) {
                        // Another path of the document may serve this one: /runs/batch is a /runs/{id}.
                        assert.ok(
                            Object.keys(document.paths).some(
                                (other) =>
                                    other !== path &&
                                    document.paths[other][method] &&
                                    new RegExp(`^${other.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(
                                        target,
                                    ),
                            ),
                            what,
                        );
                    }
                }
            }
        });
        it('no route answers that it does not name', async () => {
            const patterns = Object.keys(document.paths).map(
                (path) => new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`),
            );
            const bare = (path) => path.replace(/^\/(api\/v1|api|v1)(?=\/)/, '');
            const documented = (path) => patterns.some((pattern) => pattern.test(bare(path)));
            const guesses = [
                '/info',
                '/ok',
                '/runs/query',
                '/runs/multipart',
                '/sessions',
                '/feedback',
                '/v1/traces',
                '/api/v1/runs',
                '/api/v2/runs',
                '/admin',
                '/debug',
                '/debug/pprof',
                '/status',
                '/version',
                '/config',
                '/stats',
                '/favicon.ico',
                '/index.html',
                '/robots.txt',
                '/swagger',
                '/redoc',
                '/docs/',
                '/openapi.yaml',
                '/healthz',
                '/readyz',
                '/livez',
                '/live',
                '/shutdown',
                '/reload',
                '/keys',
                '/login',
                '/datasets',
                '/examples',
                '/projects',
                '/traces',
                '/search',
                '/batch',
                '/.env',
                '/.git/config',
                '/ui',
                '/assets/app.js',
                '/static/x',
            ];
            for (const path of guesses) {
                if (documented(path)) continue;
                for (const method of ['GET', 'POST']) {
                    const answer = await ask(
                        server,
                        method,
                        path,
                        method === 'POST'
                            ? { body: '[]', headers: { 'content-type': 'application/json' } }
                            : {},
                    );
                    assert.equal(answer.status, 404, `${method} ${path}`);
                }
            }
        });
        it('names the statuses that the contract names', () => {
            const statuses = (method, path) =>
                Object.keys(document.paths[path]?.[method]?.responses ?? {});
            for (const status of ['201', '400', '409', '413', '415', '422'])
                assert.ok(statuses('post', '/runs').includes(status), `POST /runs ${status}`);
            const one = Object.keys(document.paths).find((path) =>
                /^\/runs\/\{[^}]+\}$/.test(path),
            );
            for (const status of ['200', '304', '404', '422'])
                assert.ok(statuses('get', one).includes(status), `GET ${one} ${status}`);
            for (const status of ['200', '400', '422'])
                assert.ok(statuses('get', '/runs/search').includes(status), `search ${status}`);
        });
    });

    it('/docs is a page that needs nothing from elsewhere', async () => {
        const answer = await server.get('/docs');
        assert.equal(answer.status, 200);
        assert.match(answer.headers['content-type'], /^text\/html/);
        assert.doesNotMatch(answer.text, /(?:src|href|action)\s*=\s*["']?(?:https?:)?\/\//i);
        assert.doesNotMatch(answer.text, /@import|url\(\s*["']?(?:https?:)?\/\//i);
        assert.match(answer.headers['content-security-policy'] ?? '', /default-src 'none'/);
        assert.match(answer.headers['x-content-type-options'] ?? '', /nosniff/i);
        for (const path of ['/runs', '/runs/search', '/runs/batch'])
            assert.ok(answer.text.includes(path), path);
    });
});

describe('the log', () => {
    let server;
    before(async () => {
        server = await Server.start({
            env: { RUNDLET_LOG_LEVEL: 'debug' },
            flags: ['--api-key', 'canary-of-keys-51c9'],
        });
    });
    after(() => server.close());
    const auth = { 'x-api-key': 'canary-of-keys-51c9' };

    it('holds no payload and no key, whatever went right or wrong', async () => {
        const mark = 'canary-of-payloads-0a3f';
        const id = uuid();
        const loud = {
            name: mark,
            inputs: { [mark]: mark },
            outputs: { a: mark },
            metadata: { a: mark },
            error: mark,
            tags: [mark],
            session_name: mark,
        };
        const post = (body, headers = {}) => server.post('/runs', body, { ...auth, ...headers });
        assert.equal((await post([run({ id, ...loud })])).status, 201);
        assert.equal((await post([run({ id, ...loud, outputs: { a: `${mark}2` } })])).status, 409);
        assert.equal((await post([run({ ...loud, id: mark })])).status, 422);
        assert.equal((await post([run({ ...loud, start_time: mark })])).status, 422);
        assert.equal((await post([run({ ...loud, run_type: mark })])).status, 422);
        assert.equal((await post(`[{"inputs":{"a":"${mark}"`)).status, 422);
        assert.equal((await post(mark)).status, 422);
        assert.equal((await post(mark, { 'content-encoding': 'gzip' })).status, 400);
        assert.equal((await post([run(loud)], { 'content-type': `text/${mark}` })).status, 415);
        assert.equal((await server.get(`/runs/${id}`, auth)).status, 200);
        assert.equal((await server.get(`/runs/${id}/inputs`, auth)).status, 200);
        assert.equal(
            (await server.get(`/runs/${id}`, { authorization: `Bearer ${mark}` })).status,
            401,
        );
        assert.equal(
            (
                await server.get(`/runs/${id}`, {
                    authorization: `Basic ${Buffer.from(`a:${mark}`).toString('base64')}`,
                })
            ).status,
            401,
        );
        assert.equal(
            (await server.get(`/runs/${id}`, { ...auth, cookie: `session=${mark}` })).status,
            200,
        );
        const metrics = (await server.get('/metrics', auth)).text;
        await server.restart();
        for (const [what, text] of [
            ['log', server.logs],
            ['stdout', server.stdout],
            ['metrics', metrics],
        ]) {
            assert.ok(!text.includes(mark), `a payload or a header in the ${what}`);
            assert.ok(!text.includes('canary-of-keys'), `the key in the ${what}`);
            assert.ok(
                !text.includes(Buffer.from(`a:${mark}`).toString('base64')),
                `a password in the ${what}`,
            );
        }
        assert.ok(server.logs.length > 100, 'there is a log');
    });

    it('is one line of printable text per event, whatever the path holds', async () => {
        await server.get('/health'); // what is said at the start is for people, and over
        const from = server.logs.length;
        for (const path of [
            '/%0a%0dfake',
            '/\x1b[31m',
            '/a\tb',
            '/"quote"',
            '/\x7f',
            '/\xff\xfe',
            '/%1b%5b31m',
            `/${'x'.repeat(5000)}`,
        ]) {
            const wire = await Wire.open(server);
            wire.send(head(server, 'GET', path, auth));
            await wire.answer(5000);
            wire.close();
        }
        await server.get('/runs/search?name=%0d%0a2026-01-01T00:00:00Z%20error%20fake', auth);
        await server.stop();
        const said = server.logs.slice(from);
        // Every byte but the newline is printable.
        assert.doesNotMatch(said, /[\x00-\x09\x0b-\x1f\x7f]/);
        for (const line of said.trimEnd().split('\n'))
            assert.match(
                line,
                /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z (error|warn|info|debug) \w+( |$)/,
            );
        await server.up();
    });
});
