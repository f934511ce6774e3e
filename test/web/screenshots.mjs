// screenshots.mjs - a picture of every screen, to be looked at: light, dark, and on a phone.
//
// usage: node test/web/screenshots.mjs FOLDER        (make screenshots)
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Server } from '../e2e/lib/server.mjs';
import { Browser } from './lib/browser.mjs';
import { fill } from './lib/support.mjs';
import { agent, otherAgent, send } from './lib/traces.mjs';

const folder = process.argv[2] ?? 'build/screenshots';
mkdirSync(folder, { recursive: true });

const empty = await Server.start();
const server = await Server.start();
await fill(server);
await fill(server, { project: 'nightly evaluation', traces: 40, hours: 200 });
const { traceId, ids, runs } = agent();
await send(server, runs);
const other = otherAgent();
await send(server, other.runs);

const rows = '.table .line';
const tree = '[role=treegrid], [role=tree], main h1';
// name: [server, address, what is there when it is ready, keys to press then]
const screens = {
    first: [empty, '/', '.first'],
    start: [server, '/ui/start', '.first'],
    projects: [server, '/ui/projects', rows],
    runs: [server, '/ui/runs?project=support', rows, ['j', 'j']],
    runs_marked: [server, '/ui/runs?project=support', rows, ['j', 'x', 'j', 'j', 'x', 'j']],
    runs_all: [server, '/ui/runs?project=support&view=runs&q=status%3Aerror', rows],
    runs_fault: [server, '/ui/runs?project=support&q=lantency%3A%3E2s', '.why'],
    runs_offer: [server, '/ui/runs?project=support', rows, ['/', 's', 't']],
    runs_nothing: [server, '/ui/runs?project=support&q=name%3Anobody', '.empty'],
    runs_live: [server, '/ui/runs?project=support&live=1', 'footer [role=status]'],
    stats: [server, '/ui/stats?project=support&since=24h', '.chart'],
    palette: [server, '/ui/runs?project=support', rows, ['Control+k', 'g', 'o']],
    keys: [server, '/ui/runs?project=support', rows, ['?']],
    trace: [server, `/ui/traces/${traceId}`, tree],
    trace_tree: [server, `/ui/traces/${traceId}?view=tree&run=${ids.oslo}`, tree],
    trace_waterfall: [server, `/ui/traces/${traceId}?view=waterfall&run=${ids['model-2']}`, tree],
    compare: [server, `/ui/compare?a=${traceId}&b=${other.traceId}&run=${ids['model-2']}`, '.diff-line'],
    compare_only: [server, `/ui/compare?a=${traceId}&b=${other.traceId}&c=${ids['model-2']}&run=${ids.agent}&only=1&json=1`, '.diff-line'],
};
const looks = {
    light: { theme: 'light' },
    dark: { theme: 'dark' },
    phone: { theme: 'light', width: 360, height: 740 },
};

const browser = await Browser.start();
for (const [name, [from, path, ready, keys = []]] of Object.entries(screens))
    for (const [look, options] of Object.entries(looks)) {
        const page = await browser.page(from, { path, ...options });
        await page.locator(ready).first().waitFor();
        await page.waitForLoadState('networkidle', { timeout: 3000 }).catch(() => {}); // a stream never rests
        for (const key of keys) await page.keyboard.press(key);
        await page.screenshot({ path: join(folder, `${name}-${look}.png`) });
        await page.context().close();
    }
await browser.close();
await server.close();
await empty.close();
console.log(`${folder}: ${Object.keys(screens).length * Object.keys(looks).length} pictures`);
