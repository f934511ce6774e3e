// ask.ts - something of the API on the screen: asked when what it depends on changes, given up
// when nobody waits for it any more, asked again when the server could not answer.
import { useEffect, useRef, useState } from 'preact/hooks';
import { useAgain } from './again.ts';
import { asked, faultOf, isAbort } from './api.ts';
import type { ApiError } from './api.ts';

const LATE_MS = 100;

export interface Answer<T> {
    value: T | null; // of the last that was good, also while the next is awaited
    stale: boolean; // it answers another question than what is asked now
    error: ApiError | null;
    waiting: boolean;
    ms: number; // how long the last took
}

const same = (a: readonly unknown[], b: readonly unknown[]): boolean =>
    a.length === b.length && a.every((one, i) => Object.is(one, b[i]));

// `ask` null: there is nothing to ask for.  `on` is the question; when `beat` changes the same
// one is asked again.
export function useAsk<T>(
    ask: ((signal: AbortSignal) => Promise<T>) | null,
    on: readonly unknown[],
    beat: unknown = 0,
): Answer<T> {
    const [answer, setAnswer] = useState<Answer<T>>({ value: null, stale: false, error: null, waiting: !!ask, ms: 0 });
    const again = useAgain(answer.error, answer.waiting);
    // An answer that takes longer than a beat is waited for.
    const steady = useRef(beat);
    if (!answer.waiting) steady.current = beat;
    const last = useRef(on);
    const answered = useRef<readonly unknown[] | null>(null);
    useEffect(() => {
        if (!ask) {
            setAnswer({ value: null, stale: false, error: null, waiting: false, ms: 0 });
            return undefined;
        }
        const abort = new AbortController();
        const begin = performance.now();
        const other = !same(last.current, on);
        const stale = !answered.current || !same(answered.current, on);
        last.current = on;
        setAnswer((before) => ({ ...before, stale, waiting: true, error: other ? null : before.error }));
        ask(abort.signal).then(
            (value) => {
                if (abort.signal.aborted) return;
                answered.current = on;
                setAnswer({ value, stale: false, error: null, waiting: false, ms: performance.now() - begin });
            },
            (error: unknown) => {
                if (abort.signal.aborted || isAbort(error)) return;
                const ms = performance.now() - begin;
                // What was answered to another question is no answer to this one.
                setAnswer(({ value }) => ({ value: stale ? null : value, stale: false, error: faultOf(error), waiting: false, ms }));
            },
        );
        return () => abort.abort();
    }, [...on, steady.current, asked.value, again]);
    return answer;
}

// Whether something lasts so long that it is worth saying.
export function useLate(on: boolean): boolean {
    const [late, setLate] = useState(false);
    useEffect(() => {
        setLate(false);
        if (!on) return undefined;
        const timer = setTimeout(() => setLate(true), LATE_MS);
        return () => clearTimeout(timer);
    }, [on]);
    return on && late;
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
