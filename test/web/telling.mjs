// telling.mjs - what the page says of small things: a failure inside of a trace, one run alone,
// a tool's values, a key that is not taken, the same said twice.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, eventually, inaccessible } from './lib/browser.mjs';
import { module } from './lib/modules.mjs';
import { fill, oneRun, send } from './lib/support.mjs';
import { trace } from './lib/traces.mjs';

let browser;
let server;
before(async () => {
    browser = await Browser.start();
    server = await Server.start();
    await fill(server, { traces: 20 });
});
after(async () => {
    await server.close();
    await browser.close();
});

const rows = (page) => page.locator('.table .line');
const close = (page) => page.context().close();

describe('a trace whose top is good', () => {
    it('says how many below it failed, and leads to them; one that failed itself does not', async () => {
        const { traceId, runs } = trace(
            [
                { key: 'carried on', to: 900 },
                { key: 'first try', parent: 'carried on', type: 'tool', from: 10, to: 100, error: 'no' },
                { key: 'second try', parent: 'carried on', type: 'tool', from: 110, to: 200, error: 'no' },
                { key: 'third try', parent: 'carried on', type: 'tool', from: 210, to: 300, outputs: { a: 1 } },
            ],
            { project: 'inside' },
        );
        const whole = trace([{ key: 'all good', to: 90 }], { project: 'inside' });
        const bad = trace([{ key: 'all bad', to: 90, error: 'no' }], { project: 'inside' });
        await send(server, [...runs, ...whole.runs, ...bad.runs]);
        const page = await browser.page(server, { path: '/ui/runs?project=inside&since=all' });
        const line = rows(page).filter({ hasText: 'carried on' });
        await line.getByText('✕ 2 failed').waitFor();
        for (const other of ['all good', 'all bad'])
            assert.equal(await rows(page).filter({ hasText: other }).getByText('failed').count(), 0);
        assert.deepEqual(await inaccessible(page), []);
        await page.setViewportSize({ width: 360, height: 700 });
        await eventually(() => assertFits(page));
        await line.getByText('✕ 2 failed').click();
        await page.waitForURL((url) => url.pathname === `/ui/traces/${traceId}` && url.searchParams.get('only') === 'errors');
        await page.getByText('3 of 4', { exact: true }).waitFor();
        await close(page);
    });
});

describe('one run alone', () => {
    it('stands in the histogram of a minute, with two moments below it, and each second is another one', async () => {
        await send(server, [oneRun({ name: 'alone', project: 'alone', ms: Date.now() - 5 * 60_000, n: 5 })]);
        const page = await browser.page(server, { path: '/ui/runs?project=alone' });
        const bars = page.locator('.bars');
        await bars.locator('svg').waitFor();
        assert.equal(await bars.locator('g').count(), 60);
        assert.equal(await bars.locator('rect.good').evaluateAll((all) => all.filter((one) => one.getAttribute('height') !== '0').length), 1);
        const [from, to] = await bars.locator('.axis span:not(.said)').allInnerTexts();
        assert.notEqual(from, to);
        const said = [];
        await bars.focus();
        for (let i = 0; i < 3; i++) {
            await page.keyboard.press('ArrowRight');
            said.push(await bars.getAttribute('aria-valuetext'));
        }
        assert.equal(new Set(said).size, 3, said.join('; '));
        await close(page);
    });

    it('is put where it began, whatever the width of its bucket; what spans a minute stays', async () => {
        const { widened } = await module('runs.ts');
        const at = Date.parse('2026-11-26T10:00:20.250Z');
        const of = (count, each, more = {}) => ({
            start_time: new Date(at).toISOString(), end_time: new Date(at + each * count.length).toISOString(),
            bucket_us: each * 1000, count, errors: count.map(() => 1), complete: true, ...more,
        });
        for (const data of [of([1], 1), of([1], 1024), of([1, 0, 2, 4], 300), of([1, 2, 3], 19_000)]) {
            const wide = widened(data, at + 1e6);
            const begin = Date.parse(wide.start_time);
            const sum = (list) => list.reduce((a, b) => a + b, 0);
            const step = wide.bucket_us / 1000;
            assert.ok(Math.abs(Date.parse(wide.end_time) - begin - wide.count.length * step) <= 1);
            assert.ok(wide.count.length * step >= 60_000 && wide.count.length <= 61);
            assert.deepEqual([sum(wide.count), sum(wide.errors)], [sum(data.count), sum(data.errors)]);
            // Each span is of whole buckets, and has those that lie in it.
            const runs = data.count.map((n, i) => [at + (i + 0.5) * (data.bucket_us / 1000), n]);
            wide.count.forEach((n, i) => {
                const [from, to] = [begin + i * step, begin + (i + 1) * step];
                assert.equal(n, sum(runs.filter(([when]) => when >= from && when < to).map(([, n]) => n)));
            });
        }
        assert.ok(Date.parse(widened(of([1], 1), at + 500).end_time) <= at + 1000, 'not into the future');
        assert.equal(widened(of([], 1), at).count.length, 0);
        const minute = of([1, 2], 30_000);
        assert.equal(widened(minute, at), minute);
    });
});

