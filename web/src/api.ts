// api.ts - what the page asks of the server: the public API, nothing else.
//
// When the server wants a key, `keyWanted` is set, the page asks for one, and whoever asked
// reads `asked` and tries again.  The key stays in sessionStorage.
import { signal } from '@preact/signals';

export class ApiError extends Error {
    constructor(
        readonly status: number, // 0: there was no answer
        message: string,
    ) {
        super(message);
        this.name = 'ApiError';
    }
}

const KEPT = 'rundlet.key';
export const keyWanted = signal<'' | 'missing' | 'wrong'>('');
// It grows when a key was given: effects that read it ask again.
export const asked = signal(0);

export const apiKey = (): string => sessionStorage.getItem(KEPT) ?? '';

export function giveKey(key: string): void {
    if (key) sessionStorage.setItem(KEPT, key);
    else sessionStorage.removeItem(KEPT);
    keyWanted.value = '';
    asked.value++;
}

interface Ask {
    method?: string;
    headers?: Record<string, string>;
    body?: string;
    signal?: AbortSignal;
}

// `detail` is a sentence, or for 422 a list of what is wrong and where.
function sentenceOf(text: string, status: number): string {
    try {
        const { detail } = JSON.parse(text);
        if (typeof detail === 'string') return detail;
        if (Array.isArray(detail))
            return detail.map((one) => [one.loc?.join('.'), one.msg].filter(Boolean).join(': ')).join('; ');
    } catch {
        /* Not ours: a proxy's page. */
    }
    return `The server answered with ${status}`;
}

async function send(path: string, { method = 'GET', headers = {}, body, signal }: Ask): Promise<Response> {
    const key = apiKey();
    let response: Response;
    try {
        response = await fetch(path, {
            method,
            body,
            signal,
            headers: { ...(key && { 'x-api-key': key }), ...headers },
        });
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError(0, 'The server does not answer. Is it running?');
    }
    if (response.ok || response.status === 304) return response;
    if (response.status === 401 || response.status === 403)
        keyWanted.value = key ? 'wrong' : 'missing';
    throw new ApiError(response.status, sentenceOf(await response.text(), response.status));
}

export const api = {
    // Any path; the answer is a 2xx or a 304.  Throws ApiError.
    get: (path: string, options: { headers?: Record<string, string>; signal?: AbortSignal } = {}) =>
        send(path, options),
    json: async <T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> => {
        const response = await send(path, {
            method,
            signal,
            ...(body !== undefined && {
                body: JSON.stringify(body),
                headers: { 'content-type': 'application/json' },
            }),
        });
        const text = await response.text();
        return (text ? JSON.parse(text) : undefined) as T;
    },
};

export const isAbort = (error: unknown): boolean =>
    error instanceof DOMException && error.name === 'AbortError';
