// bytes.mjs - what was sent comes back byte for byte, by every way there is.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Wire, dice, head, rawElements, rawMember, rawRun, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const fields = ['inputs', 'outputs', 'metadata'];
const nested = (n) => '{"a":'.repeat(n - 1) + '{}' + '}'.repeat(n - 1);

const cases = {
    'an empty object': '{}',
    'an empty object with a space in it': '{ }',
    'exponents as spelled': '{"a":1e2,"b":1E2,"c":1e+2,"d":1E-2,"e":100}',
    'integers of twenty and more digits':
        '{"a":12345678901234567890,"b":-99999999999999999999,"c":' + '9'.repeat(400) + '}',
    'fractions as spelled': '{"a":1.0,"b":1.00,"c":0.1000000000000000055511151231257827,"d":-0.0}',
    'minus zero': '{"a":-0}',
    'numbers no double can hold': '{"a":1e400,"b":-1e400,"c":1e-400}',
    'repeated keys inside': '{"a":1,"a":2,"b":{"a":1,"a":1}}',
    'key order': '{"z":1,"a":2,"m":3,"10":4,"9":5,"1":6}',
    'escapes as spelled': '{"\\u0061":"\\/ \\u00e9 é \\n \\b\\f\\t\\r \\" \\\\"}',
    'upper and lower case escapes': '{"a":"\\u00E9\\u00e9\\uD83D\\ude00"}',
    'a lone high surrogate': '{"a":"\\ud800"}',
    'a lone low surrogate': '{"a":"\\udc00 and more"}',
    'surrogates in the wrong order': '{"a":"\\udc00\\ud800"}',
    'a lone surrogate in a key': '{"\\ud800":1}',
    'an escaped NUL': '{"a":"x\\u0000y","\\u0000":1}',
    'raw text of many languages': '{"ключ":"значение","鍵":"値","مفتاح":"قيمة","😀":"👩‍👩‍👧‍👦"}',
    'characters that look like line ends': '{"a":"\u2028\u2029\u0085"}',
    'DEL and private characters': '{"a":"\u007f\ue000\ufffe\uffff\u{10ffff}\ufeff"}',
    'composed and decomposed stay apart': '{"a":"é","b":"e\u0301"}',
    'white space inside': '{ \n\t"a" : [ 1 ,\r\n 2 ] , "b" : { } }',
    'empty keys and strings': '{"":"","a":{"":[""]}}',
    'every kind of value': '{"a":[null,true,false,0,"",{},[],[[]],[{}]]}',
    'depth 510 below array and run': nested(510),
    'text that looks like the rest of a run':
        '{"a":"\\",\\"outputs\\":{\\"x\\":1}}","inputs":{"inputs":{}}}',
    'keys that are field names':
        '{"id":"x","trace_id":"y","name":"z","inputs":{},"outputs":{},"metadata":{}}',
    'keys that mean something elsewhere':
        '{"__proto__":{"a":1},"constructor":1,"$ref":"#","toString":null}',
    markup: '{"a":"<script>alert(1)</script>&amp;]]>"}',
    'a string of 65536 bytes': `{"a":"${'b'.repeat(65536 - 8)}"}`,
    'quotes and backslashes in a row': '{"a":"' + '\\\\\\"'.repeat(3000) + '"}',
    'one character beyond many blocks': `{"a":"${'€'.repeat(43691)}"}`,
};

