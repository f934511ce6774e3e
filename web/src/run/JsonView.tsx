// A JSON value to look through: rows that open, a search, and the one that is chosen below.
import { useEffect, useRef, useState } from 'preact/hooks';
import { copyText } from '../components/Copy.tsx';
import { useWindow } from '../components/window.ts';
import { count as told } from '../format.ts';
import type { Row } from './jsonModel.ts';
import type { JsonSource } from './source.ts';
import { LongText } from './LongText.tsx';

const ROW_PX = 22;

interface Rows {
    from: number;
    list: Row[];
}

// The rows of the window; those of a worker come a little later.
function useRows(source: JsonSource, from: number, to: number, version: number): Rows {
    const [rows, setRows] = useState<Rows>({ from: 0, list: [] });
    const now = from < to ? source.slice(from, to) : [];
    const ready = Array.isArray(now);
    useEffect(() => {
        if (ready) return;
        let wanted = true;
        void (now as Promise<Row[]>).then((list) => wanted && setRows({ from, list }), () => {});
        return () => {
            wanted = false;
        };
    }, [source, from, to, version]);
    return ready ? { from, list: now as Row[] } : rows;
}

function Value({ row }: { row: Row }) {
    switch (row.kind) {
        case 'object':
            return <><span class="soft">{`{${row.open ? '' : row.text}}`}</span> <span class="size">{told(row.size)}</span></>;
        case 'array':
            return <><span class="soft">{`[${row.open ? '' : row.text}]`}</span> <span class="size">{told(row.size)}</span></>;
        case 'group':
            return null;
        case 'string':
            return (
                <>
                    <span class="string">{JSON.stringify(row.text)}</span>
                    {row.cut && <span class="size"> {told(row.size)} characters</span>}
                </>
            );
        default:
            return <span class={row.kind}>{row.text}</span>;
    }
}

function RowLine({ row, here, onPick, onToggle }: { row: Row; here: boolean; onPick: () => void; onToggle: () => void }) {
    return (
        <div
            role="treeitem"
            id={`json-${row.id}`}
            class={`json-row${here ? ' here' : ''}${row.match ? ' match' : ''}`}
            aria-level={row.depth + 1}
            aria-expanded={row.open ?? undefined}
            aria-selected={here}
            style={{ paddingLeft: `${Math.min(row.depth, 20) * 14 + 4}px` }}
            onClick={() => {
                onPick();
                if (row.open !== null) onToggle();
            }}
        >
            <span class="twist" aria-hidden="true">{row.open === null ? '' : row.open ? '▾' : '▸'}</span>
            {row.key !== null && <span class={row.index || row.kind === 'group' ? 'index' : 'key'}>{row.key.slice(0, 200)}</span>}
            {row.key !== null && row.kind !== 'group' && <span class="soft">: </span>}
            <Value row={row} />
        </div>
    );
}

// The chosen row: where it is, and a string as text.
function Chosen({ row, source }: { row: Row; source: JsonSource }) {
    const [path, setPath] = useState('');
    useEffect(() => {
        let wanted = true;
        void Promise.resolve(source.path(row.id)).then((text) => wanted && setPath(text));
        return () => {
            wanted = false;
        };
    }, [row.id, source]);
    return (
        <div class="json-chosen">
            <div class="row">
                <code class="cut">{path}</code>
                <button type="button" class="quiet" onClick={() => void copyText(path, 'Path copied')}>Copy path</button>
                <button
                    type="button"
                    class="quiet"
                    onClick={async () => void copyText(row.kind === 'string' ? await source.text(row.id, 0, row.size) : await source.json(row.id), 'Value copied')}
                >
                    Copy value
                </button>
            </div>
            {row.kind === 'string' && row.size > 40 && (
                <LongText
                    key={row.id}
                    said={{ text: row.text, length: row.size, ref: row.id }}
                    more={(id, from, to) => source.text(id, from, to)}
                />
            )}
        </div>
    );
}

