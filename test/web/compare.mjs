// compare.mjs - runs beside each other in a browser: in numbers, as one tree, what they were given
// and said; with the keyboard; large ones; and those of strangers.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { uuid } from '../e2e/lib/client.mjs';
import { Browser, assertFits, at, eventually, inaccessible } from './lib/browser.mjs';
import { corpus, planted } from './lib/hostile.mjs';
import { giveSkeletons } from './lib/skeleton.mjs';
import { agent, largeSkeleton, otherAgent, send, trace } from './lib/traces.mjs';

let browser;
let server;
let one;
let other;
before(async () => {
    [browser, server] = await Promise.all([Browser.start(), Server.start()]);
    [one, other] = [agent(), otherAgent()];
    await send(server, [...one.runs, ...other.runs]);
});
after(async () => {
    await browser.close();
    await server.close();
});

const close = (page) => page.context().close();
const query = (page, name) => new URL(page.url()).searchParams.get(name);
const ready = (page) => page.waitForFunction(() => document.activeElement?.id === 'pairs');
const open = async (a, b, more = '', options = {}) => {
    const page = await browser.page(server, { path: `/ui/compare?a=${a}&b=${b}${more}`, ...options });
    await ready(page);
    return page;
};
const both = (more = '', options = {}) => open(one.traceId, other.traceId, more, options);
const row = (page, name) => page.locator('#pairs [role=row]:not(.head)', { hasText: name });
const here = (page) => page.locator('#pairs [aria-selected=true]');
const isHere = (page, text) => here(page).filter({ hasText: text }).waitFor();
const part = (page, name) => page.getByRole('region', { name, exact: true });
const settled = (page) => page.waitForFunction(() => document.querySelectorAll('.diff').length > 1 && !document.querySelector('.diff[aria-busy=true]'));

