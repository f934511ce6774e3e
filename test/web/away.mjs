// away.mjs - a server that is away for a moment, and answers that are not there yet: what the
// page does by itself, and that it takes no old answer for a new one.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, eventually, inaccessible } from './lib/browser.mjs';
import { fill, oneRun, send } from './lib/support.mjs';

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
const DATA = /\/(runs|sessions|traces)(\/|\?|$)/;
const data = (url) => !url.pathname.startsWith('/ui') && DATA.test(url.pathname);
// Nothing of the API is answered, until `back` is called.
async function takeAway(page) {
    const gone = (route) => route.abort('connectionrefused');
    await page.route(data, gone);
    return { back: () => page.unroute(data, gone) };
}
const online = (page) => page.evaluate(() => dispatchEvent(new Event('online')));
const goTo = (page, path) =>
    page.evaluate((to) => {
        history.pushState(null, '', to);
        dispatchEvent(new PopStateEvent('popstate'));
    }, path);
const says = (page, text) => page.getByText(text).first().waitFor();

describe('a server that is away', () => {
    const traceId = async () => {
        const { json } = await server.post('/runs/query', { session: [(await server.get('/sessions?name=support')).json[0].id], is_root: true, limit: 1 });
        return json.runs[0].trace_id;
    };
    const screens = {
        home: async () => ['/', (page) => rows(page).first()],
        projects: async () => ['/ui/projects', (page) => rows(page).first()],
        runs: async () => ['/ui/runs?project=support', (page) => rows(page).first()],
        stats: async () => ['/ui/stats?project=support', (page) => page.locator('.chart').first()],
        trace: async () => [`/ui/traces/${await traceId()}`, (page) => page.locator('#runs [role=row]').first()],
    };
    for (const [screen, find] of Object.entries(screens))
        it(`${screen}: is asked again by itself, which is said`, async () => {
            const [path, there] = await find();
            const page = await browser.page(server, { path: '/ui/start' });
            const { back } = await takeAway(page);
            await goTo(page, path);
            await says(page, 'It is asked again by itself');
            assert.deepEqual(await inaccessible(page), []);
            await back();
            await there(page).waitFor();
            await page.waitForFunction(() => !document.body.innerText.includes('asked again by itself'));
            await close(page);
        });

    it('a search that failed is asked again when the network is back; pauses grow meanwhile', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        // Pauses are told, and over at once; the third one never is.
        await page.evaluate(() => {
            globalThis.pauses = [];
            const set = globalThis.setTimeout;
            globalThis.setTimeout = (act, ms, ...rest) => {
                if (![1000, 2000, 4000].includes(ms)) return set(act, ms, ...rest);
                globalThis.pauses.push(ms);
                return ms < 4000 ? set(act, 0, ...rest) : 0;
            };
        });
        const gone = (route) => route.abort();
        await page.route('**/runs/query', gone);
        await page.getByRole('combobox', { name: /Search/ }).fill('name:triage');
        await page.keyboard.press('Enter');
        await says(page, 'The server does not answer');
        assert.equal(await rows(page).count(), 0, 'the rows of before are no answer to this');
        await eventually(async () => assert.deepEqual(await page.evaluate(() => globalThis.pauses), [1000, 2000, 4000]));
        await page.unroute('**/runs/query', gone);
        await online(page);
        await rows(page).filter({ hasText: 'triage' }).first().waitFor();
        await close(page);
    });

    it('a run beside a trace comes when the server is back', async () => {
        const path = `/ui/traces/${await traceId()}`;
        const page = await browser.page(server, { path });
        await page.locator('#run h2', { hasText: /agent|triage/ }).waitFor();
        await page.route('**/runs/**', (route) => route.abort());
        await page.locator('#runs').focus();
        await page.keyboard.press('ArrowDown');
        await page.locator('#run').getByText('It is asked again by itself').first().waitFor();
        await page.unroute('**/runs/**');
        await page.locator('#run h2', { hasText: 'model' }).waitFor();
        await page.locator('#run .message').first().waitFor();
        await close(page);
    });

    it('a payload that could not be read comes by itself, though all else of the run is there', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        let asked = 0;
        await page.route('**/runs/*/inputs', (route) =>
            ++asked < 3 ? route.fulfill({ status: 503, contentType: 'application/json', body: '{"detail":"Too much at once"}' }) : route.continue(),
        );
        await goTo(page, `/ui/traces/${await traceId()}`);
        await page.locator('#tab-panel').getByText('It is asked again by itself').waitFor();
        await page.locator('.message.user').first().waitFor();
        assert.equal(await page.locator('#tab-panel [role=alert]').count(), 0);
        await close(page);
    });

    it('a trace that runs is asked for with growing pauses too', async () => {
        const run = oneRun({ name: 'still running', project: 'running', n: 78 });
        delete run.end_time;
        await send(server, [run]);
        const page = await browser.page(server, { path: '/ui/start' });
        // What is asked every 2 s, and what waits, is when this says so.
        await page.evaluate(() => {
            globalThis.every = [];
            const [each, set] = [globalThis.setInterval, globalThis.setTimeout];
            globalThis.setInterval = (act, ms) => (ms === 2000 ? globalThis.every.push(act) && 0 : each(act, ms));
            globalThis.setTimeout = (act, ms, ...rest) => ([1000, 2000].includes(ms) ? 0 : set(act, ms, ...rest));
        });
        const busy = (route) => route.fulfill({ status: 503, contentType: 'application/json', body: '{"detail":"Too much at once"}' });
        await page.route('**/runs/tail?*', busy);
        await goTo(page, `/ui/traces/${run.trace_id}`);
        await page.locator('#runs [role=row]').first().waitFor();
        await eventually(async () => assert.equal(await page.evaluate(() => globalThis.every.length), 1));
        let asked = 0;
        await page.route('**/skeleton', (route) => {
            asked++;
            return busy(route);
        });
        const pass = () => page.evaluate(() => (globalThis.every.forEach((act) => act()), fetch('/health').then(() => {})));
        await pass();
        await says(page, 'What is shown is from before. It is asked again by itself');
        await pass();
        await pass();
        assert.equal(asked, 1);
        await close(page);
    });

    it('what was refused is not asked again', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        let asked = 0;
        await page.route('**/runs/query', (route) => {
            asked++;
            return route.fulfill({ status: 400, contentType: 'application/json', body: '{"detail":"This filter is none"}' });
        });
        await goTo(page, '/ui/runs?project=support');
        await says(page, 'This filter is none');
        const before = asked;
        await online(page);
        assert.equal(await page.getByText('by itself').count(), 0);
        await page.getByRole('button', { name: 'Try again' }).click();
        await eventually(() => assert.equal(asked, before + 1));
        await close(page);
    });
});

