// Toast.tsx - a sentence on what was just done, for a few seconds and for who listens.  The same
// once more is counted.
import { signal } from '@preact/signals';

const SHOWN_MS = 5000;
const MOST = 3;

interface Said {
    id: number;
    text: string;
    bad: boolean;
    times: number;
    timer: number;
}

const said = signal<readonly Said[]>([]);
let last = 0;

const forget = (id: number) => (said.value = said.value.filter((one) => one.id !== id));

export function toast(text: string, { bad = false } = {}): void {
    const before = said.value.find((one) => one.text === text && one.bad === bad);
    clearTimeout(before?.timer);
    const id = before?.id ?? ++last;
    const timer = bad ? 0 : (setTimeout(() => forget(id), SHOWN_MS) as unknown as number);
    const now = { id, text, bad, times: (before?.times ?? 0) + 1, timer };
    said.value = before ? said.value.map((one) => (one === before ? now : one)) : [...said.value.slice(1 - MOST), now];
}

export function Toasts() {
    return (
        <div class="toasts" role="status" aria-live="polite">
            {said.value.map(({ id, text, bad, times }) => (
                <p key={id} class={bad ? 'toast bad' : 'toast'}>
                    {text}
                    {times > 1 && <span class="soft"> ×{times}</span>}
                    <button type="button" class="quiet" aria-label="Dismiss" onClick={() => forget(id)}>
                        ×
                    </button>
                </p>
            ))}
        </div>
    );
}
