// proxy.mjs - a proxy that goes wrong on command: between a server of ours and
// PostgreSQL, Redis or a bucket.
//
//   const proxy = await Proxy.start(5432);           // any protocol
//   proxy.hang(); ... proxy.pass();
//   const rule = proxy.when('server', 'COMMIT\0', 'hold');
//   ... await rule.hit; ... rule.release();
//
//   const bucket = await HttpProxy.start(9000);      // the same, and it knows requests
//   bucket.answer({ method: 'PUT', status: 503, times: 3 });
//
// It listens on an address of its own in 127/8, so that a refused port stays ours:
// outgoing connections of others come from 127.0.0.1.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';

const QUEUE = 1 << 18; // bytes kept of a side whose other side does not take them
const TAIL = 255; // bytes remembered, for patterns that come in two pieces
const TICK_MS = 10;

const toBytes = (pattern) =>
    typeof pattern === 'string' ? Buffer.from(pattern, 'latin1') : pattern;

// What is done when bytes pass.  Lives until it has been done `times` times.
class Rule {
    constructor(proxy, from, pattern, action, { skip = 0, times = 1 }) {
        Object.assign(this, { proxy, from, action, skip, times });
        this.bytes = toBytes(pattern);
        this.hits = 0;
        this.held = new Set(); // flows
        this.hit = new Promise((resolve) => (this.wasHit = resolve));
    }
    // Let go what is held, and hold no more.
    release() {
        this.remove();
        for (const flow of this.held) {
            if (flow.stopped === this) flow.stopped = null;
            flow.pump();
        }
        this.held.clear();
    }
    remove() {
        this.proxy.rules.delete(this);
    }
}

// One direction of one connection.
class Flow {
    constructor(link, name, from, to) {
        Object.assign(this, { link, name, from, to });
        this.proxy = link.proxy;
        this.queue = [];
        this.size = 0;
        this.tail = Buffer.alloc(0);
        this.stopped = null; // the rule that holds it, or 'drop'
        this.ended = false;
        from.on('data', (piece) => {
            this.queue.push(piece);
            this.size += piece.length;
            if (this.size > QUEUE) from.pause();
            this.pump();
        });
        from.on('end', () => {
            this.ended = true;
            this.pump();
        });
        to.on('drain', () => this.pump());
    }

    // How much of `n` bytes may go now.
    allowed(n) {
        const { rate, left } = this.proxy.state;
        if (rate < Infinity) {
            const now = performance.now();
            this.since ??= now;
            this.credit = Math.min((this.credit ?? 0) + ((now - this.since) * rate) / 1000, rate);
            this.since = now;
            if (this.credit < 1) {
                this.timer ??= setTimeout(() => {
                    this.timer = null;
                    this.pump();
                }, TICK_MS);
                return 0;
            }
            n = Math.min(n, Math.floor(this.credit));
            this.credit -= n;
        }
        return Math.min(n, left[this.name]);
    }

    pump() {
        const { state } = this.proxy;
        while (this.queue.length && !this.link.dead) {
            if (this.stopped === 'drop') {
                this.queue = [];
                this.size = 0;
                break;
            }
            if (this.stopped || state.hung[this.name] || this.to.writableNeedDrain) return;
            const piece = this.queue.shift();
            const n = this.allowed(piece.length);
            if (n < piece.length) this.queue.unshift(piece.subarray(n));
            if (n > 0) {
                this.size -= n;
                this.forward(piece.subarray(0, n));
                state.left[this.name] -= n;
            }
            if (state.left[this.name] <= 0) {
                this.link.cut();
                return;
            }
            if (n === 0) return;
        }
        if (this.size <= QUEUE && this.from.isPaused()) this.from.resume();
        if (this.ended && !this.queue.length && !this.stopped && !state.hung[this.name])
            this.to.end();
    }

    // Where the first rule's bytes end in `piece`.
    match(piece) {
        let first = null;
        for (const rule of this.proxy.rules) {
            if (rule.from !== this.name) continue;
            const known = this.tail.subarray(
                Math.max(0, this.tail.length - (rule.bytes.length - 1)),
            );
            const at = Buffer.concat([known, piece]).indexOf(rule.bytes);
            const end = at + rule.bytes.length - known.length;
            if (at >= 0 && (!first || end < first.end))
                first = { rule, end, start: Math.max(0, at - known.length) };
        }
        return first;
    }

