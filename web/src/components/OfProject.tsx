// OfProject.tsx - a screen about one project: which, and that there is none of this name.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { later } from '../again.ts';
import { useAsk } from '../ask.ts';
import { route } from '../router.ts';
import { projectNamed } from '../runs.ts';
import type { Project } from '../runs.ts';
import { Fault } from './Fault.tsx';
import { ProjectChoice } from './ProjectChoice.tsx';

const ABSENT_MS = 2000; // until a project that is not there is looked for again

export function OfProject({ title, children }: { title: string; children: (project: Project) => ComponentChildren }) {
    const name = route.value.query.get('project');
    const [looks, setLooks] = useState(0);
    const { value, error } = useAsk(name ? (signal) => projectNamed(name, signal).then((found) => ({ found, name })) : null, [name], looks);
    const found = value?.name === name ? value?.found : undefined; // undefined: not known yet
    useEffect(() => (found === null ? later(ABSENT_MS, () => setLooks((n) => n + 1)) : undefined), [value, found]);
    return (
        <>
            <div class="row title">
                <h1>{title}</h1>
                <ProjectChoice name={name} />
            </div>
            <Fault of={error} />
            {found && children(found)}
            {found === null && !error && (
                <section class="empty">
                    <h2>There is no project “{name}”</h2>
                    <p>It appears here by itself when a run comes to it.</p>
                    <p>
                        <a href="/ui/projects">All projects</a>
                    </p>
                </section>
            )}
        </>
    );
}
