// messages.mjs - the conversation of a run, of the shapes that frameworks and providers give to
// inputs and outputs; each call with what it came to.  Without a browser.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { module } from './lib/modules.mjs';

const { readConversation } = await module('run/conversation.ts');
const { usageOf } = await module('run/message.ts');
const { cut, Texts } = await module('run/cut.ts');
const { gist, errorLine } = await module('run/gist.ts');

// In short: role, and what was said.
function brief(part) {
    switch (part.kind) {
        case 'text':
            return part.text;
        case 'reasoning':
            return `(${part.text})`;
        case 'refusal':
            return `no: ${part.text}`;
        case 'call':
            return `${part.name}${JSON.stringify(part.args)}${part.failed ? ' failed' : ''}${part.result ? ` -> ${part.result.map(brief).join()}` : ''}`;
        case 'media':
            return `<${part.media} ${part.mime} ${part.data.length}>`;
        case 'link':
            return `<${part.media} ${part.url}>`;
        default:
            return JSON.stringify(part.value);
    }
}
const told = (list) => list.map(({ role, parts }) => `${role}: ${parts.map(brief).join(' | ')}`);
function conversation(inputs, outputs) {
    const { input, output } = readConversation(inputs, outputs);
    return { input: told(input), output: told(output) };
}
const lc = (kind, kwargs) => ({ lc: 1, type: 'constructor', id: ['langchain_core', 'messages', kind], kwargs });

