// screens.mjs - the first run, projects, runs and stats, in a browser, with the keyboard.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { program } from '../e2e/lib/clients.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, at, drawn, eventually, inaccessible, pair } from './lib/browser.mjs';
import { fill, oneRun, send } from './lib/support.mjs';

let browser;
before(async () => {
    browser = await Browser.start();
});
after(() => browser.close());

const rows = (page) => page.locator('.table .line');
const chosen = (page) => page.locator('.table .line[aria-selected=true]');
// There are rows, and all of them have the text.
const shownAll = (page, text) =>
    page.waitForFunction((sought) => {
        const lines = [...document.querySelectorAll('.table .line')];
        return lines.length > 0 && lines.every((line) => line.innerText.includes(sought));
    }, text);
const counted = (page) => page.waitForFunction(() => document.querySelector('main > footer')?.getAttribute('aria-busy') === 'false');
const atRow = (page, index) => page.locator(`.table .line[aria-selected=true][aria-rowindex="${index}"]`).waitFor();
const scrolled = (page) => page.locator('.table').evaluate((table) => table.scrollTop);
const clipboard = (page) => page.evaluate(() => navigator.clipboard.readText());
const close = (page) => page.context().close();
const until = (page, path) => page.waitForURL((url) => url.pathname + url.search === path || url.pathname === path);

describe('the first run', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    it('is waited for, with snippets for this server; it comes by itself and is opened with keys', async () => {
        const page = await browser.page(server);
        await page.getByRole('heading', { name: /Waiting for your first run/ }).waitFor();
        assert.ok((await page.locator('pre').first().innerText()).includes(`LANGSMITH_ENDPOINT=${server.url}`));
        await page.getByRole('tab', { name: 'Python' }).focus();
        for (const [tab, text] of [['JavaScript', 'npm install langsmith'], ['curl', `curl ${server.url}/runs`], ['Import', `rundlet import runs.ndjson --url ${server.url}`]]) {
            await page.keyboard.press('ArrowRight');
            await page.getByRole('tab', { name: tab, selected: true }).waitFor();
            await page.locator('pre').first().filter({ hasText: text }).waitFor();
        }
        await page.getByRole('button', { name: 'Copy' }).first().click();
        await eventually(async () => assert.ok((await clipboard(page)).startsWith('rundlet import')));

        const done = await program('tracing', { url: server.url, project: 'first' });
        await page.waitForURL(/\/ui\/runs\?project=first/);
        await page.locator('.table .line', { hasText: 'agent' }).first().waitFor();
        await page.keyboard.press('j');
        await chosen(page).waitFor();
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/traces\//);
        assert.ok(Object.values(done).some((run) => page.url().includes(run.trace)));
        await close(page);
    });

    it('the curl snippet does what it says', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await page.getByRole('tab', { name: 'curl' }).click();
        const snippet = await page.locator('pre').filter({ hasText: '-d ' }).innerText();
        const body = /-d '(.*)'$/s.exec(snippet)[1];
        const answer = await server.post('/runs', body);
        assert.equal(answer.status, 201, answer.text);
        await close(page);
    });

    it('a sample can be loaded instead', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await page.getByRole('button', { name: 'Load a sample trace' }).click();
        await page.waitForURL(/\/ui\/traces\//);
        const trace = /traces\/([^?]*)/.exec(page.url())[1];
        const { json } = await server.post('/runs/query', { trace, select: ['name', 'status'] });
        assert.equal(json.runs.length, 6);
        assert.equal(json.runs.filter((run) => run.status === 'error').length, 1);
        await close(page);
    });
});

