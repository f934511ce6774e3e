// langsmith_filters.mjs - random runs, and random sentences of the filter language: what
// POST /runs/query finds is what a plain reading of the sentence says (lib/filter.mjs).
//
// SEED=n is another test.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dashed, dice } from './lib/client.mjs';
import { Pen, asText, match } from './lib/filter.mjs';
import { Runs, instant } from './lib/merge.mjs';
import { atOnce, batch, multipart, send } from './lib/send.mjs';
import { Server } from './lib/server.mjs';

const seed = Number(process.env.SEED ?? 11);
const TRACES = 70;
const EPOCH = Date.parse('2026-11-20T00:00:00Z');

// Few words, so that most sentences find something and few find everything.
const WORDS = ['alpha', 'beta', 'Ärger', 'gamma delta', 'x"y', "it's", '100%', 'a_b', ''];
const NAMES = ['agent', 'Answer', 'retrieve', 'tool ünder', 'x_y%', 'agent two'];
const KEYS = ['user', 'kind', 'n', 'deep', 'é', 'a.b'];
const VALUES = ['alpha', 'beta', 3, 0.5, true, null, ['a', 1], { in: 'x' }, 'Ärger', ''];
// Seen by their beginnings and a hash.
VALUES.push(`first ${'x'.repeat(100)}`, `other ${'é'.repeat(1500)}`, ['y'.repeat(70)]);
// Read in the same way by the server and by JavaScript; of \w, \d, \s and \b that is so of ASCII.
const PATTERNS = [
    '^a',
    'a$',
    '^(alpha|beta)$',
    'ärger',
    '(?-i)ärger',
    '(?-i)[A-ZÄ]',
    't.*r',
    '[^ -~]',
    '^.{5}$',
    'al?l?l?pha: *|(.)\\1e',
    'type(?=error)',
    '^(?!.*e)',
    '"q"|x"y|\'s',
    '\\d+%|_y',
    '^(t|n)\\d?$',
    'l\\/?o',
    'needle.*ding',
    '\\{"?text.*[02]',
    '^$',
    'nobody',
    '(a|l|t)*h',
    'value \\d{2} ',
];
const SCORES = [0, 0.25, 0.5, 1, null];

class World {
    constructor(random) {
        this.random = random;
        this.runs = new Runs();
        this.operations = [];
        this.feedback = [];
        this.ids = [];
        for (let i = 0; i < TRACES; i++) this.trace();
    }

    id() {
        const hex = Array.from({ length: 8 }, () =>
            this.random.below(0x10000).toString(16).padStart(4, '0'),
        ).join('');
        return dashed(hex);
    }

    trace() {
        const { random } = this;
        const start = EPOCH + random.below(4000) * 60_000;
        const runs = [];
        for (let i = random.below(6); i >= 0; i--) {
            const parent = runs.length > 0 ? random.one(runs) : null;
            const run = { id: this.id(), parent, start: start + random.below(3) * 1000 };
            run.trace = parent?.trace ?? run.id;
            const time = new Date(run.start).toISOString().replace(/[-:.]/g, '');
            run.order = `${parent ? `${parent.order}.` : ''}${time.slice(0, -1)}000Z${run.id}`;
            runs.push(run);
            this.say(run);
        }
    }

    metadata() {
        const { random } = this;
        const pairs = KEYS.filter(() => random.chance(0.4)).map((key) => [key, random.one(VALUES)]);
        if (random.chance(0.3))
            pairs.push([
                random.one(['thread_id', 'session_id', 'conversation_id']),
                random.one(['t1', 't2', 't3']),
            ]);
        // More than an index keeps beside a row.
        if (random.chance(0.03))
            for (let i = 0; i < 40; i++) pairs.push([`many${i}`, `value ${i} ${'.'.repeat(60)}`]);
        return Object.fromEntries(pairs);
    }

