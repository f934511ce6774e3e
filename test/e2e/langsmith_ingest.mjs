// langsmith_ingest.mjs - programs that the LangSmith SDKs trace, unmodified: only
// $LANGSMITH_ENDPOINT is ours.  Every way in that they know, of this year's and last year's;
// LangChain and LangGraph; what they wrote is read back by the SDK and compared, and every
// byte of it is held against what went over the wire, merged by the rules.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { all, load, nodeWithZstd, plain, program, useHere } from './lib/clients.mjs';
import { Runs, assertShown } from './lib/merge.mjs';
import { Server } from './lib/server.mjs';
import { Tap } from './lib/tap.mjs';

const { Client } = load('langsmith');

const flags = (zstd, gzip) => (info) => {
    info.instance_flags.zstd_compression_enabled &&= zstd;
    info.instance_flags.gzip_body_enabled &&= gzip;
};
// name, the package, how it is talked into it, and by what that is seen
const ways = [
    {
        name: 'multipart, zstd',
        sdk: 'langsmith',
        node: nodeWithZstd,
        sign: ({ path, headers }) =>
            path === '/runs/multipart' && headers['content-encoding'] === 'zstd',
    },
    {
        name: 'multipart, gzip',
        sdk: 'langsmith',
        info: flags(false, true),
        sign: ({ path, headers }) =>
            path === '/runs/multipart' && headers['content-encoding'] === 'gzip',
    },
    {
        name: 'multipart, plain in chunks',
        sdk: 'langsmith',
        info: flags(false, false),
        sign: ({ path, headers }) =>
            path === '/runs/multipart' &&
            headers['transfer-encoding'] === 'chunked' &&
            !headers['content-encoding'],
    },
    {
        name: 'batches of JSON',
        sdk: 'langsmith',
        info: (info) => (info.batch_ingest_config.use_multipart_endpoint = false),
        without: 'files',
        sign: ({ path }) => path === '/runs/batch',
    },
    {
        name: 'each run by itself',
        sdk: 'langsmith',
        args: ['single'],
        without: 'files',
        sign: ({ method, path }) => method === 'PATCH' && path.startsWith('/runs/'),
    },
    {
        name: 'last year: multipart, gzip in chunks',
        sdk: 'langsmith-2025',
        sign: ({ path, headers }) =>
            path === '/runs/multipart' &&
            headers['transfer-encoding'] === 'chunked' &&
            headers['content-encoding'] === 'gzip',
    },
    {
        name: 'last year: batches of JSON',
        sdk: 'langsmith-2025',
        info: (info) => (info.batch_ingest_config.use_multipart_endpoint = false),
        without: 'files',
        sign: ({ path }) => path === '/runs/batch',
    },
    {
        name: 'last year: each run by itself',
        sdk: 'langsmith-2025',
        args: ['single'],
        without: 'files',
        sign: ({ method, path }) => method === 'PATCH' && path.startsWith('/runs/'),
    },
];

