// One message of a conversation, of the many shapes that frameworks give it.
//
// Payloads are written by strangers: nothing is taken to be of a type before it was looked at,
// and nothing is followed deeper than a message goes.

export type Part =
    | { kind: 'text'; text: string }
    | { kind: 'reasoning'; text: string }
    | { kind: 'refusal'; text: string }
    | { kind: 'media'; media: 'image' | 'audio' | 'video' | 'file'; name: string; mime: string; data: string }
    | { kind: 'link'; media: 'image' | 'audio' | 'video' | 'file'; url: string }
    | { kind: 'call'; id: string; name: string; args: unknown; result: Part[] | null; failed: boolean }
    | { kind: 'json'; value: unknown };

export interface Usage {
    input: number;
    output: number;
    cached: number;
    reasoning: number;
}

export interface Message {
    role: string; // system, developer, user, assistant, tool, or what was sent
    name: string;
    parts: Part[];
    callId: string; // of a tool's message: what it answers
    failed: boolean;
    usage: Usage | null;
    bare: boolean; // a text beside others, which nobody called a message
}

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
    typeof value === 'object' && value !== null && !Array.isArray(value);

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const firstText = (...values: unknown[]): string =>
    (values.find((value) => typeof value === 'string' && value !== '') as string) ?? '';

// ---- roles ----

const ROLES: Record<string, string> = Object.assign(Object.create(null), {
    human: 'user',
    humanmessage: 'user',
    humanmessagechunk: 'user',
    user: 'user',
    ai: 'assistant',
    aimessage: 'assistant',
    aimessagechunk: 'assistant',
    assistant: 'assistant',
    model: 'assistant',
    system: 'system',
    systemmessage: 'system',
    systemmessagechunk: 'system',
    developer: 'developer',
    tool: 'tool',
    toolmessage: 'tool',
    toolmessagechunk: 'tool',
    function: 'tool',
    functionmessage: 'tool',
    functionmessagechunk: 'tool',
});

const knownRole = (name: unknown): string =>
    typeof name === 'string' ? (ROLES[name.toLowerCase()] ?? '') : '';

const last = (list: unknown): unknown => (Array.isArray(list) ? list[list.length - 1] : undefined);

// ---- parts ----

