// Deleting a trace: how many runs go has to be written, since they do not come back.
import { useState } from 'preact/hooks';
import { api } from '../api.ts';
import { Dialog } from '../components/Dialog.tsx';
import { toast } from '../components/Toast.tsx';
import { count } from '../format.ts';
import { href, navigate } from '../router.ts';
import type { Skeleton } from './skeleton.ts';

function Confirm({ s, onClose }: { s: Skeleton; onClose: () => void }) {
    const [typed, setTyped] = useState('');
    const remove = async (): Promise<void> => {
        try {
            await api.json('DELETE', `/runs?trace_id=${encodeURIComponent(s.traceId)}`);
            toast('The trace is deleted');
            navigate(href('/ui/runs', { project: s.project.name }));
        } catch (error) {
            toast((error as Error).message, { bad: true });
        }
    };
    return (
        <Dialog title="Delete the trace" onClose={onClose}>
            <form
                onSubmit={(event) => {
                    event.preventDefault();
                    void remove();
                }}
            >
                <p>
                    Its {count(s.count)} {s.count === 1 ? 'run does' : 'runs do'} not come back, nor do those that are still sent. To
                    delete {s.count === 1 ? 'it' : 'them'}, write how many there are:
                </p>
                <p class="row">
                    <label>
                        <span class="away">How many runs</span>
                        <input value={typed} inputMode="numeric" autocomplete="off" autofocus onInput={(event) => setTyped(event.currentTarget.value)} />
                    </label>
                    <button type="submit" disabled={typed.replace(/\D/g, '') !== String(s.count)}>
                        Delete
                    </button>
                </p>
            </form>
        </Dialog>
    );
}

export function DeleteTrace({ s }: { s: Skeleton }) {
    const [asking, setAsking] = useState(false);
    return (
        <>
            <button type="button" class="quiet" onClick={() => setAsking(true)}>
                Delete
            </button>
            {asking && <Confirm s={s} onClose={() => setAsking(false)} />}
        </>
    );
}
