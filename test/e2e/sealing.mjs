// sealing.mjs - segments become packs while the server serves: on a full disk,
// over damage, and when it has to stop.  Kills are in test/crash.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { rawElements, rawMember, rawRun, uuid } from './lib/client.mjs';
import { Server, run as command, scratch } from './lib/server.mjs';

const MiB = 1 << 20;
const SLOW = ['--seal-rate', '1KiB']; // a segment takes a quarter of an hour
const FAST = ['--seal-rate', '0', '--seal-idle', '100ms'];

const one = (bytes) => {
    const id = uuid();
    const inputs = `{"n": 1e2,"text":"${randomBytes((bytes * 3) / 4).toString('base64')}"}`;
    return {
        id,
        inputs,
        text: rawRun({ id: `"${id}"`, trace_id: `"${uuid()}"`, name: '"s"', inputs }),
    };
};
const body = (runs) => `[${runs.map((r) => r.text).join()}]`;

async function store(server, count, bytes) {
    const runs = Array.from({ length: count }, () => one(bytes));
    for (const made of runs) await server.store(body([made]));
    return runs;
}

async function allThere(server, runs) {
    for (let at = 0; at < runs.length; at += 100) {
        const part = runs.slice(at, at + 100);
        const answer = await server.post(
            '/runs/batch',
            part.map((r) => r.id),
        );
        assert.equal(answer.status, 200, answer.text.slice(0, 300));
        const got = rawElements(rawMember(answer.text, 'runs'));
        assert.equal(got.length, part.length, 'every run is there');
        got.forEach((text, i) => assert.equal(rawMember(text, 'inputs'), part[i].inputs));
    }
}

const names = async (server, dir, ending) =>
    (await readdir(join(server.data, dir))).filter((name) => name.endsWith(ending)).sort();
const segments = (server) => names(server, 'segments', '.seg');
const packs = (server) => names(server, 'packs', '.pack');
const halves = (server) => names(server, 'packs', '.tmp');

