// server.mjs - one server for one test: started on a free port over a directory
// of its own, stopped, killed, started again.
//
//   const server = await Server.start({ flags: ['--loops', '2'] });
//   ... await server.get('/health') ...
//   await server.close();          // SIGTERM; must exit 0; the directory goes
//
// The binary is $RUNDLET, or build/rundlet of this tree.  It gets a bare
// environment, so that nobody's settings reach it.
//
// $RUNDLET_MODE says where it keeps what it has: embedded (the default), log+memory,
// log+postgres, bucket+sqlite or production.  Each server then has a database and a bucket of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newDatabase, newBucket, s3Keys, sharedUrl } from './backends.mjs';
import { ask } from './client.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));
export const binary = resolve(process.env.RUNDLET ?? join(root, 'build/rundlet'));

export const mode = process.env.RUNDLET_MODE || 'embedded';
const modes = {
    embedded: [],
    'log+memory': ['memory'],
    'log+postgres': ['index'],
    'bucket+sqlite': ['objects'],
    production: ['objects', 'index', 'cache'],
};
// What the directory holds: a log of segments and packs, an index of SQLite.
export const hasLog = !modes[mode]?.includes('objects');
// Other nodes may be there, so each looks what the others did.
export const shared = mode === 'production';
// ofFiles(it)(...): for what only a directory with both can show.
export const ofFiles = (suite) => (mode === 'embedded' ? suite : () => {});
assert.ok(modes[mode], `RUNDLET_MODE=${mode}: none of ${Object.keys(modes)}`);

const START_MS = 30_000;
const STOP_MS = 30_000;

// Servers that live.  A test that failed before it closed its own must neither
// keep this process waiting nor leave a server behind.
const alive = new Set();
process.on('exit', () => {
    for (const child of alive) child.kill('SIGKILL');
});

export async function scratch(prefix = 'rundlet-') {
    return mkdtemp(join(process.env.TMPDIR ?? tmpdir(), prefix));
}

