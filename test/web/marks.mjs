// marks.mjs - rows of the runs table that are marked: with x, with a click, in a range; what keeps
// the marks and what loses them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, at, inaccessible } from './lib/browser.mjs';
import { module } from './lib/modules.mjs';
import { fill, oneRun, send } from './lib/support.mjs';

const { markedWith } = await module('screens/marked.ts');

describe('a mark', () => {
    const rows = [...'abcdef'].map((id) => ({ id }));
    const with_ = (marked, id, from = '') => [...markedWith(new Map([...marked].map((one) => [one, { id: one }])), rows, { id }, from).keys()].sort().join('');

    it('is set and taken', () => {
        assert.equal(with_('', 'b'), 'b');
        assert.equal(with_('bd', 'b'), 'd');
    });
    it('of a range makes all of it as the row that was clicked becomes, either way', () => {
        assert.equal(with_('b', 'd', 'b'), 'bcd');
        assert.equal(with_('d', 'b', 'd'), 'bcd');
        assert.equal(with_('abcde', 'd', 'b'), 'ae');
    });
    it('from a row that is gone is of the one alone', () => {
        assert.equal(with_('z', 'd', 'z'), 'dz');
        assert.equal(with_('', 'gone', 'a'), 'gone');
    });
});

describe('marks', () => {
    let browser;
    let server;
    let page;
    before(async () => {
        [browser, server] = await Promise.all([Browser.start(), Server.start()]);
        await fill(server, { traces: 230 });
        await fill(server, { traces: 5, project: 'other' });
    });
    after(async () => {
        await browser.close();
        await server.close();
    });

    const rows = () => page.locator('.table .line');
    const box = (n) => rows().nth(n).getByRole('checkbox');
    const open = async (path = '/ui/runs?project=support', options = {}) => {
        page = await browser.page(server, { path, ...options });
        await rows().first().waitFor();
    };
    const close = () => page.context().close();
    const said = (text) => page.locator('.marks [role=status]').getByText(text, { exact: true }).waitFor();
    const copied = () => page.evaluate(() => navigator.clipboard.readText());

    it('x marks the row at hand, which is another thing than to be it; nothing is opened', async () => {
        await open();
        await page.keyboard.press('x'); // none is at hand
        assert.equal(await page.getByRole('checkbox', { checked: true }).count(), 0);
        await page.keyboard.press('j');
        await page.keyboard.press('x');
        await said('1 marked');
        await page.keyboard.press('j');
        await page.keyboard.press('j');
        await page.keyboard.press('x');
        await said('2 marked');
        assert.deepEqual(await Promise.all([0, 1, 2].map((n) => box(n).isChecked())), [true, false, true]);
        assert.deepEqual(await Promise.all([0, 1, 2].map((n) => rows().nth(n).getAttribute('aria-selected'))), ['false', 'false', 'true']);
        assert.match(await box(0).getAttribute('aria-label'), /^Mark /);
        await page.keyboard.press('x');
        await said('1 marked');
        await page.getByRole('button', { name: 'Unmark' }).click();
        assert.equal(await page.getByRole('checkbox', { checked: true }).count(), 0);
        assert.equal(at(page), '/ui/runs?project=support');
        await close();
    });

    it('a click on the box marks, with Shift all from the last one; ids are copied', async () => {
        await open();
        await page.locator('.table').focus();
        await box(1).click();
        await box(4).click({ modifiers: ['Shift'] });
        await said('4 marked');
        // Beside the box, but in its cell.
        await rows().nth(6).locator('.marker').click({ position: { x: 3, y: 24 }, modifiers: ['Shift'] });
        await said('6 marked');
        assert.equal(await page.evaluate(() => document.activeElement.className), 'table', 'the focus stays');
        await page.getByRole('button', { name: 'Copy ids' }).click();
        const ids = (await copied()).split('\n');
        assert.equal(ids.length, 6);
        assert.ok(ids.every((id) => /^[0-9a-f-]{36}$/.test(id)));
        assert.equal(at(page), '/ui/runs?project=support');
        await close();
    });

    it('stay while it scrolls, loads more and runs come; and when one comes back', async () => {
        await open('/ui/runs?project=support&live=1');
        await page.locator('footer [role=status]').getByText('Live', { exact: true }).waitFor();
        await box(0).click();
        const name = 'came late';
        await send(server, [oneRun({ name, n: 99_000 })]);
        await rows().filter({ hasText: name }).first().waitFor();
        await page.waitForFunction(() => document.querySelectorAll('.table .line')[1].querySelector('input').checked);
        await page.locator('.table').evaluate((table) => table.scrollTo({ top: 1e6 }));
        await page.waitForFunction(() => /2\d\d shown/.test(document.querySelector('main > footer').innerText) || (document.querySelector('.table').scrollTop = 1e6) < 0);
        await said('1 marked');
        await page.locator('.table').evaluate((table) => table.scrollTo({ top: 0 }));
        await page.waitForFunction(() => document.querySelectorAll('.table .line')[1]?.querySelector('input').checked);
        await rows().nth(3).click();
        await page.waitForURL(/\/ui\/traces\//);
        await page.goBack();
        await said('1 marked');
        await box(2).click();
        await said('2 marked');
        const line = rows().nth(3);
        const id = await line.getByRole('link').first().getAttribute('href');
        await line.getByRole('link').first().click();
        await page.waitForURL(/\/ui\/traces\//);
        await page.goBack();
        await said('2 marked');
        await page.locator('.table [aria-selected=true]', { has: page.locator(`a[href="${id}"]`) }).waitFor();
        await close();
    });

    it('are lost with another search, view or project', async () => {
        for (const change of [
            () => page.getByLabel('Project', { exact: true }).selectOption('other'),
            () => page.keyboard.press('v'),
            () => page.getByRole('combobox', { name: 'Search runs' }).fill('name:triage'),
        ]) {
            await open();
            await box(0).click();
            await said('1 marked');
            await change();
            await page.waitForFunction(() => document.querySelector('.marks [role=status]')?.textContent === '');
            await page.waitForFunction(() => !document.querySelector('.table input:checked'));
            await close();
        }
    });

    for (const theme of ['light', 'dark'])
        for (const width of [1280, 360])
            it(`${theme}, ${width} px: fits, with what there was, and axe finds nothing`, async () => {
                await open('/ui/runs?project=support', { theme, width });
                await box(0).click();
                await box(2).click();
                await said('2 marked');
                assert.deepEqual(await inaccessible(page), []);
                await assertFits(page);
                const titles = await page.locator('[role=columnheader]').allInnerTexts();
                for (const title of ['Name', 'Latency', 'Started']) assert.ok(titles.includes(title), `${title} of ${titles}`);
                await close();
            });
});
