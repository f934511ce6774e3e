// Palette.tsx - everything that can be done here, found by writing some of it: the acts of the
// keys, projects, the look; and a run or trace by its id.
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useAsk } from '../ask.ts';
import { goTo } from '../goTo.ts';
import { linesOf, scopes } from '../keys.ts';
import { href, navigate, route } from '../router.ts';
import { projects } from '../runs.ts';
import { idOf, isId } from '../search/terms.ts';
import { setTheme, theme } from '../theme.ts';
import { Dialog } from './Dialog.tsx';
import { Keys } from './Keys.tsx';
import { matching } from './palette.ts';
import type { Entry } from './palette.ts';

const MOST_PROJECTS = 20;
const OPENS = 'Mod+k';

// Keys that are bound on several screens are those of the screen.
function acts(): Entry[] {
    return scopes.value.flatMap((scope) =>
        linesOf(scope)
            .filter(({ names }) => !names.includes(OPENS))
            .map(({ does, names, run }) => ({ id: `act ${scope.title} ${does}`, title: does, group: scope.title, names, run })),
    );
}

const looks = (): Entry[] =>
    (['light', 'dark', 'system'] as const).map((one) => ({
        id: `theme ${one}`,
        title: one === 'system' ? 'As light or dark as the system' : `${one === 'light' ? 'Light' : 'Dark'} colours`,
        group: theme.value === one ? 'Theme, as it is now' : 'Theme',
        names: [],
        run: () => setTheme(one),
    }));

const project = (name: string): Entry => ({
    id: `project ${name}`,
    title: name,
    group: 'Project',
    names: [],
    run: () => navigate(href(route.peek().screen === 'stats' ? '/ui/stats' : '/ui/runs', { project: name })),
});

const jump = (id: string): Entry => ({ id: 'jump', title: id, group: 'Open the run or trace', names: [], run: () => void goTo(id) });

const known = (written: string) => (isId(written.trim()) ? [jump(idOf(written.trim()))] : matching([...acts(), ...looks()], written));

// What is chosen is done by whoever has opened it, once it is closed and the focus is back.
export function Palette({ onClose }: { onClose: (chosen?: () => void) => void }) {
    const [written, setWritten] = useState('');
    const [chosenId, setChosenId] = useState('');
    const input = useRef<HTMLInputElement>(null);
    const list = useRef<HTMLUListElement>(null);
    const id = useId();
    useLayoutEffect(() => input.current!.focus(), []);
    const sought = written.trim();
    const found = useAsk(
        (signal) =>
            projects(
                { limit: String(MOST_PROJECTS), sort_by: 'start_time', sort_by_desc: 'true', ...(sought && { name_contains: sought }) },
                signal,
            ),
        [sought],
    );
    // Until those of what is written are there, the last ones are tried.
    const named = (found.value ?? []).map(({ name }) => name).filter((name) => name.toLowerCase().includes(sought.toLowerCase()));
    const entries = [...known(written), ...named.map(project)];
    const at = Math.max(0, entries.findIndex((entry) => entry.id === chosenId));
    const go = (to: number) => entries.length && setChosenId(entries[(to + entries.length) % entries.length]!.id);
    useLayoutEffect(() => list.current!.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [at]);

    const pressed = (event: KeyboardEvent) => {
        const acts: Record<string, () => void> = {
            ArrowDown: () => go(at + 1),
            ArrowUp: () => go(at - 1),
            PageDown: () => go(Math.min(entries.length - 1, at + 8)),
            PageUp: () => go(Math.max(0, at - 8)),
            Enter: () => entries[at] && onClose(entries[at]!.run),
        };
        if (!Object.hasOwn(acts, event.key) || event.isComposing) return;
        event.preventDefault();
        acts[event.key]!();
    };
    const again = (event: KeyboardEvent) => {
        if (event.key !== 'k' || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        onClose();
    };
    return (
        <Dialog title="Find what to do" onClose={() => onClose()} onKeyDown={again}>
            <div class="palette">
                <input
                    ref={input}
                    type="text"
                    role="combobox"
                    aria-label="What to do, a project, or an id"
                    aria-expanded="true"
                    aria-controls={id}
                    aria-autocomplete="list"
                    aria-activedescendant={entries.length ? `${id}-${at}` : undefined}
                    placeholder="What to do, a project, or an id"
                    spellcheck={false}
                    autocomplete="off"
                    autocapitalize="off"
                    maxLength={400}
                    value={written}
                    onInput={(event) => {
                        setWritten(event.currentTarget.value);
                        setChosenId('');
                    }}
                    onKeyDown={pressed}
                />
                <ul ref={list} id={id} role="listbox" aria-label="What there is">
                    {entries.map((entry, i) => (
                        <li
                            key={entry.id}
                            id={`${id}-${i}`}
                            role="option"
                            aria-selected={i === at}
                            onPointerDown={(event) => event.preventDefault()}
                            onClick={() => onClose(entry.run)}
                        >
                            <span class="cut">{entry.title}</span>
                            <span class="soft">{entry.group}</span>
                            {entry.names.length > 0 && (
                                <span class="push">
                                    <Keys names={entry.names} />
                                </span>
                            )}
                        </li>
                    ))}
                </ul>
                <p class="soft" role="status">
                    {found.error?.message || (!entries.length && !found.waiting ? 'Nothing is called so' : '')}
                    {named.length === MOST_PROJECTS && `The ${MOST_PROJECTS} newest of these projects are here: write more of a name for others`}
                </p>
            </div>
        </Dialog>
    );
}