describe('an answer that is not there yet', () => {
    it('the old one is grey meanwhile, and gone when the new question fails', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        await page.locator('.bars').waitFor();
        await page.waitForFunction(() => !document.querySelector('[aria-busy=true]'));
        let answer;
        const held = new Promise((go) => (answer = go));
        const asking = (url) => ['/runs/query', '/runs/stats', '/runs/histogram'].includes(url.pathname);
        await page.route(asking, async (route) => {
            await held;
            await route.fulfill({ status: 400, contentType: 'application/json', body: '{"detail":"Not this one"}' });
        });
        await page.getByRole('combobox', { name: /Search/ }).fill('name:triage');
        await page.keyboard.press('Enter');
        for (const part of ['.table', '.bars', '.numbers']) await page.locator(`${part}[aria-busy=true]`).waitFor();
        assert.ok((await rows(page).count()) > 0);
        assert.deepEqual(await inaccessible(page), [], 'it can be read still');
        answer();
        await says(page, 'Not this one');
        for (const part of ['.table', '.bars', 'dl.numbers']) await page.locator(part).waitFor({ state: 'detached' });
        await close(page);
    });

    it('an answer that comes soon greys nothing', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=support' });
        await rows(page).first().waitFor();
        await page.evaluate(() => {
            globalThis.grey = 0;
            new MutationObserver(() => (globalThis.grey += document.querySelectorAll('.table[aria-busy=true]').length)).observe(document.body, {
                subtree: true, attributes: true, childList: true,
            });
            // What waits for a tenth of a second waits for ever, so that this machine's speed does not count.
            const set = globalThis.setTimeout;
            globalThis.setTimeout = (act, ms, ...rest) => (ms === 100 ? 0 : set(act, ms, ...rest));
        });
        await page.getByRole('combobox', { name: /Search/ }).fill('name:triage');
        await page.keyboard.press('Enter');
        await page.waitForFunction(() => [...document.querySelectorAll('.table .line')].every((line) => line.innerText.includes('triage')));
        assert.equal(await page.evaluate(() => globalThis.grey), 0);
        await close(page);
    });

    it('a project that is not there yet appears by itself', async () => {
        const page = await browser.page(server, { path: '/ui/runs?project=tomorrow&since=all' });
        await page.getByRole('heading', { name: 'There is no project “tomorrow”' }).waitFor();
        await says(page, 'It appears here by itself');
        await send(server, [oneRun({ name: 'first of all', project: 'tomorrow', n: 77 })]);
        await rows(page).filter({ hasText: 'first of all' }).waitFor();
        await close(page);
    });
});
