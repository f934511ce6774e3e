// search.mjs - GET /runs/search: by trace, by a piece of the name, by both.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertFault, dice, rawElements, rawMember, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const at = (i) => new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();

describe('GET /runs/search', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const search = (query) => {
        const text = new URLSearchParams(query).toString();
        return server.get(`/runs/search?${text}`);
    };
    const names = async (name, more = {}) => {
        const answer = await search({ name, limit: 1000, ...more });
        assert.equal(answer.status, 200, answer.text);
        return answer.json.runs.map((r) => r.name).sort();
    };
    // All pages, by the cursors.
    const pages = async (query, between = async () => {}) => {
        const found = [];
        let cursor = null;
        for (let i = 0; i < 1000; i++) {
            const answer = await search(cursor === null ? query : { ...query, cursor });
            assert.equal(answer.status, 200, answer.text);
            found.push(...answer.json.runs);
            cursor = answer.json.next_cursor;
            if (cursor === null) return found;
            assert.equal(typeof cursor, 'string');
            assert.ok(answer.json.count > 0, 'a page with a next one is not empty');
            await between(i);
        }
        assert.fail('the pages have no end');
    };

    describe('the answer', () => {
        it('has the runs as GET gives them, the count and the cursor', async () => {
            const trace_id = uuid();
            const ids = await server.store(
                [0, 1, 2].map((i) => run({ trace_id, start_time: at(i) })),
            );
            const runs = [];
            for (const id of [...ids].reverse()) runs.push((await server.get(`/runs/${id}`)).text);
            const answer = await search({ trace_id });
            assert.equal(answer.status, 200);
            assert.equal(answer.headers['content-type'], 'application/json');
            assert.equal(answer.text, `{"runs":[${runs.join()}],"count":3,"next_cursor":null}`);
        });
        it('of nothing found is empty', async () => {
            const want = '{"runs":[],"count":0,"next_cursor":null}';
            assert.equal((await search({ trace_id: uuid() })).text, want);
            assert.equal((await search({ name: `nobody ${uuid()}` })).text, want);
            assert.equal((await search({ name: '☃☃' })).text, want);
        });
        it('is newest first: start_time, then id, descending', async () => {
            const trace_id = uuid();
            const random = dice(5);
            const runs = Array.from({ length: 300 }, () =>
                run({ id: uuid(), trace_id, start_time: at(random.below(40)) }),
            );
            await server.store(runs);
            const want = [...runs]
                .sort((a, b) =>
                    a.start_time === b.start_time
                        ? a.id < b.id
                            ? 1
                            : -1
                        : a.start_time < b.start_time
                          ? 1
                          : -1,
                )
                .map((r) => r.id);
            const once = (await search({ trace_id, limit: 1000 })).json.runs.map((r) => r.id);
            assert.deepEqual(once, want);
            assert.deepEqual(
                (await pages({ trace_id, limit: 7 })).map((r) => r.id),
                want,
            );
            assert.deepEqual(
                (await pages({ trace_id, limit: 1 })).slice(0, 300).map((r) => r.id),
                want,
            );
        });
    });

    describe('filters', () => {
        it('trace_id alone: that trace and no other', async () => {
            const [a, b] = [uuid(), uuid()];
            await server.store([
                run({ trace_id: a, name: 'x' }),
                run({ trace_id: b, name: 'x' }),
                run({ trace_id: a, name: 'y' }),
            ]);
            assert.equal((await search({ trace_id: a })).json.count, 2);
            assert.equal((await search({ trace_id: b })).json.count, 1);
        });
        it('name alone: over all traces', async () => {
            const word = uuid().slice(0, 13);
            await server.store([
                run({ name: `${word} one` }),
                run({ name: `two ${word}` }),
                run({ name: word }),
                run({ name: 'other' }),
            ]);
            assert.deepEqual(await names(word), [word, `${word} one`, `two ${word}`].sort());
        });
        it('both are AND-ed', async () => {
            const word = uuid();
            const [a, b] = [uuid(), uuid()];
            await server.store([
                run({ trace_id: a, name: `${word} a` }),
                run({ trace_id: b, name: `${word} b` }),
                run({ trace_id: a, name: 'neither' }),
            ]);
            assert.deepEqual(await names(word, { trace_id: a }), [`${word} a`]);
            assert.deepEqual(await names('neither', { trace_id: b }), []);
        });
        it('neither: 400 with the sentence', async () => {
            for (const query of ['', '?', '?limit=5', '?colour=blue']) {
                const answer = await server.get(`/runs/search${query}`);
                assert.equal(answer.status, 400, query);
                assert.equal(
                    answer.text,
                    '{"detail":"At least one search parameter (trace_id or name) must be provided"}',
                );
            }
        });
        it('a trace_id that is no uuid: 422', async () => {
            for (const bad of ['abc', '%', '1'])
                assertFault(await search({ trace_id: bad }), 'uuid_parsing', ['query', 'trace_id']);
        });
    });

    describe('name is a substring, in any case', () => {
        const store = (...list) => server.store(list.map((name) => run({ name })));

        it('at the start, in the middle, at the end, whole; of one letter too', async () => {
            const word = uuid();
            const name = `Begin ${word} End`;
            await store(name);
            for (const piece of [
                name,
                name.slice(0, 9),
                name.slice(3, 40),
                name.slice(-12),
                word.slice(2, 5),
            ])
                assert.ok((await names(piece)).includes(name), piece);
            const trace_id = uuid();
            await server.store([
                run({ trace_id, name: 'q' }),
                run({ trace_id, name: 'ab' }),
                run({ trace_id, name: 'xaby' }),
            ]);
            assert.deepEqual(await names('q', { trace_id }), ['q']);
            assert.deepEqual(await names('a', { trace_id }), ['ab', 'xaby']);
            assert.deepEqual(await names('ab', { trace_id }), ['ab', 'xaby']);
            assert.deepEqual(await names('ba', { trace_id }), []);
        });
        it('upper and lower case are the same', async () => {
            const word = `Agent-${uuid()}`;
            await store(word);
            for (const piece of [word, word.toUpperCase(), word.toLowerCase()])
                assert.deepEqual(await names(piece), [word]);
        });

        const folding = [
            ['ÀÉÎÕÜ', 'àéîõü', true],
            ['ПРИВЕТ', 'привет', true],
            ['ΟΔΟΣ', 'οδος', true],
            ['οδός', 'ΟΔΌΣ', true], // final sigma
            ['ΑΣ', 'ας', true],
            ['ẞ', 'ß', true], // simple folding has this one
            ['STRASSE', 'straße', false], // and not this one
            ['ﬁ', 'fi', false], // a ligature is not two letters
            ['K', 'k', true], // the Kelvin sign
            ['Å', 'å', true], // the Angstrom sign
            ['ſ', 's', true], // long s
            ['ƵƱ', 'ƶʊ', true],
            ['Ⴀ', 'ⴀ', true],
            ['Ꭰ', 'ꭰ', true],
            ['𐐀', '𐐨', true], // beyond the first plane
            ['Ａ', 'ａ', true], // fullwidth
            ['É', 'E\u0301', false], // composed and decomposed differ
            ['é', 'e', false], // an accent matters
            ['漢字', '漢字', true],
            ['😀', '😀', true],
            ['İ', 'i', false], // has no simple folding
        ];
        for (const [stored, asked, equal] of folding)
            it(`${JSON.stringify(stored)} is ${equal ? '' : 'not '}found by ${JSON.stringify(asked)}`, async () => {
                const trace_id = uuid();
                const word = String(parseInt(uuid().slice(0, 8), 16));
                await server.store([run({ trace_id, name: `${word}${stored}99` })]);
                for (const piece of [asked, `${word}${asked}99`, `${asked}9`]) {
                    const found = (await search({ trace_id, name: piece })).json.count;
                    assert.equal(found, equal ? 1 : 0, piece);
                    if (piece !== asked)
                        assert.equal(
                            (await search({ name: piece })).json.runs.filter(
                                (r) => r.trace_id === trace_id,
                            ).length,
                            equal ? 1 : 0,
                        );
                }
            });

        it('% and _ and backslash are ordinary characters', async () => {
            const trace_id = uuid();
            const list = [
                '100%',
                '100x',
                '50% off',
                'a_b',
                'axb',
                'back\\slash',
                'backslash',
                '%',
                '_',
                '\\%',
                'plain',
            ];
            await server.store(list.map((name) => run({ trace_id, name })));
            const want = (piece) => list.filter((name) => name.includes(piece)).sort();
            for (const piece of [
                '%',
                '_',
                '\\',
                '0%',
                'a_b',
                '100%',
                '%%',
                '__',
                '\\%',
                'k\\s',
                '% o',
                'a%b',
                'p%n',
                'p_ain',
            ])
                assert.deepEqual(await names(piece, { trace_id }), want(piece), piece);
            for (const piece of ['100%', 'a_b', '% off'])
                for (const name of await names(piece))
                    assert.ok(name.toLowerCase().includes(piece), name);
        });
        it('quotes, operators and other words of a query language are ordinary too', async () => {
            const trace_id = uuid();
            const list = [
                '"quoted"',
                "it's",
                'a AND b',
                'NEAR(a b)',
                'x*',
                '^x',
                'name:x',
                '-x',
                '(x)',
                "'; drop table runs; --",
                'a OR b',
                'NOT b',
                '{x}',
                '[x]',
                'x+y',
                'a.b',
                'a,b',
                ';',
                '""',
                "''",
                '\t',
                ' ',
            ];
            await server.store(list.map((name) => run({ trace_id, name })));
            for (const piece of list)
                assert.deepEqual(
                    await names(piece, { trace_id }),
                    list.filter((name) => name.toLowerCase().includes(piece.toLowerCase())).sort(),
                    piece,
                );
            for (const piece of list)
                assert.equal((await search({ name: piece })).status, 200, piece);
        });
        it('a plus in the query is a space, %2B a plus; UTF-8 in percents', async () => {
            const trace_id = uuid();
            await server.store([
                run({ trace_id, name: 'one two' }),
                run({ trace_id, name: 'one+two' }),
                run({ trace_id, name: 'naïve' }),
            ]);
            const count = async (raw) =>
                (await server.get(`/runs/search?trace_id=${trace_id}&name=${raw}`)).json.count;
            assert.equal(await count('one+two'), 1);
            assert.equal(await count('one%20two'), 1);
            assert.equal(await count('one%2Btwo'), 1);
            assert.equal(await count('NA%C3%8FVE'), 1);
        });
        it('the end of a name of 8 KiB is found', async () => {
            const word = uuid();
            const name = 'x'.repeat(8192 - word.length) + word;
            const [id] = await store(name);
            const found = await search({ name: word });
            assert.deepEqual(
                found.json.runs.map((r) => r.id),
                [id],
            );
        });
        it('agrees with a plain search, for random names', async () => {
            const random = dice(77);
            const trace_id = uuid();
            const letters = ['a', 'b', 'A', 'é', 'É', '%', '_', ' ', '漢', '😀', '"'];
            const word = (n) => Array.from({ length: n }, () => random.one(letters)).join('');
            const list = Array.from({ length: 400 }, () => word(random.below(9)));
            await server.store(list.map((name) => run({ trace_id, name })));
            for (let i = 0; i < 120; i++) {
                const piece = word(1 + random.below(4));
                const want = list
                    .filter((name) => name.toLowerCase().includes(piece.toLowerCase()))
                    .sort();
                assert.deepEqual(await names(piece, { trace_id }), want, piece);
            }
        });
    });

    describe('limit', () => {
        let trace_id;
        before(async () => {
            trace_id = uuid();
            await server.store(Array.from({ length: 1100 }, () => run({ trace_id })));
        });
        it('is 50 where none is given', async () => {
            const answer = await search({ trace_id });
            assert.equal(answer.json.count, 50);
            assert.equal(answer.json.runs.length, 50);
            assert.notEqual(answer.json.next_cursor, null);
        });
        it('is honoured from 1 to 1000', async () => {
            for (const limit of [1, 2, 49, 51, 999, 1000])
                assert.equal((await search({ trace_id, limit })).json.count, limit);
        });
        it('a page that is just full has no next one', async () => {
            const other = uuid();
            await server.store(Array.from({ length: 6 }, () => run({ trace_id: other })));
            assert.equal((await search({ trace_id: other, limit: 6 })).json.next_cursor, null);
            assert.notEqual((await search({ trace_id: other, limit: 5 })).json.next_cursor, null);
        });
        for (const limit of [
            '0',
            '-1',
            '1001',
            '-9223372036854775808',
            '99999999999999999999',
            'abc',
            '1.5',
            '',
            '0x10',
            '1e2',
            ' 5',
            '5 ',
            '+5',
            'NaN',
            'null',
        ])
            it(`"${limit}" is 422`, async () => {
                const answer = await server.get(
                    `/runs/search?trace_id=${trace_id}&limit=${encodeURIComponent(limit)}`,
                );
                assert.equal(answer.status, 422, answer.text);
                assert.deepEqual(answer.json.detail[0].loc, ['query', 'limit']);
            });
        it('all pages together are all runs', async () => {
            const found = await pages({ trace_id, limit: 137 });
            assert.equal(new Set(found.map((r) => r.id)).size, 1100);
            assert.equal(found.length, 1100);
        });
    });

    describe('cursors', () => {
        it('are stable under inserts: what was there at the start comes once, in order', async () => {
            const trace_id = uuid();
            const word = uuid();
            const name = `cursor ${word}`;
            const make = (i) => run({ id: uuid(), trace_id, name, start_time: at(i) });
            const first = Array.from({ length: 60 }, (_, i) => make(1000 + i));
            await server.store(first);
            const old = new Set(first.map((r) => r.id));
            for (const query of [{ trace_id }, { name: word }, { trace_id, name: word }]) {
                const found = await pages({ ...query, limit: 7 }, async (i) => {
                    await server.store([make(2000 + i), make(i), make(1030), make(1000 + i * 7)]);
                });
                const got = found.map((r) => r.id).filter((id) => old.has(id));
                assert.deepEqual(got, first.map((r) => r.id).reverse());
                assert.equal(
                    new Set(found.map((r) => r.id)).size,
                    found.length,
                    'no run comes twice',
                );
            }
        });
        it('survive a restart', async () => {
            const trace_id = uuid();
            const ids = await server.store(Array.from({ length: 20 }, () => run({ trace_id })));
            const one = (await search({ trace_id, limit: 8 })).json;
            await server.restart();
            const two = (await search({ trace_id, limit: 100, cursor: one.next_cursor })).json;
            assert.deepEqual(
                [...one.runs, ...two.runs].map((r) => r.id),
                [...ids].reverse(),
            );
        });
        it('that are none are refused with 4xx', async () => {
            for (const cursor of [
                'x',
                '0',
                'AAAA',
                '%',
                'ÿ',
                '../../etc/passwd',
                'a'.repeat(2000),
            ]) {
                const answer = await search({ trace_id: uuid(), cursor });
                assert.ok([400, 422].includes(answer.status), `${cursor}: ${answer.status}`);
            }
        });
        it('flipped at every character never break the server', async () => {
            const trace_id = uuid();
            await server.store(Array.from({ length: 5 }, () => run({ trace_id })));
            const { next_cursor } = (await search({ trace_id, limit: 2 })).json;
            for (let i = 0; i < next_cursor.length; i++) {
                const bent =
                    next_cursor.slice(0, i) +
                    (next_cursor[i] === 'A' ? 'B' : 'A') +
                    next_cursor.slice(i + 1);
                const answer = await search({ trace_id, limit: 2, cursor: bent });
                assert.ok(
                    [200, 400, 422].includes(answer.status),
                    `${answer.status} ${answer.text}`,
                );
            }
        });
    });

    it('a page stops at 64 MiB and goes on with the cursor', async () => {
        const trace_id = uuid();
        const ids = [];
        for (let i = 0; i < 8; i++)
            ids.push(
                ...(await server.store([
                    run({
                        trace_id,
                        start_time: at(i),
                        inputs: { text: String(i).repeat(10_000_000) },
                    }),
                ])),
            );
        const got = [];
        let cursor = '';
        let count = 0;
        for (; count < 8; count++) {
            const answer = await server.get(`/runs/search?trace_id=${trace_id}&limit=50${cursor}`);
            assert.equal(answer.status, 200);
            assert.ok(answer.body.length < (64 << 20) + 10_100_000, `${answer.body.length} bytes`);
            const text = answer.text;
            for (const one of rawElements(rawMember(text, 'runs'))) {
                got.push(JSON.parse(rawMember(one, 'id')));
                const i = ids.indexOf(got.at(-1));
                assert.equal(
                    rawMember(one, 'inputs'),
                    `{"text":"${String(i).repeat(10_000_000)}"}`,
                );
            }
            const next = JSON.parse(rawMember(text, 'next_cursor'));
            if (next === null) break;
            cursor = `&cursor=${encodeURIComponent(next)}`;
        }
        assert.ok(count >= 1, 'it took more than one page');
        assert.deepEqual(got, [...ids].reverse());
    });

    it('a search never misses a run that was acknowledged before it', async () => {
        const trace_id = uuid();
        const word = uuid();
        for (let i = 1; i <= 60; i++) {
            await server.store([run({ trace_id, name: `fresh ${word} ${i}` })]);
            const [byTrace, byName] = await Promise.all([
                search({ trace_id, limit: 100 }),
                search({ name: word, limit: 100 }),
            ]);
            assert.equal(byTrace.json.count, i);
            assert.equal(byName.json.count, i);
        }
    });
});