    // What is said of the run, some of it by a post, some by a patch, some by both.
    say(run) {
        const { random } = this;
        const said = {
            name: random.one(NAMES),
            run_type: random.one(['llm', 'chain', 'tool', 'retriever']),
            start_time: new Date(run.start).toISOString(),
            inputs: { text: random.one(WORDS), n: random.below(3) },
            extra: { metadata: this.metadata(), runtime: {} },
        };
        if (random.chance(0.1)) said.inputs.long = `needle ${'padding '.repeat(900)}behind`;
        if (random.chance(0.8)) {
            said.end_time = run.start + random.one([0, 150, 200, 1000, 5000, 61_000]);
            said.outputs = { text: random.one(WORDS) };
            if (random.chance(0.5)) {
                const [input, output] = [random.below(4) * 10, random.below(4) * 5];
                said.outputs.usage_metadata = {
                    input_tokens: input,
                    output_tokens: output,
                    total_tokens: input + output,
                    ...(random.chance(0.5) && {
                        input_cost: 0.25,
                        output_cost: 0.5,
                        total_cost: 0.75,
                    }),
                };
            }
        }
        if (random.chance(0.25)) said.error = random.one(['TypeError: alpha', 'it broke', 'Ärger']);
        if (random.chance(0.5)) said.tags = WORDS.filter(() => random.chance(0.3));
        if (random.chance(0.3))
            said.events = [
                { name: 'start', time: new Date(run.start).toISOString() },
                { name: 'new_token', time: new Date(run.start + 50).toISOString() },
            ];
        if (random.chance(0.2)) said.reference_example_id = run.trace;

        const base = {
            id: run.id,
            trace_id: run.trace,
            dotted_order: run.order,
            ...(run.parent && { parent_run_id: run.parent.id }),
            session_name: random.chance(0.9) ? 'the one' : 'another',
        };
        run.project = base.session_name;
        const post = { ...base };
        const patch = { ...base };
        for (const [name, value] of Object.entries(said))
            if (name === 'end_time' || random.chance(0.4)) patch[name] = value;
            else post[name] = value;
        // What the post says, the patch says otherwise, and has the last word.
        if ('name' in patch) post.name = 'not this name';
        if ('tags' in patch && said.tags.length > 0) post.tags = ['not this tag'];
        if ('extra' in patch) post.extra = { metadata: { user: 'not this user' } };
        for (const [op, fields] of Object.entries({ post, patch })) {
            const one = {
                op,
                id: run.id,
                fields: new Map(Object.entries(fields).map(([k, v]) => [k, JSON.stringify(v)])),
            };
            this.operations.push(one);
            this.runs.add(one);
        }
        while (random.chance(0.25))
            this.feedback.push({
                id: this.id(),
                run_id: run.id,
                trace_id: run.trace,
                key: random.one(['correctness', 'helpful', 'Ärger']),
                score: random.one([...SCORES, true, false]),
            });
        this.ids.push(run.id);
    }

    // What is known of a run, by the rules and from what was said alone.
    subject(id, projects) {
        const { runs } = this;
        const value = (name) => runs.value(id, name);
        const metadata = Object.entries(value('extra')?.metadata ?? {});
        const usage = value('outputs')?.usage_metadata;
        const start = instant(value('start_time'));
        const end = value('end_time') === undefined ? undefined : instant(value('end_time'));
        const token = value('events')?.find(({ name }) => name === 'new_token');
        const thread = ['thread_id', 'session_id', 'conversation_id'];
        const root = value('parent_run_id') === undefined;
        return {
            id,
            name: value('name'),
            run_type: value('run_type'),
            status: runs.status(id),
            error: value('error'),
            start_time: start,
            end_time: end,
            latency: end === undefined ? undefined : end - start,
            first_token_time: token && instant(token.time),
            prompt_tokens: usage?.input_tokens,
            completion_tokens: usage?.output_tokens,
            total_tokens: usage?.total_tokens,
            prompt_cost: usage?.input_cost,
            completion_cost: usage?.output_cost,
            total_cost: usage?.total_cost,
            tags: value('tags') ?? [],
            metadata: metadata.map(([key, json]) => [key, asText(json)]),
            feedback: this.feedback
                .filter((one) => one.run_id === id)
                .map(({ key, score }) => [key, score === null ? undefined : Number(score)]),
            inputs: preview(runs.field(id, 'inputs')),
            outputs: preview(runs.field(id, 'outputs')),
            is_root: root,
            trace_id: runs.trace(id),
            parent_run_id: value('parent_run_id'),
            session_id: projects.get(value('session_name')),
            thread_id: metadata.find(([key]) => thread.includes(key))?.[1],
            reference_example_id: value('reference_example_id'),
            execution_order: root ? 1 : undefined,
            dotted_order: value('dotted_order'),
            child_run_name: this.ids
                .filter((other) => runs.value(other, 'parent_run_id') === id)
                .map((other) => runs.value(other, 'name')),
        };
    }
}