    send(piece) {
        this.tail = Buffer.concat([this.tail, piece]).subarray(-TAIL);
        if (piece.length && !this.link.dead) this.to.write(piece);
    }

    forward(piece) {
        for (;;) {
            const found = this.match(piece);
            if (!found) {
                this.send(piece);
                return;
            }
            const { rule, start, end } = found;
            const rest = piece.subarray(end);
            if (rule.skip > 0) {
                rule.skip--;
                this.send(piece.subarray(0, end));
                piece = rest;
                continue;
            }
            if (++rule.hits >= rule.times) rule.remove();
            if (this.act(rule, piece, start, end)) {
                piece = rest;
            } else {
                if (this.stopped && this.stopped !== 'drop') {
                    this.queue.unshift(piece.subarray(start));
                    this.size += piece.length - start;
                } else if (!this.stopped) this.unsent = rest; // cut
                rule.wasHit(this.link);
                return;
            }
            rule.wasHit(this.link);
        }
    }

    // True when the bytes after the match go on.
    act(rule, piece, start, end) {
        const { link } = this;
        const answers = link.flows.server;
        switch (rule.action) {
            case 'hold':
            case 'drop':
                if (rule.action === 'hold') rule.held.add(answers);
                answers.stopped = rule.action === 'hold' ? rule : 'drop';
                this.send(piece.subarray(0, this === answers ? start : end));
                return this !== answers;
            case 'cut': // after the whole piece: what was asked is done, nobody hears of it
                if (this === answers) this.send(piece.subarray(0, start));
                else this.send(piece);
                link.cut({ politely: true });
                return false;
            case 'cut before':
                this.send(piece.subarray(0, start));
                link.cut({ politely: true });
                return false;
            case 'reset':
                link.reset();
                return false;
            case 'corrupt': {
                const copy = Buffer.from(piece.subarray(0, end));
                copy[end - 1] ^= 1;
                this.send(copy);
                return true;
            }
            case 'pass':
                this.send(piece.subarray(0, end));
                return true;
            default:
                throw new Error(`no such action: ${rule.action}`);
        }
    }
}

// One connection, and its other half.
class Link {
    constructor(proxy, client) {
        this.proxy = proxy;
        this.client = client;
        this.dead = false;
        this.server = net.connect({ ...proxy.target, allowHalfOpen: true, noDelay: true });
        this.flows = {
            client: new Flow(this, 'client', client, this.server),
            server: new Flow(this, 'server', this.server, client),
        };
        const over = () => this.cut();
        for (const socket of [client, this.server]) {
            socket.on('error', over);
            socket.on('close', over);
        }
        proxy.links.add(this);
    }
    // `politely`: the server still gets what was sent to it.
    cut({ politely = false } = {}) {
        if (this.dead) return;
        this.dead = true;
        this.proxy.links.delete(this);
        for (const flow of Object.values(this.flows)) clearTimeout(flow.timer);
        this.client.destroy();
        if (politely) {
            this.server.resume();
            this.server.end();
        } else this.server.destroy();
    }
    // The client gets an RST.
    reset() {
        if (this.dead) return;
        if (!this.client.destroyed) this.client.resetAndDestroy();
        this.cut();
    }
    pump() {
        for (const flow of Object.values(this.flows)) flow.pump();
    }
}

export class Proxy {
    // `target`: a port of 127.0.0.1, or { host, port }.
    static async start(target) {
        const proxy = new this();
        await proxy.open(typeof target === 'object' ? target : { host: '127.0.0.1', port: target });
        return proxy;
    }

    async open(target) {
        this.target = target;
        this.links = new Set();
        this.rules = new Set();
        this.accepted = 0;
        const [a, b, c] = randomBytes(3);
        this.host = `127.${1 + (a % 250)}.${b}.${1 + (c % 250)}`;
        this.port = 0;
        this.calm();
        await this.listen();
    }

