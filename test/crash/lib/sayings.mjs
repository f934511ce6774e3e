// sayings.mjs - requests as the LangSmith SDKs send them, without an end: posts and patches
// of runs, mostly apart and sometimes the patch first, attachments, feedback, deletes.
//
// What is under way at the same time commutes, so it is known what comes of it in whatever
// order it is taken: of a run at most one post, one patch and one attachment; a delete is
// alone with its trace, or its project.  And each layer can be seen once it is there, until
// there is another of its kind: only posts say `serialized`, only patches say `tags`, each
// something else.
//
// A request is what send.mjs sends, with `effects` (truth.mjs) and what it `holds`; whoever
// took it gives it back with release().
import { uuid } from '../../e2e/lib/client.mjs';
import { asObject, batch, multipart, single } from '../../e2e/lib/send.mjs';

const OPEN = 60; // runs of which there is more to say
const FAMILY = 12; // most runs of a trace
const DOOMED = 'doomed'; // projects that are deleted, and made anew by runs that name them
const names = ['project 0', 'project 1', 'project 2', `${DOOMED} 0`, `${DOOMED} 1`];
const nothing = { type: 'application/json', body: Buffer.alloc(0) };
const plans = [
    ['post', 'patch'],
    ['post', 'patch'],
    ['post', 'patch'],
    ['patch', 'post'],
    ['post', 'patch', 'patch'],
    ['post', 'post', 'patch'],
    ['patch', 'post', 'patch'],
    ['post'],
    ['patch'],
];

export class Sayings {
    constructor(random, truth) {
        this.random = random;
        this.truth = truth;
        this.text = Buffer.from(
            Array.from({ length: 1 << 20 }, () => 97 + random.below(26)),
        ).toString();
        this.projects = [...names, null].map((name) => ({
            name,
            id: null,
            under: 0,
            alone: false,
        }));
        this.open = [];
        this.said = []; // runs of which something was said, to come back to
        this.held = new Set();
        this.number = 0;
        this.epoch = Date.now() - 1_000_000;
    }

    // ---- runs ----

    newRun() {
        const { random } = this;
        const back = this.said.length > 0 && random.chance(0.75);
        const near = back ? random.one(this.said.slice(-40)) : null;
        const parent = near?.family.runs.length < FAMILY ? near : null;
        const id = uuid(random.chance(0.5) ? Date.now() : null);
        const family = parent?.family ?? {
            trace: id,
            project: random.one(this.projects),
            runs: [],
            under: 0,
            alone: false,
        };
        const run = { id, parent, family, plan: [...random.one(plans)] };
        run.start = this.epoch + random.below(1_000_000);
        family.runs.push(run);
        this.open.push(run);
        return run;
    }

    order({ id, start, parent }, shifted = 0) {
        const time = new Date(start + shifted).toISOString().replace(/[-:.]/g, '');
        const own = `${time.replace('Z', '001Z')}${id}`;
        return parent ? `${this.order(parent)}.${own}` : own;
    }

    some(n) {
        const at = this.random.below(this.text.length - n);
        return this.text.slice(at, at + n);
    }

    payload() {
        const { random } = this;
        if (random.chance(0.15)) return random.one(['{}', '{ }']);
        const size = random.chance(0.01) ? 300_000 : random.one([0, 20, 100, 400, 3000]);
        return `{"n": ${random.below(1000)}, "x":1e2,"text":"${this.some(size)}"}`;
    }

    time(ms) {
        const iso = new Date(ms).toISOString();
        return this.random.one([`${ms}`, `"${iso}"`, `"${iso.slice(0, -1)}004+00:00"`]);
    }

    project(run, fields) {
        const { random } = this;
        const { name } = run.family.project;
        const is = this.truth.exists(run.id) && this.truth.runs.value(run.id, 'session_name');
        if (is && random.chance(0.1)) fields.set('session_name', '"another"');
        else if (name && (name.startsWith(DOOMED) || random.chance(0.6)))
            fields.set('session_name', JSON.stringify(name));
    }

