// trace.mjs - a trace in a browser: its views, each key, what fails, what grows, what is large.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { uuid } from '../e2e/lib/client.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, eventually, inaccessible } from './lib/browser.mjs';
import { giveSkeletons } from './lib/skeleton.mjs';
import { agent, largeSkeleton, send, trace } from './lib/traces.mjs';

let browser;
let server;
let shown;
before(async () => {
    [browser, server] = await Promise.all([Browser.start(), Server.start()]);
    shown = agent();
    await send(server, shown.runs);
});
after(async () => {
    await browser.close();
    await server.close();
});

// It has the focus as soon as its keys are heard.
const ready = (page) => page.waitForFunction(() => document.activeElement?.id === 'runs');
const close = (page) => page.context().close();
const open = async (query = '', options = {}) => {
    const page = await browser.page(server, { path: `/ui/traces/${shown.traceId}${query}`, ...options });
    await ready(page);
    return page;
};
const query = (page, name) => new URL(page.url()).searchParams.get(name);
// Until the address says it.
const says = (page, name, value) => page.waitForURL((url) => url.searchParams.get(name) === value);
const here = (page) => page.locator('#runs [aria-selected=true]');
const atRun = async (page, key) => {
    await says(page, 'run', shown.ids[key]);
    await here(page).waitFor();
};
const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());
const names = (page) => page.locator('#runs [role=row]:not(.head) .name .cut').allInnerTexts();

describe('the tree', () => {
    it('says what it is: a grid of rows with levels, and how many there are', async () => {
        const page = await open();
        const grid = page.getByRole('treegrid', { name: 'Runs of the trace' });
        assert.equal(await grid.getAttribute('aria-rowcount'), '10');
        const row = page.getByRole('row', { name: /get_weather/ }).last();
        assert.equal(await row.getAttribute('aria-level'), '3');
        assert.equal(await row.getAttribute('aria-rowindex'), '7');
        assert.equal(await row.getAttribute('aria-expanded'), null);
        assert.equal(await page.getByRole('row', { name: /tools/ }).getAttribute('aria-expanded'), 'true');
        assert.deepEqual(await names(page), ['agent', 'plan', 'ChatOpenAI', 'tools', 'get_weather', 'get_weather', 'search_docs', 'answer', 'ChatOpenAI']);
        assert.ok((await page.locator('.trace-head').innerText()).includes('1 failed'));
        await close(page);
    });
    it('has the focus, says which row is the one, and a click chooses another', async () => {
        const page = await open();
        await page.getByRole('row', { name: /search_docs/ }).click();
        await atRun(page, 'docs');
        await here(page).filter({ hasText: 'search_docs' }).waitFor();
        await page.waitForFunction(() => {
            const grid = document.querySelector('#runs');
            return grid.querySelector('[aria-selected=true]').id === grid.getAttribute('aria-activedescendant');
        });
        await page.getByRole('heading', { name: 'search_docs' }).waitFor();
        await page.getByRole('row', { name: /plan/ }).dblclick();
        await atRun(page, 'plan');
        await says(page, 'open', '1');
        await close(page);
    });
    it('shows only what failed, what models did, what took the time', async () => {
        const page = await open();
        const choice = page.getByLabel('Which runs');
        const is = (list) => page.waitForFunction((list) => [...document.querySelectorAll('#runs [role=row]:not(.head) .name .cut')].map((e) => e.textContent).join() === list, list.join());
        await choice.selectOption('errors');
        await is(['agent', 'tools', 'get_weather']);
        await says(page, 'only', 'errors');
        await choice.selectOption('llm');
        await is(['agent', 'plan', 'ChatOpenAI', 'answer', 'ChatOpenAI']);
        await choice.selectOption('critical');
        await is(['agent', 'plan', 'ChatOpenAI', 'tools', 'get_weather', 'search_docs', 'answer', 'ChatOpenAI']);
        await page.getByLabel('How deep it is unfolded').selectOption('0');
        await is(['agent']);
        await says(page, 'depth', '0');
        await page.reload();
        await page.locator('#runs').waitFor();
        await is(['agent']);
        await close(page);
    });
});

