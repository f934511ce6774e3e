// web.mjs - the page as the program serves it: the document at every address of the page, its
// assets, what may be kept and how; what is there when the program was built without Node.
// What the page does in a browser is in test/web.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Server, binary, scratch } from './lib/server.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const addresses = [
    '/ui',
    '/ui/projects',
    '/ui/runs?project=a&q=status%3Aerror',
    '/ui/traces/0193a5f2-7c00-7000-8000-000000000001?view=tree',
    '/ui/stats',
    '/ui/whatever',
];
const assetsOf = (page) => [...page.matchAll(/(?:src|href)="(\/ui\/assets\/[^"]+)"/g)].map((m) => m[1]);

describe('the page', () => {
    let server;
    before(async () => {
        server = await Server.start({ flags: ['--api-key', 'a-key-of-sixteen-bytes'] });
    });
    after(() => server.close());

    it('is at / for people, without a key; programs get a word', async () => {
        const page = await server.get('/', html);
        assert.equal(page.status, 200);
        assert.match(page.headers['content-type'], /^text\/html/);
        assert.match(page.text, /<div id="app">/, 'built without Node: see the output of make');
        assert.match(page.headers.vary, /Accept\b/);
        const word = await server.get('/', { accept: '*/*' });
        assert.equal(word.text, '{"message":"Rundlet"}');
    });

    it('is where the addresses that SDKs make of a run lead to, for who has no key too', async () => {
        const [run, trace] = ['0193a5f2-7c00-7000-8000-000000000002', '0193a5f2-7c00-7000-8000-000000000001'];
        const tenant = '/o/00000000-0000-0000-0000-000000000000/projects/p';
        const leads = {
            [`${tenant}/${trace}/r/${run}?trace_id=${trace}&start_time=x`]: `/ui/traces/${trace}?run=${run}`,
            [`${tenant}/${trace}/r/${run}`]: `/ui/traces/${run}?run=${run}`,
            [`${tenant}/${trace}/r/${run}?trace_id=//evil.example`]: `/ui/traces/${run}?run=${run}`,
            [`${tenant}/${trace}`]: '/ui/projects',
        };
        for (const [from, to] of Object.entries(leads)) {
            const answer = await server.get(from);
            assert.equal(answer.status, 302, from);
            assert.equal(answer.headers.location, to);
        }
        assert.equal((await server.get(`${tenant}/x/r/not-an-id`)).status, 404);
        assert.equal((await server.get('/o/x/datasets/y')).status, 404);
    });

    it('is the same document at all its addresses; the data wants the key', async () => {
        const page = (await server.get('/', html)).text;
        for (const address of addresses) {
            const answer = await server.get(address);
            assert.equal(answer.status, 200, address);
            assert.equal(answer.text, page, address);
        }
        assert.equal((await server.get('/sessions')).status, 401);
    });

    it('may run, show and ask nothing but what comes from here', async () => {
        const { headers } = await server.get('/', html);
        const policy = new Map(
            headers['content-security-policy'].split('; ').map((part) => {
                const [name, ...sources] = part.split(' ');
                return [name, sources.join(' ')];
            }),
        );
        assert.equal(policy.get('default-src'), "'none'");
        assert.equal(policy.get('script-src'), "'self'");
        assert.equal(policy.get('style-src'), "'self'");
        assert.equal(policy.get('connect-src'), "'self'");
        assert.equal(policy.get('base-uri'), "'none'");
        assert.equal(policy.get('form-action'), "'none'");
        assert.equal(policy.get('frame-ancestors'), "'none'");
        assert.doesNotMatch(headers['content-security-policy'], /unsafe|\*|http/);
        assert.equal(headers['x-content-type-options'], 'nosniff');
        assert.equal(headers['referrer-policy'], 'no-referrer');
    });

    it('has nothing from elsewhere, and no script or style in it', async () => {
        const { text } = await server.get('/', html);
        assert.doesNotMatch(text, /https?:\/\/|<style|style=|<script>|\son\w+=/);
        assert.ok(assetsOf(text).length >= 3);
    });

    it('is asked for again each time, and is then a 304', async () => {
        const first = await server.get('/ui/projects');
        assert.equal(first.headers['cache-control'], 'no-cache');
        assert.match(first.headers.etag, /^"[^"]+"$/);
        const again = await server.get('/ui/runs', { 'if-none-match': first.headers.etag });
        assert.equal(again.status, 304);
        assert.equal(again.body.length, 0);
        assert.equal(again.headers.etag, first.headers.etag);
        const other = await server.get('/ui/runs', { 'if-none-match': '"other"' });
        assert.equal(other.status, 200);
    });

    it('has assets that are kept for good, packed for those who take it', async () => {
        const page = (await server.get('/', html)).text;
        for (const asset of assetsOf(page)) {
            const plain = await server.get(asset);
            assert.equal(plain.status, 200, asset);
            assert.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable');
            assert.equal(plain.headers['content-encoding'], undefined);
            assert.match(plain.headers.vary, /Accept-Encoding/);
            const packed = await server.get(asset, { 'accept-encoding': 'gzip, br' });
            assert.equal(packed.headers['content-encoding'], 'gzip');
            assert.deepEqual(gunzipSync(packed.body), plain.body);
            assert.equal(packed.headers['content-type'], plain.headers['content-type']);
            assert.notEqual(packed.headers.etag, plain.headers.etag, 'other bytes, another tag');
            const refused = await server.get(asset, { 'accept-encoding': 'gzip;q=0' });
            assert.equal(refused.headers['content-encoding'], undefined);
            for (const answer of [plain, packed]) {
                const encoding = answer.headers['content-encoding'] ?? 'identity';
                const kept = { 'if-none-match': answer.headers.etag, 'accept-encoding': encoding };
                assert.equal((await server.get(asset, kept)).status, 304);
            }
            const head = await server.head(asset);
            assert.equal(Number(head.headers['content-length']), plain.body.length);
            assert.equal(head.body.length, 0);
        }
        assert.match((await server.get(assetsOf(page).find((one) => one.endsWith('.js')))).headers['content-type'], /^text\/javascript/);
    });

    it('has no other files', async () => {
        for (const name of ['index.html', 'app.js', 'files.c', '..%2Fmain.c', 'app-0.js']) {
            const answer = await server.get(`/ui/assets/${name}`);
            assert.equal(answer.status, 404, name);
        }
    });
});