describe('a server with a key', () => {
    let server;
    const key = 'a-key-of-sixteen-bytes';
    before(async () => {
        server = await Server.start({ flags: ['--api-key', key] });
    });
    after(() => server.close());

    it('is asked for with it; a wrong one is said to be; it is kept for the tab alone', async () => {
        const page = await browser.page(server, { path: '/ui/projects' });
        await page.getByText('This server wants a key').waitFor();
        assert.deepEqual(await inaccessible(page), []);
        await page.getByLabel('Key', { exact: true }).fill('wrong');
        await page.keyboard.press('Enter');
        await page.getByText('does not take this key').waitFor();
        await page.getByLabel('Key', { exact: true }).fill(key);
        await page.keyboard.press('Enter');
        await rows(page).first().waitFor();
        await eventually(async () => assert.equal(await page.getByText('wants a key').count(), 0));
        const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, document.cookie]));
        assert.ok(!kept.includes(key));
        await page.goto(`${server.url}/ui/start`);
        await page.getByText('YOUR-KEY is what').waitFor();
        assert.ok(!(await page.content()).includes(key), 'it is not shown');
        await close(page);
    });
});

describe('runs', () => {
    let server;
    let runs;
    let page;
    const open = async (path = '/ui/runs?project=support', options = {}) => {
        page = await browser.page(server, { path, ...options });
        await rows(page).first().waitFor();
        return page;
    };
    before(async () => {
        server = await Server.start();
        runs = await fill(server, { traces: 260 });
        await server.post('/sessions', { name: 'empty' });
    });
    after(() => server.close());

    it('are listed with what was said, how long it took and what it used', async () => {
        await open();
        await rows(page).filter({ hasText: 'Why was I charged twice' }).filter({ hasText: 'support agent' }).first().waitFor();
        await page.waitForFunction(() => /\$0\.\d+/.test(document.querySelector('.table').innerText));
        const numbers = page.locator('.numbers');
        await numbers.getByText('260').waitFor();
        assert.match(await numbers.innerText(), /Errors\s+14 %/);
        assert.doesNotMatch(await numbers.innerText(), /Tokens\s+0\b/);
        await page.locator('main > footer', { hasText: /100 shown, more below · [\d.]+ ms/ }).waitFor();
        await close(page);
    });

    it('without a project in the address the last one is shown', async () => {
        await open('/ui/runs');
        await page.waitForURL((url) => url.searchParams.get('project') === 'support');
        await close(page);
    });

    it('are moved through with j, k and arrows, opened with Enter; Back comes to the same place', async () => {
        await open();
        await page.keyboard.press('j');
        await atRow(page, 2);
        for (let i = 0; i < 60; i++) await page.keyboard.press('j');
        await page.keyboard.press('k');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowUp');
        await atRow(page, 61);
        await drawn(page);
        const top = await scrolled(page);
        assert.ok(top > 0);
        const trace = await chosen(page).locator('a').getAttribute('href');
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/traces\//);
        await page.goBack();
        await atRow(page, 61);
        assert.equal(await chosen(page).locator('a').getAttribute('href'), trace);
        await eventually(async () => assert.equal(await scrolled(page), top));
        // The rows are there before the keys are.
        await eventually(async () => {
            await page.keyboard.press('Escape');
            assert.equal(await chosen(page).count(), 0);
        });
        await close(page);
    });

    it('the grid has the keys of a grid when it has the focus', async () => {
        await open();
        await page.locator('.table').focus();
        await page.keyboard.press('End');
        await atRow(page, 101);
        await page.keyboard.press('PageUp');
        await eventually(async () => assert.ok(Number(await chosen(page).getAttribute('aria-rowindex')) < 96));
        await page.keyboard.press('Home');
        await atRow(page, 2);
        await eventually(async () => {
            const active = await page.locator('.table').getAttribute('aria-activedescendant');
            assert.equal(await chosen(page).getAttribute('id'), active);
        });
        await close(page);
    });

    it('all of them come as one scrolls, with at most 120 rows in the document', async () => {
        await open('/ui/runs?project=support&view=runs', { height: 1600 });
        let most = 0;
        for (;;) {
            most = Math.max(most, await rows(page).count());
            const footer = await page.locator('main > footer').innerText();
            if (/^780 shown ·/.test(footer)) break;
            assert.match(footer, /shown/);
            await page.locator('.table').evaluate((table) => (table.scrollTop = table.scrollHeight));
            await page.waitForFunction((before) => document.querySelector('main > footer').innerText !== before, footer);
        }
        assert.ok(most <= 120, `${most} rows`);
        await page.locator('.table[aria-rowcount="781"]').waitFor();
        await close(page);
    });

    it('are searched for by what is written; the address says it, and is enough', async () => {
        await open();
        await page.keyboard.press('/');
        await page.keyboard.type('status:error name:~agent');
        await page.keyboard.press('Enter');
        await page.waitForURL(/q=status%3Aerror\+name%3A%7Eagent/);
        const found = runs.filter((run) => run.error && run.name === 'support agent').length;
        const areShown = async (page) => {
            await shownAll(page, '✕');
            await eventually(async () => assert.equal(await rows(page).count(), found));
        };
        await areShown(page);
        const again = await browser.page(server, { path: at(page) });
        await areShown(again);
        assert.equal(await again.getByRole('combobox', { name: 'Search runs' }).inputValue(), 'status:error name:~agent');
        await close(again);
        await page.getByRole('button', { name: 'Clear the search' }).click();
        await page.waitForFunction(() => !location.search.includes('q='));
        await close(page);
    });

    it('what is written on while it is asked stays as it was written', async () => {
        await open();
        const field = page.getByRole('combobox', { name: 'Search runs' });
        await field.focus();
        await page.keyboard.type('status:error ');
        await page.waitForURL(/q=status%3Aerror$/);
        await shownAll(page, '✕');
        await page.keyboard.type('name:~agent');
        assert.equal(await field.inputValue(), 'status:error name:~agent');
        await page.waitForURL(/q=status%3Aerror\+name%3A%7Eagent/);
        await page.evaluate(() => {
            history.pushState(null, '', '/ui/runs?project=support&q=tag:prod');
            dispatchEvent(new PopStateEvent('popstate'));
        });
        await page.waitForFunction(() => document.querySelector('[role=combobox]').value === 'tag:prod');
        // What was begun is gone with Back: nothing asks for it later.
        await page.evaluate(() => {
            const set = globalThis.setTimeout;
            globalThis.rested = [];
            globalThis.setTimeout = (act, ms, ...rest) => (ms === 350 ? -globalThis.rested.push(act) : set(act, ms, ...rest));
            const clear = globalThis.clearTimeout;
            globalThis.clearTimeout = (id) => (id < 0 ? (globalThis.rested[-id - 1] = () => {}) : clear(id));
        });
        await field.focus();
        await page.keyboard.type('x');
        await page.goBack();
        await page.waitForFunction(() => document.querySelector('[role=combobox]').value === 'status:error name:~agent');
        await page.evaluate(() => globalThis.rested.forEach((act) => act()));
        await page.waitForURL(/q=status%3Aerror\+name%3A%7Eagent/);
        assert.equal(await field.inputValue(), 'status:error name:~agent');
        await close(page);
    });

    it('a fault in the search is underlined and said, and nothing is asked', async () => {
        await open();
        const field = page.getByRole('combobox', { name: 'Search runs' });
        const asked = [];
        page.on('request', (request) => request.url().endsWith('/runs/query') && asked.push(request.postDataJSON().filter));
        await field.fill('lantency:>2s');
        await page.getByText('did you mean “latency”?').waitFor();
        assert.equal(await page.locator('.under u').innerText(), 'lantency');
        await page.keyboard.press('Enter');
        assert.equal(await field.getAttribute('aria-invalid'), 'true');
        assert.deepEqual(await inaccessible(page), []);
        await field.fill('latency:>2s');
        await page.keyboard.press('Enter');
        await eventually(() => assert.deepEqual(asked, ['gt(latency, 2)'], 'nothing was asked before'));
        await close(page);
    });

    it('an address with a search that cannot be read asks nothing, and says so', async () => {
        for (const screen of ['runs', 'stats']) {
            page = await browser.page(server, { path: '/ui/projects' });
            const asked = [];
            page.on('request', (request) => asked.push(new URL(request.url()).pathname));
            await page.goto(`${server.url}/ui/${screen}?project=support&q=lantency:%3E2s`);
            await page.getByText('The search cannot be read').waitFor();
            await page.getByText('did you mean “latency”?').waitFor();
            assert.deepEqual(asked.filter((path) => path.startsWith('/runs/')), []);
            await page.getByRole('combobox', { name: 'Search runs' }).fill('latency:>2s');
            await page.getByText('The search cannot be read').waitFor({ state: 'hidden' });
            await eventually(() => assert.ok(asked.some((path) => path.startsWith('/runs/'))));
            await page.waitForURL(/q=latency/);
            await close(page);
        }
    });

    it('keys and values are offered, and taken with the keyboard', async () => {
        await open();
        await page.keyboard.press('/');
        await page.keyboard.type('na');
        await page.getByRole('option', { name: /^name:/ }).waitFor();
        await page.waitForURL(/q=na$/);
        await page.getByRole('heading', { name: 'Nothing matches' }).waitFor(); // as a word
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('Enter');
        await page.getByRole('option', { name: 'triage' }).waitFor();
        await page.keyboard.type('tr');
        await page.keyboard.press('ArrowDown');
        assert.deepEqual(await inaccessible(page), []);
        await page.keyboard.press('Enter');
        await page.waitForURL(/q=name%3Atriage/);
        await page.keyboard.press('Escape');
        await shownAll(page, 'triage');
        await close(page);
    });

    it('an id leads to its run', async () => {
        await open();
        const { json } = await server.post('/runs/query', { session: [(await server.get('/sessions?name=support')).json[0].id], filter: 'eq(name, "lookup")', limit: 1 });
        const [run] = json.runs;
        await page.keyboard.press('/');
        await page.keyboard.type(run.id);
        await page.keyboard.press('Enter');
        await until(page, `/ui/traces/${run.trace_id}?run=${run.id}`);
        await close(page);
    });

    it('traces or all runs, and a span of time, are chosen and in the address', async () => {
        await open();
        await page.getByRole('button', { name: 'Runs', exact: true }).click();
        await page.waitForURL(/view=runs/);
        await rows(page).filter({ hasText: 'lookup' }).first().waitFor();
        await page.keyboard.press('v');
        await page.waitForFunction(() => !location.search.includes('view'));
        // Fewer as time passes.
        const lately = () => runs.filter((run) => !run.parent_run_id && Date.parse(run.start_time) > Date.now() - 3600_000).length;
        const most = lately();
        await page.getByLabel('Time', { exact: true }).selectOption('1h');
        await page.waitForURL(/since=1h/);
        await eventually(async () => {
            const shown = Number(await page.locator('.numbers dd').first().innerText());
            assert.ok(shown >= lately() && shown <= most, `${shown} of ${most}`);
        });
        await page.getByLabel('Time', { exact: true }).selectOption('custom');
        await page.waitForURL(/from=.*to=/);
        await page.getByLabel('From', { exact: true }).waitFor();
        await close(page);
    });

    it('the histogram shows them over time, and a span of it is chosen with keys or the pointer', async () => {
        await open();
        const bars = page.locator('.bars');
        await bars.waitFor();
        await bars.focus();
        await page.keyboard.press('ArrowRight');
        await eventually(async () => assert.match(await bars.getAttribute('aria-valuetext'), /: \d+ runs, \d+ errors/));
        const box = await bars.boundingBox();
        await page.mouse.move(box.x + box.width - 60, box.y + 20);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width - 5, box.y + 20);
        await page.mouse.up();
        await page.waitForURL(/from=.*&to=/);
        await rows(page).first().waitFor();
        await close(page);
    });

    it('say why there is nothing, and what to do', async () => {
        page = await browser.page(server, { path: '/ui/runs?project=support&q=name%3Anobody&since=1h' });
        await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
        assert.deepEqual(await inaccessible(page), []);
        await page.getByRole('button', { name: 'Clear the search' }).last().click();
        await rows(page).first().waitFor();
        await page.goto(`${server.url}/ui/runs?project=empty`);
        await page.getByRole('heading', { name: 'No runs here' }).waitFor();
        await page.goto(`${server.url}/ui/runs?project=nobody`);
        await page.getByRole('heading', { name: 'There is no project “nobody”' }).waitFor();
        await page.goto(`${server.url}/ui/nothing`);
        await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
        await close(page);
    });

    it('what cannot be asked is said, and asked again', async () => {
        page = await browser.page(server, { path: '/ui/start' });
        await page.route('**/runs/query', (route) => route.fulfill({ status: 500, contentType: 'application/json', body: '{"detail":"The index is broken"}' }));
        await page.evaluate(() => {
            history.pushState(null, '', '/ui/runs?project=support');
            dispatchEvent(new PopStateEvent('popstate'));
        });
        await page.getByText('The index is broken').waitFor();
        await page.waitForFunction(() => !document.querySelector('[aria-busy=true]')); // what is asked for is dimmed
        assert.deepEqual(await inaccessible(page), []);
        await page.unroute('**/runs/query');
        await page.getByRole('button', { name: 'Try again' }).click();
        await rows(page).first().waitFor();
        await close(page);
    });

    it('ids, links and commands are copied', async () => {
        await open();
        await page.keyboard.press('j');
        await atRow(page, 2);
        await page.keyboard.press('y');
        await page.getByText('The id is copied').waitFor();
        const id = await clipboard(page);
        assert.match(id, /^[0-9a-f-]{36}$/);
        await page.keyboard.press('Y');
        await page.getByText('The link is copied').waitFor();
        assert.equal(await clipboard(page), `${server.url}/ui/traces/${id}`);
        await page.getByRole('button', { name: 'Copy as curl' }).click();
        await page.getByText('The command is copied').waitFor();
        assert.match(await clipboard(page), new RegExp(`^curl ${server.url}/runs/query`));
        await close(page);
    });
});

