// kill.mjs - kill -9 at random moments of ingest, of sealing and of recovery, again and again.
//
//   node test/crash/kill.mjs [cycles]     50 cycles by default, or $CYCLES
//   SEED=7 node test/crash/kill.mjs       the same choices again (timing is not ours)
//
// Several clients post batches of mixed sizes, some with ids of their own and
// some without, some of them contested: the same id, other bytes, at once.  At
// a random moment the server is killed, sometimes again before it listens or soon
// after.  Segments are small and are sealed all the time, now slowly, now as fast
// as it goes, so that many kills fall into a sealing.  After every start:
//
//   - every run that was acknowledged is there, byte for byte: all of the last
//     cycle, and a growing sample of those before; at the end all of them
//   - a batch that was not answered is there whole or not at all, and its retry
//     with the same bytes is 201
//   - of contested contents exactly one is there, the same for ever, and never
//     one that was answered 409
//   - a search by trace finds the same runs with the same bytes
//   - received = stored + merged + duplicate + refused
//   - what a killed sealing left is gone: half a pack at once, a segment whose
//     pack is there soon
//
// At the end `rundlet verify` is clean, and after `rundlet reindex` all is the same:
// once from segments and packs, and once all is sealed from packs alone.
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dice, rawElements, rawMember, uuid } from '../e2e/lib/client.mjs';
import { Server, run as command } from '../e2e/lib/server.mjs';

const cycles = Number(process.argv[2] ?? process.env.CYCLES ?? 50);
const seed = Number(process.env.SEED ?? randomBytes(4).readUInt32LE());
const CLIENTS = 6;
const CYCLE_BYTES = 10 << 20; // sent in one cycle; so that it ends in minutes
const READ_RUNS = 1000;
const READ_BYTES = 16 << 20;
const LEFT_MS = 20_000; // until a segment whose pack is there must be gone
const SEALED_MS = 120_000; // until all is sealed, at the end
const flags = ['--loops', '2', '--segment-size', '1MiB', '--disk-reserve', '0'];
flags.push('--seal-idle', '100ms'); // and so often it looks what there is to seal

const random = dice(seed);
const pool = randomBytes(3 << 20).toString('base64');
const hash = (bytes) => createHash('sha1').update(bytes).digest('latin1');

const batches = []; // acknowledged: { trace, runs: [{ id, size, sum, inputs }] }
const contested = new Map(); // id -> { trace, winner: index or null, lost: Set, variants: [body] }
let unanswered = []; // what was under way when the server died
const seen = {
    killed: 0,
    recovery: 0,
    whole: 0,
    absent: 0,
    conflicts: 0,
    refused: 0,
    retried: 0,
    runs: 0,
    slowest: 0,
    halves: 0,
    pairs: 0,
    fresh: [],
};
let server;

function broken(what) {
    console.log(`not ok - ${what}`);
    console.log(`seed ${seed}, data in ${server?.data}, log:\n${server?.tail()}`);
    console.log('suite: 0 passed, 1 failed, 0 skipped');
    process.exit(1); // which ends the server too
}

// ---- what is sent ----

function text(n) {
    const at = random.below(pool.length - n);
    return pool.slice(at, at + n);
}

let number = 0;
function makeBatch() {
    const large = random.chance(0.01);
    const count = large ? 1 : random.one([1, 1, 1, 1, 10, 10, 10, 100, 100, 1000]);
    const own = random.chance(0.6);
    const trace = uuid();
    const batch = { own, trace, number: number++, runs: [] };
    const parts = [];
    for (let i = 0; i < count; i++) {
        const id = own ? uuid(random.chance(0.5) ? Date.now() : null) : null;
        const size = large ? 3 << 20 : random.one([0, 20, 100, 400, 2000]);
        const inputs = `{"batch":${batch.number},"i":${i},"n": 1e2,"text":"${text(size)}"}`;
        const rest = `"trace_id":"${trace}","name":"kill ${i % 7}","inputs":${inputs},"outputs":{"o":${i}},"metadata":{"m" :0.10}`;
        parts.push(id ? `{"id":"${id}",${rest}}` : `{${rest}}`);
        // What an answer has to begin with; the id comes later where the server makes it.
        batch.runs.push({ id, size: rest.length, restSum: hash(rest), inputs: hash(inputs) });
    }
    batch.body = Buffer.from(`[${parts.join()}]`);
    return batch;
}

