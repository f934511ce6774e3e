// events.ts - Server-Sent Events, read with fetch: an EventSource cannot send a key.
//
// A stream that ends or breaks is begun again where it was (Last-Event-ID), later each time; one
// that is refused is not.
import { later } from './again.ts';
import { ApiError, api, isAbort } from './api.ts';

export interface Event {
    type: string;
    id: string;
    data: string;
}

// Lines to events, whatever the pieces they come in.  `at` is told how far that goes: an id
// may come by itself, without an event.
export function eventReader(tell: (event: Event) => void, at: (id: string) => void = () => {}): (piece: string) => void {
    let rest = '';
    let now: Event = { type: 'message', id: '', data: '' };
    let id = '';
    const line = (text: string) => {
        if (text === '') {
            if (now.data) tell({ ...now, id, data: now.data.slice(0, -1) });
            if (id) at(id);
            now = { type: 'message', id: '', data: '' };
            return;
        }
        if (text.startsWith(':')) return;
        const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(text)!;
        if (field === 'data') now.data += `${value ?? ''}\n`;
        else if (field === 'event') now.type = value ?? '';
        else if (field === 'id') id = value ?? '';
    };
    return (piece) => {
        const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop()!;
        for (const one of lines) line(one);
    };
}

export interface Follow {
    event: (event: Event) => void;
    state: (state: 'connecting' | 'open' | 'broken', why: string) => void;
}

const SOONEST_MS = 500;
const LATEST_MS = 15_000;

// Until the returned function is called.
export function follow(path: string, { event, state }: Follow): () => void {
    const abort = new AbortController();
    let last = '';
    let wait = SOONEST_MS;
    let settle = () => {};
    const again = (why: string) => {
        if (abort.signal.aborted) return;
        state('broken', why);
        settle = later(wait, () => void begin());
        wait = Math.min(2 * wait, LATEST_MS);
    };
    const begin = async () => {
        state('connecting', '');
        try {
            const headers = { accept: 'text/event-stream', ...(last && { 'last-event-id': last }) };
            const response = await api.get(path, { headers, signal: abort.signal });
            state('open', '');
            const read = eventReader(event, (id) => {
                last = id;
                wait = SOONEST_MS; // it said something, so it is worth asking again soon
            });
            const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
            for (;;) {
                const { done, value } = await reader.read();
                if (done) break;
                read(value);
            }
            again('The server ended it');
        } catch (error) {
            if (isAbort(error) || abort.signal.aborted) return;
            const refused = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
            if (refused) state('broken', error.message);
            else again(error instanceof Error ? error.message : String(error));
        }
    };
    void begin();
    return () => {
        abort.abort();
        settle();
    };
}