describe('two traces', () => {
    it('are opened from the table: marked with x, compared with d; Back has the marks', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=agents&since=all' });
        await page.locator('.table .line').nth(1).waitFor();
        const press = async (...keys) => {
            for (const key of keys) await page.keyboard.press(key);
        };
        await press('j', 'x', 'd');
        await page.getByText('Mark 2 to 4 to compare them').waitFor();
        assert.ok(await page.getByRole('button', { name: /^Compare/ }).isDisabled());
        await press('j', 'x', 'd');
        await ready(page);
        assert.deepEqual([query(page, 'a'), query(page, 'b')].sort(), [one.traceId, other.traceId].sort());
        await page.goBack();
        await page.locator('.marks').getByText('2 marked').waitFor();
        await page.getByRole('button', { name: /^Compare/ }).click();
        await ready(page);
        await close(page);
    });

    it('stand in numbers, with how much more or less it is, and links to each', async () => {
        const page = await both();
        const numbers = page.getByRole('region', { name: 'In numbers' });
        const lines = await numbers.locator('tbody tr').allInnerTexts();
        assert.match(lines[0], /Left\s+chain\s*agent\s+✓\s*success\s+5\.20 s\s+1,214\s/);
        assert.match(lines[1], /Right\s+chain\s*agent\s+✓\s*success\s+6\.10 s \+900 ms \(\+17 %\)\s+1,271 \+57 \(\+5 %\)/);
        await numbers.getByRole('link', { name: 'agent' }).nth(1).click();
        await page.waitForURL((url) => url.pathname === `/ui/traces/${other.traceId}`);
        await close(page);
    });

    it('are one tree, which says in words what is in one only, or of another status', async () => {
        const page = await both();
        assert.equal(await page.getByRole('treegrid', { name: 'Runs of both' }).getAttribute('aria-rowcount'), '11');
        assert.match(await row(page, 'search_docs').innerText(), /− only left/);
        assert.match(await row(page, 'ask_forecaster').innerText(), /\+ only right/);
        assert.match(await row(page, 'error → success').innerText(), /get_weather[^]*1\.46 s[^]*1\.06 s[^]*−390 ms/);
        assert.match(await row(page, 'ChatOpenAI').first().innerText(), /\+57/);
        assert.equal(await row(page, 'ChatOpenAI').first().getAttribute('aria-level'), '3');
        await page.getByText('4 of 10 runs are in one of them only').waitFor();
        await close(page);
    });

    it('a row is chosen: what it was given and said, line beside line, with words marked', async () => {
        const page = await both();
        await row(page, 'ChatOpenAI').last().click();
        await page.waitForURL((url) => url.searchParams.get('run') === one.ids['model-2']);
        const input = part(page, 'Input');
        await input.locator('del', { hasText: 'terse' }).waitFor();
        await input.locator('ins', { hasText: 'friendly' }).waitFor();
        assert.match(await input.locator('.diff-line.right').first().innerText(), /\+\s*Use metric units\./);
        await part(page, 'Output').locator('.half.right.other', { hasText: 'Take a coat to Oslo!' }).waitFor();
        // One that failed in one of them.
        await row(page, 'error → success').click();
        await part(page, 'Error').locator('.half.left', { hasText: "KeyError: 'temperature'" }).waitFor();
        // One that is in one of them.
        await row(page, 'search_docs').click();
        await page.getByText('Not in the right one').waitFor();
        await part(page, 'Input').locator('.diff-line.left', { hasText: 'weather codes' }).waitFor();
        assert.equal(await page.getByRole('link', { name: 'Right run' }).count(), 0);
        await page.getByRole('link', { name: 'Left run' }).click();
        await page.waitForURL((url) => url.searchParams.get('run') === one.ids.docs);
        await close(page);
    });

    it('every key does what it says', async () => {
        const page = await both();
        const press = (key) => page.keyboard.press(key);
        await press('j');
        await isHere(page, 'plan');
        await press('ArrowDown');
        await isHere(page, 'ChatOpenAI');
        await press('k');
        await press('ArrowLeft');
        await page.locator('#pairs [aria-expanded=false]', { hasText: '1 below, 1 differ' }).waitFor();
        await press('ArrowDown');
        await isHere(page, 'tools');
        await press('N'); // unfolds what it is in
        await isHere(page, 'ChatOpenAI');
        await press('ArrowLeft');
        await isHere(page, 'plan');
        await press('n');
        await press('n');
        await isHere(page, 'error → success');
        await press('End');
        await isHere(page, 'ChatOpenAI');
        assert.equal(query(page, 'run'), one.ids['model-2']);
        await press('Home');
        await isHere(page, 'agent');
        await press('o');
        await page.waitForFunction(() => document.querySelector('#pairs').getAttribute('aria-rowcount') === '8');
        await press('o');
        await press('Enter');
        await page.waitForFunction(() => document.activeElement?.id === 'diff');
        await press('End'); // scrolls, chooses nothing
        await isHere(page, 'agent');
        await press('Escape');
        await ready(page);
        await settled(page);
        await press('r');
        await part(page, 'Output').locator('.diff-line', { hasText: '"content"' }).first().waitFor();
        await press('r');
        await press('s');
        await page.waitForURL((url) => url.searchParams.get('a') === other.traceId && url.searchParams.get('b') === one.traceId);
        await row(page, 'search_docs').filter({ hasText: '+ only right' }).waitFor();
        await press('Y');
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), page.url());
        await press('?');
        await page.getByRole('dialog').getByText('Swap left and right').waitFor();
        await close(page);
    });

    it('only differences: of the tree, and of the texts, what is folded can be opened', async () => {
        const page = await both('&only=1&json=1');
        const fold = part(page, 'Output').getByRole('button', { name: /lines that are the same/ }).first();
        await fold.waitFor();
        const before = await part(page, 'Output').locator('.diff-line').count();
        await fold.click();
        await page.waitForFunction((n) => document.querySelectorAll('[aria-label=Output] .diff-line').length > n, before);
        await part(page, 'Input').getByText('The same, as JSON.').waitFor();
        assert.equal(await part(page, 'Input').locator('.diff-line').count(), 0);
        await close(page);
    });

    it('with themselves do not differ; parts of traces can be compared', async () => {
        const page = await open(one.ids['model-1'], one.ids['model-2']);
        assert.equal(await page.locator('#pairs [role=row]:not(.head)').count(), 1);
        await part(page, 'Output').locator('.half.other').first().waitFor();
        await page.goto(`${server.url}/ui/compare?a=${one.traceId}&b=${one.traceId}`);
        await page.getByText('0 of 9 runs').waitFor();
        await page.keyboard.press('n');
        await page.getByText('No run differs').waitFor();
        await close(page);
    });

    it('of four all stand in numbers, and which two are compared is chosen', async () => {
        const page = await both(`&c=${one.ids.plan}&d=${other.ids['model-2']}`);
        assert.equal(await page.locator('tbody tr').count(), 4);
        await page.getByRole('button', { name: /^plan,.* as the right one$/ }).click();
        await page.waitForURL((url) => url.searchParams.get('b') === one.ids.plan && url.searchParams.get('c') === other.traceId);
        await page.waitForFunction(() => document.querySelectorAll('tbody tr')[1].innerText.includes('plan'));
        await close(page);
    });

    it('change places also where something else in the address is no id', async () => {
        const page = await browser.page(server, { path: `/ui/compare?a=none&b=${one.traceId}&c=${other.traceId}` });
        await ready(page);
        await page.keyboard.press('s');
        await page.waitForURL((url) => url.search === `?a=${other.traceId}&b=${one.traceId}`);
        await row(page, 'search_docs').filter({ hasText: '+ only right' }).waitFor();
        await close(page);
    });

    it('what cannot be read is asked for again, and that is said once', async () => {
        const page = await both();
        await settled(page);
        await page.evaluate(() => {
            globalThis.said = 0;
            new MutationObserver((all) => {
                for (const { addedNodes } of all) for (const node of addedNodes) globalThis.said += Number(!!node.matches?.('[role=alert]'));
            }).observe(document.body, { childList: true, subtree: true });
        });
        let asked = 0;
        const away = (route) => {
            asked++;
            return route.fulfill({ status: 503, contentType: 'application/json', body: '{"detail":"Too much at once"}' });
        };
        await page.route('**/outputs', away);
        await page.keyboard.press('End');
        await part(page, 'Output').getByText('It is asked again by itself').waitFor();
        await eventually(() => assert.ok(asked >= 6, 'three times two'));
        assert.equal(await page.evaluate(() => globalThis.said), 1);
        await page.unroute('**/outputs', away);
        await part(page, 'Output').locator('.half.right.other', { hasText: 'Take a coat to Oslo!' }).waitFor();
        await close(page);
    });

    it('that are not there are said to be', async () => {
        const page = await browser.page(server, { path: `/ui/compare?a=${one.traceId}&b=${uuid()}` });
        await page.getByRole('alert').getByText('There is no run').waitFor();
        await page.goto(`${server.url}/ui/compare?a=${one.traceId}`);
        await page.getByRole('heading', { name: 'Nothing to compare' }).waitFor();
        assert.deepEqual(await inaccessible(page), []);
        await close(page);
    });

    for (const theme of ['light', 'dark'])
        for (const width of [1280, 360])
            it(`${theme}, ${width} px: fits, and axe finds nothing`, async () => {
                const page = await both(`&c=${one.ids.plan}&run=${one.ids['model-2']}`, { theme, width });
                await settled(page);
                assert.deepEqual(await inaccessible(page), []);
                await assertFits(page);
                // The colours of what is in one only, where it is the row at hand.
                await row(page, 'ask_forecaster').click();
                await here(page).filter({ hasText: '+ only right' }).waitFor();
                await settled(page);
                assert.deepEqual(await inaccessible(page), []);
                await close(page);
            });

    it('the numbers are scrolled with the arrows, where they are wider than the screen', async () => {
        const page = await both('', { width: 360 });
        await page.locator('.compare-numbers').focus();
        await page.keyboard.press('ArrowRight');
        await page.waitForFunction(() => document.querySelector('.compare-numbers').scrollLeft > 0);
        await close(page);
    });
});

