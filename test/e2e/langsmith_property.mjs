// langsmith_property.mjs - random runs as layers, in random order, some of them twice, packed
// into requests of every kind, many at once: what is read back is what a plain merge of the
// layers says (lib/merge.mjs).
//
// In steps: a step has at most one post and one patch of a run, so what is said at the same
// time commutes, and operations of one kind keep their order.  SEED=n is another test.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dashed, dice, rawElements, rawMember } from './lib/client.mjs';
import { Runs, assertShown, instant } from './lib/merge.mjs';
import { atOnce, batch, multipart, send, single } from './lib/send.mjs';
import { Server, mode, run as command, sealed } from './lib/server.mjs';

const seeds = process.env.SEED ? [Number(process.env.SEED)] : [1, 2, 3];
const RUNS = 220;
const CONNECTIONS = 8;
const EPOCH = Date.parse('2026-11-20T00:00:00Z');

// ---- what is said ----

class Sayings {
    constructor(seed) {
        this.random = dice(seed);
        this.runs = [];
        for (let i = 0; i < RUNS; i++) this.runs.push(this.run(i));
    }

    id() {
        const hex = Array.from({ length: 8 }, () =>
            this.random.below(0x10000).toString(16).padStart(4, '0'),
        ).join('');
        return dashed(hex);
    }

    run(i) {
        const { random } = this;
        const parent = i > 0 && random.chance(0.75) ? random.one(this.runs.slice(-20)) : null;
        const run = {
            id: this.id(),
            parent,
            left: {
                post: random.one([0, 1, 1, 1, 2, 2, 3]),
                patch: random.one([0, 1, 1, 1, 2, 3]),
            },
            start: EPOCH + random.below(1_000_000),
            project: null,
        };
        if (run.left.post + run.left.patch === 0) run.left.post = 1;
        run.trace = parent ? parent.trace : run.id;
        return run;
    }

    order(run, shifted = 0) {
        const time = new Date(run.start + shifted).toISOString().replace(/[-:.]/g, '');
        const own = `${time.replace('Z', '001Z')}${run.id}`;
        return run.parent ? `${this.order(run.parent)}.${own}` : own;
    }

    time(ms) {
        const iso = new Date(ms).toISOString();
        return this.random.one([
            () => String(ms),
            () => `"${iso}"`,
            () => `"${iso.slice(0, -1)}"`,
            () => `"${iso.slice(0, -1)}123Z"`,
            () => `"${iso.slice(0, -1)}004+00:00"`,
            () => `"${new Date(ms + 7_200_000).toISOString().slice(0, -1)}+02:00"`,
        ])();
    }

    text(longest = 8_000) {
        const { random } = this;
        if (random.chance(0.03)) return `"${'long '.repeat(random.below(longest))}"`;
        return random.one([
            '""',
            '"a"',
            '"NaN"',
            '"é 梨 🍎"',
            '"\\u00e9\\ud83c\\udf4e"',
            '"\\ud800"',
            '"\\"}],{\\\\"',
            '"\\n\\u0000\\u0007"',
            '"--boundary\\r\\n"',
        ]);
    }

    value(depth = 0) {
        const { random } = this;
        const odd = ['1e2', '-0.0', '12345678901234567890123', '1E+5', '0.1', 'true', 'null'];
        if (random.chance(0.02)) return random.one(['NaN', 'Infinity', '-Infinity']);
        if (depth > 3 || random.chance(0.4)) return random.one([...odd, this.text()]);
        const inside = Array.from({ length: random.below(4) }, () => this.value(depth + 1));
        if (random.chance(0.4)) return `[${inside.join(random.one([',', ' , ']))}]`;
        return `{${inside.map((json) => `${random.one(['"k"', '"a.b"', '"é"'])}: ${json}`).join()}}`;
    }

    object() {
        const { random } = this;
        if (random.chance(0.25)) return random.one(['{}', '{ }']);
        return `{"n":${random.below(1000)},"v":${this.value()}}`;
    }

