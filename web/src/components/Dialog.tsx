// Dialog.tsx - a dialog of the browser's own: it keeps the focus inside, Escape closes it.
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

export function Dialog({ title, onClose, onKeyDown, children }: {
    title: string;
    onClose: () => void;
    onKeyDown?: (event: KeyboardEvent) => void; // those of the page are not heard meanwhile
    children: ComponentChildren;
}) {
    const dialog = useRef<HTMLDialogElement>(null);
    const heading = useId();
    useLayoutEffect(() => {
        const before = document.activeElement;
        const element = dialog.current!;
        element.showModal();
        return () => {
            element.close();
            if (before instanceof HTMLElement) before.focus();
        };
    }, []);
    return (
        <dialog
            ref={dialog}
            aria-labelledby={heading}
            onClose={() => dialog.current && onClose() /* not when it is gone already */}
            onKeyDown={(event) => {
                onKeyDown?.(event);
                event.stopPropagation();
            }}
            onClick={(event) => event.target === dialog.current && dialog.current?.close()}
        >
            <div class="dialog">
                <header>
                    <h2 id={heading}>{title}</h2>
                    <button type="button" class="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
                        ×
                    </button>
                </header>
                {children}
            </div>
        </dialog>
    );
}
