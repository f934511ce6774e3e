// layers_read.mjs - what the LangSmith SDKs sent comes back merged.
//
// The requests in test/data/captures are what langsmith 0.12.0 (JavaScript) and 0.11.1
// (Python) and LangChain sent, byte for byte.  Each is sent again, in several orders, and
// every run is held against a merge of our own (lib/sdk.mjs).
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { ask, uuid } from './lib/client.mjs';
import { Server, mode } from './lib/server.mjs';
import { merge, multipart, readRequest, shownTime } from './lib/sdk.mjs';

const data = fileURLToPath(new URL('../data/captures/', import.meta.url));

async function requestsOf(set) {
    const list = JSON.parse(await readFile(`${data}${set}/requests.json`, 'utf8'));
    for (const request of list) request.bytes = await readFile(`${data}${set}/${request.body}`);
    return list;
}

// The long ones, wl-, have hundreds of runs: they are for one mode, and two orders.
const isLong = (set) => set.startsWith('wl-');
const sets = (await readdir(data)).filter((set) => mode === 'embedded' || !isLong(set));

async function send(server, { method, path, headers, bytes }) {
    const answer = await ask(server, method, path, { headers, body: bytes });
    assert.equal(answer.status, 202, `${method} ${path}: ${answer.text}`);
}

// A list without anything and nothing at all are shown alike where a field is a list.
function assertShown(shown, expected) {
    const what = expected.id;
    const same = (field, value) => assert.deepEqual(shown[field], value, `${what} ${field}`);
    same('id', expected.id);
    same('trace_id', expected.trace_id ?? expected.parent_run_id ?? expected.id);
    same('name', expected.name ?? '');
    same('run_type', expected.run_type ?? 'chain');
    same('status', expected.status);
    if ('start_time' in expected) same('start_time', shownTime(expected.start_time));
    same('end_time', shownTime(expected.end_time));
    same('inputs', expected.inputs ?? {});
    same('error', expected.error ?? null);
    if ('outputs' in expected) same('outputs', expected.outputs);
    for (const field of ['extra', 'events', 'serialized', 'tags'])
        if (field in expected) same(field, expected[field]);
    same('metadata', expected.extra?.metadata ?? {});
    same('parent_run_id', expected.parent_run_id ?? null);
    if ('dotted_order' in expected) same('dotted_order', expected.dotted_order);
    same('reference_example_id', expected.reference_example_id ?? null);
}

async function assertAll(server, operations) {
    const runs = merge(operations);
    for (const [id, expected] of runs) {
        const answer = await server.get(`/runs/${id}`);
        assert.equal(answer.status, 200, `${id}: ${answer.text}`);
        assertShown(answer.json, expected);
    }
    return runs.size;
}

const shuffled = (list, seed) =>
    list
        .map((item, i) => [((i + 1) * 2654435761 * seed) % 4294967296, item])
        .sort(([a], [b]) => a - b)
        .map(([, item]) => item);

describe('what SDKs sent', () => {
    for (const set of sets) {
        describe(set, () => {
            let server;
            before(async () => {
                server = await Server.start();
            });
            after(() => server.close());
            it('comes back merged, also when it is sent again, and after a restart', async () => {
                const requests = await requestsOf(set);
                const operations = requests.flatMap((request) => readRequest(request).operations);
                for (const request of requests) await send(server, request);
                assert.ok((await assertAll(server, operations)) > 0);
                for (const request of requests) await send(server, request);
                await assertAll(server, operations);
                await server.restart();
                await assertAll(server, operations);
            });
        });
        for (const seed of isLong(set) ? [1] : [1, 2, 3])
            it(`${set}: in another order (${seed})`, async () => {
                const server = await Server.start();
                const requests = shuffled(await requestsOf(set), seed);
                for (const request of requests) await send(server, request);
                await assertAll(
                    server,
                    requests.flatMap((request) => readRequest(request).operations),
                );
                await server.close();
            });
    }
});