// Arguments of a call: often JSON as text.
function readArgs(value: unknown): unknown {
    if (typeof value !== 'string') return value ?? {};
    if (!/^\s*[[{]/.test(value)) return value;
    try {
        return JSON.parse(value);
    } catch {
        return value;
    }
}

const call = (id: unknown, name: unknown, args: unknown): Part => ({
    kind: 'call',
    id: text(id),
    name: text(name) || 'tool',
    args: readArgs(args),
    result: null,
    failed: false,
});

type Medium = 'image' | 'audio' | 'video' | 'file';

const mediumOf = (mime: string): Medium => {
    const kind = mime.split('/')[0];
    return kind === 'image' || kind === 'audio' || kind === 'video' ? kind : 'file';
};

// A data: URL, another URL, or base64 with a type beside it.
function medium(media: Medium, value: unknown, mime = '', name = ''): Part {
    const source = text(value);
    const inline = /^data:([\w.+-]+\/[\w.+-]+)?(?:;[^,;]*)*;base64,/i.exec(source.slice(0, 200));
    if (inline) {
        const type = inline[1] ?? mime;
        return { kind: 'media', media, name, mime: type, data: source.slice(inline[0].length) };
    }
    if (/^[a-z][a-z0-9+.-]*:/i.test(source.slice(0, 40))) return { kind: 'link', media, url: source };
    return { kind: 'media', media, name, mime, data: source };
}

// { source: { type: base64, media_type, data } } or { type: url, url } or { type: text, data }
function anthropicSource(media: Medium, source: Json, name: string): Part {
    if (typeof source.url === 'string') return { kind: 'link', media, url: source.url };
    if (source.type === 'text') return { kind: 'text', text: text(source.data) };
    return medium(media, source.data, text(source.media_type), name);
}

// A block by its `type`.  null: of no type that is known.
function typedPart(type: string, b: Json): Part | null {
    switch (type) {
        case 'text':
        case 'input_text':
        case 'output_text':
        case 'text-plain':
            return { kind: 'text', text: text(b.text) };
        case 'refusal':
            return { kind: 'refusal', text: text(b.refusal) };
        case 'thinking':
        case 'reasoning':
        case 'redacted_thinking':
        case 'reasoning_content':
            return { kind: 'reasoning', text: reasoningOf(b) };
        case 'tool_use':
        case 'server_tool_use':
        case 'mcp_tool_use':
            return call(b.id, b.name, b.input);
        case 'tool_call':
        case 'server_tool_call':
            return call(b.id, b.name, b.args);
        case 'tool-call':
            return call(b.toolCallId, b.toolName, b.args ?? b.input);
        case 'function_call':
        case 'custom_tool_call':
            return call(b.call_id ?? b.id, b.name, b.arguments ?? b.input);
        case 'image_url':
        case 'input_image': {
            const url = isObject(b.image_url) ? b.image_url.url : b.image_url;
            return url === undefined ? null : medium('image', url);
        }
        case 'input_audio':
            return isObject(b.input_audio)
                ? medium('audio', b.input_audio.data, `audio/${text(b.input_audio.format)}`)
                : null;
        case 'input_file':
            return medium('file', b.file_data ?? b.file_url, '', text(b.filename));
        case 'image':
        case 'audio':
        case 'video':
        case 'file':
        case 'document':
        case 'media':
            return mediaPart(type, b);
        default:
            return null;
    }
}

function mediaPart(type: string, b: Json): Part | null {
    const mime = firstText(b.mime_type, b.mimeType, b.mediaType, b.media_type);
    const media = type === 'document' ? 'file' : type === 'media' ? mediumOf(mime) : (type as Medium);
    const name = firstText(b.filename, b.name, b.title);
    if (isObject(b.source)) return anthropicSource(media, b.source, name);
    if (isObject(b.file)) return medium(media, b.file.file_data ?? b.file.file_id, mime, text(b.file.filename));
    const value = b.data ?? b.base64 ?? b.url ?? b.image;
    return typeof value === 'string' ? medium(media, value, mime, name) : null;
}

function reasoningOf(b: Json): string {
    const said = firstText(b.thinking, b.reasoning, b.text);
    if (said) return said;
    const lists = [b.summary, b.content].filter(Array.isArray) as unknown[][];
    const lines = lists.flat().map((item) => (isObject(item) ? text(item.text) : text(item)));
    return lines.filter(Boolean).join('\n\n') || '(not shown by the provider)';
}

// A block without a type: Gemini and Bedrock say what it is by the member it has.
function untypedPart(b: Json): Part | null {
    if (typeof b.text === 'string')
        return { kind: b.thought === true ? 'reasoning' : 'text', text: b.text };
    const fn = b.functionCall ?? b.function_call;
    if (isObject(fn)) return call(fn.id ?? fn.name, fn.name, fn.args);
    if (isObject(b.toolUse)) return call(b.toolUse.toolUseId, b.toolUse.name, b.toolUse.input);
    const inline = b.inlineData ?? b.inline_data;
    if (isObject(inline)) {
        const mime = firstText(inline.mimeType, inline.mime_type);
        return medium(mediumOf(mime), inline.data, mime);
    }
    const file = b.fileData ?? b.file_data;
    if (isObject(file)) return medium('file', firstText(file.fileUri, file.file_uri));
    if (isObject(b.image) && isObject(b.image.source))
        return medium('image', b.image.source.bytes, `image/${text(b.image.format)}`);
    if (isObject(b.reasoningContent)) {
        const said = b.reasoningContent.reasoningText;
        return { kind: 'reasoning', text: isObject(said) ? text(said.text) : '' };
    }
    return null;
}

function part(block: unknown): Part {
    if (typeof block === 'string') return { kind: 'text', text: block };
    if (!isObject(block)) return { kind: 'json', value: block };
    const type = text(block.type);
    return (type ? typedPart(type, block) : null) ?? untypedPart(block) ?? { kind: 'json', value: block };
}

// What a block answers, if it is the result of a call: [id, content, failed].
function resultIn(block: unknown): [string, unknown, boolean] | null {
    if (!isObject(block)) return null;
    const type = text(block.type);
    if (/^(mcp_|web_search_|code_execution_)?tool_result$/.test(type))
        return [firstText(block.tool_use_id, block.tool_call_id), block.content, block.is_error === true];
    if (type === 'tool-result') {
        const output = block.output ?? block.result;
        const value = isObject(output) && 'value' in output ? output.value : output;
        return [text(block.toolCallId), value, block.isError === true];
    }
    if (type === 'function_call_output' || type === 'custom_tool_call_output')
        return [text(block.call_id), block.output, false];
    const fn = block.functionResponse ?? block.function_response;
    if (isObject(fn)) return [firstText(fn.id, fn.name), fn.response, false];
    if (isObject(block.toolResult))
        return [text(block.toolResult.toolUseId), block.toolResult.content, block.toolResult.status === 'error'];
    return null;
}

export function partsOf(content: unknown): Part[] {
    if (content === null || content === undefined || content === '') return [];
    if (Array.isArray(content)) return content.map(part);
    return [part(content)];
}

// ---- messages ----

export const message = (role: string, parts: Part[], more: Partial<Message> = {}): Message => ({
    role,
    name: '',
    parts,
    callId: '',
    failed: false,
    usage: null,
    bare: false,
    ...more,
});

const number = (...values: unknown[]): number =>
    (values.find((value) => typeof value === 'number') as number | undefined) ?? 0;

export function usageOf(value: unknown): Usage | null {
    if (!isObject(value)) return null;
    const inside = (name: string): Json => (isObject(value[name]) ? (value[name] as Json) : {});
    const inputs = { ...inside('prompt_tokens_details'), ...inside('input_token_details'), ...inside('input_tokens_details') };
    const outputs = { ...inside('completion_tokens_details'), ...inside('output_token_details'), ...inside('output_tokens_details') };
    const usage = {
        input: number(value.input_tokens, value.prompt_tokens, value.inputTokens, value.promptTokenCount),
        output: number(value.output_tokens, value.completion_tokens, value.outputTokens, value.candidatesTokenCount),
        cached: number(inputs.cache_read, inputs.cached_tokens, value.cache_read_input_tokens),
        reasoning: number(outputs.reasoning, outputs.reasoning_tokens),
    };
    return usage.input || usage.output ? usage : null;
}

// The members that carry calls beside the content, each once.
function callsBeside(m: Json, known: Part[]): Part[] {
    const extra = isObject(m.additional_kwargs) ? m.additional_kwargs : {};
    const lists = [m.tool_calls, extra.tool_calls, m.toolCalls].filter(Array.isArray) as unknown[][];
    const calls: Part[] = [];
    const ids = new Set(known.flatMap((p) => (p.kind === 'call' && p.id ? [p.id] : [])));
    for (const item of lists.flat()) {
        if (!isObject(item)) continue;
        const fn = isObject(item.function) ? item.function : item;
        const id = firstText(item.id, item.toolCallId);
        if (id && ids.has(id)) continue;
        if (id) ids.add(id);
        calls.push(call(id, fn.name ?? item.toolName, fn.arguments ?? fn.args ?? fn.input));
    }
    const single = m.function_call ?? extra.function_call;
    if (isObject(single) && !calls.length) calls.push(call('', single.name, single.arguments));
    return calls;
}

function reasoningBeside(m: Json): Part[] {
    const extra = isObject(m.additional_kwargs) ? m.additional_kwargs : {};
    const said = firstText(m.reasoning_content, m.reasoning, extra.reasoning_content, extra.reasoning);
    return said ? [{ kind: 'reasoning', text: said }] : [];
}

// Messages of one that is known to be one: results inside it stand by themselves, as tools'.
function withContent(role: string, m: Json, content: unknown): Message[] {
    const blocks = Array.isArray(content) ? content : [content];
    const said = blocks.filter((block) => !resultIn(block));
    const parts = [...reasoningBeside(m), ...said.flatMap((block) => partsOf(block))];
    parts.push(...callsBeside(m, parts));
    if (typeof m.refusal === 'string' && m.refusal) parts.push({ kind: 'refusal', text: m.refusal });
    const results = blocks.flatMap((block): Message[] => {
        const found = resultIn(block);
        return found ? [message('tool', partsOf(found[1]), { callId: found[0], failed: found[2] })] : [];
    });
    if (!parts.length && results.length) return results;
    const meta = isObject(m.response_metadata) ? m.response_metadata : {};
    return [
        message(role, parts, {
            name: text(m.name),
            callId: role === 'tool' ? firstText(m.tool_call_id, m.toolCallId) : '',
            failed: m.status === 'error',
            usage: usageOf(m.usage_metadata) ?? usageOf(m.usage) ?? usageOf(meta.usage) ?? usageOf(meta.token_usage),
        }),
        ...results,
    ];
}

// null: it is no message.
export function readMessage(value: unknown): Message[] | null {
    if (Array.isArray(value)) {
        const role = value.length === 2 ? knownRole(value[0]) : '';
        return role && typeof value[1] === 'string' ? [message(role, partsOf(value[1]))] : null;
    }
    if (!isObject(value)) return null;
    if (value.lc === 1 && isObject(value.kwargs)) {
        const role = knownRole(last(value.id)) || (value.kwargs.role ? text(value.kwargs.role) : '');
        return role ? withContent(role, value.kwargs, value.kwargs.content) : null;
    }
    const type = text(value.type);
    if (isObject(value.data) && knownRole(type))
        return withContent(knownRole(type), value.data, value.data.content);
    if (resultIn(value)) return withContent('tool', {}, [value]);
    if (type && !value.role && !knownRole(type)) {
        // An item of a list that is a conversation: OpenAI's responses.
        const item = /^(function_call|custom_tool_call|reasoning)$/.test(type) ? typedPart(type, value) : null;
        return item ? [message('assistant', [item])] : null;
    }
    const role = knownRole(value.role) || text(value.role) || knownRole(type);
    if (!role) return null;
    if (!('content' in value) && Array.isArray(value.parts)) return withContent(role, value, value.parts);
    if ('content' in value || 'tool_calls' in value || 'function_call' in value)
        return withContent(role, value, value.content);
    return null;
}
