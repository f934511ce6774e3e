// query.mjs - POST /runs/query: all that can be asked, pages, and what is read for it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask as send, assertFault, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const at = (i) => new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString();

describe('POST /runs/query', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const plain = (method, path) => send(server, method, path);
    const ask = (body) =>
        server.post('/runs/query', typeof body === 'string' ? body : JSON.stringify(body));
    const runs = async (body) => {
        const answer = await ask(body);
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.json.parsed_query, null);
        assert.equal(answer.json.cursors.prev, null);
        return answer.json.runs;
    };
    const names = async (body) => (await runs(body)).map((r) => r.name);
    const reads = async () =>
        Number(/\nrundlet_store_reads_total (\d+)/.exec((await server.get('/metrics')).text)[1]);
    // Runs of a project of their own, a second apart; returns the id of the project.
    const project = async (list) => {
        const session_name = `project ${uuid()}`;
        const ids = await server.store(
            list.map((r, i) => run({ session_name, start_time: at(i), ...r })),
        );
        const one = await server.get(`/runs/${ids[0]}`);
        assert.equal(one.json.session_name, session_name);
        return { session: [one.json.session_id], ids };
    };

    describe('which runs', () => {
        it('those of a project, newest first, or oldest first', async () => {
            const { session } = await project([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
            assert.deepEqual(await names({ session }), ['c', 'b', 'a']);
            assert.deepEqual(await names({ session, order: 'asc' }), ['a', 'b', 'c']);
            assert.deepEqual(await names({ session: session[0] }), ['c', 'b', 'a']);
            assert.deepEqual(await names({ session: [uuid()] }), []);
        });
        it('by id, whatever else is asked', async () => {
            const { ids } = await project([{ name: 'a' }, { name: 'b' }]);
            assert.deepEqual(await names({ id: ids }), ['b', 'a']);
            assert.deepEqual(
                await names({ id: [ids[0]], run_type: 'llm', session: [uuid()] }),
                ['a'],
            );
            assert.deepEqual(await names({ id: [ids[0].replaceAll('-', '')] }), ['a']);
        });
        it('by trace, parent, type, error, root and times', async () => {
            const root = uuid();
            const trace_id = root;
            const { session } = await project([
                { name: 'root', id: root, trace_id },
                { name: 'llm', trace_id, parent_run_id: root, run_type: 'llm' },
                { name: 'bad', trace_id, parent_run_id: root, error: 'no' },
                { name: 'other' },
            ]);
            assert.deepEqual(await names({ trace: trace_id }), ['bad', 'llm', 'root']);
            assert.deepEqual(await names({ parent_run: root }), ['bad', 'llm']);
            assert.deepEqual(await names({ session, run_type: 'llm' }), ['llm']);
            assert.deepEqual(await names({ session, error: true }), ['bad']);
            assert.deepEqual(await names({ session, error: false }), ['other', 'llm', 'root']);
            assert.deepEqual(await names({ session, is_root: true }), ['other', 'root']);
            assert.deepEqual(await names({ session, is_root: false }), ['bad', 'llm']);
            assert.deepEqual(await names({ session, execution_order: 1 }), ['other', 'root']);
            assert.deepEqual(await names({ session, start_time: at(2) }), ['other', 'bad']);
            assert.deepEqual(await names({ session, end_time: at(1) }), ['llm', 'root']);
            assert.deepEqual(await names({ session, end_time: Date.UTC(2026, 0, 1) }), ['root']);
        });
        it('nulls are as if they were not there, unknown members nobody’s concern', async () => {
            const { session } = await project([{ name: 'a' }]);
            const body = { session, id: null, run_type: null, start_time: null, error: null };
            assert.deepEqual(await names({ ...body, session_id: 'x', skip_pagination: 1 }), ['a']);
        });
        it('of an experiment, by the example', async () => {
            const reference_example_id = uuid();
            await project([{ name: 'a', reference_example_id }, { name: 'b' }]);
            assert.deepEqual(await names({ reference_example: [reference_example_id] }), ['a']);
        });
    });

    describe('filters', () => {
        it('of the run, of the top of its trace, of any of its trace', async () => {
            const root = uuid();
            const trace_id = root;
            const { session } = await project([
                { name: 'root', id: root, trace_id, tags: ['t'] },
                { name: 'child', trace_id, parent_run_id: root, error: 'no' },
                { name: 'alone' },
            ]);
            const by = (more) => names({ session, ...more });
            assert.deepEqual(await by({ filter: 'eq(name, "child")' }), ['child']);
            assert.deepEqual(await by({ trace_filter: 'has(tags, "t")' }), ['child', 'root']);
            assert.deepEqual(await by({ tree_filter: 'neq(error, null)' }), ['child', 'root']);
            assert.deepEqual(
                await by({ filter: 'eq(is_root, true)', tree_filter: 'neq(error, null)' }),
                ['root'],
            );
        });
        it('search in what is known without reading, and say so', async () => {
            const { session } = await project([
                { name: 'needle', inputs: { q: 'hay' } },
                { name: 'x', inputs: { q: 'a NEEDLE here' } },
                { name: 'y', inputs: { q: 'straw' } },
            ]);
            const found = await ask({ session, filter: 'search("needle")' });
            assert.deepEqual(found.json.runs.map((r) => r.name), ['x', 'needle']);
            assert.match(found.json.search, /previews/);
            assert.deepEqual(await names({ session, query: 'straw' }), ['y']);
            assert.deepEqual(
                await names({ session, query: 'needle', filter: 'eq(name, "x")' }),
                ['x'],
            );
            assert.equal((await ask({ session })).json.search, undefined);
        });
        it('match regular expressions, in what a search looks at', async () => {
            const { session } = await project([
                { name: 'needle 12', inputs: { q: 'hay' } },
                { name: 'x', inputs: { q: 'a NEEDLE here' } },
                { name: 'y', error: 'Ärger at line 7\nand more' },
            ]);
            const found = await ask({ session, filter: 'matches("need.e( \\\\d+$)?")' });
            assert.deepEqual(found.json.runs.map((r) => r.name), ['x', 'needle 12']);
            assert.match(found.json.search, /previews/);
            const by = (filter) => names({ session, filter });
            assert.deepEqual(await by('matches(name, "^[a-z]+ \\\\d\\\\d$")'), ['needle 12']);
            assert.deepEqual(await by('matches(error, "^ärger.*\\\\d$")'), []);
            assert.deepEqual(await by('matches(error, "(?m)^ÄRGER.*\\\\d$")'), ['y']);
            assert.deepEqual(await by('and(not(matches("(?-i)NEEDLE")), matches("e$"))'), ['y']);
            const wrong = await ask({ session, filter: 'and(eq(name, "é"), matches("a(b"))' });
            assert.equal(wrong.status, 400);
            assert.match(wrong.json.detail, /^filter, column 28: .* wrong at its character 4: /);
            const long = await ask({ session, filter: `matches("${'a'.repeat(65000)}")` });
            assert.equal(long.status, 400);
            assert.match(long.json.detail, /at most 1000 bytes/);
        });
        it('end with a 400 when a regular expression takes too much', async () => {
            const { session } = await project([
                { name: 'first', error: `${'a'.repeat(4000)}!` },
                { name: 'second', error: 'aaa' },
            ]);
            const filter = 'matches(error, "^(a+)+$")';
            for (const more of [{ filter }, { filter: `not(${filter})` }, { tree_filter: filter }]) {
                const answer = await ask({ session, ...more });
                assert.equal(answer.status, 400, answer.text);
                assert.match(answer.json.detail, /"\^\(a\+\)\+\$" takes too much/);
            }
            const stats = await server.post('/runs/stats', JSON.stringify({ session, filter }));
            assert.equal(stats.status, 400, stats.text);
            assert.match(stats.json.detail, /takes too much/);
            // Where it is not looked for, it takes nothing.
            assert.deepEqual(
                await names({ session, filter: `and(eq(name, "second"), ${filter})` }),
                ['second'],
            );
        });
        it('that are none are 400 with what is wrong', async () => {
            for (const name of ['filter', 'trace_filter', 'tree_filter']) {
                const answer = await ask({ session: [uuid()], [name]: 'eq(foo, 1)' });
                assert.equal(answer.status, 400);
                assert.match(answer.json.detail, /no attribute "foo"/);
            }
        });
    });

    describe('select', () => {
        it('names fields, and those that no client can do without come too', async () => {
            const { session } = await project([{ name: 'a', inputs: { x: 1 } }]);
            const always = [
                ...['id', 'trace_id', 'name', 'run_type', 'status', 'start_time'],
                ...['dotted_order', 'session_id', 'app_path'],
            ];
            const keys = async (select) => Object.keys((await runs({ session, select }))[0]).sort();
            assert.deepEqual(await keys(['id']), [...always].sort());
            for (const elsewhere of ['messages', 'price_model_id', 'inputs_s3_urls'])
                assert.deepEqual(await keys([elsewhere]), [...always].sort());
            assert.deepEqual(await keys(['inputs']), [...always, 'inputs', 's3_urls'].sort());
            assert.deepEqual(
                await keys(['prompt_tokens']),
                [...always, 'prompt_tokens', 'prompt_token_details'].sort(),
            );
        });
        it('of a field that nobody knows is of another version of the API: it is not there', async () => {
            const { session } = await project([{ name: 'a' }]);
            const [shown] = await runs({ session, select: ['name', 'nobody_knows_it'] });
            assert.equal(shown.name, 'a');
            assert.ok(!('nobody_knows_it' in shown));
        });
        it('is everything where there is none, as GET gives it', async () => {
            const { session, ids } = await project([{ name: 'a', inputs: { x: 1.50 } }]);
            const answer = await ask({ session });
            const one = await server.get(`/runs/${ids[0]}`);
            assert.ok(answer.text.startsWith(`{"runs":[${one.text}],"cursors"`));
        });
        it('of rows and facts reads nothing', async () => {
            const usage_metadata = {
                input_tokens: 3,
                output_tokens: 4,
                total_cost: 0.1,
                input_token_details: { cache_read: 2 },
            };
            const { session } = await project([
                { name: 'né "x"', error: 'boom', extra: { metadata: { thread_id: 'T' } } },
                { name: 'b', run_type: 'llm', outputs: { usage_metadata } },
            ]);
            const before_ = await reads();
            const select = ['error', 'total_tokens', 'total_cost', 'thread_id', 'parent_run_ids'];
            const [b, a] = await runs({ session, select });
            assert.equal(a.name, 'né "x"');
            assert.equal(a.error, 'boom');
            assert.equal(a.thread_id, 'T');
            assert.equal(b.total_tokens, 7);
            assert.equal(b.total_cost, '0.1');
            assert.deepEqual(b.prompt_token_details, { cache_read: 2 });
            assert.equal(await reads(), before_);
            await runs({ session, select: ['outputs'] });
            assert.equal(await reads(), before_ + 1);
        });
        it('of a name too long for facts is still the name', async () => {
            const name = 'n'.repeat(6000);
            const { session } = await project([{ name }]);
            assert.deepEqual(await names({ session, select: ['id'] }), [name]);
        });
    });

    describe('what was said of runs', () => {
        it('comes with them: counted, and by which token they are shared', async () => {
            const { session, ids } = await project([{ name: 'a' }, { name: 'b' }]);
            const [a, b] = ids;
            await server.get(`/runs/${a}`); // it is kept, and is another one then
            for (const [score, comment] of [
                [1, 'good'],
                [0.5, null],
            ]) {
                const body = { run_id: a, key: 'k', score, comment };
                assert.equal((await server.post('/feedback', JSON.stringify(body))).status, 200);
            }
            const label = { run_id: b, key: 'label', value: 'up' };
            assert.equal((await server.post('/feedback', JSON.stringify(label))).status, 200);
            const shared = await plain('PUT', `/runs/${b}/share`);
            const { share_token } = shared.json;

            const [ofB, ofA] = await runs({
                ...{ session, select: ['feedback_stats', 'share_token'] },
            });
            assert.equal(ofA.feedback_stats.k.n, 2);
            assert.equal(ofA.feedback_stats.k.avg, 0.75);
            assert.deepEqual(ofA.feedback_stats.k.comments, ['good']);
            assert.equal(ofA.share_token, null);
            assert.deepEqual(ofB.feedback_stats.label.values, { up: 1 });
            assert.equal(ofB.share_token, share_token);
            for (const [id, want] of [
                [a, ofA],
                [b, ofB],
            ]) {
                const one = (await server.get(`/runs/${id}`)).json;
                assert.deepEqual(one.feedback_stats, want.feedback_stats);
                assert.equal(one.share_token, want.share_token);
            }
            const body = JSON.stringify({ session });
            const all = (await server.post('/runs/stats', body)).json.feedback_stats;
            assert.deepEqual(Object.keys(all).sort(), ['k', 'label']);
            assert.equal(all.k.n, 2);
            assert.deepEqual(await names({ session, filter: 'eq(feedback_key, "k")' }), ['a']);
        });
        it('also what came before the run, and not what was taken back', async () => {
            const id = uuid();
            const said = JSON.stringify({ run_id: id, key: 'early', score: 1 });
            const feedback = await server.post('/feedback', said);
            assert.equal(feedback.status, 200);
            await server.store([run({ id })]);
            assert.equal((await server.get(`/runs/${id}`)).json.feedback_stats.early.n, 1);
            await plain('DELETE', `/feedback/${feedback.json.id}`);
            assert.equal((await server.get(`/runs/${id}`)).json.feedback_stats, null);
        });
    });

    describe('pages', () => {
        const all = async (body) => {
            const found = [];
            let cursor;
            for (let i = 0; i < 100; i++) {
                const answer = await ask({ ...body, cursor });
                assert.equal(answer.status, 200, answer.text);
                found.push(...answer.json.runs);
                cursor = answer.json.cursors.next;
                if (!cursor) return found;
                assert.ok(answer.json.runs.length > 0, 'clients stop at an empty page');
            }
            assert.fail('the pages have no end');
        };
        it('together are all, in both orders, and are not more than a hundred each', async () => {
            const { session, ids } = await project(
                Array.from({ length: 230 }, (_, i) => ({ start_time: at(i >> 2) })),
            );
            const want = [...ids].sort();
            const first = await ask({ session, limit: 5000, select: ['id'] });
            assert.equal(first.json.runs.length, 100);
            for (const order of ['asc', 'desc']) {
                const found = (await all({ session, order, limit: 7, select: ['id'] })).map(
                    (r) => r.id,
                );
                assert.deepEqual([...found].sort(), want);
            }
        });
        it('go on where they were when runs come meanwhile', async () => {
            const { session, ids } = await project(Array.from({ length: 6 }, () => ({})));
            const first = await ask({ session, limit: 3 });
            const { session_name } = first.json.runs[0];
            await server.store([run({ session_name, start_time: at(100) })]);
            const second = await ask({ session, limit: 3, cursor: first.json.cursors.next });
            const found = [...first.json.runs, ...second.json.runs].map((r) => r.id);
            assert.deepEqual(found, [...ids].reverse());
            assert.equal(second.json.cursors.next, null);
        });
        it('a trace comes whole', async () => {
            const trace_id = uuid();
            await server.store(
                Array.from({ length: 1234 }, (_, i) => run({ trace_id, start_time: at(i) })),
            );
            const answer = await ask({ trace: trace_id, limit: 10, select: ['id'] });
            assert.equal(answer.json.runs.length, 1234);
            assert.equal(answer.json.cursors.next, null);
            const starts = answer.json.runs.map((r) => r.start_time);
            assert.deepEqual(starts, [...starts].sort().reverse());
        });
        it('of large runs come in steps, packed or not', async () => {
            const inputs = { text: 'x'.repeat(300_000) };
            const { session } = await project(Array.from({ length: 12 }, () => ({ inputs })));
            const body = JSON.stringify({ session, select: ['inputs'] });
            const answer = await server.post('/runs/query', body);
            assert.equal(answer.json.runs.length, 12);
            assert.equal(answer.json.runs[11].inputs.text.length, 300_000);
        });
    });

    describe('what makes no sense', () => {
        it('says which member, and is 422', async () => {
            const session = [uuid()];
            assertFault(await ask({ session: ['x'] }), 'uuid_parsing', ['body', 'session', 0]);
            assertFault(await ask({ id: [1] }), 'uuid_type', ['body', 'id', 0]);
            assertFault(await ask({ trace: 'x' }), 'uuid_parsing', ['body', 'trace']);
            assertFault(await ask({ session, limit: 0 }), 'greater_than', ['body', 'limit']);
            assertFault(await ask({ session, limit: -5 }), 'greater_than', ['body', 'limit']);
            assertFault(await ask({ session, limit: 'x' }), 'int_type', ['body', 'limit']);
            assertFault(await ask({ session, run_type: 'x' }), 'enum', ['body', 'run_type']);
            assertFault(await ask({ session, order: 'x' }), 'enum', ['body', 'order']);
            assertFault(await ask({ session, cursor: 'x' }), 'value_error', ['body', 'cursor']);
            assertFault(await ask({ session, error: 3 }), 'bool_type', ['body', 'error']);
            const ids = Array.from({ length: 1001 }, () => uuid());
            assertFault(await ask({ id: ids }), 'too_long', ['body', 'id']);
            assertFault(await ask([]), 'dict_type', ['body']);
            assertFault(await ask(''), 'missing', ['body']);
        });
        it('is 400 where nothing narrows it', async () => {
            for (const body of [{}, { run_type: 'llm' }, { session: [], id: [] }]) {
                const answer = await ask(body);
                assert.equal(answer.status, 400);
                assert.match(answer.json.detail, /^At least one of 'session', 'id'/);
            }
        });
    });

    describe('in numbers: POST /runs/stats', () => {
        const stats = async (body) => {
            const answer = await server.post('/runs/stats', JSON.stringify(body));
            assert.equal(answer.status, 200, answer.text);
            return answer.json;
        };
        it('has them of all runs that are asked for, and reads none', async () => {
            const usage_metadata = { input_tokens: 10, output_tokens: 5, total_cost: 0.1 };
            const outputs = { usage_metadata };
            const list = Array.from({ length: 1500 }, (_, i) => ({
                run_type: i % 3 ? 'chain' : 'llm',
                outputs,
                start_time: at(i),
                end_time: at(i + (i % 5)),
                ...(i % 4 === 0 && { error: 'no' }),
            }));
            const { session } = await project(list);
            const before_ = await reads();
            const all = await stats({ session });
            assert.equal(await reads(), before_);
            assert.equal(all.run_count, 1500);
            assert.equal(all.latency_p50, 2);
            assert.equal(all.latency_p99, 4);
            assert.equal(all.latency_p95, 4);
            assert.equal(all.error_rate, 0.25);
            assert.equal(all.streaming_rate, 0);
            assert.equal(all.total_tokens, 500 * 15);
            assert.equal(all.prompt_tokens, 500 * 10);
            assert.equal(all.median_tokens, 15);
            assert.ok(Math.abs(all.total_cost - 50) < 1e-6);
            assert.equal(all.prompt_cost, null);
            assert.equal(Date.parse(all.last_run_start_time), Date.parse(at(1499)));
            assert.deepEqual(all.feedback_stats, {});
            assert.deepEqual(all.run_facets, []);
            const some = await stats({ session, filter: 'eq(run_type, "llm")', error: true });
            assert.equal(some.run_count, 125);
        });
        it('of none are none, and of what makes no sense what is wrong', async () => {
            const none = await stats({ session: [uuid()] });
            assert.equal(none.run_count, 0);
            assert.equal(none.latency_p50, null);
            assert.equal((await server.post('/runs/stats', '{}')).status, 400);
            const bad = await server.post('/runs/stats', '{"session":["x"]}');
            assertFault(bad, 'uuid_parsing', ['body', 'session', 0]);
        });
        it('are not those of groups', async () => {
            const group_by = { attribute: 'name' };
            const answer = await server.post('/runs/stats', { session: [uuid()], group_by });
            assertFault(answer, 'value_error', ['body', 'group_by']);
            assert.match(answer.json.detail[0].msg, /^group_by is not supported/);
            await stats({ session: [uuid()], group_by: null });
        });
    });
});
