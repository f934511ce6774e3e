// search.mjs - the grammar of the search bar: what each thing means, what is said of what cannot
// be read, what is offered to complete; and that the server takes each filter and finds by it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { run as aRun, uuid } from '../e2e/lib/client.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { module } from './lib/modules.mjs';

const { parse } = await module('search/parse.ts');
const { complete } = await module('search/complete.ts');

const NOW = Date.parse('2026-11-26T12:00:00Z');
const ID = '0193a5f2-7c00-7000-8000-000000000001';

// Written, and the filter it is.
const means = [
    ['status:error', 'eq(status, "error")'],
    ['status:ERROR', 'eq(status, "error")'],
    ['status:error,pending', 'or(eq(status, "error"), eq(status, "pending"))'],
    ['type:llm', 'eq(run_type, "llm")'],
    ['name:agent', 'eq(name, "agent")'],
    ['name:~gen', 'search(name, "gen")'],
    ['name:age*', 'and(gte(name, "age"), lt(name, "agf"))'],
    ['name:"age*"', 'eq(name, "age*")'],
    ['name:"a \\"b\\" \\\\ c"', 'eq(name, "a \\"b\\" \\\\ c")'],
    ['hello', 'search("hello")'],
    ['"exact text"', 'search("exact text")'],
    ['hello world', 'and(search("hello"), search("world"))'],
    ['http://a.b/c', 'search("http://a.b/c")'],
    ['日本', 'search("日本")'],
    ['/re.ex/', 'matches("re.ex")'],
    ['-/re.ex/', 'not(matches("re.ex"))'],
    ['/time ?out (a|b)$/ or (/x/)', 'or(matches("time ?out (a|b)$"), matches("x"))'],
    ['(/a\\)/)', 'matches("a\\\\)")'],
    ['/a\\/b\\\\/', 'matches("a/b\\\\\\\\")'],
    ['/"a\\d"/', 'matches("\\"a\\\\d\\"")'],
    ['/a or b/', 'matches("a or b")'],
    ['name:/^a g/', 'matches(name, "^a g")'],
    ['error:/time.?out/', 'matches(error, "time.?out")'],
    ['input:/w/ -output:/[x-z]/', 'and(matches(inputs, "w"), not(matches(outputs, "[x-z]")))'],
    ['tag:/^v\\d+$/', 'matches(tags, "^v\\\\d+$")'],
    ['name:"/a/"', 'eq(name, "/a/")'],
    ['"/a/"', 'search("/a/")'],
    ['/v1/chat', 'search("/v1/chat")'],
    ['/v1/chat and /v2/', 'and(search("/v1/chat"), matches("v2"))'],
    ['/usr/local/', 'search("/usr/local/")'],
    ['a/b', 'search("a/b")'],
    ['a/b/', 'search("a/b/")'],
    ['/', 'search("/")'],
    ['// x', 'and(search("//"), search("x"))'],
    ['/open', 'search("/open")'],
    ['name:/v1/chat', 'eq(name, "/v1/chat")'],
    ['feedback:correct', 'eq(feedback_key, "correct")'],
    ['feedback:"correct<1"', 'eq(feedback_key, "correct<1")'],
    ['-tag:test', 'not(has(tags, "test"))'],
    ['not tag:test', 'not(has(tags, "test"))'],
    ['--tag:test', 'has(tags, "test")'],
    ['a-b', 'search("a-b")'],
    ['latency:>2s', 'gt(latency, 2)'],
    ['latency:>=1.5m', 'gte(latency, 90)'],
    ['latency:<100ms', 'lt(latency, 0.1)'],
    ['latency:100ms..1s', 'and(gte(latency, 0.1), lte(latency, 1))'],
    ['latency:2s..', 'gte(latency, 2)'],
    ['tokens:>1000', 'gt(total_tokens, 1000)'],
    ['tokens:1.5k', 'eq(total_tokens, 1500)'],
    ['cost:>$0.25', 'gt(total_cost, 0.25)'],
    ['error:timeout', 'search(error, "timeout")'],
    ['input:word', 'search(inputs, "word")'],
    ['output:word', 'search(outputs, "word")'],
    ['metadata.user:42', 'and(eq(metadata_key, "user"), eq(metadata_value, "42"))'],
    ['metadata.user:*', 'exists(metadata, "user")'],
    [
        'model:gpt*',
        'and(eq(metadata_key, "ls_model_name"), gte(metadata_value, "gpt"), lt(metadata_value, "gpu"))',
    ],
    [
        'metadata.a:1 metadata.b:2',
        'and(and(eq(metadata_key, "a"), eq(metadata_value, "1")), and(eq(metadata_key, "b"), eq(metadata_value, "2")))',
    ],
    ['has:feedback', 'neq(feedback_key, null)'],
    ['has:metadata.user', 'exists(metadata, "user")'],
    ['has:error', 'neq(error, null)'],
    ['feedback.score:>0.5', 'and(eq(feedback_key, "score"), gt(feedback_score, 0.5))'],
    ['feedback.thumb:up', 'and(eq(feedback_key, "thumb"), eq(feedback_score, 1))'],
    ['thread:t-1', 'eq(thread_id, "t-1")'],
    [`trace:${ID}`, `eq(trace_id, "${ID}")`],
    ['since:24h', 'gte(start_time, "2026-11-25T12:00:00.000Z")'],
    ['before:2026-01-31T12:00:00Z', 'lt(start_time, "2026-01-31T12:00:00.000Z")'],
    ['a or b', 'or(search("a"), search("b"))'],
    ['a OR b c', 'or(search("a"), and(search("b"), search("c")))'],
    ['(a or b) c', 'and(or(search("a"), search("b")), search("c"))'],
    ['a and b', 'and(search("a"), search("b"))'],
    ['-(a b)', 'not(and(search("a"), search("b")))'],
    ['"or"', 'search("or")'],
    ['constructor __proto__', 'and(search("constructor"), search("__proto__"))'],
    ['status:error (name:~agent or "x y") -tag:t latency:>2s', null],
];

