// theme.ts - light, dark, or as the system has it.
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEPT = 'rundlet.theme';
const read = (): Theme => {
    const kept = localStorage.getItem(KEPT);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
};

export const theme = signal<Theme>(read());

function show(): void {
    if (theme.value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
}

export function setTheme(next: Theme): void {
    theme.value = next;
    localStorage.setItem(KEPT, next);
    show();
}

export const startTheme = show;
