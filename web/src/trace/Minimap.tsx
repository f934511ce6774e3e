// The whole trace at a glance: a line a level, each run where it ran.  What is dragged over is
// zoomed to; a double click shows all again.
import { useEffect, useRef, useState } from 'preact/hooks';
import { shownTheme } from '../theme.ts';
import { hueOf } from './kinds.ts';
import { endOf, ERROR } from './skeleton.ts';
import type { Tree } from './tree.ts';
import { setZoom, type Zoom } from './view.ts';

const LEVELS = 16;
const LINE = 3;
export const MINIMAP_PX = LEVELS * LINE;

// In order of their start, so that a level is painted from left to right and no pixel twice.
function paint(canvas: HTMLCanvasElement, tree: Tree, whole: number, now: number): void {
    const ratio = devicePixelRatio || 1;
    const width = Math.max(1, canvas.clientWidth);
    canvas.width = width * ratio;
    canvas.height = MINIMAP_PX * ratio;
    const context = canvas.getContext('2d');
    if (!context) return;
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const s = tree.skeleton;
    const hues = s.types.map((type) => style.getPropertyValue(`--t-${hueOf(type)}`));
    const levels = Math.min(LEVELS, tree.depth.reduce((most, one) => Math.max(most, one), 0) + 1);
    const line = MINIMAP_PX / Math.max(4, levels);
    const until = new Float64Array(levels).fill(-1);
    const x = (us: number): number => (us / whole) * width;
    const box = (run: number, from: number, to: number): void =>
        context.fillRect(from, Math.min(levels - 1, tree.depth[run]) * line, Math.max(1, to - from), Math.max(1, line - 1));
    for (let run = 0; run < s.count; run++) {
        const level = Math.min(levels - 1, tree.depth[run]);
        const from = Math.max(until[level], x(s.start[run]));
        const to = Math.max(x(s.start[run]) + 0.5, x(endOf(s, run, now)));
        if (to <= until[level]) continue;
        context.fillStyle = hues[s.type[run]];
        box(run, from, to);
        until[level] = to;
    }
    context.fillStyle = style.getPropertyValue('--bad');
    for (let run = 0, last = -1; run < s.count; run++) {
        if (s.status[run] !== ERROR) continue;
        const from = x(s.start[run]);
        if (from - last < 0.5 && last >= 0) continue;
        box(run, from, Math.max(from + 1.5, x(endOf(s, run, now))));
        last = from;
    }
}

export function Minimap({ tree, whole, zoom, now }: { tree: Tree; whole: number; zoom: Zoom | null; now: number }) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [width, setWidth] = useState(0);
    const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
    useEffect(() => {
        const sized = new ResizeObserver(() => setWidth(canvas.current?.clientWidth ?? 0));
        if (canvas.current) sized.observe(canvas.current);
        return () => sized.disconnect();
    }, []);
    const colours = shownTheme.value;
    useEffect(() => {
        if (canvas.current) paint(canvas.current, tree, whole, now);
    }, [tree, whole, width, colours, tree.running ? now : 0]);
    const at = (event: PointerEvent): number => {
        const box = canvas.current!.getBoundingClientRect();
        return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * whole;
    };
    const shown = drag ? { from: Math.min(drag.from, drag.to), to: Math.max(drag.from, drag.to) } : zoom;
    return (
        <div
            class="minimap"
            title="Drag to zoom, double click to see all"
            onPointerDown={(event) => {
                if (event.button !== 0) return;
                event.currentTarget.setPointerCapture(event.pointerId);
                setDrag({ from: at(event), to: at(event) });
            }}
            onPointerMove={(event) => drag && setDrag({ ...drag, to: at(event) })}
            onPointerUp={() => {
                if (drag && Math.abs(drag.to - drag.from) > whole / 200)
                    setZoom({ from: Math.min(drag.from, drag.to), to: Math.max(drag.from, drag.to) });
                setDrag(null);
            }}
            onPointerCancel={() => setDrag(null)}
            onDblClick={() => setZoom(null)}
        >
            <canvas ref={canvas} role="img" aria-label={`When the ${tree.skeleton.count} runs of the trace ran`} />
            {shown && (
                <span
                    class="lens"
                    style={{
                        left: `${(shown.from / whole) * 100}%`,
                        width: `${((Math.min(whole, shown.to) - shown.from) / whole) * 100}%`,
                    }}
                />
            )}
        </div>
    );
}
