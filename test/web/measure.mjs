// measure.mjs - how fast the page is: figures to look at, none is held against a limit.
//
// usage: node test/web/measure.mjs
import { Server } from '../e2e/lib/server.mjs';
import { Browser } from './lib/browser.mjs';
import { send, trace } from './lib/traces.mjs';

const server = await Server.start();
const browser = await Browser.start();

// In the page: when something is there, and how long it did not answer.
const WATCH = `
globalThis.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: 'longtask', buffered: true });
globalThis.there = (selector, from) => new Promise((done) => {
    const look = () => (document.querySelector(selector) ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - from))) : requestAnimationFrame(look));
    look();
});
`;
const round = (ms) => `${Math.round(ms)} ms`;
const longest = (page) => page.evaluate(() => Math.max(0, ...globalThis.tasks.map(({ duration }) => duration)));
const row = (what, ...figures) => console.log(what.padEnd(44), figures.join('   '));

async function fresh(path = '/ui/start') {
    const page = await browser.page(server, { path: '/ui/start', width: 1400, height: 900 });
    await page.addInitScript(WATCH);
    await page.goto(server.url + path);
    return page;
}

// By a click on a link, as from the table of runs; and by opening the address.
async function openTrace(count) {
    const own = trace(
        Array.from({ length: count }, (_, i) => ({
            key: String(i),
            name: i % 4 ? 'ChatOpenAI' : 'step',
            type: i % 4 ? 'llm' : 'chain',
            ...(i && { parent: String(Math.floor((i - 1) / 4)) }),
            from: i,
            to: i + 50,
        })),
        { project: 'measure' },
    );
    for (let at = 0; at < count; at += 5000) await send(server, own.runs.slice(at, at + 5000));
    const path = `/ui/traces/${own.traceId}?view=waterfall`;
    const selector = '#runs [aria-rowindex="2"]';

    const cold = await fresh(path);
    row(`trace of ${count} runs, by its address`, round(await cold.evaluate((s) => globalThis.there(s, 0), selector)), `blocked ${round(await longest(cold))}`);
    await cold.context().close();

    const page = await fresh();
    await page.waitForTimeout(500);
    const clicked = await page.evaluate(async ([href, s]) => {
        const link = document.createElement('a');
        link.href = href;
        document.body.append(link);
        globalThis.tasks.length = 0;
        const from = performance.now();
        link.click();
        return globalThis.there(s, from);
    }, [path, selector]);
    const heap = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
    row(`trace of ${count} runs, by a click`, round(clicked), `blocked ${round(await longest(page))}`, `heap ${Math.round(heap / 1e6)} MB`, `rows ${await page.locator('#runs [role=row]').count()}`);
    row('  of it the server', round(await page.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/skeleton')).at(-1)?.duration ?? 0)));

    const frames = await page.evaluate(() => new Promise((done) => {
        const grid = document.querySelector('#runs');
        const times = [];
        const began = performance.now();
        const frame = (now) => {
            times.push(now);
            grid.scrollTop += 300;
            if (now - began < 2000) requestAnimationFrame(frame);
            else done(times.slice(1).map((time, i) => time - times[i]));
        };
        requestAnimationFrame(frame);
    }));
    const sorted = [...frames].sort((a, b) => a - b);
    row('  scrolling it', `${Math.round(1000 / (frames.reduce((a, b) => a + b) / frames.length))} frames/s`, `99 of 100 in ${round(sorted[Math.floor(sorted.length * 0.99)])}`);
    await page.context().close();
}

async function openLarge(megabytes) {
    const line = (i) => ({ i, text: `${String(i).padStart(10, '0')} ${'the quick brown fox jumps over the lazy dog '.repeat(20)}` });
    const own = trace([{ key: 'one', type: 'llm', to: 10, inputs: { messages: [{ role: 'user', content: 'x' }], lines: Array.from({ length: Math.floor((megabytes << 20) / 920) }, (_, i) => line(i)) } }], { project: 'measure' });
    await send(server, own.runs);
    const page = await fresh();
    await page.waitForTimeout(500);
    await page.evaluate((href) => {
        globalThis.tasks.length = 0;
        globalThis.from = performance.now();
        const link = document.createElement('a');
        link.href = href;
        document.body.append(link);
        link.click();
    }, `/ui/traces/${own.traceId}?tab=input`);
    const text = await page.evaluate(() => globalThis.there('pre.head', globalThis.from));
    const rows = await page.evaluate(() => globalThis.there('.json-row', globalThis.from));
    row(`a field of ${megabytes} MB, its beginning as text`, round(text));
    row(`a field of ${megabytes} MB, all of it as rows`, round(rows), `blocked ${round(await longest(page))}`);
    await page.evaluate(() => (globalThis.tasks.length = 0));
    await page.getByLabel('Find in Inputs').fill('0000040000');
    await page.locator('.json-row.match').waitFor();
    row('  finding in it', `blocked ${round(await longest(page))}`);
    await page.evaluate(() => (globalThis.tasks.length = 0));
    await page.keyboard.press('Escape');
    await page.getByRole('tab', { name: 'Raw' }).click();
    await page.locator('.raw-line').first().waitFor();
    await page.locator('.raw-lines').evaluate((element) => (element.scrollTop = element.scrollHeight / 2));
    await page.waitForFunction(() => document.querySelector('.raw-line')?.textContent.length > 10);
    row('  its bytes, in the middle', `blocked ${round(await longest(page))}`);
    await page.context().close();
}

for (const count of [100, 10_000, 100_000]) await openTrace(count);
await openLarge(50);
await browser.close();
await server.close();
