// Toast.tsx - a sentence on what was just done, for a few seconds and for who listens.
import { signal } from '@preact/signals';

const SHOWN_MS = 5000;
const MOST = 3;

interface Said {
    id: number;
    text: string;
    bad: boolean;
}

const said = signal<readonly Said[]>([]);
let last = 0;

const forget = (id: number) => (said.value = said.value.filter((one) => one.id !== id));

export function toast(text: string, { bad = false } = {}): void {
    const id = ++last;
    said.value = [...said.value.slice(1 - MOST), { id, text, bad }];
    if (!bad) setTimeout(() => forget(id), SHOWN_MS);
}

export function Toasts() {
    return (
        <div class="toasts" role="status" aria-live="polite">
            {said.value.map(({ id, text, bad }) => (
                <p key={id} class={bad ? 'toast bad' : 'toast'}>
                    {text}
                    <button type="button" class="quiet" aria-label="Dismiss" onClick={() => forget(id)}>
                        ×
                    </button>
                </p>
            ))}
        </div>
    );
}
