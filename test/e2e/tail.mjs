// tail.mjs - GET /runs/tail: runs as they come, live.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { run, uuid } from './lib/client.mjs';
import { Deployment, until } from './lib/production.mjs';
import { Server, shared } from './lib/server.mjs';
import { Tail } from './lib/tail.mjs';

const ofNodes = shared ? describe : () => {};

describe('following runs', () => {
    let server;
    const tails = [];
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());
    afterEach(() => {
        for (const tail of tails.splice(0)) tail.close();
    });

    const follow = async (query, headers) => {
        const tail = await Tail.open(server, query, headers);
        tails.push(tail);
        assert.equal(tail.status, 200, tail.text);
        return tail;
    };
    const post = async (fields) => {
        const answer = await server.post('/runs', { run_type: 'chain', ...fields });
        assert.equal(answer.status, 202, answer.text);
    };
    const patch = async (id, fields) => {
        const answer = await server.ask('PATCH', `/runs/${id}`, {
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(fields),
        });
        assert.equal(answer.status, 202, answer.text);
    };
    const session = () => `live ${uuid()}`;

    it('tells a run when it is added, and again when it changed', async () => {
        const session_name = session();
        const tail = await follow({ session: session_name });
        assert.match(tail.headers['content-type'], /^text\/event-stream/);
        assert.equal(tail.headers['cache-control'], 'no-store');
        const id = uuid();
        await post({ id, name: 'slow', session_name, inputs: { secret: 1 } });
        const added = await tail.next();
        assert.equal(added.type, 'run');
        assert.match(added.id, /^[0-9a-f]{16}-\d+$/);
        assert.equal(added.data.id, id);
        assert.equal(added.data.name, 'slow');
        assert.equal(added.data.status, 'pending');
        assert.equal(added.data.session_name, session_name);
        assert.ok(!('inputs' in added.data) && !('outputs' in added.data), 'no payloads');
        assert.equal(added.data.inputs_preview, '{"secret":1}');
        await patch(id, { end_time: new Date().toISOString(), outputs: { a: 1 } });
        const changed = (await tail.runsUntil(({ status }) => status === 'success')).at(-1);
        assert.equal(changed.id, id);
        await server.post('/feedback', { run_id: id, key: 'good', score: 1 });
        const judged = (await tail.runsUntil((r) => r.feedback_stats?.good)).at(-1);
        assert.equal(judged.feedback_stats.good.n, 1);
    });

    it('tells what was asked for, as POST /runs/query would show it', async () => {
        const session_name = session();
        await server.store([run({ session_name, name: 'before' })]);
        const { id } = (
            await server.get(`/sessions?${new URLSearchParams({ name: session_name })}`)
        ).json[0];
        const select = 'name,inputs,total_tokens';
        const broken = 'matches(error, "^(it .*|TOO)$")';
        const errors = await follow({ session: id, filter: broken, select });
        const tops = await follow({ session: session_name, is_root: 'true' });
        const all = await follow({});
        const trace_id = uuid();
        const common = { session_name, trace_id };
        const child = uuid();
        await server.store([
            run({ ...common, id: trace_id, name: 'top', start_time: '2026-01-01T00:00:00Z' }),
            run({
                ...common,
                id: child,
                parent_run_id: trace_id,
                name: 'child',
                error: 'it broke',
                inputs: { big: 'x'.repeat(5000), lines: 'a\nb' },
                start_time: '2026-01-01T00:00:01Z',
            }),
            run({ session_name: session(), error: 'elsewhere' }),
        ]);
        const last = uuid();
        await server.store([run({ session_name, id: last, name: 'last', error: 'too' })]);
        const isLast = (r) => r.id === last;
        const failed = await errors.runsUntil(isLast);
        assert.deepEqual(
            failed.map(({ name }) => name),
            ['child', 'last'],
        );
        const query = await server.post('/runs/query', {
            session: [id],
            filter: 'neq(error, null)',
            select: select.split(','),
        });
        assert.deepEqual(
            failed[0],
            query.json.runs.find((r) => r.id === child),
        );
        assert.deepEqual(
            (await tops.runsUntil(isLast)).map(({ name }) => name),
            ['top', 'last'],
        );
        assert.equal((await all.runsUntil(isLast)).length, 4);
    });

    it('waits for a project that is not there yet', async () => {
        const session_name = session();
        const tail = await follow({ session: session_name });
        await server.store([run({ session_name: session() })]);
        await server.store([run({ session_name, name: 'the first' })]);
        assert.equal((await tail.next()).data.name, 'the first');
    });

    it('goes on where it was cut off, by Last-Event-ID', async () => {
        const session_name = session();
        const first = await follow({ session: session_name });
        await server.store([run({ session_name, name: 'a' })]);
        assert.equal((await first.next()).data.name, 'a');
        await until('the id behind it', () => first.id !== null && first.events.length === 0);
        const id = first.id;
        first.close();
        await first.end();
        const missed = ['b', 'c', 'd'];
        for (const name of missed) await server.store([run({ session_name, name })]);
        const second = await follow({ session: session_name }, { 'last-event-id': id });
        if (shared) assert.equal((await second.next()).type, 'dropped', 'others may have come');
        const names = (await second.runsUntil(({ name }) => name === 'd')).map((r) => r.name);
        assert.deepEqual([...new Set(names)].filter((name) => name !== 'a').sort(), missed);
    });

    it('says that something was dropped where it does not know the id', async () => {
        const good = (await follow({})).id;
        const ids = [
            'nonsense',
            `${'0'.repeat(16)}-1`,
            `${good.slice(0, 17)}999999999`,
            `${good} and more`,
            'x'.repeat(5000),
            '-',
        ];
        for (const id of ids) {
            const tail = await follow({}, { 'last-event-id': id });
            const event = await tail.next();
            assert.equal(event.type, 'dropped', id);
            assert.equal(event.data.runs, null);
            assert.equal(typeof event.data.reason, 'string');
            assert.match(event.id, /^[0-9a-f]{16}-\d+$/);
            tail.close();
        }
    });

    it('tells many runs at once, each', async () => {
        const session_name = session();
        const tail = await follow({ session: session_name, select: 'inputs' });
        const ids = Array.from({ length: 3000 }, () => uuid());
        for (let i = 0; i < ids.length; i += 500)
            await server.store(
                ids
                    .slice(i, i + 500)
                    .map((id) => run({ id, session_name, inputs: { x: 'y'.repeat(3000) } })),
            );
        const left = new Set(ids);
        while (left.size > 0) {
            const event = await tail.next();
            assert.equal(event.type, 'run', JSON.stringify(event));
            left.delete(event.data.id);
        }
    });

    it('says what is wrong with a question', async () => {
        const refused = async (query, pattern) => {
            const answer = await server.get(`/runs/tail?${new URLSearchParams(query)}`);
            assert.equal(answer.status, 400, answer.text);
            assert.match(answer.json.detail, pattern);
        };
        await refused({ filter: 'eq(colour, "red")' }, /colour/);
        await refused({ is_root: 'perhaps' }, /is_root/);
        const head = await server.head('/runs/tail');
        assert.equal(head.status, 200);
        assert.match(head.headers['content-type'], /^text\/event-stream/);
    });
});

