// Finding inside a trace: names and ids here, the rest by asking the server.
import { computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { api } from '../api.ts';
import { quoted } from './quoted.ts';
import type { Skeleton } from './skeleton.ts';
import type { TraceStore } from './store.ts';

export interface Matches {
    on: Uint8Array; // by run
    count: number;
}

const ASK_MS = 250;

function namesWith(s: Skeleton, text: string): Uint8Array {
    const needle = text.toLowerCase();
    const named = s.names.map((name) => name.toLowerCase().includes(needle));
    const on = new Uint8Array(s.count);
    for (let run = 0; run < s.count; run++) if (named[s.name[run]]) on[run] = 1;
    if (/^[0-9a-f-]{8,36}$/.test(needle))
        s.ids.forEach((id, run) => {
            if (id.startsWith(needle)) on[run] = 1;
        });
    return on;
}

interface Page {
    runs: { id: string }[];
    cursors?: { next?: string | null };
}

export class Finder {
    readonly asking = signal(false);
    readonly failed = signal('');
    private readonly told = signal<{ text: string; ids: ReadonlySet<string> }>({ text: '', ids: new Set() });
    readonly matches = computed<Matches | null>(() => this.find());
    private stop = new AbortController();
    private readonly end: () => void;

    constructor(
        private readonly store: TraceStore,
        readonly text: ReadonlySignal<string>,
    ) {
        this.end = effect(() => {
            const text = this.text.value;
            this.stop.abort();
            this.stop = new AbortController();
            this.failed.value = '';
            this.asking.value = text !== '';
            if (!text) return;
            const timer = setTimeout(() => void this.ask(text, this.stop.signal), ASK_MS);
            return () => clearTimeout(timer);
        });
    }

    close(): void {
        this.stop.abort();
        this.end();
    }

    private find(): Matches | null {
        const tree = this.store.tree.value;
        const text = this.text.value;
        if (!tree || !text) return null;
        const on = namesWith(tree.skeleton, text);
        const { text: asked, ids } = this.told.value;
        if (asked === text && ids.size)
            tree.skeleton.ids.forEach((id, run) => {
                if (ids.has(id)) on[run] = 1;
            });
        let count = 0;
        for (const one of on) count += one;
        return { on, count };
    }

    private async ask(text: string, signal: AbortSignal): Promise<void> {
        const ids = new Set<string>();
        try {
            for (let cursor: string | undefined; ; ) {
                const page = await api.json<Page>(
                    'POST',
                    '/runs/query',
                    { trace: this.store.traceId, filter: `search(${quoted(text)})`, select: ['id'], cursor },
                    signal,
                );
                for (const { id } of page.runs) ids.add(id);
                this.told.value = { text, ids: new Set(ids) };
                cursor = page.cursors?.next ?? undefined;
                if (!cursor || !page.runs.length) break;
            }
        } catch (error) {
            if (signal.aborted) return;
            this.failed.value = `Only names were looked at: ${(error as Error).message}`;
        }
        this.asking.value = false;
    }
}
