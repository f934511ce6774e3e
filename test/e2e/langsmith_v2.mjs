// langsmith_v2.mjs - the second API, which the generated client of the SDK speaks; datasets,
// examples, and evaluate().
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { all, load, useHere } from './lib/clients.mjs';
import { instant } from './lib/merge.mjs';
import { Server } from './lib/server.mjs';
import { makeTraces, write } from './lib/traces.mjs';

const { Client } = load('langsmith');
const { Client: OldClient } = load('langsmith-2025');
const { evaluate } = load('langsmith/evaluation');
const { evaluate: oldEvaluate } = load('langsmith-2025/evaluation');

const HOUR = 3_600_000;
const status = (wanted) => (error) => error.status === wanted;
const notFound = (error) => error.status === 404 || /404|not found/i.test(error.message);
const ids = (list) => list.map((run) => run.id);

describe('the second API', () => {
    let server;
    let client;
    let project;
    // It looks at the last day when it is not told otherwise.
    const traces = makeTraces({ count: 24, project: 'second', start: Date.now() - 2 * HOUR });
    const long = makeTraces({ count: 3, project: 'long ago', start: Date.now() - 50 * HOUR });
    const runs = traces.flatMap((trace) => trace.runs);
    const newest = [...runs].sort((a, b) => b.start_time - a.start_time);
    const sum = (trace, field) => trace.llm.outputs.usage_metadata[field];

    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
        await write(client, [...runs, ...long.flatMap((trace) => trace.runs)]);
        project = (await client.readProject({ projectName: 'second' })).id;
    });
    after(() => server.close());

    const ask = (params) => all(client.runs.query({ project_ids: [project], ...params }));

    describe('runs', () => {
        it('of the last day, newest first, over pages', async () => {
            for (const page_size of [undefined, 1000, 10])
                assert.deepEqual(ids(await ask({ page_size })), ids(newest));
        });
        it('of any time', async () => {
            const { id } = await client.readProject({ projectName: 'long ago' });
            const count = async (params) =>
                (await ask({ project_ids: [project, id], ...params })).length;
            assert.equal(await count({}), runs.length);
            const min_start_time = new Date(Date.now() - 60 * HOUR).toISOString();
            assert.equal(await count({ min_start_time }), runs.length + 9);
            const max_start_time = new Date(Date.now() - 40 * HOUR).toISOString();
            assert.equal(await count({ min_start_time, max_start_time }), 9);
        });
        it('have the keys that were selected, no others', async () => {
            const [bare] = await ask({ ids: [runs[0].id] });
            assert.deepEqual(Object.keys(bare), ['id']);
            const { root, llm } = traces[4];
            const [run] = await ask({
                ids: [llm.id],
                selects: [
                    ...['ID', 'NAME', 'RUN_TYPE', 'STATUS', 'START_TIME', 'END_TIME', 'INPUTS'],
                    ...['OUTPUTS', 'METADATA', 'PROJECT_ID', 'TRACE_ID', 'IS_ROOT', 'DOTTED_ORDER'],
                    ...['LATENCY_SECONDS', 'TOTAL_TOKENS', 'PROMPT_TOKENS', 'COMPLETION_TOKENS'],
                    ...['TOTAL_COST', 'PARENT_RUN_IDS', 'FIRST_TOKEN_TIME', 'EVENTS'],
                ],
            });
            assert.equal(run.id, llm.id);
            assert.equal(run.name, 'model');
            assert.equal(run.run_type, 'LLM');
            assert.equal(run.status, 'SUCCESS');
            assert.equal(instant(run.start_time), llm.start_time * 1000);
            assert.equal(instant(run.end_time), llm.end_time * 1000);
            assert.equal(run.latency_seconds, 0.5);
            assert.deepEqual(run.inputs, llm.inputs);
            assert.deepEqual(run.outputs, llm.outputs);
            assert.equal(run.metadata.ls_model_name, 'fake-1');
            assert.equal(run.project_id, project);
            assert.equal(run.trace_id, root.id);
            assert.equal(run.is_root, false);
            assert.equal(run.dotted_order, llm.dotted_order);
            assert.deepEqual(run.parent_run_ids, [root.id]);
            assert.deepEqual(
                [run.prompt_tokens, run.completion_tokens, run.total_tokens, run.total_cost],
                [14, 5, 19, 0.75],
            );
            assert.equal(instant(run.first_token_time), (root.start_time + 150) * 1000);
            assert.deepEqual(run.events, llm.events);
            assert.ok(!('error' in run) && !('tags' in run) && !('extra' in run));
        });
        it('by what they are', async () => {
            const finds = async (params, wanted) =>
                assert.deepEqual(ids(await ask(params)), ids(newest.filter(wanted)));
            await finds({ is_root: true }, (run) => !run.parent_run_id);
            await finds({ run_type: 'TOOL' }, (run) => run.run_type === 'tool');
            await finds({ has_error: true }, (run) => run.error);
            await finds({ trace_id: traces[3].id }, (run) => run.trace_id === traces[3].id);
            await finds({ filter: 'gt(total_tokens, 20)' }, (run) => {
                return run.outputs?.usage_metadata?.total_tokens > 20;
            });
            const root = (run) => traces.find(({ id }) => id === run.trace_id);
            await finds({ trace_filter: 'has(tags, "even")' }, (run) => root(run).n % 2 === 0);
            await finds({ trace_filter: 'matches(tags, "^EV.N$")' }, (run) => root(run).n % 2 === 0);
            await finds(
                { tree_filter: 'eq(status, "pending")', is_root: true },
                (run) => !run.parent_run_id && !root(run).tool.end_time,
            );
            await assert.rejects(ask({ filter: 'eq(colour, 1)' }), status(400));
        });
        it('as a stream', async () => {
            const items = await all(
                client.runs.streaming.queryV2Items({
                    project_ids: [project],
                    selects: ['ID', 'NAME'],
                    page_size: 30,
                }),
            );
            assert.deepEqual(
                items.map(({ id, name }) => [id, name]),
                newest.map(({ id, name }) => [id, name]),
            );
        });
        it('one by one', async () => {
            const { llm, tool } = traces[5];
            const run = await client.runs.retrieve(llm.id, {
                project_id: project,
                start_time: new Date(llm.start_time).toISOString(),
                selects: ['ID', 'NAME', 'INPUTS'],
            });
            assert.deepEqual(run, { id: llm.id, name: 'model', inputs: llm.inputs });
            const broken = await client.runs.retrieve(tool.id, {
                project_id: project,
                selects: ['ERROR', 'STATUS'],
            });
            assert.deepEqual([broken.status, broken.error], ['ERROR', 'it broke: 5']);
            const elsewhere = randomUUID();
            await assert.rejects(
                client.runs.retrieve(llm.id, { project_id: elsewhere }),
                status(404),
            );
            await assert.rejects(
                client.runs.retrieve(randomUUID(), { project_id: project }),
                status(404),
            );
        });
        it('their links', async () => {
            const { llm, id } = traces[5];
            const { url } = await client.runs.getURL(llm.id, { project_id: project, trace_id: id });
            assert.ok(url.includes(llm.id), url);
        });
        it('for everybody', async () => {
            const { root, llm, runs: three } = traces[6];
            const body = { session_id: project, trace_id: root.id };
            const { share_token } = await client.runs.share.create(llm.id, body);
            const again = await client.runs.share.create(root.id, body);
            assert.equal(again.share_token, share_token);
            const { share_url } = await client.runs.retrieve(root.id, {
                project_id: project,
                selects: ['SHARE_URL'],
            });
            assert.ok(share_url.includes(share_token), share_url);
            const { items } = await client.openAPIClient.public.runs.query(share_token, {
                selects: ['ID', 'NAME'],
            });
            assert.deepEqual(ids(items).sort(), ids(three).sort());
            const one = await client.openAPIClient.public.runs.retrieve(llm.id, {
                share_token,
                start_time: new Date(llm.start_time).toISOString(),
                selects: ['ID', 'NAME'],
            });
            assert.equal(one.name, 'model');
            await client.runs.share.delete(root.id, { session_id: project });
            await client.runs.share.delete(root.id, { session_id: project });
            await assert.rejects(
                client.openAPIClient.public.runs.query(share_token, {}),
                status(404),
            );
            const unshared = await client.runs.retrieve(root.id, {
                project_id: project,
                selects: ['ID', 'SHARE_URL'],
            });
            assert.ok(!unshared.share_url);
        });
        it('what is said in words is not understood', async () => {
            const answer = await server.post(
                '/api/v2/runs/query',
                { project_ids: [project], ai_search: 'angry people' },
                { accept: 'text/event-stream' },
            );
            assert.equal(answer.status, 501, answer.text);
        });
    });

    describe('traces', () => {
        it('the runs of one', async () => {
            const { id, runs: three } = traces[2];
            const { items } = await client.traces.listRuns(id, {
                project_id: project,
                selects: ['ID', 'NAME'],
                min_start_time: new Date(traces[2].start - HOUR).toISOString(),
                max_start_time: new Date().toISOString(),
            });
            assert.deepEqual(ids(items).sort(), ids(three).sort());
        });
        it('listed by their roots, with the sums of all their runs', async () => {
            const items = await all(
                client.traces.query({
                    project_id: project,
                    selects: ['ID', 'NAME', 'TOTAL_TOKENS'],
                    page_size: 10,
                }),
            );
            assert.deepEqual(
                items.map((item) => item.root_run.id),
                traces.map(({ id }) => id).reverse(),
            );
            for (const [i, { trace_aggregates }] of items.reverse().entries())
                assert.equal(trace_aggregates.total_tokens, sum(traces[i], 'total_tokens'));
            const some = await all(
                client.traces.query({
                    project_id: project,
                    trace_filter: 'has(tags, "even")',
                    tree_filter: 'neq(error, null)',
                    selects: ['ID'],
                }),
            );
            assert.deepEqual(
                some.map((item) => item.root_run.id),
                traces
                    .filter(({ n, broken, tool }) => n % 2 === 0 && broken && tool.error)
                    .map(({ id }) => id)
                    .reverse(),
            );
        });
    });

    describe('threads', () => {
        const of = (k) => traces.filter(({ n }) => n % 4 === k);
        it('listed', async () => {
            const items = await all(client.threads.query({ project_id: project }));
            assert.deepEqual(
                items.map(({ thread_id, count }) => [thread_id, count]).sort(),
                [0, 1, 2, 3].map((k) => [`thread ${k}`, of(k).length]),
            );
            const first = items.find(({ thread_id }) => thread_id === 'thread 1');
            assert.equal(first.first_trace_id, of(1)[0].id);
            assert.equal(first.last_trace_id, of(1).at(-1).id);
        });
        it('their traces', async () => {
            const items = await all(
                client.threads.listTraces('thread 2', {
                    project_id: project,
                    selects: ['TRACE_ID', 'NAME', 'START_TIME'],
                }),
            );
            assert.deepEqual(
                items.map(({ trace_id }) => trace_id).sort(),
                of(2)
                    .map(({ id }) => id)
                    .sort(),
            );
        });
    });

    it('lists of projects and datasets', async () => {
        const made = await client.createDataset('listed', { description: 'd' });
        const sessions = await all(client.sessions.listV2());
        assert.ok(sessions.some(({ id, type }) => id === project && type === 'PROJECT'));
        const datasets = await all(client.datasets.listV2());
        assert.ok(datasets.some(({ id }) => id === made.id));
    });
});

