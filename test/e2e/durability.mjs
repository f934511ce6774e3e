// durability.mjs - what was acknowledged stays: over restarts, kills, a drain
// under load, a second server, a full disk, a flipped byte.  The long loop of
// kills is test/crash/kill.mjs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Wire, head, rawElements, rawMember, rawRun, run, uuid } from './lib/client.mjs';
import { Server, ofFiles, run as command, scratch } from './lib/server.mjs';

const MiB = 1 << 20;

const one = (fields = {}) => {
    const id = uuid();
    const inputs = `{"n": 1e2,"text":"${id.repeat(3)}"}`;
    return {
        id,
        inputs,
        text: rawRun({ id: `"${id}"`, trace_id: `"${uuid()}"`, name: '"d"', inputs, ...fields }),
    };
};
const body = (runs) => `[${runs.map((r) => r.text).join()}]`;

async function allThere(server, runs) {
    for (let at = 0; at < runs.length; at += 1000) {
        const part = runs.slice(at, at + 1000);
        const answer = await server.post(
            '/runs/batch',
            part.map((r) => r.id),
        );
        assert.equal(answer.status, 200);
        const got = rawElements(rawMember(answer.text, 'runs'));
        assert.equal(got.length, part.length, 'every run is there');
        got.forEach((text, i) => assert.equal(rawMember(text, 'inputs'), part[i].inputs));
    }
}

// Change one byte of what stands in a segment: the sixth of `mark`, from 'm' to
// 'X' or back.  Where it was.
async function flip(data, mark, back = null) {
    const dir = join(data, 'segments');
    for (const name of (await readdir(dir)).sort()) {
        const bytes = await readFile(join(dir, name));
        const at = back ?? bytes.indexOf(mark);
        if (at < 0 || bytes.toString('latin1', at, at + 5) !== 'flip-') continue;
        const file = await open(join(dir, name), 'r+');
        await file.write(Buffer.from(back === null ? 'X' : 'm'), 0, 1, at + 5);
        await file.close();
        return { name, at };
    }
    assert.fail('the payload was not found in any segment');
}

async function verified(data) {
    const made = await command(['verify', '--data', data]);
    assert.equal(made.code, 0, `${made.stdout}${made.stderr}`);
}

