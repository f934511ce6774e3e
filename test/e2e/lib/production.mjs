// production.mjs - a deployment: nodes over PostgreSQL, a bucket and Redis, with a
// proxy in front of each that can be told to fail; and a ledger of what was
// acknowledged, held against what is there afterwards.
//
//   const d = await Deployment.start({ nodes: 2, own: { postgres: { sync: true } } });
//   const ledger = await Ledger.begin(d);
//   const load = ledger.load({ clients: 4 });
//   d.postgres.hang(); ... await d.postgres.pass();
//   await load.stop();
//   await ledger.verify();
//   await d.close();
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Backend, newBucket, newDatabase, sharedUrl, through } from './backends.mjs';
import { dice, rawElements, rawMember, uuid } from './client.mjs';
import { HttpProxy, Proxy } from './proxy.mjs';
import { Server, mode, secrets } from './server.mjs';

export const MiB = 1 << 20;
export const RSS_MAX = 256 * MiB;
// The promise is 5 s; a machine under other load gets twice that.
export const BACK_MS = 10_000;

// Short, so that what never answers is known in seconds; all else as it comes.
const DEADLINES = ['--commit-timeout', '2s', '--s3-timeout', '3s', '--read-timeout', '3s'];
export const BRIEF = ['--commit-timeout', '1s', '--s3-timeout', '1s', '--read-timeout', '1s'];

// Ask until it is so; what it gave.  Fails with `what` when time is up.
export async function until(what, look, ms = 10_000) {
    const end = performance.now() + ms;
    for (;;) {
        const found = await look();
        if (found) return found;
        assert.ok(performance.now() < end, `not in ${ms} ms: ${what}`);
        await pause(10);
    }
}

// With RUNDLET_MODE=bucket+sqlite a deployment is one node, and its index in its directory.
const shared = mode !== 'bucket+sqlite';

export class Deployment {
    //   nodes   how many to start
    //   own     servers of its own, which can be killed: { postgres: { sync: true }, redis: {} }
    //   flags   further arguments of every node
    static async start({
        nodes = 1,
        own = {},
        deadlines = DEADLINES,
        flags = [],
        env = {},
    } = {}) {
        const d = new Deployment();
        d.flags = [...deadlines, ...flags];
        d.env = { ...secrets, RUNDLET_CACHE_SECRET: randomBytes(16).toString('hex'), ...env };
        d.nodes = [];
        d.own = {};
        for (const [kind, options] of Object.entries(own))
            d.own[kind] = await Backend.start(kind, options);
        d.database = shared ? await newDatabase(d.own.postgres) : null;
        d.store = await newBucket(d.own.s3);
        const redis = d.own.redis?.url ?? (await sharedUrl('redis'));
        d.postgres = shared ? await Proxy.start(d.database.port) : null;
        d.bucket = await HttpProxy.start(Number(new URL(d.store.endpoint).port));
        d.redis = await Proxy.start(Number(new URL(redis).port));
        d.place = {
            directory: !shared,
            env: d.env,
            flags: [
                '--objects',
                d.store.url(`http://${d.bucket.authority}`),
                '--cache',
                through(d.redis, redis),
            ],
        };
        if (shared) d.place.flags.push('--index', through(d.postgres, d.database.url));
        try {
            while (d.nodes.length < nodes) await d.add();
        } catch (error) {
            await d.close().catch(() => {});
            throw error;
        }
        return d;
    }

    // One more node.
    async add({ flags = [] } = {}) {
        const node = await Server.start({ place: this.place, flags: [...this.flags, ...flags] });
        this.nodes.push(node);
        return node;
    }
    get proxies() {
        return [this.postgres, this.bucket, this.redis].filter(Boolean);
    }
    get node() {
        return this.nodes[0];
    }

    // Everything passes again.
    async calm() {
        await Promise.all(this.proxies.map((proxy) => proxy.pass()));
    }

    async close() {
        const errors = [];
        const end = async (done) => {
            try {
                await done();
            } catch (error) {
                errors.push(error);
            }
        };
        await end(() => this.calm());
        for (const node of this.nodes) await end(() => node.close());
        for (const proxy of this.proxies) await end(() => proxy.close());
        if (shared && !this.own.postgres) await end(() => this.database.drop());
        if (!this.own.s3) await end(() => this.store.drop());
        for (const backend of Object.values(this.own)) await end(() => backend.close());
        if (errors.length) throw errors[0];
    }
}

// ---- what was acknowledged ----

const sum = (bytes) => createHash('sha1').update(bytes).digest('latin1');
const pool = randomBytes(256 << 10).toString('base64');