    // The fields of one operation; in a batch each one says whose it is.
    fields(run, alone, project) {
        const { random } = this;
        const fields = new Map([['id', `"${run.id}"`]]);
        const say = (chance, name, json) => {
            if (random.chance(chance)) fields.set(name, random.chance(0.08) ? 'null' : json());
        };
        if (!alone || random.chance(0.7)) {
            fields.set('trace_id', `"${run.trace}"`);
            const shifted = random.chance(0.1) ? 5 : 0;
            fields.set('dotted_order', `"${this.order(run, shifted)}"`);
            if (run.parent) fields.set('parent_run_id', `"${run.parent.id}"`);
        } else if (run.parent && random.chance(0.5)) {
            fields.set('parent_run_id', `"${run.parent.id}"`);
        }
        if (project) fields.set('session_name', JSON.stringify(project));
        say(0.6, 'name', () => this.text(1_600)); // at most 8 KiB
        say(0.5, 'run_type', () => `"${random.one(['llm', 'chain', 'tool', 'parser'])}"`);
        say(0.7, 'start_time', () => this.time(run.start + random.below(3)));
        say(0.4, 'end_time', () => this.time(run.start + 1000 + random.below(9000)));
        say(0.6, 'inputs', () => (random.chance(0.05) ? this.text() : this.object()));
        say(0.5, 'outputs', () => (random.chance(0.05) ? '[1, 2]' : this.object()));
        say(0.5, 'extra', () => `{"metadata":${this.object()},"runtime":{}}`);
        say(0.3, 'events', () => random.one(['[]', '[ ]', '[{"name":"start","time":1}]']));
        say(0.2, 'serialized', () => this.object());
        say(0.3, 'error', () => random.one(['""', '"it failed"', '"\\ud83c\\udf4e"']));
        say(0.3, 'tags', () => random.one(['[]', '["a"]', '["a", "ü"]']));
        say(0.1, 'reference_example_id', () => `"${run.trace}"`);
        say(0.2, 'child_runs', () => '[]');
        return fields;
    }

    // At most one post and one patch of each run: { op, id, fields, kind }
    step() {
        const { random } = this;
        const operations = [];
        for (const run of this.runs) {
            const before = run.project;
            for (const op of ['post', 'patch']) {
                if (run.left[op] === 0 || random.chance(0.4)) continue;
                run.left[op]--;
                const kind = random.one(['multipart', 'multipart', 'batch', 'single']);
                operations.push({
                    op,
                    id: run.id,
                    kind,
                    fields: this.fields(run, kind === 'single', this.project(run, before)),
                });
            }
        }
        return this.shuffled(operations);
    }

    // Who says it first, decides; two who say it at once say the same.
    project(run, before) {
        const { random } = this;
        const name = () => `project ${random.below(5)}`;
        if (before) return random.chance(0.3) ? name() : null;
        if (random.chance(0.5)) return null;
        run.project ??= name();
        return run.project;
    }

    shuffled(items) {
        const result = [...items];
        for (let i = result.length - 1; i > 0; i--) {
            const j = this.random.below(i + 1);
            [result[i], result[j]] = [result[j], result[i]];
        }
        return result;
    }

    done() {
        return this.runs.every((run) => run.left.post + run.left.patch === 0);
    }

    // One step as requests; some say a thing twice, some are sent twice.
    requests(operations) {
        const { random } = this;
        const requests = [];
        for (const kind of ['multipart', 'batch', 'single']) {
            const left = operations.filter((one) => one.kind === kind);
            while (left.length > 0) {
                const some = left.splice(0, kind === 'single' ? 1 : 1 + random.below(30));
                if (kind !== 'single' && random.chance(0.3)) some.push(random.one(some));
                const request =
                    kind === 'multipart'
                        ? multipart(some, {
                              python: random.chance(0.5),
                              boundary: `--boundary${random.below(1e9)}`,
                          })
                        : kind === 'batch'
                          ? batch(some)
                          : single(some[0]);
                request.coding = random.one(['plain', 'plain', 'gzip', 'gzip', 'zstd']);
                if (random.chance(0.4))
                    request.slices = Array.from({ length: 3 }, () => 1 + random.below(9_000));
                request.times = random.chance(0.15) ? 2 : 1;
                requests.push(request);
            }
        }
        return this.shuffled(requests);
    }
}

// ---- the test ----

// Nodes tell each other in their own time, but who asks for it is told the truth.
const strong = (path) => `${path}${path.includes('?') ? '&' : '?'}consistency=strong`;

