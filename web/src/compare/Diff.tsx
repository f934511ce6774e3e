// Diff.tsx - what two runs were given, said, and failed with, line beside line.
//
// Signs and the kind of line say what colours do.
import { useEffect, useState } from 'preact/hooks';
import { useAsk } from '../ask.ts';
import { Fault } from '../components/Fault.tsx';
import { bytes, count } from '../format.ts';
import type { Field } from '../run/ask.ts';
import { SMALL } from '../run/payload.ts';
import { runsById } from '../runs.ts';
import type { Differ } from './differ.ts';
import type { Line, Piece } from './diff.ts';
import { folds } from './folds.ts';
import type { Fold } from './folds.ts';
import type { Compared } from './said.ts';

const PAGE = 300; // lines at once
const LONGEST = 4000; // characters of a piece
const AROUND = 200; // kept of a long piece, at both ends

// Of a long piece its ends: a line may be a whole document.
function Text({ text }: { text: string }) {
    if (text.length <= LONGEST) return <>{text}</>;
    return (
        <>
            {text.slice(0, LONGEST - AROUND)}
            <span class="soft"> … {count(text.length - LONGEST)} more characters … </span>
            {text.slice(-AROUND)}
        </>
    );
}

const Pieces = ({ list, as: Mark }: { list: readonly Piece[]; as: 'del' | 'ins' }) => (
    <>
        {list.map(({ text, changed }, i) =>
            changed ? (
                <Mark key={i}>
                    <Text text={text} />
                </Mark>
            ) : (
                <Text key={i} text={text} />
            ),
        )}
    </>
);

function Half({ side, line }: { side: 'left' | 'right'; line: Line }) {
    const there = line.is === 'same' || line.is === 'changed' || line.is === side;
    const changed = there && line.is !== 'same';
    const number = side === 'left' ? line.at : line.to;
    return (
        <div class={`half ${side}${there ? '' : ' none'}${changed ? ' other' : ''}`}>
            <span class="number soft" aria-hidden="true">{number || ''}</span>
            <span class="sign">{changed && (side === 'left' ? '−' : '+')}</span>
            <code>
                <Pieces list={side === 'left' || line.is === 'same' ? line.left : line.right} as={side === 'left' ? 'del' : 'ins'} />
            </code>
        </div>
    );
}

function Lines({ shown, onMore }: { shown: readonly Fold[]; onMore: (from: number) => void }) {
    return (
        <div class="diff-lines">
            {shown.map((one) =>
                'line' in one ? (
                    <div key={one.at} class={`diff-line ${one.line.is}`}>
                        <Half side="left" line={one.line} />
                        <Half side="right" line={one.line} />
                    </div>
                ) : (
                    <button key={one.at} type="button" class="quiet diff-fold" onClick={() => onMore(one.at)}>
                        {count(one.folded)} lines that are the same
                    </button>
                ),
            )}
        </div>
    );
}

const AS = { messages: 'as messages', JSON: 'as JSON', text: 'as text' };

function Answer({ answer, cut, only }: { answer: Compared; cut: boolean; only: boolean }) {
    const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
    const [pages, setPages] = useState(1);
    const all = folds(answer.lines, only, opened);
    const shown = all.slice(0, pages * PAGE);
    return (
        <>
            {cut && (
                <p class="soft">
                    Only the first {bytes(SMALL)} of what is larger are compared, as text: what comes behind them may differ.
                </p>
            )}
            {answer.same && !answer.beside && <p class="soft">{answer.lines.length ? `The same, ${AS[answer.as]}.` : 'Neither has any.'}</p>}
            {answer.beside && <p class="soft">The messages are the same, what is beside them is not: compare them as JSON.</p>}
            {(!answer.same || !only) && <Lines shown={shown} onMore={(at) => setOpened(new Set([...opened, at]))} />}
            {shown.length < all.length && (!answer.same || !only) && (
                <button type="button" onClick={() => setPages(pages + 1)}>
                    Show more of {count(all.length - shown.length)} lines
                </button>
            )}
            {answer.more > 0 && <p class="soft">{count(answer.more)} more lines are not shown.</p>}
        </>
    );
}

export interface Pair {
    left: string; // ids; '' is none
    right: string;
}

function Part({ title, ask, on, only }: {
    title: string;
    ask: (signal: AbortSignal) => Promise<Compared & { cut?: boolean }>;
    on: readonly unknown[];
    only: boolean;
}) {
    const { value, error, waiting } = useAsk((signal) => ask(signal).then((answer) => ({ answer, of: on.join() })), on);
    const now = value?.of === on.join() ? value.answer : null;
    return (
        <section class="diff" aria-label={title} aria-busy={waiting}>
            <h3>{title}</h3>
            <Fault of={error} />
            {now && <Answer key={on.join()} answer={now} cut={now.cut === true} only={only} />}
        </section>
    );
}

// What they failed with: shown where one of them did.
function Errors({ differ, left, right, only }: Pair & { differ: Differ; only: boolean }) {
    const ids = [left, right].filter(Boolean);
    const { value, error } = useAsk((signal) => runsById(ids, signal).then((runs) => ({ runs, of: ids.join() })), [ids.join()]);
    const runs = value?.of === ids.join() ? value.runs : [];
    const errorOf = (id: string) => runs.find((run) => run.id === id)?.error ?? '';
    const side = (id: string) => ({ text: errorOf(id).slice(0, SMALL), cut: errorOf(id).length > SMALL });
    const [a, b] = [side(left), side(right)];
    if (!a.text && !b.text) return <Fault of={error} />;
    return (
        <Part
            title="Error"
            ask={async (signal) => ({ ...(await differ.ask({ field: 'error', left: a, right: b, json: false }, signal)), cut: a.cut || b.cut })}
            on={['error', left, right]}
            only={only}
        />
    );
}

const FIELDS: readonly [Field, string][] = [['inputs', 'Input'], ['outputs', 'Output']];

export function Diff({ differ, pair, only, json }: { differ: Differ; pair: Pair; only: boolean; json: boolean }) {
    const { left, right } = pair;
    useEffect(() => document.querySelector('#diff')?.scrollTo({ top: 0 }), [left, right]);
    return (
        <>
            <Errors differ={differ} left={left} right={right} only={only} />
            {FIELDS.map(([field, title]) => (
                <Part
                    key={field}
                    title={title}
                    ask={(signal) => differ.fields(field, left, right, json, signal)}
                    on={[field, left, right, json]}
                    only={only}
                />
            ))}
        </>
    );
}