describe('live', () => {
    let server;
    // Until the stream is open, and the rows were asked for once more, as some may have come
    // between them and it: what the traces used is asked after either.
    const live = async (page) => {
        const used = () => page.waitForRequest(/\/v2\/traces\/query$/);
        await page.waitForFunction(() => /\$0\.\d+/.test(document.querySelector('.table')?.innerText ?? ''));
        const again = used();
        await page.keyboard.press('l');
        await page.locator('footer [role=status]', { hasText: /^Live$/ }).waitFor();
        await again;
        await drawn(page);
    };
    before(async () => {
        server = await Server.start();
        await fill(server, { traces: 80 });
    });
    after(() => server.close());

    it('runs appear as they come, and change where they are', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        await live(page);
        const run = oneRun({ name: 'just now', end_time: null, n: 9000 });
        await send(server, [run]);
        const line = rows(page).filter({ hasText: 'just now' });
        await line.filter({ hasText: 'running' }).waitFor();
        await server.ask('PATCH', `/runs/${run.id}`, {
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ end_time: new Date(Date.parse(run.start_time) + 1500).toISOString(), outputs: { answer: 'there it is' } }),
        });
        await line.filter({ hasText: 'there it is' }).waitFor();
        assert.equal(await line.count(), 1);
        await close(page);
    });

    it('nothing moves while one reads further down: a pill says how many are new', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await live(page);
        await page.locator('.table').evaluate((table) => (table.scrollTop = 600));
        await drawn(page);
        const seen = () => page.evaluate(() => {
            const box = document.querySelector('.table').getBoundingClientRect();
            return document.elementFromPoint(box.x + 200, box.y + 100).closest('.line').querySelector('a').href;
        });
        const before = await seen();
        await send(server, Array.from({ length: 5 }, (_, i) => oneRun({ name: `new ${i}`, n: 9100 + i })));
        const pill = page.getByRole('button', { name: '5 new' });
        await pill.waitFor();
        assert.equal(await seen(), before);
        await pill.click();
        await rows(page).filter({ hasText: 'new 4' }).waitFor();
        await eventually(async () => assert.equal(await scrolled(page), 0));
        await close(page);
    });
});

