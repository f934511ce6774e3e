// How the trace is shown: as what, which runs of it, how deep; and finding in it.
import type { ComponentChildren, RefObject } from 'preact';
import { count } from '../format.ts';
import { setQuery } from '../router.ts';
import type { Finder } from './find.ts';
import { nextRun, type Tree } from './tree.ts';
import type { Only, TraceStore } from './store.ts';
import { setOnly, setView, type View } from './view.ts';

const VIEWS: [View, string, string][] = [
    ['tree', 'Tree', 't'],
    ['waterfall', 'Waterfall', 'w'],
    ['transcript', 'Transcript', 'c'],
];
const ONLY: [Only, string][] = [
    ['all', 'All runs'],
    ['errors', 'Errors only'],
    ['llm', 'LLM only'],
    ['critical', 'Critical path'],
];

function placeOf(tree: Tree, on: Uint8Array, selected: number): number {
    if (selected < 0 || !on[selected]) return 0;
    let place = 0;
    for (let at = 0; at <= tree.position[selected]; at++) place += on[tree.order[at]];
    return place;
}

export function FindBox({ finder, tree, selected, field, onMatch }: {
    finder: Finder;
    tree: Tree;
    selected: number;
    field: RefObject<HTMLInputElement | null>;
    onMatch: (step: 1 | -1) => void;
}) {
    const matches = finder.matches.value;
    const text = finder.text.value;
    const place = matches ? placeOf(tree, matches.on, selected) : 0;
    const asking = finder.asking.value;
    return (
        <span class="find">
            <input
                ref={field}
                type="search"
                placeholder="Find in this trace"
                aria-label="Find in this trace: names, errors, tags, metadata, and the beginning of what was said"
                title="Names, errors, tags, metadata, and the beginning of what was said"
                value={text}
                onInput={(event) => setQuery({ find: event.currentTarget.value })}
                onKeyDown={(event) => {
                    if (event.key === 'Enter') onMatch(event.shiftKey ? -1 : 1);
                    else return;
                    event.preventDefault();
                }}
            />
            {matches && (
                <span role="status" class="soft" title={finder.failed.value}>
                    {matches.count ? `${place ? `${count(place)} of ` : ''}${count(matches.count)}` : asking ? '…' : 'none'}
                    {finder.failed.value && ' !'}
                </span>
            )}
            {matches && matches.count > 0 && (
                <>
                    <button type="button" class="quiet" aria-label="Previous match" title="Previous match (N)" onClick={() => onMatch(-1)}>↑</button>
                    <button type="button" class="quiet" aria-label="Next match" title="Next match (n)" onClick={() => onMatch(1)}>↓</button>
                </>
            )}
        </span>
    );
}

export function Toolbar({ store, tree, view, shown, depth, children }: {
    store: TraceStore;
    tree: Tree;
    view: View;
    shown: number;
    depth: number;
    children: ComponentChildren;
}) {
    const failed = nextRun(tree, -1, 1, (run) => tree.errors[run] > 0) >= 0;
    const deepest = Math.min(12, tree.depth.reduce((most, one) => Math.max(most, one), 0));
    return (
        <div class="row trace-tools">
            <div role="group" aria-label="Shown as" class="switch">
                {VIEWS.map(([one, title, key]) => (
                    <button key={one} type="button" aria-pressed={view === one} title={`${title} (${key})`} onClick={() => setView(one)}>
                        {title}
                    </button>
                ))}
            </div>
            {children}
            {view !== 'transcript' && (
                <>
                    <select
                        aria-label="Which runs"
                        value={store.only.value}
                        onChange={(event) => setOnly(event.currentTarget.value as Only)}
                    >
                        {ONLY.map(([one, title]) => (
                            <option key={one} value={one} disabled={one === 'errors' && !failed && store.only.value !== one}>{title}</option>
                        ))}
                    </select>
                    <select
                        aria-label="How deep it is unfolded"
                        value={String(depth)}
                        onChange={(event) => {
                            const depth = Number(event.currentTarget.value);
                            setQuery({ depth: depth < 0 ? null : String(depth) });
                            store.foldAt(depth);
                        }}
                    >
                        <option value="-1">All levels</option>
                        {Array.from({ length: deepest }, (_, i) => (
                            <option key={i} value={String(i)}>{i + 1} {i ? 'levels' : 'level'}</option>
                        ))}
                    </select>
                </>
            )}
            <span class="soft">{count(shown)} of {count(tree.order.length)}</span>
        </div>
    );
}
