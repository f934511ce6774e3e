// backends.mjs - databases, buckets and servers for tests of production back ends.
//
// The servers are those that scripts/runtests has started ($TEST_POSTGRES, _REDIS,
// _S3); a suite that is run by itself starts its own when it first needs one.  What a test
// makes there is its own: a new database, a new bucket.  A test that wants to stop a server
// starts one for itself: Backend.start('postgres').
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const scripts = fileURLToPath(new URL('../../servers/', import.meta.url));
const UP_MS = 120_000;

export const s3Keys = { access: 'rundletkey', secret: 'rundletsecret' };

async function command(program, args, { env = {}, input = '' } = {}) {
    const child = spawn(program, args, {
        env: { ...process.env, ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out = [];
    const err = [];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => err.push(piece));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const late = setTimeout(() => child.kill('SIGKILL'), UP_MS);
    const [code] = await once(child, 'close');
    clearTimeout(late);
    const talk = Buffer.concat(err).toString();
    assert.equal(code, 0, `${program} ${args.join(' ')}: ${talk}`);
    return Buffer.concat(out).toString().trim();
}

// ---- servers ----

const alive = new Set();
process.on('exit', () => {
    for (const backend of alive) {
        spawnSync(join(scripts, `${backend.program}-down`), ['--kill', backend.dir]);
        rmSync(backend.dir, { recursive: true, force: true });
    }
});

const programs = { postgres: 'postgres', redis: 'redis', s3: 'ceph' };

// A server of this process: 'postgres', 'redis' or 's3'.
export class Backend {
    // `sync`: what it has must survive a kill.
    static async start(kind, { sync = false } = {}) {
        const backend = new Backend();
        backend.kind = kind;
        backend.program = programs[kind];
        backend.flags = sync || kind === 'redis' ? [] : ['--no-sync'];
        backend.dir = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'rundlet-server-'));
        chmodSync(backend.dir, 0o711);
        alive.add(backend);
        await backend.up();
        return backend;
    }
    // Start, or start again: the same server on the same port.
    async up() {
        this.url = await command(join(scripts, `${this.program}-up`), [...this.flags, this.dir]);
        this.port = Number(new URL(this.url).port);
        return this;
    }
    // It is gone when this is done; `kill` with -9.
    async down({ kill = false } = {}) {
        await command(join(scripts, `${this.program}-down`), [...(kill ? ['--kill'] : []), this.dir]);
    }
    async kill() {
        return this.down({ kill: true });
    }
    async close() {
        await this.kill();
        alive.delete(this);
        rmSync(this.dir, { recursive: true, force: true });
    }
}

// The URL of the shared one.
const shared = new Map();
export async function sharedUrl(kind) {
    const given = process.env[`TEST_${kind.toUpperCase()}`];
    if (given) return given;
    if (!shared.has(kind)) shared.set(kind, Backend.start(kind));
    return (await shared.get(kind)).url;
}

// ---- a database ----

export async function sql(url, text) {
    return command('psql', ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', '-d', url], {
        env: { PGCONNECT_TIMEOUT: '10' },
        input: text,
    });
}

// { name, url, port, sql(text), drop() }
export async function newDatabase(backend = null) {
    const base = backend?.url ?? (await sharedUrl('postgres'));
    const name = `test_${randomBytes(6).toString('hex')}`;
    await sql(base, `create database ${name} template template0 encoding 'UTF8'`);
    const url = new URL(base);
    url.pathname = `/${name}`;
    return {
        name,
        url: url.href,
        port: Number(url.port),
        sql: (text) => sql(url.href, text),
        drop: () => sql(base, `drop database if exists ${name} with (force)`),
    };
}

// The same database by way of `proxy`.
export function through(proxy, href) {
    const url = new URL(href);
    url.hostname = proxy.host;
    url.port = proxy.port;
    return url.href;
}

// ---- a bucket ----

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const uriEncode = (text) =>
    encodeURIComponent(text).replace(
        /[!'()*]/g,
        (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
    );

// One signed request (AWS Signature V4): { status, headers, body }.
export async function s3(endpoint, method, path, { query = {}, body = '', headers = {} } = {}) {
    const { hostname, port, host } = new URL(endpoint);
    const now = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const scope = `${now.slice(0, 8)}/us-east-1/s3/aws4_request`;
    const search = Object.entries(query)
        .map(([name, value]) => `${uriEncode(name)}=${uriEncode(String(value))}`)
        .sort()
        .join('&');
    const at = path.split('/').map(uriEncode).join('/');
    const signed = {
        host,
        'x-amz-content-sha256': sha256(body),
        'x-amz-date': now,
    };
    const names = Object.keys(signed).sort();
    const canonical = [
        method,
        at,
        search,
        ...names.map((name) => `${name}:${signed[name]}`),
        '',
        names.join(';'),
        signed['x-amz-content-sha256'],
    ].join('\n');
    const text = ['AWS4-HMAC-SHA256', now, scope, sha256(canonical)].join('\n');
    const key = scope.split('/').reduce((k, part) => hmac(k, part), `AWS4${s3Keys.secret}`);
    const authorization =
        `AWS4-HMAC-SHA256 Credential=${s3Keys.access}/${scope}, ` +
        `SignedHeaders=${names.join(';')}, Signature=${hmac(key, text).toString('hex')}`;
    return new Promise((resolve, reject) => {
        const request = http.request({
            hostname,
            port,
            method,
            path: search ? `${at}?${search}` : at,
            headers: {
                ...headers,
                ...signed,
                authorization,
                'content-length': Buffer.byteLength(body),
            },
            agent: false,
        });
        request.setTimeout(30_000, () => request.destroy(new Error('S3 does not answer')));
        request.on('error', reject);
        request.on('response', (response) => {
            const pieces = [];
            response.on('data', (piece) => pieces.push(piece));
            response.on('error', reject);
            response.on('end', () =>
                resolve({
                    status: response.statusCode,
                    headers: response.headers,
                    body: Buffer.concat(pieces),
                }),
            );
        });
        request.end(body);
    });
}

// { name, endpoint, url(at), keys(), get(key), put(key, bytes), delete(key), drop() }
export async function newBucket(backend = null) {
    const endpoint = backend?.url ?? (await sharedUrl('s3'));
    const name = `test-${randomBytes(6).toString('hex')}`;
    const ask = async (method, path, options) => {
        const answer = await s3(endpoint, method, path, options);
        assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.body}`);
        return answer;
    };
    await ask('PUT', `/${name}`);
    const bucket = {
        name,
        endpoint,
        // As the setting `objects` says it; `at` is an endpoint to go by.
        url: (at = endpoint) => `s3://${name}?endpoint=${at}`,
        keys: async () => {
            const keys = [];
            for (let after = ''; ;) {
                const query = { 'list-type': 2, ...(after && { 'start-after': after }) };
                const text = (await ask('GET', `/${name}`, { query })).body.toString();
                const found = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map((one) => one[1]);
                keys.push(...found);
                if (!found.length || !/<IsTruncated>true</.test(text)) return keys;
                after = keys.at(-1);
            }
        },
        get: async (key) => (await ask('GET', `/${name}/${key}`)).body,
        put: (key, bytes) => ask('PUT', `/${name}/${key}`, { body: bytes }),
        delete: (key) => ask('DELETE', `/${name}/${key}`),
        drop: async () => {
            const keys = await bucket.keys();
            while (keys.length)
                await Promise.all(keys.splice(0, 8).map((key) => bucket.delete(key)));
            await ask('DELETE', `/${name}`);
        },
    };
    return bucket;
}
