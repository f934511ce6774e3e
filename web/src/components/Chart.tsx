// Chart.tsx - a few lines, or bars, over time.  The moment under the pointer is that of all
// charts of the screen; a click there leads to its runs.
import { useEffect, useRef, useState } from 'preact/hooks';
import { moments } from '../format.ts';

export interface Series {
    title: string;
    tint: string; // a class of style.css
    values: readonly (number | null)[];
    bars?: boolean;
}

const HEIGHT = 130;
const LEFT = 52;
const BELOW = 18;

// 1, 2 or 5 times a power of ten, so that a few lines fit.
function steps(most: number): number[] {
    if (!(most > 0)) return [0];
    const rough = most / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough)!;
    const lines = [];
    for (let n = 0; n <= most * 1.0001; n += step) lines.push(n);
    return lines;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const second = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export function Chart({ title, series, begin, bucket, format, at, onAt, onPick }: {
    title: string;
    series: readonly Series[];
    begin: number; // ms
    bucket: number; // ms
    format: (value: number | null) => string;
    at: number; // -1: nowhere
    onAt: (index: number) => void;
    onPick: (index: number) => void;
}) {
    const box = useRef<HTMLDivElement>(null);
    const [width, setWidth] = useState(500);
    useEffect(() => {
        const observer = new ResizeObserver(([entry]) => setWidth(entry!.contentRect.width));
        observer.observe(box.current!);
        return () => observer.disconnect();
    }, []);
    const n = Math.max(1, ...series.map((one) => one.values.length));
    const most = Math.max(0, ...series.flatMap((one) => one.values.map((value) => value ?? 0)));
    const top = most || 1;
    const wide = Math.max(10, width - LEFT);
    const x = (i: number) => LEFT + ((i + 0.5) * wide) / n;
    const y = (value: number) => 6 + (HEIGHT - 6) * (1 - value / top);
    const line = (values: readonly (number | null)[]) => {
        let path = '';
        let joined = false;
        values.forEach((value, i) => {
            if (value === null) joined = false;
            else {
                path += `${joined ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
                joined = true;
            }
        });
        return path;
    };
    const ticks = Math.max(2, Math.min(6, Math.floor(wide / 90)));
    const apart = (bucket * n) / ticks;
    const label = (ms: number) => (bucket * n > 2 * 864e5 ? day : apart >= 60_000 ? clock : second).format(ms);
    const indexAt = (event: MouseEvent) => {
        const inside = event.clientX - box.current!.getBoundingClientRect().left - LEFT;
        return Math.max(0, Math.min(n - 1, Math.floor((inside / wide) * n)));
    };
    const pressed = (event: KeyboardEvent) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) onAt(Math.max(0, Math.min(n - 1, at < 0 ? n - 1 : at + step)));
        else if (event.key === 'Enter' && at >= 0) onPick(at);
        else return;
        event.preventDefault();
        event.stopPropagation();
    };
    const valuesAt = (i: number) => series.map((one) => `${one.title} ${format(one.values[i] ?? null)}`).join(', ');
    const said = at >= 0 ? `${moments(bucket).format(begin + at * bucket)}: ${valuesAt(at)}` : '';
    return (
        <figure class="chart">
            <figcaption>
                <h2>{title}</h2>
                <span class="row">
                    {series.map((one) => (
                        <span key={one.title} class="legend">
                            <i class={`swatch ${one.tint}`} aria-hidden="true" />
                            {one.title} <b>{at >= 0 ? format(one.values[at] ?? null) : ''}</b>
                        </span>
                    ))}
                </span>
            </figcaption>
            <div
                ref={box}
                class="plot"
                role="slider"
                tabIndex={0}
                aria-label={`${title}: arrows look, Enter shows the runs`}
                aria-valuemin={0}
                aria-valuemax={n - 1}
                aria-valuenow={Math.max(0, at)}
                aria-valuetext={said || 'all of the time'}
                onKeyDown={pressed}
                onPointerMove={(event) => onAt(indexAt(event))}
                onPointerLeave={() => onAt(-1)}
                onClick={(event) => onPick(indexAt(event))}
            >
                <svg width={width} height={HEIGHT + BELOW} aria-hidden="true">
                    {steps(most).map((value) => (
                        <g key={value}>
                            <line class="rule" x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
                            <text class="tick" x={LEFT - 6} y={y(value) + 4} text-anchor="end">
                                {format(value)}
                            </text>
                        </g>
                    ))}
                    {Array.from({ length: ticks }, (_, i) => {
                        const index = Math.round(((i + 0.5) * n) / ticks - 0.5);
                        return (
                            <text key={i} class="tick" x={x(index)} y={HEIGHT + BELOW - 4} text-anchor="middle">
                                {label(begin + (index + 0.5) * bucket)}
                            </text>
                        );
                    })}
                    {at >= 0 && <line class="cursor" x1={x(at)} x2={x(at)} y1={0} y2={HEIGHT} />}
                    {series.map((one) =>
                        one.bars ? (
                            one.values.map((value, i) =>
                                value ? (
                                    <rect
                                        key={`${one.title}${i}`}
                                        class={`fill ${one.tint}`}
                                        x={x(i) - Math.max(0.5, wide / n / 2 - 0.5)}
                                        width={Math.max(1, wide / n - 1)}
                                        y={y(value)}
                                        height={HEIGHT - y(value)}
                                    />
                                ) : null,
                            )
                        ) : (
                            <g key={one.title}>
                                <path class={`stroke ${one.tint}`} d={line(one.values)} />
                                {one.values.map((value, i) =>
                                    value !== null && (i === at || (one.values[i - 1] ?? null) === null) ? (
                                        <circle key={i} class={`fill ${one.tint}`} cx={x(i)} cy={y(value)} r={2.5} />
                                    ) : null,
                                )}
                            </g>
                        ),
                    )}
                </svg>
            </div>
        </figure>
    );
}
