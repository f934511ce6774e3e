// proxy.mjs - the proxy that the fault suites rely on does what it says: a fault
// that does not happen would prove nothing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { HttpProxy, Proxy } from './lib/proxy.mjs';

// Long enough for what must not happen to happen here.
const QUIET_MS = 100;

// A connection that remembers.
class Client {
    static async open(proxy) {
        const client = new Client();
        client.got = Buffer.alloc(0);
        client.error = null;
        client.over = false;
        client.waiting = [];
        const wake = () => client.waiting.splice(0).forEach((look) => look());
        client.socket = net.connect({ host: proxy.host, port: proxy.port, noDelay: true });
        client.socket.on('data', (piece) => {
            client.got = Buffer.concat([client.got, piece]);
            wake();
        });
        client.socket.on('error', (error) => {
            client.error = error.code;
            wake();
        });
        client.socket.on('close', () => {
            client.over = true;
            wake();
        });
        client.wake = wake;
        await client.until(() => client.over || !client.socket.connecting, 5000, 'connect');
        return client;
    }
    async until(ready, ms = 5000) {
        const end = Date.now() + ms;
        while (!ready()) {
            const left = end - Date.now();
            if (left <= 0) return false;
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, Math.min(left, 20));
                this.waiting.push(() => {
                    clearTimeout(timer);
                    resolve();
                });
            });
        }
        return true;
    }
    send(text) {
        this.socket.write(text);
        return this;
    }
    get text() {
        return this.got.toString('latin1');
    }
    async gets(text) {
        await this.until(() => this.text.length >= text.length || this.over);
        assert.equal(this.text, text);
    }
    async ends() {
        assert.ok(await this.until(() => this.over), 'the connection ends');
    }
    async quiet(text) {
        assert.ok(!(await this.until(() => this.text !== text || this.over, QUIET_MS)), this.text);
    }
    close() {
        this.socket.destroy();
    }
}

