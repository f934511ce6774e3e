// client.mjs - clients: node:http for whole requests, net for single bytes.
//
// Every answer that passes through ask() is held against the rules that hold
// for all answers: errors are {"detail": ...} in JSON, 429 and 503 say when to
// come again, the length is the one announced.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';

const ANSWER_MS = 60_000;

// { status, headers, rawHeaders, body (Buffer), text, json (lazy) }; with
// `lawful` false those rules are left to the caller.  `slices`: sizes in which a body is sent
// without a length.
export function ask(
    server,
    method,
    path,
    { headers = {}, body = null, slices = null, agent, timeout, lawful = true } = {},
) {
    return new Promise((resolve, reject) => {
        const request = http.request({
            host: '127.0.0.1',
            port: server.port,
            method,
            path,
            headers:
                body === null || slices
                    ? headers
                    : { 'content-length': Buffer.byteLength(body), ...headers },
            agent: agent ?? server.agent,
        });
        request.setTimeout(timeout ?? ANSWER_MS, () =>
            request.destroy(new Error(`no answer to ${method} ${path} in time`)),
        );
        request.on('error', reject);
        request.on('response', (response) => {
            const pieces = [];
            response.on('data', (piece) => pieces.push(piece));
            response.on('aborted', () =>
                reject(new Error(`${method} ${path}: the answer was cut`)),
            );
            response.on('error', reject);
            response.on('end', () => {
                const answer = new Answer(response, Buffer.concat(pieces));
                try {
                    if (lawful) assertLawful(method, path, answer);
                } catch (error) {
                    reject(error);
                    return;
                }
                resolve(answer);
            });
        });
        if (slices) writeSlices(request, body, slices);
        request.end(slices ? undefined : (body ?? undefined));
    });
}

function writeSlices(request, bytes, slices) {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = slices[turn % slices.length];
        request.write(bytes.subarray(at, at + size));
        at += size;
    }
}

class Answer {
    constructor(response, body) {
        this.status = response.statusCode;
        this.headers = response.headers;
        this.rawHeaders = response.rawHeaders;
        this.body = body;
    }
    get text() {
        return this.body.toString('utf8');
    }
    get json() {
        return JSON.parse(this.text);
    }
}

function assertLawful(method, path, answer) {
    const what = `${method} ${path} -> ${answer.status}`;
    if (answer.status === 429 || answer.status === 503)
        assert.match(answer.headers['retry-after'] ?? '', /^\d+$/, `${what}: Retry-After`);
    if (answer.status === 405) assert.ok(answer.headers.allow, `${what}: Allow`);
    if (method === 'HEAD' || answer.status === 304 || answer.status === 204) {
        assert.equal(answer.body.length, 0, `${what}: no body`);
        return;
    }
    if (answer.status < 400) return;
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/, what);
    assert.equal(answer.headers['content-encoding'], undefined, what);
    assert.ok('detail' in answer.json, `${what}: ${answer.text}`);
}

// ---- raw bytes ----

