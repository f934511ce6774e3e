// cli_packs.mjs - containers on the command line: pack ls, info and cat; backup
// and restore; verify over packs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { rawRun, uuid } from './lib/client.mjs';
import { Server, bareEnvironment, binary, run as command, scratch } from './lib/server.mjs';

const DEADLINE_MS = 60_000;
const SEALING = ['--segment-size', '1MiB', '--seal-idle', '100ms', '--seal-rate', '0'];

const lines = (bytes) =>
    String(bytes)
        .split('\n')
        .filter((line) => line !== '');
const objects = (bytes) => lines(bytes).map((line) => JSON.parse(line));

// Ask until it is so; the time between is only politeness.
async function until(what, check) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
        const made = await check();
        if (made) return made;
        assert.ok(Date.now() < deadline, `not in time: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

// Until all that came is in packs, and the segments' files are gone.
const sealed = (server, packs = 1) =>
    until('everything is sealed', async () => {
        const metrics = await server.metrics();
        const files = await readdir(join(server.data, 'segments'));
        return (
            metrics.get('rundlet_segments') === 0 &&
            metrics.get('rundlet_packs') >= packs &&
            files.length === 0
        );
    });

// A run as it is sent, of about `size` bytes that do not compress well.
function make(trace, size, i = 0) {
    const id = uuid();
    const text = rawRun({
        id: `"${id}"`,
        trace_id: `"${trace}"`,
        name: `"n ${i}"`,
        inputs: `{"x": ${i}.0, "b":"${randomBytes(size / 2).toString('hex')}"}`,
    });
    return { id, trace, text };
}

const idOf = (text) => /"id"\s*:\s*"([^"]+)"/.exec(text)[1];

describe('packs on the command line', () => {
    let home;
    let number = 0;
    const fresh = (name = 'data') => join(home, `${name}-${number++}`);
    before(async () => {
        home = await scratch();
    });
    after(() => rm(home, { recursive: true, force: true }));

    const does = async (code, args, options = {}) => {
        const made = await command(args, options);
        assert.equal(made.signal, null);
        assert.equal(made.code, code, `${args.join(' ')}: ${made.stdout}${made.stderr}`);
        return made;
    };
    const store = (server, runs) => server.store(`[${runs.map((r) => r.text).join(',')}]`);
    const flip = async (path, at) => {
        const bytes = await readFile(path);
        bytes[at < 0 ? bytes.length + at : at] ^= 0x10;
        await writeFile(path, bytes);
    };
    // Every run of a directory, sorted.
    const exported = async (data) =>
        lines((await does(0, ['export', '--data', data])).stdout).sort();
    const verified = async (data, ...more) =>
        objects((await does(0, ['verify', '--data', data, ...more])).stdout).at(-1);

    // A directory with one pack of several blocks, and what is in it.
    let big;
    const traces = Array.from({ length: 12 }, () => uuid());
    const runs = [];
    before(async () => {
        big = fresh('big');
        for (let i = 0; i < 240; i++) runs.push(make(traces[i % traces.length], 30_000, i));
        await does(0, ['import', '-', '--data', big], {
            input: runs.map((r) => `${r.text}\n`).join(''),
        });
        const server = await Server.start({
            data: big,
            flags: ['--seal-idle', '100ms', '--seal-rate', '0'],
        });
        await sealed(server);
        await server.close();
    });
    const copyOfBig = async () => {
        const data = fresh();
        await cp(big, data, { recursive: true });
        return data;
    };
    const packOf = (data) => join(data, 'packs', '0000000000000001.pack');
    const info = async (data, code = 0) =>
        objects((await does(code, ['pack', 'info', '1', '--data', data])).stdout)[0];

    describe('pack ls, info and cat', () => {
        it('ls lists packs and what is not sealed yet, oldest first', async () => {
            const server = await Server.start({ flags: SEALING });
            const trace = uuid();
            for (let i = 0; i < 4; i++)
                await store(
                    server,
                    Array.from({ length: 20 }, () => make(trace, 30_000)),
                );
            await sealed(server, 3);
            await server.restart({ flags: ['--seal-idle', '1h'] });
            await store(server, [make(trace, 100)]);

            const list = objects((await does(0, ['pack', 'ls', '--data', server.data])).stdout);
            assert.ok(list.length >= 4);
            assert.deepEqual(
                list.map((c) => c.container),
                list.map((c) => c.container).toSorted(),
            );
            const packs = list.slice(0, -1);
            assert.equal(
                packs.reduce((sum, c) => sum + c.runs, 0),
                80,
            );
            for (const c of packs) {
                assert.equal(c.sealed, true);
                assert.equal(c.file, `${c.container}.pack`);
                const { size } = await stat(join(server.data, 'packs', c.file));
                assert.equal(c.file_bytes, size);
                assert.ok(c.run_bytes >= c.runs * 30_000);
                assert.equal(c.ratio, Number((c.run_bytes / size).toFixed(1)));
                assert.ok(c.records >= 1 && c.records <= c.runs);
                for (const time of [c.first_start, c.last_start, c.created])
                    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 600_000, time);
            }
            const last = list.at(-1);
            assert.equal(last.sealed, false);
            assert.equal(last.file, `${last.container}.seg`);
            assert.ok(last.file_bytes > 0);

            const asked = await does(1, ['pack', 'cat', last.container, '--data', server.data]);
            assert.match(String(asked.stderr), /not sealed yet: `rundlet export`/);
            await server.close();
        });
        it('info says what a pack is made of', async () => {
            const made = await info(big);
            assert.equal(made.container, '0000000000000001');
            assert.equal(made.runs, 240);
            assert.ok(made.blocks.count >= 3);
            assert.ok(made.blocks.largest <= 2 << 20);
            assert.deepEqual(
                made.sections.map((s) => s.section),
                ['blocks', 'runs', 'records', 'ids', 'traces', 'fences'],
            );
            for (const s of made.sections) assert.ok(s.bytes > 0 && s.file_bytes > 0);
            assert.equal(made.rebuilt, false);
            const sum = made.sections.reduce((n, s) => n + s.file_bytes, made.blocks.file_bytes);
            assert.equal(made.file_bytes, sum + 128 + 128 + 6 * 40);
        });
        it('a container is named in decimal, in hex, or by its file', async () => {
            for (const name of [
                '1',
                '01',
                '0x1',
                '0000000000000001',
                '0000000000000001.pack',
                '0000000000000001.seg',
            ])
                assert.equal(
                    objects((await does(0, ['pack', 'info', name, '--data', big])).stdout)[0].runs,
                    240,
                );
            for (const name of ['10', 'ff', '0x10', '0000000000000002.pack', '0']) {
                const made = await does(1, ['pack', 'cat', name, '--data', big]);
                assert.equal(made.stdout.length, 0);
                assert.match(String(made.stderr), /no container .*: `rundlet pack ls` lists/);
            }
            for (const name of ['', 'x', '1.5', '1.pack.pack', '12345678901234567890', '0x'])
                await does(2, ['pack', 'cat', name, '--data', big]);
        });
        it('cat prints each run as it was sent, the runs of a trace together', async () => {
            const made = lines((await does(0, ['pack', 'cat', '1', '--data', big])).stdout);
            assert.deepEqual(made.toSorted(), runs.map((r) => r.text).sort());
            const order = made.map((text) => /"trace_id"\s*:\s*"([^"]+)"/.exec(text)[1]);
            assert.equal(
                order.filter((trace, i) => i === 0 || trace !== order[i - 1]).length,
                traces.length,
            );
        });
        it('--trace and --id print only those', async () => {
            const of = async (code, ...args) =>
                lines((await does(code, ['pack', 'cat', '1', '--data', big, ...args])).stdout);
            for (const trace of [traces[0], traces[7], traces.at(-1)])
                assert.deepEqual(
                    (await of(0, '--trace', trace)).sort(),
                    runs
                        .filter((r) => r.trace === trace)
                        .map((r) => r.text)
                        .sort(),
                );
            for (const r of [runs[0], runs[100], runs.at(-1)])
                assert.deepEqual(await of(0, '--id', r.id), [r.text]);
            assert.deepEqual(await of(1, '--id', uuid()), []);
            assert.deepEqual(await of(1, '--trace', uuid()), []);
        });
        it('wrong usage is said, with a hint', async () => {
            const of = async (...args) =>
                String((await does(2, ['pack', ...args, '--data', big])).stderr);
            assert.match(await of('lss'), /did you mean pack ls/);
            assert.match(await of('something'), /pack ls, pack info N or pack cat N/);
            assert.match(await of('cat'), /needs the number/);
            assert.match(await of('ls', '1'), /does not know/);
            assert.match(await of('ls', '--id', uuid()), /only pack cat/);
            assert.match(await of('cat', '1', '--id', 'x'), /not the id of a run/);
            assert.match(await of('cat', '1', '--trace', 'x'), /not the id of a trace/);
            await of();
            await does(3, ['pack', 'ls', '--data', fresh('nothing')]);
        });
        it('of a damaged block the rest is printed, and each lost run is named', async () => {
            const data = await copyOfBig();
            await flip(packOf(data), 128 + 1000); // in the first block
            const made = await does(1, ['pack', 'cat', '1', '--data', data]);
            const printed = lines(made.stdout);
            assert.ok(printed.length > 100 && printed.length < 240, String(printed.length));
            const lost = lines(made.stderr);
            assert.equal(lost.length, 240 - printed.length);
            const there = new Set(printed.map(idOf));
            for (const line of lost)
                assert.match(line, /^rundlet: 0000000000000001\.pack: run \d+, .*; left out$/);
            assert.deepEqual(
                lost.map((line) => /run \d+, ([0-9a-f-]{36}):/.exec(line)[1]).sort(),
                runs
                    .filter((r) => !there.has(r.id))
                    .map((r) => r.id)
                    .sort(),
            );
            const texts = new Set(runs.map((r) => r.text));
            for (const text of printed) assert.ok(texts.has(text));
        });
        it('with a damaged section, foot or head, cat still prints all', async () => {
            const { sections } = await info(big);
            for (const at of [...sections.map((s) => s.at + 4), -100, -200]) {
                const data = await copyOfBig();
                await flip(packOf(data), at);
                const made = await does(1, ['pack', 'info', '1', '--data', data]);
                const said = objects(made.stdout)[0];
                assert.equal(said.rebuilt, true, String(at));
                assert.ok(said.why.length > 0);
                assert.equal(said.runs, 240);
                for (const args of [[], ['--trace', traces[3]], ['--id', runs[5].id]]) {
                    const out = await command(['pack', 'cat', '1', '--data', data, ...args]);
                    const expected = runs.filter(
                        (r) =>
                            args.length === 0 || r.trace === args[1] || r.id === args[1],
                    );
                    assert.equal(lines(out.stdout).length, expected.length, `${at} ${args}`);
                }
            }
            const data = await copyOfBig();
            await flip(packOf(data), 20);
            const said = await info(data, 1);
            assert.equal(said.rebuilt, false);
            assert.match(said.damage, /head/);
        });
    });

    describe('verify', () => {
        it('finds nothing in sound packs', async () => {
            const made = await does(0, ['verify', '--rows', '--data', big]);
            assert.equal(lines(made.stdout).length, 1);
            const sums = objects(made.stdout)[0];
            assert.equal(sums.runs, 240);
            assert.equal(sums.damaged, 0);
        });
        it('names what a damaged block costs: file, run and id, and the block once', async () => {
            const data = await copyOfBig();
            await flip(packOf(data), 128 + 1000);
            const said = objects((await does(1, ['verify', '--data', data])).stdout);
            const sums = said.pop();
            const blocks = said.filter((d) => d.offset !== undefined);
            const lost = said.filter((d) => d.run !== undefined);
            assert.equal(blocks.length, 1);
            assert.equal(blocks[0].offset, 128);
            assert.equal(blocks.length + lost.length, said.length);
            assert.equal(sums.runs, 240 - lost.length);
            assert.equal(sums.damaged, said.length);
            const printed = lines((await does(1, ['pack', 'cat', '1', '--data', data])).stdout);
            const there = new Set(printed.map(idOf));
            assert.deepEqual(
                lost.map((d) => d.run_id).sort(),
                runs
                    .filter((r) => !there.has(r.id))
                    .map((r) => r.id)
                    .sort(),
            );
            for (const d of said) assert.equal(d.file, '0000000000000001.pack');
            // export says the same, of the same file
            const out = await does(1, ['export', '--data', data]);
            assert.equal(lines(out.stdout).length, sums.runs);
            assert.match(String(out.stderr), /0000000000000001\.pack: run \d+, [0-9a-f-]{36}: /);
            assert.doesNotMatch(String(out.stderr), /\.seg/);
        });
        it('tells a damaged section, foot or head once', async () => {
            const { sections } = await info(big);
            for (const at of [...sections.map((s) => s.at + 4), -100, -200, 20]) {
                const data = await copyOfBig();
                await flip(packOf(data), at);
                const said = objects((await does(1, ['verify', '--data', data])).stdout);
                const sums = said.pop();
                assert.equal(said.length, 1, `${at}: ${JSON.stringify(said)}`);
                assert.equal(said[0].file, '0000000000000001.pack');
                assert.equal(sums.runs, 240);
                assert.equal(sums.damaged, 1);
            }
        });
    });

    describe('backup and restore', () => {
        const backup = async (data, dest, code = 0) =>
            objects((await does(code, ['backup', dest, '--data', data])).stdout)[0];
        const filesOf = async (dir) => {
            const all = {};
            for (const kind of ['segments', 'packs'])
                for (const name of (await readdir(join(dir, kind))).sort())
                    all[`${kind}/${name}`] = await readFile(join(dir, kind, name));
            return all;
        };

        it('beside a server that takes in runs, whatever was acknowledged is in it', async () => {
            const server = await Server.start({ flags: SEALING });
            const stored = [];
            let going = true;
            const writers = [0, 1, 2].map(async () => {
                while (going) {
                    const batch = Array.from({ length: 5 }, () => make(uuid(), 8000));
                    await store(server, batch);
                    stored.push(...batch);
                }
            });
            const dest = fresh('dest');
            let last = null;
            for (let round = 0; round < 5; round++) {
                const before = stored.length;
                await until('more runs', () => stored.length >= before + 60);
                const known = stored.slice();
                last = await backup(server.data, dest);
                const back = fresh('back');
                const made = await does(0, ['restore', dest, '--data', back]);
                const sums = objects(made.stdout)[0];
                assert.equal(sums.containers, last.containers);
                assert.ok(sums.runs >= known.length);
                const there = new Set(await exported(back));
                for (const r of known) assert.ok(there.has(r.text), r.id);
                const found = await verified(back, '--rows');
                assert.equal(found.damaged, 0);
                assert.equal(found.not_indexed, 0);
                await rm(back, { recursive: true });
            }
            going = false;
            await Promise.all(writers);
            assert.ok(last.kept > 0);

            // Served, it answers.
            await sealed(server);
            await backup(server.data, dest);
            assert.deepEqual(await readdir(join(dest, 'segments')), []);
            const copy = await Server.start({ data: dest });
            const asked = stored[Math.floor(stored.length / 2)];
            const answer = await copy.get(`/runs/${asked.id}/inputs`);
            assert.equal(answer.status, 200);
            assert.ok(asked.text.includes(answer.text));
            await copy.close();
            await server.close();
        });

        it('the second copies only what is new', async () => {
            const server = await Server.start({ flags: SEALING });
            const dest = fresh('dest');
            const trace = uuid();
            const some = () => Array.from({ length: 20 }, () => make(trace, 20_000));
            await store(server, some());
            await store(server, some());
            await store(server, some());
            await sealed(server, 1);
            const first = await backup(server.data, dest);
            assert.equal(first.kept, 0);
            assert.equal(first.copied, first.containers);
            assert.equal(first.last_sequence, 3);
            const before = await filesOf(dest);
            const times = {};
            for (const name of Object.keys(before))
                times[name] = (await stat(join(dest, name))).ino;

            const again = await backup(server.data, dest);
            assert.deepEqual(again, { ...first, copied: 0, kept: first.containers, bytes: 0 });

            await store(server, some());
            const { copied, kept, last_sequence } = await backup(server.data, dest);
            assert.deepEqual({ copied, kept, last_sequence }, {
                copied: 1,
                kept: first.containers,
                last_sequence: 4,
            });
            for (const name of Object.keys(before))
                assert.equal((await stat(join(dest, name))).ino, times[name]);
            await sealed(server, first.containers + 1);
            await backup(server.data, dest);
            const now = await filesOf(dest);
            assert.deepEqual(now, await filesOf(server.data));
            assert.deepEqual(
                Object.keys(now).filter((name) => name.endsWith('.seg')),
                [],
            );
            await server.close();
        });

        it('a segment is copied to its last whole record, whatever is behind', async () => {
            const data = fresh();
            const some = Array.from({ length: 30 }, () => make(uuid(), 1000));
            const input = some.map((r) => `${r.text}\n`).join('');
            await does(0, ['import', '-', '--data', data], { input });
            const path = join(data, 'segments', '0000000000000001.seg');
            const whole = await readFile(path);
            const torn = Buffer.concat([whole, whole.subarray(64, 64 + 500), Buffer.alloc(65536)]);
            await writeFile(path, torn);
            const dest = fresh('dest');
            const made = await backup(data, dest);
            assert.equal(made.bytes, whole.length);
            assert.deepEqual(await readFile(join(dest, 'segments', '0000000000000001.seg')), whole);
            assert.deepEqual(await exported(dest), some.map((r) => r.text).sort());
            assert.deepEqual(await readFile(path), torn, 'the source is only read');
        });

        it('killed in the middle, it leaves a prefix, and goes on', async () => {
            const data = fresh();
            // Several containers, one as large as the machine needs to be caught at.
            for (let i = 0; i < 6; i++) {
                const input = Array.from({ length: 120 }, () => `${make(uuid(), 20_000).text}\n`);
                await does(
                    0,
                    ['import', '-', '--data', data, '--segment-size', '1MiB'],
                    { input: input.join('') },
                );
            }
            const all = await filesOf(data);
            let caught = 0;
            const dest = fresh('dest');
            for (let round = 0; round < 40; round++) {
                const child = spawn(binary, ['backup', dest, '--data', data], {
                    env: bareEnvironment(),
                    stdio: 'ignore',
                });
                const ended = new Promise((resolve) =>
                    child.on('close', (code, signal) => resolve({ code, signal })),
                );
                // Killed when it has made so many files.
                const wanted = round % 8;
                const timer = setInterval(() => {
                    const made = existsSync(join(dest, 'segments'));
                    if (!made) return;
                    readdir(join(dest, 'segments')).then(
                        (names) => names.length >= wanted && child.kill('SIGKILL'),
                        () => {},
                    );
                }, 1);
                const { signal } = await ended;
                clearInterval(timer);
                if (signal !== 'SIGKILL') continue;
                caught++;
                const there = await filesOf(dest);
                const whole = Object.keys(there).filter((name) => !name.endsWith('.tmp'));
                assert.deepEqual(
                    whole,
                    Object.keys(all).slice(0, whole.length),
                    'a prefix of the log',
                );
                for (const name of whole) assert.deepEqual(there[name], all[name], name);
                if (round % 8 === 7) await rm(dest, { recursive: true });
            }
            assert.ok(caught > 0, 'none was killed in time');
            await mkdir(join(dest, 'packs'), { recursive: true });
            await writeFile(join(dest, 'packs', '0000000000000007.tmp'), 'left by a killed one');
            const made = await backup(data, dest);
            assert.equal(made.containers, Object.keys(all).length);
            assert.deepEqual(await filesOf(dest), all);
            assert.deepEqual(await exported(dest), await exported(data));
        });

        it('bits that flip in it are found by verify, and restored runs are the rest', async () => {
            const dest = fresh('dest');
            await backup(big, dest);
            assert.equal((await verified(dest)).damaged, 0);
            await flip(packOf(dest), 128 + 1000);
            const said = objects((await does(1, ['verify', '--data', dest])).stdout);
            assert.ok(said.length > 1);
            const back = fresh();
            const made = await does(1, ['restore', dest, '--data', back]);
            assert.match(String(made.stderr), /0000000000000001\.pack: damaged/);
            const sums = objects(made.stdout)[0];
            assert.equal(sums.runs, said.at(-1).runs);
            assert.ok(sums.lost > 0);
            const rest = await does(1, ['export', '--data', back]);
            assert.equal(lines(rest.stdout).length, sums.runs);
            // The index is made anew of the rest, as often as one likes, and a server serves it.
            const again = objects((await does(1, ['reindex', '--data', back])).stdout)[0];
            assert.deepEqual(again, { runs: sums.runs, refused: 0, lost: sums.lost });
            const server = await Server.start({ data: back });
            for (const line of lines(rest.stdout).slice(0, 50)) {
                const { id } = JSON.parse(line);
                assert.equal((await server.get(`/runs/${id}`)).status, 200);
            }
            await server.store([{ trace_id: uuid(), name: 'goes on', inputs: {} }]);
            await server.close();
        });

        it('a damaged pack of the source never takes the place of a good one', async () => {
            const data = await copyOfBig();
            const dest = fresh('dest');
            await backup(data, dest);
            const good = await readFile(packOf(dest));
            await flip(packOf(data), -100); // in the foot
            const made = await does(1, ['backup', dest, '--data', data]);
            assert.match(String(made.stderr), /0000000000000001\.pack: damaged/);
            assert.equal(objects(made.stdout)[0].kept, 1);
            assert.deepEqual(await readFile(packOf(dest)), good);
            // To where there is none, it is copied as it is.
            const other = fresh('dest');
            const second = await does(1, ['backup', other, '--data', data]);
            assert.equal(objects(second.stdout)[0].copied, 1);
            assert.deepEqual(await readFile(packOf(other)), await readFile(packOf(data)));
            // Unless nothing can be had of it.
            const none = fresh('dest');
            await writeFile(packOf(data), randomBytes(100_000));
            const third = await does(1, ['backup', none, '--data', data]);
            assert.equal(objects(third.stdout)[0].containers, 0);
            assert.deepEqual(await readdir(join(none, 'packs')), []);
        });

        it('what it must not be copied to is refused, and nothing is changed', async () => {
            const server = await Server.start({ flags: SEALING });
            const other = await Server.start();
            await store(server, [make(uuid(), 100)]);
            await store(other, [make(uuid(), 100)]);
            const refused = async (dest, why, data = server.data) => {
                const made = await does(1, ['backup', dest, '--data', data]);
                assert.match(String(made.stderr), why);
                assert.equal(made.stdout.length, 0);
            };
            await refused(server.data, /is the data directory itself/);
            await refused(join(server.data, '..', 'data'), /is the data directory itself/);
            await refused(join(server.data, 'backup'), /inside of the data directory/);
            await refused(join(server.data, 'packs'), /inside of the data directory/);
            assert.ok(!existsSync(join(server.data, 'backup')));
            await refused(other.data, /is in use by another rundlet \(pid \d+/);
            await other.stop();
            const before = await filesOf(other.data);
            await refused(other.data, /another data directory/);
            assert.deepEqual(await filesOf(other.data), before);

            const dest = fresh('dest');
            await backup(server.data, dest);
            await refused(dest, /another data directory/, other.data);
            await sealed(server);
            await refused(dest, /another data directory/, other.data);
            await backup(server.data, dest);
            await refused(dest, /another data directory/, other.data);
            await refused(dest, /another data directory/, big);
            await does(3, ['backup', fresh(), '--data', fresh('nothing')]);
            await other.discard();
            await server.close();
        });

        it('a restore that was cut short is not served as if it were all', async () => {
            const dest = fresh('dest');
            await backup(big, dest);
            const back = fresh();
            await does(0, ['restore', dest, '--data', back]);
            await writeFile(join(back, 'partial'), ''); // what a killed one leaves
            const said = await does(3, ['serve', '--data', back, '--listen', '127.0.0.1:0']);
            assert.match(String(said.stderr), /cut short/);
            await does(3, ['reindex', '--data', back]);
        });

        it('a directory with other things in it is no place for a backup', async () => {
            const dest = fresh('other');
            await mkdir(dest);
            await writeFile(join(dest, 'thesis.tex'), 'x');
            const said = await does(1, ['backup', dest, '--data', big]);
            assert.match(String(said.stderr), /not empty/);
            assert.deepEqual(await readdir(dest), ['thesis.tex']);
        });

        it('a container that is missing is told', async () => {
            const data = fresh();
            const server = await Server.start({
                data,
                flags: ['--segment-size', '1MiB', '--seal-idle', '100ms', '--seal-rate', '0'],
            });
            for (let i = 0; i < 6; i++)
                await server.store([
                    { trace_id: uuid(), name: 'n', inputs: { t: randomBytes(600_000).toString('hex') } },
                ]);
            await sealed(server);
            await server.close();
            const packs = (await readdir(join(data, 'packs'))).sort();
            assert.ok(packs.length > 3);
            await rm(join(data, 'packs', packs[1]));
            const said = await does(1, ['backup', fresh('dest'), '--data', data]);
            assert.match(String(said.stderr), /records are missing before it/);
            // And one that is gone from the end stops the start: the index knows more.
            await rm(join(data, 'packs', packs.at(-1)));
            const start = await does(3, ['serve', '--data', data, '--listen', '127.0.0.1:0']);
            assert.match(String(start.stderr), /the log ends at/);
        });

        it('restore overwrites nothing, and wants something to restore', async () => {
            const dest = fresh('dest');
            await backup(big, dest);
            const full = fresh();
            await mkdir(full);
            await writeFile(join(full, 'a file'), 'mine');
            const made = await does(1, ['restore', dest, '--data', full]);
            assert.match(String(made.stderr), /is not empty, and nothing is overwritten/);
            assert.deepEqual(await readdir(full), ['a file']);
            await does(1, ['restore', dest, '--data', big]);
            await does(3, ['restore', full, '--data', fresh()]);
            await does(3, ['restore', fresh('nothing'), '--data', fresh()]);

            const server = await Server.start({ data: dest });
            const data = fresh();
            const busy = await does(1, ['restore', dest, '--data', data]);
            assert.match(String(busy.stderr), /is in use by another rundlet/);
            assert.ok(!existsSync(data));
            await server.close();

            await mkdir(data);
            const sums = objects((await does(0, ['restore', dest, '--data', data])).stdout)[0];
            assert.deepEqual(sums, { runs: 240, lost: 0, containers: 1 });
            assert.deepEqual(await exported(data), runs.map((r) => r.text).sort());
            assert.equal((await verified(data, '--rows')).damaged, 0);
        });

        it('help and usage name all of them', async () => {
            const text = String((await does(0, ['help'])).stdout);
            for (const name of ['pack ls | info N | cat N', 'backup DEST', 'restore SRC'])
                assert.ok(text.includes(name), name);
            await does(2, ['backup']);
            await does(2, ['restore', 'a', 'b']);
        });
    });
});
