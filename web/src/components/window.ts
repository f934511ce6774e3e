// window.ts - of a long list of rows of one height, those that are to be seen.
//
// The element with `ref` scrolls; in it stands one of `total` pixels, in that the rows from
// `first` to `last`, shifted down by `shift`.  No list is too long: beyond what a browser can
// scroll through, a pixel of the bar is more than a pixel of rows.
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { RefObject } from 'preact';

const MOST_PX = 8_000_000;
const MOST_ROWS = 110;
const BEYOND = 6; // rows above and below what is seen

export interface Window {
    ref: RefObject<HTMLDivElement | null>;
    first: number;
    last: number;
    total: number;
    shift: number;
    // Scroll so that the row is seen.
    show: (row: number) => void;
    page: number; // rows that fit
}

export function useWindow(count: number, height: number, header = 0): Window {
    const ref = useRef<HTMLDivElement>(null);
    const [top, setTop] = useState(0);
    const [view, setView] = useState(600);
    useLayoutEffect(() => {
        const element = ref.current;
        if (!element) return;
        const scrolled = (): void => setTop(element.scrollTop);
        const sized = new ResizeObserver(() => setView(element.clientHeight));
        setView(element.clientHeight);
        element.addEventListener('scroll', scrolled, { passive: true });
        sized.observe(element);
        return () => {
            element.removeEventListener('scroll', scrolled);
            sized.disconnect();
        };
    }, []);
    const seen = Math.max(height, view - header);
    const whole = count * height;
    const total = Math.min(whole, MOST_PX);
    // What of the rows lies above, for what the bar says.
    const ratio = total > seen ? (whole - seen) / (total - seen) : 1;
    const bar = Math.max(0, Math.min(top, total - seen));
    const above = bar * ratio;
    const first = Math.max(0, Math.floor(above / height) - BEYOND);
    const page = Math.max(1, Math.floor(seen / height));
    const last = Math.min(count, first + Math.min(MOST_ROWS, page + 2 + 2 * BEYOND));
    const show = (row: number): void => {
        const element = ref.current;
        if (!element || row < 0 || row >= count) return;
        const inside = Math.max(height, element.clientHeight - header);
        const now = Math.min(element.scrollTop, Math.max(0, total - inside)) * ratio;
        const from = row * height;
        if (from >= now && from + height <= now + inside) return;
        const to = from < now ? from : from + height - inside;
        // A jump goes to the middle, a step to the edge.
        const far = Math.abs(to - now) > inside;
        const aim = far ? from - inside / 2 : to;
        element.scrollTop = Math.max(0, aim) / ratio;
    };
    return { ref, first, last, total, shift: bar - (above - first * height), show, page };
}
