// OfProject.tsx - a screen about one project: which, and that there is none of this name.
import type { ComponentChildren } from 'preact';
import { useAsk } from '../ask.ts';
import { route } from '../router.ts';
import { projectNamed } from '../runs.ts';
import type { Project } from '../runs.ts';
import { Fault } from './Fault.tsx';
import { ProjectChoice } from './ProjectChoice.tsx';

export function OfProject({ title, children }: { title: string; children: (project: Project) => ComponentChildren }) {
    const name = route.value.query.get('project');
    const { value, error } = useAsk(name ? (signal) => projectNamed(name, signal).then((found) => ({ found, name })) : null, [name]);
    const found = value?.name === name ? value?.found : undefined; // undefined: not known yet
    return (
        <>
            <div class="row title">
                <h1>{title}</h1>
                <ProjectChoice name={name} />
            </div>
            <Fault text={error} />
            {found && children(found)}
            {found === null && !error && (
                <section class="empty">
                    <h2>There is no project “{name}”</h2>
                    <p>
                        <a href="/ui/projects">All projects</a>
                    </p>
                </section>
            )}
        </>
    );
}