describe('a proxy', () => {
    let echo;
    let proxy;
    let heard; // what came to the server
    let client;
    before(async () => {
        echo = net.createServer((socket) => {
            socket.on('data', (piece) => {
                heard += piece.toString('latin1');
                socket.write(piece);
            });
            socket.on('error', () => {});
        });
        echo.listen(0, '127.0.0.1');
        await once(echo, 'listening');
        proxy = await Proxy.start(echo.address().port);
    });
    beforeEach(async () => {
        await proxy.pass();
        client?.close();
        heard = '';
        client = await Client.open(proxy);
    });
    after(async () => {
        client.close();
        await proxy.close();
        echo.close();
    });
    const hears = (text) => client.until(() => heard.length >= text.length);

    it('passes everything, in both directions', async () => {
        const all = 'x'.repeat(3 << 20);
        client.send(all);
        await client.gets(all);
    });
    it('passes the end of one side on, and what the other still says', async () => {
        client.send('last').socket.end();
        await client.gets('last');
        await client.ends();
    });
    it('refuses: connections end, new ones are refused; then the same port again', async () => {
        client.send('a');
        await client.gets('a');
        const { port } = proxy;
        await proxy.refuse();
        await client.ends();
        const other = await Client.open(proxy);
        assert.equal(other.error, 'ECONNREFUSED');
        await proxy.pass();
        assert.equal(proxy.port, port);
        const again = await Client.open(proxy);
        again.send('b');
        await again.gets('b');
        again.close();
    });
    it('hangs: both ways, and lets everything go afterwards', async () => {
        proxy.hang();
        client.send('hello');
        await client.quiet('');
        assert.equal(heard, '');
        await proxy.pass();
        await client.gets('hello');
    });
    it('hangs: only what the server says', async () => {
        proxy.hang({ client: false });
        client.send('hello');
        await hears('hello');
        await client.quiet('');
        assert.equal(heard, 'hello');
        await proxy.pass();
        await client.gets('hello');
    });
    it('is slow', async () => {
        proxy.slow(40_000);
        const began = performance.now();
        client.send('x'.repeat(20_000));
        await client.gets('x'.repeat(20_000));
        const took = performance.now() - began;
        assert.ok(took > 400, `${took} ms`);
    });
    it('cuts after so many bytes of the server', async () => {
        proxy.cutAfter({ server: 5 });
        client.send('0123456789');
        await client.ends();
        assert.ok('01234'.startsWith(client.text), client.text);
        assert.equal(heard, '0123456789');
    });
    it('cuts after so many bytes of the client', async () => {
        proxy.cutAfter({ client: 3 });
        client.send('0123456789');
        await client.ends();
        assert.ok('012'.startsWith(heard), heard);
    });
    it('resets', async () => {
        client.send('a');
        await client.gets('a');
        proxy.reset();
        await client.ends();
        assert.equal(client.error, 'ECONNRESET');
    });
    it('corrupts the bytes that are named, also when they come in two pieces', async () => {
        const rule = proxy.when('server', 'COMMIT', 'corrupt', { times: 2 });
        client.send('a COMMIT b COM');
        await client.gets('a COMMIU b COM');
        client.send('MIT c COMMIT');
        await client.gets('a COMMIU b COMMIU c COMMIT');
        assert.equal(rule.hits, 2);
    });
    it('holds the answer to what the client said, until it is let go', async () => {
        const rule = proxy.when('client', 'COMMIT', 'hold');
        client.send('first ');
        await client.gets('first ');
        client.send('COMM');
        client.send('IT;');
        await rule.hit;
        assert.ok(await client.until(() => heard === 'first COMMIT;'));
        await client.quiet(client.text);
        assert.ok(client.text.length < heard.length, client.text);
        rule.release();
        await client.gets('first COMMIT;');
    });
    it('holds an answer from where the server says it', async () => {
        const rule = proxy.when('server', 'DONE', 'hold', { skip: 1 });
        client.send('DONE 1, DONE 2');
        await rule.hit;
        await client.gets('DONE 1, ');
        await client.quiet('DONE 1, ');
        rule.release();
        await client.gets('DONE 1, DONE 2');
    });
    it('drops an answer for ever, and only on that connection', async () => {
        const rule = proxy.when('client', 'COMMIT', 'drop');
        client.send('COMMIT');
        await rule.hit;
        assert.ok(await client.until(() => heard === 'COMMIT'));
        const other = await Client.open(proxy);
        other.send('COMMIT');
        await other.gets('COMMIT');
        await client.quiet('');
        other.close();
    });
    it('cuts when something was said, and the server still hears it', async () => {
        const rule = proxy.when('client', 'COMMIT', 'cut');
        client.send('COMMIT');
        await client.ends();
        assert.ok(await client.until(() => heard === 'COMMIT'));
        assert.equal(client.text, '');
        assert.equal(rule.hits, 1);
    });
    it('cuts before the server hears it', async () => {
        proxy.when('client', 'COMMIT', 'cut before');
        client.send('go COMMIT');
        await client.ends();
        assert.ok('go '.startsWith(heard), heard);
    });
    it('resets when something is said', async () => {
        proxy.when('client', 'COMMIT', 'reset', { skip: 1 });
        client.send('COMMIT ');
        await client.gets('COMMIT ');
        client.send('COMMIT ');
        await client.ends();
        assert.equal(client.error, 'ECONNRESET');
        assert.equal(heard, 'COMMIT ');
    });
    it('closes the connection of a server that is gone', async () => {
        const alone = await Proxy.start(1); // nobody listens there
        const other = await Client.open(alone);
        await other.ends();
        await alone.close();
    });
});