// What a search looks at of a payload: its first 160 bytes, without white space, strings decoded.
function preview(json) {
    if (json === undefined || json === 'null') return undefined;
    const text = json.startsWith('"')
        ? JSON.parse(json)
        : json.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (found) =>
              found[0] === '"' ? `"${JSON.parse(found)}"` : '',
          );
    const bytes = Buffer.from(text);
    let end = Math.min(bytes.length, 160);
    while (end < bytes.length && (bytes[end] & 0xc0) === 0x80) end--;
    return bytes.subarray(0, end).toString();
}

// ---- sentences ----

const SEARCHED = [null, 'name', 'error', 'inputs', 'outputs', 'tags', 'metadata'];
const COMPARED = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'nin'];
const EQUAL = ['eq', 'neq', 'in', 'nin'];

class Sentences {
    constructor(random, world, projects) {
        this.random = random;
        this.pen = new Pen(random);
        this.world = world;
        const { pen } = this;
        const text = (words) => () => {
            const word = random.one(words);
            return { is: word, text: pen.string(word) };
        };
        const word = (words) => () => {
            const one = random.one(words);
            return { is: one, text: pen.string(random.chance(0.8) ? one : one.toUpperCase()) };
        };
        const number = (numbers) => () => {
            const one = random.one(numbers);
            return { is: one, text: random.chance(0.8) ? String(one) : `"${one}"` };
        };
        const id = (of) => () => {
            const one = of(random.one(world.ids)) ?? world.id();
            const shape = random.one([one, one.toUpperCase(), one.replaceAll('-', '')]);
            return { is: one, text: pen.string(shape) };
        };
        const time = (name) => () => {
            const one = world.runs.value(random.one(world.ids), name) ?? EPOCH;
            const ms = Math.floor(instant(one) / 1000);
            const iso = new Date(ms).toISOString();
            const day = iso.slice(0, 10);
            return random.one([
                { is: ms * 1000, text: `"${iso}"` },
                { is: ms * 1000, text: `"${iso.slice(0, -1)}"` },
                { is: ms * 1000, text: `"${iso.slice(0, -1)}+00:00"` },
                { is: Date.parse(day) * 1000, text: `"${day}"` },
            ]);
        };
        const duration = () =>
            random.one([
                { is: 200_000, text: '"200ms"' },
                { is: 200_000, text: '0.2' },
                { is: 1_000_000, text: '1' },
                { is: 5_000_000, text: '"5s"' },
                { is: 60_000_000, text: '"1m"' },
                { is: 0, text: '0' },
                { is: 1_500_000, text: '"1.5"' },
            ]);
        const truth = () => {
            const is = random.chance(0.5);
            return { is, text: random.one([`${is}`, `"${is}"`, `${is}`.toUpperCase()]) };
        };
        const values = () => {
            const value = random.one(VALUES.filter((one) => one !== null));
            const bare = typeof value === 'number' || typeof value === 'boolean';
            const is = asText(value);
            return { is, text: bare && random.chance(0.5) ? is : pen.string(is) };
        };
        this.attributes = [
            ['id', COMPARED, id((one) => one)],
            ['name', COMPARED, text([...NAMES, 'nobody'])],
            ['run_type', EQUAL, word(['llm', 'chain', 'tool', 'parser', 'wibble'])],
            ['status', EQUAL, word(['success', 'error', 'pending'])],
            ['error', COMPARED, text(['TypeError: alpha', 'it broke', 'Ärger'])],
            ['start_time', COMPARED, time('start_time')],
            ['end_time', COMPARED, time('end_time')],
            ['latency', COMPARED, duration],
            ['first_token_time', COMPARED, time('start_time')],
            ['total_tokens', COMPARED, number([0, 10, 20, 25, 30])],
            ['prompt_tokens', COMPARED, number([0, 10, 20])],
            ['completion_tokens', COMPARED, number([0, 5, 10])],
            ['total_cost', COMPARED, number([0.75, 0.5, 1])],
            ['prompt_cost', COMPARED, number([0.25, 0])],
            ['completion_cost', COMPARED, number([0.5, 2])],
            ['tags', COMPARED, text(WORDS)],
            ['metadata_key', COMPARED, text([...KEYS, 'many7', 'many9'])],
            ['metadata_value', COMPARED, values],
            ['feedback_key', COMPARED, text(['correctness', 'helpful', 'Ärger'])],
            ['feedback_score', COMPARED, number([0, 0.25, 0.5, 1])],
            ['is_root', EQUAL, truth],
            ['trace_id', COMPARED, id((one) => world.runs.trace(one))],
            ['parent_run_id', COMPARED, id((one) => world.runs.value(one, 'parent_run_id'))],
            [
                'session_id',
                COMPARED,
                id((one) => projects.get(world.runs.value(one, 'session_name'))),
            ],
            ['thread_id', COMPARED, text(['t1', 't2', 't9'])],
            ['reference_example_id', COMPARED, id((one) => world.runs.trace(one))],
            ['execution_order', COMPARED, number([1, 2])],
            [
                'dotted_order',
                COMPARED,
                text(world.ids.map((one) => world.runs.value(one, 'dotted_order'))),
            ],
            ['child_run_name', COMPARED, text(NAMES)],
        ];
        this.halves = this.attributes.filter(([name]) => /^(metadata|feedback)_/.test(name));
    }

