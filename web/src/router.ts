// router.ts - the address is the state: which screen, of what, with which filters.
//
// Addresses of the page are under /ui/ (and /).  A link to one of them, clicked without a
// modifier, does not load the page again.
import { signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';

export interface Route {
    screen: 'home' | 'start' | 'projects' | 'runs' | 'trace' | 'compare' | 'stats' | 'unknown';
    params: Record<string, string>;
    query: URLSearchParams;
}

const screens: [RegExp, Route['screen']][] = [
    [/^\/(?:ui\/?)?$/, 'home'],
    [/^\/ui\/start$/, 'start'],
    [/^\/ui\/projects$/, 'projects'],
    [/^\/ui\/runs$/, 'runs'],
    [/^\/ui\/traces\/(?<traceId>[^/]+)$/, 'trace'],
    [/^\/ui\/compare$/, 'compare'],
    [/^\/ui\/stats$/, 'stats'],
];

function decoded(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

export function routeOf(path: string, search: string): Route {
    const query = new URLSearchParams(search);
    for (const [shape, screen] of screens) {
        const found = shape.exec(path);
        if (!found) continue;
        const params: Record<string, string> = {};
        for (const [name, value] of Object.entries(found.groups ?? {}))
            params[name] = decoded(value);
        return { screen, params, query };
    }
    return { screen: 'unknown', params: {}, query };
}

const here = () => routeOf(location.pathname, location.search);
const current = signal<Route>(here());
export const route: ReadonlySignal<Route> = current;

export function navigate(href: string, replace = false): void {
    if (href === location.pathname + location.search) replace = true;
    history[replace ? 'replaceState' : 'pushState'](null, '', href);
    current.value = here();
}

// Change some parameters of the address; null and '' take one out.  It replaces the entry in
// the history unless it is said not to.
export function setQuery(patch: Record<string, string | null | undefined>, replace = true): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(patch))
        if (value === null || value === undefined || value === '') query.delete(name);
        else query.set(name, value);
    const text = query.toString();
    navigate(location.pathname + (text && `?${text}`), replace);
}

// An address with parameters; those that are empty are left out.
export function href(path: string, query: Record<string, string | null | undefined> = {}): string {
    const pairs = Object.entries(query).filter((pair): pair is [string, string] => !!pair[1]);
    const text = new URLSearchParams(pairs).toString();
    return path + (text && `?${text}`);
}

function clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a');
    if (!link || link.target || link.hash || link.hasAttribute('download')) return;
    if (link.origin !== location.origin) return;
    if (link.pathname !== '/' && !link.pathname.startsWith('/ui/')) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
}

export function startRouter(): void {
    addEventListener('popstate', () => (current.value = here()));
    document.addEventListener('click', clicked);
}
