// focus.ts - the focus, given to something that may not be drawn yet.

const WAIT_MS = 2000;

// Once it is there; what was gone to meanwhile keeps the focus.
export function focusOn(selector: string): void {
    const before = document.activeElement;
    const until = performance.now() + WAIT_MS;
    const look = () => {
        const now = document.activeElement;
        if (now !== before && now !== document.body) return;
        const element = document.querySelector<HTMLElement>(selector);
        if (element) element.focus();
        else if (performance.now() < until) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}