    test([attribute, ops, value]) {
        const { random } = this;
        if (random.chance(0.1)) return { kind: 'null', attribute, op: random.one(['eq', 'neq']) };
        const op = random.one([...ops, 'eq', 'eq']);
        const count = op === 'in' || op === 'nin' ? random.below(4) : 1;
        return { kind: 'test', attribute, op, values: Array.from({ length: count }, value) };
    }

    leaf() {
        const { random } = this;
        return random.one([
            () => this.test(random.one(this.attributes)),
            () => this.test(random.one(this.attributes)),
            () => this.test(random.one(this.attributes)),
            () => this.test(random.one(this.halves)),
            () => ({ kind: 'has', attribute: 'tags', text: random.one(WORDS) }),
            () => ({ kind: 'has', attribute: 'metadata', text: random.one([...KEYS, 'many7']) }),
            () => ({ kind: 'exists', text: random.one(KEYS) }),
            () => ({
                kind: 'members',
                members: Object.fromEntries(
                    Array.from({ length: random.below(3) }, () => [
                        random.one(KEYS),
                        random.one(VALUES),
                    ]),
                ),
            }),
            () => ({
                kind: 'null',
                attribute: random.one(['metadata', 'inputs', 'outputs']),
                op: random.one(['eq', 'neq']),
            }),
            () => ({
                kind: 'matches',
                attribute: random.one(SEARCHED),
                text: random.one(PATTERNS),
            }),
            () => ({
                kind: 'search',
                attribute: random.one(SEARCHED),
                text: random.one([
                    'alpha',
                    'ÄRGER',
                    'amma d',
                    '100%',
                    'a_b',
                    'needle',
                    'typeerror',
                ]),
            }),
        ])();
    }

    tree(depth = 0) {
        const { random } = this;
        if (depth > 2 || random.chance(0.3)) return this.leaf();
        const kind = random.one(['and', 'and', 'or', 'not']);
        if (kind === 'not') return { kind, of: [this.tree(depth + 1)] };
        // Halves of entries side by side are a language of their own.
        const of = Array.from({ length: 1 + random.below(4) }, () =>
            random.chance(0.3) ? this.test(random.one(this.halves)) : this.tree(depth + 1),
        );
        return { kind, of };
    }
}

// ---- the test ----