describe('projects', () => {
    let server;
    before(async () => {
        server = await Server.start();
        await fill(server, { traces: 30, project: 'support' });
        await fill(server, { traces: 10, project: 'nightly', hours: 100 });
    });
    after(() => server.close());

    it('are listed in numbers, sorted, found by name, opened', async () => {
        const page = await browser.page(server, { path: '/ui/projects' });
        await counted(page);
        await rows(page).filter({ hasText: '90' }).waitFor();
        const names = () => page.locator('.table .line a').allInnerTexts();
        await page.getByRole('button', { name: 'Runs' }).click();
        await page.waitForURL(/sort=-runs/);
        await eventually(async () => assert.deepEqual((await names()).slice(0, 2), ['support', 'nightly']));
        await page.getByRole('button', { name: 'Runs' }).click();
        await eventually(async () => assert.deepEqual((await names()).slice(-2), ['nightly', 'support']));
        await page.keyboard.press('/');
        await page.keyboard.type('ght');
        await page.waitForURL(/name=ght/);
        await page.waitForFunction(() => document.querySelectorAll('.table .line').length === 1);
        await page.keyboard.press('Escape');
        await page.keyboard.press('j');
        await chosen(page).waitFor();
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/runs\?project=nightly/);
        await close(page);
    });

    it('are made, renamed, and deleted by who writes their name', async () => {
        const page = await browser.page(server, { path: '/ui/projects' });
        await rows(page).first().waitFor();
        await page.getByRole('button', { name: 'New project' }).click();
        await page.getByRole('dialog', { name: 'New project' }).waitFor();
        assert.deepEqual(await inaccessible(page), []);
        await page.getByLabel('Name', { exact: true }).fill('short-lived');
        await page.keyboard.press('Enter');
        await rows(page).filter({ hasText: 'short-lived' }).waitFor();
        await page.getByRole('button', { name: 'New project' }).click();
        await page.getByLabel('Name', { exact: true }).fill('short-lived');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').waitFor();
        assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'short-lived', 'what was written stays');
        await page.keyboard.press('Escape');
        await page.getByRole('dialog').waitFor({ state: 'detached' });
        await page.getByRole('button', { name: 'Rename short-lived' }).click();
        await page.getByLabel('Name', { exact: true }).fill('brief');
        await page.keyboard.press('Enter');
        await rows(page).filter({ hasText: 'brief' }).waitFor();
        await page.getByRole('button', { name: 'Delete brief' }).click();
        await page.getByRole('dialog', { name: 'Delete the project' }).waitFor();
        assert.deepEqual(await inaccessible(page), []);
        const go = page.getByRole('button', { name: 'Delete', exact: true });
        assert.ok(await go.isDisabled());
        await page.getByLabel('The name of the project').fill('brief');
        await go.click();
        await page.getByText('“brief” is deleted').waitFor();
        await page.waitForFunction(() => ![...document.querySelectorAll('.table .line')].some((line) => line.innerText.includes('brief')));
        assert.deepEqual((await server.get('/sessions?name=brief')).json, []);
        await close(page);
    });
});

