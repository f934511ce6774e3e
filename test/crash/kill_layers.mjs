// kill_layers.mjs - kill -9 at random moments while runs arrive in layers, again and again.
//
//   node test/crash/kill_layers.mjs [cycles]     15 cycles by default, or $CYCLES
//   SEED=7 node test/crash/kill_layers.mjs       the same choices again (timing is not ours)
//
// Several clients send what the LangSmith SDKs send (lib/sayings.mjs) until the server is
// killed, sometimes again before it listens.  Segments are small and are sealed all the
// time.  After every start:
//
//   - a request that was not answered is there whole or not at all: layers, attachments,
//     feedback, deletes; most are sent again, and one that was there is a duplicate
//   - every run shows what all acknowledged layers say together, in every field: all that
//     something was said of since the last start, and some of those before
//   - attachments have their bytes, feedback is listed once, what was deleted is hidden
//   - a project finds its runs, each once, newest first, and counts as many
//   - received = stored + merged + duplicate + refused
//
// At the end all of it for everything: of a server that took layers and runs on, after one
// more kill, and after `rundlet verify` (which is clean) and `rundlet reindex`, once from
// segments and packs, once from packs alone.  With another RUNDLET_MODE there is nothing to
// verify and to make anew.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { dice, rawElements, rawMember } from '../e2e/lib/client.mjs';
import { assertShown, instant } from '../e2e/lib/merge.mjs';
import { atOnce, send } from '../e2e/lib/send.mjs';
import { Server, mode, run as command, sealed } from '../e2e/lib/server.mjs';
import { Sayings } from './lib/sayings.mjs';
import { Truth } from './lib/truth.mjs';

const cycles = Number(process.argv[2] ?? process.env.CYCLES ?? 15);
const seed = Number(process.env.SEED ?? randomBytes(4).readUInt32LE());
const CLIENTS = 8;
const CYCLE_REQUESTS = 800; // so that it ends in a minute
const READ_RUNS = 100;
const SAMPLE = 200;
const flags = ['--loops', '2', '--segment-size', '1MiB', '--disk-reserve', '0'];
if (mode === 'embedded') flags.push('--seal-idle', '100ms');

const random = dice(seed);
const truth = new Truth();
const sayings = new Sayings(random, truth);
const touched = new Set(); // runs, since the last look
const seen = {
    killed: 0,
    recovery: 0,
    requests: 0,
    layers: 0,
    files: 0,
    feedback: 0,
    deletes: 0,
    early: 0, // patches of runs that nobody had posted
    merged: 0, // layers of runs that were there
    refused: 0,
    whole: 0,
    absent: 0,
    retried: 0,
    replayed: 0, // entries of the log that a start brought back into the index
    slowest: 0,
};
let unanswered = []; // requests that were under way when the server died
let server;

// ---- sending ----

function took(request) {
    for (const effect of request.effects) {
        const { does, op, id, run } = effect;
        if (does === 'layer') {
            seen.layers++;
            const there = truth.exists(id);
            if (there) seen.merged++;
            else if (op === 'patch') seen.early++;
        } else if (does === 'file') seen.files++;
        else if (does === 'feedback') seen.feedback++;
        else seen.deletes++;
        for (const one of aboutRuns(effect)) touched.add(one);
        if (run) touched.add(run);
        truth.apply(effect);
    }
    seen.requests++;
}

// The runs that an effect changes; before it is applied.
function aboutRuns({ does, id, run, name }) {
    if (does === 'delete trace') return truth.inTrace(id);
    if (does === 'delete project') return truth.inProject(name);
    return [run ?? id];
}

const accepted = (request, status) => status === (request.path.startsWith('/feedback') ? 200 : 202);

async function sendOne(request) {
    let answer;
    try {
        answer = await send(server, request);
    } catch {
        unanswered.push(request);
        return;
    }
    const { status, text } = answer;
    if (accepted(request, status)) took(request);
    else if (status === 429 || status === 503) seen.refused++;
    else assert.fail(`${request.method} ${request.path}: ${status} ${text.slice(0, 300)}`);
    sayings.release(request);
}