// One connection, spoken to by hand.
export class Wire {
    static open(server) {
        return new Promise((resolve, reject) => {
            const wire = new Wire();
            wire.received = Buffer.alloc(0);
            wire.closed = false;
            wire.waiting = [];
            wire.socket = net.connect({ host: '127.0.0.1', port: server.port, noDelay: true });
            wire.socket.once('connect', () => resolve(wire));
            wire.socket.on('error', (error) => {
                wire.error = error;
                wire.closed = true;
                wire.wake();
                reject(error);
            });
            wire.socket.on('data', (piece) => {
                wire.received = Buffer.concat([wire.received, piece]);
                wire.wake();
            });
            wire.socket.on('end', () => {
                wire.ended = true;
                wire.closed = true;
                wire.wake();
            });
            wire.socket.on('close', () => {
                wire.closed = true;
                wire.wake();
            });
        });
    }
    wake() {
        for (const look of this.waiting.splice(0)) look();
    }
    send(bytes) {
        if (this.socket.writable)
            this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
        return this;
    }
    // Until `ready()` holds, or the other side closed; false when time runs out.
    async until(ready, ms = ANSWER_MS) {
        const end = Date.now() + ms;
        while (!ready() && !this.closed) {
            const left = end - Date.now();
            if (left <= 0) return false;
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, left);
                this.waiting.push(() => {
                    clearTimeout(timer);
                    resolve();
                });
            });
        }
        return ready();
    }
    async untilClosed(ms = ANSWER_MS) {
        await this.until(() => false, ms);
        return this.closed;
    }
    // The next whole answer, taken off; null when none came.
    async answer(ms = ANSWER_MS, { head = false } = {}) {
        await this.until(() => wholeAnswer(this.received, head, this.closed) !== null, ms);
        const found = wholeAnswer(this.received, head, this.closed);
        if (!found) return null;
        this.received = this.received.subarray(found.size);
        return found;
    }
    close() {
        this.socket.destroy();
    }
}

function wholeAnswer(bytes, head, closed) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const lines = bytes.subarray(0, end).toString('latin1').split('\r\n');
    const line = /^HTTP\/1\.1 (\d{3})(?: .*)?$/.exec(lines[0]);
    if (!line) throw new Error(`not a status line: ${lines[0]}`);
    const headers = {};
    for (const field of lines.slice(1)) {
        const colon = field.indexOf(':');
        headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
    }
    const status = Number(line[1]);
    const start = end + 4;
    const make = (body, size) => ({ status, headers, body, size, text: body.toString('utf8') });
    if (head || status < 200 || status === 204 || status === 304)
        return make(Buffer.alloc(0), start);
    if (headers['transfer-encoding'] === 'chunked') {
        const pieces = [];
        let at = start;
        for (;;) {
            const eol = bytes.indexOf('\r\n', at);
            if (eol < 0) return null;
            const size = parseInt(bytes.subarray(at, eol).toString('latin1'), 16);
            if (bytes.length < eol + 2 + size + 2) return null;
            pieces.push(bytes.subarray(eol + 2, eol + 2 + size));
            at = eol + 2 + size + 2;
            if (size === 0) return make(Buffer.concat(pieces), at);
        }
    }
    if (headers['content-length'] === undefined)
        return closed ? make(bytes.subarray(start), bytes.length) : null;
    const size = Number(headers['content-length']);
    if (bytes.length < start + size) return null;
    return make(bytes.subarray(start, start + size), start + size);
}

