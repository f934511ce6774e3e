// focus.ts - the focus, given to something that may not be drawn yet.

// What was gone to meanwhile keeps it.
export function focusOn(selector: string): void {
    const before = document.activeElement;
    requestAnimationFrame(() => {
        const now = document.activeElement;
        if (now === before || now === document.body) document.querySelector<HTMLElement>(selector)?.focus();
    });
}