function acknowledge(batch, ids) {
    if (ids.length !== batch.runs.length)
        broken(`batch of ${batch.runs.length} got ${ids.length} ids`);
    batch.runs.forEach((one, i) => {
        if (one.id && one.id !== ids[i]) broken(`sent id ${one.id}, answered ${ids[i]}`);
        one.id = ids[i];
    });
    batch.body = null;
    batches.push(batch);
    seen.fresh.push(batch);
    seen.runs += batch.runs.length;
}

async function postBatch() {
    const batch = makeBatch();
    sent += batch.body.length;
    let answer;
    try {
        answer = await server.post('/runs', batch.body);
    } catch {
        unanswered.push(batch);
        return;
    }
    if (answer.status === 201) acknowledge(batch, answer.json.run_ids);
    else if (answer.status === 429 || answer.status === 503) seen.refused++;
    else broken(`a batch was answered ${answer.status} ${answer.text.slice(0, 300)}`);
}

// The same id from several clients at once, each with bytes of its own.
async function contest() {
    const old = [...contested.keys()];
    let id = old.length && random.chance(0.4) ? random.one(old) : null;
    if (!id) {
        id = uuid();
        contested.set(id, { trace: uuid(), winner: null, lost: new Set(), variants: [] });
    }
    const it = contested.get(id);
    const post = async () => {
        const variant = it.variants.length;
        const inputs = `{"variant":${variant},"text":"${text(random.below(3000))}"}`;
        it.variants.push(inputs);
        // Beside it a run that must share its fate.
        const beside = uuid();
        const body = `[{"id":"${beside}","trace_id":"${it.trace}","name":"beside"},{"id":"${id}","trace_id":"${it.trace}","name":"contested","inputs":${inputs}}]`;
        it.beside = [...(it.beside ?? []), beside];
        sent += body.length;
        let answer;
        try {
            answer = await server.post('/runs', body);
        } catch {
            return;
        }
        if (answer.status === 201) {
            if (it.winner !== null)
                broken(`contested ${id}: ${it.winner} and ${variant} were both acknowledged`);
            it.winner = variant;
        } else if (answer.status === 409) {
            seen.conflicts++;
            it.lost.add(variant);
            if (answer.json.run_id !== id) broken(`the 409 names ${answer.json.run_id}, not ${id}`);
        } else if (answer.status !== 429 && answer.status !== 503) {
            broken(`a contested run was answered ${answer.status} ${answer.text.slice(0, 300)}`);
        }
    };
    await Promise.all(Array.from({ length: 2 + random.below(3) }, post));
}

// ---- what must be there ----

// Ask for runs by their ids and compare every byte up to the end of metadata.
async function compare(runs) {
    for (let at = 0; at < runs.length;) {
        const part = [];
        let bytes = 0;
        while (
            at < runs.length &&
            part.length < READ_RUNS &&
            (part.length === 0 || bytes + runs[at].size < READ_BYTES)
        ) {
            bytes += runs[at].size;
            part.push(runs[at++]);
        }
        const answer = await server.post(
            '/runs/batch',
            part.map((one) => one.id),
        );
        if (answer.status !== 200)
            broken(`reading ${part.length} runs: ${answer.status} ${answer.text.slice(0, 300)}`);
        const { body } = answer;
        let from = 0;
        for (const one of part) {
            const start = `{"id":"${one.id}",`;
            from = body.indexOf(start, from);
            if (from < 0) broken(`run ${one.id} was acknowledged and is not there`);
            const rest = body.subarray(from + start.length, from + start.length + one.size);
            if (hash(rest) !== one.restSum)
                broken(`run ${one.id} came back with other bytes: ${rest.subarray(0, 200)}`);
            if (body[from + start.length + one.size] !== 0x2c)
                broken(`run ${one.id}: metadata goes on after its end`);
            from += start.length + one.size;
        }
        if (!body.subarray(-40).toString().endsWith(`],"count":${part.length}}`))
            broken(`${part.length} runs asked for, the answer ends ${body.subarray(-40)}`);
    }
}