describe('a tool', () => {
    it('shows its input first, and no conversation', async () => {
        const { traceId, ids, runs } = trace(
            [
                { key: 'top', to: 900, inputs: { input: 'What is 6 times 7?' }, outputs: { output: '42' } },
                { key: 'multiply', parent: 'top', type: 'tool', from: 10, to: 100, inputs: { input: '6 * 7' }, outputs: { output: '42' } },
            ],
            { project: 'tools' },
        );
        await send(server, runs);
        const page = await browser.page(server, { path: `/ui/traces/${traceId}?run=${ids.multiply}` });
        await page.locator('#tab-input[aria-selected=true]').waitFor();
        for (const part of ['6 * 7', '42']) await page.locator('#tab-panel').getByText(part).waitFor();
        assert.equal(await page.locator('.message').count(), 0);
        await page.getByRole('tab', { name: 'Messages' }).click();
        await page.getByText('There are no messages in this run').waitFor();
        await page.goto(`${server.url}/ui/traces/${traceId}`);
        await page.locator('.message.user', { hasText: 'What is 6 times 7?' }).waitFor(); // a chain's is one
        await close(page);
    });
});

describe('the address of a run, on a narrow screen', () => {
    it('shows the run; Back to the tree stays there, also when the page is loaded again', async () => {
        const { traceId, ids, runs } = trace([{ key: 'top', to: 900 }, { key: 'below', parent: 'top', from: 10, to: 100 }], { project: 'narrow' });
        await send(server, runs);
        const page = await browser.page(server, { path: `/ui/traces/${traceId}?run=${ids.below}`, width: 360, height: 700 });
        await page.getByRole('heading', { name: 'below' }).waitFor();
        await page.locator('#runs').waitFor({ state: 'hidden' });
        await assertFits(page);
        await page.getByRole('button', { name: '← Trace' }).click();
        await page.locator('#runs').waitFor();
        await page.reload();
        await page.locator('#runs').waitFor();
        await page.goto(`${server.url}/ui/traces/${traceId}`);
        await page.locator('#runs').waitFor();
        await close(page);
    });
});

describe('percentiles', () => {
    it('P50, P95 and P99 are in the projects, of runs, and in the stats', async () => {
        const ms = Date.now() - 3600_000;
        await send(server, Array.from({ length: 20 }, (_, i) => oneRun({ name: 'n', project: 'spread', ms: ms + i, n: i, end_time: new Date(ms + i + 1000 * (i + 1)).toISOString() })));
        const page = await browser.page(server, { path: '/ui/runs?project=spread' });
        await page.locator('.numbers dt', { hasText: 'P95' }).waitFor();
        await page.locator('.numbers dd', { hasText: '19.1 s' }).waitFor(); // 19.05
        await page.goto(`${server.url}/ui/projects?name=spread`);
        await rows(page).filter({ hasText: '19.1 s' }).waitFor();
        await page.getByRole('button', { name: 'P95' }).click();
        await page.waitForURL(/sort=-p95/);
        await page.goto(`${server.url}/ui/stats?project=spread&since=24h`);
        await page.getByText('As a table').click();
        await page.getByRole('columnheader', { name: 'P95' }).waitFor();
        await close(page);
    });
});

describe('what is said', () => {
    it('twice is counted, and no more than three things stand there', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        // What is said for five seconds stands here as long as it takes.
        await page.evaluate(() => {
            const set = globalThis.setTimeout;
            globalThis.setTimeout = (act, ms, ...rest) => (ms === 5000 ? 0 : set(act, ms, ...rest));
        });
        await page.keyboard.press('j');
        for (let i = 0; i < 5; i++) await page.keyboard.press('y');
        await page.locator('.toast', { hasText: 'The id is copied ×5' }).waitFor();
        assert.equal(await page.locator('.toast').count(), 1);
        await page.keyboard.press('Y');
        await page.locator('.toast', { hasText: 'The link is copied' }).waitFor();
        assert.equal(await page.locator('.toast').count(), 2);
        assert.deepEqual(await inaccessible(page), []);
        await close(page);
    });

    it('of a project that is there already is in the words of the page', async () => {
        const page = await browser.page(server, { path: '/ui/projects' });
        await rows(page).first().waitFor();
        await page.getByRole('button', { name: 'New project' }).click();
        await page.getByLabel('Name', { exact: true }).fill('support');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').getByText('There is a project “support” already').waitFor();
        await close(page);
    });
});

describe('a key', () => {
    let locked;
    before(async () => {
        locked = await Server.start({ flags: ['--api-key', 'a-key-of-sixteen-bytes'] });
    });
    after(() => locked.close());

    it('is asked for with where it comes from; what is wrong with one is said', async () => {
        const page = await browser.page(locked, { path: '/ui/projects' });
        await page.getByText('the one that it was started with, as --api-key, --api-key-file or RUNDLET_API_KEY').waitFor();
        for (const [key, wrong] of [
            ['short', 'It has 5 characters; keys have 8 to 512'],
            ['two words of a key', 'It has a space'],
            ['ключ-длинный', 'a character that keys have not'],
            ['lsv2_pt_0123456789', 'It looks like a key of LangSmith'],
            ['another-key-of-some-bytes', 'It is another one than'],
        ]) {
            await page.getByLabel('Key', { exact: true }).fill(key);
            await page.keyboard.press('Enter');
            await page.locator('#key-why', { hasText: wrong }).waitFor();
        }
        assert.deepEqual(await inaccessible(page), []);
        await page.setViewportSize({ width: 360, height: 700 });
        await eventually(() => assertFits(page));
        await close(page);
    });
});
