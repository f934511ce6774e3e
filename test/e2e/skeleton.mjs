// skeleton.mjs - GET /traces/{id}/skeleton: a whole trace as columns, without payloads.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { after, before, describe, it } from 'node:test';
import { assertFault, run, uuid } from './lib/client.mjs';
import { multipart, send } from './lib/send.mjs';
import { Server } from './lib/server.mjs';

const START = Date.parse('2026-11-20T10:00:00.000Z');
const at = (ms) => new Date(START + ms).toISOString();
const COLUMNS = [
    'id',
    'parent',
    'name',
    'type',
    'start',
    'duration',
    'status',
    'tokens',
    'cost',
    'first_token',
    'flags',
];
const [ORPHAN, ATTACHMENTS, FEEDBACK, CUT] = [1, 2, 4, 8];

// The runs of a skeleton as objects, by id.
function runsOf(skeleton) {
    for (const column of COLUMNS)
        assert.equal(skeleton[column].length, skeleton.count, `as many of ${column}`);
    return new Map(
        skeleton.id.map((id, i) => [
            id,
            {
                parent: skeleton.parent[i] < 0 ? null : skeleton.id[skeleton.parent[i]],
                name: skeleton.names[skeleton.name[i]],
                type: skeleton.types[skeleton.type[i]],
                start: skeleton.start_us / 1000 + skeleton.start[i] / 1000,
                ...Object.fromEntries(
                    COLUMNS.slice(5).map((column) => [column, skeleton[column][i]]),
                ),
            },
        ]),
    );
}

