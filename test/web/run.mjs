// run.mjs - a run in a browser: its conversation, values of any size, bytes, events, what was
// said of it; and that nothing a stranger wrote is more than text.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { ask } from '../e2e/lib/client.mjs';
import { multipart } from '../e2e/lib/sdk.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { Browser, assertFits, drawn, eventually, inaccessible } from './lib/browser.mjs';
import { corpus } from './lib/hostile.mjs';
import { agent, send, trace } from './lib/traces.mjs';

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

const close = (page) => page.context().close();
const show = (key, query = '', options = {}, of = shown) =>
    browser.page(server, { path: `/ui/traces/${of.traceId}?run=${of.ids[key]}${query}`, ...options });
const one = (more) => trace([{ key: 'one', to: 100, ...more }]);

async function showOne(more, query = '', options = {}) {
    const own = one(more);
    await send(server, own.runs);
    return show('one', query, options, own);
}

describe('messages', () => {
    it('are a conversation, each call with what it came to', async () => {
        const page = await show('model-2');
        const messages = page.locator('article.message');
        const roles = page.locator('.message .role');
        await eventually(async () => assert.deepEqual(await roles.allInnerTexts(), ['system', 'user', 'assistant', 'assistant']));
        const calls = page.locator('.call');
        await eventually(async () => assert.equal(await calls.count(), 2));
        await eventually(async () => assert.match(await calls.nth(0).innerText(), /get_weather[\s\S]*Paris[\s\S]*came to[\s\S]*11/));
        await eventually(async () => assert.match(await calls.nth(1).innerText(), /failed with[\s\S]*KeyError/));
        const last = messages.last();
        await last.getByRole('heading', { name: 'Weather' }).waitFor();
        assert.deepEqual(await last.getByRole('listitem').allInnerTexts(), ['Paris: 11 °C', 'Oslo: unknown, the get_weather tool failed']);
        assert.equal(await last.getByRole('cell', { name: '11' }).count(), 1);
        assert.equal(await last.locator('pre').innerText(), 'print("done")');
        await last.getByText('610 in · 120 out').waitFor();
        assert.ok(!(await last.getByText('Only one of the two').isVisible()));
        await last.getByText('Reasoning').click();
        await last.getByText('Only one of the two').waitFor();
        await page.getByLabel('Markdown').uncheck();
        await last.getByText('# Weather').waitFor();
        await close(page);
    });
    it('of a run that has none are not the first to be seen', async () => {
        const page = await show('paris');
        await page.getByRole('tab', { name: 'Input', selected: true }).waitFor();
        await page.getByRole('tree', { name: 'Inputs' }).getByText('"Paris"').waitFor();
        await close(page);
    });
    it('that are long are shown by and by', async () => {
        const text = Array.from({ length: 60_000 }, (_, i) => i.toString(36)).join(' ');
        const page = await showOne({ type: 'llm', inputs: { messages: [{ role: 'user', content: text }] }, outputs: { content: 'x', role: 'assistant' } });
        const user = page.locator('.message.user');
        await user.waitFor();
        assert.ok((await user.innerText()).length < 25_000);
        const more = user.getByRole('button', { name: /Show [\d,]+ more of/ });
        while (await more.count()) {
            const before = await user.evaluate((element) => element.textContent.length);
            await more.click();
            await page.waitForFunction((before) => document.querySelector('.message.user').textContent.length > before, before);
        }
        assert.ok((await user.innerText()).endsWith((59_999).toString(36)));
        await close(page);
    });
    it('show attachments that are pictures, and others only by name', async () => {
        const own = one({ type: 'llm' });
        const [run] = own.runs;
        const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');
        const { headers, body } = multipart([
            [`post.${run.id}`, { ...run, inputs: undefined }],
            [`post.${run.id}.inputs`, { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}` } }, { type: 'image_url', image_url: { url: 'https://elsewhere.invalid/p.gif' } }] }] }],
            [`attachment.${run.id}.dot`, png, 'image/png'],
            [`attachment.${run.id}.page`, Buffer.from('<script>alert(1)</script>'), 'text/html'],
        ]);
        const answer = await ask(server, 'POST', '/runs/multipart', { headers, body });
        assert.equal(answer.status, 202, answer.text);
        const page = await show('one', '', {}, own);
        await page.locator('.attachments figure').first().waitFor();
        await page.waitForFunction(() => {
            const images = [...document.querySelectorAll('#run img')];
            return images.length === 2 && images.every((image) => image.naturalWidth === 1);
        });
        await eventually(async () => assert.deepEqual(await page.locator('.attachments a').allInnerTexts(), ['Save', 'Save']));
        assert.equal(await page.getByRole('link', { name: 'https://elsewhere.invalid/p.gif' }).getAttribute('rel'), 'noopener noreferrer nofollow');
        await close(page);
    });
});

describe('what real clients sent', () => {
    const captures = new URL('../data/captures/', import.meta.url);
    let real;
    before(async () => {
        real = await Server.start();
        for (const set of await readdir(captures)) {
            const requests = JSON.parse(await readFile(new URL(`${set}/requests.json`, captures), 'utf8'));
            for (const { method, path, headers, body } of requests) {
                const answer = await ask(real, method, path, { headers, body: await readFile(new URL(`${set}/${body}`, captures)) });
                assert.equal(answer.status, 202, answer.text);
            }
        }
    });
    after(() => real.close());
    const find = async (filter) => {
        const sessions = (await real.get('/sessions')).json.map(({ id }) => id);
        return (await real.post('/runs/query', { session: sessions, filter, select: ['id', 'trace_id', 'name'], limit: 100 })).json.runs;
    };

    it('is a conversation where there is one', async () => {
        const [model] = await find('eq(name, "FakeListChatModel")');
        const page = await browser.page(real, { path: `/ui/traces/${model.trace_id}?run=${model.id}` });
        await page.locator('.message.assistant').last().filter({ hasText: /Paris is the capital|It is lovely/ }).waitFor();
        await page.locator('.message.user').first().waitFor();
        await close(page);
    });
    it('is shown run by run, in each tab', async () => {
        for (const set of ['my-graph', 'agent', 'with-att', 'boom']) {
            const [top] = await find(`and(eq(name, "${set}"), eq(is_root, true))`);
            const page = await browser.page(real, { path: `/ui/traces/${top.trace_id}` });
            await page.waitForFunction(() => document.activeElement?.id === 'runs');
            const count = Number(await page.locator('#runs').getAttribute('aria-rowcount')) - 1;
            for (let i = 0; i < count; i++) {
                const name = await page.locator('#runs [aria-selected=true] .name > .cut').innerText();
                await page.locator('#run h2', { hasText: name }).waitFor();
                for (const tab of ['Messages', 'Input', 'Output', 'Metadata', 'Events', 'Feedback', 'Raw']) await page.getByRole('tab', { name: tab }).click();
                await page.locator('.raw-line').first().filter({ hasNotText: /^…$/ }).waitFor();
                await page.locator('#runs').focus();
                await page.keyboard.press('j');
            }
            assert.equal(await page.getByRole('alert').count(), 0);
            await close(page);
        }
    });
});

describe('an error', () => {
    it('is said first, its traceback folded', async () => {
        const page = await show('oslo');
        const banner = page.getByRole('region', { name: 'Error' });
        await banner.waitFor();
        assert.equal(await banner.locator('strong').innerText(), "✕ KeyError: 'temperature'");
        assert.ok(!(await banner.getByText('tools.py').isVisible()));
        await banner.getByText('Traceback, 4 lines').click();
        await banner.getByText('tools.py').waitFor();
        await banner.getByRole('link', { name: 'Find runs that failed like it' }).click();
        await page.waitForURL((url) => url.pathname === '/ui/runs' && url.searchParams.get('q') === 'name:get_weather status:error');
        await close(page);
    });
});

describe('a value', () => {
    it('opens and folds with keys, tells where it is, and finds', async () => {
        const page = await showOne({ inputs: { list: [{ a: 1 }, { b: 'needle in it' }], deep: { er: { value: 'x'.repeat(600) } } } }, '&tab=input');
        const tree = page.getByRole('tree', { name: 'Inputs' });
        await tree.getByRole('treeitem').nth(7).waitFor();
        await tree.focus();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowLeft');
        await page.waitForFunction(() => document.querySelector('[role=tree] [aria-selected=true]')?.getAttribute('aria-expanded') === 'false');
        await page.locator('.json-chosen code', { hasText: '.list' }).waitFor();
        await page.getByRole('button', { name: 'Copy value' }).click();
        await page.getByText('Value copied').waitFor();
        assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), [{ a: 1 }, { b: 'needle in it' }]);
        await page.getByLabel('Find in Inputs').fill('needle');
        await page.locator('.json-tools [role=status]', { hasText: '1 of 1' }).waitFor();
        await page.locator('.json-chosen code', { hasText: '.list[1].b' }).waitFor();
        await tree.getByText('600 characters').click();
        await page.getByRole('button', { name: 'Show 300 more of 300 characters' }).click();
        await page.waitForFunction(() => document.querySelector('.json-chosen .plain')?.textContent.length === 600);
        await eventually(async () => assert.equal(await page.locator('[role=row][aria-selected=true]').count(), 1));
        await close(page);
    });
    it('with numbers that no computer has is shown as it was sent', async () => {
        const own = one({});
        const body = JSON.stringify({ post: own.runs, patch: [] }).replace('"inputs":{}', '"inputs":{"id":12345678901234567890}');
        const answer = await ask(server, 'POST', '/runs/batch', { headers: { 'content-type': 'application/json' }, body });
        assert.equal(answer.status, 202);
        const page = await show('one', '&tab=input', {}, own);
        await page.getByRole('tree').getByText('12345678901234567890').waitFor();
        await close(page);
    });
});

describe('a large value', () => {
    const words = Array.from({ length: 120_000 }, (_, i) => ({ n: i, text: `line ${i} é日😀` }));
    let own;
    before(async () => {
        own = one({ type: 'llm', inputs: { messages: [{ role: 'user', content: 'Count them' }], words }, outputs: { role: 'assistant', content: 'many' } });
        await send(server, own.runs);
    });
    it('is read beside the page: its rows, what is found in it, its conversation', async () => {
        const page = await show('one', '&tab=input', {}, own);
        const tree = page.getByRole('tree', { name: 'Inputs' });
        await tree.getByText('120,000').waitFor();
        assert.ok((await tree.getByRole('treeitem').count()) <= 120);
        await page.getByLabel('Find in Inputs').fill('line 119999 ');
        await tree.getByText('line 119999 é日😀').waitFor();
        await page.locator('.json-chosen code', { hasText: '.words[119999].text' }).waitFor();
        await page.getByRole('tab', { name: 'Messages' }).click();
        await page.locator('.message.user', { hasText: 'Count them' }).waitFor();
        await close(page);
    });
    it('is there byte by byte, to its end', async () => {
        const page = await show('one', '&tab=raw', {}, own);
        const text = JSON.stringify(own.runs[0].inputs);
        const size = Buffer.byteLength(text);
        await page.getByText(`${size.toLocaleString('en')} bytes`).waitFor();
        const place = page.locator('.raw-lines');
        await eventually(async () => assert.equal(await page.locator('.raw-line').first().innerText(), text.slice(0, 80)));
        await place.evaluate((element) => (element.scrollTop = element.scrollHeight));
        await page.locator('.raw-line', { hasText: '}]}' }).waitFor();
        assert.ok((await page.locator('.raw-line').count()) <= 120);
        await eventually(async () => {
            const lines = await page.locator('.raw-line').allInnerTexts();
            assert.ok(text.endsWith(lines.join('')), lines.at(-1));
        });
        await page.getByRole('button', { name: 'SHA-256' }).click();
        await page.locator('.hash', { hasText: createHash('sha256').update(text).digest('hex') }).waitFor();
        const saved = page.waitForEvent('download');
        await page.getByRole('button', { name: 'Save', exact: true }).click();
        assert.equal((await saved).suggestedFilename(), `${own.ids.one}.inputs.json`);
        await close(page);
    });
    it('of which the rest does not come shows what came', async () => {
        const page = await browser.page(server, { path: '/ui/start' });
        await page.context().route(/\/inputs$/, (route) =>
            route.request().headers().range?.startsWith('bytes=0-262143') ? route.continue() : route.fulfill({ status: 500, json: { detail: 'broken' } }),
        );
        await page.goto(`${server.url}/ui/traces/${own.traceId}?tab=input`);
        await page.getByRole('alert').filter({ hasText: 'The server answered with 500' }).waitFor();
        await page.locator('pre.head', { hasText: /^\{"messages"/ }).waitFor();
        await close(page);
    });
});

describe('metadata, events', () => {
    it('lead to other runs with the same value', async () => {
        const page = await show('agent', '&tab=metadata');
        await page.getByRole('link', { name: 'bob' }).click();
        await page.waitForURL((url) => url.searchParams.get('q') === 'metadata.user:bob' && url.searchParams.get('project') === 'agents');
        await page.goBack();
        await page.locator('#tab-panel').getByRole('link', { name: 'eu west' }).click();
        await page.waitForURL((url) => url.searchParams.get('q') === 'tag:"eu west"');
        await close(page);
    });
    it('are told with the time since the run began', async () => {
        const page = await show('model-1', '&tab=events');
        await eventually(async () => assert.match(await page.getByRole('listitem').nth(1).innerText(), /\+570 ms\s+new_token\s+.*The/s));
        await close(page);
    });
    it('may be many', async () => {
        const events = Array.from({ length: 20_000 }, (_, i) => ({ name: 'new_token', time: new Date(Date.parse('2026-11-26T10:00:00Z') + i).toISOString() }));
        const page = await showOne({ events }, '&tab=events');
        await page.getByText('20,000 events').waitFor();
        assert.ok((await page.getByRole('listitem').count()) <= 120);
        await close(page);
    });
});

describe('feedback', () => {
    it('is given with a thumb and a comment, read, and taken back', async () => {
        const page = await show('docs', '&tab=feedback');
        await page.getByText('Nobody has said anything').waitFor();
        await page.getByLabel('Comment').fill('Not what I asked for');
        await page.locator('#tab-panel').getByRole('button', { name: 'Bad' }).click();
        const row = page.getByRole('row', { name: /user_score/ });
        await row.filter({ hasText: 'Not what I asked for' }).waitFor();
        const { json } = await server.get(`/feedback?run=${shown.ids.docs}`);
        assert.equal(json.length, 1);
        assert.equal(json[0].score, 0);
        assert.equal(json[0].feedback_source.type, 'app');
        await row.getByRole('button', { name: 'Take back' }).click();
        await page.getByText('Nobody has said anything').waitFor();
        await page.getByRole('button', { name: 'Mark as good' }).click();
        await page.getByText('Marked as good').waitFor();
        assert.equal((await server.get(`/feedback?run=${shown.ids.docs}`)).json[0].score, 1);
        await close(page);
    });
    it('that the server refuses is said', async () => {
        const page = await show('docs', '&tab=feedback');
        await page.locator('#thumb-up').waitFor();
        await page.route(/\/feedback$/, (route) => route.fulfill({ status: 503, json: { detail: 'The disk is full.' } }));
        await page.locator('#tab-panel').getByRole('button', { name: 'Good' }).click();
        await page.getByText('The disk is full.').waitFor();
        await close(page);
    });
});

// What only a stranger's text could have put there.  Pictures that are shown are of this page.
const strange = `document.querySelectorAll('main :is(script, iframe, object, embed, base, meta, link, style, form:not(.feedback-form), x, [onerror], [onload], [onclick], [onfocus], [ontoggle]), main img:not([src^="blob:"]), main a[href^="javascript" i], main a[href^="data" i]').length + (globalThis.hit ? 1000 : 0)`;

describe('what strangers wrote', () => {
    let own;
    before(async () => {
        own = trace(
            corpus.map((text, i) => ({
                key: String(i),
                name: text,
                type: ['llm', 'tool', 'chain'][i % 3],
                ...(i && { parent: '0' }),
                from: i,
                to: i + 1,
                inputs: {
                    system: text,
                    messages: [
                        { role: text, name: text, content: text },
                        { role: 'user', content: [{ type: 'text', text }, { type: 'image_url', image_url: { url: text } }, { type: 'file', file: { filename: text, file_data: text } }, { type: text, [text]: text }] },
                        { role: 'assistant', content: text, reasoning_content: text, tool_calls: [{ id: text, function: { name: text, arguments: text } }] },
                        { role: 'tool', tool_call_id: text, content: text },
                        { role: 'tool', tool_call_id: `${text} `, content: text },
                    ],
                    [text]: text,
                },
                outputs: { choices: [{ message: { role: 'assistant', content: `# ${text}\n\n- ${text}\n\n> ${text}\n\n| ${text} |\n|---|\n| ${text} |\n\n\`\`\`${text}\n${text}\n\`\`\`\n\n[${text}](${text})`, refusal: text } }] },
                ...(i % 2 && { error: `${text}\n${text}` }),
                tags: [text],
                extra: { metadata: { key: text, [text]: text, thread_id: text }, runtime: { [text]: text }, [text]: text },
                events: [{ name: text, time: text, [text]: text }],
            })),
            { project: corpus[0] },
        );
        await send(server, own.runs);
        for (const i of [0, 3])
            await server.post('/feedback', { run_id: own.ids[i], key: corpus[1], value: corpus[3], comment: corpus[3], feedback_source: { type: corpus[0] } });
    });
    for (const view of ['tree', 'waterfall', 'transcript'])
        it(`is text in the ${view}`, async () => {
            const page = await show('3', `&view=${view}&find=${encodeURIComponent('<script>')}`, {}, own);
            await page.waitForFunction(() => document.activeElement?.id === 'runs');
            await page.getByText('alert(1)').first().waitFor();
            await page.keyboard.press('n');
            assert.equal(await page.evaluate(strange), 0);
            await assertFits(page);
            await close(page);
        });
    for (const tab of ['messages', 'input', 'output', 'metadata', 'events', 'feedback', 'raw'])
        it(`is text in ${tab}`, async () => {
            const page = await show('0', `&tab=${tab}`, {}, own);
            for (let i = 0; i < corpus.length; i++) {
                await page.waitForURL((url) => url.searchParams.get('run') === own.ids[i]);
                await page.waitForFunction((name) => document.querySelector('#run h2')?.textContent === name, corpus[i]);
                await page.locator({ messages: '.message', input: '.json-row', output: '.json-row', metadata: '.pairs', events: '.event', feedback: '.feedback-form', raw: '.raw-line' }[tab]).first().waitFor();
                if (tab === 'feedback' && i === 3) await page.locator('.given td').first().waitFor();
                assert.equal(await page.evaluate(strange), 0, corpus[i]);
                await page.keyboard.press('j');
                if (i === corpus.length - 1) break;
            }
            if (['input', 'output'].includes(tab)) await page.getByRole('button', { name: 'Open all' }).click();
            await drawn(page);
            assert.equal(await page.evaluate(strange), 0);
            await close(page);
        });
    it('keeps the page as it is on a narrow screen', async () => {
        const page = await show('3', '&open=1', { width: 360, height: 640 }, own);
        await page.locator('.message').first().waitFor();
        await assertFits(page);
        await close(page);
    });
});

describe('who cannot see it, or not well', () => {
    for (const theme of ['light', 'dark'])
        for (const tab of ['messages', 'input', 'output', 'metadata', 'events', 'feedback', 'raw'])
            it(`${tab}, ${theme}`, async () => {
                const page = await show('model-2', `&tab=${tab}`, { theme });
                await page.getByRole('heading', { name: 'ChatOpenAI' }).waitFor();
                await page.locator({ messages: '.message', input: '.json-row', output: '.json-row', metadata: '.pairs', events: '#tab-panel p', feedback: '.feedback-form', raw: '.raw-line' }[tab]).first().waitFor();
                assert.deepEqual(await inaccessible(page), []);
                await close(page);
            });
});
