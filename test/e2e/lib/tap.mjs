// tap.mjs - stands between a client and the server, and keeps what was said.
//
//   const tap = await Tap.open(server, { info: (info) => { ... } });
//   ... a client with tap.url ...
//   tap.calls      [{ method, path, headers, body, status, answer }], bodies as sent
//   tap.layers()   what the calls that were taken in say of runs (merge.mjs)
//   tap.close()
//
// `info` may change the answer of GET /info: that is how a client is talked out of
// multipart, zstd or gzip.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import zlib from 'node:zlib';
import { layersOf } from './merge.mjs';

const HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'host']);

export class Tap {
    static async open(server, { info = null } = {}) {
        const tap = new Tap();
        tap.server = server;
        tap.info = info;
        tap.calls = [];
        tap.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
        tap.http = http.createServer((request, response) => tap.pass(request, response));
        tap.http.requestTimeout = 0;
        tap.http.listen(0, '127.0.0.1');
        await once(tap.http, 'listening');
        tap.url = `http://127.0.0.1:${tap.http.address().port}`;
        return tap;
    }

    pass(request, response) {
        const pieces = [];
        request.on('data', (piece) => pieces.push(piece));
        request.on('error', () => response.destroy());
        request.on('end', () => this.forward(request, Buffer.concat(pieces), response));
    }

    // Chunks stay chunks, so that the server sees what the client sent.
    forward(request, body, response) {
        const headers = Object.fromEntries(
            Object.entries(request.headers).filter(([name]) => !HOP.has(name)),
        );
        headers.host = this.server.authority;
        if (request.headers['transfer-encoding']) headers['transfer-encoding'] = 'chunked';
        const call = { method: request.method, path: request.url, headers: request.headers, body };
        const onward = http.request(
            {
                host: '127.0.0.1',
                port: this.server.port,
                method: request.method,
                path: request.url,
                headers,
                agent: this.agent,
            },
            (answer) => {
                const pieces = [];
                answer.on('data', (piece) => pieces.push(piece));
                answer.on('error', () => response.destroy());
                answer.on('end', () => this.reply(call, answer, Buffer.concat(pieces), response));
            },
        );
        onward.on('error', () => response.destroy());
        onward.end(body);
    }

    reply(call, answer, body, response) {
        call.status = answer.statusCode;
        call.answer = body;
        this.calls.push(call);
        const headers = Object.fromEntries(
            Object.entries(answer.headers).filter(([name]) => !HOP.has(name)),
        );
        if (this.info && new URL(call.path, this.url).pathname === '/info') {
            const info = JSON.parse(decoded(body, answer.headers['content-encoding']));
            this.info(info);
            body = Buffer.from(JSON.stringify(info));
            delete headers['content-encoding'];
            headers['content-length'] = body.length;
        }
        response.writeHead(answer.statusCode, headers);
        response.end(body);
    }

    layers() {
        return this.calls
            .filter((call) => call.status >= 200 && call.status < 300)
            .flatMap((call) =>
                layersOf({
                    ...call,
                    body: decoded(call.body, call.headers['content-encoding']),
                }),
            );
    }

    // "POST /runs/multipart" -> how often
    counts() {
        const counts = new Map();
        for (const { method, path } of this.calls) {
            const what = `${method} ${new URL(path, this.url).pathname}`;
            counts.set(what, (counts.get(what) ?? 0) + 1);
        }
        return counts;
    }

    async close() {
        this.agent.destroy();
        this.http.closeAllConnections();
        this.http.close();
        await once(this.http, 'close');
    }
}

export function decoded(bytes, encoding) {
    if (!encoding || encoding === 'identity' || bytes.length === 0) return bytes;
    if (encoding === 'gzip') return zlib.gunzipSync(bytes);
    const made = spawnSync('zstd', ['-q', '-d', '-c'], { input: bytes, maxBuffer: 1 << 30 });
    if (encoding !== 'zstd' || made.status !== 0)
        throw new Error(`cannot decode ${encoding}: ${made.stderr}`);
    return made.stdout;
}

export function zstd(bytes) {
    const made = spawnSync('zstd', ['-q', '-c', '-1'], { input: bytes, maxBuffer: 1 << 30 });
    if (made.status !== 0) throw new Error(String(made.stderr));
    return made.stdout;
}
