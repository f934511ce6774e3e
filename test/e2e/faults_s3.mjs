// faults_s3.mjs - the bucket refuses, resets, is slow, answers half or says that it failed
// when it did not: nothing that was acknowledged is lost, no byte is wrong.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { dice } from './lib/client.mjs';
import { BRIEF, Deployment, Ledger, refuses, until } from './lib/production.mjs';

const BATCHES = Number(process.env.BATCHES ?? 150);

describe('the bucket is away', () => {
    let d;
    let ledger;
    before(async () => {
        // What is cached is not asked of the bucket.
        d = await Deployment.start({ flags: ['--cache-size', '0'], deadlines: BRIEF });
        await d.redis.refuse();
    });
    beforeEach(async () => (ledger = await Ledger.begin(d)));
    afterEach(async () => {
        await d.bucket.pass();
        await ledger.back();
    });
    after(() => d.close());

    const lasting = async (fault, mend = () => d.bucket.pass()) => {
        const load = ledger.load();
        await ledger.more(10);
        await fault();
        await refuses(d.node, ledger);
        assert.equal((await d.node.get('/health')).status, 200);
        await mend();
        await ledger.back();
        await ledger.more(10);
        await load.stop();
        await ledger.verify();
    };
    it('503 for as long as it likes', () =>
        lasting(() => d.bucket.answer({ status: 503, times: Infinity })));
    it('500 for as long as it likes', () =>
        lasting(() => d.bucket.answer({ status: 500, times: Infinity })));
    it('not there: connections are refused', () => lasting(() => d.bucket.refuse()));
    it('hangs', () => lasting(() => d.bucket.hang()));
    it('takes everything and never answers', () =>
        lasting(() => d.bucket.answer({ hang: true, stored: true, times: Infinity })));

    it('a read is an error, never "not found" and never empty', async () => {
        assert.equal((await ledger.post(d.node)).status, 201);
        await d.bucket.refuse();
        await Promise.all(Array.from({ length: 20 }, () => ledger.read(d.node)));
        assert.equal(ledger.seen('read 404'), 0);
    });
});

describe('the bucket fails now and then', () => {
    let d;
    let ledger;
    before(async () => {
        // What is cached is not asked of the bucket.
        d = await Deployment.start({ flags: ['--cache-size', '0'] });
        await d.redis.refuse();
    });
    beforeEach(async () => (ledger = await Ledger.begin(d)));
    afterEach(async () => {
        await d.bucket.pass();
        await ledger.back();
    });
    after(() => d.close());

    const puts = () => d.bucket.requests.filter((one) => one.method === 'PUT').length;
    // Objects in the bucket, and those that rows lead to.
    const balance = async () => ({
        objects: (await d.store.keys()).filter((key) => key.endsWith('.pack')).length,
        rows: Number(await d.database?.sql('select count(*) from rundlet_containers')),
    });

    it('503 twice: tried again, and the client hears nothing of it', async () => {
        const rule = d.bucket.answer({ method: 'PUT', status: 503, times: 2 });
        const { status } = await ledger.post(d.node);
        assert.equal(status, 201);
        assert.ok(rule.hits >= 2);
        await ledger.verify();
    });
    it('a reset twice: tried again', async () => {
        d.bucket.answer({ method: 'PUT', reset: true, times: 2 });
        assert.equal((await ledger.post(d.node)).status, 201);
        await ledger.verify();
    });
    for (const [what, rule] of [
        ['500', { status: 500 }],
        ['a reset', { reset: true }],
    ])
        it(`stored, then ${what}: it finds its own object, and there is one`, async () => {
            const before = await balance();
            const sent = puts();
            d.bucket.answer({ method: 'PUT', stored: true, ...rule });
            const answer = await ledger.post(d.node);
            assert.equal(answer.status, 201, answer.text);
            assert.ok(puts() - sent >= 2, 'it was tried again');
            const now = await balance();
            assert.equal(now.objects - before.objects, 1);
            if (d.database) assert.equal(now.rows - before.rows, 1);
            await ledger.verify();
        });

    it('slow: it takes its time or is refused, and is right', async () => {
        d.bucket.slow(100_000);
        const load = ledger.load({ clients: 2 });
        await ledger.more(5, 20_000);
        await d.bucket.pass();
        await load.stop();
        await ledger.verify();
    });

    // A run that lies in a pack too large to be kept whole on the shelf.
    const large = async () => {
        const text = Buffer.alloc(400_000, 'bytes that are there ').toString();
        const pieces = Array.from({ length: 12 }, (_, i) => ({
            trace_id: '0190a0b0-0000-7000-8000-000000000001',
            name: 'large',
            inputs: { i, text },
        }));
        return { ids: await d.node.store(pieces), text };
    };

    it('half an answer: tried again or an error, never half a run', async () => {
        const { ids, text } = await large();
        const rule = d.bucket.answer({ method: 'GET', truncate: 1000, times: Infinity });
        for (const id of ids) {
            const answer = await d.node.get(`/runs/${id}/inputs`);
            assert.ok([200, 503].includes(answer.status), String(answer.status));
            if (answer.status === 200) assert.equal(answer.json.text, text);
        }
        assert.ok(rule.hits > 0, 'the bucket was asked');
        await d.bucket.pass();
        await until('read again', async () => {
            const answer = await d.node.get(`/runs/${ids[0]}/inputs`);
            return answer.status === 200 && answer.json.text === text;
        });
    });

    it('other bytes: an error, never wrong bytes, and right again afterwards', async () => {
        const { ids, text } = await large();
        const rule = d.bucket.answer({ method: 'GET', corrupt: 100, times: Infinity });
        const statuses = new Set();
        for (const id of ids) {
            const answer = await d.node.get(`/runs/${id}/inputs`);
            statuses.add(answer.status);
            assert.ok([200, 500, 503].includes(answer.status), String(answer.status));
            if (answer.status === 200) assert.equal(answer.json.text, text);
        }
        assert.ok(rule.hits > 0, 'the bucket was asked');
        await d.bucket.pass();
        for (const id of ids) assert.equal((await d.node.get(`/runs/${id}/inputs`)).json.text, text);
    });

    it('an object that is gone is an error that says so', async () => {
        const before = new Set(await d.store.keys());
        const { ids } = await large();
        const made = (await d.store.keys()).filter((key) => !before.has(key));
        assert.ok(made.length > 0);
        for (const key of made) await d.store.delete(key);
        for (const id of ids) {
            const answer = await d.node.get(`/runs/${id}/inputs`);
            assert.ok(answer.status >= 500, `${answer.status} ${answer.text.slice(0, 100)}`);
        }
    });

    it(`every tenth request fails in one of many ways: ${BATCHES} batches, none lost`, async () => {
        const random = dice(11);
        const faults = [
            { status: 503 },
            { status: 500 },
            { status: 500, stored: true },
            { reset: true },
            { reset: true, stored: true },
            { truncate: 100 },
            { delay: 300 },
        ];
        for (const fault of faults)
            d.bucket.answer({
                ...fault,
                times: Infinity,
                where: () => random.chance(0.1 / faults.length),
            });
        const load = ledger.load({ paceMs: 0 });
        await ledger.more(BATCHES, 60_000);
        await load.stop();
        await d.bucket.pass();
        await ledger.back();
        await ledger.verify();
    });
});
