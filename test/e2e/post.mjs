// post.mjs - POST /runs: every row of the contract's table.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask, assertFault, rawKeys, rawRun, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('POST /runs', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const gone = async (id) => assert.equal((await server.get(`/runs/${id}`)).status, 404, id);
    const there = async (id) => assert.equal((await server.get(`/runs/${id}`)).status, 200, id);

    describe('stored: 201', () => {
        it('says created and the ids, in these very bytes', async () => {
            const id = uuid();
            const answer = await server.post('/runs', [run({ id })]);
            assert.equal(answer.status, 201);
            assert.equal(answer.headers['content-type'], 'application/json');
            assert.equal(answer.text, `{"status":"created","run_ids":["${id}"]}`);
        });

        it('gives the ids in input order', async () => {
            const ids = Array.from({ length: 200 }, () => uuid());
            assert.deepEqual(await server.store(ids.map((id) => run({ id }))), ids);
        });

        it('makes UUIDv7 that grow within the batch, where none was sent', async () => {
            const ids = await server.store(Array.from({ length: 300 }, () => run()));
            assert.equal(ids.length, 300);
            for (const id of ids) assert.match(id, V7);
            for (let i = 1; i < ids.length; i++) assert.ok(ids[i - 1] < ids[i], `${i}: ${ids[i]}`);
            const ms = parseInt(ids[0].replaceAll('-', '').slice(0, 12), 16);
            assert.ok(Math.abs(Date.now() - ms) < 60_000, 'the time is in the id');
        });

        it('mixes sent and made ids, each at its place', async () => {
            const mine = uuid();
            const ids = await server.store([run(), run({ id: mine }), run()]);
            assert.equal(ids.length, 3);
            assert.equal(ids[1], mine);
            assert.match(ids[0], V7);
            assert.match(ids[2], V7);
        });

        it('is readable the moment it is answered', async () => {
            for (let i = 0; i < 50; i++) {
                const trace_id = uuid();
                const [id] = await server.store([run({ trace_id, name: `now ${i}` })]);
                const [one, many] = await Promise.all([
                    server.get(`/runs/${id}`),
                    server.get(`/runs/search?trace_id=${trace_id}`),
                ]);
                assert.equal(one.status, 200);
                assert.deepEqual(
                    many.json.runs.map((r) => r.id),
                    [id],
                );
            }
        });

        it('allows an empty name, and no inputs, outputs or metadata: {}', async () => {
            const [id] = await server.store([run({ name: '' })]);
            const got = (await server.get(`/runs/${id}`)).json;
            assert.equal(got.name, '');
            for (const field of ['inputs', 'outputs', 'metadata']) {
                assert.deepEqual(got[field], {});
                assert.equal((await server.get(`/runs/${id}/${field}`)).text, '{}');
            }
        });

        it('stands white space around the array', async () => {
            const id = uuid();
            const ids = await server.store(` \r\n\t[ ${JSON.stringify(run({ id }))} \n ] \t\r\n`);
            assert.deepEqual(ids, [id]);
        });
    });

    describe('application/x-ndjson: one run a line', () => {
        const nd = { 'content-type': 'application/x-ndjson' };
        it('stores every line, with or without a last newline', async () => {
            for (const tail of ['', '\n', '\r\n']) {
                const ids = [uuid(), uuid(), uuid()];
                const body = ids.map((id) => JSON.stringify(run({ id }))).join('\n') + tail;
                assert.deepEqual(await server.store(body, nd), ids);
                for (const id of ids) await there(id);
            }
        });
        it('a single line is a batch of one, not a LangSmith run', async () => {
            const id = uuid();
            assert.deepEqual(await server.store(JSON.stringify(run({ id })), nd), [id]);
        });
        it('a bad line is told by its index, and nothing is stored', async () => {
            const id = uuid();
            const body = `${JSON.stringify(run({ id }))}\n{"name":"no trace"}\n`;
            assertFault(await server.post('/runs', body, nd), 'missing', ['body', 1, 'trace_id']);
            await gone(id);
        });
        it('a line cut short is not JSON', async () => {
            const id = uuid();
            const body = `${JSON.stringify(run({ id }))}\n{"name":`;
            const answer = await server.post('/runs', body, nd);
            assert.equal(answer.status, 422);
            assert.equal(answer.json.detail[0].type, 'json_invalid');
            await gone(id);
        });
    });

    it('[]: 400 No runs provided', async () => {
        for (const body of ['[]', ' [ \n ] ']) {
            const answer = await server.post('/runs', body);
            assert.equal(answer.status, 400);
            assert.equal(answer.text, '{"detail":"No runs provided"}');
        }
    });

    it('neither array nor object: 422 list_type at ["body"]', async () => {
        for (const body of ['"text"', '1', '-2.5e3', 'true', 'false', 'null', '""'])
            assertFault(await server.post('/runs', body), 'list_type', ['body'], body);
    });

    describe('not JSON: 422 json_invalid with the byte offset', () => {
        const good = JSON.stringify(run());
        const long = JSON.stringify(run({ inputs: { a: 'x'.repeat(200_000) } }));
        // [what, body, least offset, greatest offset]
        const bodies = [
            ['a bare word', 'hello', 0, 0],
            ['a word in an array', '[hello]', 1, 1],
            ['a comma too many in the array', `[${good},]`, good.length + 1, good.length + 2],
            ['a comma too many in an object', '[{"a":1,}]', 7, 8],
            ['no comma', '[{"a":1 "b":2}]', 8, 8],
            ['no colon', '[{"a" 1}]', 6, 6],
            ['a key that is no string', '[{1:2}]', 2, 2],
            ['single quotes', "[{'a':1}]", 2, 2],
            ['a number with a leading zero', '[{"a":01}]', 6, 7],
            ['a number without digits', '[{"a":-}]', 6, 7],
            ['a number with a bare point', '[{"a":1.}]', 6, 8],
            ['a plus sign', '[{"a":+1}]', 6, 6],
            ['hexadecimal', '[{"a":0x1}]', 6, 7],
            ['NaN', '[{"a":NaN}]', 6, 6],
            ['Infinity', '[{"a":Infinity}]', 6, 6],
            ['-Infinity', '[{"a":-Infinity}]', 6, 7],
            ['a newline in a string', '[{"a":"x\ny"}]', 8, 8],
            ['a NUL byte in a string', '[{"a":"x\0y"}]', 8, 8],
            ['an escape that is none', '[{"a":"\\x"}]', 7, 8],
            ['a short unicode escape', '[{"a":"\\u12"}]', 7, 11],
            ['bytes after the end', '[] x', 3, 3],
            ['a second document', `[${good}][]`, good.length + 2, good.length + 2],
            ['a byte order mark', '\ufeff[]', 0, 2],
            ['a comment', '[/* no */]', 1, 1],
            ['the wrong bracket', '[{"a":1]]', 7, 7],
            ['an error far in', `[${long},!]`, long.length + 2, long.length + 2],
        ];
        for (const [what, body, least, most] of bodies)
            it(what, async () => {
                const answer = await server.post('/runs', body);
                assert.equal(answer.status, 422, answer.text);
                const { detail } = answer.json;
                assert.equal(detail.length, 1);
                const [error] = detail;
                assert.equal(error.type, 'json_invalid');
                assert.equal(error.msg, 'JSON decode error');
                assert.equal(typeof error.ctx.error, 'string');
                assert.ok(error.ctx.error.length > 0);
                assert.equal(error.loc[0], 'body');
                assert.equal(error.loc.length, 2);
                assert.ok(error.loc[1] >= least && error.loc[1] <= most, answer.text);
            });

        it('cut short, anywhere: the offset is the length', async () => {
            const text = JSON.stringify([
                {
                    trace_id: uuid(),
                    name: 'é\u0000',
                    inputs: { a: [1.5e3, null, true, { b: {} }] },
                },
            ]);
            const bytes = Buffer.from(text);
            for (let n = 1; n < bytes.length; n++) {
                const answer = await server.post('/runs', bytes.subarray(0, n));
                assert.equal(answer.status, 422, `cut at ${n}: ${answer.text}`);
                const [error] = answer.json.detail;
                assert.equal(error.type, 'json_invalid', `cut at ${n}`);
                assert.ok(
                    error.loc[1] <= n && error.loc[1] >= n - 8,
                    `cut at ${n}: ${answer.text}`,
                );
            }
        });

        it('bad UTF-8', async () => {
            const bad = [
                [0x80],
                [0xc0, 0xaf],
                [0xc3],
                [0xe0, 0x80, 0x80],
                [0xed, 0xa0, 0x80], // a surrogate in the raw
                [0xf0, 0x80, 0x80, 0x80],
                [0xf4, 0x90, 0x80, 0x80], // beyond U+10FFFF
                [0xf8, 0x88, 0x80, 0x80, 0x80],
                [0xff],
            ];
            for (const bytes of bad) {
                const start = Buffer.from('[{"a":"ok');
                const answer = await server.post(
                    '/runs',
                    Buffer.concat([start, Buffer.from(bytes), Buffer.from('"}]')]),
                );
                assert.equal(answer.status, 422, answer.text);
                const [error] = answer.json.detail;
                assert.equal(error.type, 'json_invalid', bytes.join());
                const within =
                    error.loc[1] >= start.length && error.loc[1] <= start.length + bytes.length;
                assert.ok(within, `${bytes}: ${answer.text}`);
            }
        });

        it('depth 512 of the document is kept, 513 is too deep', async () => {
            // The array and the run are two; inputs is a chain of objects.
            const chain = (n) => '{"a":'.repeat(n - 1) + '{}' + '}'.repeat(n - 1);
            const made = (n) =>
                `[${rawRun({ trace_id: `"${uuid()}"`, name: '"deep"', inputs: chain(n) })}]`;
            const [id] = await server.store(made(510));
            assert.equal((await server.get(`/runs/${id}/inputs`)).text, chain(510));
            const answer = await server.post('/runs', made(511));
            assert.equal(answer.status, 422);
            assert.equal(answer.json.detail[0].type, 'json_invalid');
        });
    });

    it('no body: 422, one error of type missing at ["body"]', async () => {
        const empty = [
            { headers: { 'content-length': '0' } },
            { headers: { 'content-length': '0', 'content-type': 'application/json' } },
            { headers: { 'transfer-encoding': 'chunked', 'content-type': 'application/json' } },
        ];
        for (const options of empty) {
            const answer = await ask(server, 'POST', '/runs', options);
            assertFault(answer, 'missing', ['body']);
            assert.equal(answer.json.detail.length, 1);
        }
        // White space is no more than nothing.
        assertFault(await server.post('/runs', ' \n '), 'missing', ['body']);
    });

    describe('a bad run: 422, one error per fault, nothing stored', () => {
        const trace = `"${uuid()}"`;
        const faults = [
            ['no trace_id', { name: '"x"' }, 'missing', 'trace_id'],
            ['no name', { trace_id: trace }, 'missing', 'name'],
            [
                'a trace_id that is no uuid',
                { trace_id: '"abc"', name: '"x"' },
                'uuid_parsing',
                'trace_id',
            ],
            ['an empty trace_id', { trace_id: '""', name: '"x"' }, 'uuid_parsing', 'trace_id'],
            ['a numeric trace_id', { trace_id: '7', name: '"x"' }, 'uuid_type', 'trace_id'],
            ['a null trace_id', { trace_id: 'null', name: '"x"' }, 'uuid_type', 'trace_id'],
            [
                'an id that is no uuid',
                { id: '"1"', trace_id: trace, name: '"x"' },
                'uuid_parsing',
                'id',
            ],
            ['a numeric id', { id: '1', trace_id: trace, name: '"x"' }, 'uuid_type', 'id'],
            [
                'an id that is an object',
                { id: '{}', trace_id: trace, name: '"x"' },
                'uuid_type',
                'id',
            ],
            ['a numeric name', { trace_id: trace, name: '1' }, 'string_type', 'name'],
            ['a null name', { trace_id: trace, name: 'null' }, 'string_type', 'name'],
            ['a name that is an array', { trace_id: trace, name: '["x"]' }, 'string_type', 'name'],
        ];
        for (const field of ['inputs', 'outputs', 'metadata'])
            for (const value of ['null', '1', '"text"', '[]', 'true'])
                faults.push([
                    `${field} that is ${value}`,
                    { trace_id: trace, name: '"x"', [field]: value },
                    'dict_type',
                    field,
                ]);
        for (const field of ['start_time', 'end_time'])
            faults.push([
                `${field} that is no time`,
                { trace_id: trace, name: '"x"', [field]: '"yesterday"' },
                'datetime_parsing',
                field,
            ]);
        for (const [field, value] of [
            ['tags', '"x"'],
            ['tags', '{}'],
            ['events', '{}'],
        ])
            faults.push([
                `${field} that is ${value}`,
                { trace_id: trace, name: '"x"', [field]: value },
                'list_type',
                field,
            ]);
        faults.push([
            'a run_type nobody knows',
            { trace_id: trace, name: '"x"', run_type: '"dance"' },
            'enum',
            'run_type',
        ]);

        faults.push([
            'the name of a project that is too long',
            { trace_id: trace, name: '"x"', session_name: `"${'s'.repeat(8193)}"` },
            'string_too_long',
            'session_name',
        ]);

        for (const [what, fields, type, field] of faults)
            it(`${what}: ${type}`, async () => {
                const first = uuid();
                const last = uuid();
                const body = `[${JSON.stringify(run({ id: first }))},${rawRun(fields)},${JSON.stringify(
                    run({ id: last }),
                )}]`;
                const answer = await server.post('/runs', body);
                assertFault(answer, type, ['body', 1, field]);
                assert.equal(answer.json.detail.length, 1, answer.text);
                await gone(first);
                await gone(last);
            });

        it('a field named twice: duplicate_field', async () => {
            for (const field of [
                'id',
                'trace_id',
                'name',
                'inputs',
                'outputs',
                'metadata',
                'tags',
            ]) {
                const id = uuid();
                const fields = {
                    id: `"${id}"`,
                    trace_id: trace,
                    name: '"x"',
                    inputs: '{}',
                    outputs: '{}',
                    metadata: '{}',
                    tags: '[]',
                };
                const text = rawRun(fields).replace(/\}$/, `,"${field}":${fields[field]}}`);
                assertFault(await server.post('/runs', `[${text}]`), 'duplicate_field', [
                    'body',
                    0,
                    field,
                ]);
                await gone(id);
            }
        });

        it('a field named twice, once in escapes, is still named twice', async () => {
            const text = `{"trace_id":${trace},"name":"a","\\u006eame":"b"}`;
            assertFault(await server.post('/runs', `[${text}]`), 'duplicate_field', [
                'body',
                0,
                'name',
            ]);
        });

        it('an element that is no object', async () => {
            for (const value of ['1', 'null', '"x"', '[]', 'true']) {
                const id = uuid();
                const answer = await server.post(
                    '/runs',
                    `[${JSON.stringify(run({ id }))},${value}]`,
                );
                assert.equal(answer.status, 422, answer.text);
                assert.deepEqual(answer.json.detail[0].loc.slice(0, 2), ['body', 1], answer.text);
                await gone(id);
            }
        });

        it('several faults of one run are all told', async () => {
            const answer = await server.post('/runs', '[{"id":5,"trace_id":"x","inputs":[]}]');
            assertFault(answer, 'uuid_type', ['body', 0, 'id']);
            assertFault(answer, 'uuid_parsing', ['body', 0, 'trace_id']);
            assertFault(answer, 'missing', ['body', 0, 'name']);
            assertFault(answer, 'dict_type', ['body', 0, 'inputs']);
            assert.equal(answer.json.detail.length, 4, answer.text);
        });

        it('faults of several runs are told by index', async () => {
            const answer = await server.post('/runs', [
                run(),
                { name: 'x' },
                run(),
                run({ name: 3 }),
            ]);
            assertFault(answer, 'missing', ['body', 1, 'trace_id']);
            assertFault(answer, 'string_type', ['body', 3, 'name']);
            assert.equal(answer.json.detail.length, 2);
        });

        it('the first 100 faults are told, no more', async () => {
            const answer = await server.post(
                '/runs',
                Array.from({ length: 150 }, () => run({ name: 1 })),
            );
            assert.equal(answer.status, 422);
            assert.equal(answer.json.detail.length, 100);
            answer.json.detail.forEach((error, i) =>
                assert.deepEqual(error.loc, ['body', i, 'name']),
            );
        });

        it('a fault at the end of a large batch takes all of it away', async () => {
            const ids = Array.from({ length: 2000 }, () => uuid());
            const runs = ids.map((id) => run({ id, inputs: { text: 'x'.repeat(500) } }));
            const answer = await server.post('/runs', [...runs, { name: 'x' }]);
            assertFault(answer, 'missing', ['body', 2000, 'trace_id']);
            const found = await server.post('/runs/batch', ids.slice(0, 1000));
            assert.equal(found.text, '{"runs":[],"count":0}');
        });
    });

    describe('retries', () => {
        it('the same bytes again: 201 as if new', async () => {
            const body = JSON.stringify([
                run({ id: uuid(), inputs: { a: 1 } }),
                run({ id: uuid(), outputs: { b: [1e100] } }),
            ]);
            const first = await server.post('/runs', body);
            const before = (await server.get(`/runs/${first.json.run_ids[0]}`)).text;
            for (let i = 0; i < 3; i++) {
                const again = await server.post('/runs', body);
                assert.equal(again.status, 201);
                assert.equal(again.text, first.text);
            }
            assert.equal((await server.get(`/runs/${first.json.run_ids[0]}`)).text, before);
        });

        it('the same run twice in one batch: 201, and it is there once', async () => {
            const trace_id = uuid();
            const one = run({ id: uuid(), trace_id });
            assert.deepEqual(await server.store([one, one, one]), [one.id, one.id, one.id]);
            assert.equal((await server.get(`/runs/search?trace_id=${trace_id}`)).json.count, 1);
        });

        it('a batch that is partly there: the rest is stored', async () => {
            const [a, b, c] = [run({ id: uuid() }), run({ id: uuid() }), run({ id: uuid() })];
            await server.store([b]);
            assert.deepEqual(await server.store([a, b, c]), [a.id, b.id, c.id]);
            for (const one of [a, b, c]) await there(one.id);
        });

        it('other bytes: 409 with the id, and nothing of the batch is stored', async () => {
            const id = uuid();
            const other = uuid();
            await server.store([run({ id, inputs: { a: 1 } })]);
            const before = (await server.get(`/runs/${id}`)).text;
            const answer = await server.post('/runs', [
                run({ id: other }),
                run({ id, inputs: { a: 2 } }),
            ]);
            assert.equal(answer.status, 409);
            assert.equal(
                answer.text,
                `{"detail":"Run ${id} already exists with different content","run_id":"${id}"}`,
            );
            await gone(other);
            assert.equal((await server.get(`/runs/${id}`)).text, before);
        });

        it('one id twice in a batch with other bytes: 409', async () => {
            const id = uuid();
            const trace_id = uuid();
            const answer = await server.post('/runs', [
                run({ id, trace_id, name: 'a' }),
                run({ id, trace_id, name: 'b' }),
            ]);
            assert.equal(answer.status, 409);
            assert.equal(answer.json.run_id, id);
            await gone(id);
        });

        it('two at once with other bytes: one wins, and stays', async () => {
            for (let round = 0; round < 20; round++) {
                const id = uuid();
                const trace_id = uuid();
                const bodies = Array.from({ length: 6 }, (_, i) => [
                    run({ id, trace_id, inputs: { who: i } }),
                ]);
                const answers = await Promise.all(bodies.map((body) => server.post('/runs', body)));
                const winners = answers.flatMap((answer, i) => (answer.status === 201 ? [i] : []));
                assert.equal(winners.length, 1, answers.map((a) => a.status).join());
                for (const answer of answers) assert.ok([201, 409].includes(answer.status));
                assert.deepEqual((await server.get(`/runs/${id}/inputs`)).json, {
                    who: winners[0],
                });
            }
        });
    });

    describe('same content', () => {
        const id = uuid();
        const trace = uuid();
        const base = {
            id: `"${id}"`,
            trace_id: `"${trace}"`,
            name: '"same"',
            inputs: '{"a":1.0,"b":[1,2]}',
            tags: '["x"]',
        };
        before(() => server.store(`[${rawRun(base)}]`));
        const same = [
            [
                'another order of the fields',
                rawRun(Object.fromEntries(Object.entries(base).reverse())),
            ],
            [
                'white space between the fields',
                rawRun(base).replaceAll(',"', ' ,\n\t"').replace('{', '{ '),
            ],
            ['a field nobody knows', rawRun({ ...base, colour: '"blue"', replicas: '[]' })],
        ];
        // The replaceAll above must not touch what is inside inputs.
        same[1][1] = same[1][1].replace('1.0 ,\n\t"b"', '1.0,"b"');
        for (const [what, text] of same)
            it(`${what}: equal`, async () => {
                assert.notEqual(text, rawRun(base));
                assert.deepEqual(await server.store(`[${text}]`), [id]);
            });
        const other = [
            ['a number spelled differently', { ...base, inputs: '{"a":1.00,"b":[1,2]}' }],
            ['white space inside a field', { ...base, inputs: '{"a": 1.0,"b":[1,2]}' }],
            ['another order of keys inside', { ...base, inputs: '{"b":[1,2],"a":1.0}' }],
            ['an escape inside', { ...base, inputs: '{"\\u0061":1.0,"b":[1,2]}' }],
            ['another name', { ...base, name: '"Same"' }],
            ['another trace', { ...base, trace_id: `"${uuid()}"` }],
            ['one known field more', { ...base, outputs: '{}' }],
            ['another value of a field that is only kept', { ...base, tags: '["y"]' }],
        ];
        for (const [what, fields] of other)
            it(`${what}: different`, async () => {
                const answer = await server.post('/runs', `[${rawRun(fields)}]`);
                assert.equal(answer.status, 409, answer.text);
                assert.equal(answer.json.run_id, id);
            });
        it('one known field less: different', async () => {
            const { tags, ...rest } = base;
            assert.equal((await server.post('/runs', `[${rawRun(rest)}]`)).status, 409);
        });
    });

    it('a JSON object is the LangSmith single run: 202', async () => {
        const id = uuid();
        const answer = await server.post('/runs', run({ id, run_type: 'tool' }));
        assert.equal(answer.status, 202, answer.text);
        await there(id);
    });

    it('an unknown Content-Type: 415 and the header to send', async () => {
        for (const type of [
            'text/plain',
            'application/x-www-form-urlencoded',
            'image/png',
            'multipart/form-data; boundary=x',
            'json',
        ]) {
            const answer = await server.post('/runs', [run()], { 'content-type': type });
            assert.equal(answer.status, 415, type);
            assert.ok(
                answer.json.detail.includes("-H 'Content-Type: application/json'"),
                answer.text,
            );
        }
    });

    it('a missing Content-Type is taken as JSON; parameters and case do not matter', async () => {
        const body = JSON.stringify([run()]);
        assert.equal((await ask(server, 'POST', '/runs', { body })).status, 201);
        for (const type of [
            'application/json; charset=utf-8',
            'Application/JSON',
            'application/json;charset=UTF-8',
        ])
            assert.equal(
                (await server.post('/runs', [run()], { 'content-type': type })).status,
                201,
                type,
            );
    });

    describe('what is absent', () => {
        const read = async (fields) => {
            const [id] = await server.store([run(fields)]);
            return (await server.get(`/runs/${id}`)).json;
        };
        const at = (text) => Date.parse(/Z|[+-]\d\d:\d\d$/.test(text) ? text : `${text}Z`);

        it('start_time is the time received, one instant for the batch; end_time is start_time', async () => {
            const from = Date.now();
            const ids = await server.store([run(), run({ name: 'b' }), run()]);
            const to = Date.now();
            const got = await Promise.all(
                ids.map(async (id) => (await server.get(`/runs/${id}`)).json),
            );
            for (const one of got) {
                assert.equal(one.start_time, got[0].start_time);
                assert.equal(one.end_time, one.start_time);
                assert.equal(one.status, 'success');
            }
            const ms = at(got[0].start_time);
            assert.ok(ms >= from - 1 && ms <= to + 1, `${from} ${got[0].start_time} ${to}`);
        });
        it('a run with an error is an error', async () => {
            const got = await read({ error: 'ValueError: no' });
            assert.equal(got.status, 'error');
            assert.equal(got.error, 'ValueError: no');
        });
        it('"end_time":null is still running', async () => {
            const got = await read({ end_time: null });
            assert.equal(got.status, 'pending');
            assert.equal(got.end_time, null);
        });
        it('run_type is chain, there is no parent, dotted_order is derived', async () => {
            const got = await read({ start_time: '2026-01-02T03:04:05.678901Z' });
            assert.equal(got.run_type, 'chain');
            assert.equal(got.parent_run_id, null);
            assert.equal(got.dotted_order, `20260102T030405678901Z${got.id}`);
        });
        it('several runs of a trace without parent are fine', async () => {
            const trace_id = uuid();
            await server.store([run({ trace_id }), run({ trace_id }), run({ trace_id })]);
            assert.equal((await server.get(`/runs/search?trace_id=${trace_id}`)).json.count, 3);
        });
        it('newest first reverses the input order of a batch', async () => {
            const trace_id = uuid();
            const ids = await server.store(Array.from({ length: 40 }, () => run({ trace_id })));
            const found = (await server.get(`/runs/search?trace_id=${trace_id}`)).json.runs;
            assert.deepEqual(
                found.map((r) => r.id),
                [...ids].reverse(),
            );
        });
        it('times come as RFC 3339, without zone (UTC) or as integer milliseconds', async () => {
            const want = Date.UTC(2026, 10, 23, 16, 22, 43, 784);
            for (const start_time of [
                '2026-11-23T16:22:43.784Z',
                '2026-11-23T16:22:43.784',
                '2026-11-23T17:22:43.784+01:00',
                '2026-11-23 16:22:43.784Z',
                want,
            ]) {
                const got = await read({ start_time });
                assert.equal(at(got.start_time), want, String(start_time));
            }
        });
        it('every LangSmith field is kept, fields nobody knows are ignored', async () => {
            const fields = {
                run_type: 'llm',
                tags: ['a', 'b'],
                events: [{ name: 'new_token', time: '2026-01-01T00:00:00Z' }],
                serialized: { lc: 1 },
                extra: { runtime: { sdk: 'x' }, metadata: { m: 1 } },
                parent_run_id: uuid(),
                reference_example_id: uuid(),
                session_name: 'a project',
                nobody: 'knows',
                child_runs: [],
            };
            const got = await read(fields);
            assert.equal(got.run_type, 'llm');
            for (const field of ['tags', 'events', 'serialized', 'extra'])
                assert.deepEqual(got[field], fields[field], field);
            assert.equal(got.parent_run_id, fields.parent_run_id);
            assert.equal(got.reference_example_id, fields.reference_example_id);
            assert.equal('nobody' in got, false);
            assert.deepEqual(got.metadata, { m: 1 });
        });
        it('a JSON null clears nothing of what may be null', async () => {
            const got = await read({ error: null, tags: null, parent_run_id: null, extra: null });
            assert.equal(got.status, 'success');
            assert.equal(got.parent_run_id, null);
        });
    });

    describe('metadata is extra.metadata', () => {
        const text = '{"m": 1e2,"x":"\\u00e9"}';
        it('a native run: extra reads {"metadata":<bytes>}', async () => {
            const [id] = await server.store(
                `[${rawRun({ trace_id: `"${uuid()}"`, name: '"m"', metadata: text })}]`,
            );
            const got = await server.get(`/runs/${id}`);
            assert.ok(got.text.includes(`"extra":{"metadata":${text}}`), got.text);
            assert.ok(got.text.includes(`"metadata":${text},`), got.text);
        });
        it('extra alone: top-level metadata is that span of extra', async () => {
            const [id] = await server.store(
                `[${rawRun({
                    trace_id: `"${uuid()}"`,
                    name: '"m"',
                    extra: `{"a":{"metadata":3}, "metadata" : ${text}}`,
                })}]`,
            );
            assert.equal((await server.get(`/runs/${id}/metadata`)).text, text);
            const got = await server.get(`/runs/${id}`);
            assert.ok(
                got.text.includes(`"extra":{"a":{"metadata":3}, "metadata" : ${text}}`),
                got.text,
            );
        });
        it('extra without metadata: {}', async () => {
            const [id] = await server.store([run({ extra: { runtime: {} } })]);
            assert.equal((await server.get(`/runs/${id}/metadata`)).text, '{}');
        });
        it('both with equal bytes: stored', async () => {
            const made = rawRun({
                trace_id: `"${uuid()}"`,
                name: '"m"',
                metadata: text,
                extra: `{"metadata":${text}}`,
            });
            const [id] = await server.store(`[${made}]`);
            assert.equal((await server.get(`/runs/${id}/metadata`)).text, text);
        });
        it('both with other bytes: 422', async () => {
            const id = uuid();
            const made = rawRun({
                id: `"${id}"`,
                trace_id: `"${uuid()}"`,
                name: '"m"',
                metadata: '{"m":1}',
                extra: '{"metadata":{"m":2}}',
            });
            const answer = await server.post('/runs', `[${made}]`);
            assert.equal(answer.status, 422, answer.text);
            assert.deepEqual(answer.json.detail[0].loc.slice(0, 2), ['body', 0]);
            await gone(id);
        });
    });

    it('every error says why, compact and in JSON', async () => {
        const answer = await server.post('/runs', '[{}]');
        assert.deepEqual(rawKeys(answer.text), ['detail']);
        assert.equal(answer.text, JSON.stringify(answer.json));
    });
});