describe('the keyboard', () => {
    it('goes up and down, folds and unfolds', async () => {
        const page = await open();
        const press = async (key, run) => {
            await page.keyboard.press(key);
            await atRun(page, run);
        };
        await press('ArrowDown', 'plan');
        await press('j', 'model-1');
        await press('k', 'plan');
        await press('ArrowUp', 'agent');
        await press('End', 'model-2');
        await press('Home', 'agent');
        await press('PageDown', 'model-2');
        await press('PageUp', 'agent');
        await press('ArrowRight', 'plan');
        await page.keyboard.press('ArrowLeft');
        await page.waitForFunction(() => document.querySelector('#runs [aria-selected=true]').getAttribute('aria-expanded') === 'false');
        await press('ArrowDown', 'tools');
        await press('ArrowUp', 'plan');
        await page.keyboard.press('ArrowRight');
        await page.waitForFunction(() => document.querySelector('#runs [aria-selected=true]').getAttribute('aria-expanded') === 'true');
        await press('ArrowDown', 'model-1');
        await press('ArrowLeft', 'plan');
        await close(page);
    });
    it('e goes to what failed, also when it is folded away', async () => {
        const page = await open('?depth=0');
        await page.keyboard.press('e');
        await atRun(page, 'oslo');
        await here(page).filter({ hasText: 'error' }).waitFor();
        await page.getByText("KeyError: 'temperature'").first().waitFor();
        await page.keyboard.press('e'); // there is no other
        await page.keyboard.press('ArrowDown');
        await atRun(page, 'docs');
        await close(page);
    });
    it('finds: / and Ctrl-F, Enter, n and N, and Escape', async () => {
        const page = await open();
        await page.keyboard.press('Control+f');
        await page.keyboard.type('chatopen');
        await page.locator('.find [role=status]', { hasText: '2' }).waitFor();
        await eventually(async () => assert.equal(await page.locator('#runs mark').count(), 2));
        await page.keyboard.press('Enter');
        await atRun(page, 'model-1');
        await page.locator('#runs').focus();
        await page.keyboard.press('n');
        await atRun(page, 'model-2');
        await page.locator('.find [role=status]', { hasText: '2 of 2' }).waitFor();
        await page.keyboard.press('n');
        await atRun(page, 'model-1');
        await page.keyboard.press('N');
        await atRun(page, 'model-2');
        await page.keyboard.press('/');
        await page.waitForFunction(() => document.activeElement?.matches('.find input'));
        await page.keyboard.press('Escape');
        await page.waitForFunction(() => document.activeElement?.id === 'runs');
        await says(page, 'find', null);
        await close(page);
    });
    it('finds what only the server knows', async () => {
        const page = await open('?find=temperature');
        await page.locator('.find [role=status]', { hasText: '1' }).waitFor();
        await page.keyboard.press('n');
        await atRun(page, 'oslo');
        await close(page);
    });
    it('t, w and c change the view, [ and ] go from model to model', async () => {
        const chat = trace([
            { key: 'root', to: 100 },
            { key: 'a', type: 'llm', parent: 'root', from: 1, to: 2 },
            { key: 'x', type: 'tool', parent: 'root', from: 3, to: 4 },
            { key: 'b', type: 'llm', parent: 'root', from: 5, to: 6 },
        ]);
        await send(server, chat.runs);
        const page = await browser.page(server, { path: `/ui/traces/${chat.traceId}?run=${chat.ids.a}` });
        const at = (key) => says(page, 'run', chat.ids[key]);
        await ready(page);
        await page.keyboard.press(']');
        await at('b');
        await page.keyboard.press('[');
        await at('a');
        await page.keyboard.press('w');
        await page.locator('.minimap canvas').waitFor();
        await says(page, 'view', 'waterfall');
        await page.keyboard.press('c');
        await page.getByRole('listbox', { name: 'What was said and done' }).waitFor();
        await eventually(async () => assert.equal(await page.locator('#runs [role=option]').count(), 3));
        await page.keyboard.press('ArrowDown');
        await at('x');
        await page.keyboard.press('t');
        await page.getByRole('treegrid').waitFor();
        await says(page, 'view', null);
        await close(page);
    });
    it('r shows the bytes, f asks what one thinks, y and Y copy', async () => {
        const page = await open(`?run=${shown.ids.paris}`);
        await page.keyboard.press('r');
        await page.getByRole('tab', { name: 'Raw', selected: true }).waitFor();
        await page.locator('.raw-line', { hasText: '{"city":"Paris"}' }).waitFor();
        await page.keyboard.press('y');
        await page.getByText('Id copied').waitFor();
        assert.equal(await clipboard(page), shown.ids.paris);
        await page.keyboard.press('Y');
        await page.getByText('Link copied').waitFor();
        assert.equal(await clipboard(page), await page.evaluate(() => location.href));
        await page.getByRole('heading', { name: 'get_weather' }).waitFor();
        await page.keyboard.press('f');
        await page.getByRole('tab', { name: 'Feedback', selected: true }).waitFor();
        await page.waitForFunction(() => document.activeElement?.id === 'thumb-up');
        await close(page);
    });
    it('Enter goes into the run, where arrows scroll, Escape back', async () => {
        const page = await open();
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.activeElement?.id === 'tab-panel');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('Escape');
        await page.waitForFunction(() => document.activeElement?.id === 'runs');
        await says(page, 'open', null);
        assert.equal(query(page, 'run'), null);
        await page.keyboard.press('ArrowDown');
        await atRun(page, 'plan');
        await close(page);
    });
    it('tabs are gone through with arrows', async () => {
        const page = await open('?tab=input');
        await page.getByRole('tab', { name: 'Input' }).focus();
        await page.keyboard.press('ArrowRight');
        await page.getByRole('tab', { name: 'Output', selected: true }).waitFor();
        await page.keyboard.press('ArrowLeft');
        await page.keyboard.press('ArrowLeft');
        await page.getByRole('tab', { name: 'Messages', selected: true }).waitFor();
        assert.equal(query(page, 'run'), null);
        await close(page);
    });
});

