// traces.mjs - traces for the page to show: one that an agent might have made, and one of any
// size and shape.
import assert from 'node:assert/strict';
import { ask, uuid } from '../../e2e/lib/client.mjs';

const at = (ms) => new Date(Date.parse('2026-11-26T10:00:00.000Z') + ms).toISOString();

const stamp = (time) => time.replace(/[-:.]/g, '').replace('Z', '000Z');

// Runs by short names, each with its parent's: { name, type, parent, from, to, ... }
export function trace(list, { project = 'agents' } = {}) {
    const ids = new Map(list.map(({ key }) => [key, uuid()]));
    const traceId = ids.get(list[0].key);
    const orders = new Map();
    const runs = list.map(({ key, parent, name = key, type = 'chain', from = 0, to, ...rest }) => {
        const id = ids.get(key);
        const start = at(from);
        const order = `${parent ? `${orders.get(parent)}.` : ''}${stamp(start)}${id}`;
        orders.set(key, order);
        return {
            id,
            trace_id: traceId,
            parent_run_id: parent ? ids.get(parent) : undefined,
            dotted_order: order,
            name,
            run_type: type,
            session_name: project,
            start_time: start,
            ...(to !== undefined && { end_time: at(to) }),
            inputs: {},
            ...rest,
        };
    });
    return { traceId, ids: Object.fromEntries(ids), runs };
}

export async function send(server, runs, patch = [], headers = {}) {
    const body = JSON.stringify({ post: runs, patch });
    const answer = await ask(server, 'POST', '/runs/batch', { headers: { 'content-type': 'application/json', ...headers }, body });
    assert.equal(answer.status, 202, answer.text);
}

const asked = 'What is the weather in Paris and in Oslo? Answer in **Celsius**.';
const calls = [
    { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } },
    { id: 'call_2', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Oslo","unit":"C"}' } },
];
const traceback = [
    'Traceback (most recent call last):',
    '  File "/srv/agent/tools.py", line 42, in get_weather',
    '    return client.get(city).json()["temperature"]',
    "KeyError: 'temperature'",
].join('\n');

const usage = (input, output) => ({ usage_metadata: { input_tokens: input, output_tokens: output, total_tokens: input + output } });

// An agent that asks a model, calls a tool twice, of which one fails, and asks again.
const agentRuns = () => [
    {
        key: 'agent',
        from: 0,
        to: 5200,
        inputs: { messages: [{ role: 'user', content: asked }] },
        outputs: { messages: [{ role: 'user', content: asked }, { role: 'assistant', content: 'Paris: 11 °C. For Oslo there is nothing.' }] },
        tags: ['prod', 'eu west'],
        extra: { metadata: { user: 'bob', thread_id: 'th-1', plan: 'pro' }, runtime: { sdk: 'langsmith-js', sdk_version: '0.12.0' } },
    },
    { key: 'plan', parent: 'agent', from: 20, to: 1900, inputs: { step: 1 }, outputs: { next: 'tools' } },
    {
        key: 'model-1',
        name: 'ChatOpenAI',
        type: 'llm',
        parent: 'plan',
        from: 40,
        to: 1850,
        inputs: { messages: [{ role: 'system', content: 'You are a **terse** assistant.' }, { role: 'user', content: asked }] },
        outputs: { choices: [{ message: { role: 'assistant', content: null, tool_calls: calls } }], ...usage(420, 64) },
        extra: { metadata: { ls_model_name: 'gpt-x', ls_provider: 'openai' }, invocation_params: { temperature: 0 } },
        events: [
            { name: 'start', time: at(40) },
            { name: 'new_token', time: at(610), kwargs: { token: 'The' } },
            { name: 'end', time: at(1850) },
        ],
    },
    { key: 'tools', parent: 'agent', from: 1920, to: 3400, inputs: {}, outputs: {} },
    { key: 'paris', name: 'get_weather', type: 'tool', parent: 'tools', from: 1930, to: 2700, inputs: { city: 'Paris' }, outputs: { output: '11' } },
    { key: 'oslo', name: 'get_weather', type: 'tool', parent: 'tools', from: 1935, to: 3390, inputs: { city: 'Oslo' }, error: traceback },
    { key: 'docs', name: 'search_docs', type: 'retriever', parent: 'agent', from: 3410, to: 3500, inputs: { query: 'weather codes' }, outputs: { documents: [{ page_content: 'Codes are …', metadata: { source: 'codes.md' } }] } },
    { key: 'answer', parent: 'agent', from: 3520, to: 5190, inputs: { step: 2 }, outputs: { text: 'ok' } },
    {
        key: 'model-2',
        name: 'ChatOpenAI',
        type: 'llm',
        parent: 'answer',
        from: 3530,
        to: 5180,
        inputs: {
            messages: [
                { role: 'system', content: 'You are a **terse** assistant.' },
                { role: 'user', content: asked },
                { role: 'assistant', content: null, tool_calls: calls },
                { role: 'tool', tool_call_id: 'call_1', content: '11' },
                { role: 'tool', tool_call_id: 'call_2', content: "KeyError: 'temperature'", status: 'error' },
            ],
        },
        outputs: {
            choices: [
                {
                    message: {
                        role: 'assistant',
                        reasoning_content: 'Only one of the two calls worked. I say so.',
                        content: '# Weather\n\n- Paris: **11 °C**\n- Oslo: unknown, the `get_weather` tool failed\n\n| city | °C |\n|---|---|\n| Paris | 11 |\n\n```python\nprint("done")\n```',
                    },
                },
            ],
            ...usage(610, 120),
        },
        extra: { metadata: { ls_model_name: 'gpt-x' } },
    },
];