export function bareEnvironment(extra = {}) {
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', NO_COLOR: '1', ...extra };
    for (const name of ['TMPDIR', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS'])
        if (process.env[name]) env[name] ??= process.env[name];
    return env;
}

// Run a command to its end: { code, signal, stdout, stderr }, both as Buffers.
export async function run(args, { env = {}, input = null, cwd, timeout = 60_000 } = {}) {
    const child = spawn(binary, args, {
        env: bareEnvironment(env),
        cwd,
        stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const out = [];
    const err = [];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => err.push(piece));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    if (input !== null) {
        child.stdin.on('error', () => {}); // it may end before it has read everything
        child.stdin.end(input);
    }
    const [code, signal] = await once(child, 'close');
    clearTimeout(timer);
    return { code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err) };
}

// What a bucket and a Redis that nodes share ask of their environment.
export const secrets = {
    RUNDLET_S3_ACCESS_KEY: s3Keys.access,
    RUNDLET_S3_SECRET_KEY: s3Keys.secret,
};

// Where one server keeps what it has, in this mode.
async function newPlace() {
    const parts = modes[mode];
    const database = parts.includes('index') ? await newDatabase() : null;
    const bucket = parts.includes('objects') ? await newBucket() : null;
    const flags = [];
    // Patient: that a machine stands still for a while is for the suites of faults.
    if (bucket) flags.push('--objects', bucket.url(), '--s3-timeout', '60s');
    if (parts.includes('memory')) flags.push('--index', 'memory');
    if (database) flags.push('--index', database.url, '--commit-timeout', '60s');
    if (parts.includes('cache')) flags.push('--cache', await sharedUrl('redis'));
    return {
        flags,
        directory: !(bucket && database), // or DATA has nothing
        env: bucket ? secrets : {},
        drop: async () => {
            await database?.drop();
            await bucket?.drop();
        },
    };
}

export class Server {
    // Start, and wait until it listens.
    //   flags   further arguments of `serve`
    //   data    an existing data directory, which then is not removed
    //   place   where it keeps what it has, instead of what the mode says
    //   program another binary
    static async start({
        flags = [],
        env = {},
        data = null,
        listen = '127.0.0.1:0',
        place = null,
        program = binary,
    } = {}) {
        const server = new Server();
        server.program = program;
        server.place = place ?? (await newPlace());
        server.flags = flags;
        server.env = { ...server.place.env, ...env };
        server.listen = listen;
        server.home = data ? null : await scratch();
        server.data = data ?? join(server.home, 'data');
        server.logs = '';
        await server.up();
        return server;
    }

    async up(extra = {}) {
        Object.assign(this, extra);
        const args = ['serve', '--listen', this.listen, ...this.place.flags, ...this.flags];
        if (this.place.directory) args.push('--data', this.data);
        this.child = spawn(this.program, args, {
            env: bareEnvironment(this.env),
            cwd: this.home ?? '/',
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        this.agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
        this.exited = null;
        this.stdout = '';
        const child = this.child;
        alive.add(child);
        child.unref();
        child.stdout.unref();
        child.stderr.unref();
        let fresh = '';
        const listening = new Promise((resolve, reject) => {
            const late = setTimeout(() => {
                child.kill('SIGKILL');
                reject(new Error(`no "listening" line in ${START_MS} ms:\n${fresh}`));
            }, START_MS);
            child.stdout.on('data', (piece) => (this.stdout += piece));
            child.stderr.on('data', (piece) => {
                this.logs += piece;
                fresh += piece;
                const found = /^.*\blistening\b.*\baddress=\S*:(\d+)\b.*\n/m.exec(fresh);
                if (found && !this.port) {
                    clearTimeout(late);
                    resolve(Number(found[1]));
                }
            });
            child.on('error', (error) => {
                clearTimeout(late);
                reject(error);
            });
            this.end = new Promise((ended) =>
                child.on('close', (code, signal) => {
                    clearTimeout(late);
                    alive.delete(child);
                    this.exited = { code, signal };
                    reject(
                        new Error(`ended before it listened (code ${code}, ${signal}):\n${fresh}`),
                    );
                    ended(this.exited);
                }),
            );
        });
        listening.catch(() => {});
        this.port = 0;
        try {
            this.port = await listening;
        } catch (error) {
            this.agent.destroy();
            throw error;
        }
        this.pid = child.pid;
        return this;
    }

    get authority() {
        return `127.0.0.1:${this.port}`;
    }
    get url() {
        return `http://${this.authority}`;
    }

    // Send SIGTERM and wait: { code, signal }.
    async stop(signal = 'SIGTERM') {
        if (!this.exited) {
            this.child.kill(signal);
            const late = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
            await this.end;
            clearTimeout(late);
        }
        this.agent.destroy();
        return this.exited;
    }

    async kill() {
        return this.stop('SIGKILL');
    }

    // The end of a server that was wronged on purpose: how it ends does not matter.
    async discard() {
        await this.kill();
        await this.clear();
    }
    async clear() {
        if (this.home) await rm(this.home, { recursive: true, force: true });
        await this.place.drop?.();
    }

    async restart(extra = {}) {
        const exit = await this.stop();
        assert.deepEqual(exit, { code: 0, signal: null }, `SIGTERM exits 0:\n${this.tail()}`);
        return this.up(extra);
    }

    // The end of every test file: it was still alive, it goes in peace.
    async close() {
        const died = this.exited;
        const exit = await this.stop();
        await this.clear();
        if (died) assert.fail(`the server had ended (${JSON.stringify(died)}):\n${this.tail()}`);
        assert.deepEqual(exit, { code: 0, signal: null }, `SIGTERM exits 0:\n${this.tail()}`);
    }

    tail() {
        return this.logs.slice(-4000);
    }

    rss() {
        const status = readFileSync(`/proc/${this.child.pid}/status`, 'latin1');
        return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
    }

    ask(method, path, options = {}) {
        return ask(this, method, path, options);
    }
    get(path, headers = {}) {
        return ask(this, 'GET', path, { headers });
    }
    head(path, headers = {}) {
        return ask(this, 'HEAD', path, { headers });
    }
    // `body` is sent as it is when text or bytes, else as JSON.
    post(path, body, headers = {}) {
        const bytes =
            typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
        return ask(this, 'POST', path, {
            headers: { 'content-type': 'application/json', ...headers },
            body: bytes,
        });
    }
    // Post to /runs and insist on 201: the ids.
    async store(body, headers = {}) {
        const answer = await this.post('/runs', body, headers);
        assert.equal(answer.status, 201, answer.text);
        return answer.json.run_ids;
    }
    async metrics() {
        const answer = await this.get('/metrics');
        assert.equal(answer.status, 200);
        return parseMetrics(answer.text);
    }
}

// Until every segment has become a pack and is gone.  The server has to seal
// soon: --seal-idle 100ms.
export async function sealed(server, limit = 60_000) {
    const late = Date.now() + limit;
    for (;;) {
        const left = (await readdir(join(server.data, 'segments'))).some((f) => f.endsWith('.seg'));
        if (!left && (await server.metrics()).get('rundlet_segments') === 0) return;
        assert.ok(Date.now() < late, `not sealed in ${limit} ms:\n${server.tail()}`);
        await pause(20);
    }
}

// Prometheus text: Map of name -> sum over its label sets, and of
// name{labels} -> value.
export function parseMetrics(text) {
    const result = new Map();
    for (const line of text.split('\n')) {
        if (line === '' || line.startsWith('#')) continue;
        const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$/.exec(line);
        assert.ok(found, `a line of /metrics that is none: ${line}`);
        const value = Number(found[3]);
        assert.ok(!Number.isNaN(value), line);
        result.set(found[1], (result.get(found[1]) ?? 0) + value);
        if (found[2]) result.set(found[1] + found[2], value);
    }
    return result;
}