describe('the waterfall', () => {
    it('zooms with keys, and by dragging over the map', async () => {
        const page = await open('?view=waterfall');
        await page.keyboard.press('+');
        await page.waitForURL(/zoom=1300000-3900000/);
        await page.keyboard.press('-');
        await page.waitForURL((url) => !url.searchParams.has('zoom'));
        await page.locator('#run .message').first().waitFor(); // what comes late may move the map
        const map = await page.locator('.minimap').boundingBox();
        await page.mouse.move(map.x + map.width / 4, map.y + 10);
        await page.mouse.down();
        await page.mouse.move(map.x + map.width / 2, map.y + 20, { steps: 4 });
        await page.mouse.up();
        await eventually(() => {
            const [from, to] = query(page, 'zoom').split('-').map(Number);
            assert.ok(Math.abs(from - 1.3e6) < 5e4 && Math.abs(to - 2.6e6) < 5e4, `${from} ${to}`);
        });
        await page.locator('.lens').waitFor();
        await page.keyboard.press('0');
        await page.waitForURL((url) => !url.searchParams.has('zoom'));
        await close(page);
    });
});

describe('the address', () => {
    it('is the state: what it says is shown', async () => {
        const page = await open(`?run=${shown.ids.oslo}&view=waterfall&tab=metadata&only=errors&find=get_weather`);
        await page.getByRole('button', { name: 'Waterfall', pressed: true }).waitFor();
        await page.getByRole('tab', { name: 'Metadata', selected: true }).waitFor();
        await eventually(async () => assert.equal(await page.locator('#runs [role=row]:not(.head)').count(), 3));
        await here(page).filter({ hasText: 'get_weather' }).waitFor();
        await close(page);
    });
    it('in which the run is none of the trace says so', async () => {
        const page = await open(`?run=${uuid()}`);
        await page.getByText('The run of this address is not in the trace').waitFor();
        await close(page);
    });
});