async function assertAllShown(server, runs, ids) {
    for (let at = 0; at < ids.length; at += 100) {
        const some = ids.slice(at, at + 100);
        const answer = await server.post(strong('/runs/batch'), some);
        assert.equal(answer.status, 200, answer.text);
        const shown = rawElements(rawMember(answer.text, 'runs'));
        assert.equal(shown.length, some.length);
        for (const [i, id] of some.entries()) assertShown(shown[i], runs, id);
    }
}

// One by one, twice: the second comes out of a cache.
async function assertEachShown(server, runs, ids) {
    for (const id of [...ids, ...ids]) {
        const answer = await server.get(strong(`/runs/${id}`));
        assert.equal(answer.status, 200, answer.text);
        assertShown(answer.text, runs, id);
    }
}

// The pages of a query, ids only; newest first.
async function found(server, query) {
    const ids = [];
    let last = null;
    for (let cursor; ;) {
        const answer = await server.post(strong('/runs/query'), {
            ...query,
            cursor,
            select: ['id'],
        });
        assert.equal(answer.status, 200, answer.text);
        const { runs, cursors } = answer.json;
        for (const { id, start_time } of runs) {
            const key = [instant(start_time), id];
            if (last) assert.ok(last[0] > key[0] || (last[0] === key[0] && last[1] > id), id);
            last = key;
            ids.push(id);
        }
        cursor = cursors.next;
        if (!cursor || runs.length === 0) return ids.sort();
    }
}

// Projects and traces find the runs that are theirs, all of them, once.
async function assertFound(server, runs) {
    const group = (key) => {
        const groups = new Map();
        for (const id of runs.ids()) {
            const of = key(id);
            groups.set(of, [...(groups.get(of) ?? []), id]);
        }
        return groups;
    };
    const projects = group((id) => runs.value(id, 'session_name') ?? 'default');
    for (const [name, ids] of projects) {
        const [project] = (await server.get(strong(`/sessions?name=${encodeURIComponent(name)}`)))
            .json;
        assert.deepEqual(await found(server, { session: [project.id] }), ids.sort(), name);
    }
    for (const [trace, ids] of group((id) => runs.trace(id)))
        assert.deepEqual(await found(server, { trace }), ids.sort(), trace);
}

// Packs say what the segments said, and an index made of them what the old one did.
async function assertRebuilt(server, runs) {
    await server.restart({ flags: ['--seal-idle', '100ms'] });
    await sealed(server);
    await assertAllShown(server, runs, runs.ids());
    await server.stop();
    const made = await command(['reindex', '--data', server.data]);
    assert.equal(made.code, 0, String(made.stderr));
    await server.up();
    await assertAllShown(server, runs, runs.ids());
    await assertFound(server, runs);
}

describe('layers in any order', () => {
    for (const seed of seeds)
        it(`seed ${seed}`, async () => {
            const server = await Server.start();
            // Where everything is shared, another node is told half of it.
            const nodes = [server];
            if (mode === 'production') nodes.push(await Server.start({ place: server.place }));
            const sayings = new Sayings(seed);
            const node = () => sayings.random.one(nodes);
            const runs = new Runs();
            while (!sayings.done()) {
                const operations = sayings.step();
                const requests = sayings.requests(operations);
                for (const request of requests) request.to = node();
                await atOnce(requests, CONNECTIONS, async (request) => {
                    for (let i = 0; i < request.times; i++) {
                        const { status, text } = await send(request.to, request);
                        assert.equal(status, 202, `${request.path}: ${text}`);
                    }
                });
                for (const one of operations) runs.add(one);
                const some = sayings.shuffled(runs.ids()).slice(0, 40);
                await assertEachShown(node(), runs, some);
            }
            assert.equal(runs.ids().length, RUNS);
            for (const one of nodes) {
                await assertAllShown(one, runs, runs.ids());
                await assertFound(one, runs);
            }

            await server.restart();
            await assertAllShown(server, runs, runs.ids());
            await assertFound(server, runs);
            if (mode === 'embedded') await assertRebuilt(server, runs);
            for (const other of nodes.slice(1)) await other.stop();
            await server.close();
        });
});
