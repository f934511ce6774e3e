// Two panes, and a line between them that can be moved; its place is kept.
import { useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

const KEPT = 'rundlet.split';
const LEAST = 20;
const MOST = 80;

const read = (): number => {
    const kept = Number(localStorage.getItem(KEPT));
    return kept >= LEAST && kept <= MOST ? kept : 48;
};

export function Split({ left, right, open }: { left: ComponentChildren; right: ComponentChildren; open: boolean }) {
    const box = useRef<HTMLDivElement>(null);
    const [share, setShare] = useState(read);
    const move = (to: number): void => {
        const next = Math.round(Math.max(LEAST, Math.min(MOST, to)));
        setShare(next);
        localStorage.setItem(KEPT, String(next));
    };
    return (
        <div ref={box} class={`split${open ? ' open' : ''}`} style={{ '--share': `${share}%` }}>
            <div class="split-left">{left}</div>
            <div
                role="separator"
                aria-orientation="vertical"
                aria-label="Width of the tree"
                aria-valuemin={LEAST}
                aria-valuemax={MOST}
                aria-valuenow={share}
                tabIndex={0}
                class="split-line"
                onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
                onPointerMove={(event) => {
                    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
                    const { left, width } = box.current!.getBoundingClientRect();
                    move(((event.clientX - left) / width) * 100);
                }}
                onKeyDown={(event) => {
                    const by = event.key === 'ArrowLeft' ? -2 : event.key === 'ArrowRight' ? 2 : 0;
                    if (!by) return;
                    event.preventDefault();
                    event.stopPropagation();
                    move(share + by);
                }}
            />
            <div class="split-right">{right}</div>
        </div>
    );
}