describe('stats', () => {
    let server;
    before(async () => {
        server = await Server.start();
        await fill(server, { traces: 60 });
    });
    after(() => server.close());

    it('are counted over time; a click on a moment shows its runs; all is in a table too', async () => {
        const page = await browser.page(server, { path: '/ui/stats?project=support&since=24h' });
        await page.getByText('180 runs').waitFor();
        for (const title of ['Runs', 'Error rate', 'Latency', 'Tokens', 'Cost'])
            await page.getByRole('heading', { name: title, exact: true }).last().waitFor();
        await page.getByText('As a table').click();
        await eventually(async () => {
            const cells = await page.locator('.asTable tbody td:nth-child(2)').allInnerTexts();
            assert.equal(cells.reduce((sum, cell) => sum + Number(cell), 0), 180);
        });
        const plot = page.locator('.plot').first();
        await plot.focus();
        await page.keyboard.press('ArrowLeft');
        await eventually(async () => assert.match(await plot.getAttribute('aria-valuetext'), /all \d+, errors \d+/));
        await page.keyboard.press('Enter');
        await page.waitForURL(/\/ui\/runs\?project=support.*from=/);
        await rows(page).first().waitFor();
        await pair(page, 'g', 's');
        await page.waitForURL(/\/ui\/stats\?project=support/);
        await close(page);
    });

    it('say when there is nothing', async () => {
        const page = await browser.page(server, { path: '/ui/stats?project=support&q=name%3Anobody' });
        await page.getByRole('heading', { name: 'Nothing to count here' }).waitFor();
        await close(page);
    });
});

