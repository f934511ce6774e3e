// Projects.tsx - S1: the projects, each in a few numbers; made, renamed and deleted here.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useAgain } from '../again.ts';
import { api, asked, faultOf, isAbort } from '../api.ts';
import type { ApiError } from '../api.ts';
import { useLate, useNow } from '../ask.ts';
import { Dialog } from '../components/Dialog.tsx';
import { Fault } from '../components/Fault.tsx';
import { Spark } from '../components/Spark.tsx';
import { Time } from '../components/Time.tsx';
import { toast } from '../components/Toast.tsx';
import { VirtualTable } from '../components/VirtualTable.tsx';
import type { Column } from '../components/VirtualTable.tsx';
import { cost, count, duration, percent, short, time } from '../format.ts';
import { bindKeys } from '../keys.ts';
import { own } from '../own.ts';
import { href, navigate, route, setQuery } from '../router.ts';
import { projects } from '../runs.ts';
import type { Project } from '../runs.ts';

const PAGE = 100;
const MOST = 2000; // shown; more are found by name

interface List {
    name: string; // what they were found by
    list: readonly Project[];
    counted: boolean; // their numbers are there
    more: boolean; // there are more than these
    waiting: boolean;
    error: ApiError | null;
}

// Their names first, then their numbers, which must be counted.
function useProjects(name: string, again: number): List {
    const [state, setState] = useState<List>({ name, list: [], counted: false, more: true, waiting: true, error: null });
    const retry = useAgain(state.error, state.waiting);
    useEffect(() => {
        const abort = new AbortController();
        setState((now) => ({ ...now, waiting: true }));
        const page = (offset: number, stats: boolean) =>
            projects(
                {
                    limit: String(PAGE),
                    offset: String(offset),
                    sort_by: 'start_time',
                    sort_by_desc: 'true',
                    ...(name && { name_contains: name }),
                    ...(stats && { include_stats: 'true' }),
                },
                abort.signal,
            );
        const all = async () => {
            let list: Project[] = [];
            for (let more = true; more && list.length < MOST; ) {
                const found = await page(list.length, false);
                list = [...list, ...found];
                more = found.length === PAGE;
                setState({ name, list, counted: false, more, waiting: true, error: null });
            }
            const stats = new Map<string, Project>();
            for (let at = 0; at < list.length; at += PAGE) {
                for (const one of await page(at, true)) stats.set(one.id, one);
                list = list.map((one) => stats.get(one.id) ?? one);
                setState((now) => ({ ...now, list, counted: at + PAGE >= list.length, more: list.length >= MOST }));
            }
            setState((now) => ({ ...now, counted: true, waiting: false }));
        };
        all().catch((error: unknown) => {
            if (isAbort(error) || abort.signal.aborted) return;
            setState((now) => ({
                name,
                list: now.name === name ? now.list : [],
                counted: false,
                more: false,
                waiting: false,
                error: faultOf(error),
            }));
        });
        return () => abort.abort();
    }, [name, again, retry, asked.value]);
    return state;
}

type By = (project: Project) => number | string | null;
const ORDERS: Record<string, By> = {
    name: (project) => project.name.toLowerCase(),
    runs: (project) => project.run_count ?? null,
    errors: (project) => project.error_rate ?? null,
    p50: (project) => project.latency_p50 ?? null,
    p95: (project) => project.latency_p95 ?? null,
    p99: (project) => project.latency_p99 ?? null,
    tokens: (project) => project.total_tokens ?? null,
    cost: (project) => (project.total_cost == null ? null : Number(project.total_cost)),
    last: (project) => time(project.last_run_start_time) || null,
};

// What is not known comes last, whichever way.
function sortedBy(list: readonly Project[], sort: string): readonly Project[] {
    const down = sort.startsWith('-');
    const by = own(ORDERS, sort.replace(/^-/, ''));
    if (!by) return list;
    return [...list].sort((a, b) => {
        const [x, y] = [by(a), by(b)];
        if (x === null || y === null) return Number(x === null) - Number(y === null);
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
    });
}

const Wrong = ({ text }: { text: string }) =>
    text ? (
        <p class="bad" role="alert">
            {text}
        </p>
    ) : null;

