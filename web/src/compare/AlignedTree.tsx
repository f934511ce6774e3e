// AlignedTree.tsx - two trees of runs as one: what is in both, and what is in one of them.
//
// The grid has the focus, and says which row is the one; rows come and go as it scrolls.
import { useEffect } from 'preact/hooks';
import { Type } from '../components/Type.tsx';
import { useWindow } from '../components/window.ts';
import type { Window } from '../components/window.ts';
import { count, duration } from '../format.ts';
import { statusWord } from '../trace/kinds.ts';
import type { Tree } from '../trace/tree.ts';
import type { Aligned } from './align.ts';
import { moreCost, moreTime, moreTokens } from './delta.ts';

const ROW_PX = 28;
const INDENT_PX = 14;
const DEEPEST = 12; // levels that are indented; deeper ones say their level

export interface AlignedProps {
    left: Tree;
    right: Tree;
    aligned: Aligned;
    rows: Int32Array; // what is to be seen
    folded: ReadonlySet<number>;
    chosen: number;
    onChoose: (row: number) => void;
    onToggle: (row: number, open: boolean) => void;
    onWindow: (window: Window) => void;
}

const rowId = (row: number): string => `pair-${row}`;

const took = (tree: Tree, run: number): number => (run < 0 ? -1 : tree.skeleton.duration[run]!);
const tookText = (tree: Tree, run: number): string => (run < 0 ? '' : took(tree, run) < 0 ? 'running' : duration(took(tree, run)));

function Marks({ props, row }: { props: AlignedProps; row: number }) {
    const { left, right, aligned, folded } = props;
    const [l, r] = [aligned.left[row]!, aligned.right[row]!];
    const words = [l < 0 ? '' : statusWord(left.skeleton.status[l]!), r < 0 ? '' : statusWord(right.skeleton.status[r]!)];
    const below = aligned.end[row]! - row - 1;
    const differing = aligned.before[aligned.end[row]!]! - aligned.before[row + 1]!;
    const failed = words.includes('error');
    const status = words[0] === words[1] || !words[0] || !words[1] ? (failed ? '✕ error' : '') : words.join(' → ');
    return (
        <>
            {l < 0 && <span class="mark only-right">+ only right</span>}
            {r < 0 && <span class="mark only-left">− only left</span>}
            {status && <span class={`mark${failed ? ' bad' : ''}`}>{status}</span>}
            {folded.has(row) && (
                <span class="mark soft">
                    {count(below)} below{differing > 0 && `, ${count(differing)} differ`}
                </span>
            )}
        </>
    );
}

function Row({ props, row, index }: { props: AlignedProps; row: number; index: number }) {
    const { left, right, aligned, folded, chosen, onChoose, onToggle } = props;
    const [l, r] = [aligned.left[row]!, aligned.right[row]!];
    const { skeleton: s } = l < 0 ? right : left;
    const run = l < 0 ? r : l;
    const name = s.names[s.name[run]!] || '(no name)';
    const depth = aligned.depth[row]!;
    const open = !folded.has(row);
    const hasBelow = aligned.end[row]! > row + 1;
    const both = l >= 0 && r >= 0;
    const [a, b] = [left.skeleton, right.skeleton];
    return (
        <div
            role="row"
            id={rowId(row)}
            class={`grid-row${row === chosen ? ' here' : ''}`}
            aria-level={depth + 1}
            aria-expanded={hasBelow ? open : undefined}
            aria-rowindex={index + 2}
            aria-selected={row === chosen}
            onClick={() => onChoose(row)}
        >
            <span role="gridcell" class="name" style={{ paddingLeft: `${Math.min(depth, DEEPEST) * INDENT_PX + 4}px` }}>
                <span
                    class="twist"
                    aria-hidden="true"
                    onClick={(event) => {
                        if (!hasBelow) return;
                        event.stopPropagation();
                        onToggle(row, !open);
                    }}
                >
                    {hasBelow ? (open ? '▾' : '▸') : ''}
                </span>
                {depth > DEEPEST && <span class="soft level">{depth + 1}</span>}
                <Type type={s.types[s.type[run]!]!} />
                <span class="cut" title={name}>
                    {name}
                </span>
                <Marks props={props} row={row} />
            </span>
            <span role="gridcell" class="figure side">{tookText(left, l)}</span>
            <span role="gridcell" class="figure side">{tookText(right, r)}</span>
            <span role="gridcell" class="figure">{both ? moreTime(took(left, l), took(right, r)) : ''}</span>
            <span role="gridcell" class="figure tokens">{both ? moreTokens(a.tokens[l]!, b.tokens[r]!) : ''}</span>
            <span role="gridcell" class="figure cost">{both ? moreCost(a.cost[l]!, b.cost[r]!) : ''}</span>
        </div>
    );
}

export function AlignedTree(props: AlignedProps) {
    const { rows, chosen, onWindow } = props;
    const window = useWindow(rows.length, ROW_PX, ROW_PX);
    useEffect(() => onWindow(window));
    const seen = Array.from(rows.subarray(window.first, window.last));
    return (
        <div
            ref={window.ref}
            role="treegrid"
            id="pairs"
            aria-label="Runs of both"
            aria-rowcount={rows.length + 1}
            aria-activedescendant={seen.includes(chosen) ? rowId(chosen) : undefined}
            tabIndex={0}
            class="tree-grid aligned"
            style={{ flexBasis: `${(rows.length + 1) * ROW_PX + 3}px` }}
        >
            <div role="row" class="grid-row head" aria-rowindex={1}>
                <span role="columnheader" class="name">Run</span>
                <span role="columnheader" class="figure side">Left</span>
                <span role="columnheader" class="figure side">Right</span>
                <span role="columnheader" class="figure">± Time</span>
                <span role="columnheader" class="figure tokens">± Tokens</span>
                <span role="columnheader" class="figure cost">± Cost</span>
            </div>
            <div role="rowgroup" class="grid-all" style={{ height: `${window.total}px` }}>
                <div role="presentation" style={{ transform: `translateY(${window.shift}px)` }}>
                    {seen.map((row, i) => (
                        <Row key={row} props={props} row={row} index={window.first + i} />
                    ))}
                </div>
            </div>
        </div>
    );
}
