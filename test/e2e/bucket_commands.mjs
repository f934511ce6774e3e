// bucket_commands.mjs - the command line over a bucket and PostgreSQL: what nothing leads
// to is removed, a lost database is made again, runs move between deployments.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newBucket, newDatabase, s3 } from './lib/backends.mjs';
import { run as runOf, uuid } from './lib/client.mjs';
import { Deployment } from './lib/production.mjs';
import { HttpProxy } from './lib/proxy.mjs';
import { bareEnvironment, binary, run, scratch, secrets, Server } from './lib/server.mjs';

const COMMIT = '\0commit\0';

describe('commands over a bucket', () => {
    let d, home;
    const batches = [];
    const post = (node, runs) =>
        node.ask('POST', '/runs', { body: JSON.stringify(runs), type: 'application/json' });

    // A command with the deployment's settings, past the proxies.
    const settings = (database = d.database) => [
        '--objects',
        d.store.url(),
        '--index',
        database.url,
        '--cache',
        'none',
    ];
    const does = async (code, args, env = {}) => {
        const made = await run(args, { env: { ...secrets, ...env } });
        if (code !== null) assert.equal(made.code, code, `${args.join(' ')}: ${made.stdout}${made.stderr}`);
        return String(made.stdout);
    };
    const sums = async (code, args) =>
        JSON.parse((await does(code, args)).trim().split('\n').at(-1));

    before(async () => {
        home = await scratch();
        d = await Deployment.start();
        for (let i = 0; i < 5; i++) {
            const runs = Array.from({ length: 20 }, (_, k) =>
                runOf({ id: uuid(), name: `batch ${i}`, inputs: { n: k, t: 'x'.repeat(100 * k) } }),
            );
            assert.equal((await post(d.node, runs)).status, 201);
            batches.push(runs);
        }
    });
    after(async () => {
        await d.close();
        await rm(home, { recursive: true, force: true });
    });

    it('gc removes what was put and never committed, and nothing else', async () => {
        const rule = d.postgres.when('client', COMMIT, 'cut before');
        const lost = runOf({ id: uuid(), name: 'never committed' });
        assert.equal((await post(d.node, [lost])).status, 503);
        assert.equal(rule.hits, 1);
        await d.calm();
        const now = [...settings(), '--gc-grace', '0'];
        assert.deepEqual(await sums(0, ['gc', ...settings()]), {
            objects: 0,
            orphans: 0,
            removed: 0,
        }); // all are younger than the grace
        assert.deepEqual(await sums(0, ['gc', '--look', ...now]), {
            objects: 6,
            orphans: 1,
            removed: 0,
        });
        assert.deepEqual(await sums(0, ['gc', ...now]), { objects: 6, orphans: 1, removed: 1 });
        assert.deepEqual(await sums(0, ['gc', ...now]), { objects: 5, orphans: 0, removed: 0 });
        const verified = await sums(0, ['verify', '--rows', ...settings()]);
        assert.equal(verified.runs, 100);
        assert.equal(verified.damaged + verified.not_indexed, 0);
    });

    it('get, search and export read what the nodes stored', async () => {
        const wanted = batches[3][7];
        const got = JSON.parse(await does(0, ['get', wanted.id, ...settings()]));
        assert.deepEqual(got.inputs, wanted.inputs);
        const found = await does(0, ['search', '--name', 'batch 2', '--all', ...settings()]);
        assert.equal(found.trim().split('\n').length, 20);
        const all = (await does(0, ['export', ...settings()])).trim().split('\n');
        assert.equal(all.length, 100);
    });

    // Only a hand or a rule of the bucket does this.
    it('rows whose object is gone are told of, and taken out', async () => {
        const runs = Array.from({ length: 3 }, () => runOf({ id: uuid(), name: 'gone' }));
        const before = await d.store.keys();
        assert.equal((await post(d.node, runs)).status, 201);
        const [key] = (await d.store.keys()).filter((one) => !before.includes(one));
        await d.store.delete(key);
        const lines = (await does(1, ['verify', ...settings()])).trim().split('\n');
        const damage = JSON.parse(lines[0]);
        assert.ok(key.endsWith(damage.file), `${key}: ${lines[0]}`);
        assert.match(damage.damage, /is gone.*gc --rows/);
        assert.equal(JSON.parse(lines.at(-1)).damaged, 1);
        const counted = await sums(0, ['gc', '--rows', '--look', ...settings()]);
        assert.deepEqual(counted, { objects: 6, gone: 1, runs: 0 });
        assert.equal((await post(d.node, runs)).status, 201); // taken for duplicates
        assert.deepEqual(await d.store.keys(), before);
        const taken = await sums(0, ['gc', '--rows', ...settings()]);
        assert.deepEqual(taken, { objects: 6, gone: 1, runs: 3 });
        await does(0, ['verify', '--rows', ...settings()]);
        const path = `/runs/${runs[0].id}`;
        assert.equal((await d.node.ask('GET', `${path}?consistency=strong`)).status, 404);
        assert.equal((await post(d.node, runs)).status, 201);
        assert.equal((await d.node.ask('GET', path)).status, 200);
        const kept = (await d.store.keys()).filter((one) => !before.includes(one));
        assert.equal(kept.length, 1);
        await d.store.delete(kept[0]);
        assert.equal((await sums(0, ['gc', '--rows', ...settings()])).runs, 3);
    });

    it('where many objects are gone, no row is taken out', async () => {
        const packs = (await d.store.keys()).filter((one) => one.endsWith('.pack'));
        const saved = [];
        for (const key of packs.slice(0, 2)) {
            saved.push([key, await d.store.get(key)]);
            await d.store.delete(key);
        }
        const swept = await run(['gc', '--rows', ...settings()], { env: secrets });
        assert.equal(swept.code, 3);
        assert.match(String(swept.stderr), /2 of 5 objects.*nothing is taken out/);
        for (const [key, bytes] of saved) await d.store.put(key, bytes);
        await does(0, ['verify', '--rows', ...settings()]);
    });

    it('reindex makes an empty database whole again', async () => {
        const empty = await newDatabase();
        try {
            // A database that knows nothing of the bucket must not have it swept.
            await does(0, ['migrate', 'up', '--index', empty.url]);
            const swept = await run(['gc', ...settings(empty), '--gc-grace', '0'], {
                env: secrets,
            });
            assert.equal(swept.code, 3);
            assert.match(String(swept.stderr), /nothing is removed.*rundlet reindex/);
            assert.deepEqual(await sums(0, ['reindex', ...settings(empty)]), {
                runs: 100,
                refused: 0,
                lost: 0,
            });
            assert.deepEqual(await sums(0, ['reindex', ...settings(empty)]), {
                runs: 0, // taken in: all are there, and none is there twice
                refused: 0,
                lost: 0,
            });
            const found = await does(0, ['search', '--name', 'batch', '--all', ...settings(empty)]);
            assert.equal(found.trim().split('\n').length, 100);
        } finally {
            await empty.drop();
        }
    });

    // Each try that failed has left an object.  Nothing of it may stop what comes after.
    it('reindex passes what was put and never committed', async () => {
        const [same, other] = [uuid(), uuid()];
        const first = d.postgres.when('client', COMMIT, 'cut before');
        const lost = [runOf({ id: same, name: 'twice' }), runOf({ id: other, name: 'was this' })];
        assert.equal((await post(d.node, lost)).status, 503);
        assert.equal(first.hits, 1);
        await d.calm();
        // The same again is one thing, other content under the id another.
        assert.equal((await post(d.node, [lost[0]])).status, 201);
        assert.equal((await post(d.node, [runOf({ id: other, name: 'is this' })])).status, 201);
        const behind = [runOf({ id: uuid(), name: 'behind it' })];
        assert.equal((await post(d.node, behind)).status, 201);
        const verified = await sums(0, ['verify', '--rows', ...settings()]);
        assert.equal(verified.damaged, 0);
        // What a fail-over to a copy that was behind would do to the last of them.
        await d.database.sql(`delete from rundlet_runs where id = '${behind[0].id}'`);
        const made = await sums(null, ['reindex', ...settings()]);
        assert.equal(made.runs, 1);
        const strong = `/runs/${behind[0].id}?consistency=strong`;
        assert.equal((await d.node.ask('GET', strong)).status, 200);
        assert.equal(JSON.parse((await d.node.ask('GET', `/runs/${other}`)).text).name, 'is this');
        // From nothing: which of the two was acknowledged, no object tells.
        const empty = await newDatabase();
        try {
            const whole = await sums(null, ['reindex', ...settings(empty)]);
            assert.equal(whole.lost, 0);
            await does(0, ['get', behind[0].id, ...settings(empty)]);
            await does(0, ['get', same, ...settings(empty)]);
        } finally {
            await empty.drop();
        }
    });

    it('a database or a bucket of another deployment is refused', async () => {
        const other = await newBucket();
        try {
            const over = ['--objects', other.url(), '--index', d.database.url, '--cache', 'none'];
            for (const args of [
                ['import', ...over, '/dev/null'],
                ['verify', ...over],
            ]) {
                const made = await run(args, { env: secrets });
                assert.notEqual(made.code, 0);
                assert.match(String(made.stderr), /index of another bucket/);
            }
        } finally {
            await other.drop();
        }
    });

    it('a command that only reads makes no bucket and claims none', async () => {
        const fresh = await newBucket();
        const data = join(home, 'fresh');
        const env = { env: secrets };
        const over = (url) => ['--data', data, '--objects', url, '--cache', 'none'];
        const database = await newDatabase();
        try {
            const missing = fresh.url().replace(fresh.name, `${fresh.name}-not`);
            const none = await run(['get', uuid(), ...over(missing)], env);
            assert.equal(none.code, 3);
            assert.match(String(none.stderr), /no such bucket/);
            for (const index of [[], ['--index', database.url]]) {
                const read = await run(['get', uuid(), ...over(fresh.url()), ...index], env);
                assert.equal(read.code, 3);
                assert.match(String(read.stderr), /holds no runs of this program/);
            }
            assert.deepEqual(await fresh.keys(), []);
            // So who serves from a directory may still have it; and says so when it makes one.
            await does(0, ['import', ...over(fresh.url()), '/dev/null']);
            assert.match(String(await fresh.get('v1/owner')), /writer [0-9a-f]{32}/);
        } finally {
            await database.drop();
            await fresh.drop();
        }
        const made = `test-${uuid().slice(24)}`;
        const url = fresh.url().replace(fresh.name, made);
        const first = await run(
            ['import', '--data', join(home, 'made'), '--objects', url, '/dev/null'],
            env,
        );
        assert.equal(first.code, 0);
        assert.match(String(first.stderr), new RegExp(`bucket_created.*bucket=${made}`));
        await s3(fresh.endpoint, 'DELETE', `/${made}/v1/owner`);
        await s3(fresh.endpoint, 'DELETE', `/${made}`);
    });

    it('a bucket that is not reached at the start is told of, and asked again', async () => {
        const proxy = await HttpProxy.start(Number(new URL(d.store.endpoint).port));
        try {
            const rule = proxy.answer({ status: 503, times: 2 });
            const url = d.store.url(`http://${proxy.authority}`);
            const over = ['--objects', url, '--index', d.database.url, '--cache', 'none'];
            const read = await run(['search', '--name', 'batch', ...over], { env: secrets });
            assert.equal(read.code, 0);
            assert.ok(rule.hits >= 2);
            const told = String(read.stderr).match(/bucket_not_reached.*/g);
            assert.equal(told.length, 1);
            assert.ok(told[0].includes(proxy.authority) && told[0].includes('503'), told[0]);
        } finally {
            await proxy.close();
        }
    });

    it('where no access key is set, the refusal says so', async () => {
        const env = {
            RUNDLET_S3_ACCESS_KEY: undefined,
            RUNDLET_S3_SECRET_KEY: undefined,
            AWS_ACCESS_KEY_ID: undefined,
            AWS_SECRET_ACCESS_KEY: undefined,
            AWS_SHARED_CREDENTIALS_FILE: join(home, 'none'),
        };
        const made = await run(['search', '--name', 'batch', ...settings()], { env });
        assert.equal(made.code, 3);
        assert.match(String(made.stderr), /no access key is set.*s3_access_key.*AWS_ACCESS_KEY_ID/);
    });

    // It shows that the store is create-only with a second put, whose answer is lost here.
    it('a bucket is opened though an answer to a put is lost', async () => {
        const fresh = await newBucket();
        const proxy = await HttpProxy.start(Number(new URL(fresh.endpoint).port));
        try {
            const rule = proxy.answer({
                method: 'PUT',
                path: /owner/,
                skip: 1,
                stored: true,
                reset: true,
            });
            const url = fresh.url(`http://${proxy.authority}`);
            await does(0, ['import', '--data', join(home, 'own'), '--objects', url, '/dev/null']);
            assert.ok(rule.hits > 0);
        } finally {
            await proxy.close();
            await fresh.drop();
        }
    });

    it('move copies every run of a directory, and compares', async () => {
        const old = await Server.start();
        const runs = Array.from({ length: 300 }, (_, k) =>
            runOf({ id: uuid(), name: 'moved', outputs: { n: k } }),
        );
        assert.equal((await post(old, runs)).status, 201);
        const to = join(home, 'to.conf');
        await writeFile(
            to,
            `objects = ${d.store.url()}\nindex = ${d.database.url}\ncache = none\n` +
                `s3_access_key = ${secrets.RUNDLET_S3_ACCESS_KEY}\n` +
                `s3_secret_key = ${secrets.RUNDLET_S3_SECRET_KEY}\n`,
        );
        const move = ['move', '--data', old.data, '--to', to];
        assert.deepEqual(await sums(0, move), {
            runs: 300,
            moved: 300,
            there: 0,
            damaged: 0,
            conflicts: 0,
        });
        assert.equal((await sums(0, move)).there, 300);
        const got = await d.node.get(`/runs/${runs[250].id}`);
        assert.deepEqual(JSON.parse(got.text).outputs, { n: 250 });
        // Not onto itself, as when variables name another source than was meant.
        const same = await run(['move', ...settings(), '--to', to], { env: secrets });
        assert.equal(same.code, 3);
        assert.match(String(same.stderr), /both are s3:/);
        // One of which the other side has different content is named; the rest goes.
        const id = uuid();
        assert.equal((await post(d.node, [runOf({ id, name: 'here' })])).status, 201);
        assert.equal(
            (await post(old, [runOf({ id, name: 'there' }), runOf({ id: uuid(), name: 'moved' })]))
                .status,
            201,
        );
        const again = await sums(1, move);
        assert.equal(again.conflicts, 1);
        assert.equal(again.moved, 1);
        await old.close();
    });

    // While the source is waited for, the other side is healthy, and must not seem late.
    it('move comes to its end from a source that is slow, and says how far it came', async () => {
        const from = await Deployment.start();
        const other = { store: await newBucket(), database: await newDatabase() };
        try {
            for (let i = 0; i < 3; i++) {
                const posts = Array.from({ length: 80 }, () =>
                    post(from.node, [runOf({ id: uuid(), name: 'slowly' })]),
                );
                for (const { status } of await Promise.all(posts)) assert.equal(status, 201);
            }
            const file = join(home, 'slow.conf');
            await writeFile(
                file,
                `objects = ${other.store.url()}\nindex = ${other.database.url}\ncache = none\n` +
                    `s3_access_key = ${secrets.RUNDLET_S3_ACCESS_KEY}\n` +
                    `s3_secret_key = ${secrets.RUNDLET_S3_SECRET_KEY}\n` +
                    `read_timeout = 1s\ns3_timeout = 1s\n`,
            );
            const move = [
                'move',
                '--objects',
                from.store.url(`http://${from.bucket.authority}`),
                '--index',
                from.database.url,
                '--to',
                file,
            ];
            const packs = { method: 'GET', path: /\.pack/ };
            const rule = from.bucket.answer({ ...packs, skip: 1, delay: 200, times: Infinity });
            const child = spawn(binary, move, { env: bareEnvironment(secrets) });
            const said = { out: '', err: '' };
            child.stdout.on('data', (piece) => (said.out += piece));
            child.stderr.on('data', (piece) => (said.err += piece));
            const closed = once(child, 'close');
            await rule.hit;
            child.kill('SIGINT');
            const [code] = await closed;
            assert.equal(code, 3, said.err);
            assert.match(said.err, /interrupted/);
            const part = JSON.parse(said.out);
            assert.ok(part.moved > 0 && part.moved === part.runs && part.runs < 240, said.out);
            rule.remove();

            from.bucket.answer({ ...packs, delay: 1300, times: Infinity });
            const all = await sums(0, move);
            assert.equal(all.runs, 240);
            assert.equal(all.moved + part.moved, 240);
            assert.equal(all.there, part.moved);
        } finally {
            await from.close();
            await other.store.drop();
            await other.database.drop();
        }
    });

    it('migrate says what is applied, and what it would apply', async () => {
        const index = ['--index', d.database.url];
        assert.match(await does(0, ['migrate', 'status', ...index]), /0001/);
        assert.match(await does(0, ['migrate', 'sql']), /create table rundlet_runs/);
        const down = await run(['migrate', 'down', '0', ...index], { env: secrets });
        assert.equal(down.code, 2);
        assert.match(String(down.stderr), /drops every row.*--yes/);
        assert.match(await does(0, ['migrate', 'status', ...index]), /0001.*applied/);
    });
});
