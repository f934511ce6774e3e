// palette.mjs - what the palette finds by what is written, and what it does; with the keyboard.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, at, inaccessible } from './lib/browser.mjs';
import { corpus, planted } from './lib/hostile.mjs';
import { module } from './lib/modules.mjs';
import { fill } from './lib/support.mjs';

const { matching } = await module('components/palette.ts');

const entry = (title, group = 'Runs') => ({ id: title, title, group, names: [], run() {} });
const found = (written, list) => matching(list, written).map(({ title }) => title);

describe('what is written', () => {
    const list = ['Go to the runs', 'Copy the id', 'Copy the link', 'Live, or not', 'Undo the copy'].map((one) => entry(one));

    it('is nothing yet: all, as they stand', () => {
        assert.equal(found('', list).length, 5);
        assert.equal(found('   ', list).length, 5);
    });
    it('is words that are all there, in any order and case, also of the group', () => {
        assert.deepEqual(found('ID copy', list), ['Copy the id']);
        assert.deepEqual(found('runs live', list), ['Live, or not']);
        assert.deepEqual(found('copy nothing', list), []);
    });
    it('comes first where a title begins so, then where a word does, then anywhere', () => {
        assert.deepEqual(found('copy', list), ['Copy the id', 'Copy the link', 'Undo the copy']);
        assert.deepEqual(found('li', list), ['Live, or not', 'Copy the link']);
        assert.deepEqual(found('uns', [entry('Runs that ran'), entry('Unseen')]), ['Unseen', 'Runs that ran']);
    });
    it('may be anything', () => {
        for (const text of corpus) assert.ok(Array.isArray(found(text, list)));
        assert.deepEqual(found('.*', list), []);
    });
});

