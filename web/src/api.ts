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

    // Whether the same may well be answered later.
    get passes(): boolean {
        return [0, 429, 502, 503, 504].includes(this.status);
    }
}

// Of whatever was thrown; -1: it was no answer of the server's.
export const faultOf = (error: unknown): ApiError =>
    error instanceof ApiError ? error : new ApiError(-1, error instanceof Error ? error.message : String(error));

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

// An answer that breaks off is none.
export async function textOf(response: Response, signal?: AbortSignal): Promise<string> {
    try {
        return await response.text();
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError(0, 'The answer of the server broke off.');
    }
}

async function send(path: string, { method = 'GET', headers = {}, body, signal }: Ask): Promise<Response> {
    const key = apiKey();
    if (/[^\x20-\x7e]/.test(key)) {
        keyWanted.value = 'wrong'; // a browser sends no such header
        throw new ApiError(401, 'The key has a character that keys have not');
    }
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
    if (response.status === 401) keyWanted.value = key ? 'wrong' : 'missing';
    throw new ApiError(response.status, sentenceOf(await textOf(response, signal), response.status));
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
        const text = await textOf(response, signal);
        return (text ? JSON.parse(text) : undefined) as T;
    },
};

export const isAbort = (error: unknown): boolean =>
    error instanceof DOMException && error.name === 'AbortError';