describe('durability', () => {
    it('a restart changes no answer', async () => {
        const server = await Server.start({ flags: ['--segment-size', '1MiB'] });
        const runs = Array.from({ length: 3000 }, () => one());
        for (let at = 0; at < 3000; at += 100) await server.store(body(runs.slice(at, at + 100)));
        const paths = [
            `/runs/${runs[0].id}`,
            `/runs/${runs[2999].id}`,
            '/runs/search?name=d&limit=100',
        ];
        const before = [];
        for (const path of paths) before.push((await server.get(path)).text);
        for (let round = 0; round < 3; round++) {
            await server.restart();
            for (let i = 0; i < paths.length; i++)
                assert.equal((await server.get(paths[i])).text, before[i]);
            await allThere(server, runs);
        }
        const { data } = server;
        await server.stop();
        await ofFiles(verified)(data);
        await server.up();
        await server.close();
    });

    it('kill -9 after the answer loses nothing', async () => {
        const server = await Server.start();
        const runs = [];
        for (let round = 0; round < 10; round++) {
            const made = Array.from({ length: 1 + round * 20 }, () => one());
            await server.store(body(made));
            await server.kill();
            runs.push(...made);
            await server.up();
            await allThere(server, runs);
        }
        await server.close();
    });

    it('kill -9 in the middle of a batch: all of it or nothing, and the retry is 201', async () => {
        const server = await Server.start();
        for (let round = 0; round < 8; round++) {
            const made = Array.from({ length: 2000 }, () => one());
            const posted = server.post('/runs', body(made)).then(
                (answer) => answer.status,
                () => 0,
            );
            const until = Date.now() + round * 6;
            while (Date.now() < until) await new Promise(setImmediate);
            await server.kill();
            const status = await posted;
            await server.up();
            const answer = await server.post(
                '/runs/batch',
                made.slice(500, 1500).map((r) => r.id),
            );
            const count = Number(rawMember(answer.text, 'count'));
            assert.ok(count === 0 || count === 1000, `${count} of 1000`);
            if (status === 201) assert.equal(count, 1000);
            assert.deepEqual(
                await server.store(body(made)),
                made.map((r) => r.id),
            );
            await allThere(server, made);
        }
        await server.close();
    });

    it('SIGTERM under load: what was answered 201 is there, and the exit is 0', async () => {
        const server = await Server.start({ flags: ['--loops', '2'] });
        const stored = [];
        const unknown = [];
        let other = 0;
        let going = true;
        const client = async () => {
            while (going) {
                const made = Array.from({ length: 20 }, () => one());
                try {
                    const answer = await server.post('/runs', body(made));
                    if (answer.status === 201) stored.push(...made);
                    else if (answer.status === 503) other++;
                    else assert.fail(`${answer.status} ${answer.text}`);
                } catch (error) {
                    if (error instanceof assert.AssertionError) throw error;
                    unknown.push(made);
                    return;
                }
            }
        };
        const clients = Array.from({ length: 12 }, client);
        while (stored.length < 2000) await new Promise((resolve) => setTimeout(resolve, 5));
        const exit = await server.stop();
        going = false;
        await Promise.all(clients);
        assert.deepEqual(exit, { code: 0, signal: null }, server.tail());
        await server.up();
        await allThere(server, stored);
        for (const made of unknown) {
            const answer = await server.post(
                '/runs/batch',
                made.map((r) => r.id),
            );
            assert.ok(
                [0, 20].includes(Number(rawMember(answer.text, 'count'))),
                'whole or not at all',
            );
        }
        await server.close();
    });

    it('SIGTERM lets a request under way end', async () => {
        const server = await Server.start();
        const made = one();
        const text = body([made]);
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': text.length,
            }),
        );
        wire.send(text.slice(0, 20));
        // A second round trip proves that the first request has begun.
        for (let i = 0; i < 20; i++) await server.get('/health');
        const stopped = server.stop();
        let refused = false;
        for (let i = 0; i < 500 && !refused; i++) {
            const probe = await Wire.open(server).catch(() => null);
            refused = probe === null;
            probe?.close();
            if (!refused) await new Promise((resolve) => setTimeout(resolve, 10));
        }
        assert.ok(refused, 'nobody new is let in');
        wire.send(text.slice(20));
        const answer = await wire.answer();
        assert.equal(answer?.status, 201);
        assert.match(answer.headers.connection ?? '', /close/i);
        wire.close();
        assert.deepEqual(await stopped, { code: 0, signal: null });
        await server.up();
        await allThere(server, [made]);
        await server.close();
    });

    it('SIGTERM does not wait for idle connections', async () => {
        const server = await Server.start();
        const wires = await Promise.all(Array.from({ length: 50 }, () => Wire.open(server)));
        for (const wire of wires.slice(0, 25)) wire.send(head(server, 'GET', '/health'));
        for (const wire of wires.slice(0, 25)) await wire.answer();
        const began = Date.now();
        assert.deepEqual(await server.stop(), { code: 0, signal: null });
        assert.ok(Date.now() - began < 5000, `${Date.now() - began} ms`);
        for (const wire of wires) wire.close();
        await server.up();
        await server.close();
    });

    ofFiles(it)('a second server on the same data is refused with a sentence; the first goes on', async () => {
        const server = await Server.start();
        await server.store([run()]);
        const made = await command(['serve', '--data', server.data, '--listen', '127.0.0.1:0'], {
            timeout: 15_000,
        });
        assert.ok(made.code > 0, `code ${made.code}, signal ${made.signal}`);
        assert.ok(String(made.stderr).includes(server.data), String(made.stderr));
        assert.match(String(made.stderr), /in use|lock|already|another|other/i);
        assert.equal((await server.post('/runs', [run()])).status, 201);
        await server.restart(); // the lock goes with its holder
        await server.kill();
        await server.up();
        await server.close();
    });

    ofFiles(it)('reindex rebuilds the index, with the same answers', async () => {
        const server = await Server.start({ flags: ['--segment-size', '1MiB'] });
        const trace_id = uuid();
        const runs = Array.from({ length: 500 }, () =>
            one({ trace_id: `"${trace_id}"`, outputs: `{"t":"${'x'.repeat(5000)}"}` }),
        );
        for (let at = 0; at < 500; at += 50) await server.store(body(runs.slice(at, at + 50)));
        const before = (await server.get(`/runs/search?trace_id=${trace_id}&limit=1000`)).text;
        const etag = (await server.get(`/runs/${runs[7].id}`)).headers.etag;
        await server.stop();
        const made = await command(['reindex', '--data', server.data]);
        assert.equal(made.code, 0, String(made.stderr));
        await server.up();
        assert.equal(
            (await server.get(`/runs/search?trace_id=${trace_id}&limit=1000`)).text,
            before,
        );
        assert.equal((await server.get(`/runs/${runs[7].id}`)).headers.etag, etag);
        assert.deepEqual(
            await server.store(body(runs.slice(0, 5))),
            runs.slice(0, 5).map((r) => r.id),
        );
        await allThere(server, runs);
        await server.close();
    });

    ofFiles(it)('an index that was removed is made again from the log', async () => {
        const server = await Server.start();
        const runs = Array.from({ length: 300 }, () => one());
        await server.store(body(runs));
        await server.stop();
        let removed = 0;
        for (const name of await readdir(server.data))
            if (name.startsWith('index.db')) {
                await rm(join(server.data, name));
                removed++;
            }
        assert.ok(removed > 0, 'there was an index to remove');
        await server.up();
        await allThere(server, runs);
        await server.close();
    });

    ofFiles(it)('a flipped byte is an error, never wrong bytes, and verify finds it', async () => {
        const server = await Server.start({
            flags: ['--segment-size', '1MiB', '--cache-size', '0'],
        });
        const good = [one(), one()];
        const mark = 'flip-me-9f3c'.repeat(20);
        const bad = { id: uuid() };
        bad.text = rawRun({
            id: `"${bad.id}"`,
            trace_id: `"${uuid()}"`,
            name: '"d"',
            inputs: `{"a":"${mark}"}`,
        });
        await server.store(body([good[0], bad, good[1]]));
        // Fill this segment and begin another: the last one is looked through at the start.
        const filler = Array.from({ length: 30 }, () =>
            one({ outputs: `{"t":"${'x'.repeat(50_000)}"}` }),
        );
        for (const made of filler) await server.store(body([made]));
        const { name, at } = await flip(server.data, mark);
        const last = (await readdir(join(server.data, 'segments'))).sort().at(-1);
        assert.notEqual(name, last, 'the damage is not in the last segment');
        for (let round = 0; round < 2; round++) {
            for (const path of [`/runs/${bad.id}`, `/runs/${bad.id}/inputs`]) {
                const answer = await server.get(path);
                assert.equal(answer.status, 500, answer.text.slice(0, 200));
            }
            const batch = await server.post('/runs/batch', [good[0].id, bad.id]);
            assert.ok(!batch.text.includes('flip-Xe'), 'no wrong bytes in a batch either');
            await allThere(server, [...good, ...filler]);
            assert.ok((await server.metrics()).get('rundlet_store_corrupt_total') > 0);
            await server.restart();
        }
        await server.stop();
        const made = await command(['verify', '--data', server.data]);
        assert.equal(made.code, 1, `verify sees it: ${made.stdout}${made.stderr}`);
        assert.ok(`${made.stdout}${made.stderr}`.includes(name), 'and says in which file');
        await flip(server.data, 'flip-', at); // back as it was
        await verified(server.data);
        await server.up();
        await server.close();
    });

    ofFiles(it)('damage in the last segment: refused with file and place, or a 500; the file is left as it is', async () => {
        const server = await Server.start();
        const mark = 'flip-me-at-the-end';
        const bad = { id: uuid() };
        bad.text = rawRun({
            id: `"${bad.id}"`,
            trace_id: `"${uuid()}"`,
            name: '"d"',
            inputs: `{"a":"${mark}"}`,
        });
        await server.store(body([bad]));
        const after = [one(), one()];
        for (const made of after) await server.store(body([made]));
        await server.stop();
        const { name, at } = await flip(server.data, mark);
        const file = join(server.data, 'segments', name);
        const before = await readFile(file);
        const refused = await server.up().then(
            () => null,
            (error) => error.message,
        );
        if (refused === null) {
            assert.equal((await server.get(`/runs/${bad.id}`)).status, 500);
            await allThere(server, after);
            await server.stop();
        } else {
            assert.ok(refused.includes(name), refused);
            assert.match(refused, /at \d+/);
        }
        assert.ok((await readFile(file)).subarray(0, at).equals(before.subarray(0, at)));
        assert.ok(
            (await readFile(file)).includes(after[1].id),
            'nothing behind the damage was cut off',
        );
        await flip(server.data, 'flip-', at);
        await server.up();
        assert.equal((await server.get(`/runs/${bad.id}`)).json.inputs.a, mark);
        await server.close();
    });
});

