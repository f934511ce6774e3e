// batch_get.mjs - POST /runs/batch with a list of ids.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { assertFault, rawElements, rawMember, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

describe('POST /runs/batch', () => {
    let server;
    let ids;
    before(async () => {
        server = await Server.start();
        ids = await server.store(
            Array.from({ length: 1000 }, (_, i) => run({ name: `n${i}`, inputs: { i } })),
        );
    });
    after(() => server.close());

    it('the runs in the order asked, each as GET gives it', async () => {
        const asked = [ids[7], ids[3], ids[999], ids[0], ids[500]];
        const runs = [];
        for (const id of asked) runs.push((await server.get(`/runs/${id}`)).text);
        const answer = await server.post('/runs/batch', asked);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['content-type'], 'application/json');
        assert.equal(answer.text, `{"runs":[${runs.join()}],"count":5}`);
    });
    it('unknown ids are left out', async () => {
        const answer = await server.post('/runs/batch', [uuid(), ids[1], uuid(), ids[0], uuid()]);
        assert.deepEqual(
            answer.json.runs.map((r) => r.id),
            [ids[1], ids[0]],
        );
        assert.equal(answer.json.count, 2);
    });
    it('nothing asked, or nothing known: none', async () => {
        for (const asked of [[], [uuid()], [uuid(), uuid()]])
            assert.equal((await server.post('/runs/batch', asked)).text, '{"runs":[],"count":0}');
    });
    it('a thousand ids are one answer', async () => {
        const asked = [...ids].reverse();
        const answer = await server.post('/runs/batch', asked);
        assert.deepEqual(
            answer.json.runs.map((r) => r.id),
            asked,
        );
        assert.equal(answer.json.count, 1000);
        for (const one of answer.json.runs) assert.equal(one.inputs.i, ids.indexOf(one.id));
    });
    it('more than 1000 ids: 400', async () => {
        for (const n of [1001, 5000])
            assert.equal(
                (
                    await server.post(
                        '/runs/batch',
                        Array.from({ length: n }, () => uuid()),
                    )
                ).status,
                400,
            );
    });
    it('what is no uuid: 422 at its index', async () => {
        assertFault(await server.post('/runs/batch', [ids[0], 'abc']), 'uuid_parsing', ['body', 1]);
        for (const value of [1, null, {}, []]) {
            const answer = await server.post('/runs/batch', [ids[0], value]);
            assert.match(answer.json.detail[0].type, /^uuid_(type|parsing)$/);
            assertFault(answer, answer.json.detail[0].type, ['body', 1]);
        }
    });
    it('neither array nor object: 422; not JSON: 422; nothing: 422', async () => {
        assertFault(await server.post('/runs/batch', '"x"'), 'list_type', ['body']);
        const answer = await server.post('/runs/batch', '["');
        assert.equal(answer.status, 422);
        assert.equal(answer.json.detail[0].type, 'json_invalid');
        assertFault(await server.post('/runs/batch', ''), 'missing', ['body']);
    });
    it('an object is LangSmith batch ingest: 202', async () => {
        const answer = await server.post('/runs/batch', { post: [], patch: [] });
        assert.equal(answer.status, 202, answer.text);
    });
    it('the list may come packed, the answer may go packed', async () => {
        const asked = ids.slice(0, 100);
        const plain = await server.post('/runs/batch', asked);
        const answer = await server.post('/runs/batch', zlib.gzipSync(JSON.stringify(asked)), {
            'content-encoding': 'gzip',
            'accept-encoding': 'gzip',
        });
        assert.equal(answer.status, 200);
        const text =
            answer.headers['content-encoding'] === 'gzip'
                ? zlib.gunzipSync(answer.body)
                : answer.body;
        assert.equal(String(text), plain.text);
    });
    it('stops at 64 MiB, says truncated, and names what is missing', async () => {
        const large = [];
        for (let i = 0; i < 8; i++)
            large.push(
                ...(await server.store([run({ inputs: { text: String(i).repeat(10_000_000) } })])),
            );
        const answer = await server.post('/runs/batch', large);
        assert.equal(answer.status, 200);
        assert.ok(answer.body.length < (64 << 20) + 10_100_000, `${answer.body.length} bytes`);
        const runs = rawElements(rawMember(answer.text, 'runs'));
        assert.ok(runs.length >= 5 && runs.length < 8, `${runs.length} runs`);
        assert.equal(rawMember(answer.text, 'truncated'), 'true');
        assert.equal(rawMember(answer.text, 'count'), String(runs.length));
        const got = runs.map((text) => JSON.parse(rawMember(text, 'id')));
        assert.deepEqual(got, large.slice(0, got.length));
        const rest = answer.text.slice(
            answer.text.lastIndexOf(']', answer.text.length - 1) - 60 * 8,
        );
        for (const id of large.slice(got.length))
            assert.ok(rest.includes(id), `${id} is named as missing`);
        const more = await server.post('/runs/batch', large.slice(got.length));
        assert.equal(rawMember(more.text, 'count'), String(8 - got.length));
        assert.equal(rawMember(more.text, 'truncated'), undefined);
    });
});