describe('layers', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const order = (id, parent) =>
        [parent, id]
            .filter(Boolean)
            .map((one) => `20261123T162243753001Z${one}`)
            .join('.');
    const post = (id, fields = {}) => ({
        id,
        trace_id: id,
        dotted_order: order(id),
        name: 'posted',
        run_type: 'tool',
        start_time: '2026-11-23T16:22:43.784002Z',
        ...fields,
    });
    const sendParts = async (parts) => {
        const { headers, body } = multipart(parts);
        const answer = await ask(server, 'POST', '/runs/multipart', { headers, body });
        assert.equal(answer.status, 202, answer.text);
    };
    const get = async (id) => {
        const answer = await server.get(`/runs/${id}`);
        assert.equal(answer.status, 200, answer.text);
        return answer.json;
    };

    it('a patch that comes first is a run, and the post does not take its fields', async () => {
        const id = uuid();
        await sendParts([
            [`patch.${id}`, { end_time: 1795450963814, name: 'patched' }],
            [`patch.${id}.outputs`, { y: 1 }],
        ]);
        const early = await get(id);
        assert.equal(early.name, 'patched');
        assert.deepEqual(early.outputs, { y: 1 });
        await sendParts([
            [`post.${id}`, post(id)],
            [`post.${id}.inputs`, { x: 1 }],
            [`post.${id}.outputs`, {}],
            [`post.${id}.events`, []],
        ]);
        const run = await get(id);
        assert.equal(run.name, 'patched');
        assert.equal(run.run_type, 'tool');
        assert.equal(run.status, 'success');
        assert.deepEqual(run.inputs, { x: 1 });
        assert.deepEqual(run.outputs, { y: 1 });
        assert.equal(run.end_time, '2026-11-23T16:22:43.814000Z');
    });

    it('null and what is missing clear nothing, and fields are replaced whole', async () => {
        const id = uuid();
        await sendParts([[`post.${id}`, post(id, { extra: { a: 1, metadata: { m: 1 } } })]]);
        const patch = { name: null, error: '', outputs: null, extra: { b: 2 } };
        assert.equal((await ask(server, 'PATCH', `/runs/${id}`, json(patch))).status, 202);
        const run = await get(id);
        assert.equal(run.name, 'posted');
        assert.equal(run.status, 'pending');
        assert.deepEqual(run.extra, { b: 2 });
        assert.deepEqual(run.metadata, {});
    });

    it('a field comes back as it was sent, but for NaN', async () => {
        const id = uuid();
        await sendParts([
            [`post.${id}`, post(id)],
            [`post.${id}.inputs`, '{"big":123456789012345678901234567890, "n":1.50,"s":"\\ud800"}'],
            [`post.${id}.outputs`, '{"loss": NaN,"max":[Infinity,-Infinity],"n":1.50}'],
        ]);
        assert.equal(
            (await server.get(`/runs/${id}/inputs`)).text,
            '{"big":123456789012345678901234567890, "n":1.50,"s":"\\ud800"}',
        );
        assert.equal(
            (await server.get(`/runs/${id}/outputs`)).text,
            '{"loss": null,"max":[null,null],"n":1.50}',
        );
    });

    it('inputs and outputs that are no objects are shown inside of one', async () => {
        const id = uuid();
        await sendParts([
            [`post.${id}`, post(id)],
            [`post.${id}.inputs`, '"text"'],
            [`post.${id}.outputs`, '[1]'],
        ]);
        const run = await get(id);
        assert.deepEqual(run.inputs, { input: 'text' });
        assert.deepEqual(run.outputs, { output: [1] });
    });

    it('20 MB in one string', async () => {
        const id = uuid();
        const text = 'x'.repeat(20 << 20);
        await sendParts([
            [`post.${id}`, post(id)],
            [`post.${id}.inputs`, { text }],
        ]);
        assert.equal((await get(id)).inputs.text.length, text.length);
    });

    it('parts that do not follow each other', async () => {
        const [a, b] = [uuid(), uuid()];
        await sendParts([
            [`post.${a}`, post(a)],
            [`post.${b}`, post(b)],
            [`post.${a}.inputs`, { of: 'a' }],
            [`post.${b}.inputs`, { of: 'b' }],
            [`post.${a}.extra`, { metadata: { of: 'a' } }],
        ]);
        assert.deepEqual((await get(a)).inputs, { of: 'a' });
        assert.deepEqual((await get(a)).metadata, { of: 'a' });
        assert.deepEqual((await get(b)).inputs, { of: 'b' });
    });

    it('a child takes the trace of a parent that comes later', async () => {
        const [root, child] = [uuid(), uuid()];
        const single = (fields) => ask(server, 'POST', '/runs', json(fields));
        await single({ id: child, parent_run_id: root, name: 'child', run_type: 'tool' });
        assert.equal((await get(child)).trace_id, root);
        await single({ id: root, name: 'root', run_type: 'chain' });
        assert.equal((await get(child)).trace_id, root);
        assert.equal((await get(root)).trace_id, root);
    });

    const json = (value) => ({
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(value),
    });
});
