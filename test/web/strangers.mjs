// strangers.mjs - hostile runs, projects and addresses on the screens that list them: they are text.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, drawn } from './lib/browser.mjs';
import { corpus, planted } from './lib/hostile.mjs';
import { idOf, send } from './lib/support.mjs';

let browser;
before(async () => {
    browser = await Browser.start();
});
after(() => browser.close());

const rows = (page) => page.locator('.table .line');
const close = (page) => page.context().close();

describe('what strangers wrote', () => {
    let server;
    const ms = Date.parse('2026-01-01T00:00:00Z');
    before(async () => {
        server = await Server.start();
        const runs = corpus.flatMap((text, n) => {
            const id = idOf(ms + n, n);
            const one = {
                id,
                trace_id: id,
                dotted_order: `20260101T000000${String(n).padStart(3, '0')}000Z${id}`,
                name: text,
                run_type: n % 2 ? 'llm' : 'chain',
                session_name: 'hostile',
                start_time: new Date(ms + n).toISOString(),
                end_time: new Date(ms + n + 5).toISOString(),
                inputs: { [text]: text, messages: [{ role: text, content: text }] },
                tags: [text],
                extra: { metadata: { [text]: text } },
            };
            return [n % 3 ? { ...one, outputs: { output: text } } : { ...one, error: text }];
        });
        await send(server, runs);
        for (const text of corpus) await server.post('/sessions', { name: text.slice(0, 300) });
        const ids = runs.map((run) => run.id);
        for (const [n, text] of corpus.entries())
            await server.post('/feedback', { run_id: ids[n], key: text.slice(0, 180), score: 1, comment: text });
    });
    after(() => server.close());

    const harmless = async (page, what) => assert.equal(await page.evaluate(planted), 0, what);

    it('is text on the runs screen, and in what the search offers', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=hostile&since=all&view=runs' });
        await rows(page).first().waitFor();
        await rows(page).filter({ hasText: '<script>' }).first().waitFor();
        await harmless(page, 'rows');
        await page.keyboard.press('/');
        await page.keyboard.type('name:');
        await page.locator('.search [role=option]').first().waitFor();
        await harmless(page, 'options');
        for (const text of corpus.slice(0, 12)) {
            await page.getByRole('combobox', { name: 'Search runs' }).fill(text);
            await drawn(page);
            await harmless(page, text);
        }
        await close(page);
    });

    it('is text among the projects, and in dialogs and titles', async () => {
        const page = await browser.page(server, { path: '/ui/projects' });
        await rows(page).nth(10).waitFor();
        await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'));
        await harmless(page, 'projects');
        const name = corpus[0];
        await page.getByRole('button', { name: `Delete ${name}`, exact: true }).click();
        await page.getByRole('dialog', { name: 'Delete the project' }).waitFor();
        await harmless(page, 'dialog');
        await page.keyboard.press('Escape');
        await close(page);
    });

    for (const [what, path] of [
        ['the project of an address', (text) => `/ui/runs?project=${encodeURIComponent(text)}`],
        ['the search of an address', (text) => `/ui/runs?project=hostile&q=${encodeURIComponent(text)}`],
        ['a trace of an address', (text) => `/ui/traces/${encodeURIComponent(text.slice(0, 300))}`],
        ['the order of an address', (text) => `/ui/projects?sort=${encodeURIComponent(text)}&name=${encodeURIComponent(text)}`],
        ['times of an address', (text) => `/ui/stats?project=hostile&from=${encodeURIComponent(text)}&since=${encodeURIComponent(text)}`],
    ])
        it(`is text as ${what}`, async () => {
            const page = await browser.page(server, { path: '/ui/start' });
            for (const text of corpus) {
                if (path(text).length > 4000) continue;
                await page.goto(server.url + path(text));
                await page.locator('main > *').first().waitFor();
                await drawn(page);
                await harmless(page, text);
            }
            await close(page);
        });
});