// Written, where the fault is, and a part of what is said.
const faults = [
    ['lantency:>2s', 0, 8, 'did you mean “latency”?'],
    ['a stauts:error', 2, 8, 'did you mean “status”?'],
    ['zzzzzz:1', 0, 6, 'There is no key “zzzzzz”'],
    ['constructor:1', 0, 11, 'There is no key “constructor”'],
    ['status:broken', 7, 13, 'success, error, pending'],
    ['status:', 0, 7, 'needs a value'],
    ['latency:>fast', 8, 13, 'is no time'],
    ['tokens:>many', 7, 12, 'is no number'],
    ['tokens:>1.5', 7, 11, 'no whole number'],
    ['id:12', 3, 5, 'is no id'],
    ['has:legs', 4, 8, 'cannot be asked for'],
    ['has:constructor', 4, 15, 'cannot be asked for'],
    ['latency:5constructor', 8, 20, 'is no time'],
    ['feedback.a:constructor', 11, 22, 'is no number'],
    ['metadata.user:>4', 14, 16, 'compared whole'],
    ['after:yesterday', 6, 15, 'is no date'],
    ['status:/err/', 7, 12, 'Regular expressions are for name, error, tag, input, output'],
    ['metadata.path:/usr/', 14, 19, 'write "/usr/"'],
    ['file:/tmp/', 0, 4, 'for this text write "file:/tmp/"'],
    ['feedback:correct<1', 9, 18, 'did you mean “feedback.correct:<1”?'],
    ['feedback:correct:>=0.5', 9, 22, 'did you mean “feedback.correct:>=0.5”?'],
    ['(a', 0, 1, 'not closed'],
    ['a)', 1, 2, 'no parenthesis'],
    ['"a', 0, 2, 'quote is not closed'],
    ['""', 0, 2, 'nothing between'],
    ['a or', 2, 4, 'missing here'],
    ['or a', 0, 2, 'missing here'],
    ['()', 1, 2, 'missing here'],
    ['('.repeat(12) + 'a' + ')'.repeat(12), 9, 10, 'Too many parentheses'],
];