describe('on a narrow screen', () => {
    it('the run is a page of its own, and Back leads to the tree', async () => {
        const page = await open('', { width: 360, height: 640 });
        await assertFits(page);
        await page.locator('#run').waitFor({ state: 'hidden' });
        await page.getByRole('row', { name: /search_docs/ }).click();
        await page.getByRole('heading', { name: 'search_docs' }).waitFor();
        await page.locator('#runs').waitFor({ state: 'hidden' });
        await assertFits(page);
        await page.goBack();
        await page.locator('#runs').waitFor();
        await page.locator('#runs').focus();
        await page.keyboard.press('Enter');
        await page.getByRole('button', { name: '← Trace' }).click();
        await page.locator('#runs').waitFor();
        for (const [key, view] of [['w', 'waterfall'], ['c', 'transcript']]) {
            await page.keyboard.press(key);
            await says(page, 'view', view);
            await assertFits(page);
        }
        await close(page);
    });
});

describe('what fails', () => {
    it('a trace that is not there is waited for', async () => {
        const late = agent();
        const page = await browser.page(server, { path: `/ui/traces/${late.traceId}` });
        await page.getByRole('heading', { name: 'There is no such trace yet' }).waitFor();
        assert.deepEqual(await inaccessible(page), []);
        await send(server, late.runs);
        await page.locator('#runs').waitFor();
        await close(page);
    });
    it('a server that fails is said, and asked again', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await giveSkeletons(page, { [shown.traceId]: { status: 503, detail: 'The index is away.' } });
        await page.goto(`${server.url}/ui/traces/${shown.traceId}`);
        await page.getByText('The index is away.').waitFor();
        await page.unrouteAll();
        await page.getByRole('button', { name: 'Try again' }).click();
        await page.locator('#runs').waitFor();
        await close(page);
    });
    it('an answer that is no skeleton is a sentence', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await giveSkeletons(page, { [shown.traceId]: { count: 3, id: [] } });
        await page.goto(`${server.url}/ui/traces/${shown.traceId}`);
        await page.getByText('is not of 3 runs').waitFor();
        await close(page);
    });
    it('a run that cannot be read is said where it would be', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await page.route(/\/runs\/[^/]+\/inputs$/, (route) => route.fulfill({ status: 500, json: { detail: 'A block is broken.' } }));
        await page.goto(`${server.url}/ui/traces/${shown.traceId}?tab=input`);
        await page.getByRole('alert').filter({ hasText: 'A block is broken.' }).waitFor();
        await page.getByRole('tab', { name: 'Output' }).click();
        await page.getByRole('tree', { name: 'Outputs' }).waitFor();
        await close(page);
    });
    it('a server with a key asks for it, and then shows the trace', async () => {
        const key = 'a-key-of-sixteen-bytes';
        const closed = await Server.start({ flags: ['--api-key', key] });
        try {
            const own = agent();
            await send(closed, own.runs, [], { 'x-api-key': key });
            const page = await browser.page(closed, { path: `/ui/traces/${own.traceId}` });
            await page.getByLabel('Key', { exact: true }).fill(key);
            await page.keyboard.press('Enter');
            await page.locator('#runs').waitFor();
            await page.getByRole('article').first().waitFor();
            await close(page);
        } finally {
            await closed.close();
        }
    });
});