    layer(run, op, alone) {
        const { random } = this;
        const fields = new Map([['id', `"${run.id}"`]]);
        const say = (chance, name, json) => {
            if (random.chance(chance)) fields.set(name, random.chance(0.05) ? 'null' : json());
        };
        if (!alone || random.chance(0.7)) {
            fields.set('trace_id', `"${run.family.trace}"`);
            fields.set('dotted_order', `"${this.order(run, random.chance(0.1) ? 5 : 0)}"`);
        }
        if (run.parent) fields.set('parent_run_id', `"${run.parent.id}"`);
        this.project(run, fields);
        say(0.7, 'name', () => `"${op} ${random.below(9)}"`);
        say(0.5, 'run_type', () => `"${random.one(['llm', 'chain', 'tool'])}"`);
        // Mostly as before; else far enough to pass others.
        const moved = random.chance(0.3) ? random.below(500_000) : random.below(3);
        say(0.7, 'start_time', () => this.time(run.start + moved));
        const end = run.start + 1000 + random.below(9000);
        say(op === 'patch' ? 0.8 : 0.1, 'end_time', () => this.time(end));
        say(0.7, 'inputs', () => this.payload());
        say(0.6, 'outputs', () => this.payload());
        const metadata = `{"thread_id":"t${random.below(9)}","k":${random.below(9)}}`;
        say(0.5, 'extra', () => `{"metadata":${metadata}}`);
        say(0.2, 'events', () => random.one(['[]', '[{"name":"start","time":1}]']));
        say(0.2, 'error', () => random.one(['""', '"it failed"']));
        const mark = `${this.number++}`;
        if (op === 'post') fields.set('serialized', `{"mark":"${mark}"}`);
        else fields.set('tags', `["mark ${mark}"]`);
        return { does: 'layer', op, id: run.id, fields };
    }

    file(run) {
        const { random } = this;
        const size = random.chance(0.02) ? 900_000 : random.one([1, 100, 5000, 60_000]);
        return {
            does: 'file',
            op: 'attachment',
            id: run.id,
            name: `file ${random.below(4)}`,
            type: random.one(['image/png', 'text/plain']),
            body: Buffer.from(`${this.number++} ${this.some(size)}`),
        };
    }

    feedback(run) {
        const key = `key ${this.random.below(3)}`;
        const score = this.random.below(100) / 100;
        return { does: 'feedback', id: uuid(), run: run.id, key, score };
    }

    // ---- who may speak now ----

    isFree({ family }) {
        return !family.alone && !family.project.alone;
    }

    hold(holds, run, what) {
        const key = `${run.id} ${what}`;
        if (!this.isFree(run) || this.held.has(key)) return false;
        this.held.add(key);
        run.family.under++;
        run.family.project.under++;
        holds.push(() => {
            this.held.delete(key);
            run.family.under--;
            run.family.project.under--;
        });
        return true;
    }

    holdAlone(holds, group) {
        if (group.under > 0 || group.alone) return false;
        group.alone = true;
        holds.push(() => (group.alone = false));
        return true;
    }

    release({ holds }) {
        for (const letGo of holds) letGo();
    }

    // ---- requests ----

    next() {
        const { random } = this;
        if (random.chance(0.04)) return this.delete() ?? this.layers();
        return random.chance(0.04) ? (this.alone() ?? this.layers()) : this.layers();
    }

    layers() {
        const { random } = this;
        const kind = random.one(['multipart', 'multipart', 'multipart', 'batch', 'single']);
        const count = kind === 'single' ? 1 : random.one([1, 1, 2, 5, 20]);
        const request = { effects: [], holds: [] };
        while (this.open.length < OPEN) this.newRun();
        for (let tries = 0; tries < 4 * OPEN && request.effects.length < count; tries++)
            this.addLayer(request, kind);
        if (kind === 'multipart') this.addBeside(request);
        return request.effects.length === 0 ? null : this.packed(request, kind);
    }

