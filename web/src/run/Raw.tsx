// The bytes of a payload exactly as they were sent, looked at through a window.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { api } from '../api.ts';
import { Copy, copyText } from '../components/Copy.tsx';
import { toast } from '../components/Toast.tsx';
import { useWindow } from '../components/window.ts';
import { bytes as told, count } from '../format.ts';
import { curlOf } from './info.ts';
import { COLUMNS, linesOf, PAGE, rangeOf } from './pages.ts';

const ROW_PX = 20;
const KEPT = 24; // pages
const LINES = PAGE / COLUMNS;
const MOST_COPIED = 4 << 20;

type Field = 'inputs' | 'outputs' | 'metadata';

interface Size {
    total: number;
    etag: string;
}

// How large it is, by asking for its first byte.
async function sizeOf(path: string, signal: AbortSignal): Promise<Size> {
    const response = await api.get(path, { headers: { range: 'bytes=0-0' }, signal });
    const range = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
    const etag = response.headers.get('etag') ?? '';
    if (range) {
        await response.arrayBuffer();
        return { total: Number(range[1]), etag };
    }
    return { total: (await response.arrayBuffer()).byteLength, etag };
}

class Pages {
    private readonly lines = new Map<number, string[]>();
    private readonly asked = new Set<number>();

    constructor(
        private readonly path: string,
        private readonly size: Size,
        private readonly signal: AbortSignal,
        private readonly came: (failed?: string) => void,
    ) {}

    line(i: number): string | null {
        const page = Math.floor(i / LINES);
        const lines = this.lines.get(page);
        if (!lines) void this.fetch(page);
        return lines?.[i % LINES] ?? null;
    }

    private async fetch(page: number): Promise<void> {
        if (this.asked.has(page)) return;
        this.asked.add(page);
        try {
            const headers = { range: rangeOf(page, this.size.total), 'if-range': this.size.etag };
            const response = await api.get(this.path, { headers, signal: this.signal });
            const all = new Uint8Array(await response.arrayBuffer());
            if (response.status === 200 && all.length !== this.size.total)
                throw new Error('The run was changed while it was read. Open it again');
            const part = response.status === 200 ? all.subarray(page * PAGE, (page + 1) * PAGE + 3) : all;
            this.lines.set(page, linesOf(part, page === 0));
            for (const old of this.lines.keys()) {
                if (this.lines.size <= KEPT) break;
                this.lines.delete(old);
                this.asked.delete(old);
            }
            this.came();
        } catch (error) {
            if (!this.signal.aborted) this.came((error as Error).message);
        }
    }
}

function Lines({ path, size }: { path: string; size: Size }) {
    const [, came] = useState(0);
    const [failed, setFailed] = useState('');
    const stop = useMemo(() => new AbortController(), [path, size.etag]);
    const pages = useMemo(
        () => new Pages(path, size, stop.signal, (why) => (why ? setFailed(why) : came((n) => n + 1))),
        [path, size.etag],
    );
    useEffect(() => () => stop.abort(), [stop]);
    const rows = Math.ceil(size.total / COLUMNS);
    const window = useWindow(rows, ROW_PX);
    const seen = Array.from({ length: window.last - window.first }, (_, i) => window.first + i);
    return (
        <>
            {failed && <p class="bad" role="alert">{failed}</p>}
            <div
                ref={window.ref}
                class="raw-lines"
                tabIndex={0}
                role="group"
                aria-label="Bytes as text"
                style={{ '--rows': rows }}
            >
                <div class="grid-all" style={{ height: `${window.total}px` }}>
                    <pre style={{ transform: `translateY(${window.shift}px)` }}>
                        {seen.map((i) => <div key={i} class="raw-line">{pages.line(i) ?? '…'}</div>)}
                    </pre>
                </div>
            </div>
        </>
    );
}

async function save(path: string, name: string): Promise<void> {
    try {
        const blob = await (await api.get(path)).blob();
        const url = URL.createObjectURL(new Blob([blob], { type: 'application/octet-stream' }));
        const link = document.createElement('a');
        link.href = url;
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
        toast((error as Error).message, { bad: true });
    }
}

// SHA-256 is only there over https and on this machine: the button is not there otherwise.
function Hash({ path }: { path: string }) {
    const [hash, setHash] = useState('');
    if (!globalThis.crypto?.subtle) return null;
    const make = async (): Promise<void> => {
        setHash('…');
        try {
            const sum = await crypto.subtle.digest('SHA-256', await (await api.get(path)).arrayBuffer());
            setHash([...new Uint8Array(sum)].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
        } catch (error) {
            setHash((error as Error).message);
        }
    };
    return hash ? <code class="hash">{hash}</code> : <button type="button" onClick={() => void make()}>SHA-256</button>;
}

export function Raw({ runId, version }: { runId: string; version: string }) {
    const [field, setField] = useState<Field>('inputs');
    const [size, setSize] = useState<Size | null>(null);
    const [failed, setFailed] = useState('');
    const path = `/runs/${encodeURIComponent(runId)}/${field}`;
    useEffect(() => {
        const stop = new AbortController();
        setSize(null);
        setFailed('');
        sizeOf(path, stop.signal).then(setSize, (error: Error) => stop.signal.aborted || setFailed(error.message));
        return () => stop.abort();
    }, [path, version]);
    return (
        <>
            <div class="row raw-tools">
                <label>
                    <span class="away">Field</span>
                    <select value={field} onChange={(event) => setField(event.currentTarget.value as Field)}>
                        <option value="inputs">inputs</option>
                        <option value="outputs">outputs</option>
                        <option value="metadata">metadata</option>
                    </select>
                </label>
                {size && <span title={`ETag ${size.etag}`}>{size.total < 1024 ? '' : `${told(size.total)} · `}{count(size.total)} bytes</span>}
                <span class="gap" />
                <button type="button" onClick={() => void save(path, `${runId}.${field}.json`)}>Save</button>
                <button type="button" onClick={() => void save(`/runs/${encodeURIComponent(runId)}`, `${runId}.json`)}>Save the run</button>
                {size && size.total <= MOST_COPIED && (
                    <button
                        type="button"
                        onClick={async () => {
                            await copyText(await (await api.get(path)).text());
                        }}
                    >
                        Copy
                    </button>
                )}
                <Copy class="" label="Copy as curl" text={() => curlOf(path)} what="curl copied" />
                <Hash key={path + version} path={path} />
            </div>
            {failed && <p class="bad" role="alert">{failed}</p>}
            {size && <Lines path={path} size={size} />}
        </>
    );
}