describe('large ones', () => {
    it('ten thousand runs each: few rows are in the document, the last is reached', async () => {
        const [a, b] = [largeSkeleton(10_000, one.traceId), largeSkeleton(10_000, other.traceId)];
        b.names[2] = 'get_forecast';
        const page = await browser.page(server, { path: '/ui/start' });
        await giveSkeletons(page, { [one.traceId]: a, [other.traceId]: b });
        await page.evaluate((path) => {
            history.pushState(null, '', path);
            dispatchEvent(new PopStateEvent('popstate'));
        }, `/ui/compare?a=${one.traceId}&b=${other.traceId}`);
        await ready(page);
        const count = Number(await page.locator('#pairs').getAttribute('aria-rowcount'));
        assert.ok(count > 12_000, `${count} rows: what has another name is in one only`);
        assert.ok((await page.locator('#pairs [role=row]').count()) < 120);
        await page.keyboard.press('End');
        await page.locator(`#pairs [aria-rowindex="${count}"][aria-selected=true]`).waitFor();
        await close(page);
    });

    it('payloads: the beginning is compared, that is said, and not all is shown at once', async () => {
        const words = (n) => Array.from({ length: 30_000 }, (_, i) => `word ${i * n}`);
        const [a, b] = [1, 2].map((n) => trace([{ key: 'large', from: 0, to: 10, inputs: { words: words(n) }, outputs: { text: 'x'.repeat(9000) + n } }]));
        await send(server, [...a.runs, ...b.runs]);
        const page = await open(a.traceId, b.traceId);
        const input = part(page, 'Input');
        await input.getByText('Only the first 256 KiB').waitFor();
        const shown = await input.locator('.diff-line').count();
        assert.ok(shown <= 300, `${shown} lines`);
        await input.getByRole('button', { name: /Show more/ }).click();
        await page.waitForFunction((n) => document.querySelectorAll('[aria-label=Input] .diff-line').length > n, shown);
        await part(page, 'Output').getByText('more characters').first().waitFor();
        await close(page);
    });
});

