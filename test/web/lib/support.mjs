// support.mjs - runs for screens: such as an agent sends, many of them, over hours, the same in
// each test.  Sent as the SDK does, in layers.
import assert from 'node:assert/strict';

const HOUR = 3600_000;

const hex = (n, digits) => n.toString(16).padStart(digits, '0');
export const idOf = (ms, n) => `${hex(ms, 12).slice(0, 8)}-${hex(ms, 12).slice(8)}-7000-8000-${hex(n, 12)}`;

const stamp = (ms) => new Date(ms).toISOString().replace('Z', '000Z');

const questions = [
    'Where is my order 4711?',
    'Cancel my subscription, please',
    'Why was I charged twice in October?',
    'ناقش طلبي رقم ١٢ من فضلك',
    'Измените, пожалуйста, адрес доставки',
    'How do I reset the password of the second account?',
];
const models = ['gpt-9-mini', 'claude-next', 'llama-70b'];

// A trace of a root, its model, and a tool; one in seven fails.
function traceOf(n, begin, project) {
    const root = idOf(begin, n * 10);
    const failed = n % 7 === 3;
    const lasts = 200 + 2 * ((n * 7919) % 3000);
    const question = questions[n % questions.length];
    const order = (ms, id) => stamp(ms).replace(/[-:.]/g, '') + id;
    const base = { trace_id: root, session_name: project };
    const at = (from, to) => ({ start_time: stamp(begin + from), end_time: stamp(begin + to) });
    const top = order(begin, root);
    const child = (k, from, to, more) => {
        const id = idOf(begin + from, n * 10 + k);
        return { ...base, id, parent_run_id: root, dotted_order: `${top}.${order(begin + from, id)}`, ...at(from, to), ...more };
    };
    return [
        {
            ...base,
            id: root,
            dotted_order: top,
            name: n % 5 === 0 ? 'triage' : 'support agent',
            run_type: 'chain',
            inputs: { messages: [{ role: 'user', content: question }] },
            ...(failed
                ? { error: `ToolError: the order service did not answer (attempt ${n})\n  at lookup` }
                : { outputs: { answer: `Done: ${question}` } }),
            tags: n % 2 ? ['prod'] : ['test', 'prod'],
            extra: { metadata: { user: String(n % 9), thread_id: `thread-${n % 20}` } },
            ...at(0, lasts),
        },
        child(1, 10, lasts / 2, {
            name: 'model',
            run_type: 'llm',
            inputs: { messages: [{ role: 'user', content: question }] },
            outputs: {
                role: 'assistant',
                content: `I shall look into it: ${question}`,
                usage_metadata: {
                    input_tokens: 120 + (n % 300),
                    output_tokens: 20 + (n % 90),
                    total_tokens: 140 + (n % 300) + (n % 90),
                    total_cost: 0.0004 * (n % 30),
                },
            },
            extra: { metadata: { ls_model_name: models[n % 3], ls_provider: 'fake' } },
        }),
        child(2, lasts / 2, lasts - 5, {
            name: 'lookup',
            run_type: 'tool',
            inputs: { order: n },
            ...(failed ? { error: 'Timeout: 30 s' } : { outputs: { status: 'sent' } }),
        }),
    ];
}

export async function send(server, runs) {
    for (let at = 0; at < runs.length; at += 500) {
        const answer = await server.post('/runs/batch', { post: runs.slice(at, at + 500), patch: [] });
        assert.equal(answer.status, 202, answer.text);
    }
}

// `traces` of them over `hours` until now, in `project`.
export async function fill(server, { traces = 120, hours = 20, project = 'support', now = Date.now() } = {}) {
    const runs = [];
    for (let n = 0; n < traces; n++)
        runs.push(...traceOf(n, Math.floor(now - 60_000 - (n * hours * HOUR) / traces), project));
    await send(server, runs);
    return runs;
}

// One whole run.
export function oneRun({ name, project = 'support', ms = Date.now(), n = 0, ...more }) {
    const id = idOf(ms, n);
    return {
        id,
        trace_id: id,
        dotted_order: stamp(ms).replace(/[-:.]/g, '') + id,
        name,
        run_type: 'chain',
        session_name: project,
        start_time: stamp(ms),
        end_time: stamp(ms + 100),
        inputs: {},
        ...more,
    };
}