describe('datasets', () => {
    let server;
    let client;
    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
    });
    after(() => server.close());

    const three = [
        { inputs: { n: 1 }, outputs: { square: 1 } },
        { inputs: { n: 2 }, outputs: { square: 4 } },
        { inputs: { n: 3 }, outputs: { square: 9 } },
    ];
    async function newDataset(name) {
        const dataset = await client.createDataset(name, { description: 'squares' });
        const examples = await client.createExamples(
            three.map((example) => ({ ...example, dataset_id: dataset.id })),
        );
        return { dataset, examples };
    }
    const byN = (list) => [...list].sort((a, b) => a.inputs.n - b.inputs.n);

    it('made, read, changed, listed, deleted', async () => {
        const dataset = await client.createDataset('one', {
            description: 'the first',
            metadata: { team: 'red' },
        });
        assert.equal(dataset.name, 'one');
        await assert.rejects(client.createDataset('one'), (error) => {
            return error.status === 409 || /already exists/i.test(error.message);
        });
        assert.equal(await client.hasDataset({ datasetName: 'one' }), true);
        assert.equal(await client.hasDataset({ datasetName: 'none' }), false);
        const read = await client.readDataset({ datasetName: 'one' });
        assert.equal(read.id, dataset.id);
        assert.equal(read.description, 'the first');
        assert.equal((await client.readDataset({ datasetId: dataset.id })).name, 'one');
        await client.updateDataset({ datasetId: dataset.id, description: 'changed' });
        assert.equal((await client.readDataset({ datasetId: dataset.id })).description, 'changed');
        for (const name of ['two', 'three']) await client.createDataset(name);
        assert.equal((await all(client.listDatasets())).length, 3);
        const found = await all(client.listDatasets({ datasetNameContains: 'o' }));
        assert.deepEqual(found.map(({ name }) => name).sort(), ['one', 'two']);
        const [byId] = await all(client.listDatasets({ datasetIds: [dataset.id] }));
        assert.equal(byId.id, dataset.id);
        await client.deleteDataset({ datasetName: 'one' });
        await assert.rejects(client.readDataset({ datasetId: dataset.id }), notFound);
        assert.equal(await client.hasDataset({ datasetName: 'one' }), false);
    });
    it('examples', async () => {
        const { dataset, examples } = await newDataset('squares');
        assert.equal(examples.length, 3);
        const listed = byN(await all(client.listExamples({ datasetId: dataset.id })));
        assert.deepEqual(
            listed.map(({ inputs, outputs }) => ({ inputs, outputs })),
            three,
        );
        assert.ok(listed.every(({ dataset_id }) => dataset_id === dataset.id));
        assert.deepEqual(listed[0].metadata?.dataset_split, ['base']);
        assert.equal((await client.readDataset({ datasetId: dataset.id })).example_count, 3);
        const [one] = await all(
            client.listExamples({ datasetId: dataset.id, exampleIds: [listed[1].id] }),
        );
        assert.deepEqual(one.inputs, { n: 2 });
        assert.equal(
            (await all(client.listExamples({ datasetName: 'squares', limit: 2 }))).length,
            2,
        );

        await client.updateExample({
            id: listed[2].id,
            dataset_id: dataset.id,
            inputs: { n: 5 },
            outputs: { square: 25 },
            metadata: { hard: true },
        });
        const changed = await client.readExample(listed[2].id);
        assert.deepEqual(changed.inputs, { n: 5 });
        assert.deepEqual(changed.outputs, { square: 25 });
        assert.equal(changed.metadata.hard, true);
        await client.deleteExample(listed[0].id);
        await assert.rejects(client.readExample(listed[0].id), notFound);
        assert.equal((await all(client.listExamples({ datasetId: dataset.id }))).length, 2);
    });
    it('examples with files, and of a split', async () => {
        const dataset = await client.createDataset('files');
        const example = await client.createExample({
            dataset_id: dataset.id,
            inputs: { what: 'a picture' },
            outputs: { ok: true },
            split: 'test',
            metadata: { kind: 'picture' },
            attachments: { picture: { mimeType: 'image/png', data: Uint8Array.of(1, 2, 0, 255) } },
        });
        const { presigned_url, mime_type } = example.attachments.picture;
        assert.equal(mime_type, 'image/png');
        const answer = await fetch(presigned_url);
        assert.deepEqual([...new Uint8Array(await answer.arrayBuffer())], [1, 2, 0, 255]);
        const found = async (props) =>
            (await all(client.listExamples({ datasetId: dataset.id, ...props }))).length;
        assert.equal(await found({ splits: ['test'] }), 1);
        assert.equal(await found({ splits: ['train'] }), 0);
        assert.equal(await found({ metadata: { kind: 'picture' } }), 1);
        assert.equal(await found({ metadata: { kind: 'sound' } }), 0);
    });
    it('an example that is a run’s', async () => {
        const dataset = await client.createDataset('of runs');
        const id = crypto.randomUUID();
        const run = { id, name: 'asked', run_type: 'chain', inputs: { n: 4 }, outputs: { square: 16 } };
        await client.createRun(run);
        await client.awaitPendingTraceBatches();
        const [example] = await client.createExamples([
            { dataset_id: dataset.id, inputs: {}, source_run_id: id, use_source_run_io: true },
        ]);
        assert.deepEqual([example.inputs, example.outputs], [{ n: 4 }, { square: 16 }]);
        assert.equal(example.source_run_id, id);
    });
    it('one example by itself, from last year', async () => {
        const old = new OldClient();
        const dataset = await old.createDataset('old');
        await old.createExample({ n: 1 }, { square: 1 }, { datasetId: dataset.id });
        const [example] = await all(old.listExamples({ datasetName: 'old' }));
        assert.deepEqual(example.inputs, { n: 1 });
        assert.deepEqual(example.outputs, { square: 1 });
    });

    for (const [year, run] of Object.entries({ 'this year': evaluate, 'last year': oldEvaluate }))
        it(`evaluate(), ${year}`, async () => {
            const name = `evaluated ${year}`;
            const { dataset, examples } = await newDataset(name);
            const mine = year === 'this year' ? client : new OldClient();
            const usual = console.log;
            console.log = () => {}; // it says where to look
            const result = await run(async ({ n }) => ({ square: n === 3 ? 10 : n * n }), {
                data: name,
                experimentPrefix: 'try',
                metadata: { model: 'none' },
                evaluators: [
                    ({ outputs, referenceOutputs }) => ({
                        key: 'right',
                        score: outputs.square === referenceOutputs.square,
                    }),
                ],
                summaryEvaluators: [(all) => ({ key: 'runs', score: (all.runs ?? all).length })],
                maxConcurrency: 2,
                client: mine,
            }).finally(() => (console.log = usual));
            await mine.flush?.();
            await mine.awaitPendingTraceBatches();

            assert.equal(result.results.length, 3);
            const project = await client.readProject({ projectName: result.experimentName });
            assert.equal(project.reference_dataset_id, dataset.id);
            const roots = await all(client.listRuns({ projectId: project.id, isRoot: true }));
            assert.equal(roots.length, 3);
            for (const root of roots) {
                const example = examples.find(({ id }) => id === root.reference_example_id);
                const { n } = example.inputs;
                assert.deepEqual(root.outputs, { square: n === 3 ? 10 : n * n });
                const feedback = await all(client.listFeedback({ runIds: [root.id] }));
                assert.deepEqual(
                    feedback.map(({ key, score }) => [key, Number(score)]),
                    [['right', n === 3 ? 0 : 1]],
                );
                const found = await all(
                    client.listRuns({ projectId: project.id, referenceExampleId: example.id }),
                );
                assert.deepEqual(ids(found), [root.id]);
            }
            const experiments = await all(
                client.listProjects({ referenceDatasetName: name, includeStats: true }),
            );
            assert.deepEqual(ids(experiments), [project.id]);
            assert.equal(experiments[0].run_count, 3);
            assert.equal(experiments[0].feedback_stats.right.n, 3);
            assert.equal((await client.readDataset({ datasetName: name })).session_count, 1);
            const free = await all(client.listProjects({ referenceFree: true }));
            assert.ok(!ids(free).includes(project.id));
            const second = await all(
                client.runs.query({ reference_dataset_id: dataset.id, is_root: true }),
            );
            assert.deepEqual(ids(second).sort(), ids(roots).sort());
        });
    it('are there after a restart', async () => {
        const { dataset, examples } = await newDataset('kept');
        await client.deleteExample(examples[0].id);
        await server.restart();
        useHere(server.url);
        client = new Client();
        const listed = await all(client.listExamples({ datasetName: 'kept' }));
        assert.deepEqual(ids(byN(listed)), ids(byN(examples.slice(1))));
        assert.equal((await client.readDataset({ datasetName: 'kept' })).id, dataset.id);
    });
});
