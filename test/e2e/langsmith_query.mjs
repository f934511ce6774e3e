// langsmith_query.mjs - finding runs, summing them up, and their projects, as the SDKs ask.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { all, load, useHere } from './lib/clients.mjs';
import { Server } from './lib/server.mjs';
import { makeTraces, write } from './lib/traces.mjs';

const { Client } = load('langsmith');
const { Client: OldClient } = load('langsmith-2025');

const START = Date.parse('2026-11-20T10:00:00.000Z');

describe('finding runs', () => {
    let server;
    let client;
    const traces = makeTraces({ count: 40, project: 'asked', start: START });
    const others = makeTraces({ count: 5, project: 'others', start: START });
    const runs = traces.flatMap((trace) => trace.runs);
    const newest = [...runs].sort((a, b) => b.start_time - a.start_time);

    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
        await write(client, [...runs, ...others.flatMap((trace) => trace.runs)]);
    });
    after(() => server.close());

    const ids = (list) => list.map((run) => run.id);
    const asked = (props) => all(client.listRuns({ projectName: 'asked', ...props }));
    async function finds(props, wanted) {
        assert.deepEqual(
            ids(await asked(props)),
            ids(newest.filter(wanted)),
            JSON.stringify(props),
        );
    }

    it('of a project: all of it, newest first, as it was written', async () => {
        const found = await asked({});
        assert.deepEqual(ids(found), ids(newest));
        for (const [i, run] of found.entries()) {
            const want = newest[i];
            assert.equal(run.name, want.name);
            assert.equal(run.run_type, want.run_type);
            assert.deepEqual(run.inputs, want.inputs);
            assert.deepEqual(run.outputs ?? undefined, want.outputs);
            assert.equal(run.error ?? undefined, want.error);
            assert.deepEqual(run.tags ?? undefined, want.tags);
            assert.equal(Date.parse(run.start_time), want.start_time);
            assert.equal(run.trace_id, want.trace_id);
            assert.equal(run.parent_run_id ?? undefined, want.parent_run_id);
            assert.equal(run.dotted_order, want.dotted_order);
            const tokens = want.outputs?.usage_metadata?.total_tokens;
            assert.equal(run.total_tokens ?? undefined, tokens);
        }
    });
    it('last year the same', async () => {
        const old = new OldClient();
        assert.deepEqual(ids(await all(old.listRuns({ projectName: 'asked' }))), ids(newest));
    });
    it('of two projects, by name and by id', async () => {
        const { id } = await client.readProject({ projectName: 'others' });
        const both = await all(client.listRuns({ projectName: ['asked'], projectId: [id] }));
        assert.equal(both.length, 45 * 3);
    });
    it('by what a run is', async () => {
        await finds({ isRoot: true }, (run) => !run.parent_run_id);
        await finds({ isRoot: false }, (run) => run.parent_run_id);
        await finds({ executionOrder: 1 }, (run) => !run.parent_run_id);
        await finds({ runType: 'llm' }, (run) => run.run_type === 'llm');
        await finds({ error: true }, (run) => run.error);
        await finds({ error: false }, (run) => !run.error);
        const since = START + 20 * 60_000;
        await finds({ startTime: new Date(since) }, (run) => run.start_time >= since);
    });
    it('by trace, parent and id, with no project named', async () => {
        const { id, runs: three, llm, tool } = traces[7];
        const sorted = (list) => ids(list).sort();
        assert.deepEqual(sorted(await all(client.listRuns({ traceId: id }))), sorted(three));
        assert.deepEqual(
            sorted(await all(client.listRuns({ parentRunId: id }))),
            sorted([llm, tool]),
        );
        const some = [traces[1].id, others[0].id, randomUUID()];
        assert.deepEqual(sorted(await all(client.listRuns({ id: some }))), some.slice(0, 2).sort());
    });
    it('by filters, of the run, of its root, of its trace', async () => {
        await finds({ filter: 'and(eq(run_type, "llm"), gt(total_tokens, 40))' }, (run) => {
            return run.outputs?.usage_metadata?.total_tokens > 40;
        });
        await finds({ filter: 'has(tags, "strange")' }, (run) => run.tags?.includes('strange'));
        await finds({ filter: 'eq(status, "pending")' }, (run) => !run.end_time);
        const root = (run) => traces.find(({ id }) => id === run.trace_id);
        await finds(
            { traceFilter: 'and(eq(metadata_key, "team"), eq(metadata_value, "red"))' },
            (run) => root(run).n % 3 === 0,
        );
        await finds({ treeFilter: 'neq(error, null)', isRoot: true }, (run) => {
            return !run.parent_run_id && root(run).tool.error;
        });
        await finds(
            { filter: 'search("question 12")', runType: 'llm' },
            (run) => run.run_type === 'llm' && root(run).n === 12,
        );
    });
    it('the SDK shows why a filter was refused', async () => {
        await assert.rejects(asked({ filter: 'eq(colour, "red")' }), (error) => {
            assert.equal(error.status, 400);
            assert.match(error.message, /colour/);
            return true;
        });
    });
    it('as many as were asked for', async () => {
        for (const limit of [1, 7, 100, 101])
            assert.deepEqual(ids(await asked({ limit })), ids(newest.slice(0, limit)));
        assert.deepEqual(
            ids(await asked({ order: 'asc', limit: 9 })),
            ids(newest).reverse().slice(0, 9),
        );
    });
    it('the fields that were asked for, and those that are always there', async () => {
        const [run] = await asked({ limit: 1, select: ['inputs'] });
        for (const name of ['id', 'inputs', 'name', 'run_type', 'start_time', 'trace_id'])
            assert.ok(name in run, name);
        for (const name of ['outputs', 'extra', 'events']) assert.ok(!(name in run), name);
    });
    it('pages stay where they are while newer runs come', async () => {
        const { id: session } = await client.readProject({ projectName: 'asked' });
        const seen = [];
        for (let cursor = null; ;) {
            const answer = await server.post('/runs/query', {
                session: [session],
                limit: 50,
                cursor,
            });
            assert.equal(answer.status, 200, answer.text);
            seen.push(...ids(answer.json.runs));
            cursor = answer.json.cursors.next;
            if (!cursor) break;
            const newer = makeTraces({ count: 1, project: 'asked', start: START + 9e8 });
            await write(client, newer[0].runs);
            await server.ask('DELETE', `/runs?trace_id=${newer[0].id}`);
        }
        assert.deepEqual(seen, ids(newest));
    });
    it('what cannot be asked', async () => {
        const { id: session } = await client.readProject({ projectName: 'asked' });
        assert.equal((await server.post('/runs/query', {})).status, 400);
        assert.equal(
            (await server.post('/runs/query', { session: [session], limit: 0 })).status,
            422,
        );
        const { status } = await server.post('/runs/query', { session: ['x'] });
        assert.ok(status === 400 || status === 422, String(status));
        const unknown = await server.post('/runs/query', { session: [randomUUID()] });
        assert.deepEqual(unknown.json.runs, []);
        const noise = await server.post('/api/v1/runs/query', {
            session: [session],
            limit: 1,
            data_source_type: 'current',
            skip_pagination: true,
            use_experimental_search: false,
        });
        assert.equal(noise.json.runs.length, 1);
    });
    it('a tree of runs', async () => {
        const { root, llm, tool } = traces[3];
        const read = await client.readRun(root.id, { loadChildRuns: true });
        assert.deepEqual(ids(read.child_runs), [llm.id, tool.id]);
    });
    it('links to runs and projects', async () => {
        const { root } = traces[3];
        const project = await client.readProject({ projectName: 'asked' });
        const link = await client.getRunUrl({ runId: root.id });
        assert.ok(link.includes(`/projects/p/${project.id}/r/${root.id}`), link);
        const run = await client.readRun(root.id);
        assert.ok((await client.getRunUrl({ run })).includes(`/r/${root.id}`));
        assert.ok((await client.getProjectUrl({ projectName: 'asked' })).includes(project.id));
    });

    describe('sums', () => {
        const latencies = (list) =>
            list.filter((run) => run.end_time).map((run) => (run.end_time - run.start_time) / 1000);
        const sum = (list, field) =>
            list.reduce((n, run) => n + (run.outputs?.usage_metadata?.[field] ?? 0), 0);

        it('of a project', async () => {
            const stats = await client.getRunStats({ projectNames: ['asked'] });
            assert.equal(stats.run_count, runs.length);
            assert.equal(stats.total_tokens, sum(runs, 'total_tokens'));
            assert.equal(stats.prompt_tokens, sum(runs, 'input_tokens'));
            assert.equal(stats.completion_tokens, sum(runs, 'output_tokens'));
            assert.equal(Number(stats.total_cost), sum(runs, 'total_cost'));
            const failed = runs.filter((run) => run.error).length;
            assert.ok(Math.abs(stats.error_rate - failed / runs.length) < 1e-9);
            const sorted = latencies(runs).sort((a, b) => a - b);
            assert.ok(stats.latency_p50 >= sorted[0] && stats.latency_p50 <= sorted.at(-1));
            assert.ok(stats.latency_p99 >= stats.latency_p50);
            assert.equal(
                Date.parse(stats.last_run_start_time),
                Math.max(...runs.map((run) => run.start_time)),
            );
        });
        it('of what a filter leaves', async () => {
            const stats = await client.getRunStats({
                projectNames: ['asked'],
                filter: 'eq(run_type, "tool")',
                error: true,
            });
            assert.equal(stats.run_count, runs.filter((run) => run.error).length);
            assert.equal(stats.error_rate, 1);
        });
    });
});

