// Bars.tsx - how many runs over time, those with an error in the same bar.
//
// Dragging over it, or two clicks with Shift, chooses a span; so do the arrows and Enter.
import { useEffect, useRef, useState } from 'preact/hooks';
import { count, moments } from '../format.ts';
import type { Histogram } from '../runs.ts';

const HEIGHT = 44;

export function Bars({ data, busy, onSpan }: {
    data: Histogram;
    busy: boolean; // it is not of what is asked for now
    onSpan: (from: number, to: number) => void;
}) {
    const box = useRef<HTMLDivElement>(null);
    const [width, setWidth] = useState(600);
    const [span, setSpan] = useState<[number, number] | null>(null);
    const [at, setAt] = useState(-1);
    const dragging = useRef(false);
    useEffect(() => {
        const observer = new ResizeObserver(([entry]) => setWidth(entry!.contentRect.width));
        observer.observe(box.current!);
        return () => observer.disconnect();
    }, []);
    const n = data.count.length;
    const most = Math.max(1, ...data.count);
    const begin = Date.parse(data.start_time);
    const bucket = data.bucket_us / 1000;
    const when = moments(bucket);
    const each = width / Math.max(1, n);
    const bucketAt = (event: MouseEvent) => {
        const x = event.clientX - box.current!.getBoundingClientRect().left;
        return Math.max(0, Math.min(n - 1, Math.floor(x / each)));
    };
    const choose = ([a, b]: [number, number]) => {
        setSpan(null);
        onSpan(begin + Math.min(a, b) * bucket, begin + (Math.max(a, b) + 1) * bucket);
    };
    const tall = (value: number) => (value ? Math.max(2, (value / most) * (HEIGHT - 4)) : 0);
    const runs = data.count.reduce((sum, one) => sum + one, 0);
    const errors = data.errors.reduce((sum, one) => sum + one, 0);
    const said =
        at >= 0 && at < n
            ? `${when.format(begin + at * bucket)} – ${when.format(begin + (at + 1) * bucket)}: ` +
              `${count(data.count[at])} runs, ${count(data.errors[at])} errors`
            : '';
    const pressed = (event: KeyboardEvent) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) {
            const next = Math.max(0, Math.min(n - 1, at + step));
            setAt(next);
            setSpan(event.shiftKey ? [span?.[0] ?? Math.max(0, at), next] : null);
        } else if (event.key === 'Enter' && at >= 0) choose(span ?? [at, at]);
        else return;
        event.preventDefault();
        event.stopPropagation();
    };
    return (
        <div
            ref={box}
            class="bars"
            role="slider"
            aria-busy={busy || undefined}
            aria-label="Runs over time: arrows look, with Shift choose a span, Enter shows it"
            aria-valuemin={0}
            aria-valuemax={Math.max(0, n - 1)}
            aria-valuenow={Math.max(0, at)}
            aria-valuetext={said || `${count(runs)} runs, ${count(errors)} errors`}
            tabIndex={0}
            onKeyDown={pressed}
            onPointerDown={(event) => {
                dragging.current = true;
                box.current!.setPointerCapture(event.pointerId);
                setSpan([bucketAt(event), bucketAt(event)]);
            }}
            onPointerMove={(event) => {
                setAt(bucketAt(event));
                if (dragging.current) setSpan((now) => now && [now[0], bucketAt(event)]);
            }}
            onPointerUp={() => {
                if (dragging.current && span) choose(span);
                dragging.current = false;
            }}
            onPointerCancel={() => {
                dragging.current = false;
                setSpan(null);
            }}
            onPointerLeave={() => setAt(-1)}
        >
            <svg width={width} height={HEIGHT} aria-hidden="true">
                {span && (
                    <rect
                        class="span"
                        x={Math.min(...span) * each}
                        width={(Math.abs(span[1] - span[0]) + 1) * each}
                        y={0}
                        height={HEIGHT}
                    />
                )}
                {data.count.map((value, i) => {
                    const all = tall(value);
                    const bad = value ? Math.max(data.errors[i] ? 2 : 0, (all * data.errors[i]!) / value) : 0;
                    const x = i * each + 0.5;
                    const wide = Math.max(1, each - 1);
                    return (
                        <g key={i} class={i === at ? 'at' : ''}>
                            <rect class="good" x={x} width={wide} y={HEIGHT - all} height={Math.max(0, all - bad)} />
                            <rect class="fault" x={x} width={wide} y={HEIGHT - bad} height={bad} />
                        </g>
                    );
                })}
            </svg>
            <div class="axis soft" aria-hidden="true">
                <span>{when.format(begin)}</span>
                <span class="said">{said}</span>
                <span>{when.format(Date.parse(data.end_time))}</span>
            </div>
        </div>
    );
}