export const agent = () => trace(agentRuns());

// The same agent another time: it was told other things, no call fails, it looks up nothing and
// asks somebody instead; all of it takes longer.
export function otherAgent() {
    const changes = {
        'model-1': (run) => {
            run.inputs.messages[0].content = 'You are a **friendly** assistant.\nUse metric units.';
            Object.assign(run.outputs, usage(470, 71));
        },
        oslo: (run) => Object.assign(run, { error: undefined, outputs: { output: '4' }, to: 3000 }),
        docs: (run) => Object.assign(run, { key: 'ask', name: 'ask_forecaster', type: 'tool' }),
        'model-2': (run) => {
            run.inputs.messages[0].content = 'You are a **friendly** assistant.\nUse metric units.';
            run.inputs.messages[4] = { role: 'tool', tool_call_id: 'call_2', content: '4' };
            run.outputs.choices[0].message = { role: 'assistant', content: '# Weather\n\n- Paris: **11 °C**\n- Oslo: **4 °C**\n\nTake a coat to Oslo!' };
            run.to += 900;
        },
        agent: (run) => {
            run.outputs.messages[1].content = 'Paris: 11 °C. Oslo: 4 °C. Take a coat to Oslo!';
            run.to += 900;
        },
    };
    const runs = agentRuns();
    for (const run of runs) changes[run.key]?.(run);
    return trace(runs);
}

// A trace of `count` runs, as the server tells a skeleton: four below each, a model in three.
export function largeSkeleton(count, traceId = uuid()) {
    const runs = Array.from({ length: count }, (_, i) => i);
    const depthOf = (i) => Math.floor(Math.log2(3 * i + 1) / 2);
    const whole = count * 1000;
    return {
        trace_id: traceId,
        count,
        start_us: Date.parse('2026-11-26T10:00:00Z') * 1000,
        names: ['agent', 'ChatOpenAI', 'get_weather', 'retrieve'],
        types: ['chain', 'llm', 'tool', 'retriever'],
        id: runs.map((i) => (i ? `${String(i).padStart(8, '0')}-0000-7000-8000-000000000000` : traceId)),
        parent: runs.map((i) => (i ? Math.floor((i - 1) / 4) : -1)),
        name: runs.map((i) => (4 * i + 1 < count ? 0 : 1 + (i % 3))),
        type: runs.map((i) => (4 * i + 1 < count ? 0 : 1 + (i % 3))),
        start: runs.map((i) => i * 900),
        duration: runs.map((i) => Math.max(50, Math.floor((whole - i * 900) / 2 ** depthOf(i)))),
        status: runs.map((i) => (i % 997 === 996 ? 1 : 0)),
        tokens: runs.map((i) => (i % 3 ? -1 : i % 4000)),
        cost: runs.map((i) => (i % 3 ? null : (i % 100) / 1000)),
        first_token: runs.map((i) => (i % 3 ? -1 : 20)),
        flags: runs.map(() => 0),
        project: { id: uuid(), name: 'large' },
        truncated: false,
    };
}