describe('projects', () => {
    let server;
    let client;
    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
    });
    after(() => server.close());

    const conflict = (error) => error.status === 409 || /already exists/i.test(error.message);

    it('there is one from the start', async () => {
        const projects = await all(client.listProjects());
        assert.deepEqual(
            projects.map(({ name }) => name),
            ['default'],
        );
        assert.ok(projects[0].tenant_id);
        assert.ok('reference_dataset_id' in projects[0]);
    });
    it('made, read, changed, found', async () => {
        const made = await client.createProject({
            projectName: 'Über project 1',
            description: 'the first',
            metadata: { team: 'red', n: 1 },
        });
        assert.equal(made.name, 'Über project 1');
        const byName = await client.readProject({ projectName: 'Über project 1' });
        const byId = await client.readProject({ projectId: made.id });
        assert.equal(byName.id, made.id);
        assert.equal(byId.description, 'the first');
        assert.deepEqual(byId.extra.metadata, { team: 'red', n: 1 });

        const changed = await client.updateProject(made.id, {
            name: 'renamed',
            metadata: { team: 'blue' },
            endTime: '2026-11-21T00:00:00Z',
        });
        assert.equal(changed.name, 'renamed');
        const read = await client.readProject({ projectName: 'renamed' });
        assert.equal(read.id, made.id);
        assert.equal(read.description, 'the first');
        assert.deepEqual(read.extra.metadata, { team: 'blue' });
        assert.equal(Date.parse(read.end_time), Date.parse('2026-11-21T00:00:00Z'));
        assert.equal(await client.hasProject({ projectName: 'Über project 1' }), false);
        assert.equal(await client.hasProject({ projectName: 'renamed' }), true);
    });
    it('a name is taken once', async () => {
        const first = await client.createProject({ projectName: 'taken' });
        await assert.rejects(client.createProject({ projectName: 'taken' }), conflict);
        const again = await client.createProject({
            projectName: 'taken',
            upsert: true,
            description: 'anew',
        });
        assert.equal(again.id, first.id);
        assert.equal((await client.readProject({ projectId: first.id })).description, 'anew');
    });
    it('many: listed whole, by part of a name, by metadata', async () => {
        for (let i = 0; i < 120; i++)
            await client.createProject({
                projectName: `many ${String(i).padStart(3, '0')}`,
                metadata: { third: i % 3 },
            });
        const some = await all(client.listProjects({ nameContains: 'many 0' }));
        assert.equal(some.length, 100);
        assert.equal(new Set(some.map(({ id }) => id)).size, 100);
        const every = await all(client.listProjects());
        assert.equal(every.filter(({ name }) => name.startsWith('many ')).length, 120);
        const third = await all(client.listProjects({ metadata: { third: 1 } }));
        assert.equal(third.length, 40);
        const [one] = await all(client.listProjects({ name: 'many 007' }));
        assert.equal(one.name, 'many 007');
        assert.deepEqual(await all(client.listProjects({ name: 'nobody' })), []);
        const both = await all(client.listProjects({ projectIds: [some[0].id, some[5].id] }));
        assert.equal(both.length, 2);
    });
    it('one that is not there', async () => {
        await assert.rejects(client.readProject({ projectName: 'nobody' }), /not found/i);
        await assert.rejects(
            client.readProject({ projectId: randomUUID() }),
            (error) => error.status === 404,
        );
        assert.equal(await client.hasProject({ projectName: 'nobody' }), false);
    });
    it('made when a run names it, with sums', async () => {
        const traces = makeTraces({ count: 6, project: 'by its runs', start: START });
        await write(
            client,
            traces.flatMap((trace) => trace.runs),
        );
        const project = await client.readProject({
            projectName: 'by its runs',
            includeStats: true,
        });
        assert.equal(project.run_count, 18);
        assert.equal(
            project.total_tokens,
            traces.reduce((n, { llm }) => n + llm.outputs.usage_metadata.total_tokens, 0),
        );
        const [listed] = await all(
            client.listProjects({ name: 'by its runs', includeStats: true }),
        );
        assert.equal(listed.run_count, 18);
    });
    it('a run that names none is in the first', async () => {
        const id = randomUUID();
        await client.createRun({ id, name: 'x', run_type: 'tool', inputs: {}, start_time: START });
        const { session_id } = await client.readRun(id);
        assert.equal(session_id, (await client.readProject({ projectName: 'default' })).id);
    });
    it('deleted: its runs, feedback and name with it', async () => {
        const [trace] = makeTraces({ count: 1, project: 'short-lived', start: START });
        await write(client, trace.runs);
        await client.createFeedback(trace.id, 'liked', { score: 1 });
        const { id } = await client.readProject({ projectName: 'short-lived' });
        await client.deleteProject({ projectName: 'short-lived' });
        await assert.rejects(client.readProject({ projectName: 'short-lived' }), /not found/i);
        await assert.rejects(client.readProject({ projectId: id }));
        await assert.rejects(client.readRun(trace.id), (error) => error.status === 404);
        assert.deepEqual(await all(client.listRuns({ projectId: id })), []);
        assert.deepEqual(await all(client.listFeedback({ runIds: [trace.id] })), []);
        const anew = await client.createProject({ projectName: 'short-lived' });
        assert.notEqual(anew.id, id);
        const [next] = makeTraces({ count: 1, project: 'short-lived', start: START });
        await write(client, next.runs);
        assert.equal((await client.readRun(next.id)).session_id, anew.id);
    });
});
