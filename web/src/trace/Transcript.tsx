// What was said and done, in order: the runs of models, tools and retrievers, each with the
// beginning of what it answered.  The words come when a row is seen, without payloads.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from '../api.ts';
import { Status } from '../components/Status.tsx';
import { Type } from '../components/Type.tsx';
import { useWindow, type Window } from '../components/window.ts';
import { duration, short } from '../format.ts';
import { statusWord } from './kinds.ts';
import { endOf, ERROR } from './skeleton.ts';
import type { Tree } from './tree.ts';
import type { Matches } from './find.ts';
import { errorLine, gist } from '../run/gist.ts';

const STEP_PX = 64;
const AT_ONCE = 100;

interface Words {
    id: string;
    inputs_preview: string | null;
    outputs_preview: string | null;
    error: string | null;
}

export function stepsOf(tree: Tree): Int32Array {
    const s = tree.skeleton;
    const told = s.types.map((type) => /^(llm|tool|retriever)$/.test(type));
    const steps = tree.order.filter((run) => told[s.type[run]]);
    // Where there is none of them, all of it.
    return steps.length ? steps : tree.order;
}

// The words of runs, by id; asked for once.
function useWords(ids: string[]): Map<string, Words> {
    const [words] = useState(() => new Map<string, Words>());
    const asked = useRef(new Set<string>());
    const [, told] = useState(0);
    useEffect(() => {
        const missing = ids.filter((id) => !asked.current.has(id)).slice(0, AT_ONCE);
        if (!missing.length) return;
        const timer = setTimeout(() => {
            for (const id of missing) asked.current.add(id);
            api.json<{ runs: Words[] }>(
                'POST',
                '/runs/query',
                { id: missing, select: ['id', 'inputs_preview', 'outputs_preview', 'error'], limit: AT_ONCE },
            ).then(
                ({ runs }) => {
                    for (const one of runs) words.set(one.id, one);
                    told((n) => n + 1);
                },
                () => missing.forEach((id) => asked.current.delete(id)),
            );
        }, 60);
        return () => clearTimeout(timer);
    }, [ids.join()]);
    return words;
}

export function Transcript({ tree, steps, selected, now, matches, onSelect, onOpen, onWindow }: {
    tree: Tree;
    steps: Int32Array;
    selected: number;
    now: number;
    matches: Matches | null;
    onSelect: (run: number) => void;
    onOpen: (run: number) => void;
    onWindow: (window: Window) => void;
}) {
    const s = tree.skeleton;
    const window = useWindow(steps.length, STEP_PX);
    useEffect(() => onWindow(window));
    const seen = Array.from(steps.subarray(window.first, window.last));
    // What still runs is asked for again when it has ended.
    const words = useWords(seen.filter((run) => s.duration[run] >= 0).map((run) => s.ids[run]));
    return (
        <div
            ref={window.ref}
            role="listbox"
            id="runs"
            aria-label="What was said and done"
            aria-activedescendant={seen.includes(selected) ? `run-${selected}` : undefined}
            tabIndex={0}
            class="transcript"
        >
            <div role="presentation" class="grid-all" style={{ height: `${window.total}px` }}>
                <div role="presentation" style={{ transform: `translateY(${window.shift}px)` }}>
                    {seen.map((run, i) => {
                        const said = words.get(s.ids[run]);
                        const failed = s.status[run] === ERROR;
                        const name = s.names[s.name[run]] || '(no name)';
                        return (
                            <div
                                key={s.ids[run]}
                                role="option"
                                id={`run-${run}`}
                                class={`step${run === selected ? ' here' : ''}`}
                                aria-selected={run === selected}
                                aria-posinset={window.first + i + 1}
                                aria-setsize={steps.length}
                                onClick={() => onSelect(run)}
                                onDblClick={() => onOpen(run)}
                            >
                                <span class="step-head">
                                    <Type type={s.types[s.type[run]]} named />
                                    <strong class="cut">{matches?.on[run] ? <mark>{name}</mark> : name}</strong>
                                    {s.status[run] !== 0 && <Status status={statusWord(s.status[run])} named />}
                                    <span class="soft figures">
                                        {s.tokens[run] >= 0 && `${short(s.tokens[run])} tokens · `}
                                        {duration(Math.round(endOf(s, run, now) - s.start[run]))}
                                    </span>
                                </span>
                                <span class="cut soft">{gist(said?.inputs_preview) || '\u00a0'}</span>
                                <span class={`cut${failed ? ' bad' : ''}`}>
                                    {(failed ? errorLine(said?.error ?? '') : gist(said?.outputs_preview)) || '\u00a0'}
                                </span>
                            </div>
                        );
                    })}
                </div>
            </div>
        </div>
    );
}
