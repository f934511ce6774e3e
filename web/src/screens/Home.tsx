// Home.tsx - where / leads: to how runs are sent until there is one, then to the projects.
import { useEffect } from 'preact/hooks';
import { useAsk } from '../ask.ts';
import { Fault } from '../components/Fault.tsx';
import { href, navigate } from '../router.ts';
import { anyRun, projects } from '../runs.ts';
import { First } from './First.tsx';

export function Home() {
    const { value, error } = useAsk(async (signal) => {
        const found = await anyRun(signal);
        if (!found) return 'none';
        const all = await projects({ limit: '2' }, signal);
        return all.length > 1 ? '/ui/projects' : href('/ui/runs', { project: found.project.name });
    }, []);
    useEffect(() => {
        if (value && value !== 'none') navigate(value, true);
    }, [value]);
    if (error)
        return (
            <>
                <h1 class="away">Rundlet</h1>
                <Fault of={error} />
            </>
        );
    return value === 'none' ? <First waits /> : null;
}
