// browser.mjs - Debian's Chromium, driven by playwright-core; and what every test of a screen
// wants of it.
//
//   const browser = await Browser.start();
//   const page = await browser.page(server, { width: 360, theme: 'dark' });
//   ...
//   await browser.close();         // fails when a page said something in its console
//
// $CHROMIUM is another browser.  One that does not start fails the suite.
//
// No test may fail because something is slow: what a page shows comes when it comes, and is waited
// for (`eventually`).  To see that it is: CPU_RATE=6 lets each page have a sixth of the processor,
// ANSWER_MS=300 holds each answer of the API back, by up to so many milliseconds, and STEP_MS=700 is
// a pause between any two steps of a test, in which the page goes on.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const up = fileURLToPath(new URL('../up', import.meta.url));
const packages = execFileSync(up, { encoding: 'utf8' }).trim();
const load = createRequire(join(packages, 'package.json'));
const { chromium } = load('playwright-core');
const axe = readFileSync(load.resolve('axe-core/axe.min.js'), 'utf8');

const WAIT_MS = 30_000;
const AGAIN_MS = 50;
const cpuRate = Number(process.env.CPU_RATE ?? 1);
const answerMs = Number(process.env.ANSWER_MS ?? 0);
const stepMs = Number(process.env.STEP_MS ?? 0);

// On purpose, for who looks for tests that do not wait.
async function slowDown(page) {
    if (cpuRate > 1) {
        const session = await page.context().newCDPSession(page);
        await session.send('Emulation.setCPUThrottlingRate', { rate: cpuRate });
    }
    if (answerMs > 0)
        await page.context().route('**', async (route) => {
            if (route.request().resourceType() === 'fetch') await sleep(Math.random() * answerMs);
            await route.fallback().catch(() => {}); // the page may be gone
        });
}

export class Browser {
    static async start() {
        const browser = new Browser();
        browser.program = await chromium.launch({
            executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
            args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--font-render-hinting=none'],
            slowMo: stepMs,
        });
        browser.said = [];
        return browser;
    }

    // A page of a browser that nobody used yet.  `expected`: what it may say in its console.
    async page(server, { path = '/', width = 1280, height = 800, theme = 'light', key, expected = [], motion = 'reduce', storage = {} } = {}) {
        const context = await this.program.newContext({
            viewport: { width, height },
            colorScheme: theme,
            reducedMotion: motion,
            locale: 'en-GB',
            timezoneId: 'Europe/Berlin',
            permissions: ['clipboard-read', 'clipboard-write'],
        });
        const page = await context.newPage();
        page.setDefaultTimeout(WAIT_MS);
        await slowDown(page);
        // The browser's own line about a 4xx is none of the page's.
        const harmless = (text) =>
            /^Failed to load resource/.test(text) || expected.some((shape) => shape.test(text));
        page.on('console', (message) => {
            if (['error', 'warning'].includes(message.type()) && !harmless(message.text()))
                this.said.push(message.text());
        });
        page.on('pageerror', (error) => this.said.push(String(error.stack ?? error)));
        page.on('dialog', (dialog) => {
            this.said.push(`a dialog: ${dialog.message()}`);
            void dialog.dismiss();
        });
        page.on('request', (request) => {
            const { protocol, origin } = new URL(request.url());
            if (!['data:', 'blob:'].includes(protocol) && origin !== server.url)
                this.said.push(`asked elsewhere: ${request.url()}`);
        });
        if (key || Object.keys(storage).length)
            await page.addInitScript(
                ({ given, more }) => {
                    if (given) sessionStorage.setItem('rundlet.key', given);
                    for (const [name, value] of Object.entries(more)) localStorage.setItem(name, value);
                },
                { given: key, more: storage },
            );
        page.server = server;
        await page.goto(server.url + path);
        return page;
    }

    async close() {
        await this.program.close();
        assert.deepEqual(this.said, [], 'what the pages said');
    }
}

// Until `check` throws no more; what it threw last is what failed.
export async function eventually(check) {
    const end = performance.now() + WAIT_MS;
    for (;;) {
        try {
            return await check();
        } catch (error) {
            if (performance.now() > end) throw error;
        }
        await sleep(AGAIN_MS);
    }
}

// Until what changed was drawn, and the page told of where it scrolled to.
export const drawn = (page) =>
    page.evaluate(() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen))));

// Two keys right after each other, however long the first one takes.
export const pair = (page, ...keys) => Promise.all(keys.map((key) => page.keyboard.press(key)));

// What axe finds against WCAG 2.2 AA; none is [].
export async function inaccessible(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(() =>
        globalThis.axe.run(document, {
            runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        }),
    );
    return found.violations.map(
        ({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join(' | ')}`,
    );
}

// Nothing is wider than the window.
export async function assertFits(page) {
    const { scroll, client } = await page.evaluate(() => ({
        scroll: document.documentElement.scrollWidth,
        client: document.documentElement.clientWidth,
    }));
    assert.ok(scroll <= client, `${scroll} px in a window of ${client}`);
}

// Of the address, without the origin.
export const at = (page) => page.url().slice(page.server.url.length);