    async listen() {
        this.listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
            this.accepted++;
            new Link(this, client);
        });
        this.listener.listen(this.port, this.host);
        await once(this.listener, 'listening');
        this.port = this.listener.address().port;
        this.listener.unref();
    }

    get authority() {
        return `${this.host}:${this.port}`;
    }

    calm() {
        this.state = {
            hung: { client: false, server: false },
            rate: Infinity,
            left: { client: Infinity, server: Infinity },
        };
    }

    // ---- what it may be told ----

    // Everything goes through again; connections that were cut stay so.
    async pass() {
        this.calm();
        for (const rule of [...this.rules]) rule.release();
        if (!this.listener) await this.listen();
        for (const link of [...this.links]) link.pump();
    }
    // Nobody is there: connections end, new ones are refused.
    async refuse() {
        const { listener } = this;
        this.listener = null;
        const closed = listener && once(listener, 'close');
        listener?.close();
        this.cut();
        await closed;
    }
    // Bytes are taken and not passed on: those of the client, of the server, or both.
    hang({ client = true, server = true } = {}) {
        this.state.hung = { client, server };
    }
    // Bytes a second, of each direction of each connection.
    slow(rate) {
        this.state.rate = rate;
    }
    // All connections end once so many more bytes of a side have passed; also later ones, at once.
    cutAfter({ client = Infinity, server = Infinity }) {
        this.state.left = { client, server };
    }
    cut() {
        for (const link of [...this.links]) link.cut();
    }
    reset() {
        for (const link of [...this.links]) link.reset();
    }
    // When these bytes pass `from` the 'client' or the 'server':
    //   hold        the server's answer from here on, until rule.release()
    //   drop        it, for ever; the connection stays
    //   cut         the connection; what the client sent still reaches the server
    //   cut before  the bytes are passed on
    //   reset       with an RST, and without passing them on
    //   corrupt     one bit of them
    //   pass        them; rule.hit and rule.hits tell
    // { skip: 2 } lets two pass first, { times: 3 } does it three times.
    when(from, pattern, action, options = {}) {
        const rule = new Rule(this, from, pattern, action, options);
        this.rules.add(rule);
        return rule;
    }

    async close() {
        this.rules.clear();
        await this.refuse();
    }
}

// ---- HTTP ----

// Requests go through a server inside, behind all that Proxy can do.
export class HttpProxy extends Proxy {
    async open(target) {
        this.final = target;
        this.requests = []; // { method, path, status }, as they ended
        this.wants = new Set();
        this.inner = http.createServer({ keepAliveTimeout: 0 }, (request, response) =>
            this.serve(request, response).catch(() => request.socket.destroy()),
        );
        this.inner.requestTimeout = 0;
        this.inner.listen(0, '127.0.0.1');
        await once(this.inner, 'listening');
        this.inner.unref();
        await super.open({ host: '127.0.0.1', port: this.inner.address().port });
    }

    // Answer otherwise than the server would:
    //   method, path   of which requests; a string is the start of the path, or a RegExp
    //   where          a function of the request that says so as well
    //   skip, times    how many of them pass first, and how many it is done to
    //   status         the status instead of the server's
    //   stored         true: the server gets the request all the same
    //   headers, body  with that status
    //   truncate       the connection is cut after so many bytes of the server's answer
    //   corrupt        the n-th byte of it is another
    //   delay          ms before the request is passed on or answered
    //   hang           no answer ever, till pass(); with `stored` after the server's
    //   reset          an RST instead of an answer; with `stored` after the server's
    // What it returns: { hits, hit }, and remove().
    answer(want) {
        const rule = { skip: 0, times: 1, hits: 0, ...want };
        rule.hit = new Promise((resolve) => (rule.wasHit = resolve));
        rule.remove = () => this.wants.delete(rule);
        rule.freed = new Promise((resolve) => (rule.free = resolve));
        this.wants.add(rule);
        return rule;
    }

    async pass() {
        for (const rule of this.wants) rule.free();
        this.wants.clear();
        await super.pass();
    }