describe('bytes are kept as sent', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    // Post the run, read it back by every way, and compare bytes.
    const same = async (made, want) => {
        const [id] = await server.store(`[${made}]`);
        for (const field of fields) {
            const got = await server.get(`/runs/${id}/${field}`);
            assert.equal(got.status, 200);
            assert.ok(
                got.body.equals(Buffer.from(want[field])),
                `${field}: ${got.text.slice(0, 300)}`,
            );
        }
        const whole = await server.get(`/runs/${id}`);
        for (const field of fields) assert.equal(rawMember(whole.text, field), want[field], field);
        assert.equal(JSON.parse(rawMember(whole.text, 'id')), id);
        const batch = await server.post('/runs/batch', [id]);
        assert.deepEqual(rawElements(rawMember(batch.text, 'runs')), [whole.text]);
        const trace = JSON.parse(rawMember(whole.text, 'trace_id'));
        const search = await server.get(`/runs/search?trace_id=${trace}`);
        assert.deepEqual(rawElements(rawMember(search.text, 'runs')), [whole.text]);
        return id;
    };

    for (const [what, text] of Object.entries(cases))
        it(what, async () => {
            const want = { inputs: text, outputs: text, metadata: text };
            await same(rawRun({ trace_id: `"${uuid()}"`, name: '"bytes"', ...want }), want);
        });

    it('white space around a field is not part of it', async () => {
        const want = { inputs: '{"a" :1}', outputs: '{ }', metadata: '{"b":[ ]}' };
        const made = `{ "name" : "w" ,\n"inputs"\t:\r\n ${want.inputs}  , "outputs":${want.outputs}\n,"metadata" :${
            want.metadata
        } , "trace_id":"${uuid()}" }`;
        await same(made, want);
    });

    it('the order in which the fields came does not matter', async () => {
        const want = { inputs: '{"i":1}', outputs: '{"o":2}', metadata: '{"m":3}' };
        const trace = () => `"${uuid()}"`;
        const orders = [
            ['metadata', 'outputs', 'inputs', 'name', 'trace_id'],
            ['outputs', 'trace_id', 'metadata', 'name', 'inputs'],
            ['trace_id', 'inputs', 'name', 'outputs', 'metadata'],
        ];
        for (const order of orders) {
            const all = { ...want, name: '"o"', trace_id: trace() };
            await same(rawRun(Object.fromEntries(order.map((field) => [field, all[field]]))), want);
        }
    });

    it('a field name spelled in escapes is that field', async () => {
        const made = `{"trace\\u005fid":"${uuid()}","n\\u0061me":"e","\\u0069nputs":{"a":1}}`;
        await same(made, { inputs: '{"a":1}', outputs: '{}', metadata: '{}' });
    });

    it('names come back as the same text', async () => {
        const names = [
            '"plain"',
            '"\\u0000"',
            '"a\\u0000b"',
            '"\\ud800"',
            '"x\\udfffy"',
            '"é"',
            '"\\u00e9"',
            '"\\"\\\\"',
            '"😀"',
            '"\\ud83d\\ude00"',
            '"\u2028"',
            '"  "',
            '"%_\'\\";--"',
            `"${'n'.repeat(8192)}"`,
        ];
        const ids = await server.store(
            `[${names.map((name) => rawRun({ trace_id: `"${uuid()}"`, name })).join()}]`,
        );
        for (let i = 0; i < ids.length; i++) {
            const got = await server.get(`/runs/${ids[i]}`);
            assert.equal(
                JSON.parse(rawMember(got.text, 'name')),
                JSON.parse(names[i]),
                names[i].slice(0, 50),
            );
        }
    });

    it('the small kept fields come back byte for byte too', async () => {
        const want = {
            extra: '{"runtime": {"n":1e2},"metadata":{"x" :1.0}}',
            tags: '["a", "\\u0062"]',
            events: '[{"t":12345678901234567890}]',
            serialized: '{"lc" :1}',
        };
        const [id] = await server.store(
            `[${rawRun({ trace_id: `"${uuid()}"`, name: '"k"', ...want })}]`,
        );
        const got = await server.get(`/runs/${id}`);
        for (const [field, text] of Object.entries(want))
            assert.equal(rawMember(got.text, field), text);
    });

    it('three fields of ten megabytes', async () => {
        const random = dice(10);
        const alphabet = Array.from({ length: 4096 }, () => random.below(36).toString(36)).join('');
        const big = (n) => {
            let text = '';
            while (text.length < n) text += alphabet.slice(random.below(4000)) + '\\u00e9é';
            return `{"a":"${text}"}`;
        };
        const want = {
            inputs: big(10_000_000),
            outputs: big(10_000_001),
            metadata: big(10_000_002),
        };
        const id = await same(rawRun({ trace_id: `"${uuid()}"`, name: '"big"', ...want }), want);
        const part = await server.get(`/runs/${id}/outputs`, { range: 'bytes=9999000-9999999' });
        assert.equal(part.status, 206);
        assert.ok(part.body.equals(Buffer.from(want.outputs).subarray(9999000, 10000000)));
    });

    it('four hundred random values in one batch', async () => {
        const random = dice(20261123);
        const space = () => (random.chance(0.3) ? random.one([' ', '\n', '\t', '  ', '\r\n']) : '');
        const character = () =>
            random.one([
                'a',
                'Z',
                '0',
                'é',
                '漢',
                '😀',
                '\\n',
                '\\"',
                '\\\\',
                '\\/',
                '\\u0000',
                '\\ud83d',
                '\\uDE00',
                ' ',
                '{',
                ']',
                ',',
            ]);
        const string = () => `"${Array.from({ length: random.below(20) }, character).join('')}"`;
        const number = () =>
            random.one(['', '-']) +
            random.one(['0', String(1 + random.below(1e9)), '12345678901234567890123']) +
            random.one(['', '.0', '.50', '.000000000000000000001']) +
            random.one(['', 'e5', 'E-05', 'e+400']);
        const value = (depth) => {
            switch (random.below(depth > 6 ? 4 : 6)) {
                case 0:
                    return string();
                case 1:
                    return number();
                case 2:
                    return random.one(['true', 'false', 'null']);
                case 3:
                    return random.one(['{}', '[]', '""', '0']);
                case 4:
                    return `[${Array.from({ length: random.below(5) }, () => space() + value(depth + 1) + space()).join()}]`;
                default:
                    return object(depth + 1);
            }
        };
        const object = (depth) =>
            `{${space()}${Array.from(
                { length: random.below(5) },
                () => `${space()}${string()}${space()}:${space()}${value(depth)}${space()}`,
            ).join()}}`;
        const sent = Array.from({ length: 400 }, () => ({
            inputs: object(0),
            outputs: object(0),
            metadata: object(0),
        }));
        const ids = await server.store(
            `[${sent
                .map((want) => rawRun({ trace_id: `"${uuid()}"`, name: '"r"', ...want }))
                .join(`,${space()}`)}]`,
        );
        const answer = await server.post('/runs/batch', ids);
        const runs = rawElements(rawMember(answer.text, 'runs'));
        assert.equal(runs.length, 400);
        runs.forEach((text, i) => {
            assert.equal(JSON.parse(rawMember(text, 'id')), ids[i]);
            for (const field of fields)
                assert.equal(rawMember(text, field), sent[i][field], `${i} ${field}`);
        });
        for (let i = 0; i < 400; i += 23)
            for (const field of fields)
                assert.equal((await server.get(`/runs/${ids[i]}/${field}`)).text, sent[i][field]);
    });

    it('a body that comes byte by byte is the same body', async () => {
        const id = uuid();
        const want = {
            inputs: '{"a":"\\u00e9é😀","b":1e2}',
            outputs: '{"\\ud800":[1,2 ,3]}',
            metadata: '{ }',
        };
        const body = Buffer.from(
            `[${rawRun({ id: `"${id}"`, trace_id: `"${uuid()}"`, name: '"slow"', ...want })}]`,
        );
        const wire = await Wire.open(server);
        const text = head(server, 'POST', '/runs', { 'Content-Length': body.length });
        for (const byte of Buffer.concat([Buffer.from(text), body])) {
            wire.send(Buffer.from([byte]));
            await new Promise(setImmediate);
        }
        const answer = await wire.answer();
        assert.equal(answer.status, 201, answer.text);
        wire.close();
        for (const field of fields)
            assert.equal((await server.get(`/runs/${id}/${field}`)).text, want[field]);
    });

    it('a body cut into chunks of one byte is the same body', async () => {
        const id = uuid();
        const inputs = '{"a":"\\u00e9é😀","b":1e2}';
        const body = Buffer.from(
            `[${rawRun({ id: `"${id}"`, trace_id: `"${uuid()}"`, name: '"chunks"', inputs })}]`,
        );
        const wire = await Wire.open(server);
        wire.send(head(server, 'POST', '/runs', { 'Transfer-Encoding': 'chunked' }));
        for (const byte of body)
            wire.send(
                Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]),
            );
        wire.send('0\r\n\r\n');
        assert.equal((await wire.answer()).status, 201);
        wire.close();
        assert.equal((await server.get(`/runs/${id}/inputs`)).text, inputs);
    });

    it('everything is as it was after a restart', async () => {
        const made = Object.values(cases).map((text) => ({ id: uuid(), text }));
        await server.store(
            `[${made
                .map(({ id, text }) =>
                    rawRun({
                        id: `"${id}"`,
                        trace_id: `"${uuid()}"`,
                        name: '"again"',
                        inputs: text,
                    }),
                )
                .join()}]`,
        );
        await server.restart();
        for (const { id, text } of made)
            assert.equal((await server.get(`/runs/${id}/inputs`)).text, text);
    });
});