describe('deleting', () => {
    it('asks how many runs go, and then they are gone', async () => {
        const own = agent();
        await send(server, own.runs);
        const page = await browser.page(server, { path: `/ui/traces/${own.traceId}` });
        await ready(page);
        await page.getByRole('button', { name: 'Delete' }).click();
        const dialog = page.getByRole('dialog', { name: 'Delete the trace' });
        const yes = dialog.getByRole('button', { name: 'Delete' });
        assert.ok(await yes.isDisabled());
        await dialog.getByLabel('How many runs').fill('8');
        assert.ok(await yes.isDisabled());
        await dialog.getByLabel('How many runs').fill('9');
        assert.deepEqual(await inaccessible(page), []);
        await yes.click();
        await page.waitForURL((url) => url.pathname === '/ui/runs' && url.searchParams.get('project') === 'agents');
        assert.equal((await server.get(`/runs/${own.traceId}`)).status, 404);
        await close(page);
    });
});

describe('a trace that runs', () => {
    it('grows while it is looked at; what is folded and chosen stays; then it is done', async () => {
        const live = trace([
            { key: 'root' },
            { key: 'a', parent: 'root', from: 10, to: 20 },
            { key: 'a1', type: 'tool', parent: 'a', from: 11, to: 12 },
            { key: 'b', type: 'llm', parent: 'root', from: 30 },
        ]);
        const [root, a, a1, b] = live.runs;
        await send(server, [root, a, a1]);
        const page = await browser.page(server, { path: `/ui/traces/${live.traceId}?run=${live.ids.a}` });
        await page.getByRole('row', { name: /running/ }).waitFor();
        await ready(page);
        await page.keyboard.press('ArrowLeft');
        await page.locator('#runs').getByText('1 below').waitFor();
        await send(server, [b]);
        await page.getByRole('row', { name: /^▸?\s*llm\s*b/ }).waitFor();
        await page.locator('.trace-head', { hasText: '2 running' }).waitFor();
        assert.equal(await page.getByRole('row', { name: /a1/ }).count(), 0);
        await here(page).filter({ hasText: '1 below' }).waitFor();
        const ends = ({ id, trace_id, dotted_order, parent_run_id }) => ({ id, trace_id, dotted_order, parent_run_id, end_time: '2026-11-26T10:00:05.000Z' });
        await send(server, [], [ends(b), ends(root)]);
        await page.locator('.trace-head', { hasText: 'success' }).waitFor();
        await eventually(async () => assert.equal(await page.locator('#runs .mark.busy').count(), 0));
        await close(page);
    });
});

describe('a large trace', () => {
    for (const count of [10_000, 100_000])
        it(`of ${count} runs has few rows in the page, and its end is reached`, async () => {
            const large = largeSkeleton(count);
            const page = await browser.page(server, { path: '/ui/start' });
            await giveSkeletons(page, { [large.trace_id]: large });
            await page.goto(`${server.url}/ui/traces/${large.trace_id}?view=waterfall`);
            const grid = page.getByRole('treegrid');
            await ready(page);
            const rows = page.locator('#runs [role=row]');
            await eventually(async () => assert.equal(await grid.getAttribute('aria-rowcount'), String(count + 1)));
            assert.ok((await rows.count()) <= 120);
            await page.keyboard.press('End');
            await page.locator(`#runs [aria-rowindex="${count + 1}"][aria-selected=true]`).waitFor();
            assert.ok((await rows.count()) <= 120);
            await page.evaluate(() => (document.querySelector('#runs').scrollTop = 0));
            await page.locator('#runs [aria-rowindex="2"]').waitFor();
            await page.keyboard.press('e');
            await page.locator('#runs .failed[aria-selected=true]').waitFor();
            await close(page);
        });
});

describe('who cannot see it, or not well', () => {
    for (const theme of ['light', 'dark'])
        for (const view of ['tree', 'waterfall', 'transcript'])
            it(`${view}, ${theme}`, async () => {
                const page = await open(`?view=${view}&run=${shown.ids.oslo}`, { theme });
                await page.locator('#run .error-banner').waitFor();
                assert.deepEqual(await inaccessible(page), []);
                await close(page);
            });
    it('on a narrow screen', async () => {
        const page = await open('', { width: 360, height: 640 });
        assert.deepEqual(await inaccessible(page), []);
        await close(page);
    });
});
