// sample.ts - a trace to look at before there is one: an agent, its model, a tool that fails.
import { api } from './api.ts';

export const SAMPLE_PROJECT = 'sample';

// The time in its first 48 bits, as the SDKs make them.
function uuid7(ms: number): string {
    const random = crypto.getRandomValues(new Uint8Array(10));
    const hex = [...random].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const time = Math.floor(ms).toString(16).padStart(12, '0');
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-a${hex.slice(3, 6)}-${hex.slice(6, 18)}`;
}

interface Step {
    name: string;
    run_type: string;
    at: number; // ms after the trace began
    lasts: number;
    inputs: object;
    outputs?: object;
    error?: string;
    tags?: string[];
    metadata?: object;
    steps?: Step[];
}

const question = { role: 'user', content: 'What is 17 % of the population of Iceland?' };
const model = { ls_provider: 'sample', ls_model_name: 'sample-large' };

const trace: Step = {
    name: 'answer a question',
    run_type: 'chain',
    at: 0,
    lasts: 4180,
    inputs: { messages: [question] },
    outputs: { messages: [{ role: 'assistant', content: 'About **65 000** people: 17 % of 383 726.' }] },
    tags: ['sample'],
    metadata: { user: '42', thread_id: 'a-conversation' },
    steps: [
        {
            name: 'plan',
            run_type: 'llm',
            at: 12,
            lasts: 930,
            metadata: model,
            inputs: { messages: [{ role: 'system', content: 'Use the tools. Be brief.' }, question] },
            outputs: {
                role: 'assistant',
                content: '',
                tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'search', arguments: '{"query":"population of Iceland"}' } }],
                usage_metadata: { input_tokens: 212, output_tokens: 31, total_tokens: 243 },
            },
        },
        {
            name: 'search',
            run_type: 'retriever',
            at: 950,
            lasts: 410,
            inputs: { query: 'population of Iceland' },
            outputs: { documents: [{ page_content: 'On 1 January 2024, 383 726 people lived in Iceland.', metadata: { source: 'statistics' } }] },
        },
        {
            name: 'calculate',
            run_type: 'tool',
            at: 1370,
            lasts: 38,
            inputs: { expression: '17% * 383726' },
            error: 'SyntaxError: unexpected "*" at column 5\n  at parse (calculator.js:41)\n  at calculate (calculator.js:12)',
        },
        {
            name: 'calculate',
            run_type: 'tool',
            at: 2210,
            lasts: 21,
            inputs: { expression: '0.17 * 383726' },
            outputs: { output: 65233.42 },
        },
        {
            name: 'answer',
            run_type: 'llm',
            at: 2260,
            lasts: 1890,
            metadata: model,
            inputs: {
                messages: [
                    question,
                    { role: 'assistant', content: '', tool_calls: [{ id: 'call_2', type: 'function', function: { name: 'calculate', arguments: '{"expression":"0.17 * 383726"}' } }] },
                    { role: 'tool', tool_call_id: 'call_2', content: '65233.42' },
                ],
            },
            outputs: {
                role: 'assistant',
                content: 'About **65 000** people: 17 % of 383 726.',
                usage_metadata: { input_tokens: 301, output_tokens: 24, total_tokens: 325 },
            },
        },
    ],
};

const stamp = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

function runsOf(step: Step, begin: number, parent: { id: string; trace: string; order: string } | null): object[] {
    const { at, lasts, steps, metadata, ...fields } = step;
    const start = begin + at;
    const id = uuid7(start);
    const order = `${parent ? `${parent.order}.` : ''}${stamp(start).replace(/[-:.]/g, '')}${id}`;
    const here = { id, trace: parent?.trace ?? id, order };
    const run = {
        ...fields,
        id,
        trace_id: here.trace,
        parent_run_id: parent?.id ?? null,
        dotted_order: order,
        start_time: stamp(start),
        end_time: stamp(start + lasts),
        session_name: SAMPLE_PROJECT,
        ...(metadata && { extra: { metadata } }),
    };
    return [run, ...(steps ?? []).flatMap((one) => runsOf(one, begin, here))];
}

// Returns the trace's id.
export async function sendSample(): Promise<string> {
    const runs = runsOf(trace, Date.now() - trace.lasts - 1000, null);
    await api.json('POST', '/runs/batch', { post: runs, patch: [] });
    return (runs[0] as { id: string }).id;
}
