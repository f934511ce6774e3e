// keys.ts - the keyboard: which key does what, on the screen that is there.
//
// A scope is bound while its screen is shown; the one bound last is asked first.  A name is that
// of KeyboardEvent.key ("j", "N", "?", "ArrowUp"), two after each other ("g p"), or with Ctrl or
// Cmd ("Mod+k").  In a field that is written in, only Escape and those with Mod count.  Who cannot
// do with single keys (WCAG 2.1.4) switches them off in the help, and has Escape, Enter, arrows,
// and Mod.
import { signal } from '@preact/signals';

export type Act = () => void;
export interface Scope {
    title: string;
    keys: Record<string, Act | { does: string; run: Act }>;
}

const TOGETHER_MS = 1000;
const KEPT = 'rundlet.single-keys';

export const scopes = signal<readonly Scope[]>([]);
export const singleKeys = signal(localStorage.getItem(KEPT) !== 'off');

export function setSingleKeys(on: boolean): void {
    singleKeys.value = on;
    localStorage.setItem(KEPT, on ? 'on' : 'off');
}

export function bindKeys(scope: Scope): () => void {
    scopes.value = [...scopes.value, scope];
    return () => {
        scopes.value = scopes.value.filter((one) => one !== scope);
    };
}

export interface Line {
    does: string;
    names: string[];
    run: Act;
}

// What a scope does, and with which keys: those that do the same stand in one line.
export function linesOf({ keys }: Scope): Line[] {
    const lines = new Map<string, Line>();
    for (const [name, act] of Object.entries(keys)) {
        if (typeof act === 'function') continue;
        const line = lines.get(act.does);
        if (line) line.names.push(name);
        else lines.set(act.does, { does: act.does, names: [name], run: act.run });
    }
    return [...lines.values()];
}

function nameOf(event: KeyboardEvent): string {
    if (event.altKey) return '';
    return event.ctrlKey || event.metaKey ? `Mod+${event.key}` : event.key;
}

const typing = (target: EventTarget | null): boolean =>
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches('input:not([type=checkbox]):not([type=radio]), textarea, select'));

// Enter and Space belong to a control that has the focus.
const isPress = (event: KeyboardEvent): boolean =>
    (event.key === 'Enter' || event.key === ' ') &&
    event.target instanceof HTMLElement &&
    event.target.matches('button, a[href], summary, input, [role=tab], [role=option]');

function find(name: string): Act | null {
    for (const scope of [...scopes.value].reverse()) {
        const act = scope.keys[name];
        if (act) return typeof act === 'function' ? act : act.run;
    }
    return null;
}

const begins = (first: string): boolean =>
    scopes.value.some((scope) => Object.keys(scope.keys).some((name) => name.startsWith(`${first} `)));

export function startKeys(): void {
    let before = '';
    let at = 0;
    document.addEventListener('keydown', (event) => {
        const name = nameOf(event);
        if (event.defaultPrevented || event.isComposing || !name) return;
        const free = name === 'Escape' || name.startsWith('Mod+');
        if ((typing(event.target) && !free) || isPress(event)) return;
        if (name.length === 1 && name !== ' ' && !singleKeys.value) return;
        const pair = event.timeStamp - at < TOGETHER_MS ? `${before} ${name}` : '';
        const act = (pair && find(pair)) || find(name);
        before = act ? '' : name;
        at = event.timeStamp;
        if (!act) {
            if (begins(name)) event.preventDefault();
            return;
        }
        event.preventDefault();
        act();
    });
}
