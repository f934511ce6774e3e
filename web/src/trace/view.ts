// What of a trace is shown, as the address says it.
import { computed } from '@preact/signals';
import { route, setQuery } from '../router.ts';
import type { Only } from './store.ts';

export type View = 'tree' | 'waterfall' | 'transcript';

export interface Zoom {
    from: number; // us since the trace began
    to: number;
}

const get = (name: string): string => route.value.query.get(name) ?? '';

export const viewOf = computed<View>(() => {
    const view = get('view');
    return view === 'waterfall' || view === 'transcript' ? view : 'tree';
});

export const onlyOf = computed<Only>(() => {
    const only = get('only');
    return only === 'errors' || only === 'llm' || only === 'critical' ? only : 'all';
});

export const runOf = computed(() => get('run'));
export const findOf = computed(() => get('find'));
export const openOf = computed(() => get('open') === '1');
export const openParam = (): string => get('open'); // '0': the tree, though a run is named
export const tabOf = computed(() => get('tab'));

export const depthOf = (): number => {
    const depth = get('depth');
    return /^\d{1,3}$/.test(depth) ? Number(depth) : -1;
};

export const zoomOf = computed<Zoom | null>(() => {
    const found = /^(\d{1,15})-(\d{1,15})$/.exec(get('zoom'));
    if (!found) return null;
    const [from, to] = [Number(found[1]), Number(found[2])];
    return to > from ? { from, to } : null;
});

export const setView = (view: View): void => setQuery({ view: view === 'tree' ? null : view });
export const setOnly = (only: Only): void => setQuery({ only: only === 'all' ? null : only });
export const setTab = (tab: string): void => setQuery({ tab });

export function setZoom(zoom: Zoom | null): void {
    setQuery({ zoom: zoom && `${Math.round(zoom.from)}-${Math.round(zoom.to)}` });
}