async function present(ids) {
    const answer = await server.post('/runs/batch', ids);
    if (answer.status !== 200) broken(`reading ids: ${answer.status} ${answer.text.slice(0, 300)}`);
    return Number(/"count":(\d+)\}$/.exec(answer.body.subarray(-40).toString())[1]);
}

async function traceCount(trace) {
    const answer = await server.get(`/runs/search?trace_id=${trace}&limit=1000`);
    if (answer.status !== 200) broken(`search: ${answer.status} ${answer.text.slice(0, 300)}`);
    return Number(rawMember(answer.text, 'count'));
}

async function settleUnanswered() {
    for (const batch of unanswered) {
        const n = batch.runs.length;
        const count = batch.own
            ? await present(batch.runs.map((one) => one.id))
            : await traceCount(batch.trace);
        if (count !== 0 && count !== n)
            broken(`a batch of ${n} that was not answered is there by ${count}`);
        if (count === n) seen.whole++;
        else seen.absent++;
        if (!batch.own) continue;
        const again = await server.post('/runs', batch.body);
        if (again.status !== 201)
            broken(`the retry of a batch was answered ${again.status} ${again.text.slice(0, 300)}`);
        seen.retried++;
        acknowledge(batch, again.json.run_ids);
    }
    unanswered = [];
}

async function settleContested() {
    for (const [id, it] of contested) {
        const answer = await server.get(`/runs/${id}/inputs`);
        if (answer.status === 404) {
            if (it.winner !== null) broken(`contested ${id}: the winner ${it.winner} is gone`);
            if (it.lost.size)
                broken(`contested ${id}: ${it.lost.size} got 409 and nobody is there`);
        } else if (answer.status !== 200) {
            broken(`contested ${id}: ${answer.status} ${answer.text}`);
        } else {
            const is = it.variants.indexOf(answer.text);
            if (is < 0) broken(`contested ${id}: what is there nobody sent`);
            if (it.lost.has(is))
                broken(`contested ${id}: variant ${is} was answered 409 and is there`);
            if (it.winner !== null && it.winner !== is)
                broken(`contested ${id}: ${it.winner} won, now it is ${is}`);
            it.winner = is;
        }
        // Of the runs beside, only the winner's is there.
        for (let at = 0; at < it.beside.length; at++) {
            const there = (await server.head(`/runs/${it.beside[at]}`)).status === 200;
            if (there !== (at === it.winner))
                broken(
                    `contested ${id}: the run beside variant ${at} is ${there ? 'there' : 'gone'}, the winner is ${it.winner}`,
                );
        }
    }
    // Old ones are settled; look at the newest hundred again next time.
    while (contested.size > 100) {
        const [id] = contested.keys();
        finished.push([id, contested.get(id)]);
        contested.delete(id);
    }
}
const finished = [];

async function searchAgrees(some) {
    for (const batch of some) {
        const answer = await server.get(`/runs/search?trace_id=${batch.trace}&limit=1000`);
        const found = rawElements(rawMember(answer.text, 'runs'));
        if (found.length !== batch.runs.length)
            broken(`trace ${batch.trace} has ${found.length} runs, not ${batch.runs.length}`);
        const want = new Set(batch.runs.map((one) => one.id));
        for (const one of found) want.delete(one.slice(7, 43));
        if (want.size) broken(`trace ${batch.trace} lacks ${[...want]}`);
        const one = random.below(found.length);
        const id = found[one].slice(7, 43);
        const got = await server.get(`/runs/${id}`);
        if (got.text !== found[one]) broken(`search and get disagree about ${id}`);
        const field = await server.get(`/runs/${id}/inputs`);
        if (hash(field.body) !== batch.runs.find((r) => r.id === id).inputs)
            broken(`the bytes of ${id}/inputs are others`);
    }
}

