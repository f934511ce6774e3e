// goTo.ts - an id was written: the run with it, or the trace.
import { ApiError, api } from './api.ts';
import { toast } from './components/Toast.tsx';
import { href, navigate } from './router.ts';

export async function goTo(id: string): Promise<void> {
    try {
        const run = await api.json<{ trace_id: string }>('GET', `/runs/${id}?fields=trace_id`);
        navigate(href(`/ui/traces/${run.trace_id}`, { run: id === run.trace_id ? null : id }));
    } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status !== 404) toast(error.message, { bad: true });
        else navigate(`/ui/traces/${id}`);
    }
}
