// Being told of runs that were added or changed: GET /runs/tail, read as it comes.
//
// By fetch, since an EventSource cannot send a key.  A connection that ends is made again, a
// little later each time, from the last event on.
import { api, ApiError } from '../api.ts';

interface Told {
    open: () => void;
    told: () => void;
    closed: () => void;
}

const FIRST_MS = 1_000;
const LAST_MS = 30_000;

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((done) => {
        const timer = setTimeout(done, ms);
        signal.addEventListener('abort', () => {
            clearTimeout(timer);
            done();
        });
    });

// Events of one connection; the id of the last one.
async function follow(body: ReadableStream<Uint8Array>, last: string, on: Told): Promise<string> {
    const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
    let rest = '';
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return last;
        const events = (rest + value).split(/\r?\n\r?\n/);
        rest = events.pop() ?? '';
        let some = false;
        for (const event of events) {
            const id = /^id: ?(.*)$/m.exec(event);
            if (id) last = id[1];
            some ||= /^event: ?(run|dropped)/m.test(event);
        }
        if (some) on.told();
    }
}

export async function tail(session: string, filter: string, signal: AbortSignal, on: Told): Promise<void> {
    const query = new URLSearchParams({ ...(session && { session }), filter, select: 'id' });
    let last = '';
    for (let wait = FIRST_MS; !signal.aborted; wait = Math.min(LAST_MS, wait * 2)) {
        try {
            const headers: Record<string, string> = { accept: 'text/event-stream' };
            if (last) headers['last-event-id'] = last;
            const response = await api.get(`/runs/tail?${query}`, { headers, signal });
            on.open();
            wait = FIRST_MS;
            last = await follow(response.body!, last, on);
        } catch (error) {
            // A server that does not tell is looked at now and then instead.
            if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) {
                on.closed();
                return;
            }
        }
        on.closed();
        await pause(wait, signal);
    }
}
