// key.mjs - with a key: who has it may, who has not gets 401.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Wire, ask, head, run, uuid } from './lib/client.mjs';
import { Server, run as command } from './lib/server.mjs';

const key = 'rk-4b1d-canary-key-77aa';
const basic = (user, password) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('--api-key', () => {
    let server;
    let id;
    before(async () => {
        server = await Server.start({ flags: ['--api-key', key] });
        [id] = await server.store([run()], { 'x-api-key': key });
    });
    after(() => server.close());

    const routes = () => [
        ['GET', `/runs/${id}`],
        ['HEAD', `/runs/${id}`],
        ['GET', `/runs/${id}/inputs`],
        ['GET', '/runs/search?name=a'],
        ['POST', '/runs/batch', '[]'],
        ['POST', '/runs', JSON.stringify([run()])],
    ];
    const good = { 'x-api-key': key };

    it('is taken from x-api-key, as Bearer, or as the password of Basic', async () => {
        for (const headers of [
            good,
            { 'X-API-KEY': key },
            { authorization: basic('anybody', key) },
            { authorization: basic('', key).replace(/=+$/, '') },
            { authorization: `Bearer ${key}` },
            { authorization: `bearer ${key}` },
        ])
            for (const [method, path, body] of routes()) {
                const answer = await ask(server, method, path, {
                    headers: { 'content-type': 'application/json', ...headers },
                    body: body ?? null,
                });
                assert.ok(
                    [200, 201].includes(answer.status),
                    `${method} ${path} ${JSON.stringify(headers)}: ${answer.status}`,
                );
            }
    });
    it('no key, or a wrong one: 401 with a detail, on every route', async () => {
        const wrong = [
            {},
            { 'x-api-key': '' },
            { 'x-api-key': key.slice(0, -1) },
            { 'x-api-key': `${key}x` },
            { 'x-api-key': key.toUpperCase() },
            { 'x-api-key': 'other' },
            { authorization: 'Bearer other' },
            { authorization: 'Bearer' },
            { authorization: key },
            { authorization: basic(key, 'other') },
            { authorization: basic('a', `${key}x`) },
            { authorization: basic('a', `b:${key}`) },
            { authorization: 'Basic !!!' },
            { authorization: basic('a', '') },
            { authorization: `Digest ${key}` },
        ];
        for (const headers of wrong)
            for (const [method, path, body] of routes()) {
                const answer = await ask(server, method, path, {
                    headers: { 'content-type': 'application/json', ...headers },
                    body: body ?? null,
                });
                assert.equal(answer.status, 401, `${method} ${path} ${JSON.stringify(headers)}`);
                if (method !== 'HEAD') assert.equal(typeof answer.json.detail, 'string');
            }
    });
    it('who sent one that is not this server’s is told so', async () => {
        const said = async (headers) =>
            (await ask(server, 'GET', `/runs/${id}`, { headers })).json.detail;
        for (const headers of [{}, { 'x-api-key': '' }, { authorization: 'Digest a' }])
            assert.match(await said(headers), /^A key is needed/);
        for (const headers of [
            { 'x-api-key': 'other' },
            { authorization: 'Bearer other' },
            { authorization: basic('a', 'other') },
            { 'x-api-key': 'other', authorization: 'Digest a' },
        ]) {
            const detail = await said(headers);
            assert.match(detail, /not this server's/);
            assert.ok(!detail.includes(key) && !detail.includes('other'));
        }
    });
    it('a refused write stores nothing', async () => {
        const other = uuid();
        assert.equal((await server.post('/runs', [run({ id: other })])).status, 401);
        assert.equal((await server.get(`/runs/${other}`, good)).status, 404);
    });
    it('401 comes before the body is read', async () => {
        const wire = await Wire.open(server);
        wire.send(
            head(server, 'POST', '/runs', {
                'Content-Type': 'application/json',
                'Content-Length': 1_000_000,
            }),
        );
        assert.equal((await wire.answer(5000))?.status, 401);
        wire.close();
    });
    it('an unknown run does not show without the key, nor does a cached one', async () => {
        await server.get(`/runs/${id}`, good);
        await server.get(`/runs/${id}`, good);
        assert.equal((await server.get(`/runs/${uuid()}`)).status, 401);
        assert.equal((await server.get(`/runs/${id}`)).status, 401);
        const { etag } = (await server.get(`/runs/${id}`, good)).headers;
        assert.equal((await server.get(`/runs/${id}`, { 'if-none-match': etag })).status, 401);
    });
    it('/health and /ready need no key, nor does what the SDKs ask first', async () => {
        for (const path of ['/health', '/ready', '/info', '/ok', '/api/v1/info/health'])
            assert.equal((await server.get(path)).status, 200);
    });
    it('the key is in no log and in no metric', async () => {
        await server.get('/runs/abc', good);
        await server.get('/nothing', { authorization: `Bearer ${key}` });
        const metrics = await server.get('/metrics', good);
        assert.equal(metrics.status, 200);
        for (const text of [server.logs, server.stdout, metrics.text]) {
            assert.ok(!text.includes(key));
            assert.ok(!text.includes('canary'));
        }
    });
});

describe('where the key comes from', () => {
    const refused = async (server) => {
        assert.equal((await server.get('/runs/search?name=a')).status, 401);
        assert.equal((await server.get('/runs/search?name=a', { 'x-api-key': key })).status, 200);
    };
    it('RUNDLET_API_KEY', async () => {
        const server = await Server.start({ env: { RUNDLET_API_KEY: key } });
        await refused(server);
        await server.close();
    });
    it('RUNDLET_API_KEY_FILE, without its last newline', async () => {
        const holder = await Server.start();
        const file = join(holder.home, 'key');
        await writeFile(file, `${key}\n`);
        const server = await Server.start({ env: { RUNDLET_API_KEY_FILE: file } });
        await refused(server);
        await server.close();
        await holder.close();
    });
    it('beyond loopback: no start without a key, unless --insecure', async () => {
        const holder = await Server.start();
        const data = join(holder.home, 'wide');
        const made = await command(['serve', '--data', data, '--listen', '0.0.0.0:0'], {
            timeout: 15_000,
        });
        assert.ok(made.code > 0, `it started: ${made.signal}`);
        assert.match(String(made.stderr), /api-key|insecure/);
        for (const flags of [['--api-key', key], ['--insecure']]) {
            const server = await Server.start({ listen: '0.0.0.0:0', flags });
            assert.equal((await server.get('/health')).status, 200);
            await server.close();
        }
        await holder.close();
    });
});