// Clients talk for a while; `end` is called while they still do.
async function talk(ms, end = null) {
    let left = CYCLE_REQUESTS;
    let going = true;
    const client = async () => {
        while (going && left-- > 0) {
            const request = sayings.next();
            if (request) await sendOne(request);
        }
    };
    const ended = new Promise((resolve) => setTimeout(resolve, ms)).then(() => {
        going = false;
        return end?.();
    });
    await Promise.all([...Array.from({ length: CLIENTS }, client), ended]);
}

async function kill() {
    assert.equal(server.exited, null, 'it ended by itself');
    await server.kill();
    seen.killed++;
}

// ---- is it there? ----

async function shown(id) {
    const answer = await server.get(`/runs/${id}`);
    assert.ok(answer.status === 200 || answer.status === 404, `${id}: ${answer.status}`);
    return answer.status === 200 ? answer : null;
}

const isThere = async (path) => (await server.get(path)).status === 200;

// Of several that go together: all, none, or null when there are none.
async function allOrNone(ids, what) {
    const there = new Set();
    for (const id of ids) there.add((await shown(id)) !== null);
    assert.ok(there.size < 2, `half of ${what} is there`);
    return there.size === 0 ? null : there.has(true);
}

async function download(at, file) {
    const { pathname, search } = new URL(at.presigned_url, server.url);
    const answer = await server.get(`${pathname}${search}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.headers['content-type'] === file.type && file.body.equals(answer.body);
}

// Did this effect happen?  null: nobody can see that.  `then`: the truth if all that was not
// answered did; what that hides may be hidden already.
async function happened(effect, then) {
    const { does, op, id, run, fields, name } = effect;
    if (does === 'forget') return !(await isThere(`/feedback/${id}`));
    if (does === 'feedback') return then.isGone(run) ? null : isThere(`/feedback/${id}`);
    if (does.startsWith('delete')) {
        const runs = does === 'delete run' ? [id] : aboutRuns(effect);
        const there = await allOrNone(runs, `${does} ${id}`);
        if (does !== 'delete project') return there === null ? null : !there;
        const project = await isThere(`/sessions/${id}`);
        if (there !== null) assert.equal(there, project, `project ${name} and its runs`);
        return !project;
    }
    if (then.isGone(id)) return null;
    const answer = await shown(id);
    if (does === 'file') {
        const at = answer?.json.s3_urls?.[`attachment.${name}`];
        return answer ? at !== undefined && (await download(at, effect)) : null;
    }
    if (!answer) return false;
    const mark = op === 'post' ? 'serialized' : 'tags';
    return rawMember(answer.text, mark) === fields.get(mark);
}

async function settle() {
    const then = truth.copy();
    for (const effect of unanswered.flatMap(({ effects }) => effects)) then.apply(effect);
    for (const request of unanswered) {
        const signs = [];
        for (const effect of request.effects) signs.push(await happened(effect, then));
        const what = () =>
            `${request.method} ${request.path}: ${request.effects
                .map(({ does, op, id }, i) => `${does} ${op ?? ''} ${id} ${signs[i]}`)
                .join(', ')}`;
        const known = new Set(signs.filter((sign) => sign !== null));
        assert.ok(known.size < 2, `what was not answered is there in part: ${what()}`);
        const there = known.has(true);
        if (known.size > 0) seen[there ? 'whole' : 'absent']++;
        if (there) took(request);
        // Not there, it must never come.
        for (const effect of request.effects)
            for (const id of aboutRuns(effect)) touched.add(id);
        if (known.size === 0 || random.chance(0.6)) await retry(request, there, what);
        sayings.release(request);
    }
    unanswered = [];
}

const isLayers = ({ effects }) => effects.every(({ does }) => does === 'layer' || does === 'file');

async function retry(request, there, what) {
    const before = await server.metrics();
    const { status, text } = await send(server, request);
    const gone = request.method === 'DELETE' && there && status === 404;
    assert.ok(gone || accepted(request, status), `again ${what()}: ${status} ${text}`);
    const after = await server.metrics();
    const grew = (name) => after.get(name) - before.get(name);
    if (there && isLayers(request)) {
        const count = grew('rundlet_runs_duplicate_total');
        assert.equal(count, request.effects.length, `twice: ${what()}`);
    }
    seen.retried++;
    if (!there) took(request);
}

// ---- what must be shown ----

async function compareRuns(ids) {
    for (let at = 0; at < ids.length; at += READ_RUNS) {
        const some = ids.slice(at, at + READ_RUNS);
        const answer = await server.post('/runs/batch', some);
        assert.equal(answer.status, 200, answer.text);
        const texts = rawElements(rawMember(answer.text, 'runs'));
        const got = texts.map((text) => JSON.parse(rawMember(text, 'id')));
        assert.deepEqual(
            got,
            some.filter((id) => truth.shows(id)),
        );
        for (const [i, text] of texts.entries()) {
            assertShown(text, truth.runs, got[i]);
            await compareFiles(JSON.parse(rawMember(text, 's3_urls') ?? '{}') ?? {}, got[i]);
        }
    }
}

async function compareFiles(urls, id) {
    const files = truth.runs.files(id);
    assert.deepEqual(
        Object.keys(urls).sort(),
        [...files.keys()].map((name) => `attachment.${name}`).sort(),
        `attachments of ${id}`,
    );
    for (const [name, file] of files)
        assert.ok(await download(urls[`attachment.${name}`], file), `bytes of ${name} of ${id}`);
}

async function compareFeedback(ids) {
    for (let at = 0; at < ids.length; at += 20) {
        const some = ids.slice(at, at + 20);
        const of = some.map((id) => `run=${id}`).join('&');
        const answer = await server.get(`/feedback?limit=100&${of}`);
        assert.equal(answer.status, 200, answer.text);
        const row = (id, run, key, score) => `${id} of ${run}: ${key} ${score}`;
        const want = some.flatMap((run) =>
            truth.feedbackOf(run).map(({ id, key, score }) => row(id, run, key, score)),
        );
        const got = answer.json.map(({ id, run_id, key, score }) => row(id, run_id, key, score));
        assert.deepEqual(got.sort(), want.sort());
    }
}

// The pages of a project, newest first: ids.
async function listed(session) {
    const ids = [];
    let last = null;
    for (let cursor; ;) {
        const answer = await server.post('/runs/query', {
            session: [session],
            cursor,
            limit: 100,
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
        if (!cursor) return ids;
    }
}

// Microseconds.  Who did not say when it began, began when it came: that is later.
function startOf(run) {
    const said = truth.runs.value(run, 'start_time');
    return said === undefined ? Infinity : instant(said);
}

async function compareProject(name) {
    const answer = await server.get(`/sessions?name=${encodeURIComponent(name)}`);
    const want = truth.inProject(name).sort();
    assert.ok(answer.json.length < 2, `several projects ${name}`);
    if (answer.json.length === 0) {
        assert.deepEqual(want, [], `project ${name}`);
        return;
    }
    const [{ id }] = answer.json;
    assert.ok(!truth.goneProjects.has(id), `project ${name} was deleted and is there`);
    assert.deepEqual((await listed(id)).sort(), want, `runs of ${name}`);
    const since = new Date(sayings.epoch + random.below(1_000_000));
    const late = want.filter((run) => startOf(run) >= since.getTime() * 1000);
    for (const [start_time, runs] of [
        [undefined, want],
        [since.toISOString(), late],
    ]) {
        const stats = await server.post('/runs/stats', { session: [id], start_time });
        const { run_count } = stats.json;
        assert.equal(run_count, runs.length, `runs in ${name} since ${start_time}`);
    }
}

const names = () => sayings.projects.map(({ name }) => name ?? 'default');

// Those that may be deleted are deleted by id.
async function lookUpProjects() {
    for (const project of sayings.projects) {
        if (!project.name) continue;
        const { json } = await server.get(`/sessions?name=${encodeURIComponent(project.name)}`);
        project.id = json[0]?.id ?? null;
    }
}

async function balance() {
    const m = await server.metrics();
    const of = (name) => m.get(`rundlet_runs_${name}_total`);
    assert.equal(of('received'), of('stored') + of('merged') + of('duplicate') + of('refused'));
    assert.equal(m.get('rundlet_store_corrupt_total'), 0, 'stored bytes failed their check');
}

async function look() {
    await settle();
    const all = [...truth.runs.all.keys()];
    const sample = Array.from({ length: Math.min(all.length, SAMPLE) }, () => random.one(all));
    const ids = [...new Set([...touched, ...sample])];
    await compareRuns(ids);
    await compareFeedback(ids);
    for (const name of [random.one(names()), random.one(names())]) await compareProject(name);
    await balance();
    await lookUpProjects();
    touched.clear();
}

async function everything() {
    const ids = [...truth.runs.all.keys()];
    await compareRuns(ids);
    const fed = [...truth.feedback.values()].map(({ run }) => run);
    await compareFeedback([...new Set([...ids, ...fed])]);
    for (const name of names()) await compareProject(name);
    for (const id of truth.goneProjects)
        assert.ok(!(await isThere(`/sessions/${id}`)), `project ${id} was deleted and is there`);
    const sessions = (await server.get('/sessions?limit=100')).json.map(({ name }) => name);
    assert.equal(new Set(sessions).size, sessions.length, `${sessions}`);
    await balance();
}

// ---- the loop ----

async function start() {
    const began = Date.now();
    await server.up();
    seen.slowest = Math.max(seen.slowest, Date.now() - began);
    seen.replayed += (await server.metrics()).get('rundlet_replayed_runs_total');
}

// Begin to start, and be killed before (or just when) it is done.
async function killWhileStarting(ms) {
    const starting = server.up().then(
        () => true,
        () => false,
    );
    await new Promise((resolve) => setTimeout(resolve, ms));
    await server.kill();
    if (!(await starting)) seen.recovery++;
    assert.equal(server.exited.signal, 'SIGKILL', 'it ended by itself while starting');
}

async function stop() {
    assert.deepEqual(await server.stop(), { code: 0, signal: null }, 'SIGTERM');
}

async function succeeds(...args) {
    const { code, stdout, stderr } = await command(args, { timeout: 300_000 });
    assert.equal(code, 0, `${args[0]}: ${stdout}${stderr}`);
}

// Look through all files, make the index anew, and start again.
async function rebuilt() {
    await stop();
    await succeeds('verify', '--data', server.data);
    await succeeds('reindex', '--data', server.data);
    await start();
    await everything();
}

async function main() {
    server = await Server.start({ flags });
    for (let cycle = 1; cycle <= cycles; cycle++) {
        await talk(5 + random.below(random.one([100, 500, 1500])), kill);
        while (random.chance(0.4)) await killWhileStarting(random.below(random.one([60, 300])));
        await start();
        await look();
    }
    // What it makes of layers while it runs, and what it finds of them after a start.
    await talk(1000);
    await everything();
    await kill();
    await start();
    await everything();
    if (mode === 'embedded') {
        await rebuilt();
        await sealed(server);
        await rebuilt();
    }
    await stop();
    await server.clear();
}

// A loop that met none of what it is about has shown nothing.
function assertMet() {
    for (const [what, least] of Object.entries({
        whole: 1,
        absent: 1,
        retried: 1,
        merged: 100,
        early: 10,
        files: 10,
        feedback: 10,
        deletes: 5,
    }))
        assert.ok(seen[what] >= least, `${what}: only ${seen[what]}`);
}

console.log(`seed ${seed}, ${cycles} cycles`);
const began = Date.now();
try {
    await main();
    console.log(
        Object.entries(seen)
            .map(([what, n]) => `${what} ${n}`)
            .join(', ') +
            `; ${truth.runs.ids().length} runs, ${truth.shown().length} shown; ` +
            `${Math.round((Date.now() - began) / 1000)} s`,
    );
    if (cycles >= 10) assertMet();
} catch (error) {
    console.log(`not ok - ${error.stack}`);
    console.log(`seed ${seed}, data in ${server?.data}, log:\n${server?.tail()}`);
    console.log('suite: 0 passed, 1 failed, 0 skipped');
    process.exit(1); // which ends the server too
}
console.log(`ok - ${cycles} cycles, every layer is where it belongs`);
console.log('suite: 1 passed, 0 failed, 0 skipped');
