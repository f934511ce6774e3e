// The conversation of a run: the messages in its inputs and outputs, each call of a tool
// with what it came to.
import { isObject, message, partsOf, readMessage, usageOf, type Json, type Message, type Part } from './message.ts';

export interface Conversation {
    input: Message[];
    output: Message[];
}

// A list of which every item is a message; lists of one list, as batches are, likewise.
function readList(value: unknown): Message[] | null {
    if (!Array.isArray(value) || !value.length) return null;
    const own = readMessage(value);
    if (own) return own;
    const all: Message[] = [];
    for (const item of value) {
        const read = readMessage(item) ?? (Array.isArray(item) ? readList(item) : null);
        if (!read) return null;
        all.push(...read);
    }
    return all;
}

const spoken = (role: string, value: unknown): Message[] =>
    typeof value === 'string' && value ? [message(role, [{ kind: 'text', text: value }], { bare: true })] : [];

// A message, a list of them, or what a prompt template made.
function readAny(value: unknown): Message[] | null {
    if (isObject(value) && value.lc === 1 && isObject(value.kwargs)) {
        const inside = readList(value.kwargs.messages);
        if (inside) return inside;
        if (typeof value.kwargs.text === 'string') return spoken('user', value.kwargs.text);
    }
    return readList(value) ?? readMessage(value);
}

// The first of these members that says something.
function fromMembers(value: Json, names: string[], role: string): Message[] {
    for (const name of names) {
        const found = readAny(value[name]);
        if (found?.length) return found;
        const said = spoken(role, value[name]);
        if (said.length) return said;
    }
    return [];
}

// What stands beside the messages: Anthropic's system, OpenAI's instructions, Gemini's.
function systemBeside(value: Json): Message[] {
    for (const name of ['system', 'instructions', 'systemInstruction', 'system_instruction', 'system_prompt']) {
        const said = value[name];
        const parts = isObject(said) && Array.isArray(said.parts) ? partsOf(said.parts) : partsOf(said);
        if (parts.length && parts.every((part) => part.kind === 'text')) return [message('system', parts)];
    }
    return [];
}

const ASKED = ['messages', 'input', 'contents', 'chat_history', 'prompt', 'prompts', 'question', 'query', 'text'];

export function readInputs(value: unknown): Message[] {
    if (typeof value === 'string') return spoken('user', value);
    const direct = readAny(value);
    if (direct) return direct;
    if (!isObject(value)) return [];
    const prompts = value.prompts;
    if (Array.isArray(prompts) && prompts.every((one) => typeof one === 'string'))
        return prompts.flatMap((one) => spoken('user', one));
    return [...systemBeside(value), ...fromMembers(value, ASKED, 'user')];
}

// LangChain: { generations: [[{ text, message }]] }
function fromGenerations(value: Json): Message[] {
    const lists = Array.isArray(value.generations) ? value.generations : [];
    return lists.flat().flatMap((one): Message[] => {
        if (!isObject(one)) return [];
        return readMessage(one.message) ?? spoken('assistant', one.text);
    });
}

// OpenAI: { choices: [{ message }] }; Gemini: { candidates: [{ content }] }
function fromChoices(value: Json): Message[] {
    const list = [value.choices, value.candidates].find(Array.isArray) as unknown[] | undefined;
    return (list ?? []).flatMap((one): Message[] => {
        if (!isObject(one)) return [];
        return readMessage(one.message) ?? readMessage(one.content) ?? spoken('assistant', one.text);
    });
}

// Pieces of a stream, put together.
function fromPieces(value: unknown): Message[] {
    if (!Array.isArray(value) || !value.length) return [];
    const pieces = value.map((one) => (isObject(one) ? (one.chunk ?? one.text) : one));
    if (!pieces.every((one) => typeof one === 'string')) return [];
    return spoken('assistant', pieces.join(''));
}

const ANSWERED = ['messages', 'message', 'output', 'answer', 'response', 'result', 'completion', 'text', 'content'];

function outputsOf(value: unknown): Message[] {
    if (typeof value === 'string') return spoken('assistant', value);
    const direct = readAny(value);
    if (direct) return direct;
    if (!isObject(value)) return [];
    if (isObject(value.output) && isObject(value.output.message)) {
        const bedrock = readMessage(value.output.message);
        if (bedrock) return bedrock;
    }
    for (const found of [fromGenerations(value), fromChoices(value)]) if (found.length) return found;
    const named = fromMembers(value, ANSWERED, 'assistant');
    return named.length ? named : fromPieces(value.outputs);
}

// Where the answer says beside the messages what it cost, its last message does.
export function readOutputs(value: unknown): Message[] {
    const messages = outputsOf(value);
    const last = messages[messages.length - 1];
    if (last && !last.usage && isObject(value)) {
        const llm = value.llm_output ?? value.llmOutput;
        last.usage =
            usageOf(value.usage_metadata) ??
            usageOf(value.usage) ??
            usageOf(value.usageMetadata) ??
            (isObject(llm) ? (usageOf(llm.token_usage) ?? usageOf(llm.usage)) : null);
    }
    return messages;
}

// ---- together ----

const sameMessage = (a: Message, b: Message): boolean =>
    a.role === b.role && a.callId === b.callId && JSON.stringify(a.parts) === JSON.stringify(b.parts);

// A graph hands on what it was given: only what it added is its output.
function withoutRepeated(input: Message[], output: Message[]): Message[] {
    if (output.length < input.length || !input.length) return output;
    return input.every((one, i) => sameMessage(one, output[i])) ? output.slice(input.length) : output;
}

// Each tool's message goes to the call it answers.
function pair(messages: Message[]): Message[] {
    const calls = new Map<string, Part & { kind: 'call' }>();
    for (const { parts } of messages)
        for (const part of parts)
            if (part.kind === 'call' && part.id && !calls.has(part.id)) calls.set(part.id, part);
    return messages.filter((one) => {
        const asked = one.role === 'tool' && one.callId ? calls.get(one.callId) : undefined;
        if (!asked || asked.result) return true;
        asked.result = one.parts;
        asked.failed = one.failed;
        return false;
    });
}

export function readConversation(inputs: unknown, outputs: unknown): Conversation {
    const input = readInputs(inputs);
    const output = withoutRepeated(input, readOutputs(outputs));
    // A text that answers nothing that was said is what a tool came to.
    if (!input.length && output.every(({ bare }) => bare)) return { input, output: [] };
    const kept = new Set(pair([...input, ...output]));
    return { input: input.filter((one) => kept.has(one)), output: output.filter((one) => kept.has(one)) };
}
