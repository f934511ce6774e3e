// ids.mjs - the spellings of an id: accepted in many, answered in one.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFault, rawRun, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const spellings = {
    'lower case': (id) => id,
    'upper case': (id) => id.toUpperCase(),
    'mixed case': (id) => id.replace(/[a-f]/, (c) => c.toUpperCase()),
    'without dashes': (id) => id.replaceAll('-', ''),
    'upper case without dashes': (id) => id.replaceAll('-', '').toUpperCase(),
    'urn:uuid:': (id) => `urn:uuid:${id}`,
    'in braces': (id) => `{${id}}`,
};

const versions = {
    1: 'c232ab00-9414-11ec-b3c8-9f6bdeced846',
    2: '000003e8-9414-21ec-b300-325096b39f47',
    3: '5df41881-3aed-3515-88a7-2f4a814cf09e',
    4: '919108f7-52d1-4320-9bac-f847db4148a8',
    5: '2ed6657d-e927-568b-95e1-2665a8aea6a2',
    6: '1ec9414c-232a-6b00-b3c8-9f6bdeced846',
    7: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
    8: '2489e9ad-2ee2-8e00-8ec9-32d5f69181c0',
    'another variant': '919108f7-52d1-4320-0bac-f847db4148a8',
    'all ones': 'ffffffff-ffff-ffff-ffff-ffffffffffff',
};

const bad = {
    empty: '',
    'one digit short': '919108f7-52d1-4320-9bac-f847db4148a',
    'one digit long': '919108f7-52d1-4320-9bac-f847db4148a80',
    'a letter that is no digit': 'g19108f7-52d1-4320-9bac-f847db4148a8',
    'dashes at wrong places': '919108f75-2d1-4320-9bac-f847db4148a8',
    'an open brace': '{919108f7-52d1-4320-9bac-f847db4148a8',
    'a space before': ' 919108f7-52d1-4320-9bac-f847db4148a8',
    'a space after': '919108f7-52d1-4320-9bac-f847db4148a8 ',
    'not an id at all': 'my-run',
    'a NUL after': '919108f7-52d1-4320-9bac-f847db4148a8\u0000',
    'fullwidth digits': '９19108f7-52d1-4320-9bac-f847db4148a8',
};

describe('ids', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    for (const [what, spell] of Object.entries(spellings)) {
        it(`${what}: accepted in a run, answered canonically`, async () => {
            const id = uuid();
            const trace_id = uuid();
            assert.deepEqual(
                await server.store([run({ id: spell(id), trace_id: spell(trace_id) })]),
                [id],
            );
            const got = (await server.get(`/runs/${id}`)).json;
            assert.equal(got.id, id);
            assert.equal(got.trace_id, trace_id);
        });
        it(`${what}: accepted in a path, in a query and in a list`, async () => {
            const id = uuid();
            const trace_id = uuid();
            await server.store([run({ id, trace_id })]);
            const path = await server.get(`/runs/${encodeURIComponent(spell(id))}`);
            assert.equal(path.status, 200, path.text);
            assert.equal(path.json.id, id);
            assert.equal(
                (await server.get(`/runs/${encodeURIComponent(spell(id))}/inputs`)).status,
                200,
            );
            const query = await server.get(
                `/runs/search?trace_id=${encodeURIComponent(spell(trace_id))}`,
            );
            assert.deepEqual(
                query.json.runs.map((r) => r.id),
                [id],
            );
            const list = await server.post('/runs/batch', [spell(id)]);
            assert.deepEqual(
                list.json.runs.map((r) => r.id),
                [id],
            );
        });
    }

    for (const [version, id] of Object.entries(versions))
        it(`version ${version} is accepted`, async () => {
            assert.deepEqual(await server.store([run({ id, trace_id: id })]), [id]);
            const got = await server.get(`/runs/${id}`);
            assert.equal(got.json.trace_id, id);
            assert.deepEqual(
                (await server.get(`/runs/search?trace_id=${id}`)).json.runs.map((r) => r.id),
                [id],
            );
        });

    it('an id spelled with JSON escapes is the same id', async () => {
        const id = uuid();
        const escaped = [...id]
            .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
            .join('');
        const text = rawRun({ id: `"${escaped}"`, trace_id: `"${uuid()}"`, name: '"e"' });
        assert.deepEqual(await server.store(`[${text}]`), [id]);
        assert.equal((await server.get(`/runs/${id}`)).status, 200);
    });

    it('a 404 and a 409 name the id canonically', async () => {
        const id = uuid();
        const missing = await server.get(`/runs/${id.toUpperCase()}`);
        assert.equal(missing.status, 404);
        assert.equal(missing.text, `{"detail":"Run with ID ${id} not found"}`);
        await server.store([run({ id, name: 'a' })]);
        const conflict = await server.post('/runs', [run({ id: id.toUpperCase(), name: 'b' })]);
        assert.equal(conflict.status, 409);
        assert.equal(conflict.json.run_id, id);
    });

    for (const [what, id] of Object.entries(bad))
        it(`${what}: refused wherever it stands`, async () => {
            assertFault(await server.post('/runs', [run({ id })]), 'uuid_parsing', [
                'body',
                0,
                'id',
            ]);
            assertFault(await server.post('/runs', [run({ trace_id: id })]), 'uuid_parsing', [
                'body',
                0,
                'trace_id',
            ]);
            assertFault(await server.post('/runs/batch', [uuid(), id]), 'uuid_parsing', [
                'body',
                1,
            ]);
            if (id === '') return;
            const at = encodeURIComponent(id);
            assertFault(await server.get(`/runs/${at}`), 'uuid_parsing', ['path', 'run_id']);
            assertFault(await server.get(`/runs/${at}/outputs`), 'uuid_parsing', [
                'path',
                'run_id',
            ]);
            assertFault(await server.get(`/runs/search?trace_id=${at}`), 'uuid_parsing', [
                'query',
                'trace_id',
            ]);
        });
});