    addLayer({ effects, holds }, kind) {
        const run = this.random.one(this.open);
        const at = run.plan.findIndex((op) => !this.held.has(`${run.id} ${op}`));
        if (at < 0 || !this.hold(holds, run, run.plan[at])) return;
        const [op] = run.plan.splice(at, 1);
        effects.push(this.layer(run, op, kind === 'single'));
        if (run.plan.length > 0) return;
        this.open.splice(this.open.indexOf(run), 1);
        this.said.push(run);
    }

    // Attachments and feedback, of these runs or of others.
    addBeside({ effects, holds }) {
        const { random } = this;
        for (let i = random.one([0, 0, 0, 1, 2]); i > 0; i--) {
            const old = this.said.length > 0 && random.chance(0.2);
            const run = random.one(old ? this.said.slice(-500) : this.open);
            if (random.chance(0.5)) {
                if (this.hold(holds, run, 'file')) effects.push(this.file(run));
            } else if (this.hold(holds, run, `feedback ${this.number++}`)) {
                effects.push(this.feedback(run));
            }
        }
    }

    packed(request, kind) {
        const { random } = this;
        const operations = request.effects.map((effect) => {
            const { does, id } = effect;
            if (does === 'file') return { id, files: [effect] };
            return does === 'layer' ? effect : { op: does, id, fields: given(effect, this.truth) };
        });
        Object.assign(
            request,
            kind === 'multipart'
                ? multipart(operations, {
                      python: random.chance(0.5),
                      boundary: `--b${random.below(1e9)}`,
                  })
                : kind === 'batch'
                  ? batch(operations)
                  : single(operations[0]),
        );
        request.coding = random.one(['plain', 'gzip']);
        if (random.chance(0.3)) request.slices = [1 + random.below(9000), 1 + random.below(90_000)];
        return request;
    }

    // Feedback by itself, given or taken back.
    alone() {
        const { random, truth } = this;
        const request = { effects: [], holds: [], ...nothing };
        const run = this.said.length ? random.one(this.said) : null;
        if (!run || !truth.shows(run.id) || !this.hold(request.holds, run, 'feedback')) return null;
        const [old] = random.chance(0.4) ? truth.feedbackOf(run.id) : [];
        if (old) {
            request.effects.push({ does: 'forget', id: old.id, run: run.id });
            return Object.assign(request, { method: 'DELETE', path: `/feedback/${old.id}` });
        }
        const feedback = this.feedback(run);
        request.effects.push(feedback);
        request.body = Buffer.from(asObject(given(feedback, truth)));
        return Object.assign(request, { method: 'POST', path: '/feedback' });
    }

    delete() {
        const { random, truth } = this;
        const request = { effects: [], holds: [], method: 'DELETE', ...nothing };
        const project = random.one(this.projects);
        if (project.name?.startsWith(DOOMED) && this.deleteProject(request, project))
            return request;
        const run = this.said.length ? random.one(this.said.slice(-300)) : null;
        if (!run || !truth.shows(run.id) || run.family.project.alone) return null;
        if (!this.holdAlone(request.holds, run.family)) return null;
        run.family.project.under++; // it may not go meanwhile
        request.holds.push(() => run.family.project.under--);
        const trace = truth.runs.trace(run.id);
        const whole = random.chance(0.3) && trace === run.family.trace;
        const id = whole ? trace : run.id;
        request.effects.push({ does: whole ? 'delete trace' : 'delete run', id });
        request.path = whole ? `/runs?trace_id=${id}` : `/runs/${id}`;
        return request;
    }

    // False: its id is not known, or somebody says something of its runs.
    deleteProject(request, project) {
        const { id, name } = project;
        if (!id || !this.holdAlone(request.holds, project)) return false;
        project.id = null;
        request.effects.push({ does: 'delete project', id, name });
        request.path = `/sessions/${id}`;
        return true;
    }
}

// The fields of a feedback.
function given({ id, run, key, score }, truth) {
    const trace = truth.runs.all.has(run) ? truth.runs.trace(run) : run;
    return new Map([
        ['id', `"${id}"`],
        ['run_id', `"${run}"`],
        ['trace_id', `"${trace}"`],
        ['key', `"${key}"`],
        ['score', `${score}`],
    ]);
}
