// again.ts - asking again, by itself, what the server could not answer just now.
//
// Later each time; at once when the network is back or the page is looked at again; never while
// nobody looks.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from './api.ts';

const SOONEST_MS = 1000;
const LATEST_MS = 60_000;
const LATEST_UNHEARD_MS = 10_000; // where nobody answered it costs nobody anything

// Calls `act` once, unless the returned function is called before.
export function later(ms: number, act: () => void): () => void {
    const end = () => {
        clearTimeout(timer);
        removeEventListener('online', look);
        document.removeEventListener('visibilitychange', look);
    };
    const look = () => {
        if (document.hidden) return;
        end();
        act();
    };
    const timer = setTimeout(look, ms);
    addEventListener('online', look);
    document.addEventListener('visibilitychange', look);
    return end;
}

export const pauseAfter = (error: ApiError, tries: number): number =>
    Math.min(SOONEST_MS * 2 ** Math.min(tries, 10), error.status ? LATEST_MS : LATEST_UNHEARD_MS);

// Grows whenever it is time to ask again what failed with `error`.
export function useAgain(error: ApiError | null, waiting: boolean): number {
    const [times, setTimes] = useState(0);
    const tries = useRef(0);
    useEffect(() => {
        if (waiting) return undefined;
        if (!error) tries.current = 0;
        if (!error?.passes) return undefined;
        return later(pauseAfter(error, tries.current++), () => setTimes((n) => n + 1));
    }, [error, waiting]);
    return times;
}
