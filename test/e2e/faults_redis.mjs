// faults_redis.mjs - Redis hangs, is flushed, lies or is away: answers are what they would
// be without it, and nobody waits for it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { Deployment, Ledger, until } from './lib/production.mjs';

describe('Redis', () => {
    let d;
    let ledger;
    before(async () => {
        // Nothing is cached before it.
        d = await Deployment.start({ own: { redis: {} }, flags: ['--cache-size', '0'] });
    });
    beforeEach(async () => (ledger = await Ledger.begin(d)));
    afterEach(() => d.calm());
    after(() => d.close());

    const redis = (...args) => {
        const made = spawnSync('redis-cli', ['-h', '127.0.0.1', '-p', String(d.own.redis.port), ...args], {
            encoding: 'utf8',
            timeout: 10_000,
        });
        assert.equal(made.status, 0, made.stderr);
        assert.ok(!made.stdout.startsWith('ERR'), made.stdout);
        return made.stdout.trim();
    };
    // What came of the runs that were asked of it.
    const recalls = async () => {
        const m = await d.node.metrics();
        const of = (what) => m.get(`rundlet_cache_recalls_total{result="${what}"}`);
        return { hit: of('hit'), bad: of('bad') + of('error'), late: of('timeout') + of('skipped') };
    };
    const values = () => Number(redis('dbsize'));

    // Runs that Redis holds, and nothing else.
    let known;
    const readKnown = async () => {
        for (const one of known) await ledger.get(d.node, one);
    };
    const fill = async () => {
        redis('flushall');
        for (let i = 0; i < 20; i++) assert.equal((await ledger.post(d.node)).status, 201);
        known = ledger.batches.slice(-20).map((batch) => batch.runs[0]);
        await until('Redis is given what was read', async () => {
            await readKnown();
            return values() >= known.length;
        });
    };
    // Each is 200 with the right bytes; how long the slowest took, in ms.
    const reads = async (n) => {
        let slowest = 0;
        for (let i = 0; i < n; i++) {
            const began = performance.now();
            await ledger.read(d.node);
            slowest = Math.max(slowest, performance.now() - began);
        }
        assert.deepEqual(
            [...ledger.statuses.keys()].filter((what) => !['read 200', 201].includes(what)),
            [],
        );
        return slowest;
    };
    const asEver = async () => {
        const load = ledger.load();
        await ledger.more(20);
        await load.stop();
        const slowest = await reads(100);
        assert.ok(slowest < 1000, `a read took ${slowest} ms`);
        assert.equal((await d.node.get('/ready')).status, 200);
        assert.equal(ledger.seen(503), 0);
        await ledger.verify();
    };

    it('is used: what was read is there, and asked for', async () => {
        await fill();
        const before = await recalls();
        await readKnown();
        assert.ok((await recalls()).hit > before.hit);
        await asEver();
    });
    it('hangs', async () => {
        await fill();
        const before = await recalls();
        d.redis.hang();
        await readKnown();
        await asEver();
        assert.ok((await recalls()).late > before.late);
    });
    it('hangs: takes everything and says nothing', async () => {
        await fill();
        d.redis.hang({ client: false });
        await asEver();
    });
    it('is slow', async () => {
        await fill();
        d.redis.slow(2000);
        await asEver();
    });
    it('resets its connections, again and again', async () => {
        await fill();
        for (let i = 0; i < 20; i++) {
            d.redis.reset();
            await reads(5);
        }
        await asEver();
    });
    it('is killed, and comes back empty', async () => {
        await fill();
        await d.own.redis.kill();
        await asEver();
        await d.own.redis.up();
        await asEver();
        await fill(); // it is used again
    });
    it('is flushed', async () => {
        await fill();
        const load = ledger.load();
        for (let i = 0; i < 10; i++) {
            redis('flushall');
            await ledger.more(2);
        }
        await load.stop();
        await asEver();
    });

    const each = (body) =>
        `local n = 0 local cursor = '0' repeat local found = redis.call('SCAN', cursor, 'COUNT', 1000)
         cursor = found[1] for _, key in ipairs(found[2]) do if redis.call('TYPE', key).ok == 'string' then
         local value = redis.call('GET', key) ${body} n = n + 1 end end until cursor == '0' return n`;
    for (const [what, body] of [
        [
            'a bit in the middle is another',
            `local at = math.floor(#value / 2) redis.call('SETRANGE', key, at, string.char((string.byte(value, at + 1) + 1) % 256))`,
        ],
        [
            'the last byte is another',
            `redis.call('SETRANGE', key, #value - 1, string.char((string.byte(value, #value) + 1) % 256))`,
        ],
        ['it is cut short', `redis.call('SET', key, string.sub(value, 1, #value - 10))`],
        ['it is empty', `redis.call('SET', key, '')`],
        ['it is longer', `redis.call('APPEND', key, 'xxxx')`],
        ['it is of another kind', `redis.call('DEL', key) redis.call('RPUSH', key, 'x')`],
        [
            'it is the value of another key',
            `if n > 0 then redis.call('SET', key, last) end last = value`,
        ],
    ])
        it(`holds a wrong value: ${what}`, async () => {
            await fill();
            const script = `${body.includes('last') ? "local last = '' " : ''}${each(body)}`;
            const before = await recalls();
            assert.ok(Number(redis('eval', script, '0')) > 0);
            await readKnown();
            assert.ok((await recalls()).bad > before.bad, 'it was looked at, and refused');
            await ledger.verify();
        });

    it('answers nonsense instead of its protocol', async () => {
        await fill();
        d.redis.when('server', '$', 'corrupt', { times: Infinity });
        await asEver();
    });
    it('cuts in the middle of its answers', async () => {
        await fill();
        for (let i = 0; i < 10; i++) {
            d.redis.cutAfter({ server: 1 + i * 37 });
            await reads(5);
        }
        await d.redis.pass();
        await asEver();
    });
});