describe('the search bar', () => {
    for (const [written, filter] of means)
        it(`reads ${written}`, () => {
            const found = parse(written, NOW);
            assert.deepEqual(found.problems, []);
            if (filter) assert.equal(found.filter, filter);
        });

    for (const [written, from, to, said] of faults)
        it(`says what is wrong with ${written.slice(0, 30)}`, () => {
            const { filter, problems } = parse(written, NOW);
            assert.equal(filter, null);
            assert.deepEqual([problems[0].from, problems[0].to], [from, to], problems[0].text);
            assert.ok(problems[0].text.includes(said), problems[0].text);
        });

    it('takes nothing for everything, and an id for where to go', () => {
        assert.deepEqual(parse('  '), { filter: null, id: null, problems: [] });
        assert.equal(parse(` ${ID.toUpperCase()} `).id, ID);
        assert.equal(parse(ID.replaceAll('-', '')).id, ID);
    });

    it('never throws, and never makes a filter of what has a fault', () => {
        const pieces = ['a', '"', '(', ')', '-', ':', 'or', ' ', '\\', 'name:', 'tokens:>', '5', '*', ',', '\0', '/', '🍎', '\ud800'];
        let state = 7;
        const next = (n) => (state = (state * 48271) % 2147483647) % n;
        for (let i = 0; i < 20000; i++) {
            const written = Array.from({ length: 1 + next(8) }, () => pieces[next(pieces.length)]).join('');
            const { filter, problems } = parse(written, NOW);
            assert.ok(problems.length === 0 || filter === null, written);
            for (const { from, to } of problems)
                assert.ok(0 <= from && from <= to && to <= written.length, written);
        }
    });

    describe('completes', () => {
        const observed = { name: ['agent', 'ask a model'], tag: ['prod'], model: [], metadata: ['user'], feedback: ['thumb'] };
        const offered = (written, caret = written.length) => complete(written, caret, observed);

        it('keys, also those of metadata', () => {
            assert.deepEqual(offered('la').options.map((one) => one.insert), ['latency:']);
            assert.ok(offered('me').options.some((one) => one.insert === 'metadata.user:'));
            assert.deepEqual(offered('a -st').from, 3);
            assert.ok(offered('').options.length > 5);
        });
        it('values that there are, and that were seen', () => {
            assert.deepEqual(offered('status:').options.map((one) => one.label), ['success', 'error', 'pending']);
            assert.deepEqual(offered('status:error,p').options.map((one) => one.insert), ['pending ']);
            assert.deepEqual(offered('name:ask').options.map((one) => one.insert), ['"ask a model" ']);
            assert.deepEqual(offered('feedback.thumb:').options.map((one) => one.insert), ['up ', 'down ']);
        });
        it('nothing in regular expressions, and quotes what looks like one', () => {
            assert.deepEqual(offered('/a st/', 5).options, []);
            assert.deepEqual(offered('name:/a/').options, []);
            assert.ok(offered('/a/ st').options.length > 0);
            assert.ok(offered('/v1/chat st').options.length > 0);
            const slashed = { ...observed, tag: ['/a/'] };
            assert.deepEqual(complete('tag:', 4, slashed).options.map((one) => one.insert), ['"/a/" ']);
        });
        it('nothing in quotes', () => {
            assert.deepEqual(offered('name:"ask').options, []);
            assert.deepEqual(offered('"a b').options, []);
        });
    });
});

describe('the server', () => {
    let server;
    const query = async (filter) => {
        const answer = await server.post('/api/v1/runs/query', { session: [server.project], filter, select: ['name'], limit: 100 });
        assert.equal(answer.status, 200, `${filter}: ${answer.text}`);
        return answer.json.runs.map((run) => run.name).sort();
    };
    before(async () => {
        server = await Server.start();
        const at = (seconds) => new Date(Date.parse('2026-01-01T00:00:00Z') + seconds * 1000).toISOString();
        const one = (name, more) => aRun({ id: uuid(), name, start_time: at(0), end_time: at(1), ...more });
        await server.store([
            one('agent', { tags: ['prod'], extra: { metadata: { user: 42, ls_model_name: 'gpt-9' } }, end_time: at(5) }),
            one('age "quoted" \\ slash', { error: 'a timeout happened', run_type: 'tool' }),
            one('other', { inputs: { q: 'find the needle here' }, run_type: 'llm', tags: ['test'] }),
        ]);
        server.project = (await server.get('/sessions')).json[0].id;
    });
    after(() => server.close());

    it('takes every filter that the search bar makes', async () => {
        for (const [written] of means) await query(parse(written, NOW).filter);
    });

    it('finds what was meant', async () => {
        const found = async (written) => query(parse(written, NOW).filter);
        assert.deepEqual(await found('name:agent'), ['agent']);
        assert.deepEqual(await found('name:age*'), ['age "quoted" \\ slash', 'agent']);
        assert.deepEqual(await found('name:"age \\"quoted\\" \\\\ slash"'), ['age "quoted" \\ slash']);
        assert.deepEqual(await found('latency:>2s'), ['agent']);
        assert.deepEqual(await found('model:gpt* metadata.user:42'), ['agent']);
        assert.deepEqual(await found('error:timeout'), ['age "quoted" \\ slash']);
        assert.deepEqual(await found('error:/^a t.*ED$/'), ['age "quoted" \\ slash']);
        assert.deepEqual(await found('/nee.le h/ or name:/^a.ent$/'), ['agent', 'other']);
        assert.deepEqual(await found('-/"q.*d" \\\\ s/'), ['agent', 'other']);
        assert.deepEqual(await found('needle'), ['other']);
        assert.deepEqual(await found('(tag:prod or type:llm) -needle'), ['agent']);
        assert.deepEqual(await found('status:error,success type:tool'), ['age "quoted" \\ slash']);
    });
});