// What it is, inputs, outputs, and what comes of them.
const shapes = [
    [
        'OpenAI, chat',
        { messages: [{ role: 'system', content: 'S' }, { role: 'user', content: [{ type: 'text', text: 'U' }, { type: 'image_url', image_url: { url: 'https://x.test/i.png' } }] }] },
        { choices: [{ index: 0, message: { role: 'assistant', content: 'A' } }] },
        ['system: S', 'user: U | <image https://x.test/i.png>'],
        ['assistant: A'],
    ],
    [
        'OpenAI, chat with calls',
        {
            messages: [
                { role: 'user', content: 'U' },
                { role: 'assistant', content: null, tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }] },
                { role: 'tool', tool_call_id: 'c1', content: '7' },
            ],
        },
        { choices: [{ message: { role: 'assistant', content: null, refusal: 'R' } }] },
        ['user: U', 'assistant: f{"a":1} -> 7'],
        ['assistant: no: R'],
    ],
    [
        'OpenAI, responses',
        {
            instructions: 'S',
            input: [
                { role: 'user', content: [{ type: 'input_text', text: 'U' }] },
                { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' },
                { type: 'function_call_output', call_id: 'c1', output: 'done' },
            ],
        },
        {
            output: [
                { type: 'reasoning', summary: [{ type: 'summary_text', text: 'T' }] },
                { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'A' }] },
            ],
        },
        ['system: S', 'user: U', 'assistant: f{} -> done'],
        ['assistant: (T)', 'assistant: A'],
    ],
    [
        'Anthropic',
        {
            system: [{ type: 'text', text: 'S' }],
            messages: [
                { role: 'user', content: 'U' },
                { role: 'assistant', content: [{ type: 'thinking', thinking: 'T' }, { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } }] },
                { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', is_error: true, content: [{ type: 'text', text: 'bad' }] }] },
            ],
        },
        { role: 'assistant', type: 'message', content: [{ type: 'text', text: 'A' }], usage: { input_tokens: 3, output_tokens: 4 } },
        ['system: S', 'user: U', 'assistant: (T) | f{"a":1} failed -> bad'],
        ['assistant: A'],
    ],
    [
        'LangChain, a model',
        { messages: [[lc('SystemMessage', { content: 'S' }), lc('HumanMessage', { content: 'U' })]] },
        { generations: [[{ text: 'A', message: lc('AIMessage', { content: 'A', tool_calls: [{ id: 'c', name: 'f', args: { x: 2 } }], additional_kwargs: { tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{"x":2}' } }] } }) }]] },
        ['system: S', 'user: U'],
        ['assistant: A | f{"x":2}'],
    ],
    [
        'LangChain, a graph that hands on what it was given',
        { messages: [lc('HumanMessage', { content: 'U' })] },
        { messages: [lc('HumanMessage', { content: 'U' }), lc('AIMessageChunk', { content: 'A' })] },
        ['user: U'],
        ['assistant: A'],
    ],
    [
        'LangChain, dictionaries and pairs',
        { messages: [['system', 'S'], { type: 'human', content: 'U' }, { type: 'ai', data: { content: 'A' } }] },
        { type: 'tool', name: 'f', tool_call_id: 'x', content: 'r', status: 'error' },
        ['system: S', 'user: U', 'assistant: A'],
        ['tool: r'],
    ],
    [
        'LangChain, a prompt',
        { q: 'x' },
        { lc: 1, type: 'constructor', id: ['langchain_core', 'prompt_values', 'ChatPromptValue'], kwargs: { messages: [lc('HumanMessage', { content: 'U' })] } },
        [],
        ['user: U'],
    ],
    [
        'Gemini',
        { systemInstruction: { parts: [{ text: 'S' }] }, contents: [{ role: 'user', parts: [{ text: 'U' }, { inlineData: { mimeType: 'image/png', data: 'AAAA' } }] }] },
        { candidates: [{ content: { role: 'model', parts: [{ text: 'T', thought: true }, { functionCall: { name: 'f', args: { a: 1 } } }] } }] },
        ['system: S', 'user: U | <image image/png 4>'],
        ['assistant: (T) | f{"a":1}'],
    ],
    [
        'Bedrock',
        { messages: [{ role: 'user', content: [{ text: 'U' }] }, { role: 'assistant', content: [{ toolUse: { toolUseId: 'b', name: 'f', input: {} } }] }, { role: 'user', content: [{ toolResult: { toolUseId: 'b', content: [{ text: '7' }], status: 'success' } }] }] },
        { output: { message: { role: 'assistant', content: [{ text: 'A' }] } } },
        ['user: U', 'assistant: f{} -> 7'],
        ['assistant: A'],
    ],
    [
        'Vercel',
        { messages: [{ role: 'assistant', content: [{ type: 'tool-call', toolCallId: 'v', toolName: 'f', input: { a: 1 } }] }, { role: 'tool', content: [{ type: 'tool-result', toolCallId: 'v', toolName: 'f', output: { type: 'text', value: '7' } }] }] },
        { text: 'A' },
        ['assistant: f{"a":1} -> 7'],
        ['assistant: A'],
    ],
    ['texts', { prompts: ['U1', 'U2'] }, { generations: [[{ text: 'A' }]] }, ['user: U1', 'user: U2'], ['assistant: A']],
    ['a question', { question: 'U' }, { answer: 'A' }, ['user: U'], ['assistant: A']],
    ['bare texts', 'U', 'A', ['user: U'], ['assistant: A']],
    ['pieces of a stream', { input: 'U' }, { outputs: [{ chunk: 'A' }, { chunk: 'B' }] }, ['user: U'], ['assistant: AB']],
    ['no conversation', { a: 1 }, { b: [1, 2] }, [], []],
    ['a tool', { city: 'Oslo' }, { output: '7' }, [], []],
    ['nothing', null, undefined, [], []],
];

describe('a conversation', () => {
    for (const [what, inputs, outputs, input, output] of shapes)
        it(what, () => assert.deepEqual(conversation(inputs, outputs), { input, output }));

    it('keeps what answers no call, and only the first of two answers', () => {
        const call = { role: 'assistant', content: 'x', tool_calls: [{ id: 'c', function: { name: 'f', arguments: '' } }] };
        const answer = (id, content) => ({ role: 'tool', tool_call_id: id, content });
        assert.deepEqual(conversation({ messages: [call, answer('c', '1'), answer('c', '2'), answer('d', '3')] }, null).input, [
            'assistant: x | f"" -> 1',
            'tool: 2',
            'tool: 3',
        ]);
    });
    it('of arguments that are no JSON has their text', () => {
        const call = { role: 'assistant', tool_calls: [{ id: 'c', function: { name: 'f', arguments: '{"a":' } }] };
        assert.deepEqual(conversation({ messages: [call] }, null).input, ['assistant: f"{\\"a\\":"']);
    });
    it('is read from what real clients sent', async () => {
        const folder = new URL('../data/captures/py-basic-batch-json/', import.meta.url);
        const { post } = JSON.parse(await readFile(new URL(JSON.parse(await readFile(new URL('requests.json', folder), 'utf8'))[0].body, folder), 'utf8'));
        const run = post.find(({ run_type }) => run_type === 'llm');
        assert.match(conversation(run.inputs, null).input[0], /^user: capital of France/);
    });

    // Each place of a message, filled with what does not belong there.
    it('breaks of nothing', () => {
        const wrong = [null, undefined, 0, 1e99, '', 'x', true, [], [[]], [null], {}, { a: {} }, { type: 'text' }, { type: 'tool_use' }, { type: 7 }, { role: 7 }, { role: 'user' }, { role: '__proto__', content: '__proto__' }, { type: 'constructor', content: 'x' }, { lc: 1, kwargs: 7 }, { lc: 1, id: 7, kwargs: {} }];
        const members = ['messages', 'input', 'contents', 'system', 'prompts', 'generations', 'choices', 'candidates', 'output', 'outputs', 'usage', 'llm_output'];
        for (const one of wrong) {
            readConversation(one, one);
            for (const name of members) {
                for (const value of [one, [one], [[one]], { message: one }]) readConversation({ [name]: value }, { [name]: value });
            }
            for (const name of ['content', 'tool_calls', 'function_call', 'additional_kwargs', 'parts', 'tool_call_id', 'name', 'usage_metadata'])
                for (const value of [one, [one], [{ type: 'text', text: one }], [{ function: one }], [{ type: 'tool_use', id: one, name: one, input: one }], [{ type: 'image', source: one }]])
                    readConversation({ messages: [{ role: 'user', [name]: value }, lc('AIMessage', { [name]: value })] }, null);
        }
    });
});

describe('what a message used', () => {
    it('is told by all of them', () => {
        const used = { input: 10, output: 5, cached: 4, reasoning: 2 };
        assert.deepEqual(usageOf({ prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 2 } }), used);
        assert.deepEqual(usageOf({ input_tokens: 10, output_tokens: 5, input_token_details: { cache_read: 4 }, output_token_details: { reasoning: 2 } }), used);
        assert.deepEqual(usageOf({ inputTokens: 10, outputTokens: 5 }), { ...used, cached: 0, reasoning: 0 });
        assert.equal(usageOf({ a: 1 }), null);
        const { output } = readConversation({}, { choices: [{ message: { role: 'assistant', content: 'A' } }], usage: { prompt_tokens: 1, completion_tokens: 2 } });
        assert.equal(output[0].usage.output, 2);
    });
});

describe('a long text', () => {
    it('is cut, not through a character, and its rest can be asked for', () => {
        const text = `${'a'.repeat(19_999)}😀${'b'.repeat(50)}`;
        const texts = new Texts();
        const shown = cut(readConversation({ messages: [{ role: 'user', content: text }] }, null), texts);
        const { said } = shown.input[0].parts[0];
        assert.equal(said.text.length, 19_999);
        assert.equal(said.length, text.length);
        assert.equal(said.text + texts.piece(said.ref, 19_999, 1e9), text);
        assert.equal(texts.piece(-1, 0, 9), '');
    });
});

describe('a line', () => {
    it('says the last thing of a beginning of JSON', () => {
        assert.equal(gist('{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi \\"you\\"'), 'Hi "you"');
        assert.equal(gist('{"output":"cut in an escape \\u00'), 'cut in an escape \\u00');
        assert.equal(gist('{"a":1}'), '{"a":1}');
        assert.equal(gist(null), '');
    });
    it('says what went wrong', () => {
        assert.equal(errorLine('Traceback (most recent call last):\n  File\nKeyError: 1\n'), 'KeyError: 1');
        assert.equal(errorLine('TypeError: x\n    at y'), 'TypeError: x');
    });
});
