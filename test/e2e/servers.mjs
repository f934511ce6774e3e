// servers.mjs - the servers that other suites stop, kill and start again do so: the same
// port, what was synced is there, and nothing stays behind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Backend, newBucket, newDatabase, s3, sql } from './lib/backends.mjs';
import { scratch } from './lib/server.mjs';

const scripts = fileURLToPath(new URL('../servers/', import.meta.url));

// Processes that have `word` on their command line or in their environment.
function processes(word) {
    const read = (pid, file) => {
        try {
            return readFileSync(`/proc/${pid}/${file}`, 'latin1');
        } catch {
            return ''; // it ended, or it is not ours
        }
    };
    return readdirSync('/proc').filter(
        (pid) =>
            /^\d+$/.test(pid) &&
            Number(pid) !== process.pid &&
            (read(pid, 'cmdline') + read(pid, 'environ')).includes(word),
    );
}

const script = (name, ...args) =>
    spawnSync(join(scripts, name), args, { encoding: 'utf8', timeout: 120_000 });

describe('test/servers', () => {
    it('PostgreSQL: what was committed outlives kill -9', async () => {
        const server = await Backend.start('postgres', { sync: true });
        const { url } = server;
        assert.match(url, /^postgres:\/\/rundlet:rundletsecret@127\.0\.0\.1:\d+\/postgres$/);
        const database = await newDatabase(server);
        await database.sql('create table t (n int); insert into t values (7)');
        assert.equal(await database.sql('show fsync'), 'on');
        for (const end of ['kill', 'down']) {
            await server[end]();
            assert.deepEqual(processes(server.dir), []);
            await assert.rejects(sql(url, 'select 1'));
            await server.up();
            assert.equal(server.url, url);
            assert.equal(await database.sql('select n from t'), '7');
        }
        const wrong = url.replace('rundletsecret', 'other');
        await assert.rejects(sql(wrong, 'select 1'), /password/);
        await server.close();
        assert.deepEqual(processes(server.dir), []);
        assert.ok(!existsSync(server.dir));
    });

    it('Redis: empty again on the same port; with a password, or without', async () => {
        const server = await Backend.start('redis');
        const { url, port } = server;
        assert.equal(url, `redis://127.0.0.1:${port}/0`);
        const ask = (...args) =>
            spawnSync('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...args], {
                encoding: 'utf8',
                timeout: 10_000,
            }).stdout.trim();
        assert.equal(ask('set', 'a', '1'), 'OK');
        for (const end of ['kill', 'down']) {
            await server[end]();
            assert.deepEqual(processes(server.dir), []);
            await server.up();
            assert.equal(server.url, url);
            assert.equal(ask('get', 'a'), '');
        }
        await server.close();
        const dir = await scratch();
        const made = script('redis-up', '--password', 'word', dir);
        assert.match(made.stdout, /^redis:\/\/:word@127\.0\.0\.1:\d+\/0\n$/, made.stderr);
        const other = new URL(made.stdout.trim()).port;
        const said = spawnSync('redis-cli', ['-h', '127.0.0.1', '-p', other, 'get', 'a'], {
            encoding: 'utf8',
        });
        assert.match(said.stdout + said.stderr, /NOAUTH/);
        assert.equal(script('redis-down', dir).status, 0);
        await rm(dir, { recursive: true });
    });

    it('Ceph on disk: what was put outlives kill -9; it checks signatures and If-None-Match', async () => {
        const server = await Backend.start('s3', { sync: true });
        const { url } = server;
        const bucket = await newBucket(server);
        await bucket.put('a/b', 'bytes');
        await server.kill();
        assert.deepEqual(processes(server.dir), []);
        await server.up();
        assert.equal(server.url, url);
        assert.equal((await bucket.get('a/b')).toString(), 'bytes');
        const again = await s3(url, 'PUT', `/${bucket.name}/a/b`, {
            body: 'other',
            headers: { 'if-none-match': '*' },
        });
        assert.equal(again.status, 412);
        const forged = await fetch(`${url}/${bucket.name}/a/b`, {
            headers: { authorization: 'AWS rundletkey:wrong', date: new Date().toUTCString() },
        });
        assert.equal(forged.status, 403);
        await server.close();
        assert.deepEqual(processes(server.dir), []);
    });

    it('Ceph in memory: empty again on the same port', async () => {
        const server = await Backend.start('s3');
        const { url } = server;
        const bucket = await newBucket(server);
        await bucket.put('a', 'bytes');
        await server.down();
        assert.deepEqual(processes(server.dir), []);
        await server.up();
        assert.equal(server.url, url);
        assert.equal((await s3(url, 'GET', `/${bucket.name}/a`)).status, 404);
        await server.close();
    });

    it('s3rver: what was put outlives kill -9; it checks no signatures', async (t) => {
        const dir = await scratch();
        const made = script('s3rver-up', dir);
        if (made.stderr.includes('npm ci failed')) {
            await rm(dir, { recursive: true });
            t.skip('npm cannot install it here');
            return;
        }
        assert.equal(made.status, 0, made.stderr);
        const url = made.stdout.trim();
        assert.ok((await s3(url, 'PUT', '/some-bucket')).status < 500);
        assert.equal(script('s3rver-down', '--kill', dir).status, 0);
        assert.deepEqual(processes(dir), []);
        assert.equal(script('s3rver-up', dir).stdout.trim(), url);
        assert.equal(script('s3rver-down', dir).status, 0);
        await rm(dir, { recursive: true });
    });

    it('one that cannot start says why, and leaves nothing behind', async (t) => {
        const squatter = net.createServer().listen(0, '127.0.0.1');
        await once(squatter, 'listening');
        t.after(() => squatter.close());
        for (const [name, ...flags] of [
            ['postgres', '--no-sync'],
            ['redis'],
            ['ceph', '--no-sync'],
        ]) {
            const home = await scratch();
            const dir = join(home, 'server');
            spawnSync('chmod', ['711', home]);
            await mkdir(dir);
            await writeFile(join(dir, 'port'), `${squatter.address().port}\n`);
            const made = script(`${name}-up`, ...flags, dir);
            assert.equal(made.status, 1, `${name}: ${made.stdout}`);
            assert.match(made.stderr, /it did not start/, name);
            assert.match(made.stderr, /in use/i, `${name} shows the end of its log`);
            assert.deepEqual(processes(dir), [], name);
            await rm(home, { recursive: true });
        }
    });

    it('what never started is stopped without a word', async () => {
        const dir = await scratch();
        for (const name of ['postgres', 'redis', 'ceph', 's3rver'])
            assert.equal(script(`${name}-down`, dir).status, 0, name);
        await rm(dir, { recursive: true });
    });
});