describe(`filters, seed ${seed}`, () => {
    const random = dice(seed);
    const world = new World(random);
    const projects = new Map();
    let server;
    let subjects;
    let newestFirst;

    before(async () => {
        server = await Server.start();
        const requests = [];
        for (const left = [...world.operations]; left.length > 0;) {
            const some = left.splice(0, 1 + random.below(40));
            requests.push(
                random.chance(0.6)
                    ? multipart(some, { python: random.chance(0.5), boundary: 'xx--xx' })
                    : batch(some),
            );
        }
        await atOnce(requests, 4, async (request) => {
            const { status, text } = await send(server, request);
            assert.equal(status, 202, text);
        });
        await atOnce(world.feedback, 4, async (one) => {
            const answer = await server.post('/feedback', one);
            assert.equal(answer.status, 200, answer.text);
        });
        for (const name of ['the one', 'another']) {
            const answer = await server.get(`/sessions?name=${encodeURIComponent(name)}`);
            projects.set(name, answer.json[0].id);
        }
        subjects = new Map(world.ids.map((id) => [id, world.subject(id, projects)]));
        const key = (id) => subjects.get(id).start_time;
        newestFirst = [...world.ids].sort((a, b) => key(b) - key(a) || (a < b ? 1 : -1));
    });
    after(() => server.close());

    async function found(query) {
        const ids = [];
        for (let cursor = null; ;) {
            const answer = await server.post('/runs/query', { select: ['id'], ...query, cursor });
            assert.equal(answer.status, 200, answer.text);
            const { runs, cursors } = answer.json;
            ids.push(...runs.map((run) => run.id));
            cursor = cursors.next;
            if (!cursor || runs.length === 0) return ids;
        }
    }

    const inProject = (id) => subjects.get(id).session_id === projects.get('the one');

    async function agree(query, wanted, why) {
        const want = newestFirst.filter((id) => inProject(id) && wanted(subjects.get(id)));
        if (query.order === 'asc') want.reverse();
        const got = await found({ session: [projects.get('the one')], ...query });
        assert.deepEqual(got, want, why);
        return want.length;
    }

    it('each attribute with each operator', async () => {
        const sentences = new Sentences(dice(seed + 1), world, projects);
        for (const attribute of sentences.attributes)
            for (let i = 0; i < 8; i++) {
                const tree = sentences.test(attribute);
                const filter = sentences.pen.write(tree);
                await agree({ filter }, (subject) => match(tree, subject), filter);
            }
    });

    it('each regular expression in each place', async () => {
        const { pen } = new Sentences(dice(seed + 5), world, projects);
        const seen = new Set();
        for (const text of PATTERNS)
            for (const attribute of SEARCHED) {
                const tree = { kind: 'matches', attribute, text };
                const filter = pen.write(tree);
                const count = await agree({ filter }, (subject) => match(tree, subject), filter);
                if (count > 0) seen.add(text);
            }
        assert.ok(seen.size > PATTERNS.length - 4, `${seen.size} find something`);
    });

    it('sentences', async () => {
        const sentences = new Sentences(dice(seed + 2), world, projects);
        let some = 0;
        for (let i = 0; i < 300; i++) {
            const tree = sentences.tree();
            const filter = sentences.pen.write(tree);
            const count = await agree({ filter }, (subject) => match(tree, subject), filter);
            if (count > 0 && count < world.ids.length / 2) some++;
        }
        assert.ok(some > 60, `only ${some} sentences that say something`);
    });

    it('sentences beside other conditions, forward and backward, in pages of any size', async () => {
        const dies = dice(seed + 3);
        const sentences = new Sentences(dies, world, projects);
        for (let i = 0; i < 80; i++) {
            const tree = sentences.tree();
            const query = { filter: sentences.pen.write(tree) };
            const also = [(subject) => match(tree, subject)];
            if (dies.chance(0.4)) query.order = dies.one(['asc', 'desc']);
            if (dies.chance(0.5)) query.limit = dies.one([1, 3, 10, 100]);
            if (query.limit === 1) {
                query.is_root = true;
                query.run_type = 'llm';
                also.push((subject) => subject.is_root && subject.run_type === 'llm');
            }
            if (dies.chance(0.3)) {
                query.error = dies.chance(0.5);
                also.push((subject) => (subject.status === 'error') === query.error);
            }
            if (dies.chance(0.3)) {
                const from = subjects.get(dies.one(world.ids)).start_time;
                query.start_time = new Date(from / 1000).toISOString();
                also.push((subject) => subject.start_time >= from);
            }
            if (dies.chance(0.2)) {
                const to = subjects.get(dies.one(world.ids)).start_time;
                query.end_time = new Date(to / 1000).toISOString();
                also.push((subject) => subject.start_time <= to);
            }
            const wanted = (subject) => also.every((one) => one(subject));
            await agree(query, wanted, JSON.stringify(query));
        }
    });

    it('of the top of the trace, of any run of the trace', async () => {
        const sentences = new Sentences(dice(seed + 4), world, projects);
        const byTrace = new Map();
        for (const subject of subjects.values())
            byTrace.set(subject.trace_id, [...(byTrace.get(subject.trace_id) ?? []), subject]);
        for (let i = 0; i < 60; i++) {
            const [of, top, any] = [sentences.tree(), sentences.tree(), sentences.tree()];
            const query = {};
            const also = [];
            if (i % 4 === 3) {
                query.filter = sentences.pen.write(of);
                also.push((subject) => match(of, subject));
            }
            if (i % 2 === 0) {
                query.trace_filter = sentences.pen.write(top);
                also.push((subject) => match(top, subjects.get(subject.trace_id)));
            }
            if (i % 3 === 0 || i % 2 === 1) {
                query.tree_filter = sentences.pen.write(any);
                also.push((subject) => byTrace.get(subject.trace_id).some((s) => match(any, s)));
            }
            const wanted = (subject) => also.every((one) => one(subject));
            await agree(query, wanted, JSON.stringify(query));
        }
    });

    it('sentences that SDKs and their documentation use', async () => {
        const tests = {
            'and(eq(metadata_key, "user"), eq(metadata_value, "alpha"))': (s) =>
                s.metadata.some(([k, v]) => k === 'user' && v === 'alpha'),
            'and(in(metadata_key, ["session_id","conversation_id","thread_id"]), eq(metadata_value, "t1"))':
                (s) => s.metadata.some(([k, v]) => /_id$/.test(k) && v === 't1'),
            'eq(thread_id, "t1")': (s) => s.thread_id === 't1',
            'and(eq(run_type, "chain"), gt(latency, 1), gt(total_tokens, 5))': (s) =>
                s.run_type === 'chain' && s.latency > 1e6 && s.total_tokens > 5,
            'and(gt(start_time, "2023-07-15T12:34:56Z"), or(neq(error, null), and(eq(feedback_key, "correctness"), eq(feedback_score, 0.0))))':
                (s) =>
                    s.error !== undefined ||
                    s.feedback.some(([k, v]) => k === 'correctness' && v === 0),
            'and(or(has(tags, "alpha"), has(tags, "beta")), gt(latency, 2))': (s) =>
                s.tags.some((tag) => tag === 'alpha' || tag === 'beta') && s.latency > 2e6,
            'search("needle")': (s) => s.inputs.includes('needle'),
            'search("behind")': () => false,
            'matches(error, "^type\\\\w+:")': (s) => s.error?.startsWith('TypeError:'),
            'gt(latency, "5s")': (s) => s.latency > 5e6,
            "and(neq(metadata_key,'user'), eq(metadata_value,'beta'))": (s) =>
                s.metadata.some(([k, v]) => k !== 'user' && v === 'beta'),
            'eq(is_root, true)': (s) => s.is_root,
            'exists(metadata, "kind")': (s) => s.metadata.some(([k]) => k === 'kind'),
        };
        for (const [filter, wanted] of Object.entries(tests)) {
            const count = await agree({ filter }, wanted, filter);
            assert.ok(count > 0 || filter === 'search("behind")', `nothing to find: ${filter}`);
        }
    });

    it('what is no sentence is refused with a reason', async () => {
        for (const filter of [
            'eq(nothing, "x")',
            'equals(name, "x")',
            'eq(name, "x"',
            'eq(name)',
            'and()',
            'eq(start_time, "yesterday")',
            'gt(status, "error")',
            'eq(name, ["a"])',
            'in(name, "a")',
            'eq(name, "x") eq(name, "y")',
            '',
        ].filter(Boolean))
            for (const which of ['filter', 'trace_filter', 'tree_filter']) {
                const answer = await server.post('/runs/query', {
                    session: [projects.get('the one')],
                    [which]: filter,
                });
                assert.equal(answer.status, 400, `${which} ${filter}: ${answer.text}`);
                assert.match(JSON.stringify(answer.json.detail), /filter/, answer.text);
            }
    });
});
