// Marks.tsx - rows that are marked, to do something with all of them: the boxes, and the line
// that says how many there are.
//
// A mark is of a run, not of a row: it stays while rows come and go.  Which row is at hand is
// another thing, and what the table calls selected.
import { useRef, useState } from 'preact/hooks';
import type { Column } from '../components/VirtualTable.tsx';
import { Copy } from '../components/Copy.tsx';
import { count } from '../format.ts';
import { href } from '../router.ts';
import type { Run } from '../runs.ts';
import { markedWith } from './marked.ts';
import type { Marked } from './marked.ts';

export interface Marks {
    marked: Marked;
    // With `range` all from the one before to it.
    mark: (run: Run, range: boolean) => void;
    clear: () => void;
}

// `stale`: the rows are of another question, and not to be marked.
export function useMarks(rows: readonly Run[], stale: boolean, before: Marked = new Map()): Marks {
    const [marked, setMarked] = useState(before);
    const last = useRef('');
    const now = useRef(rows);
    now.current = rows;
    return {
        marked,
        mark: (run, range) => {
            if (stale) return;
            const from = range ? last.current : '';
            last.current = run.id;
            setMarked((was) => markedWith(was, now.current, run, from));
        },
        clear: () => setMarked(new Map()),
    };
}

export const markColumn = ({ marked, mark }: Marks): Column<Run> => ({
    key: 'mark',
    title: 'Marked',
    quiet: true,
    least: 16,
    cell: (run) => (
        <label class="marker" onMouseDown={(event) => event.preventDefault() /* nothing is dragged over */}>
            <input
                type="checkbox"
                tabIndex={-1}
                aria-label={`Mark ${run.name || '(no name)'}`}
                checked={marked.has(run.id)}
                // The focus is the table's.
                onFocus={(event) => event.currentTarget.closest<HTMLElement>('[role=grid]')?.focus()}
                onClick={(event) => mark(run, event.shiftKey)}
            />
        </label>
    ),
});

const LEAST = 2;
const MOST = 4;

// null: not so many can be compared.
export function compareHref(marked: Marked): string | null {
    const [a, b, c, d, over] = marked.keys();
    return marked.size < LEAST || over ? null : href('/ui/compare', { a, b, c, d });
}

export const NOT_SO_MANY = `Mark ${LEAST} to ${MOST} to compare them`;

export function MarksLine({ marked, clear, onCompare }: Marks & { onCompare: () => void }) {
    const ids = [...marked.keys()];
    return (
        <div class="row marks">
            <span role="status">{ids.length > 0 && `${count(ids.length)} marked`}</span>
            {ids.length > 0 && (
                <>
                    <button type="button" disabled={!compareHref(marked)} title={compareHref(marked) ? undefined : NOT_SO_MANY} onClick={onCompare}>
                        Compare <kbd>d</kbd>
                    </button>
                    <Copy text={ids.join('\n')} label="Copy ids" what={ids.length === 1 ? 'The id is copied' : `${count(ids.length)} ids are copied`} class="" />
                    <button type="button" onClick={clear}>
                        Unmark
                    </button>
                </>
            )}
        </div>
    );
}