describe('one long line', () => {
    it('with very many differences is two lines, each cut', async () => {
        const text = (n) => Array.from({ length: 8000 }, (_, i) => (i % 2 ? `same${i}` : `other${i * n}`)).join(' ');
        const [a, b] = [1, 2].map((n) => trace([{ key: 'long', from: 0, to: 10, inputs: { text: text(n) } }]));
        await send(server, [...a.runs, ...b.runs]);
        const page = await open(a.traceId, b.traceId);
        await part(page, 'Input').getByText('more characters').nth(1).waitFor();
        assert.ok((await part(page, 'Input').locator('*').count()) < 200);
        await close(page);
    });
});

describe('what strangers wrote', () => {
    it('is text in names, texts and addresses', async () => {
        const list = (n) =>
            trace([
                { key: 'root', name: corpus[n], from: 0, to: 50, inputs: { [corpus[n]]: corpus[n + 1] }, error: corpus[n] },
                ...corpus.map((text, i) => ({
                    key: `k${i}`,
                    name: text,
                    parent: 'root',
                    from: i,
                    to: i + 1,
                    inputs: { [text]: text, n },
                    outputs: { messages: [{ role: text, content: `${text} ${n}` }] },
                })),
            ], { project: 'hostile' });
        const [a, b] = [list(0), list(3)];
        await send(server, [...a.runs, ...b.runs]);
        const page = await open(a.traceId, b.traceId);
        const harmless = async (what) => assert.equal(await page.evaluate(planted), 0, what);
        for (let i = 0; i < corpus.length; i++) {
            await page.goto(`${server.url}/ui/compare?a=${a.traceId}&b=${b.traceId}&run=${a.ids[`k${i}`]}&json=${i % 2}`);
            await ready(page);
            await settled(page);
            await harmless(corpus[i]);
        }
        for (const text of corpus.slice(0, 20)) {
            await page.goto(`${server.url}/ui/compare?${new URLSearchParams({ a: text.slice(0, 300), b: text.slice(0, 300), run: text.slice(0, 300) })}`);
            await page.locator('main > *').first().waitFor();
            await harmless(text);
        }
        assert.ok(at(page).startsWith('/ui/compare'));
        await close(page);
    });
});