export class Ledger {
    constructor(deployment, { seed = 1 } = {}) {
        this.deployment = deployment;
        this.random = dice(seed);
        this.batches = []; // acknowledged: { trace, runs: [{ id, size, sum }] }
        this.open = []; // what became of them is not known: { ..., body }
        this.statuses = new Map();
        this.word = `ledger ${uuid()}`; // in the name of every run
        this.number = 0;
        this.rss = 0;
        this.corrupt = 0; // what the nodes counted before
    }
    static async begin(deployment, options = {}) {
        const ledger = new Ledger(deployment, options);
        for (const node of deployment.nodes)
            ledger.corrupt = Math.max(
                ledger.corrupt,
                (await node.metrics()).get('rundlet_store_corrupt_total'),
            );
        return ledger;
    }

    // Bytes that only this run has; every run has an id, so that it can be sent again.
    makeBatch() {
        const { random } = this;
        const trace = uuid();
        const runs = [];
        const parts = [];
        const count = random.one([1, 1, 1, 5, 20, 60]);
        for (let i = 0; i < count; i++) {
            const id = uuid(random.chance(0.8) ? Date.now() : null);
            const length = random.one([0, 100, 1000, 5000]);
            const at = random.below(pool.length - length);
            const rest =
                `"trace_id":"${trace}","name":"${this.word}",` +
                `"inputs":{"batch":${this.number},"i":${i},"n": 1e2,"text":"${pool.slice(at, at + length)}"},` +
                `"outputs":{"o":${i}},"metadata":{"m" :0.10}`;
            parts.push(`{"id":"${id}",${rest}}`);
            runs.push({ id, size: rest.length, sum: sum(rest) });
        }
        this.number++;
        return { trace, runs, body: `[${parts.join()}]` };
    }

    count(what) {
        this.statuses.set(what, (this.statuses.get(what) ?? 0) + 1);
    }
    // How often an answer (or 'cut') came; of reads: 'read 200'.
    seen(what) {
        return this.statuses.get(what) ?? 0;
    }

    // Post a batch, and write down what was said of it.
    async post(node, batch = this.makeBatch()) {
        let answer;
        try {
            answer = await node.post('/runs', batch.body);
        } catch (error) {
            if (error instanceof assert.AssertionError) throw error;
            this.count('cut');
            this.open.push(batch);
            return { status: 0 };
        }
        this.count(answer.status);
        if (answer.status === 201) {
            assert.deepEqual(
                answer.json.run_ids,
                batch.runs.map((one) => one.id),
            );
            batch.body = null;
            this.batches.push(batch);
        } else {
            assert.ok(
                answer.status === 503 || answer.status === 429,
                `a batch was answered ${answer.status} ${answer.text.slice(0, 300)}`,
            );
            this.open.push(batch);
        }
        return answer;
    }

