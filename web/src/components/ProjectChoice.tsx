// ProjectChoice.tsx - which project a screen is about; without one that of the newest run.
import { useEffect } from 'preact/hooks';
import { useAsk } from '../ask.ts';
import { setQuery } from '../router.ts';
import { anyRun, projects } from '../runs.ts';
import { Fault } from './Fault.tsx';

const MOST = 100; // the API's page

export function ProjectChoice({ name }: { name: string | null }) {
    const { value, error } = useAsk(
        (signal) => projects({ limit: String(MOST), sort_by: 'start_time', sort_by_desc: 'true' }, signal),
        [],
    );
    const names = (value ?? []).map((project) => project.name);
    const newest = useAsk(name ? null : async (signal) => (await anyRun(signal))?.project.name ?? '', [name]);
    const pick = newest.value === null ? null : newest.value || names[0];
    useEffect(() => {
        if (!name && pick) setQuery({ project: pick });
    }, [name, pick]);
    if (error && !name) return <Fault of={error} />;
    return (
        <select
            aria-label="Project"
            value={name ?? ''}
            onChange={(event) => setQuery({ project: event.currentTarget.value, q: null }, false)}
        >
            {[...new Set([...(name ? [name] : []), ...names])].map((one) => (
                <option key={one} value={one}>
                    {one}
                </option>
            ))}
        </select>
    );
}
