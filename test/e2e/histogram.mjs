// histogram.mjs - GET /runs/histogram: when runs began, counted in buckets.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

const START = Date.parse('2026-11-20T10:00:00.000Z');
const SECOND = 1000;

describe('the histogram of runs', () => {
    let server;
    const traces = Array.from({ length: 300 }, (_, n) => ({ n, id: uuid() }));
    before(async () => {
        server = await Server.start();
        const time = (n, s = 0) => new Date(START + n * 60 * SECOND + s * SECOND).toISOString();
        const session_name = 'counted';
        await server.store(
            traces.flatMap(({ n, id }) => [
                run({ session_name, id, trace_id: id, name: 'top', start_time: time(n) }),
                run({
                    session_name,
                    trace_id: id,
                    parent_run_id: id,
                    name: 'child',
                    start_time: time(n, 1),
                    ...(n % 10 === 0 && { error: 'it broke' }),
                }),
            ]),
        );
        await server.store([run({ session_name: 'another', start_time: '2020-01-01T00:00:00Z' })]);
    });
    after(() => server.close());

    const get = async (query, status = 200) => {
        const answer = await server.get(`/runs/histogram?${new URLSearchParams(query)}`);
        assert.equal(answer.status, status, answer.text);
        const h = answer.json;
        if (status !== 200) return h;
        assert.equal(h.count.length, h.errors.length);
        const span = (Date.parse(h.end_time) - Date.parse(h.start_time)) * 1000;
        assert.ok(Math.abs(span - h.bucket_us * h.count.length) < h.bucket_us);
        return h;
    };
    const sum = (list) => list.reduce((a, b) => a + b, 0);

    it('of a range has each run in its bucket', async () => {
        const range = {
            start_time: '2026-11-20T10:00:00Z',
            end_time: '2026-11-20T14:59:59.999999Z',
        };
        const h = await get({ session: 'counted', ...range, buckets: 30 });
        assert.equal(h.complete, true);
        assert.equal(h.bucket_us, 600_000_000);
        assert.deepEqual(h.count, Array(30).fill(20));
        assert.deepEqual(h.errors, Array(30).fill(1));
        assert.equal(h.start_time, '2026-11-20T10:00:00.000000Z');
        const tops = await get({ session: 'counted', ...range, buckets: 30, is_root: 'true' });
        assert.deepEqual(tops.count, Array(30).fill(10));
        assert.equal(sum(tops.errors), 0);
        const early = await get({ session: 'counted', ...range, end_time: '2026-11-20T10:01:00Z' });
        assert.equal(sum(early.count), 3);
        assert.equal(early.count.length, 60);
        assert.equal(early.count[59], 1);
    });

    it('without a range is of all that match, from the first to the last', async () => {
        const h = await get({ session: 'counted' });
        assert.equal(sum(h.count), 600);
        assert.equal(sum(h.errors), 30);
        assert.ok(h.count.length > 30 && h.count.length <= 60);
        assert.ok(h.count[0] > 0 && h.count.at(-1) > 0);
        assert.ok(Date.parse(h.start_time) <= START);
        const of = await get({ session: 'counted', filter: 'neq(error, null)', buckets: 7 });
        assert.deepEqual(of.count, of.errors);
        assert.equal(sum(of.count), 30);
        assert.ok(of.count.length <= 7);
        const { id } = (await server.get('/sessions?name=counted')).json[0];
        assert.deepEqual(await get({ session: id }), h);
        const all = await get({});
        assert.equal(sum(all.count), 601);
        assert.equal(Date.parse(all.start_time) <= Date.parse('2020-01-01T00:00:00Z'), true);
    });

    it('of nothing is that of the last day', async () => {
        const matching = { session: 'counted', filter: 'matches(error, "^it .*e$")', buckets: 7 };
        assert.equal(sum((await get(matching)).count), 30);
        const h = await get({ session: 'counted', filter: 'eq(name, "nobody")' });
        assert.equal(h.count.length, 60);
        assert.equal(sum(h.count), 0);
        assert.ok(Math.abs(Date.parse(h.end_time) - Date.now()) < 60 * SECOND);
        assert.equal(h.bucket_us, 86_400_000_000 / 60);
        assert.equal(sum((await get({ session: uuid() })).count), 0);
    });

    it('says what is wrong with a question', async () => {
        const detail = async (query, status = 400) => (await get(query, status)).detail;
        assert.match(await detail({ filter: 'eq(colour, "red")' }), /colour/);
        assert.match(await detail({ buckets: '0' }), /buckets/);
        assert.match(await detail({ buckets: 'many' }), /buckets/);
        assert.match(await detail({ is_root: 'perhaps' }), /is_root/);
        assert.match(await detail({ start_time: 'today' }), /start_time/);
        assert.match(
            await detail({ start_time: '2026-01-02T00:00:00Z', end_time: '2026-01-01T00:00:00Z' }),
            /after end_time/,
        );
        assert.match(await detail({ session: 'nobody knows' }, 404), /no project/);
        const most = await get({ session: 'counted', buckets: 100000 });
        assert.ok(most.count.length <= 500 && most.count.length > 250);
        const ends = await get({
            start_time: '0001-01-01T00:00:00Z',
            end_time: '9999-12-31T23:59:59.999999Z',
            buckets: 1,
        });
        assert.deepEqual(ends.count, [601]);
    });
});
