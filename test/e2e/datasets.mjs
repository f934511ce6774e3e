// datasets.mjs - datasets and examples, by the calls of the LangSmith SDKs; over a kill and a
// rebuild.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { assertFault, run, uuid } from './lib/client.mjs';
import { Server, mode, run as command } from './lib/server.mjs';

const call = async (server, method, path, body, status = 200, headers = {}) => {
    const answer = await server.ask(method, path, {
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? null : typeof body === 'object' && !Buffer.isBuffer(body) ? JSON.stringify(body) : body,
    });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.text ? answer.json : null;
};
const makeDataset = (server, fields = {}) =>
    call(server, 'POST', '/datasets', { name: `dataset ${uuid()}`, ...fields });

// A multipart body of parts [name, type, bytes], without lengths.
const boundary = '----formdata-undici-012345678901';
const parts = (list) =>
    Buffer.concat(
        [
            ...list.flatMap(([name, type, bytes]) => [
                `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n` +
                    `Content-Type: ${type}\r\n\r\n`,
                bytes,
                '\r\n',
            ]),
            `--${boundary}--\r\n`,
        ].map((piece) => Buffer.from(piece)),
    );
const inParts = { 'content-type': `multipart/form-data; boundary=${boundary}` };
const asJson = 'application/json';

describe('datasets', () => {
    let server;
    before(async () => (server = await Server.start()));
    after(() => server.close());

    it('is made, read, changed, removed', async () => {
        const made = await makeDataset(server, {
            name: 'first',
            description: 'd',
            extra: { source: 'sdk', metadata: { m: 1 } },
            inputs_schema_definition: { type: 'object' },
        });
        assert.equal(made.data_type, 'kv');
        assert.equal(made.example_count, 0);
        assert.equal(made.session_count, 0);
        assert.deepEqual(made.metadata, { m: 1 });
        assert.deepEqual(made.inputs_schema_definition, { type: 'object' });
        assert.deepEqual(await call(server, 'GET', `/datasets/${made.id}?limit=1`), made);
        await call(server, 'POST', '/datasets', { name: 'first' }, 409);
        await call(server, 'POST', '/datasets', { name: 'x', id: made.id }, 409);
        const changed = await call(server, 'PATCH', `/datasets/${made.id}`, {
            description: 'e',
            metadata: { n: 2 },
        });
        assert.equal(changed.name, 'first');
        assert.equal(changed.description, 'e');
        assert.deepEqual(changed.metadata, { n: 2 });
        const other = await makeDataset(server);
        await call(server, 'PATCH', `/datasets/${other.id}`, { name: 'first' }, 409);
        await call(server, 'DELETE', `/datasets/${made.id}`);
        await call(server, 'GET', `/datasets/${made.id}`, undefined, 404);
        await call(server, 'DELETE', `/datasets/${made.id}`, undefined, 404);
        await call(server, 'PATCH', `/datasets/${made.id}`, {}, 404);
        await call(server, 'POST', '/datasets', { name: 'first' });
    });
    it('of many who make the same name one succeeds', async () => {
        const answers = await Promise.all(
            Array.from({ length: 10 }, () => server.post('/datasets', { name: 'raced' })),
        );
        assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, ...Array(9).fill(409)]);
    });
    it('lists by name, part of it, id, metadata', async () => {
        const a = await makeDataset(server, { name: 'List A', metadata: { k: 'v' } });
        const b = await makeDataset(server, { name: 'List B' });
        const names = async (query) =>
            (await call(server, 'GET', `/datasets?${query}`)).map((one) => one.name);
        assert.deepEqual(await names('name=List%20A&limit=1'), [a.name]);
        assert.deepEqual(await names('name=none'), []);
        assert.deepEqual(await names('name_contains=list'), [b.name, a.name]);
        assert.deepEqual(await names(`id=${a.id}`), [a.name]);
        assert.deepEqual(await names(`metadata=${encodeURIComponent('{"k":"v"}')}`), [a.name]);
        assert.deepEqual(await names('name_contains=list&limit=1&offset=1'), [a.name]);
    });
    it('says what is wrong', async () => {
        assertFault(await server.post('/datasets', {}), 'missing', ['body', 'name']);
        assertFault(await server.post('/datasets', { name: 'n', extra: 1 }), 'dict_type', [
            'body',
            'extra',
        ]);
    });
    it('counts experiments', async () => {
        const { id } = await makeDataset(server);
        const session = await call(server, 'POST', '/sessions', {
            name: `experiment ${id}`,
            reference_dataset_id: id,
        });
        const shown = await call(server, 'GET', `/datasets/${id}`);
        assert.equal(shown.session_count, 1);
        assert.equal(shown.last_session_start_time, session.start_time);
    });
});

