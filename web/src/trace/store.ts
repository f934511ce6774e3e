// A trace that is looked at: its tree, kept as it is while it grows.
//
// The skeleton is asked for again when the server tells of a change in the trace (GET
// /runs/tail), at most as often as it is cheap; where it cannot tell, now and then.  What was
// folded stays so, run by run.
import { batch, computed, effect, signal, type ReadonlySignal } from '@preact/signals';
import { later, pauseAfter } from '../again.ts';
import { api, asked, faultOf, isAbort, textOf, type ApiError } from '../api.ts';
import { follow } from '../events.ts';
import { quoted } from './quoted.ts';
import { criticalPath } from './critical.ts';
import { decodeSkeleton, ERROR } from './skeleton.ts';
import { buildTree, foldedAt, keepWith, visibleRows, type Tree } from './tree.ts';

export type Only = 'all' | 'errors' | 'llm' | 'critical';

const SOONEST_MS = 400; // between two looks
const ABSENT_MS = 2_000; // until a trace that is not there is looked for again
const UNTOLD_MS = 2_000; // between looks when nobody tells

export class TraceStore {
    readonly tree = signal<Tree | null>(null);
    readonly failed = signal<ApiError | null>(null);
    readonly tookMs = signal(0);
    readonly bytes = signal(0);
    readonly now = signal(0); // us since the trace began
    readonly folded = signal<ReadonlySet<number>>(new Set());
    readonly live = computed(() => (this.tree.value?.running ?? 0) > 0);
    readonly keep = computed(() => this.kept());
    readonly rows = computed(() => {
        const tree = this.tree.value;
        return tree ? visibleRows(tree, this.folded.value, this.keep.value) : new Int32Array(0);
    });

    private etag = '';
    private readonly stop = new AbortController();
    private readonly ends: (() => void)[] = [];
    private settle = (): void => {};
    private tries = 0; // in a row that failed
    private busy = false;
    private again = false;
    private lookedAt = 0;
    private cost = 0;

    constructor(
        readonly traceId: string,
        readonly only: ReadonlySignal<Only>,
        private firstDepth: number,
    ) {
        this.ends.push(
            effect(() => {
                void asked.value;
                void this.look();
            }),
            effect(() => (this.live.value ? this.watch() : undefined)),
        );
    }

    close(): void {
        this.stop.abort();
        this.settle();
        for (const end of this.ends) end();
    }

    toggle(run: number, open: boolean): void {
        const folded = new Set(this.folded.value);
        if (open) folded.delete(run);
        else folded.add(run);
        this.folded.value = folded;
    }

    unfold(runs: number[]): void {
        if (!runs.some((run) => this.folded.value.has(run))) return;
        const folded = new Set(this.folded.value);
        for (const run of runs) folded.delete(run);
        this.folded.value = folded;
    }

    // -1: nothing folded.
    foldAt(depth: number): void {
        const tree = this.tree.value;
        this.firstDepth = depth;
        if (tree) this.folded.value = depth < 0 ? new Set() : foldedAt(tree, depth);
    }

    // ---- asking ----

    async look(): Promise<void> {
        if (this.busy) {
            this.again = true;
            return;
        }
        this.busy = true;
        const began = performance.now();
        try {
            const response = await api.get(`/traces/${encodeURIComponent(this.traceId)}/skeleton`, {
                headers: this.etag ? { 'if-none-match': this.etag } : {},
                signal: this.stop.signal,
            });
            if (response.status !== 304) await this.take(response, began);
            this.failed.value = null;
            this.tries = 0;
        } catch (error) {
            if (this.stop.signal.aborted || isAbort(error)) return;
            this.fail(error);
        } finally {
            this.busy = false;
            this.lookedAt = performance.now();
            this.cost = this.lookedAt - began;
        }
        if (this.again) this.lookSoon();
    }

    private async take(response: Response, began: number): Promise<void> {
        const text = await textOf(response, this.stop.signal);
        const tree = buildTree(decodeSkeleton(JSON.parse(text)));
        this.etag = response.headers.get('etag') ?? '';
        batch(() => {
            this.folded.value = this.foldedIn(tree);
            this.now.value = Date.now() * 1000 - tree.skeleton.startUs;
            this.tree.value = tree;
            this.bytes.value = text.length;
            this.tookMs.value = performance.now() - began;
        });
    }

    private fail(error: unknown): void {
        const known = faultOf(error);
        this.failed.value = known;
        // It may be on its way: a page that was opened before the run was sent.
        if (known.status === 404 && !this.tree.value) this.lookIn(ABSENT_MS);
        if (known.passes) this.lookIn(pauseAfter(known, this.tries++));
    }

    // What was folded, in a tree that may have more runs; of a first one what lies deep.
    private foldedIn(tree: Tree): ReadonlySet<number> {
        const before = this.tree.value;
        if (!before) return this.firstDepth < 0 ? new Set() : foldedAt(tree, this.firstDepth);
        const folded = this.folded.value;
        if (!folded.size) return folded;
        const ids = new Set([...folded].map((run) => before.skeleton.ids[run]));
        const now = new Set<number>();
        tree.skeleton.ids.forEach((id, run) => ids.has(id) && now.add(run));
        return now;
    }

    private lookSoon(): void {
        this.again = false;
        const rest = Math.max(SOONEST_MS, 10 * this.cost);
        this.lookIn(Math.max(0, this.lookedAt + rest - performance.now()));
    }

    private lookIn(ms: number): void {
        this.settle();
        if (!this.stop.signal.aborted) this.settle = later(ms, () => void this.look());
    }

    // While something of it runs: the clock, and what the server tells.
    private watch(): () => void {
        const clock = setInterval(() => {
            const tree = this.tree.peek();
            if (tree) this.now.value = Date.now() * 1000 - tree.skeleton.startUs;
        }, 1000);
        const changed = (): void => {
            this.again = true;
            if (!this.busy) this.lookSoon();
        };
        let told = false;
        // What failed and passes has pauses of its own.
        const untold = setInterval(() => told || document.hidden || this.failed.peek()?.passes || void this.look(), UNTOLD_MS);
        const session = this.tree.peek()?.skeleton.project.id ?? '';
        const filter = `eq(trace_id, ${quoted(this.traceId)})`;
        const query = new URLSearchParams({ ...(session && { session }), filter, select: 'id' });
        const stop = follow(`/runs/tail?${query}`, {
            event: changed,
            state: (state) => {
                told = state === 'open';
                if (told) changed();
            },
        });
        return () => {
            stop();
            clearInterval(clock);
            clearInterval(untold);
        };
    }

    // ---- what is to be seen ----

    private kept(): Uint8Array | null {
        const tree = this.tree.value;
        if (!tree) return null;
        const s = tree.skeleton;
        switch (this.only.value) {
            case 'all':
                return null;
            case 'errors':
                return keepWith(tree, (run) => s.status[run] === ERROR);
            case 'llm': {
                const llm = s.types.indexOf('llm');
                return keepWith(tree, (run) => s.type[run] === llm);
            }
            case 'critical': {
                const path = criticalPath(tree, this.now.peek());
                return keepWith(tree, (run) => path[run] === 1);
            }
        }
    }
}