async function balance() {
    const m = await server.metrics();
    const of = (name) => m.get(`rundlet_runs_${name}_total`);
    const sum = of('stored') + of('merged') + of('duplicate') + of('refused');
    if (of('received') !== sum) broken(`received ${of('received')}, accounted for ${sum}`);
    if (m.get('rundlet_store_corrupt_total') !== 0) broken('stored bytes failed their check');
}

async function check(cycle) {
    await settleUnanswered();
    await settleContested();
    await compare(seen.fresh.flatMap((batch) => batch.runs));
    const some = Array.from({ length: Math.min(batches.length, 20 + 4 * cycle) }, () =>
        random.one(batches),
    );
    await compare(some.flatMap((batch) => batch.runs).slice(0, 3000 + 100 * cycle));
    if (batches.length) await searchAgrees([...some.slice(0, 8), ...seen.fresh.slice(-4)]);
    await balance();
    seen.fresh = [];
}

// ---- what sealing leaves ----

async function names(dir, ending) {
    const all = await readdir(join(server.data, dir));
    return all.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));
}

// Numbers of which both the segment and the pack are there.
async function pairs() {
    const packs = new Set(await names('packs', '.pack'));
    return (await names('segments', '.seg')).filter((number) => packs.has(number));
}

// After a kill.
async function countLeft() {
    seen.halves += (await names('packs', '.tmp')).length;
    seen.pairs += (await pairs()).length;
}

// Half a pack from before `began` must be gone when it listens; a new one may be there.
async function noHalves(began) {
    for (const number of await names('packs', '.tmp')) {
        const it = await stat(join(server.data, 'packs', `${number}.tmp`)).catch(() => null);
        if (it && it.ctimeMs < began - 50) broken(`${number}.tmp was left over a start`);
    }
}