describe('the palette', () => {
    let browser;
    let server;
    let runs;
    before(async () => {
        [browser, server] = await Promise.all([Browser.start(), Server.start()]);
        runs = await fill(server, { traces: 12 });
        await fill(server, { traces: 3, project: 'nightly' });
        for (const text of corpus.slice(0, 30)) await server.post('/sessions', { name: text.slice(0, 300) });
    });
    after(async () => {
        await browser.close();
        await server.close();
    });

    const close = (page) => page.context().close();
    const dialog = (page) => page.getByRole('dialog', { name: 'Find what to do' });
    const field = (page) => page.getByRole('combobox', { name: /What to do/ });
    const chosen = (page) => dialog(page).locator('[role=option][aria-selected=true]');
    const open = async (path = '/ui/runs?project=support', options = {}) => {
        const page = await browser.page(server, { path, ...options });
        await page.locator('.table .line, .first, .chart').first().waitFor();
        return page;
    };

    it('opens with Ctrl K, hears what is written at once, and gives the focus back', async () => {
        const page = await open();
        await page.locator('.table').focus();
        await page.keyboard.press('Control+k');
        await page.keyboard.type('theme'); // without a wait
        assert.equal(await field(page).inputValue(), 'theme');
        await page.keyboard.press('Escape');
        await dialog(page).waitFor({ state: 'detached' });
        assert.equal(await page.evaluate(() => document.activeElement.className), 'table');
        await page.keyboard.press('Control+k');
        await dialog(page).waitFor();
        await page.keyboard.press('Control+k');
        await dialog(page).waitFor({ state: 'detached' });
        await close(page);
    });

    it('is a combobox over a list: arrows go around, Enter does what is chosen', async () => {
        const page = await open();
        await page.keyboard.press('Control+k');
        await page.keyboard.type('theme');
        await page.waitForFunction(() => document.querySelectorAll('.palette [role=option]').length === 3);
        const is = async (text) => {
            assert.match(await chosen(page).innerText(), text);
            const id = await field(page).getAttribute('aria-activedescendant');
            assert.equal(await chosen(page).getAttribute('id'), id);
        };
        await is(/Light colours/);
        await page.keyboard.press('ArrowDown');
        await is(/Dark colours/);
        await page.keyboard.press('ArrowUp');
        await page.keyboard.press('ArrowUp');
        await is(/as the system/);
        await page.keyboard.press('ArrowUp');
        await is(/Dark colours/);
        await page.keyboard.press('Enter');
        await dialog(page).waitFor({ state: 'detached' });
        assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
        await close(page);
    });

    it('goes to each screen', async () => {
        const page = await open();
        for (const [written, path] of [
            ['go stats', '/ui/stats?project=support'],
            ['how sent', '/ui/start'],
            ['go projects', '/ui/projects'],
            ['go runs', '/ui/runs'],
        ]) {
            await page.keyboard.press('Control+k');
            await page.keyboard.type(written);
            await page.keyboard.press('Enter');
            await page.waitForURL((url) => (url.pathname + url.search).startsWith(path));
        }
        await close(page);
    });

    it('has the acts of the screen with their keys; what is done may take the focus', async () => {
        const page = await open();
        await page.keyboard.press('Control+k');
        assert.ok((await dialog(page).locator('[role=option]', { hasText: 'Copy the id' }).innerText()).includes('y'));
        await page.keyboard.type('search');
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.activeElement.getAttribute('aria-label') === 'Search runs');
        await page.keyboard.press('Control+k');
        await page.keyboard.type('show the keys');
        await page.keyboard.press('Enter');
        const help = page.getByRole('dialog', { name: 'Keys' });
        await help.waitFor();
        await help.getByRole('button', { name: /Find what to do/ }).click();
        await dialog(page).waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Keys' }).click();
        await help.waitFor();
        await page.keyboard.press('Control+k');
        await page.keyboard.type('go pro');
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/projects/);
        await close(page);
    });

    it('finds projects by what is in their names, where the server has them, and stays on the screen', async () => {
        const page = await open('/ui/stats?project=support');
        await page.keyboard.press('Control+k');
        await page.keyboard.type('ightl');
        await dialog(page).locator('[role=option]', { hasText: 'nightly' }).waitFor();
        await page.keyboard.press('Enter');
        await page.waitForURL((url) => url.pathname === '/ui/stats' && url.searchParams.get('project') === 'nightly');
        await close(page);
    });

    it('opens a run, or a trace, by its id', async () => {
        const page = await open();
        const child = runs.find((run) => run.parent_run_id);
        for (const [id, path] of [
            [child.id, `/ui/traces/${child.trace_id}?run=${child.id}`],
            [child.trace_id.replaceAll('-', '').toUpperCase(), `/ui/traces/${child.trace_id}`],
        ]) {
            await page.keyboard.press('Control+k');
            await field(page).fill(` ${id} `);
            await page.keyboard.press('Enter');
            await page.waitForURL((url) => url.pathname + url.search === path);
        }
        await close(page);
    });

    it('says when there is nothing', async () => {
        const page = await open();
        await page.keyboard.press('Control+k');
        await page.keyboard.type('zzzz');
        await dialog(page).getByText('Nothing is called so').waitFor();
        await page.keyboard.press('Enter');
        assert.equal(await dialog(page).count(), 1);
        assert.equal(at(page), '/ui/runs?project=support');
        await close(page);
    });

    it('says when projects cannot be asked for; the rest is there', async () => {
        const page = await open('/ui/start');
        await page.route('**/sessions?*', (route) => route.fulfill({ status: 503, contentType: 'application/json', body: '{"detail":"The index is away"}' }));
        await page.keyboard.press('Control+k');
        await dialog(page).getByRole('status').getByText('The index is away').waitFor();
        await page.keyboard.type('go stats');
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/stats/);
        await close(page);
    });

    for (const theme of ['light', 'dark'])
        for (const width of [1280, 360])
            it(`${theme}, ${width} px: fits, axe finds nothing, names of strangers are text`, async () => {
                const page = await open('/ui/runs?project=support', { theme, width });
                await page.getByRole('button', { name: 'Find what to do' }).click();
                await dialog(page).locator('[role=option]', { hasText: '<script>' }).first().waitFor();
                assert.deepEqual(await inaccessible(page), []);
                await assertFits(page);
                assert.equal(await page.evaluate(planted.replaceAll('main ', 'body ')), 0);
                await close(page);
            });
});