describe('what the SDKs trace', () => {
    let server;
    let client;
    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
    });
    after(() => server.close());

    // All that was written, byte for byte.
    async function assertAllShown(tap) {
        const runs = new Runs(tap.layers());
        const ids = runs.ids();
        assert.ok(ids.length > 0);
        for (const id of ids) {
            const answer = await server.get(`/runs/${id}`);
            assert.equal(answer.status, 200, answer.text);
            assertShown(answer.text, runs, id);
        }
        return runs;
    }

    // One run of tracing.cjs, as the program knows it.
    async function assertReads(name, done) {
        const run = await client.readRun(done.id);
        const what = (field) => `${field} of ${name}`;
        assert.equal(run.name, name);
        assert.equal(run.run_type, done.run_type, what('run_type'));
        assert.equal(run.trace_id, done.trace, what('trace_id'));
        assert.equal(run.parent_run_id ?? null, done.parent, what('parent_run_id'));
        assert.deepEqual(run.inputs, done.inputs, what('inputs'));
        assert.deepEqual(run.outputs ?? undefined, done.outputs, what('outputs'));
        assert.deepEqual(run.tags ?? [], done.tags, what('tags'));
        for (const [key, value] of Object.entries(done.metadata))
            assert.deepEqual(run.extra.metadata[key], value, what(`metadata ${key}`));
        assert.equal(run.status, done.error ? 'error' : 'success', what('status'));
        if (done.error) assert.ok(run.error.startsWith(done.error), run.error);
        else assert.equal(run.error ?? null, null, what('error'));
        assert.ok(Date.parse(run.end_time) >= Date.parse(run.start_time), what('end_time'));
        return run;
    }

    for (const { name, sdk, node, info, args = [], without, sign } of ways)
        it(name, { skip: node === null && 'no Node with zstd is packed here' }, async () => {
            const tap = await Tap.open(server, { info });
            const project = `way in: ${name}`;
            try {
                const done = await program('tracing', {
                    url: tap.url,
                    node,
                    project,
                    args: [sdk, ...args],
                });
                assert.ok(
                    tap.calls.some(sign),
                    `not what was asked for: ${[...tap.counts().keys()]}`,
                );
                assert.ok(
                    tap.calls.every(({ status }) => status >= 200 && status < 300),
                    tap.calls.map(({ path, status }) => `${path} ${status}`).join(', '),
                );
                for (const [which, run] of Object.entries(done)) {
                    const read = await assertReads(which, run);
                    assert.equal(
                        read.session_id,
                        (await client.readProject({ projectName: project })).id,
                    );
                    if (run.files && without !== 'files') await assertFiles(read, run.files);
                }
                await assertTree(done);
                await assertStream(done);
                await assertAllShown(tap);
            } finally {
                await tap.close();
            }
        });

    async function assertFiles(run, files) {
        assert.deepEqual(
            Object.keys(run.s3_urls).sort(),
            Object.keys(files)
                .map((name) => `attachment.${name}`)
                .sort(),
        );
        for (const [name, { type, base64 }] of Object.entries(files)) {
            const there = run.s3_urls[`attachment.${name}`];
            assert.equal(there.mime_type, type);
            const answer = await fetch(new URL(there.presigned_url, server.url));
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.get('content-type'), type);
            assert.equal(Buffer.from(await answer.arrayBuffer()).toString('base64'), base64);
        }
    }

    async function assertTree(done) {
        const root = await client.readRun(done.agent.id, { loadChildRuns: true });
        assert.deepEqual(
            root.child_runs.map((run) => run.name),
            ['retrieve', 'calculate', 'answer', 'scalar'],
        );
        for (const child of root.child_runs) {
            assert.deepEqual(child.inputs, done[child.name].inputs);
            assert.ok(child.dotted_order.startsWith(`${root.dotted_order}.`));
        }
    }

    async function assertStream(done) {
        const run = await client.readRun(done.answer.id);
        assert.equal(run.events.filter((event) => event.name === 'new_token').length, 3);
        assert.ok(run.first_token_time, 'the time of the first token');
        assert.deepEqual([run.prompt_tokens, run.completion_tokens, run.total_tokens], [11, 4, 15]);
    }

    for (const end of ['', '/', '/api/v1', '/api', '/v1'])
        it(`straight to the server, at http://...${end}`, async () => {
            const done = await program('tracing', {
                url: `${server.url}${end}`,
                project: 'straight',
            });
            for (const [name, run] of Object.entries(done)) await assertReads(name, run);
            const there = new Client({ apiUrl: `${server.url}${end}` });
            assert.equal((await there.readRun(done.agent.id)).name, 'agent');
        });

    it('to an agent instead of a project', async () => {
        const done = await program('tracing', {
            url: server.url,
            env: { LANGSMITH_AGENT_ID: 'helper', LANGSMITH_AGENT_ENVIRONMENT: 'production' },
        });
        const run = await client.readRun(done.agent.id);
        const { session_id } = await client.sessions.resolve({
            kind: 'AGENT',
            id: 'helper',
            environment: 'PRODUCTION',
        });
        assert.equal(run.session_id, session_id);
        assert.equal(
            (await client.readProject({ projectId: session_id })).name,
            'helper/production',
        );
    });

    it('LangChain and LangGraph', async () => {
        const tap = await Tap.open(server);
        try {
            const { ids, said } = await program('langchain', { url: tap.url, project: 'chains' });
            const runs = await assertAllShown(tap);
            assert.equal(said.chain, 'Paris');
            assert.equal(said.stream, 'Berlin');
            assert.match(said.failed, /no answer today/);
            assert.equal(said.graph, 'sunny in Ulm');

            const chain = await client.readRun(ids.chain, { loadChildRuns: true });
            assert.deepEqual(chain.outputs, { output: 'Paris' });
            assert.deepEqual(chain.inputs, {
                language: 'German',
                question: 'capital of Italy?',
            });
            assert.deepEqual(
                chain.child_runs.map((run) => run.run_type),
                ['prompt', 'llm', 'parser'],
            );
            assert.ok(chain.tags.includes('lc') && chain.tags.includes('chain'), chain.tags);
            assert.equal(chain.extra.metadata.session_id, 's-1');

            const failed = await client.readRun(ids.failed);
            assert.equal(failed.status, 'error');
            assert.match(failed.error, /no answer today/);

            const graph = await client.readRun(ids.graph, { loadChildRuns: true });
            const tool = runs.ids().find((id) => runs.value(id, 'name') === 'weather');
            assert.equal(runs.trace(tool), ids.graph);
            assert.deepEqual(
                graph.child_runs.map((run) => run.name).filter((name) => !name.startsWith('_')),
                ['ask', 'look'],
            );
        } finally {
            await tap.close();
        }
    });

    const hash = (text) => createHash('sha256').update(text).digest('hex');
    for (const sdk of ['langsmith', 'langsmith-2025'])
        it(`a thousand runs at once: ${sdk}`, async () => {
            const project = `a thousand of ${sdk}`;
            const runs = await program('many', {
                url: server.url,
                project,
                args: [sdk, '1000', '300'],
            });
            const read = await all(client.listRuns({ projectName: project }));
            assert.equal(read.length, 1000);
            const byId = new Map(read.map((run) => [run.id, run]));
            for (const [n, { id, hash: wanted }] of runs.entries()) {
                const run = byId.get(id);
                assert.equal(run.inputs.n, n);
                assert.equal(hash(run.inputs.text), wanted);
                assert.deepEqual(run.outputs, { id, n: n + 1 });
                assert.equal(run.status, 'success');
            }
        });

    for (const [sdk, node] of [
        ['langsmith', nodeWithZstd ?? undefined],
        ['langsmith-2025', undefined],
    ])
        it(`inputs of 20 MB: ${sdk}`, async () => {
            const size = 20 << 20;
            const runs = await program('many', {
                url: server.url,
                node,
                project: 'large',
                args: [sdk, '1', String(size)],
                env: { LANGSMITH_RUN_COMPRESSION_WINDOW_LOG: '27' }, // the largest there is
            });
            for (const [n, { id, hash: wanted }] of runs.entries()) {
                const run = await client.readRun(id);
                assert.equal(run.inputs.text.length, size);
                assert.equal(hash(run.inputs.text), wanted);
                assert.deepEqual(run.outputs, { id, n: n + 1 });
            }
        });

    it('post and patch of a run, by hand', async () => {
        const id = randomUUID();
        await client.createRun({
            id,
            name: 'single',
            run_type: 'tool',
            inputs: { x: 'é😀' },
            start_time: 1_795_450_963_859,
            project_name: 'by hand',
        });
        const running = await client.readRun(id);
        assert.equal(running.status, 'pending');
        assert.equal(running.end_time, null);
        assert.equal(running.trace_id, id);
        await client.updateRun(id, { outputs: { y: 1 }, end_time: 1_795_450_963_865 });
        const run = await client.readRun(id);
        assert.equal(run.status, 'success');
        assert.deepEqual(run.inputs, { x: 'é😀' });
        assert.deepEqual(run.outputs, { y: 1 });
        assert.equal(Date.parse(run.start_time), 1_795_450_963_859);
        assert.equal(Date.parse(run.end_time), 1_795_450_963_865);
    });

    it('a patch that comes before its post', async () => {
        const id = randomUUID();
        await client.updateRun(id, { outputs: { y: [1, 2] }, end_time: 1_795_450_963_865 });
        assert.deepEqual((await client.readRun(id)).outputs, { y: [1, 2] });
        await client.createRun({
            id,
            name: 'late',
            run_type: 'llm',
            inputs: { x: 1 },
            outputs: {},
            start_time: 1_795_450_963_859,
        });
        const run = await client.readRun(id);
        assert.deepEqual(plain([run.name, run.run_type, run.inputs, run.outputs, run.status]), [
            'late',
            'llm',
            { x: 1 },
            { y: [1, 2] },
            'success',
        ]);
    });

    it('a kind of run that nobody knows is refused, and the SDK says so', async () => {
        await assert.rejects(
            client.createRun({
                id: randomUUID(),
                name: 'odd',
                run_type: 'wibble',
                inputs: {},
            }),
            (error) => error.status === 422 || error.status === 400,
        );
    });

    it('a run that is not there', async () => {
        await assert.rejects(client.readRun(randomUUID()), (error) => error.status === 404);
    });

    it('whoami: /info says what the SDK may send', async () => {
        const answer = await server.get('/info');
        assert.equal(answer.status, 200);
        const { version, instance_flags: can, batch_ingest_config: how } = answer.json;
        assert.equal(version, '0.18.0');
        assert.ok(can.zstd_compression_enabled && can.gzip_body_enabled && can.ch_query_enabled);
        assert.equal(how.use_multipart_endpoint, true);
        for (const name of [
            'size_limit',
            'size_limit_bytes',
            'scale_up_qsize_trigger',
            'scale_up_nthreads_limit',
            'scale_down_nempty_trigger',
        ])
            assert.ok(Number.isInteger(how[name]), name);
        for (const prefix of ['/api', '/v1', '/api/v1'])
            assert.deepEqual((await server.get(`${prefix}/info`)).json, answer.json, prefix);
    });

    it('after a restart everything reads the same', async () => {
        const before = await all(client.listRuns({ projectName: 'chains' }));
        assert.ok(before.length > 10);
        await server.restart();
        useHere(server.url);
        client = new Client();
        assert.deepEqual(await all(client.listRuns({ projectName: 'chains' })), before);
    });
});

describe('with a key', () => {
    const key = 'rk-a-key-of-ours';
    let server;
    before(async () => {
        server = await Server.start({ flags: ['--api-key', key] });
    });
    after(() => server.close());

    it('it is $LANGSMITH_API_KEY', async () => {
        const client = new Client({ apiUrl: server.url, apiKey: key });
        const done = await program('tracing', {
            url: server.url,
            env: { LANGSMITH_API_KEY: key },
        });
        assert.equal((await client.readRun(done.agent.id)).name, 'agent');
        const link = await client.shareRun(done.agent.id);
        const token = /\/public\/([^/]+)\//.exec(link)[1];
        assert.equal((await fetch(`${server.url}/public/${token}/run`)).status, 200);
        const { s3_urls } = await client.readRun(done.look.id);
        for (const { presigned_url } of Object.values(s3_urls))
            assert.equal((await fetch(new URL(presigned_url, server.url))).status, 200);
    });
    it('without it nothing is read', async () => {
        const stranger = new Client({ apiUrl: server.url, apiKey: 'another' });
        await assert.rejects(
            all(stranger.listProjects()),
            (error) => error.status === 401 || error.status === 403,
        );
    });
});
