// cli.mjs - the command line: stdout is data, stderr is talk, the exit status is
// honest (0 done, 1 the answer is no, 2 wrong usage, 3 could not be done).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import zlib from 'node:zlib';
import { rawElements, rawMember, rawRun, run, uuid } from './lib/client.mjs';
import { Server, binary, run as command, scratch } from './lib/server.mjs';

const lines = (bytes) =>
    String(bytes)
        .split('\n')
        .filter((line) => line !== '');

describe('the command line', () => {
    let home;
    before(async () => {
        home = await scratch();
    });
    after(() => rm(home, { recursive: true, force: true }));

    // A command that must end so; its stdout is JSON lines unless `plain`.
    const does = async (code, args, options = {}) => {
        const made = await command(args, options);
        assert.equal(made.signal, null);
        assert.equal(made.code, code, `${args.join(' ')}: ${made.stdout}${made.stderr}`);
        assert.doesNotMatch(String(made.stderr), /\x1b/, 'no colours where nobody looks');
        if (code === 2) {
            assert.equal(made.stdout.length, 0, 'wrong usage prints no data');
            assert.match(String(made.stderr), /^rundlet: ./);
        }
        return made;
    };
    let number = 0;
    const fresh = () => join(home, `data-${number++}`);
    const file = async (name, bytes) => {
        const path = join(home, name);
        await writeFile(path, bytes);
        return path;
    };

    describe('version, help, usage', () => {
        it('says its version, on stdout', async () => {
            for (const args of [['version'], ['--version']])
                assert.match(String((await does(0, args)).stdout), /^rundlet \d+\.\d+\.\d+/);
        });
        it('helps, on stdout, and names every command', async () => {
            for (const args of [['help'], ['--help']]) {
                const text = String((await does(0, args)).stdout);
                for (const name of [
                    'serve',
                    'get',
                    'search',
                    'import',
                    'export',
                    'verify',
                    'reindex',
                    'pack',
                    'backup',
                    'restore',
                    'version',
                    'help',
                ])
                    assert.match(text, new RegExp(`\\b${name}\\b`));
            }
            for (const name of ['serve', 'get', 'import', 'verify', 'reindex', 'pack', 'backup', 'restore'])
                assert.match(
                    String((await does(0, ['help', name])).stdout),
                    new RegExp(`rundlet ${name}`),
                );
        });
        it('lists every setting that the tests rely on', async () => {
            const text = String((await does(0, ['--help'])).stdout);
            for (const flag of [
                'listen',
                'data',
                'api-key',
                'insecure',
                'body-max',
                'wire-max',
                'run-max',
                'batch-runs-max',
                'inflight-max',
                'head-timeout',
                'idle-timeout',
                'disk-reserve',
                'cache-size',
                'loops',
                'segment-size',
                'drain-timeout',
            ])
                assert.ok(text.includes(`--${flag}`), flag);
        });
        it('nothing, or nonsense, is wrong usage with a hint', async () => {
            await does(2, []);
            assert.match(String((await does(2, ['sarch'])).stderr), /did you mean search/);
            assert.match(
                String((await does(2, ['serve', '--lisen', 'x'])).stderr),
                /did you mean --listen/,
            );
            await does(2, ['get']);
            await does(2, ['version', 'extra']);
        });
        it('a bad value of a setting is told by its name', async () => {
            for (const [flag, value] of [
                ['--body-max', '3x'],
                ['--loops', '-1'],
                ['--head-timeout', 'soon'],
                ['--segment-size', '1'],
                ['--listen', 'nowhere'],
                ['--listen', '127.0.0.1:99999'],
                ['--insecure', 'perhaps'],
            ])
                assert.ok(
                    String(
                        (await does(2, ['serve', '--data', fresh(), `${flag}=${value}`])).stderr,
                    ).includes(flag),
                    `${flag} ${value}`,
                );
        });
        it('an unknown RUNDLET_ variable is an error; those of others are not ours', async () => {
            const data = fresh();
            assert.match(
                String(
                    (await does(2, ['verify', '--data', data], { env: { RUNDLET_LISEN: 'x' } }))
                        .stderr,
                ),
                /RUNDLET_LISEN/,
            );
            const server = await Server.start({
                env: { LANGSMITH_ENDPOINT: 'http://x', REDIS_URL: 'redis://x', DB_HOST: 'x' },
            });
            assert.equal((await server.get('/health')).status, 200);
            await server.close();
        });
        it('a flag is stronger than a variable', async () => {
            const server = await Server.start({
                flags: ['--batch-runs-max', '5'],
                env: { RUNDLET_BATCH_RUNS_MAX: '2' },
            });
            assert.equal(
                (
                    await server.post(
                        '/runs',
                        Array.from({ length: 5 }, () => run()),
                    )
                ).status,
                201,
            );
            assert.equal(
                (
                    await server.post(
                        '/runs',
                        Array.from({ length: 6 }, () => run()),
                    )
                ).status,
                413,
            );
            await server.close();
        });
        it('a directory that is not there is told, not made, by what only reads', async () => {
            const data = fresh();
            for (const args of [['get', uuid()], ['verify'], ['export'], ['search', '--name', 'x']])
                assert.ok(
                    String((await does(3, [...args, '--data', data])).stderr).includes(data),
                    args[0],
                );
            await assert.rejects(readFile(data), { code: 'ENOENT' });
        });
    });

    describe('import, get, search, export', () => {
        const trace = uuid();
        const ids = [uuid(), uuid(), uuid()];
        const inputs = '{"n": 1e2, "s":"\\ud800","big":12345678901234567890}';
        const made = ids.map((id, i) =>
            rawRun({
                id: `"${id}"`,
                trace_id: `"${trace}"`,
                name: `"Cli ${i}"`,
                inputs,
                start_time: `"2026-01-0${i + 1}T00:00:00Z"`,
            }),
        );
        let data;
        before(async () => {
            data = fresh();
            const path = await file('runs.json', `[${made.join(',\n')}]`);
            const imported = await does(0, ['import', path, '--data', data]);
            const sums = JSON.parse(imported.stdout);
            assert.equal(sums.runs, 3);
            assert.equal(sums.stored, 3);
            assert.equal(sums.refused, 0);
        });

        it('an import may be run again: all are duplicates', async () => {
            const sums = JSON.parse(
                (await does(0, ['import', join(home, 'runs.json'), '--data', data])).stdout,
            );
            assert.equal(sums.stored, 0);
            assert.equal(sums.duplicate, 3);
        });
        it('takes JSON lines, gzip and arrays from stdin alike', async () => {
            const text = `${made.join('\n')}\n`;
            for (const input of [text, zlib.gzipSync(text), `[${made.join()}]`]) {
                const other = fresh();
                const sums = JSON.parse(
                    (await does(0, ['import', '-', '--data', other], { input })).stdout,
                );
                assert.equal(sums.stored, 3);
                assert.equal(
                    String(
                        (await does(0, ['get', ids[1], '--field', 'inputs', '--data', other]))
                            .stdout,
                    ),
                    inputs,
                );
            }
        });
        it('get prints the run as a line of JSON, bytes kept', async () => {
            const got = await does(0, ['get', ids[0], '--data', data]);
            assert.equal(lines(got.stdout).length, 1);
            assert.equal(rawMember(String(got.stdout), 'inputs'), inputs);
            assert.equal(JSON.parse(got.stdout).id, ids[0]);
        });
        it('get --field prints exactly its bytes', async () => {
            assert.equal(
                String(
                    (await does(0, ['get', ids[0], '--field', 'inputs', '--data', data])).stdout,
                ),
                inputs,
            );
            assert.equal(
                String((await does(0, ['get', ids[0], '--field=outputs', '--data', data])).stdout),
                '{}',
            );
            await does(2, ['get', ids[0], '--field', 'nobody', '--data', data]);
        });
        it('get --fields selects', async () => {
            const got = JSON.parse(
                (await does(0, ['get', ids[0].toUpperCase(), '--fields', 'name', '--data', data]))
                    .stdout,
            );
            assert.deepEqual(got, { id: ids[0], name: 'Cli 0' });
        });
        it('get of what is not there: 1; of what is no id: 2', async () => {
            const made404 = await does(1, ['get', uuid(), '--data', data]);
            assert.equal(made404.stdout.length, 0);
            assert.ok(made404.stderr.length > 0);
            await does(2, ['get', 'abc', '--data', data]);
        });
        it('search prints the newest first, a run a line', async () => {
            const found = lines(
                (await does(0, ['search', '--trace', trace, '--data', data])).stdout,
            );
            assert.deepEqual(
                found.map((line) => JSON.parse(line).id),
                [...ids].reverse(),
            );
            for (const line of found) assert.equal(rawMember(line, 'inputs'), inputs);
            const named = lines(
                (await does(0, ['search', '--name', 'cLI 1', '--data', data])).stdout,
            );
            assert.deepEqual(
                named.map((line) => JSON.parse(line).id),
                [ids[1]],
            );
        });
        it('search --limit goes on with --cursor; --all takes all', async () => {
            const first = await does(0, [
                'search',
                '--trace',
                trace,
                '--limit',
                '2',
                '--data',
                data,
            ]);
            assert.equal(lines(first.stdout).length, 2);
            const [, cursor] = /--cursor[ =](\S+)/.exec(String(first.stderr));
            const rest = lines(
                (await does(0, ['search', '--trace', trace, '--cursor', cursor, '--data', data]))
                    .stdout,
            );
            assert.deepEqual(
                rest.map((line) => JSON.parse(line).id),
                [ids[0]],
            );
            assert.equal(
                lines((await does(0, ['search', '--trace', trace, '--all', '--data', data])).stdout)
                    .length,
                3,
            );
        });
        it('search for nothing is wrong usage; with nothing found it prints nothing', async () => {
            await does(2, ['search', '--data', data]);
            for (const limit of ['0', '-1', 'x'])
                await does(2, ['search', '--name', 'a', '--limit', limit, '--data', data]);
            const none = await command(['search', '--name', 'nobody', '--data', data]);
            assert.ok([0, 1].includes(none.code));
            assert.equal(none.stdout.length, 0);
        });
        it('export prints what was sent, oldest first, and can be imported again', async () => {
            const exported = await does(0, ['export', '--data', data]);
            assert.deepEqual(lines(exported.stdout), made);
            const other = fresh();
            const sums = JSON.parse(
                (await does(0, ['import', '-', '--data', other], { input: exported.stdout }))
                    .stdout,
            );
            assert.equal(sums.stored, 3);
            assert.ok((await does(0, ['export', '--data', other])).stdout.equals(exported.stdout));
        });
        it('export --trace and --since choose', async () => {
            assert.equal(
                (await does(0, ['export', '--trace', uuid(), '--data', data])).stdout.length,
                0,
            );
            const since = lines(
                (await does(0, ['export', '--since', '2026-01-02', '--data', data])).stdout,
            );
            assert.deepEqual(since, made.slice(1));
        });
        it('runs that are refused: 1, and which and why', async () => {
            const other = fresh();
            const input = `${made[0]}\n{"name":"no trace"}\n${made[1]}\n`;
            const bad = await does(1, ['import', '-', '--data', other], { input });
            assert.ok(JSON.parse(bad.stdout).refused >= 1);
            assert.match(String(bad.stderr), /trace_id/);
            const goes = await does(1, ['import', '-', '--continue', '--data', other], { input });
            const sums = JSON.parse(goes.stdout);
            assert.equal(sums.refused, 1);
            assert.equal(sums.stored + sums.duplicate, 2);
        });
        it('a file that is not there: 3', async () => {
            await does(3, ['import', join(home, 'nothing'), '--data', fresh()]);
        });
        it('verify and reindex say what they did', async () => {
            const sums = JSON.parse(
                lines((await does(0, ['verify', '--data', data])).stdout).at(-1),
            );
            assert.equal(sums.runs, 3);
            assert.equal(sums.damaged, 0);
            await does(0, ['verify', '--rows', '--data', data]);
            assert.equal(JSON.parse((await does(0, ['reindex', '--data', data])).stdout).runs, 3);
            await does(0, ['verify', '--rows', '--data', data]);
            assert.equal(
                lines((await does(0, ['search', '--trace', trace, '--data', data])).stdout).length,
                3,
            );
        });
    });

    describe('beside a running server', () => {
        let server;
        let id;
        before(async () => {
            server = await Server.start();
            [id] = await server.store([run({ name: 'beside', inputs: { a: 1 } })]);
        });
        after(() => server.close());

        it('get, search, export and verify read what it just stored', async () => {
            const { data } = server;
            assert.equal(JSON.parse((await does(0, ['get', id, '--data', data])).stdout).id, id);
            assert.equal(
                (await does(0, ['get', id, '--data', data])).stdout.toString().trimEnd(),
                (await server.get(`/runs/${id}`)).text,
            );
            assert.equal(
                lines((await does(0, ['search', '--name', 'beside', '--data', data])).stdout)
                    .length,
                1,
            );
            assert.equal(lines((await does(0, ['export', '--data', data])).stdout).length, 1);
            await does(0, ['verify', '--data', data]);
        });
        it('import goes through the server, so that it is seen there at once', async () => {
            const other = uuid();
            const sums = JSON.parse(
                (
                    await does(0, ['import', '-', '--data', server.data], {
                        input: JSON.stringify([run({ id: other })]),
                    })
                ).stdout,
            );
            assert.equal(sums.stored, 1);
            assert.equal((await server.get(`/runs/${other}`)).status, 200);
        });
        it('import --url sends to it from anywhere, with the key', async () => {
            const locked = await Server.start({ flags: ['--api-key', 'a-key-for-import'] });
            const other = uuid();
            const input = JSON.stringify([run({ id: other })]);
            const refused = await command(['import', '-', '--url', locked.url, '--data', fresh()], {
                input,
            });
            assert.ok([1, 3].includes(refused.code), String(refused.stderr));
            await does(0, ['import', '-', '--url', locked.url, '--data', fresh()], {
                input,
                env: { RUNDLET_API_KEY: 'a-key-for-import' },
            });
            assert.equal(
                (await locked.get(`/runs/${other}`, { 'x-api-key': 'a-key-for-import' })).status,
                200,
            );
            await locked.close();
        });
        it('reindex is refused, and says who holds the directory', async () => {
            const made = await command(['reindex', '--data', server.data]);
            assert.ok(made.code > 0);
            assert.ok(String(made.stderr).includes(String(server.pid)), String(made.stderr));
            assert.equal((await server.get(`/runs/${id}`)).status, 200);
        });
        it('many thousand runs survive import, export and comparison', async () => {
            const data = fresh();
            const runs = Array.from({ length: 20_000 }, (_, i) =>
                rawRun({
                    id: `"${uuid()}"`,
                    trace_id: `"${uuid()}"`,
                    name: `"m ${i}"`,
                    inputs: `{"i":${i}.0}`,
                }),
            );
            const path = await file('many.ndjson', `${runs.join('\n')}\n`);
            const sums = JSON.parse((await does(0, ['import', path, '--data', data])).stdout);
            assert.equal(sums.stored, 20_000);
            assert.deepEqual(lines((await does(0, ['export', '--data', data])).stdout), runs);
        });
    });

    it('stdout that is closed early is no crash', async () => {
        const data = fresh();
        await mkdir(data, { recursive: true });
        const runs = Array.from({ length: 5000 }, () =>
            JSON.stringify(run({ inputs: { t: 'x'.repeat(500) } })),
        );
        await does(0, ['import', '-', '--data', data], { input: `${runs.join('\n')}\n` });
        const made = spawnSync('sh', [
            '-c',
            '"$0" export --data "$1" | head -n 1; exit 0',
            binary,
            data,
        ]);
        assert.equal(made.status, 0);
        assert.equal(lines(made.stdout).length, 1, `${made.stderr}`);
        assert.equal(rawElements(`[${lines(made.stdout)[0]}]`).length, 1);
    });
});