// A request head by hand: the host is filled in, nothing else is.
export function head(server, method, path, headers = {}) {
    const lines = Object.entries({ Host: server.authority, ...headers }).map(
        ([k, v]) => `${k}: ${v}`,
    );
    return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

// ---- what is sent ----

// A UUIDv7 of a time, a UUIDv4 otherwise.
export function uuid(ms = null) {
    const b = randomBytes(16);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    if (ms !== null) {
        b.writeUIntBE(ms, 0, 6);
        b[6] = (b[6] & 0x0f) | 0x70;
    }
    return dashed(b.toString('hex'));
}

export function dashed(hex) {
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export function run(fields = {}) {
    return { trace_id: uuid(), name: 'a run', ...fields };
}

// A run as text, its fields given as raw JSON, so that every byte is ours.
export function rawRun(fields) {
    return `{${Object.entries(fields)
        .map(([name, json]) => `${JSON.stringify(name)}:${json}`)
        .join(',')}}`;
}

// What the answer says byte for byte about the value of a top-level `key`.
export function rawMember(text, key) {
    let at = text.indexOf('{') + 1;
    for (;;) {
        at = skipSpace(text, at);
        if (text[at] === '}' || at >= text.length) return undefined;
        const nameEnd = skipValue(text, at);
        const name = JSON.parse(text.slice(at, nameEnd));
        at = skipSpace(text, skipSpace(text, nameEnd) + 1);
        const end = skipValue(text, at);
        if (name === key) return text.slice(at, end);
        at = skipSpace(text, end);
        if (text[at] === ',') at++;
    }
}

// The members of a JSON object as text, by name; of one name the last.
export function rawMembers(text) {
    const result = new Map();
    let at = skipSpace(text, text.indexOf('{') + 1);
    while (at < text.length && text[at] !== '}') {
        const nameEnd = skipValue(text, at);
        const name = JSON.parse(text.slice(at, nameEnd));
        at = skipSpace(text, skipSpace(text, nameEnd) + 1);
        const end = skipValue(text, at);
        result.set(name, text.slice(at, end));
        at = skipSpace(text, end);
        if (text[at] === ',') at = skipSpace(text, at + 1);
    }
    return result;
}

// The elements of a JSON array, as text.
export function rawElements(text) {
    const result = [];
    let at = skipSpace(text, text.indexOf('[') + 1);
    while (at < text.length && text[at] !== ']') {
        const end = skipValue(text, at);
        result.push(text.slice(at, end));
        at = skipSpace(text, end);
        if (text[at] === ',') at = skipSpace(text, at + 1);
    }
    return result;
}

// The keys of a JSON object, in order, repeated ones too.
export function rawKeys(text) {
    const result = [];
    let at = skipSpace(text, text.indexOf('{') + 1);
    while (at < text.length && text[at] !== '}') {
        const nameEnd = skipValue(text, at);
        result.push(JSON.parse(text.slice(at, nameEnd)));
        at = skipSpace(text, skipSpace(text, nameEnd) + 1);
        at = skipSpace(text, skipValue(text, at));
        if (text[at] === ',') at = skipSpace(text, at + 1);
    }
    return result;
}

function skipSpace(text, at) {
    while (at < text.length && ' \t\r\n'.includes(text[at])) at++;
    return at;
}

function skipValue(text, at) {
    if (text[at] === '"') return skipString(text, at);
    if (text[at] === '{' || text[at] === '[') {
        let depth = 0;
        while (at < text.length) {
            const c = text[at];
            if (c === '"') {
                at = skipString(text, at);
                continue;
            }
            at++;
            if (c === '{' || c === '[') depth++;
            if ((c === '}' || c === ']') && --depth === 0) return at;
        }
        return at;
    }
    while (at < text.length && !',]} \t\r\n:'.includes(text[at])) at++;
    return at;
}

function skipString(text, at) {
    for (;;) {
        const quote = text.indexOf('"', at + 1);
        if (quote < 0) return text.length;
        let slashes = 0;
        while (text[quote - 1 - slashes] === '\\') slashes++;
        at = quote;
        if (slashes % 2 === 0) return quote + 1;
    }
}

// A seeded source of numbers: the same seed, the same test.
export function dice(seed) {
    let state = seed >>> 0;
    const next = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return (t ^ (t >>> 14)) >>> 0;
    };
    return {
        below: (n) => next() % n,
        one: (list) => list[next() % list.length],
        chance: (p) => next() / 2 ** 32 < p,
    };
}

// One error of a 422: has the three members, and these values.
export function assertFault(answer, type, loc, what = '') {
    assert.equal(answer.status, 422, `${what} ${answer.text}`);
    const { detail } = answer.json;
    assert.ok(Array.isArray(detail), `${what} ${answer.text}`);
    for (const item of detail) {
        assert.equal(typeof item.type, 'string', answer.text);
        assert.ok(Array.isArray(item.loc), answer.text);
        assert.ok(typeof item.msg === 'string' && item.msg.length > 0, answer.text);
    }
    const found = detail.find(
        (item) => item.type === type && JSON.stringify(item.loc) === JSON.stringify(loc),
    );
    assert.ok(found, `${what} wants ${type} at ${JSON.stringify(loc)}: ${answer.text}`);
    return found;
}
