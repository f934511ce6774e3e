// measure_runs.mjs - how fast the runs screen is: figures to look at, none is held against a limit.
//
// usage: node test/web/measure_runs.mjs [TRACES]
import { Server } from '../e2e/lib/server.mjs';
import { Browser } from './lib/browser.mjs';
import { fill, oneRun, send } from './lib/support.mjs';

const TRACES = Number(process.argv[2] ?? 20_000);
const server = await Server.start();
await fill(server, { traces: TRACES, hours: 150 });
const browser = await Browser.start();
const row = (what, ...figures) => console.log(what.padEnd(44), figures.join('   '));
const middle = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// What the table asks for, warm.
const [{ id }] = (await server.get('/sessions?name=support')).json;
for (const [what, filter] of [['newest', undefined], ['errors', 'eq(status, "error")'], ['a name', 'search(name, "tri")']]) {
    const times = [];
    for (let i = 0; i < 30; i++) {
        const begin = performance.now();
        await server.post('/runs/query', { session: [id], is_root: true, ...(filter && { filter }), limit: 100, select: ['name', 'status', 'start_time', 'end_time', 'error', 'inputs_preview', 'outputs_preview', 'total_tokens', 'total_cost', 'feedback_stats'] });
        times.push(performance.now() - begin);
    }
    row(`100 rows of ${TRACES} traces: ${what}`, `${middle(times).toFixed(1)} ms`);
}

const page = await browser.page(server, { path: '/ui/runs?project=support&view=runs' });
await page.locator('.table .line').first().waitFor();
await page.waitForLoadState('networkidle');

// Frames while it scrolls through what is loaded, and how long none came.
for (let i = 0; i < 20; i++) {
    await page.locator('.table').evaluate((table) => (table.scrollTop = table.scrollHeight));
    await page.waitForLoadState('networkidle');
}
const frames = await page.evaluate(async () => {
    const table = document.querySelector('.table');
    table.scrollTop = 0;
    const gaps = [];
    let most = 0;
    let last = performance.now();
    for (let i = 0; i < 120; i++) {
        table.scrollTop += 240;
        await new Promise((seen) => requestAnimationFrame(seen));
        const now = performance.now();
        gaps.push(now - last);
        last = now;
        most = Math.max(most, table.querySelectorAll('.line').length);
    }
    gaps.sort((a, b) => a - b);
    return { middle: gaps[60], late: gaps[118], most };
});
row('scrolling: a frame, the 99th of 100', `${frames.middle.toFixed(1)} ms`, `${frames.late.toFixed(1)} ms`, `${frames.most} rows in the document`);

// A thousand runs a second, live, for five seconds.
await page.goto(`${server.url}/ui/runs?project=support&live=1`);
await page.locator('footer [role=status]', { hasText: 'Live' }).waitFor();
await page.evaluate(() => {
    globalThis.blocked = [];
    new PerformanceObserver((list) => globalThis.blocked.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
});
for (let second = 0; second < 5; second++) {
    const begin = performance.now();
    await send(server, Array.from({ length: 1000 }, (_, i) => oneRun({ name: 'live', n: 1e6 + second * 1000 + i })));
    await page.waitForTimeout(Math.max(0, 1000 - (performance.now() - begin)));
}
await page.waitForTimeout(1000);
const blocked = await page.evaluate(() => globalThis.blocked);
row('1000 runs a second, live: blocked', `${Math.round(Math.max(0, ...blocked))} ms at most`, `${blocked.length} times over 50 ms in 5 s`);
row('', (await page.locator('main > footer').innerText()).replace(/\s+/g, ' '));
await browser.close();
await server.close();
