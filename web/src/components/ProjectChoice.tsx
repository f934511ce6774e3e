// ProjectChoice.tsx - which project a screen is about; without one the last that had runs.
import { useEffect } from 'preact/hooks';
import { useAsk } from '../ask.ts';
import { setQuery } from '../router.ts';
import { projects } from '../runs.ts';
import { Fault } from './Fault.tsx';

const MOST = 100; // the API's page

export function ProjectChoice({ name }: { name: string | null }) {
    const { value, error } = useAsk(
        (signal) => projects({ limit: String(MOST), sort_by: 'start_time', sort_by_desc: 'true' }, signal),
        [],
    );
    const names = (value ?? []).map((project) => project.name);
    useEffect(() => {
        if (!name && names[0]) setQuery({ project: names[0] });
    }, [name, names[0]]);
    if (error && !name) return <Fault text={error} />;
    return (
        <label>
            <span class="away">Project</span>
            <select value={name ?? ''} onChange={(event) => setQuery({ project: event.currentTarget.value, q: null }, false)}>
                {[...new Set([...(name ? [name] : []), ...names])].map((one) => (
                    <option key={one} value={one}>
                        {one}
                    </option>
                ))}
            </select>
        </label>
    );
}