describe('examples', () => {
    let server;
    let dataset;
    before(async () => {
        server = await Server.start();
        dataset = await makeDataset(server);
    });
    after(() => server.close());
    const count = async () => (await call(server, 'GET', `/datasets/${dataset.id}`)).example_count;

    it('one is made, read, changed, removed', async () => {
        const made = await call(server, 'POST', '/examples', {
            dataset_id: dataset.id,
            inputs: { q: 'é', n: 1.0 },
            outputs: { a: 1 },
            metadata: { m: 1 },
        });
        assert.deepEqual(made.inputs, { q: 'é', n: 1 });
        assert.deepEqual(made.metadata, { dataset_split: ['base'], m: 1 });
        assert.equal(made.dataset_id, dataset.id);
        assert.equal(made.attachment_urls, null);
        assert.deepEqual(await call(server, 'GET', `/examples/${made.id}`), made);
        assert.equal(await count(), 1);
        const changed = await call(server, 'PATCH', `/examples/${made.id}`, {
            outputs: { a: 2 },
            split: 'test',
        });
        assert.deepEqual(changed.inputs, made.inputs);
        assert.deepEqual(changed.outputs, { a: 2 });
        assert.deepEqual(changed.metadata, { dataset_split: ['test'], m: 1 });
        assert.equal(changed.created_at, made.created_at);
        await call(server, 'DELETE', `/examples/${made.id}`);
        await call(server, 'GET', `/examples/${made.id}`, undefined, 404);
        await call(server, 'DELETE', `/examples/${made.id}`, undefined, 404);
        await call(server, 'PATCH', `/examples/${made.id}`, {}, 404);
        assert.equal(await count(), 0);
    });
    it('several at once, all or none', async () => {
        const ids = [uuid(), uuid()];
        const many = ids.map((id, i) => ({ id, dataset_id: dataset.id, inputs: { i } }));
        const made = await call(server, 'POST', '/examples/bulk', many);
        assert.deepEqual(
            made.map((one) => one.id),
            ids,
        );
        const bad = [{ dataset_id: dataset.id, inputs: {} }, { dataset_id: uuid(), inputs: {} }];
        const before = await count();
        await call(server, 'POST', '/examples/bulk', bad, 404);
        assertFault(await server.post('/examples/bulk', [{ inputs: {} }]), 'missing', [
            'body',
            'dataset_id',
        ]);
        assert.equal(await count(), before);
        const other = await makeDataset(server);
        await call(server, 'POST', '/examples', { id: ids[0], dataset_id: other.id, inputs: {} }, 409);
        await call(server, 'PATCH', '/examples/bulk', [{ id: ids[1], inputs: { i: 7 } }]);
        assert.deepEqual((await call(server, 'GET', `/examples/${ids[1]}`)).inputs, { i: 7 });
        await call(server, 'DELETE', `/examples?example_ids=${ids[0]}&example_ids=${ids[1]}`);
        assert.equal(await count(), before - 2);
    });
    describe('from runs, with use_source_run_io', () => {
        let own;
        const store = async (fields) => {
            const one = { id: uuid(), ...run(), ...fields };
            await call(server, 'POST', '/runs', one, 202);
            return one.id;
        };
        const count = async () => (await call(server, 'GET', `/datasets/${own.id}`)).example_count;
        const from = (source_run_id, more) => ({
            dataset_id: own.id,
            source_run_id,
            use_source_run_io: true,
            ...more,
        });
        const post = (example, status = 200) => call(server, 'POST', '/examples', example, status);
        let source;
        before(async () => {
            own = await makeDataset(server);
            source = await store({ inputs: { q: 'é', n: 1.5 }, outputs: { a: [1] } });
        });

        it('one says what its run says', async () => {
            const made = await post(from(source, { inputs: {} }));
            assert.deepEqual(made.inputs, { q: 'é', n: 1.5 });
            assert.deepEqual(made.outputs, { a: [1] });
            assert.equal(made.source_run_id, source);
            assert.deepEqual(await call(server, 'GET', `/examples/${made.id}`), made);
            const mine = await post(from(source, { outputs: { mine: 1 } }));
            assert.deepEqual([mine.inputs, mine.outputs], [made.inputs, { mine: 1 }]);
            const not = await post(from(source, { use_source_run_io: false }));
            assert.deepEqual([not.inputs, not.outputs], [{}, null]);
        });
        it('several, also of one run, and in parts', async () => {
            const other = await store({ inputs: [1], outputs: 'text' });
            const many = [source, other, source].map((id) => from(id));
            const made = await call(server, 'POST', '/examples/bulk', [
                ...many,
                { dataset_id: own.id, inputs: { i: 1 } },
            ]);
            assert.deepEqual(
                made.map((one) => [one.inputs, one.outputs]),
                [
                    [{ q: 'é', n: 1.5 }, { a: [1] }],
                    [{ input: [1] }, { output: 'text' }],
                    [{ q: 'é', n: 1.5 }, { a: [1] }],
                    [{ i: 1 }, null],
                ],
            );
            const id = uuid();
            const said = { source_run_id: source, use_source_run_io: true };
            const path = `/platform/datasets/${own.id}/examples`;
            const body = parts([[id, asJson, JSON.stringify(said)]]);
            await call(server, 'POST', path, body, 201, inParts);
            const shown = await call(server, 'GET', `/examples/${id}`);
            assert.deepEqual([shown.inputs, shown.outputs], [made[0].inputs, made[0].outputs]);
        });
        it('refused is what cannot be: nothing is stored', async () => {
            const there = await count();
            await post(from(uuid()), 404);
            await post(from(undefined), 422);
            await post(from(source, { use_source_run_io: 'yes' }), 422);
            await post(from(source, { use_source_run_attachments: ['f'] }), 422);
            await post(from(source, { use_source_run_attachments: [], dataset_id: uuid() }), 404);
            const list = [from(source), from(uuid())];
            await call(server, 'POST', '/examples/bulk', list, 404);
            const large = await store({ inputs: { x: 'y'.repeat(5 << 20) } });
            await post(from(large), 413);
            const half = await store({ inputs: { x: 'y'.repeat(3 << 20) } });
            const copies = Array.from({ length: 30 }, () => from(half));
            await call(server, 'POST', '/examples/bulk', copies, 413);
            assert.equal(await count(), there);
        });
        it('as deep as a run may be is deeper than an example may be', async () => {
            const nested = (depth) => `{"x":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
            const id = uuid();
            const post_ = (name, text) => [`post.${id}${name}`, asJson, text];
            const time = '2026-01-01T00:00:00Z';
            const main = {
                id,
                trace_id: id,
                name: 'deep',
                run_type: 'chain',
                start_time: time,
                dotted_order: `20260101T000000000000Z${id}`,
            };
            const sent = [post_('', JSON.stringify(main)), post_('.inputs', nested(512))];
            const body = parts(sent.map(([n, t, b]) => [n, `${t}; length=${Buffer.byteLength(b)}`, b]));
            await call(server, 'POST', '/runs/multipart', body, 202, inParts);
            await post(from(id), 422);
        });
    });
    it('in parts as the Python SDK sends them, with a file', async () => {
        const body = readFileSync(
            new URL('../data/multipart/python_examples.body', import.meta.url),
        );
        const kind = 'multipart/form-data; boundary=028fe4f373eb452aa4316ddfdc81dff5';
        const path = `/v1/platform/datasets/${dataset.id}/examples`;
        const answer = await call(server, 'POST', path, body, 201, { 'content-type': kind });
        const id = '4380c33c-317a-407b-809e-80f4c43afd3a';
        assert.equal(answer.count, 1);
        assert.deepEqual(answer.example_ids, [id]);
        const shown = await call(server, 'GET', `/examples/${id}`);
        assert.deepEqual(shown.inputs, { q: 1 });
        assert.deepEqual(shown.outputs, { a: 2 });
        assert.equal(shown.metadata.m, 1);
        assert.equal(shown.created_at, '2026-11-23T16:37:21.726143Z');
        const file = shown.attachment_urls['attachment.f'];
        assert.equal(file.mime_type, 'text/plain');
        const got = await server.get(file.presigned_url);
        assert.equal(got.text, 'hi');
        assert.equal(got.headers['content-type'], 'text/plain');
        assert.equal((await server.get(file.presigned_url.replace('name=f', 'name=g'))).status, 403);
        await call(server, 'DELETE', `/examples/${id}`);
        assert.equal((await server.get(file.presigned_url)).status, 404);
    });
    it('in parts without lengths; changed in parts, files renamed and kept', async () => {
        const path = `/platform/datasets/${dataset.id}/examples`;
        const [a, b] = [uuid(), uuid()];
        const bytes = Buffer.from([0, 255, 13, 10, 45, 45, 45]);
        await call(
            server,
            'POST',
            path,
            parts([
                [a, asJson, '{"split":["x","y"]}'],
                [`${a}.inputs`, asJson, '{"i":1}'],
                [`${a}.attachment.one`, 'image/png', bytes],
                [`${a}.attachment.two`, 'text/plain', 'two'],
                [`${a}.attachment.three`, 'text/plain', 'three'],
                [b, asJson, '{}'],
                [`${b}.inputs`, asJson, '{"i":2}'],
            ]),
            201,
            inParts,
        );
        const files = async () => (await call(server, 'GET', `/examples/${a}`)).attachment_urls;
        const read = async (name) =>
            (await server.get((await files())[`attachment.${name}`].presigned_url)).body;
        assert.deepEqual(await read('one'), bytes);
        const changed = await call(
            server,
            'PATCH',
            path,
            parts([
                [a, asJson, '{"metadata":{"new":true}}'],
                [`${a}.outputs`, asJson, '{"o":1}'],
                [`${a}.attachments_operations`, asJson, '{"rename":{"one":"eins"},"retain":["two"]}'],
                [`${a}.attachment.four`, 'text/plain', 'four'],
            ]),
            200,
            inParts,
        );
        assert.equal(changed.count, 1);
        const shown = await call(server, 'GET', `/examples/${a}`);
        assert.deepEqual(shown.inputs, { i: 1 });
        assert.deepEqual(shown.outputs, { o: 1 });
        assert.deepEqual(shown.metadata, { dataset_split: ['x', 'y'], new: true });
        assert.deepEqual(Object.keys(shown.attachment_urls).sort(), [
            'attachment.eins',
            'attachment.four',
            'attachment.two',
        ]);
        assert.deepEqual(await read('eins'), bytes);
        const list = async (query) =>
            (await call(server, 'GET', `/examples?dataset=${dataset.id}&${query}`)).map(
                (one) => one.inputs.i,
            );
        assert.deepEqual(await list('splits=y'), [1]);
        assert.deepEqual(await list('splits=base'), [2]);
        assert.deepEqual(await list(`metadata=${encodeURIComponent('{"new":true}')}`), [1]);
        assert.deepEqual(await list(`filter=${encodeURIComponent('exists(metadata, "new")')}`), [1]);
        assert.deepEqual(await list(`id=${b}&as_of=latest&inline_s3_urls=true`), [2]);
        assert.deepEqual((await list('limit=1&offset=1')).length, 1);
        assert.equal((await server.get(`/examples?dataset=${dataset.id}&filter=x(`)).status, 400);
        for (const search of ['search("a")', 'not(search(metadata, "a"))', 'matches("a")']) {
            const filter = encodeURIComponent(search);
            const answer = await server.get(`/examples?dataset=${dataset.id}&filter=${filter}`);
            assert.equal(answer.status, 400, answer.text);
            assert.match(answer.json.detail, /search and matches/);
        }
        assert.equal((await server.get('/examples')).status, 400);
        await call(server, 'POST', '/v1/platform/datasets/examples/delete', {
            example_ids: [a, b],
            hard_delete: true,
        });
        assert.deepEqual(await list('splits=y'), []);
    });
    it('one example has only so many attachments at once', async () => {
        const { id } = await makeDataset(server);
        const path = `/platform/datasets/${id}/examples`;
        const example = (count) => {
            const one = uuid();
            return parts([
                [one, asJson, '{}'],
                [`${one}.inputs`, asJson, '{}'],
                ...Array.from({ length: count }, (_, i) => [`${one}.attachment.${i}`, 'text/plain', 'x']),
            ]);
        };
        await call(server, 'POST', path, example(1000), 201, inParts);
        await call(server, 'POST', path, example(1001), 422, inParts);
    });
    it('what is wrong in parts is refused whole', async () => {
        const path = `/platform/datasets/${dataset.id}/examples`;
        const id = uuid();
        const post = (list, status) => call(server, 'POST', path, parts(list), status, inParts);
        await post([[id, asJson, '{']], 422);
        await post([['x.inputs', asJson, '{}']], 422);
        await post([[`${id}.what`, asJson, '{}']], 422);
        await post(
            [
                [id, asJson, '{}'],
                [`${id}.inputs`, asJson, '[]'],
            ],
            422,
        );
        await call(server, 'POST', path, '{}', 415);
        await call(server, 'POST', path, parts([]).subarray(0, 10), 422, inParts);
        await call(
            server,
            'POST',
            `/platform/datasets/${uuid()}/examples`,
            parts([[id, asJson, '{}']]),
            404,
            inParts,
        );
        await call(server, 'PATCH', path, parts([[id, asJson, '{}']]), 404, inParts);
        await call(server, 'GET', `/examples/${id}`, undefined, 404);
    });
    it('go with their dataset, survive a kill and a rebuild', async () => {
        const gone = await makeDataset(server);
        const { id } = await call(server, 'POST', '/examples', { dataset_id: gone.id, inputs: {} });
        await call(server, 'DELETE', `/datasets/${gone.id}`);
        await call(server, 'GET', `/examples/${id}`, undefined, 404);
        const kept = await call(server, 'POST', '/examples', {
            dataset_id: dataset.id,
            inputs: { kept: 1 },
        });
        const see = async () => [
            await call(server, 'GET', `/examples/${kept.id}`),
            (await server.get(`/examples/${id}`)).status,
            await call(server, 'GET', '/datasets'),
        ];
        const before = await see();
        await server.kill();
        await server.up();
        assert.deepEqual(await see(), before);
        if (mode !== 'embedded' && mode !== 'bucket+sqlite') return;
        await server.stop();
        const rebuilt = await command(
            ['reindex', ...server.place.flags, '--data', server.data],
            { env: server.env },
        );
        assert.equal(rebuilt.code, 0, String(rebuilt.stderr));
        await server.up();
        assert.deepEqual(await see(), before);
    });
});