describe('the skeleton of a trace', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const get = async (trace, status = 200) => {
        const answer = await server.get(`/traces/${trace}/skeleton`);
        assert.equal(answer.status, status, answer.text);
        return answer.json;
    };

    it('has all that is known of its runs, in the order of their start', async () => {
        const trace_id = uuid();
        const [top, llm, tool, open, lost] = [trace_id, uuid(), uuid(), uuid(), uuid()];
        const common = { trace_id, session_name: 'bones' };
        await server.store([
            run({
                ...common,
                id: tool,
                parent_run_id: top,
                name: 'tool',
                run_type: 'tool',
                start_time: at(20),
                end_time: at(21),
                error: 'it broke',
            }),
            run({
                ...common,
                id: top,
                name: 'agent',
                run_type: 'chain',
                start_time: at(0),
                end_time: at(900),
            }),
            run({
                ...common,
                id: llm,
                parent_run_id: top,
                name: 'model',
                run_type: 'llm',
                start_time: at(10),
                end_time: at(15),
                outputs: {
                    usage_metadata: {
                        input_tokens: 3,
                        output_tokens: 4,
                        total_tokens: 7,
                        total_cost: 0.25,
                    },
                },
                events: [{ name: 'new_token', time: at(12) }],
            }),
            run({
                ...common,
                id: open,
                parent_run_id: tool,
                name: 'tool',
                run_type: 'tool',
                start_time: at(30),
                end_time: null,
            }),
            run({ ...common, id: lost, parent_run_id: uuid(), name: 'model', start_time: at(40) }),
        ]);
        const skeleton = await get(trace_id);
        assert.equal(skeleton.trace_id, trace_id);
        assert.equal(skeleton.truncated, false);
        assert.equal(skeleton.start_us, START * 1000);
        assert.equal(skeleton.project.name, 'bones');
        assert.match(skeleton.project.id, /^[0-9a-f-]{36}$/);
        assert.deepEqual(skeleton.id, [top, llm, tool, open, lost]);
        assert.equal(new Set(skeleton.names).size, skeleton.names.length);
        const runs = runsOf(skeleton);
        const none = { tokens: -1, cost: null, first_token: -1, flags: 0 };
        assert.deepEqual(runs.get(top), {
            parent: null,
            name: 'agent',
            type: 'chain',
            start: START,
            duration: 900_000,
            status: 0,
            ...none,
        });
        assert.deepEqual(runs.get(llm), {
            parent: top,
            name: 'model',
            type: 'llm',
            start: START + 10,
            duration: 5000,
            status: 0,
            tokens: 7,
            cost: 0.25,
            first_token: 2000,
            flags: 0,
        });
        assert.deepEqual(runs.get(tool), {
            parent: top,
            name: 'tool',
            type: 'tool',
            start: START + 20,
            duration: 1000,
            status: 1,
            ...none,
        });
        assert.deepEqual(runs.get(open), {
            parent: tool,
            name: 'tool',
            type: 'tool',
            start: START + 30,
            duration: -1,
            status: 2,
            ...none,
        });
        assert.equal(runs.get(lost).parent, null);
        assert.equal(runs.get(lost).flags, ORPHAN);
    });

    it('is that of runs that come in layers, with attachments and feedback', async () => {
        const id = uuid();
        const order = `${at(0).replace(/[-:.]/g, '').slice(0, -1)}000Z${id}`;
        const fields = (object) =>
            new Map(Object.entries(object).map(([k, v]) => [k, JSON.stringify(v)]));
        const post = multipart(
            [
                {
                    op: 'post',
                    id,
                    fields: fields({
                        id,
                        trace_id: id,
                        dotted_order: order,
                        name: 'layered',
                        run_type: 'llm',
                        start_time: at(0),
                    }),
                    files: [{ name: 'picture', type: 'image/png', body: Buffer.from('png') }],
                },
            ],
            { boundary: 'b1' },
        );
        assert.equal((await send(server, post)).status, 202);
        let one = runsOf(await get(id)).get(id);
        assert.equal(one.status, 2);
        assert.equal(one.duration, -1);
        assert.equal(one.flags, ATTACHMENTS);
        const patch = multipart(
            [
                {
                    op: 'patch',
                    id,
                    fields: fields({
                        id,
                        trace_id: id,
                        dotted_order: order,
                        end_time: at(7),
                        outputs: { usage: { prompt_tokens: 1, completion_tokens: 2 } },
                    }),
                },
            ],
            { boundary: 'b2' },
        );
        assert.equal((await send(server, patch)).status, 202);
        const said = await server.post('/feedback', { run_id: id, key: 'good', score: 1 });
        assert.equal(said.status, 200, said.text);
        one = runsOf(await get(id)).get(id);
        assert.equal(one.status, 0);
        assert.equal(one.duration, 7000);
        assert.equal(one.tokens, 3);
        assert.equal(one.flags, ATTACHMENTS | FEEDBACK);
    });

    it('has a tag that changes with any of its runs, and with what is said of them', async () => {
        const trace_id = uuid();
        const path = `/traces/${trace_id}/skeleton`;
        await server.store([run({ id: trace_id, trace_id, start_time: at(0) })]);
        const tags = new Set();
        const look = async () => {
            const answer = await server.get(path);
            assert.equal(answer.status, 200);
            const { etag } = answer.headers;
            assert.match(etag, /^"[0-9a-f]{32}"$/);
            assert.ok(!tags.has(etag), 'another one');
            tags.add(etag);
            const again = await server.get(path, { 'if-none-match': etag });
            assert.equal(again.status, 304);
            assert.equal(again.headers.etag, etag);
            assert.equal(again.body.length, 0);
            return etag;
        };
        const first = await look();
        await server.store([run({ trace_id, parent_run_id: trace_id, start_time: at(1) })]);
        await look();
        await server.post('/feedback', { run_id: trace_id, key: 'good', score: 1 });
        await look();
        const stale = await server.get(path, { 'if-none-match': first });
        assert.equal(stale.status, 200);
        const zstd = await server.get(path, { 'accept-encoding': 'gzip' });
        assert.ok(!tags.has(zstd.headers.etag), 'packed it is another answer');
        const head = await server.head(path);
        assert.ok(tags.has(head.headers.etag));
    });

    it('of many runs comes in parts, packed or not', async () => {
        const trace_id = uuid();
        const ids = [trace_id, ...Array.from({ length: 11_999 }, () => uuid())];
        const runs = ids.map((id, i) =>
            run({
                id,
                trace_id,
                name: `step ${i % 700}`,
                start_time: at(i),
                end_time: at(i + 5),
                ...(i > 0 && { parent_run_id: ids[i >> 1] === id ? trace_id : ids[i >> 1] }),
            }),
        );
        for (let i = 0; i < runs.length; i += 4000) await server.store(runs.slice(i, i + 4000));
        const answer = await server.get(`/traces/${trace_id}/skeleton`);
        assert.equal(answer.status, 200);
        const skeleton = answer.json;
        assert.deepEqual(skeleton.id, ids);
        assert.deepEqual(skeleton.start.slice(0, 4), [0, 1000, 2000, 3000]);
        skeleton.parent.forEach((parent, i) =>
            assert.equal(parent, i === 0 ? -1 : i === 1 ? 0 : i >> 1),
        );
        skeleton.name.forEach((name, i) => assert.equal(skeleton.names[name], `step ${i % 700}`));
        const packed = await server.get(`/traces/${trace_id}/skeleton`, {
            'accept-encoding': 'gzip',
        });
        assert.equal(packed.headers['content-encoding'], 'gzip');
        assert.equal(zlib.gunzipSync(packed.body).toString(), answer.text);
    });

    it('is a forest, whatever parents were said', async () => {
        const trace_id = uuid();
        const [a, b, c] = [uuid(), uuid(), uuid()];
        await server.store([
            run({ id: a, trace_id, parent_run_id: b, start_time: at(1) }),
            run({ id: b, trace_id, parent_run_id: c, start_time: at(2) }),
            run({ id: c, trace_id, parent_run_id: a, start_time: at(3) }),
        ]);
        const skeleton = await get(trace_id);
        assert.deepEqual(skeleton.parent, [1, 2, -1]);
        assert.deepEqual(skeleton.flags, [0, 0, CUT]);
    });

    it('shows no run that was deleted', async () => {
        const trace_id = uuid();
        const child = uuid();
        await server.store([
            run({ id: trace_id, trace_id, start_time: at(0) }),
            run({ id: child, trace_id, parent_run_id: trace_id, start_time: at(1) }),
        ]);
        assert.equal((await server.ask('DELETE', `/runs/${child}`)).status, 202);
        assert.deepEqual((await get(trace_id)).id, [trace_id]);
    });

    it('of a trace that nobody knows is a 404, of none a 422', async () => {
        await get(uuid(), 404);
        assertFault(await server.get('/traces/nonsense/skeleton'), 'uuid_parsing', [
            'path',
            'trace_id',
        ]);
        assert.equal((await server.post(`/traces/${uuid()}/skeleton`, {})).status, 405);
    });
});