async function until(what, ms, done) {
    for (const end = Date.now() + ms; !(await done());) {
        assert.ok(Date.now() < end, `after ${ms} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

const sealed = (server, ms = 20_000) =>
    until('all is sealed', ms, async () => (await segments(server)).length === 0);

const told = (server) => server.logs.split('\n').filter((line) => line.includes('seal_failed'));

async function verified(data, code = 0) {
    const made = await command(['verify', '--data', data]);
    assert.equal(made.code, code, `${made.stdout}${made.stderr}`);
    return `${made.stdout}${made.stderr}`;
}

// Change a byte of a file, or change it back.
async function flip(path, at) {
    const file = await open(path, 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    await file.write(Buffer.from([byte[0] ^ 1]), 0, 1, at);
    await file.close();
}

describe('sealing', { concurrency: true }, () => {
    it('SIGTERM in the middle of it: at once, exit 0, and nothing of it stays', async () => {
        // Four seconds to fetch a segment, sixteen to pack it.
        const flags = ['--segment-size', '1MiB', '--seal-rate', '64KiB'];
        const server = await Server.start({ flags });
        const runs = await store(server, 40, 100_000);
        for (let round = 0; round < 3; round++) {
            await until('it seals', 30_000, async () => (await halves(server)).length === 1);
            const before = await segments(server);
            const began = Date.now();
            assert.deepEqual(await server.stop(), { code: 0, signal: null }, server.tail());
            const took = Date.now() - began;
            assert.ok(took < 2000, `${took} ms`);
            assert.deepEqual(await halves(server), []);
            assert.deepEqual(await packs(server), []);
            assert.deepEqual(await segments(server), before);
            assert.deepEqual(told(server), [], 'being told to stop is no failure');
            await server.up();
            await allThere(server, runs);
        }
        await server.restart({ flags: ['--segment-size', '1MiB', ...FAST] });
        await sealed(server);
        await allThere(server, runs);
        const { data } = server;
        await server.stop();
        await verified(data);
        await server.up();
        await server.close();
    });

    it('what a damaged segment has stays there; all others are sealed; it is told once', async () => {
        const flags = ['--segment-size', '1MiB', '--cache-size', '0'];
        const server = await Server.start({ flags: [...flags, ...SLOW] });
        const runs = await store(server, 60, 100_000);
        await server.stop();
        const all = await segments(server);
        assert.ok(all.length >= 5, `${all.length} segments`);
        // In the bytes of a run, and in the table of a record.
        const [first, second] = [all[1], all[3]].map((name) =>
            join(server.data, 'segments', name),
        );
        const bytes = await readFile(first);
        const hurt = runs.filter((made) => bytes.includes(made.id));
        const at = bytes.indexOf(hurt[2].inputs) + 50;
        const table = 64 + 64 + 20;
        const others = await readFile(second);
        const doubtful = runs.filter((made) => others.includes(made.id));
        await flip(first, at);
        await flip(second, table);
        const whole = runs.filter((made) => made !== hurt[2] && !doubtful.includes(made));

        for (let round = 1; round <= 2; round++) {
            await server.up({ flags: [...flags, ...FAST] });
            await until('the others are sealed', 20_000, async () => {
                return (await segments(server)).length === 2;
            });
            await new Promise((resolve) => setTimeout(resolve, 500));
            assert.deepEqual(await segments(server), [all[1], all[3]]);
            assert.deepEqual(await halves(server), []);
            assert.equal((await packs(server)).length, all.length - 2);
            const lines = told(server);
            assert.equal(lines.length, 2 * round, lines.join('\n'));
            for (const name of [all[1], all[3]])
                assert.equal(lines.filter((line) => line.includes(name)).length, round);
            assert.equal((await server.metrics()).get('rundlet_seals_failed_total'), 2);
            await allThere(server, whole);
            assert.equal((await server.get(`/runs/${hurt[2].id}`)).status, 500);
            for (const made of doubtful) {
                const answer = await server.get(`/runs/${made.id}/inputs`);
                if (answer.status !== 500) assert.equal(answer.text, made.inputs);
            }
            // It goes on being written, and what is written goes on being sealed.
            const fresh = await store(server, 3, 1000);
            await until('the new ones are sealed', 20_000, async () => {
                return (await segments(server)).length === 2;
            });
            whole.push(...fresh);
            all.push('one more');
            await allThere(server, whole);
            assert.deepEqual(await server.stop(), { code: 0, signal: null });
            const words = await verified(server.data, 1);
            for (const name of [all[1], all[3]]) assert.ok(words.includes(name), words);
        }

        await flip(first, at);
        await flip(second, table);
        await server.up();
        await sealed(server);
        await allThere(server, [...whole, hurt[2], ...doubtful]);
        await server.stop();
        await verified(server.data);
        await server.up();
        await server.close();
    });

    it('a full disk: the segment stays and is read; there is room: it is sealed', async (t) => {
        const home = await scratch('rundlet-seal-');
        const made = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', home]);
        if (made.status !== 0) {
            await rm(home, { recursive: true, force: true });
            t.skip('mounting a tmpfs is not permitted here');
            return;
        }
        const data = join(home, 'data');
        const ballast = join(home, 'ballast');
        await mkdir(data);
        const flags = ['--segment-size', '16MiB', '--disk-reserve', '0'];
        const server = await Server.start({ data, flags });
        try {
            const runs = await store(server, 12, 700_000);
            await server.stop();
            const before = await segments(server);
            const { bavail, bsize } = await statfs(home);
            await writeFile(ballast, Buffer.alloc(bavail * bsize - 4 * MiB));

            await server.up({ flags: [...flags, ...FAST] });
            await until('sealing has failed', 20_000, async () => told(server).length > 0);
            assert.match(told(server)[0], /space|full/i);
            assert.deepEqual(await segments(server), before);
            assert.deepEqual(await packs(server), []);
            assert.deepEqual(await halves(server), []);
            await allThere(server, runs);
            assert.equal((await server.get('/health')).status, 200);
            runs.push(...(await store(server, 5, 20_000))); // for these there is room
            await new Promise((resolve) => setTimeout(resolve, 1000));
            assert.equal(told(server).length, 1, 'it does not try all the time');

            await rm(ballast);
            await sealed(server, 60_000);
            assert.equal((await packs(server)).length, 2);
            await allThere(server, runs);
            await server.restart();
            await allThere(server, runs);
            assert.deepEqual(await server.stop(), { code: 0, signal: null });
            await verified(data);
        } finally {
            await server.stop();
            assert.equal(spawnSync('umount', [home]).status, 0);
            await rm(home, { recursive: true, force: true });
        }
    });

    it('verify and reads beside it: a segment that becomes a pack is missed by nobody', async () => {
        const server = await Server.start({ flags: ['--segment-size', '1MiB', ...FAST] });
        const runs = [];
        let going = true;
        const writer = async () => {
            while (going) {
                runs.push(...(await store(server, 3, 200_000)));
                await new Promise((resolve) => setTimeout(resolve, 120));
            }
        };
        const reader = async () => {
            while (going) {
                await allThere(server, runs.slice(-20));
                await new Promise((resolve) => setTimeout(resolve, 5));
            }
        };
        const looker = async () => {
            while (going) await verified(server.data);
        };
        const all = [writer(), reader(), looker()].map((task) =>
            task.finally(() => (going = false)),
        );
        await until('20 are sealed', 30_000, async () => {
            return !going || (await packs(server)).length >= 20;
        });
        going = false;
        await Promise.all(all);
        await sealed(server);
        await allThere(server, runs);
        await server.close();
    });
});