function Naming({ project, onClose, onDone }: { project: Project | null; onClose: () => void; onDone: () => void }) {
    const [typed, setTyped] = useState(project?.name ?? '');
    const [error, setError] = useState('');
    const save = async (event: SubmitEvent) => {
        event.preventDefault();
        const name = typed.trim();
        try {
            if (project) await api.json('PATCH', `/sessions/${project.id}`, { name });
            else await api.json('POST', '/sessions', { name });
            toast(project ? `It is called “${name}” now` : `“${name}” is there`);
            onDone();
        } catch (fault) {
            const { status, message } = faultOf(fault);
            setError(status === 409 ? `There is a project “${name}” already: choose another name.` : message);
        }
    };
    return (
        <Dialog title={project ? 'Rename the project' : 'New project'} onClose={onClose}>
            <form onSubmit={(event) => void save(event)}>
                <label>
                    Name{' '}
                    <input required maxLength={200} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autofocus autocomplete="off" />
                </label>{' '}
                <button type="submit" class="main">
                    {project ? 'Rename' : 'Make it'}
                </button>
                <Wrong text={error} />
            </form>
        </Dialog>
    );
}

// Its runs go with it, so its name has to be written.
function Deleting({ project, onClose, onDone }: { project: Project; onClose: () => void; onDone: () => void }) {
    const [typed, setTyped] = useState('');
    const [error, setError] = useState('');
    const remove = async (event: SubmitEvent) => {
        event.preventDefault();
        try {
            await api.json('DELETE', `/sessions/${project.id}`);
            toast(`“${project.name}” is deleted`);
            onDone();
        } catch (fault) {
            setError(fault instanceof Error ? fault.message : String(fault));
        }
    };
    return (
        <Dialog title="Delete the project" onClose={onClose}>
            <form onSubmit={(event) => void remove(event)}>
                <p>
                    “{project.name}” and its {project.run_count == null ? '' : count(project.run_count)} runs are hidden at once, and do
                    not come back. To delete it, write its name:
                </p>
                <label>
                    <span class="away">The name of the project</span>
                    <input value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autofocus autocomplete="off" />
                </label>{' '}
                <button type="submit" disabled={typed !== project.name}>
                    Delete
                </button>
                <Wrong text={error} />
            </form>
        </Dialog>
    );
}

const runsHref = (project: Project): string => href('/ui/runs', { project: project.name });
const us = (seconds: number | null | undefined) => (seconds == null ? null : Math.round(seconds * 1e6));

type Doing = { what: 'make' } | { what: 'rename' | 'delete'; project: Project } | null;

