// Time as length: the axis above the bars, and a run's bar.
import { duration } from '../format.ts';
import { ERROR, RUNNING, endOf, type Skeleton } from './skeleton.ts';
import { hueOf } from './kinds.ts';
import type { Zoom } from './view.ts';

// Of seconds, minutes, hours and days, what is round.
const LONG = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map((s) => s * 1e6);

function stepOf(rough: number): number {
    const long = rough > 5e6 && LONG.find((step) => step >= rough);
    if (long) return long;
    const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power * 10;
}

// At most `most` round times between `from` and `to`.
export function ticks({ from, to }: Zoom, most: number): number[] {
    const step = stepOf((to - from) / most);
    const list = [];
    for (let at = Math.ceil(from / step) * step; at <= to && list.length <= most; at += step) list.push(at);
    return list;
}

const share = (at: number, { from, to }: Zoom): number => ((at - from) / (to - from)) * 100;

export function Axis({ zoom }: { zoom: Zoom }) {
    return (
        <span class="time-axis" aria-hidden="true">
            {ticks(zoom, innerWidth < 600 ? 2 : 5).filter((at) => share(at, zoom) < 90).map((at) => (
                <span key={at} style={{ left: `${share(at, zoom)}%` }}>
                    {at === 0 ? '0' : duration(at)}
                </span>
            ))}
        </span>
    );
}

export function Bar({ s, run, zoom, now }: { s: Skeleton; run: number; zoom: Zoom; now: number }) {
    const from = Math.max(0, Math.min(100, share(s.start[run], zoom)));
    const to = Math.max(0, Math.min(100, share(endOf(s, run, now), zoom)));
    const outside = s.start[run] > zoom.to || endOf(s, run, now) < zoom.from;
    const mark = s.status[run] === ERROR ? ' failed' : s.status[run] === RUNNING ? ' running' : '';
    if (outside) return <span class="bar-place" />;
    const first = s.firstToken[run];
    return (
        <span class="bar-place">
            <span
                class={`run-bar ${hueOf(s.types[s.type[run]])}${mark}`}
                style={{ left: `${from}%`, width: `max(2px, ${to - from}%)` }}
            />
            {first >= 0 && to - from > 4 && (
                <span
                    class="first-token"
                    title={`First token after ${duration(first)}`}
                    style={{ left: `${Math.max(0, Math.min(100, share(s.start[run] + first, zoom)))}%` }}
                />
            )}
        </span>
    );
}