export function JsonView({ source, label }: { source: JsonSource; label: string }) {
    const [size, setSize] = useState(0);
    const [version, setVersion] = useState(0);
    const [picked, setPicked] = useState<Row | null>(null);
    const [text, setText] = useState('');
    const [found, setFound] = useState('');
    const window = useWindow(size, ROW_PX);
    const goTo = useRef(-1);
    const changed = (rows: number): void => {
        setSize(rows);
        setVersion((n) => n + 1);
    };
    useEffect(() => {
        setPicked(null);
        void Promise.resolve(source.count()).then(changed);
    }, [source]);
    const { from, list } = useRows(source, window.first, window.last, version);
    // What is shown of rows that have not come yet stands where it was.
    const shift = window.shift + (from - window.first) * ROW_PX;
    useEffect(() => {
        if (goTo.current < 0) return;
        window.show(goTo.current);
        const row = list[goTo.current - from];
        if (row) {
            setPicked(row);
            goTo.current = -1;
        }
    });
    const toggle = (row: Row): void => void Promise.resolve(source.toggle(row.id)).then(changed);
    const find = async (step: 1 | -1 | 0, what = text): Promise<void> => {
        const { matches, more, row, at, count } = await source.find(what, step);
        goTo.current = row;
        changed(count);
        setFound(!what ? '' : matches ? `${told(at + 1)} of ${more ? 'more than ' : ''}${told(matches)}` : 'nothing');
    };
    const current = picked && (list.find((row) => row.id === picked.id) ?? picked);
    // A key may come before the row that the last one went to is drawn.
    const chosen = (): Row | null => (goTo.current < 0 ? current : (list[goTo.current - from] ?? null));
    const step = (by: number): void => {
        const at = picked ? list.findIndex((row) => row.id === picked.id) : -1;
        const now = goTo.current >= 0 ? goTo.current : at < 0 ? -1 : from + at;
        goTo.current = Math.max(0, Math.min(size - 1, now < 0 ? window.first : now + by));
        setVersion((n) => n + 1);
    };
    const twist = (open: boolean | null): boolean => {
        const row = chosen();
        if (!row || row.open === null || (open !== null && row.open !== open)) return false;
        toggle(row);
        return true;
    };
    const keys = (event: KeyboardEvent): void => {
        const acts: Record<string, () => void> = {
            ArrowDown: () => step(1),
            ArrowUp: () => step(-1),
            PageDown: () => step(window.page),
            PageUp: () => step(-window.page),
            Home: () => step(-size),
            End: () => step(size),
            ArrowRight: () => twist(false) || step(1),
            ArrowLeft: () => twist(true) || step(-1),
            Enter: () => twist(null),
        };
        const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : acts[event.key];
        if (!act) return;
        event.preventDefault();
        event.stopPropagation();
        act();
    };
    return (
        <div class="json">
            <div class="row json-tools">
                <input
                    type="search"
                    placeholder="Find in this value"
                    aria-label={`Find in ${label}`}
                    value={text}
                    onInput={(event) => {
                        setText(event.currentTarget.value);
                        void find(0, event.currentTarget.value);
                    }}
                    onKeyDown={(event) => event.key === 'Enter' && void find(event.shiftKey ? -1 : 1)}
                />
                <span class="soft" role="status">{found}</span>
                <span class="gap" />
                <button type="button" class="quiet" onClick={() => void Promise.resolve(source.openAll()).then(changed)}>Open all</button>
                <button type="button" class="quiet" onClick={() => void Promise.resolve(source.closeAll()).then(changed)}>Fold</button>
            </div>
            <div
                ref={window.ref}
                role="tree"
                aria-label={label}
                aria-activedescendant={current && list.includes(current) ? `json-${current.id}` : undefined}
                tabIndex={0}
                class="json-rows"
                style={{ '--rows': size }}
                onKeyDown={keys}
            >
                <div role="presentation" class="grid-all" style={{ height: `${window.total}px` }}>
                    <div role="presentation" style={{ transform: `translateY(${shift}px)` }}>
                        {list.map((row) => (
                            <RowLine
                                key={row.id}
                                row={row}
                                here={row.id === current?.id}
                                onPick={() => setPicked(row)}
                                onToggle={() => toggle(row)}
                            />
                        ))}
                    </div>
                </div>
            </div>
            {current && <Chosen row={current} source={source} />}
        </div>
    );
}