describe('everywhere', () => {
    let server;
    before(async () => {
        server = await Server.start();
        await fill(server, { traces: 40 });
    });
    after(() => server.close());

    const screens = {
        start: ['/ui/start', '.first'],
        projects: ['/ui/projects', '.table .line'],
        runs: ['/ui/runs?project=support', '.table .line'],
        stats: ['/ui/stats?project=support', '.chart'],
    };
    for (const [screen, [path, ready]] of Object.entries(screens))
        for (const theme of ['light', 'dark'])
            for (const width of [1280, 360])
                it(`${screen}, ${theme}, ${width} px: fits, and axe finds nothing`, async () => {
                    const page = await browser.page(server, { path, theme, width });
                    await page.locator(ready).first().waitFor();
                    await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'));
                    assert.deepEqual(await inaccessible(page), []);
                    await assertFits(page);
                    await close(page);
                });

    it('the theme is chosen, and stays', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const is = (colour) => eventually(async () => assert.equal(await paper(), colour));
        const light = await paper();
        await page.getByLabel('Theme').selectOption('dark');
        const dark = await eventually(async () => {
            const now = await paper();
            assert.notEqual(now, light);
            return now;
        });
        await page.reload();
        await page.locator('.first').waitFor();
        await is(dark);
        await page.getByLabel('Theme').selectOption('system');
        await is(light);
        await page.emulateMedia({ colorScheme: 'dark' }); // which the page hears of
        await is(dark);
        await page.getByLabel('Theme').selectOption('light');
        await is(light);
        await close(page);
    });

    it('? shows the keys, Escape closes; single letters can be switched off', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        await page.keyboard.press('?');
        const dialog = page.getByRole('dialog', { name: 'Keys' });
        await dialog.waitFor();
        assert.deepEqual(await inaccessible(page), []);
        for (const does of ['Search', 'Next', 'Open', 'Live, or not', 'Copy the id', 'Go to the projects'])
            await dialog.getByText(does, { exact: true }).waitFor();
        await page.keyboard.press('j');
        await dialog.getByLabel('Single letters are commands').uncheck();
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'detached' });
        assert.equal(await chosen(page).count(), 0, 'no key goes through a dialog');
        await page.keyboard.press('j');
        await page.keyboard.press('ArrowDown'); // is no letter
        await atRow(page, 2);
        await close(page);
    });

    it('g and a letter go to a screen; Back comes back', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        await pair(page, 'g', 'p');
        await page.waitForURL(/\/ui\/projects/);
        await page.goBack();
        await page.waitForURL(/\/ui\/runs\?project=support/);
        await rows(page).first().waitFor();
        await close(page);
    });

    it('the first Tab leads past the frame', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await page.locator('.first').waitFor();
        await page.keyboard.press('Tab');
        await page.waitForFunction(() => document.activeElement.innerText === 'To the content');
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => document.activeElement.id === 'main');
        await close(page);
    });
});
