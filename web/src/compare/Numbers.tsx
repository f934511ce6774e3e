// Numbers.tsx - the compared runs in numbers, and by how much each is more or less than the left one.
import { Status } from '../components/Status.tsx';
import { Type } from '../components/Type.tsx';
import { NONE, absolute, cost, count, duration, time, utc } from '../format.ts';
import { href } from '../router.ts';
import { moreCost, moreTime, moreTokens, share } from './delta.ts';
import type { One } from './load.ts';

export const SIDES = ['Left', 'Right'] as const;

export const runHref = (trace: string, run: string): string => href(`/ui/traces/${trace}`, { run: run === trace ? null : run });

function Figure({ text, more, by }: { text: string; more: string; by: string }) {
    return (
        <td>
            {text}
            {more && more !== '=' && <span class="soft">{` ${more}${by && ` (${by})`}`}</span>}
        </td>
    );
}

function Row({ one, left, i, onTake }: { one: One; left: One; i: number; onTake: (side: 0 | 1) => void }) {
    const { info, used, duration: took } = one;
    const runs = one.whole ? one.tree.order.length : one.tree.end[one.run]! - one.tree.position[one.run]!;
    return (
        <tr>
            <th scope="row">
                {i < 2 ? (
                    SIDES[i]
                ) : (
                    <span class="switch">
                        {SIDES.map((side, at) => (
                            <button key={side} type="button" aria-label={`${info.name || '(no name)'}, of ${absolute(time(info.start_time))}, as the ${side.toLowerCase()} one`} onClick={() => onTake(at as 0 | 1)}>
                                {side}
                            </button>
                        ))}
                    </span>
                )}
            </th>
            <td>
                <span class="who">
                    <Type type={info.run_type} />
                    <a class="cut" href={runHref(info.trace_id, info.id)} title={info.name}>
                        {info.name || '(no name)'}
                    </a>
                </span>
            </td>
            <td>
                <Status status={info.status} named />
            </td>
            <Figure text={took < 0 ? 'running' : duration(took)} more={i ? moreTime(left.duration, took) : ''} by={share(left.duration, took)} />
            <Figure text={used.tokens ? count(used.tokens) : NONE} more={i ? moreTokens(left.used.tokens, used.tokens) : ''} by={share(left.used.tokens, used.tokens)} />
            <Figure text={used.cost ? cost(used.cost) : NONE} more={i ? moreCost(left.used.cost, used.cost) : ''} by={share(left.used.cost, used.cost)} />
            <td>{count(runs)}</td>
            <td title={utc(time(info.start_time))}>{absolute(time(info.start_time))}</td>
        </tr>
    );
}

// Of more than two, `onTake` puts the one at `i` in the place of the left or the right one.
export function Numbers({ all, onTake }: { all: readonly One[]; onTake: (i: number, side: 0 | 1) => void }) {
    return (
        <div
            class="wide compare-numbers"
            role="region"
            aria-label="In numbers"
            tabIndex={0}
            onKeyDown={(event) => {
                // There they scroll.
                if (/^Arrow(Left|Right)$/.test(event.key)) event.stopPropagation();
            }}
        >
            <table>
                <thead>
                    <tr>
                        <th scope="col"><span class="away">Place</span></th>
                        {['Run', 'Status', 'Latency', 'Tokens', 'Cost', 'Runs', 'Started'].map((title) => (
                            <th key={title} scope="col">
                                {title}
                            </th>
                        ))}
                    </tr>
                </thead>
                <tbody>
                    {all.map((one, i) => (
                        <Row key={`${i} ${one.info.id}`} one={one} left={all[0]!} i={i} onTake={(side) => onTake(i, side)} />
                    ))}
                </tbody>
            </table>
        </div>
    );
}