describe('who follows runs', () => {
    it('may not be too many; one that left makes room', async () => {
        const server = await Server.start({ flags: ['--tails-max', '2'] });
        const [a, b] = [await Tail.open(server), await Tail.open(server)];
        const refused = await server.get('/runs/tail');
        assert.equal(refused.status, 429);
        assert.match(refused.json.detail, /follow/);
        a.close();
        let again;
        await until('there is room', async () => {
            again = await Tail.open(server);
            return again.status === 200;
        });
        b.close();
        again.close();
        await server.close();
    });

    it('is let go when the server stops', async () => {
        const server = await Server.start();
        const tail = await Tail.open(server);
        const began = Date.now();
        const exit = await server.stop();
        assert.deepEqual(exit, { code: 0, signal: null });
        assert.ok(Date.now() - began < 10_000, 'it did not wait for the tail');
        assert.equal(await tail.next(), null);
        await server.clear();
    });

    // A client that reads only when it is told to.
    const slow = async (server, query) => {
        const socket = net.connect(server.port, '127.0.0.1');
        socket.on('error', () => {});
        socket.write(
            `GET /runs/tail?${new URLSearchParams(query)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        );
        let text = '';
        socket.on('data', (piece) => (text += piece.toString('latin1')));
        await until('it follows', () => text.includes('\n\n') && text.includes('id: '));
        return { socket, text: () => text };
    };
    const flood = async (server, bytes) => {
        const fat = { inputs: { x: 'y'.repeat(100_000) } };
        for (let i = 0; i < bytes / 2_000_000; i++)
            await server.store(Array.from({ length: 20 }, () => run({ name: 'fat', ...fat })));
    };

    it('and does not read is told what it missed', async () => {
        const server = await Server.start({ flags: ['--stall-timeout', '10m'] });
        const { socket, text } = await slow(server, { select: 'inputs' });
        socket.pause();
        await flood(server, 40_000_000); // more than fits between us
        for (let i = 0; i < 7; i++)
            await server.store(Array.from({ length: 10_000 }, () => run({ name: 'thin' })));
        socket.resume();
        await until('it is told', () => text().includes('event: dropped'), 60_000);
        const [, runs] = /event: dropped\r?\nid: [0-9a-f]{16}-\d+\r?\ndata: \{"runs":(\d+),/.exec(
            text(),
        );
        assert.ok(Number(runs) > 0);
        assert.ok(server.rss() < 400 << 20, `${server.rss()} bytes`);
        socket.destroy();
        await server.close();
    });

    it('and never reads is cut off', async () => {
        const server = await Server.start({
            flags: ['--stall-timeout', '500ms', '--tails-max', '1'],
        });
        const { socket } = await slow(server, { select: 'inputs' });
        socket.pause();
        await flood(server, 20_000_000);
        let again;
        await until('there is room for another one', async () => {
            again = await Tail.open(server);
            return again.status === 200;
        });
        again.close();
        socket.destroy();
        await server.close();
    });
});

ofNodes('following runs of two nodes', () => {
    let d;
    before(async () => {
        d = await Deployment.start({ nodes: 2 });
    });
    after(() => d.close());

    it('what the other node stored is told too, also when it changes', async () => {
        const [a, b] = d.nodes;
        const session_name = `both ${uuid()}`;
        const tail = await Tail.open(a, { session: session_name });
        const id = uuid();
        const now = () => new Date().toISOString();
        const first = { id, name: 'there', run_type: 'chain', start_time: now(), session_name };
        assert.equal((await b.post('/runs', first)).status, 202);
        await tail.runsUntil((r) => r.id === id && r.status === 'pending');
        const patched = await b.ask('PATCH', `/runs/${id}`, {
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ end_time: now(), outputs: { a: 1 } }),
        });
        assert.equal(patched.status, 202);
        await tail.runsUntil((r) => r.id === id && r.status === 'success');
        const own = uuid();
        await a.store([run({ id: own, session_name, start_time: now() })]);
        await tail.runsUntil((r) => r.id === own);
        // Each of them once: what was told is known when the other commits again.
        const last = uuid();
        await b.store([run({ id: last, session_name, start_time: now() })]);
        assert.deepEqual(
            (await tail.runsUntil((r) => r.id === last)).map((r) => r.id),
            [last],
        );
        tail.close();
    });

    it('who was away while the other node stored something is told so', async () => {
        const [a, b] = d.nodes;
        const session_name = `away ${uuid()}`;
        const store = (node, id) =>
            node.store([run({ id, session_name, start_time: new Date().toISOString() })]);
        const first = await Tail.open(a, { session: session_name });
        const [seen, there, here] = [uuid(), uuid(), uuid()];
        await store(a, seen);
        await first.runsUntil((r) => r.id === seen);
        await until('the id behind it', () => first.id !== null && first.events.length === 0);
        const { id } = first;
        first.close();
        await first.end();
        await store(b, there);
        await store(a, here);
        const second = await Tail.open(a, { session: session_name }, { 'last-event-id': id });
        const event = await second.next();
        assert.equal(event.type, 'dropped', JSON.stringify(event));
        await second.runsUntil((r) => r.id === here);
        second.close();
    });
});
