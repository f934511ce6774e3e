// langsmith_entities.mjs - what hangs on runs: feedback, links for everybody, attachments; and
// deletes.  Through the SDKs, and by hand where they have no call.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { all, load, useHere } from './lib/clients.mjs';
import { multipart, send } from './lib/send.mjs';
import { Server } from './lib/server.mjs';
import { makeTraces, write } from './lib/traces.mjs';

const { Client } = load('langsmith');
const { Client: OldClient } = load('langsmith-2025');

const START = Date.parse('2026-11-20T10:00:00.000Z');
const notFound = (error) => error.status === 404 || /404|not found/i.test(error.message);

describe('beside runs', () => {
    let server;
    let client;
    before(async () => {
        server = await Server.start();
        useHere(server.url);
        client = new Client();
    });
    after(() => server.close());

    // One trace of its own for each test, so that none is in the way of another.
    async function newTrace(project = 'entities') {
        const [trace] = makeTraces({ count: 1, project, start: START });
        await write(client, trace.runs);
        return trace;
    }
    async function restart() {
        await server.restart();
        useHere(server.url);
        client = new Client();
    }

    describe('feedback', () => {
        const feedbackOf = (...runIds) => all(client.listFeedback({ runIds }));

        it('given, read, found, newest first', async () => {
            const { root, llm } = await newTrace();
            const given = await client.createFeedback(root.id, 'correctness', {
                score: 0.87654321,
                comment: 'ok so far',
                value: 'A',
                correction: { answer: 'better' },
                sourceInfo: { by: 'a person' },
            });
            await client.createFeedback(llm.id, 'tone', {
                score: true,
                feedbackSourceType: 'model',
            });
            await client.createFeedback(root.id, 'tone', { score: null, value: { any: ['json'] } });

            const read = await client.readFeedback(given.id);
            assert.equal(read.key, 'correctness');
            assert.equal(read.score, 0.8765);
            assert.equal(read.comment, 'ok so far');
            assert.equal(read.value, 'A');
            assert.deepEqual(read.correction, { answer: 'better' });
            assert.equal(read.run_id, root.id);
            assert.equal(read.trace_id, root.id);
            assert.equal(read.session_id, (await client.readRun(root.id)).session_id);
            assert.equal(read.feedback_source.type, 'api');
            assert.deepEqual(read.feedback_source.metadata, { by: 'a person' });
            assert.ok(Date.parse(read.created_at) <= Date.parse(read.modified_at));

            const keys = (list) => list.map(({ key }) => key);
            assert.deepEqual(keys(await feedbackOf(root.id)), ['tone', 'correctness']);
            assert.deepEqual(keys(await feedbackOf(root.id, llm.id)), [
                'tone',
                'tone',
                'correctness',
            ]);
            const found = async (props) =>
                (await all(client.listFeedback({ runIds: [root.id, llm.id], ...props }))).length;
            assert.equal(await found({ feedbackKeys: ['tone'] }), 2);
            assert.equal(await found({ feedbackKeys: ['tone', 'correctness'] }), 3);
            assert.equal(await found({ feedbackSourceTypes: ['model'] }), 1);
            const [score] = (await feedbackOf(llm.id)).map((one) => Number(one.score));
            assert.equal(score, 1);
        });
        it('changed and taken back', async () => {
            const { root } = await newTrace();
            const { id } = await client.createFeedback(root.id, 'k', { score: 1, comment: 'c' });
            await client.updateFeedback(id, { score: 0.25, comment: null });
            const read = await client.readFeedback(id);
            assert.equal(read.score, 0.25);
            assert.equal(read.comment ?? null, null);
            assert.equal(read.key, 'k');
            await client.deleteFeedback(id);
            await assert.rejects(client.readFeedback(id), notFound);
            assert.deepEqual(await feedbackOf(root.id), []);
            await assert.rejects(client.updateFeedback(randomUUID(), { score: 1 }), notFound);
        });
        it('given again under its id', async () => {
            const { root } = await newTrace();
            const feedbackId = randomUUID();
            await client.createFeedback(root.id, 'k', { feedbackId, score: 0.5 });
            await client.createFeedback(root.id, 'k', { feedbackId, score: 0.75 });
            const list = await feedbackOf(root.id);
            assert.deepEqual(
                list.map(({ id, score }) => [id, score]),
                [[feedbackId, 0.75]],
            );
        });
        it('on its way with the runs', async () => {
            const { root, llm } = await newTrace();
            await client.createFeedback(llm.id, 'batched', { score: 0.5, traceId: root.id });
            await client.flush();
            await client.awaitPendingTraceBatches();
            const [one] = await feedbackOf(llm.id);
            assert.equal(one.key, 'batched');
            assert.equal(one.score, 0.5);
            assert.equal(one.trace_id, root.id);
        });
        it('before its run', async () => {
            const [{ root, runs }] = makeTraces({ count: 1, project: 'early', start: START });
            await client.createFeedback(root.id, 'early', { score: 0.5 });
            assert.equal((await feedbackOf(root.id)).length, 1);
            await assert.rejects(client.readRun(root.id), notFound);
            await write(client, runs);
            const run = await client.readRun(root.id);
            assert.equal(run.feedback_stats.early.n, 1);
        });
        it('counts with its run', async () => {
            const { root } = await newTrace('counted');
            for (const score of [0, 0.5, 1]) await client.createFeedback(root.id, 'k', { score });
            const run = await client.readRun(root.id);
            assert.equal(run.feedback_stats.k.n, 3);
            assert.equal(run.feedback_stats.k.avg, 0.5);
            const filter = 'and(eq(feedback_key, "k"), gt(feedback_score, 0.9))';
            const found = await all(client.listRuns({ projectName: 'counted', filter }));
            assert.deepEqual(
                found.map(({ id }) => id),
                [root.id],
            );
            const [last] = await feedbackOf(root.id);
            await client.deleteFeedback(last.id);
            assert.equal((await client.readRun(root.id)).feedback_stats.k.n, 2);
            assert.deepEqual(await all(client.listRuns({ projectName: 'counted', filter })), []);
        });
        it('much of it, in pages', async () => {
            const { root } = await newTrace();
            await Promise.all(
                Array.from({ length: 130 }, (_, i) =>
                    client.createFeedback(root.id, `key ${i}`, { score: i }),
                ),
            );
            const list = await feedbackOf(root.id);
            assert.equal(list.length, 130);
            assert.equal(new Set(list.map(({ id }) => id)).size, 130);
        });
        it('from those who have no key, by a link', async () => {
            const { root } = await newTrace();
            const token = await client.createPresignedFeedbackToken(root.id, 'thumbs', {
                expiration: { hours: 1 },
            });
            assert.ok(Date.parse(token.expires_at) > Date.now() + 50 * 60_000);
            const url = new URL(token.url, server.url);
            assert.equal(url.host, server.authority);
            assert.equal((await fetch(`${url}?score=1&comment=good`)).status, 200);
            const posted = await fetch(url, {
                method: 'POST',
                headers: { 'content-type': 'application/json' },
                body: JSON.stringify({ score: 0, comment: 'bad' }),
            });
            assert.equal(posted.status, 200);
            const list = await feedbackOf(root.id);
            assert.deepEqual(list.map(({ score, comment }) => [score, comment]).sort(), [
                [0, 'bad'],
                [1, 'good'],
            ]);
            assert.ok(list.every(({ key }) => key === 'thumbs'));
            const tokens = await all(client.listPresignedFeedbackTokens(root.id));
            assert.deepEqual(
                tokens.map(({ id }) => id),
                [token.id],
            );
            const over = await client.createPresignedFeedbackToken(root.id, 'thumbs', {
                expiration: '2020-01-01T00:00:00Z',
            });
            const late = await fetch(`${new URL(over.url, server.url)}?score=1`);
            assert.ok(late.status >= 400 && late.status < 500, String(late.status));
            assert.equal((await feedbackOf(root.id)).length, 2);
        });
        it('from last year', async () => {
            const old = new OldClient();
            const { root } = await newTrace();
            const { id } = await old.createFeedback(root.id, 'old', { score: 0.5 });
            assert.equal((await old.readFeedback(id)).score, 0.5);
            await old.updateFeedback(id, { score: 1 });
            assert.equal((await all(old.listFeedback({ runIds: [root.id] })))[0].score, 1);
        });
        it('what is none', async () => {
            const answer = await server.post('/feedback', { run_id: randomUUID(), score: 1 });
            assert.equal(answer.status, 422, answer.text);
            await assert.rejects(client.readFeedback(randomUUID()), notFound);
        });
        it('is there after a restart', async () => {
            const { root } = await newTrace();
            const { id } = await client.createFeedback(root.id, 'k', { score: 0.5 });
            await client.updateFeedback(id, { score: 0.75 });
            const gone = await client.createFeedback(root.id, 'gone', { score: 1 });
            await client.deleteFeedback(gone.id);
            await restart();
            const list = await feedbackOf(root.id);
            assert.deepEqual(
                list.map(({ key, score }) => [key, score]),
                [['k', 0.75]],
            );
        });
    });

    describe('links for everybody', () => {
        const tokenOf = (link) => /\/public\/([0-9a-f-]{36})\/r$/.exec(link)[1];

        it('a run is shared, read without a key, and no longer', async () => {
            const { root, llm, tool } = await newTrace();
            assert.equal(await client.readRunSharedLink(root.id), undefined);
            const link = await client.shareRun(root.id);
            const token = tokenOf(link);
            assert.equal(await client.readRunSharedLink(root.id), link);
            assert.equal(tokenOf(await client.shareRun(root.id)), token, 'the link stays');
            assert.equal((await client.readRun(root.id)).share_token, token);

            const run = await (await fetch(`${server.url}/public/${token}/run`)).json();
            assert.equal(run.id, root.id);
            assert.deepEqual(run.outputs, root.outputs);
            const child = await fetch(`${server.url}/public/${token}/run/${llm.id}`);
            assert.equal((await child.json()).id, llm.id);

            const three = [root.id, llm.id, tool.id].sort();
            const listed = await client.listSharedRuns(token);
            assert.deepEqual(listed.map(({ id }) => id).sort(), three);
            const one = await client.listSharedRuns(token, { runIds: [tool.id] });
            assert.deepEqual(
                one.map(({ id }) => id),
                [tool.id],
            );
            const asked = await server.post(`/public/${token}/runs/query`, { id: [llm.id] });
            assert.deepEqual(
                asked.json.runs.map(({ id }) => id),
                [llm.id],
            );

            await client.unshareRun(root.id);
            assert.equal(await client.readRunSharedLink(root.id), undefined);
            assert.equal((await server.get(`/public/${token}/run`)).status, 404);
            assert.equal((await server.post(`/public/${token}/runs/query`, {})).status, 404);
        });
        it('shows no run of another trace', async () => {
            const shared = await newTrace();
            const hidden = await newTrace();
            const token = tokenOf(await client.shareRun(shared.id));
            assert.equal((await server.get(`/public/${token}/run/${hidden.id}`)).status, 404);
            assert.equal((await server.get(`/public/${randomUUID()}/run`)).status, 404);
            const asked = await server.post(`/public/${token}/runs/query`, { id: [hidden.id] });
            assert.deepEqual(asked.json.runs, []);
        });
        it('with a token of one’s own; and after a restart', async () => {
            const { root } = await newTrace();
            const shareId = randomUUID();
            assert.equal(tokenOf(await client.shareRun(root.id, { shareId })), shareId);
            await restart();
            assert.equal(tokenOf(await client.readRunSharedLink(root.id)), shareId);
        });
    });

    describe('attachments', () => {
        const ofRun = async (id) => {
            const { s3_urls } = await client.readRun(id);
            return Object.fromEntries(
                await Promise.all(
                    Object.entries(s3_urls ?? {}).map(async ([name, { presigned_url }]) => {
                        const answer = await fetch(new URL(presigned_url, server.url));
                        assert.equal(answer.status, 200, presigned_url);
                        return [name, Buffer.from(await answer.arrayBuffer())];
                    }),
                ),
            );
        };
        // A run with files, by hand: the SDKs send them in the same way.
        async function sendFiles(id, files, op = 'post') {
            const time = '20261120T100000000000Z';
            const fields = new Map(
                Object.entries({
                    id,
                    trace_id: id,
                    dotted_order: `${time}${id}`,
                    name: 'with files',
                    run_type: 'tool',
                    start_time: START,
                    session_name: 'files',
                }).map(([name, value]) => [name, JSON.stringify(value)]),
            );
            const list = Object.entries(files).map(([name, body]) => ({
                name,
                type: 'application/octet-stream',
                body,
            }));
            const { status, text } = await send(
                server,
                multipart([{ op, id, fields, files: list }], { boundary: 'file-boundary' }),
            );
            assert.equal(status, 202, text);
        }

        it('any bytes, any name', async () => {
            const id = randomUUID();
            const files = {
                empty: Buffer.alloc(0),
                boundary: Buffer.from('\r\n--file-boundary--\r\n'),
                'ein Bild, größer': randomBytes(3_000_000),
                'a&b=c%20/?#': Buffer.from('x'),
            };
            await sendFiles(id, files);
            const found = await ofRun(id);
            assert.deepEqual(
                Object.keys(found).sort(),
                Object.keys(files)
                    .map((name) => `attachment.${name}`)
                    .sort(),
            );
            for (const [name, body] of Object.entries(files))
                assert.ok(found[`attachment.${name}`].equals(body), name);
        });
        it('more of them later, the last of a name counts', async () => {
            const id = randomUUID();
            await sendFiles(id, { a: Buffer.from('one'), b: Buffer.from('two') });
            await sendFiles(id, { b: Buffer.from('three'), c: Buffer.from('four') }, 'patch');
            const text = Object.fromEntries(
                Object.entries(await ofRun(id)).map(([name, body]) => [name, String(body)]),
            );
            assert.deepEqual(text, {
                'attachment.a': 'one',
                'attachment.b': 'three',
                'attachment.c': 'four',
            });
        });
        it('ten megabytes', async () => {
            const id = randomUUID();
            const body = randomBytes(10 << 20);
            await sendFiles(id, { large: body });
            assert.ok((await ofRun(id))['attachment.large'].equals(body));
        });
        it('listed with runs where their inputs are asked for', async () => {
            const id = randomUUID();
            await sendFiles(id, { a: Buffer.from('one') });
            const [run] = await all(client.listRuns({ id: [id] }));
            assert.deepEqual(Object.keys(run.s3_urls), ['attachment.a']);
        });
        it('are there after a restart', async () => {
            const id = randomUUID();
            await sendFiles(id, { a: Buffer.from('one') });
            await restart();
            assert.equal(String((await ofRun(id))['attachment.a']), 'one');
        });
    });

    describe('deletes', () => {
        it('a run', async () => {
            const { root, llm, tool } = await newTrace();
            const answer = await server.ask('DELETE', `/runs/${llm.id}`);
            assert.equal(answer.status, 202, answer.text);
            assert.equal(answer.json.deleted, 1);
            assert.ok(answer.json.receipt);
            await assert.rejects(client.readRun(llm.id), notFound);
            const left = await all(client.listRuns({ traceId: root.id }));
            assert.deepEqual(left.map(({ id }) => id).sort(), [root.id, tool.id].sort());
            const { root: other } = await newTrace();
            assert.equal((await client.readRun(other.id)).id, other.id);
        });
        it('a trace, and what still comes of it stays hidden', async () => {
            const [{ id, root, llm, tool }] = makeTraces({
                count: 1,
                project: 'deleted',
                start: START,
            });
            await write(client, [root, llm]);
            const answer = await server.ask('DELETE', `/runs?trace_id=${id}`);
            assert.equal(answer.status, 202, answer.text);
            assert.equal(answer.json.deleted, 2);
            await write(client, [tool, { ...root, name: 'late' }]);
            for (const run of [root, llm, tool])
                await assert.rejects(client.readRun(run.id), notFound);
            assert.deepEqual(await all(client.listRuns({ projectName: 'deleted' })), []);
            assert.deepEqual(await all(client.listRuns({ traceId: id })), []);
            const stats = await client.getRunStats({ projectNames: ['deleted'] });
            assert.equal(stats.run_count, 0);
        });
        it('with its feedback and its link', async () => {
            const { root } = await newTrace();
            await client.createFeedback(root.id, 'k', { score: 1 });
            const link = await client.shareRun(root.id);
            await server.ask('DELETE', `/runs?trace_id=${root.id}`);
            const token = /\/public\/([^/]+)/.exec(link)[1];
            assert.equal((await server.get(`/public/${token}/run`)).status, 404);
        });
        it('stay after a restart', async () => {
            const { root, llm } = await newTrace();
            await server.ask('DELETE', `/runs/${llm.id}`);
            await restart();
            await assert.rejects(client.readRun(llm.id), notFound);
            assert.equal((await client.readRun(root.id)).id, root.id);
        });
        it('posting a deleted id again is refused', async () => {
            const [id] = await server.store([{ trace_id: randomUUID(), name: 'native' }]);
            await server.ask('DELETE', `/runs/${id}`);
            const answer = await server.post('/runs', [
                { id, trace_id: randomUUID(), name: 'native' },
            ]);
            assert.equal(answer.status, 409, answer.text);
        });
        it('what is not there', async () => {
            const answer = await server.ask('DELETE', `/runs/${randomUUID()}`);
            assert.ok([202, 404].includes(answer.status), answer.text);
            if (answer.status === 202) assert.equal(answer.json.deleted, 0);
        });
    });
});