ofFiles(describe)('a full disk', () => {
    const mounted = async (size) => {
        const home = await scratch('rundlet-full-');
        const made = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', home]);
        if (made.status !== 0) {
            await rm(home, { recursive: true, force: true });
            return null;
        }
        return home;
    };
    const unmount = async (home) => {
        assert.equal(spawnSync('umount', [home]).status, 0);
        await rm(home, { recursive: true, force: true });
    };

    for (const [what, flags] of [
        ['down to the reserve', ['--disk-reserve', '8MiB']],
        ['to the last byte', ['--disk-reserve', '0']],
    ])
        it(`${what}: 507, reads go on, and it recovers without a restart`, async (t) => {
            const home = await mounted('48m');
            if (!home) {
                t.skip('mounting a tmpfs is not permitted here');
                return;
            }
            const data = join(home, 'data');
            const ballast = join(home, 'ballast');
            await mkdir(data);
            await writeFile(ballast, Buffer.alloc(16 * MiB));
            const server = await Server.start({
                data,
                flags: [...flags, '--segment-size', '4MiB'],
            });
            try {
                const stored = [];
                const refused = [];
                const post = async () => {
                    const made = one({ outputs: `{"t":"${'x'.repeat(300_000)}"}` });
                    const answer = await server.post('/runs', body([made]));
                    if (answer.status === 201) stored.push(made);
                    else {
                        assert.equal(answer.status, 507, answer.text);
                        refused.push(made);
                    }
                    return answer.status;
                };
                for (let i = 0; i < 400 && refused.length < 20; i++) await post();
                assert.equal(refused.length, 20, 'the disk did get full');
                assert.ok(stored.length > 10, 'and was not at first');
                // Full: everything stored is readable, nothing refused is there.
                await allThere(server, stored);
                for (const made of refused)
                    assert.equal((await server.get(`/runs/${made.id}`)).status, 404);
                assert.equal((await server.get('/health')).status, 200);
                const ready = await server.ask('GET', '/ready', { lawful: false });
                assert.equal(ready.status, 503);
                assert.match(ready.text, /disk/);
                // Space again: writes again, without a restart.
                const size = (await stat(ballast)).size;
                assert.equal(size, 16 * MiB);
                await rm(ballast);
                let status = 0;
                for (let i = 0; i < 20 && status !== 201; i++) {
                    status = await post();
                    if (status !== 201) await new Promise((resolve) => setTimeout(resolve, 250));
                }
                assert.equal(status, 201, 'it recovered');
                for (const made of refused.slice(0, 5))
                    assert.equal((await server.post('/runs', body([made]))).status, 201);
                assert.equal((await server.get('/ready')).status, 200);
                stored.push(...refused.slice(0, 5));
                await allThere(server, stored);
                // And what is on disk is sound.
                await server.restart();
                await allThere(server, stored);
                assert.deepEqual(await server.stop(), { code: 0, signal: null });
                await verified(data);
            } finally {
                await server.stop();
                await unmount(home);
            }
        });
});