export function Projects() {
    const { query } = route.value;
    const name = query.get('name') ?? '';
    const sort = query.get('sort') ?? '';
    const now = useNow();
    const [again, setAgain] = useState(0);
    const [doing, setDoing] = useState<Doing>(null);
    const [chosenId, setChosenId] = useState('');
    const { list, counted, more, waiting, error, name: of } = useProjects(name, again);
    const busy = useLate(waiting && of !== name);
    const rows = useMemo(() => sortedBy(list, sort), [list, sort]);
    const chosen = rows.findIndex(({ id }) => id === chosenId);
    const filter = useRef<HTMLInputElement>(null);

    const sorting = (key: string) => ({
        sorted: sort === key ? ('ascending' as const) : sort === `-${key}` ? ('descending' as const) : undefined,
        onSort: () => {
            const first = key === 'name' ? key : `-${key}`;
            const second = key === 'name' ? `-${key}` : key;
            setQuery({ sort: sort === first ? second : first });
        },
    });
    const columns: Column<Project>[] = [
        {
            key: 'name',
            title: 'Name',
            least: 120,
            share: 3,
            ...sorting('name'),
            cell: (project) => (
                <a class="cut" href={runsHref(project)} tabIndex={-1} title={project.name}>
                    {project.name}
                </a>
            ),
        },
        { key: 'day', title: 'Last 24 h', least: 110, rank: 5, cell: (project) => <Spark project={project} /> },
        { key: 'runs', title: 'Runs', least: 70, end: true, ...sorting('runs'), cell: (project) => count(project.run_count) },
        {
            key: 'errors',
            title: 'Errors',
            least: 72,
            end: true,
            rank: 1,
            ...sorting('errors'),
            cell: ({ error_rate }) => <span class={error_rate ? 'bad' : ''}>{percent(error_rate)}</span>,
        },
        { key: 'p50', title: 'P50', least: 74, end: true, rank: 4, ...sorting('p50'), cell: (project) => duration(us(project.latency_p50)) },
        { key: 'p95', title: 'P95', least: 74, end: true, rank: 3, ...sorting('p95'), cell: (project) => duration(us(project.latency_p95)) },
        { key: 'p99', title: 'P99', least: 74, end: true, rank: 8, ...sorting('p99'), cell: (project) => duration(us(project.latency_p99)) },
        { key: 'tokens', title: 'Tokens', least: 74, end: true, rank: 6, ...sorting('tokens'), cell: (project) => short(project.total_tokens) },
        { key: 'cost', title: 'Cost', least: 74, end: true, rank: 7, ...sorting('cost'), cell: (project) => cost(project.total_cost) },
        {
            key: 'last',
            title: 'Last run',
            least: 84,
            end: true,
            rank: 2,
            ...sorting('last'),
            cell: (project) => <Time at={project.last_run_start_time} now={now} />,
        },
        {
            key: 'more',
            title: 'Change',
            quiet: true,
            least: 60,
            end: true,
            rank: 1,
            cell: (project) => (
                <span class="acts">
                    <button type="button" class="quiet" tabIndex={-1} aria-label={`Rename ${project.name}`} title="Rename (e)" onClick={() => setDoing({ what: 'rename', project })}>
                        ✎
                    </button>
                    <button type="button" class="quiet" tabIndex={-1} aria-label={`Delete ${project.name}`} title="Delete…" onClick={() => setDoing({ what: 'delete', project })}>
                        ×
                    </button>
                </span>
            ),
        },
    ];
    const choose = (index: number) => {
        const project = rows[Math.max(0, Math.min(rows.length - 1, index))];
        if (project) setChosenId(project.id);
    };
    const act = useRef({ rows, chosen, choose });
    act.current = { rows, chosen, choose };
    useLayoutEffect(() => {
        const at = () => act.current.rows[act.current.chosen];
        return bindKeys({
            title: 'Projects',
            keys: {
                '/': { does: 'Find by name', run: () => filter.current?.focus() },
                j: { does: 'Next', run: () => act.current.choose(act.current.chosen + 1) },
                ArrowDown: { does: 'Next', run: () => act.current.choose(act.current.chosen + 1) },
                k: { does: 'Previous', run: () => act.current.choose(act.current.chosen - 1) },
                ArrowUp: { does: 'Previous', run: () => act.current.choose(act.current.chosen - 1) },
                Enter: { does: 'Open', run: () => at() && navigate(runsHref(at()!)) },
                e: { does: 'Rename', run: () => at() && setDoing({ what: 'rename', project: at()! }) },
                R: { does: 'Ask again', run: () => setAgain((n) => n + 1) },
            },
        });
    }, []);
    const done = () => {
        setDoing(null);
        setAgain((n) => n + 1);
    };
    return (
        <>
            <div class="row title">
                <h1>Projects</h1>
                <label>
                    <span class="away">Find by name</span>
                    <input
                        ref={filter}
                        type="search"
                        placeholder="Find by name"
                        value={name}
                        onInput={(event) => setQuery({ name: event.currentTarget.value })}
                        onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
                    />
                </label>
                <button type="button" class="push" onClick={() => setDoing({ what: 'make' })}>
                    New project
                </button>
            </div>
            <Fault of={error} />
            {rows.length > 0 && (
                <VirtualTable
                    label="Projects"
                    columns={columns}
                    rows={rows}
                    idOf={(project) => project.id}
                    total={more ? -1 : rows.length}
                    chosen={chosen}
                    onChoose={choose}
                    onOpen={(project) => navigate(runsHref(project))}
                    busy={busy}
                />
            )}
            {!rows.length && !more && !error && (
                <section class="empty">
                    <h2>{name ? `No project has “${name}” in its name` : 'There is no project'}</h2>
                </section>
            )}
            <footer class="row soft" aria-busy={!counted && !error}>
                {(rows.length > 0 || !error) && `${count(rows.length)} ${rows.length === 1 ? 'project' : 'projects'}`}
                {more && rows.length >= MOST ? ' shown; find the others by name' : ''}
                {!counted && rows.length > 0 && !error ? ' · counting…' : ''}
            </footer>
            {doing?.what === 'make' && <Naming project={null} onClose={() => setDoing(null)} onDone={done} />}
            {doing?.what === 'rename' && <Naming project={doing.project} onClose={() => setDoing(null)} onDone={done} />}
            {doing?.what === 'delete' && <Deleting project={doing.project} onClose={() => setDoing(null)} onDone={done} />}
        </>
    );
}
