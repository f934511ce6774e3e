// Copy.tsx - a button that copies a text, and says that it did.
import { toast } from './Toast.tsx';

// The clipboard is there only over https and on this machine: else by way of a field.
export async function copyText(text: string, what = 'Copied'): Promise<void> {
    try {
        await navigator.clipboard.writeText(text);
        toast(what);
    } catch {
        const field = document.createElement('textarea');
        field.value = text;
        field.className = 'away';
        document.body.append(field);
        field.select();
        const done = document.execCommand('copy');
        field.remove();
        toast(done ? what : 'The browser does not let this page copy', { bad: !done });
    }
}

export function Copy({ text, label = 'Copy', what, class: name = 'quiet' }: {
    text: string | (() => string);
    label?: string;
    what?: string;
    class?: string;
}) {
    return (
        <button
            type="button"
            class={name}
            onClick={() => void copyText(typeof text === 'string' ? text : text(), what)}
        >
            {label}
        </button>
    );
}