async function until(what, ms, done) {
    const end = Date.now() + ms;
    while (!(await done())) {
        if (Date.now() > end) broken(`after ${ms} ms ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

async function noPairs(old) {
    const gone = async () => {
        const now = new Set(await names('segments', '.seg'));
        return !old.some((number) => now.has(number));
    };
    await until(`one of ${old} is there as segment and as pack`, LEFT_MS, gone);
}

// ---- the loop ----

function sealAt(rate) {
    server.flags = [...flags, '--seal-rate', rate];
}

async function start() {
    const began = Date.now();
    try {
        await server.up();
    } catch (error) {
        broken(`it did not start: ${error.message}`);
    }
    seen.slowest = Math.max(seen.slowest, Date.now() - began);
    await noHalves(began);
}

// Begin to start, and be killed before (or just when) it is done.
async function killWhileStarting(ms) {
    const starting = server.up().then(
        () => true,
        () => false,
    );
    await new Promise((resolve) => setTimeout(resolve, ms));
    await server.kill();
    await countLeft();
    if (!(await starting)) seen.recovery++;
    if (server.exited.signal !== 'SIGKILL')
        broken(`it ended by itself while starting: ${JSON.stringify(server.exited)}`);
}

let sent = 0;
async function ingest(ms) {
    sent = 0;
    let going = true;
    const client = async () => {
        while (going && sent < CYCLE_BYTES) await (random.chance(0.1) ? contest() : postBatch());
    };
    const clients = Array.from({ length: CLIENTS }, client);
    const killed = new Promise((resolve) => setTimeout(resolve, ms)).then(async () => {
        going = false;
        if (server.exited) broken(`it ended by itself: ${JSON.stringify(server.exited)}`);
        await server.kill();
    });
    await Promise.all([...clients, killed]);
    await countLeft();
    seen.killed++;
}

async function everything() {
    await compare(batches.flatMap((batch) => batch.runs));
    for (const [id, it] of finished) contested.set(id, it);
    finished.length = 0;
    await settleContested();
}

// The same questions, before and after.
const sample = [];
async function answers() {
    while (sample.length < Math.min(40, batches.length)) sample.push(random.one(batches));
    const all = [];
    for (const batch of sample) {
        all.push((await server.get(`/runs/search?trace_id=${batch.trace}&limit=1000`)).text);
        all.push((await server.get(`/runs/${batch.runs.at(-1).id}`)).text);
    }
    for (const limit of [1, 500])
        all.push((await server.get(`/runs/search?name=kill%203&limit=${limit}`)).text);
    return all;
}

// Stop it, look through all files, make the index anew, and start again.
async function verifyAndReindex(before) {
    const exit = await server.stop();
    if (exit.code !== 0) broken(`SIGTERM: ${JSON.stringify(exit)}`);
    if ((await names('packs', '.tmp')).length) broken('a sealing that was stopped left its half');
    const verify = await command(['verify', '--data', server.data], { timeout: 300_000 });
    if (verify.code !== 0) broken(`verify: ${verify.code} ${verify.stdout}${verify.stderr}`);
    const reindex = await command(['reindex', '--data', server.data], { timeout: 300_000 });
    if (reindex.code !== 0) broken(`reindex: ${reindex.code} ${reindex.stderr}`);
    await start();
    const after = await answers();
    for (let i = 0; i < before.length; i++)
        if (before[i] !== after[i]) broken(`after reindex answer ${i} differs`);
}

console.log(`seed ${seed}, ${cycles} cycles`);
const began = Date.now();
server = await Server.start({ flags: [...flags, '--seal-rate', '8MiB'] });
for (let cycle = 1; cycle <= cycles; cycle++) {
    const ms = 5 + random.below(random.one([50, 300, 900]));
    await ingest(ms);
    let again = 0;
    while (again < 3 && random.chance(0.4)) {
        again++;
        sealAt(random.one(['2MiB', '8MiB', '0']));
        await killWhileStarting(random.below(random.one([60, 60, 60, 300])));
    }
    sealAt(random.one(['2MiB', '8MiB', '0']));
    const old = await pairs();
    await start();
    const left = unanswered.length;
    await check(cycle);
    await noPairs(old);
    if (cycle % 10 === 0 || cycle === cycles)
        console.log(
            `cycle ${cycle}: killed after ${ms} ms and ${again} times while starting; ${left} batches under way; ${seen.runs} runs in ${Math.round((Date.now() - began) / 1000)} s`,
        );
}

await everything();
// Some that are not sealed, beside those that are.
await server.stop();
sealAt('1KiB');
await start();
for (sent = 0; sent < 4 << 20;) await postBatch();
const segments = (await names('segments', '.seg')).length;
const packs = (await names('packs', '.pack')).length;
sealAt('0');
await verifyAndReindex(await answers());
await until('there are segments yet', SEALED_MS, async () => {
    return (await names('segments', '.seg')).length === 0;
});
await verifyAndReindex(await answers());
await everything();
const sealed = (await names('packs', '.pack')).length;
await server.stop();
await rm(server.home, { recursive: true, force: true });

console.log(
    `killed ${seen.killed} times in ingest and ${seen.recovery} in recovery; ${seen.runs} runs acknowledged in ${batches.length} batches; ` +
        `not answered: ${seen.whole} whole, ${seen.absent} absent, ${seen.retried} retried; ${seen.conflicts} conflicts; ` +
        `${seen.refused} refused for load; ${segments} segments and ${packs} packs, ${sealed} when all was sealed; ` +
        `kills left ${seen.halves} half packs, and ${seen.pairs} segments beside their packs; ` +
        `slowest start ${seen.slowest} ms; ${Math.round((Date.now() - began) / 1000)} s`,
);
// A loop that met none of what it is about has shown nothing.
if (cycles >= 20) {
    if (seen.whole + seen.absent === 0) broken('no batch was ever under way when the server died');
    if (seen.recovery === 0) broken('no recovery was ever interrupted');
    if (seen.conflicts === 0) broken('nothing was ever contested');
    if (packs < 3 || segments < 2) broken(`only ${packs} packs and ${segments} segments`);
    if (seen.halves === 0) broken('no sealing was ever interrupted');
}
console.log(`ok - ${cycles} cycles, nothing acknowledged was lost or changed`);
console.log('suite: 1 passed, 0 failed, 0 skipped');
