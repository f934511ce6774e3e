// Frame.tsx - what is around every screen: where one can go, the theme, help, the key.
import { useEffect, useLayoutEffect } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import { KeyForm } from './components/KeyForm.tsx';
import { KeyHelp } from './components/KeyHelp.tsx';
import { Palette } from './components/Palette.tsx';
import { Toasts } from './components/Toast.tsx';
import { bindKeys } from './keys.ts';
import { href, navigate, route } from './router.ts';
import type { Route } from './router.ts';
import { setTheme, theme } from './theme.ts';
import type { Theme } from './theme.ts';
import { First } from './screens/First.tsx';
import { Home } from './screens/Home.tsx';
import { Projects } from './screens/Projects.tsx';
import { Runs } from './screens/Runs.tsx';
import { Stats } from './screens/Stats.tsx';
import { Later } from './components/Later.tsx';

// The largest screens: they come when they are wanted, or when there is nothing else to do.
const tracePage = () => import('./trace/TracePage.tsx').then((module) => module.TracePage);
const comparePage = () => import('./compare/ComparePage.tsx').then((module) => module.ComparePage);

const titles: Record<Route['screen'], string> = {
    home: 'Rundlet',
    start: 'Send runs',
    projects: 'Projects',
    runs: 'Runs',
    trace: 'Trace',
    compare: 'Compare',
    stats: 'Stats',
    unknown: 'Not found',
};

function Screen() {
    const { screen, params } = route.value;
    switch (screen) {
        case 'home':
            return <Home />;
        case 'start':
            return <First />;
        case 'projects':
            return <Projects />;
        case 'runs':
            return <Runs />;
        case 'trace':
            return <Later key={params.traceId} load={tracePage} props={{ traceId: params.traceId! }} />;
        case 'compare':
            return <Later key="compare" load={comparePage} props={{}} />;
        case 'stats':
            return <Stats />;
        case 'unknown':
            return (
                <section class="empty">
                    <h1>There is no such page</h1>
                    <p>
                        <a href="/ui/projects">To the projects</a>
                    </p>
                </section>
            );
    }
}

function ThemeChoice() {
    return (
        <select
            aria-label="Theme"
            value={theme.value}
            onChange={(event) => setTheme(event.currentTarget.value as Theme)}
        >
            <option value="system">System</option>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
        </select>
    );
}

function Link({ to, screen, children }: { to: string; screen: Route['screen']; children: string }) {
    return (
        <a href={to} aria-current={route.value.screen === screen ? 'page' : undefined}>
            {children}
        </a>
    );
}

export function Frame() {
    const shown = useSignal<'' | 'help' | 'palette'>('');
    const show = (what: '' | 'help' | 'palette') => (shown.value = what);
    const { screen, query } = route.value;
    const project = query.get('project');
    const runs = href('/ui/runs', { project });
    const stats = href('/ui/stats', { project });
    useLayoutEffect(
        () =>
            bindKeys({
                title: 'Everywhere',
                keys: {
                    'g p': { does: 'Go to the projects', run: () => navigate('/ui/projects') },
                    'g r': {
                        does: 'Go to the runs',
                        run: () => navigate(href('/ui/runs', { project: route.value.query.get('project') })),
                    },
                    'g s': {
                        does: 'Go to the stats',
                        run: () => navigate(href('/ui/stats', { project: route.value.query.get('project') })),
                    },
                    'g h': { does: 'Go to how runs are sent', run: () => navigate('/ui/start') },
                    'Mod+k': { does: 'Find what to do', run: () => show('palette') },
                    '?': { does: 'Show the keys', run: () => show('help') },
                },
            }),
        [],
    );
    useEffect(() => {
        document.title = project && screen !== 'projects' ? `${titles[screen]} · ${project}` : titles[screen];
    }, [screen, project]);
    return (
        <>
            <a class="skip" href="#main">
                To the content
            </a>
            <header class="frame">
                <a class="mark" href="/">
                    <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
                        <rect x="5" y="3" width="22" height="26" rx="7" fill="currentColor" />
                        <path d="M5 11h22M5 21h22" stroke="var(--paper)" stroke-width="2.5" />
                        <circle cx="16" cy="16" r="2.2" fill="var(--paper)" />
                    </svg>
                    <span>Rundlet</span>
                </a>
                <nav aria-label="Screens">
                    <Link to="/ui/projects" screen="projects">
                        Projects
                    </Link>
                    <Link to={runs} screen="runs">
                        Runs
                    </Link>
                    <Link to={stats} screen="stats">
                        Stats
                    </Link>
                    <Link to="/ui/start" screen="start">
                        Send runs
                    </Link>
                </nav>
                <div class="tools">
                    <a href="/docs" target="_blank" rel="noreferrer">
                        API
                    </a>
                    <ThemeChoice />
                    <button type="button" class="quiet" aria-label="Find what to do" title="Find what to do (Ctrl K)" onClick={() => show('palette')}>
                        ⌘
                    </button>
                    <button type="button" class="quiet" aria-label="Keys" title="Keys (?)" onClick={() => show('help')}>
                        ?
                    </button>
                </div>
            </header>
            <main id="main" tabIndex={-1}>
                <KeyForm />
                <Screen />
            </main>
            {shown.value === 'help' && <KeyHelp onClose={() => show('')} onPalette={() => show('palette')} />}
            {shown.value === 'palette' && (
                <Palette
                    onClose={(chosen) => {
                        show('');
                        // Once the focus is back where it was: what is done may want it.
                        if (chosen) setTimeout(chosen);
                    }}
                />
            )}
            <Toasts />
        </>
    );
}
