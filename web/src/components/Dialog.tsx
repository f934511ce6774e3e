// Dialog.tsx - a dialog of the browser's own: it keeps the focus inside, Escape closes it.
import { useEffect, useId, useRef } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

export function Dialog({ title, onClose, children }: {
    title: string;
    onClose: () => void;
    children: ComponentChildren;
}) {
    const dialog = useRef<HTMLDialogElement>(null);
    const heading = useId();
    useEffect(() => {
        const before = document.activeElement;
        dialog.current?.showModal();
        return () => before instanceof HTMLElement && before.focus();
    }, []);
    return (
        <dialog
            ref={dialog}
            aria-labelledby={heading}
            onClose={onClose}
            onKeyDown={(event) => event.stopPropagation()}
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
