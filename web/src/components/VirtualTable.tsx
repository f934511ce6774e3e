// VirtualTable.tsx - a table of any length of which only what is seen is in the document.
//
// Rows have one height.  The table has the focus, not its rows: arrows, j and k, Home, End and
// the page keys move what is chosen, Enter opens it.  Columns that do not fit are left out, those
// of the highest `rank` first.
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

export const ROW = 28; // CSS pixels; --row
const BEYOND = 12; // rows kept above and below what is seen
const MOST = 110; // rows in the document, whatever the height

export interface Column<T> {
    key: string;
    title: string;
    quiet?: boolean; // the title is only read aloud
    least: number; // CSS pixels
    share?: number; // of what is left over
    end?: boolean; // numbers stand at the end
    rank?: number; // 0, or none: never left out
    cell: (row: T) => ComponentChildren;
    sorted?: 'ascending' | 'descending' | undefined;
    onSort?: () => void;
}

export interface TableProps<T> {
    label: string;
    columns: readonly Column<T>[];
    rows: readonly T[];
    idOf: (row: T) => string;
    total?: number; // -1: not known
    chosen: number; // -1: none
    onChoose: (index: number) => void;
    onOpen: (row: T, index: number) => void;
    onEnd?: () => void; // the last rows are near
    rowClass?: (row: T) => string;
    scroll?: { top: number }; // where it is; read at the start, written while it moves
    busy?: boolean; // the rows are not what is asked for now
}

function fitting<T>(columns: readonly Column<T>[], width: number): readonly Column<T>[] {
    const GAP = 10;
    let kept = [...columns];
    const need = () => kept.reduce((sum, column) => sum + column.least + GAP, GAP);
    while (need() > width) {
        const worst = Math.max(...kept.map((column) => column.rank ?? 0));
        if (worst === 0) break;
        kept = kept.filter((column) => column !== kept.findLast((one) => (one.rank ?? 0) === worst));
    }
    return kept;
}

export function VirtualTable<T>(props: TableProps<T>) {
    const { label, columns, rows, idOf, chosen, onChoose, onOpen, onEnd, scroll } = props;
    const box = useRef<HTMLDivElement>(null);
    const [size, setSize] = useState({ width: 1000, height: 600 });
    const [top, setTop] = useState(scroll?.top ?? 0);
    const table = useId();

    useLayoutEffect(() => {
        const element = box.current!;
        const measure = () => setSize({ width: element.clientWidth, height: element.clientHeight });
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        measure();
        if (scroll?.top) element.scrollTop = scroll.top;
        return () => observer.disconnect();
    }, []);

    const shown = fitting(columns, size.width);
    const template = shown
        .map(({ least, share }) => (share ? `minmax(${least}px, ${share}fr)` : `${least}px`))
        .join(' ');
    const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
    const last = Math.min(rows.length, first + Math.min(MOST, Math.ceil(size.height / ROW) + 2 * BEYOND));

    useEffect(() => {
        if (onEnd && last > rows.length - BEYOND) onEnd();
    }, [last, rows.length]);

    const show = (index: number) => {
        const element = box.current!;
        const head = ROW;
        if (index * ROW < element.scrollTop) element.scrollTop = index * ROW;
        else if ((index + 1) * ROW + head > element.scrollTop + element.clientHeight)
            element.scrollTop = (index + 1) * ROW + head - element.clientHeight;
    };
    const before = useRef(chosen);
    useLayoutEffect(() => {
        if (chosen >= 0 && chosen !== before.current) show(chosen);
        before.current = chosen;
    }, [chosen]);

    const page = Math.max(1, Math.floor(size.height / ROW) - 2);
    const moves: Record<string, () => number> = {
        ArrowDown: () => chosen + 1,
        ArrowUp: () => chosen - 1,
        PageDown: () => chosen + page,
        PageUp: () => chosen - page,
        Home: () => 0,
        End: () => rows.length - 1,
    };
    const pressed = (event: KeyboardEvent) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.target !== box.current) return;
        const move = moves[event.key];
        if (move && rows.length) {
            event.preventDefault();
            onChoose(Math.max(0, Math.min(rows.length - 1, move())));
        } else if (event.key === 'Enter' && rows[chosen]) {
            event.preventDefault();
            onOpen(rows[chosen]!, chosen);
        }
    };
    const total = props.total ?? rows.length;
    return (
        <div
            ref={box}
            class="table"
            style={{ flexBasis: `${(rows.length + 1) * ROW + 3}px` }}
            role="grid"
            aria-label={label}
            aria-busy={props.busy || undefined}
            aria-rowcount={total < 0 ? -1 : total + 1}
            aria-colcount={shown.length}
            aria-activedescendant={chosen >= first && chosen < last ? `${table}-${chosen}` : undefined}
            tabIndex={0}
            onKeyDown={pressed}
            onScroll={(event) => {
                const now = event.currentTarget.scrollTop;
                if (scroll) scroll.top = now;
                setTop(now);
            }}
        >
            <div class="head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
                {shown.map(({ key, title, quiet, end, sorted, onSort }) => (
                    <div key={key} role="columnheader" aria-sort={sorted} class={end ? 'end' : ''}>
                        {onSort ? (
                            <button type="button" class="quiet" onClick={onSort}>
                                {title}
                                {sorted && <span aria-hidden="true">{sorted === 'ascending' ? ' ↑' : ' ↓'}</span>}
                            </button>
                        ) : (
                            <span class={quiet ? 'away' : ''}>{title}</span>
                        )}
                    </div>
                ))}
            </div>
            <div class="body" role="rowgroup" style={{ height: `${rows.length * ROW}px` }}>
                {rows.slice(first, last).map((row, i) => {
                    const index = first + i;
                    return (
                        <div
                            key={idOf(row)}
                            id={`${table}-${index}`}
                            role="row"
                            aria-rowindex={index + 2}
                            aria-selected={index === chosen}
                            class={`line ${props.rowClass?.(row) ?? ''}`}
                            style={{ gridTemplateColumns: template, transform: `translateY(${index * ROW}px)` }}
                            onClick={(event) => {
                                onChoose(index);
                                if (!(event.target as Element).closest('a, button, label')) onOpen(row, index);
                            }}
                        >
                            {shown.map(({ key, end, cell }) => (
                                <div key={key} role="gridcell" class={end ? 'end' : ''}>
                                    {cell(row)}
                                </div>
                            ))}
                        </div>
                    );
                })}
            </div>
        </div>
    );
}
