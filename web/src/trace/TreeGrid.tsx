// The runs of a trace as a tree, with bars beside them in the waterfall.
//
// The grid has the focus, and says which row is the one; rows come and go as it scrolls.
import { useEffect } from 'preact/hooks';
import { Type } from '../components/Type.tsx';
import { useWindow, type Window } from '../components/window.ts';
import { cost, count, duration, short } from '../format.ts';
import { Axis, Bar } from './Bars.tsx';
import type { Matches } from './find.ts';
import { statusWord } from './kinds.ts';
import { endOf, ERROR, RUNNING } from './skeleton.ts';
import { hasChildren, type Tree } from './tree.ts';
import type { Zoom } from './view.ts';

export const ROW_PX = 28;
const INDENT_PX = 14;
const DEEPEST = 12; // levels that are indented; deeper ones say their level

export interface GridProps {
    tree: Tree;
    rows: Int32Array;
    folded: ReadonlySet<number>;
    selected: number;
    waterfall: boolean;
    zoom: Zoom;
    now: number;
    matches: Matches | null;
    onSelect: (run: number) => void;
    onOpen: (run: number) => void;
    onToggle: (run: number, open: boolean) => void;
    onWindow: (window: Window) => void;
}

const rowId = (run: number): string => `run-${run}`;

function told({ tree, now }: GridProps, run: number): string {
    const s = tree.skeleton;
    return duration(Math.round(endOf(s, run, now) - s.start[run]));
}

function Twist({ props, run }: { props: GridProps; run: number }) {
    const { tree, folded, onToggle } = props;
    if (!hasChildren(tree, run)) return <span class="twist" />;
    const open = !folded.has(run);
    return (
        <span
            class="twist"
            aria-hidden="true"
            onClick={(event) => {
                event.stopPropagation();
                onToggle(run, !open);
            }}
        >
            {open ? '▾' : '▸'}
        </span>
    );
}

function Marks({ props, run }: { props: GridProps; run: number }) {
    const { tree, folded } = props;
    const s = tree.skeleton;
    const below = tree.errors[run] - (s.status[run] === ERROR ? 1 : 0);
    return (
        <>
            {s.status[run] === ERROR && <span class="mark bad">✕ <span class="word">error</span></span>}
            {s.status[run] === RUNNING && <span class="mark busy">◌ <span class="word">running</span></span>}
            {folded.has(run) && (
                <span class="mark soft">
                    {count(tree.end[run] - tree.position[run] - 1)} below{below > 0 && `, ${count(below)} failed`}
                </span>
            )}
        </>
    );
}

function Row({ props, run, index }: { props: GridProps; run: number; index: number }) {
    const { tree, folded, selected, waterfall, zoom, now, matches, onSelect, onOpen } = props;
    const s = tree.skeleton;
    const type = s.types[s.type[run]];
    const depth = tree.depth[run];
    const here = run === selected;
    const name = s.names[s.name[run]] || '(no name)';
    return (
        <div
            role="row"
            id={rowId(run)}
            class={`grid-row${here ? ' here' : ''}${s.status[run] === ERROR ? ' failed' : ''}`}
            aria-level={depth + 1}
            aria-expanded={hasChildren(tree, run) ? !folded.has(run) : undefined}
            aria-rowindex={index + 2}
            aria-selected={here}
            onClick={() => onSelect(run)}
            onDblClick={() => onOpen(run)}
        >
            <span role="gridcell" class="name" style={{ paddingLeft: `${Math.min(depth, DEEPEST) * INDENT_PX + 4}px` }}>
                <Twist props={props} run={run} />
                {depth > DEEPEST && <span class="soft level">{depth + 1}</span>}
                <Type type={type} />
                <span class="cut" title={name}>
                    {matches?.on[run] ? <mark>{name}</mark> : name}
                </span>
                <Marks props={props} run={run} />
            </span>
            {waterfall && (
                <span role="gridcell" class="time">
                    <Bar s={s} run={run} zoom={zoom} now={now} />
                    <span class="away">{statusWord(s.status[run])}</span>
                </span>
            )}
            <span role="gridcell" class="figure">
                {told(props, run)}
            </span>
            <span role="gridcell" class="figure tokens">
                {s.tokens[run] >= 0 ? short(s.tokens[run]) : ''}
            </span>
            <span role="gridcell" class="figure cost">
                {Number.isNaN(s.cost[run]) ? '' : cost(s.cost[run])}
            </span>
        </div>
    );
}

export function TreeGrid(props: GridProps) {
    const { tree, rows, selected, waterfall, zoom, onWindow } = props;
    const window = useWindow(rows.length, ROW_PX, ROW_PX);
    useEffect(() => onWindow(window));
    const seen = Array.from(rows.subarray(window.first, window.last));
    return (
        <div
            ref={window.ref}
            role="treegrid"
            id="runs"
            aria-label="Runs of the trace"
            aria-rowcount={rows.length + 1}
            aria-activedescendant={seen.includes(selected) ? rowId(selected) : undefined}
            tabIndex={0}
            class={`tree-grid${waterfall ? ' waterfall' : ''}`}
        >
            <div role="row" class="grid-row head" aria-rowindex={1}>
                <span role="columnheader" class="name">
                    Run
                </span>
                {waterfall && (
                    <span role="columnheader" class="time">
                        <span class="away">When it ran</span>
                        <Axis zoom={zoom} />
                    </span>
                )}
                <span role="columnheader" class="figure">
                    Time
                </span>
                <span role="columnheader" class="figure tokens">
                    Tokens
                </span>
                <span role="columnheader" class="figure cost">
                    Cost
                </span>
            </div>
            <div role="rowgroup" class="grid-all" style={{ height: `${window.total}px` }}>
                <div role="presentation" style={{ transform: `translateY(${window.shift}px)` }}>
                    {seen.map((run, i) => (
                        <Row key={tree.skeleton.ids[run]} props={props} run={run} index={window.first + i} />
                    ))}
                </div>
            </div>
        </div>
    );
}