describe('a proxy that knows HTTP', () => {
    let target;
    let proxy;
    let asked;
    const body = 'abcdefghij'.repeat(1000);
    before(async () => {
        target = http.createServer((request, response) => {
            const pieces = [];
            request.on('data', (piece) => pieces.push(piece));
            request.on('end', () => {
                asked.push({
                    method: request.method,
                    path: request.url,
                    headers: request.rawHeaders,
                    body: Buffer.concat(pieces).toString(),
                });
                response.setHeader('X-Some-Case', 'Kept');
                response.end(request.method === 'PUT' ? '' : body);
            });
        });
        target.listen(0, '127.0.0.1');
        await once(target, 'listening');
        proxy = await HttpProxy.start(target.address().port);
    });
    beforeEach(async () => {
        asked = [];
        await proxy.pass();
    });
    after(async () => {
        await proxy.close();
        target.closeAllConnections();
        target.close();
    });
    const send = (method, path, options = {}) =>
        new Promise((resolve, reject) => {
            const request = http.request(
                { host: proxy.host, port: proxy.port, method, path, agent: false, ...options },
                (response) => {
                    const pieces = [];
                    response.on('data', (piece) => pieces.push(piece));
                    const done = (error) =>
                        resolve({
                            status: response.statusCode,
                            rawHeaders: response.rawHeaders,
                            text: Buffer.concat(pieces).toString(),
                            error: error?.code,
                        });
                    response.on('error', done);
                    response.on('end', () => done(null));
                },
            );
            request.on('error', reject);
            request.setTimeout(options.timeout ?? 10_000, () => request.destroy(new Error('late')));
            request.end(options.body);
        });

    it('passes requests and answers as they are', async () => {
        const answer = await send('PUT', '/b/k?x=%20', {
            headers: { Host: 'a.b', 'X-Amz-Date': 'now', 'If-None-Match': '*' },
            body: 'bytes',
        });
        assert.equal(answer.status, 200);
        assert.ok(answer.rawHeaders.includes('X-Some-Case'));
        assert.equal(asked.length, 1);
        assert.equal(asked[0].path, '/b/k?x=%20');
        assert.equal(asked[0].body, 'bytes');
        for (const [name, value] of [
            ['Host', 'a.b'],
            ['X-Amz-Date', 'now'],
            ['If-None-Match', '*'],
        ])
            assert.equal(asked[0].headers[asked[0].headers.indexOf(name) + 1], value, name);
        assert.deepEqual(proxy.requests.at(-1), { method: 'PUT', path: '/b/k?x=%20', status: 200 });
    });
    it('answers the n-th request that fits itself', async () => {
        const rule = proxy.answer({ method: 'PUT', path: '/b/', status: 503, skip: 1, times: 2 });
        const statuses = [];
        for (let i = 0; i < 5; i++) statuses.push((await send('PUT', '/b/k', { body: 'x' })).status);
        assert.deepEqual(statuses, [200, 503, 503, 200, 200]);
        assert.equal((await send('GET', '/b/k')).status, 200);
        assert.equal((await send('PUT', '/c/k')).status, 200);
        assert.equal(rule.hits >= 2, true);
        assert.equal(asked.length, 5);
    });
    it('has it stored, and answers otherwise', async () => {
        proxy.answer({ method: 'PUT', status: 500, stored: true });
        const answer = await send('PUT', '/b/k', { body: 'kept' });
        assert.equal(answer.status, 500);
        assert.match(answer.text, /InternalError/);
        assert.equal(asked[0].body, 'kept');
    });
    it('cuts an answer short, which says its whole length', async () => {
        proxy.answer({ method: 'GET', truncate: 100 });
        const answer = await send('GET', '/b/k');
        assert.equal(answer.status, 200);
        assert.equal(answer.error, 'ECONNRESET');
        assert.equal(answer.text, body.slice(0, 100));
    });
    it('changes a byte of an answer', async () => {
        proxy.answer({ method: 'GET', corrupt: 5000 });
        const { text } = await send('GET', '/b/k');
        assert.equal(text.length, body.length);
        assert.notEqual(text[5000], body[5000]);
        assert.equal(text.slice(0, 5000) + text.slice(5001), body.slice(0, 5000) + body.slice(5001));
    });
    it('takes its time', async () => {
        proxy.answer({ delay: 150 });
        const began = performance.now();
        assert.equal((await send('GET', '/')).text, body);
        assert.ok(performance.now() - began >= 145);
    });
    it('never answers, with the request passed on or not', async () => {
        for (const stored of [false, true]) {
            const rule = proxy.answer({ hang: true, stored });
            const sent = send('PUT', '/b/k', { body: 'x', timeout: 300 });
            await rule.hit;
            await assert.rejects(sent, /late/);
            assert.equal(asked.length, stored ? 1 : 0);
        }
    });
    it('resets, with the request passed on or not', async () => {
        for (const stored of [false, true]) {
            proxy.answer({ reset: true, stored });
            await assert.rejects(send('PUT', '/b/k', { body: 'x' }), { code: 'ECONNRESET' });
            assert.equal(asked.length, stored ? 1 : 0);
        }
    });
    it('is as well a proxy for bytes', async () => {
        await proxy.refuse();
        await assert.rejects(send('GET', '/'), { code: 'ECONNREFUSED' });
        await proxy.pass();
        proxy.slow(20_000);
        const began = performance.now();
        assert.equal((await send('GET', '/')).text, body);
        assert.ok(performance.now() - began > 200);
    });
    it('large bodies pass, in and out', async () => {
        const large = Buffer.alloc(8 << 20, 'x').toString();
        assert.equal((await send('PUT', '/b/large', { body: large })).status, 200);
        assert.equal(asked[0].body.length, large.length);
    });
    it('serves many at once', async () => {
        const answers = await Promise.all(
            Array.from({ length: 40 }, (_, i) => send('GET', `/${i}`)),
        );
        for (const answer of answers) assert.equal(answer.text, body);
    });
});
