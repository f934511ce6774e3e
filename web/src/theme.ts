// theme.ts - light, dark, or as the system has it.
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEPT = 'rundlet.theme';
const read = (): Theme => {
    const kept = localStorage.getItem(KEPT);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
};

export const theme = signal<Theme>(read());

const dark = matchMedia('(prefers-color-scheme: dark)');

// What the style is of: the system's, where nothing is chosen, also when that changes.
export const shownTheme = signal<'light' | 'dark'>('light');

function show(): void {
    const system = dark.matches ? 'dark' : 'light';
    shownTheme.value = theme.value === 'system' ? system : theme.value;
    document.documentElement.dataset.theme = shownTheme.value;
}

export function setTheme(next: Theme): void {
    theme.value = next;
    localStorage.setItem(KEPT, next);
    show();
}

export function startTheme(): void {
    dark.addEventListener('change', show);
    show();
}