describe('without Node', () => {
    it('make goes on, and tries again the next time', async () => {
        const home = await scratch();
        try {
            for (const from of ['scripts/web', 'web/no_files.c', 'web/build.mjs'])
                cpSync(join(root, from), join(home, from), { recursive: true });
            const bin = join(home, 'bin');
            mkdirSync(bin);
            const tools = ['bash', 'cp', 'mkdir', 'rm', 'touch', 'flock', 'find', 'sed', 'dirname', 'env'];
            const link = tools.map((tool) => `ln -s "$(command -v ${tool})" ${bin}/${tool}`).join('\n');
            assert.equal(spawnSync('sh', ['-c', link]).status, 0);
            const made = spawnSync(join(home, 'scripts/web'), { env: { PATH: bin }, encoding: 'utf8' });
            assert.equal(made.status, 0, made.stderr);
            assert.match(made.stderr, /no Node 18/);
            const file = join(home, 'build/web/files.c');
            assert.match(readFileSync(file, 'utf8'), /web_file_count = 0;/);
            assert.ok(statSync(file).mtimeMs < statSync(join(home, 'web/build.mjs')).mtimeMs);
        } finally {
            await rm(home, { recursive: true });
        }
    });

    it('the server says how to get the page, and does all else', async () => {
        const program = join(binary, '../gcc-release/no_page/rundlet');
        assert.ok(existsSync(program), 'make test-release builds it');
        const server = await Server.start({ program });
        const page = await server.get('/', html);
        assert.equal(page.status, 200);
        assert.match(page.text, /apt-get install nodejs npm/);
        assert.equal(page.headers['cache-control'], 'no-store');
        assert.match(page.headers['content-security-policy'], /default-src 'none'/);
        assert.equal((await server.get('/ui/projects')).text, page.text);
        assert.equal((await server.get('/ui/assets/app.js')).status, 404);
        assert.equal((await server.get('/sessions')).status, 200);
        await server.close();
    });
});