    find(request) {
        for (const rule of this.wants) {
            if (rule.method && rule.method !== request.method) continue;
            if (typeof rule.path === 'string' && !request.url.startsWith(rule.path)) continue;
            if (rule.path instanceof RegExp && !rule.path.test(request.url)) continue;
            if (rule.where && !rule.where(request)) continue;
            if (rule.skip > 0) {
                rule.skip--;
                continue;
            }
            if (++rule.hits > rule.times) continue;
            return rule;
        }
        return null;
    }

    async serve(request, response) {
        const rule = this.find(request);
        const note = (status) =>
            this.requests.push({ method: request.method, path: request.url, status });
        if (rule?.delay) await new Promise((resolve) => setTimeout(resolve, rule.delay).unref());
        const instead = rule && (rule.status || rule.hang || rule.reset);
        let answer = null;
        if (!instead || rule.stored) {
            answer = await this.forward(request);
        } else {
            request.resume();
            await once(request, 'end');
        }
        if (!instead) {
            this.relay(request, response, answer, rule);
            rule?.wasHit();
            note(answer.statusCode);
            return;
        }
        if (answer) {
            answer.resume(); // whole: by then it has done what it was asked
            await once(answer, 'end');
        }
        rule.wasHit();
        if (rule.hang) {
            note('hung');
            await rule.freed;
            request.socket.destroy();
        } else if (rule.reset) {
            note('reset');
            this.resetOf(request);
        } else {
            note(rule.status);
            const body = Buffer.from(rule.body ?? s3Error(rule.status));
            response.writeHead(rule.status, {
                'content-type': 'application/xml',
                'content-length': request.method === 'HEAD' ? 0 : body.length,
                ...rule.headers,
            });
            response.end(request.method === 'HEAD' ? undefined : body);
        }
    }

    forward(request) {
        // As they came: they are signed.
        const headers = [];
        for (let i = 0; i < request.rawHeaders.length; i += 2)
            if (request.rawHeaders[i].toLowerCase() !== 'expect')
                headers.push([request.rawHeaders[i], request.rawHeaders[i + 1]]);
        return new Promise((resolve, reject) => {
            const on = http.request({
                ...this.final,
                method: request.method,
                path: request.url,
                setHost: false,
                agent: false, // nothing is left over for the next
            });
            for (const [name, value] of headers) {
                const old = on.getHeader(name);
                on.setHeader(name, old === undefined ? value : [].concat(old, value));
            }
            on.on('error', reject);
            on.on('response', resolve);
            request.on('aborted', () => on.destroy());
            request.pipe(on);
        });
    }

    relay(request, response, answer, rule) {
        const headers = [];
        for (let i = 0; i < answer.rawHeaders.length; i += 2)
            if (answer.rawHeaders[i].toLowerCase() !== 'connection')
                headers.push(answer.rawHeaders[i], answer.rawHeaders[i + 1]);
        response.writeHead(answer.statusCode, answer.statusMessage, headers);
        let cut = false;
        const fail = () => cut || request.socket.destroy();
        answer.on('error', fail);
        answer.on('aborted', fail);
        if (rule?.truncate === undefined && rule?.corrupt === undefined) {
            answer.pipe(response);
            return;
        }
        let at = 0;
        answer.on('data', (piece) => {
            if (rule.truncate !== undefined && at + piece.length > rule.truncate) {
                cut = true;
                answer.destroy();
                response.flushHeaders();
                response.write(piece.subarray(0, rule.truncate - at), () => request.socket.end());
                return;
            }
            const bad = rule.corrupt - at;
            if (bad >= 0 && bad < piece.length) piece[bad] ^= 1;
            at += piece.length;
            response.write(piece);
        });
        answer.on('end', () => response.end());
    }

    // The connection of a client, by way of the one inside that is its other half.
    resetOf(request) {
        const { remotePort } = request.socket;
        for (const link of this.links)
            if (link.server.localPort === remotePort) {
                link.reset();
                return;
            }
        request.socket.destroy();
    }

    async close() {
        for (const rule of this.wants) rule.free();
        await super.close();
        this.inner.closeAllConnections();
        this.inner.close();
    }
}

export function s3Error(status) {
    const code = { 403: 'AccessDenied', 404: 'NoSuchKey', 500: 'InternalError', 503: 'SlowDown' };
    return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code[status] ?? 'Error'}</Code></Error>`;
}
