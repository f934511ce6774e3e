// ask.ts - something of the API on the screen: asked when what it depends on changes, given up
// when nobody waits for it any more.
import { useEffect, useRef, useState } from 'preact/hooks';
import { asked, isAbort } from './api.ts';

export interface Answer<T> {
    value: T | null; // of the last that was good, also while the next is awaited
    error: string;
    waiting: boolean;
    ms: number; // how long the last took
}

// `ask` null: there is nothing to ask for.
export function useAsk<T>(ask: ((signal: AbortSignal) => Promise<T>) | null, on: readonly unknown[]): Answer<T> {
    const [answer, setAnswer] = useState<Answer<T>>({ value: null, error: '', waiting: !!ask, ms: 0 });
    useEffect(() => {
        if (!ask) {
            setAnswer({ value: null, error: '', waiting: false, ms: 0 });
            return undefined;
        }
        const abort = new AbortController();
        const begin = performance.now();
        setAnswer((before) => ({ ...before, waiting: true }));
        ask(abort.signal).then(
            (value) => {
                if (abort.signal.aborted) return;
                setAnswer({ value, error: '', waiting: false, ms: performance.now() - begin });
            },
            (error: unknown) => {
                if (abort.signal.aborted || isAbort(error)) return;
                const said = error instanceof Error ? error.message : String(error);
                setAnswer((before) => ({ ...before, error: said, waiting: false, ms: performance.now() - begin }));
            },
        );
        return () => abort.abort();
    }, [...on, asked.value]);
    return answer;
}

// A time that grows, for "3 s ago": once each `every` ms; 0: it stands still.
export function useNow(every = 10_000): number {
    const [now, setNow] = useState(Date.now());
    useEffect(() => {
        if (!every) return undefined;
        const timer = setInterval(() => setNow(Date.now()), every);
        return () => clearInterval(timer);
    }, [every]);
    return now;
}

const SETTLE_MS = 80;

// A value once it rests: so a key that is held down does not open every run it passes.
export function useSettled<T>(value: T): T {
    const [settled, setSettled] = useState(value);
    const changedAt = useRef(0);
    useEffect(() => {
        const now = performance.now();
        const wait = now - changedAt.current > 4 * SETTLE_MS ? 0 : SETTLE_MS;
        changedAt.current = now;
        const timer = setTimeout(() => setSettled(value), wait);
        return () => clearTimeout(timer);
    }, [value]);
    return settled;
}