    // Read a batch that was acknowledged: its bytes, or an error that says so.
    async read(node) {
        if (!this.batches.length) return;
        const batch = this.random.one(this.batches);
        const one = this.random.one(batch.runs);
        const search = this.random.chance(0.3);
        const path = search ? `/runs/search?trace_id=${batch.trace}&limit=1000` : `/runs/${one.id}`;
        let answer;
        try {
            answer = await node.get(path);
        } catch (error) {
            if (error instanceof assert.AssertionError) throw error;
            this.count('read cut');
            return;
        }
        this.count(`read ${answer.status}`);
        if (answer.status === 503 || answer.status === 429) return;
        assert.equal(answer.status, 200, `${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
        const texts = search ? rawElements(rawMember(answer.text, 'runs')) : [answer.text];
        if (search) assert.equal(texts.length, batch.runs.length, `${path}: runs of its trace`);
        for (const text of texts)
            this.same(
                text,
                batch.runs.find((each) => each.id === text.slice(7, 43)),
            );
    }

    // Read this run, which must be there.
    async get(node, one) {
        const answer = await node.get(`/runs/${one.id}`);
        assert.equal(answer.status, 200, answer.text.slice(0, 300));
        this.same(answer.text, one);
    }

    same(text, one) {
        assert.ok(one, `nobody sent ${text.slice(0, 100)}`);
        const start = `{"id":"${one.id}",`;
        assert.ok(text.startsWith(start), `run ${one.id} is not there: ${text.slice(0, 100)}`);
        assert.equal(
            sum(text.slice(start.length, start.length + one.size)),
            one.sum,
            `run ${one.id} came back with other bytes`,
        );
    }

    // Clients that post and read until told to stop, at a pace: a bounded load.
    //   { stop() } waits for them, and throws what they found wrong.
    load({ clients = 4, nodes = null, paceMs = 5 } = {}) {
        let going = true;
        const list = () => (nodes ?? this.deployment.nodes).filter((node) => !node.exited);
        const client = async (i) => {
            for (let n = 0; going; n++) {
                const some = list();
                if (!some.length) {
                    await pause(paceMs);
                    continue;
                }
                const node = some[(i + n) % some.length];
                const answer = await this.post(node);
                if (n % 2 === 0) await this.read(node);
                this.watch(some);
                // As Retry-After would have it, but sooner.
                await pause(answer.status === 201 ? paceMs : 50);
            }
        };
        const all = Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
        all.catch(() => (going = false));
        return {
            stop: async () => {
                going = false;
                await all;
            },
        };
    }

    watch(nodes) {
        for (const node of nodes)
            if (!node.exited)
                try {
                    this.rss = Math.max(this.rss, node.rss());
                } catch {
                    // it ended just now
                }
    }

    // Until `n` more batches were acknowledged.
    async more(n, ms = BACK_MS) {
        const want = this.batches.length + n;
        await until(`${n} batches more`, () => this.batches.length >= want, ms);
    }

    // How long until a batch is acknowledged and /ready agrees, in ms.
    async back(node = this.deployment.node, ms = BACK_MS) {
        const began = performance.now();
        await until(
            'writes and /ready are back',
            async () =>
                (await this.post(node)).status === 201 && (await node.get('/ready')).status === 200,
            ms,
        );
        return performance.now() - began;
    }

    // Everything that was acknowledged is there, once, byte for byte; what was not is there
    // whole or not at all, and can be sent again.
    async verify({ nodes = this.deployment.nodes } = {}) {
        for (const node of nodes) await this.verifyAcknowledged(node, this.batches);
        const open = this.open.splice(0);
        for (const batch of open) {
            const there = await this.whole(nodes[0], batch);
            this.count(there ? 'open there' : 'open not there');
            const again = await this.post(nodes.at(-1), batch);
            assert.equal(again.status, 201, `sent again: ${again.status} ${again.text}`);
        }
        for (const node of nodes) {
            await this.verifyAcknowledged(node, open);
            await this.verifySearch(node);
            const m = await node.metrics();
            assert.ok(
                m.get('rundlet_store_corrupt_total') <= this.corrupt,
                'no stored byte is wrong',
            );
            const of = (name) => m.get(`rundlet_runs_${name}_total`);
            assert.equal(
                of('received'),
                of('stored') + of('merged') + of('duplicate') + of('refused'),
                'received = stored + merged + duplicate + refused',
            );
        }
        this.watch(nodes);
        assert.ok(this.rss <= RSS_MAX, `RSS ${Math.round(this.rss / MiB)} MiB`);
    }

    async verifyAcknowledged(node, batches) {
        const runs = batches.flatMap((batch) => batch.runs);
        for (let at = 0; at < runs.length; at += 500) {
            const part = runs.slice(at, at + 500);
            const answer = await node.post(
                '/runs/batch',
                part.map((one) => one.id),
            );
            assert.equal(answer.status, 200, answer.text.slice(0, 300));
            const texts = rawElements(rawMember(answer.text, 'runs'));
            assert.equal(texts.length, part.length, 'acknowledged runs that are there');
            texts.forEach((text, i) => this.same(text, part[i]));
        }
    }

    async whole(node, batch) {
        const answer = await node.get(
            `/runs/search?trace_id=${batch.trace}&limit=1000&consistency=strong`,
        );
        assert.equal(answer.status, 200, answer.text.slice(0, 300));
        const n = Number(rawMember(answer.text, 'count'));
        assert.ok(n === 0 || n === batch.runs.length, `${n} of ${batch.runs.length} runs`);
        return n > 0;
    }

    // A search over all of them: each acknowledged run once, and none that nobody sent.
    async verifySearch(node) {
        const want = new Map(
            this.batches.flatMap((batch) => batch.runs.map((one) => [one.id, one])),
        );
        const seen = new Set();
        let cursor = '';
        do {
            const answer = await node.get(
                `/runs/search?name=${encodeURIComponent(this.word)}&limit=1000&consistency=strong` +
                    (cursor && `&cursor=${encodeURIComponent(cursor)}`),
            );
            assert.equal(answer.status, 200, answer.text.slice(0, 300));
            for (const text of rawElements(rawMember(answer.text, 'runs'))) {
                const id = text.slice(7, 43);
                assert.ok(!seen.has(id), `${id} twice in a search`);
                seen.add(id);
                this.same(text, want.get(id));
            }
            cursor = JSON.parse(rawMember(answer.text, 'next_cursor'));
        } while (cursor);
        assert.equal(seen.size, want.size, 'acknowledged runs that a search finds');
    }
}

// Writes are refused with 503 and a Retry-After (which every answer is held to), and
// /ready says so too.  What it took until then, in ms.
export async function refuses(node, ledger, { ready = true, ms = 15_000 } = {}) {
    const began = performance.now();
    await until(
        'writes are refused with 503',
        async () => (await ledger.post(node)).status === 503,
        ms,
    );
    if (ready)
        await until(
            '/ready says 503',
            async () => (await node.get('/ready')).status === 503,
            ms,
        );
    return performance.now() - began;
}
