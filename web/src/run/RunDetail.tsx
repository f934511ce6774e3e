// One run: what it is, how it ended, and everything that is kept of it, in tabs.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { useAgain } from '../again.ts';
import { ApiError, asked, faultOf } from '../api.ts';
import { Copy } from '../components/Copy.tsx';
import { AGAIN, Fault } from '../components/Fault.tsx';
import { Status } from '../components/Status.tsx';
import { Type } from '../components/Type.tsx';
import { toast } from '../components/Toast.tsx';
import { absolute, bytes, cost, count, duration, time, utc } from '../format.ts';
import { setQuery } from '../router.ts';
import { Events } from './Events.tsx';
import { Feedback, Thumb } from './Feedback.tsx';
import { errorLine } from './gist.ts';
import { attachmentsOf, curlOf, giveFeedback, readRun, searchHref, tagsOf, type RunInfo } from './info.ts';
import type { Shown } from './cut.ts';
import { JsonView } from './JsonView.tsx';
import { Attachments, Messages } from './Messages.tsx';
import { Metadata } from './Metadata.tsx';
import { Payloads, type Payload } from './payload.ts';
import { Raw } from './Raw.tsx';

export const TABS = ['messages', 'input', 'output', 'metadata', 'events', 'feedback', 'raw'] as const;
export type Tab = (typeof TABS)[number];

const titles: Record<Tab, string> = {
    messages: 'Messages',
    input: 'Input',
    output: 'Output',
    metadata: 'Metadata',
    events: 'Events',
    feedback: 'Feedback',
    raw: 'Raw',
};

// What is known of the run, again when its `version` changes; what was there stays meanwhile.
interface Known {
    run: RunInfo | null;
    failed: ApiError | null;
    waiting: boolean;
    back: number; // how often it was there again after it could not be read
}

const GONE = new ApiError(404, 'There is no such run: it may have been deleted.');

function useRun(id: string, version: string): Known {
    const [state, setState] = useState<Known>({ run: null, failed: null, waiting: true, back: 0 });
    const again = useAgain(state.failed, state.waiting);
    useEffect(() => {
        const stop = new AbortController();
        setState((before) => ({ ...before, waiting: true }));
        readRun(id, stop.signal).then(
            (run) => stop.signal.aborted || setState(({ failed, back }) => ({ run, failed: run ? null : GONE, waiting: false, back: back + Number(!!failed) })),
            (error: unknown) =>
                stop.signal.aborted ||
                setState(({ run, back }) => ({ run: run?.id === id ? run : null, failed: faultOf(error), waiting: false, back })),
        );
        return () => stop.abort();
    }, [id, version, asked.value, again]);
    return state.run && state.run.id !== id ? { ...state, run: null, failed: null } : state;
}

function usePayloads(id: string, version: string, back: number): Payloads {
    const again = asked.value;
    const payloads = useMemo(() => new Payloads(id), [id, version, again, back]);
    useEffect(() => () => payloads.close(), [payloads]);
    return payloads;
}

// ---- above the tabs ----

const MOST_ERROR = 20_000;

function ErrorBanner({ run }: { run: RunInfo }) {
    const text = run.error ?? '';
    if (!text) return null;
    const lines = text.slice(0, MOST_ERROR).trimEnd().split('\n');
    const said = errorLine(text.slice(0, MOST_ERROR));
    return (
        <section class="error-banner" aria-label="Error">
            <strong>✕ {said.slice(0, 600)}</strong>
            {(lines.length > 1 || said.length > 600) && (
                <details>
                    <summary>Traceback, {count(lines.length)} lines</summary>
                    <pre tabIndex={0}>{lines.join('\n')}</pre>
                    {text.length > MOST_ERROR && <p class="soft">{count(text.length - MOST_ERROR)} more characters are in the run.</p>}
                </details>
            )}
            <a href={searchHref(run, ['name', run.name], ['status', 'error'])}>Find runs that failed like it</a>
        </section>
    );
}

function Figures({ run }: { run: RunInfo }) {
    const [start, end, first] = [time(run.start_time), time(run.end_time), time(run.first_token_time)];
    const us = (ms: number): string => duration(Math.max(0, Math.round(ms * 1000)));
    return (
        <dl class="figures-list">
            <div><dt>Started</dt><dd title={utc(start)}>{absolute(start)}</dd></div>
            {Number.isFinite(end) && <div><dt>Took</dt><dd>{us(end - start)}</dd></div>}
            {Number.isFinite(first) && <div><dt>First token</dt><dd>{us(first - start)}</dd></div>}
            {run.total_tokens !== null && (
                <div>
                    <dt>Tokens</dt>
                    <dd>{count(run.prompt_tokens)} in, {count(run.completion_tokens)} out</dd>
                </div>
            )}
            {run.total_cost !== null && <div><dt>Cost</dt><dd>{cost(run.total_cost)}</dd></div>}
        </dl>
    );
}

function Thumbs({ run }: { run: RunInfo }) {
    const give = (score: number): void => {
        giveFeedback(run, { key: 'user_score', score, comment: '' }).then(
            () => toast(score ? 'Marked as good' : 'Marked as bad'),
            (error: Error) => toast(error.message, { bad: true }),
        );
    };
    return (
        <>
            <button type="button" class="quiet" aria-label="Mark as good" title="Mark as good" onClick={() => give(1)}><Thumb up /></button>
            <button type="button" class="quiet" aria-label="Mark as bad" title="Mark as bad" onClick={() => give(0)}><Thumb up={false} /></button>
        </>
    );
}

// ---- tabs ----

function Field({ payload, label }: { payload: Payload; label: string }) {
    switch (payload.is) {
        case 'failed':
            return (
                <>
                    <p class="bad" role="alert">{label} cannot be shown: {payload.why.message} {payload.why.passes && AGAIN}</p>
                    {payload.head && <pre class="head" tabIndex={0}>{payload.head}</pre>}
                </>
            );
        case 'loading':
            if (!payload.head) return <p class="soft late">Reading…</p>;
            return (
                <>
                    <p class="row">
                        <progress aria-label={`${label}, read so far`} value={payload.got} max={payload.total || 1} />
                        <span class="soft">{bytes(payload.got)} of {bytes(payload.total)}; this is the beginning of it</span>
                    </p>
                    <pre class="head" tabIndex={0}>{payload.head.slice(0, 50_000)}</pre>
                </>
            );
        case 'ready':
            return payload.empty ? (
                <p class="soft">There is nothing in it.</p>
            ) : (
                <>
                    <JsonView source={payload.source} label={label} />
                    <p class="soft">{bytes(payload.size)}</p>
                </>
            );
    }
}

// What these are given and give back are values, though one may be called `input`.
const QUIET = ['tool', 'retriever', 'embedding', 'parser'];

// What was said in a run; of a tool only what somebody called a message.
function saidIn(shown: Shown | null, type: string): Shown | null {
    if (!shown || !QUIET.includes(type)) return shown;
    return { input: shown.input.filter(({ bare }) => !bare), output: shown.output.filter(({ bare }) => !bare) };
}

function MessagesTab({ payloads, run, type }: { payloads: Payloads; run: RunInfo | null; type: string }) {
    const [markdown, setMarkdown] = useState(true);
    const shown = saidIn(payloads.conversation.value, type);
    const [inputs, outputs] = [payloads.inputs.value, payloads.outputs.value];
    if (!shown) {
        const large = [inputs, outputs].find((one) => one.is === 'loading' && one.head);
        return large ? <Field payload={large} label="The payload" /> : <p class="soft late">Reading…</p>;
    }
    const failed = [inputs, outputs].find((one) => one.is === 'failed');
    return (
        <>
            {failed?.is === 'failed' && <p class="bad" role="alert">Not all could be read: {failed.why.message} {failed.why.passes && AGAIN}</p>}
            <Messages
                key={payloads.runId}
                shown={shown}
                more={(ref, from, to) => payloads.piece(ref, from, to)}
                attachments={run ? attachmentsOf(run) : []}
                markdown={markdown}
            >
                {shown.input.length + shown.output.length > 0 && (
                    <label class="option">
                        <input type="checkbox" checked={markdown} onChange={() => setMarkdown(!markdown)} /> Markdown
                    </label>
                )}
            </Messages>
        </>
    );
}

function Panel({ tab, run, type, payloads, version }: { tab: Tab; run: RunInfo | null; type: string; payloads: Payloads; version: string }) {
    switch (tab) {
        case 'messages':
            return <MessagesTab payloads={payloads} run={run} type={type} />;
        case 'input':
            // Those of a tool are short: what it was given stands above what it came to.
            if (QUIET.includes(type))
                return (
                    <>
                        <section class="both">
                            <h3>Input</h3>
                            <Field key="inputs" payload={payloads.inputs.value} label="Inputs" />
                        </section>
                        <section class="both">
                            <h3>Output</h3>
                            <Field key="outputs" payload={payloads.outputs.value} label="Outputs" />
                        </section>
                        {run && <Attachments list={attachmentsOf(run)} />}
                    </>
                );
            return (
                <>
                    <Field key="inputs" payload={payloads.inputs.value} label="Inputs" />
                    {run && <Attachments list={attachmentsOf(run)} />}
                </>
            );
        case 'output':
            return <Field key="outputs" payload={payloads.outputs.value} label="Outputs" />;
        case 'raw':
            return <Raw key={payloads.runId} runId={payloads.runId} version={version} />;
        default:
            if (!run) return <p class="soft late">Reading…</p>;
            if (tab === 'metadata') return <Metadata run={run} />;
            if (tab === 'events') return <Events run={run} />;
            return <Feedback run={run} />;
    }
}

// Without a conversation, what there is to see is the input.
function firstTab(payloads: Payloads, type: string): Tab {
    const shown = payloads.conversation.value;
    if (!QUIET.includes(type) && (!shown || shown.input.length || shown.output.length)) return 'messages';
    const inputs = payloads.inputs.value;
    return inputs.is === 'ready' && inputs.empty ? 'output' : 'input';
}

function TabList({ tab, onTab }: { tab: Tab; onTab: (tab: Tab) => void }) {
    const move = (event: KeyboardEvent): void => {
        const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
        onTab(next);
        document.getElementById(`tab-${next}`)?.focus();
    };
    return (
        <div role="tablist" aria-label="Of the run" class="run-tabs" onKeyDown={move}>
            {TABS.map((one) => (
                <button
                    key={one}
                    type="button"
                    role="tab"
                    id={`tab-${one}`}
                    aria-selected={one === tab}
                    aria-controls="tab-panel"
                    tabIndex={one === tab ? 0 : -1}
                    onClick={() => onTab(one)}
                >
                    {titles[one]}
                </button>
            ))}
        </div>
    );
}

export function RunDetail({ id, type, version, tab: wanted, onBack }: {
    id: string;
    type: string; // of the run, as far as it is known
    version: string; // changes when the run does
    tab: string; // '': as it suits the run
    onBack: () => void;
}) {
    const { run, failed, back } = useRun(id, version);
    const payloads = usePayloads(id, version, back);
    const tab = (TABS as readonly string[]).includes(wanted) ? (wanted as Tab) : firstTab(payloads, type);
    return (
        <section class="run" aria-label="Run" id="run" tabIndex={-1}>
            <header class="run-head">
                <div class="row">
                    <button type="button" class="back quiet" onClick={onBack}>← Trace</button>
                    {run && <Type type={run.run_type} named />}
                    <h2 class="cut" title={run?.name}>{run ? run.name || '(no name)' : 'Run'}</h2>
                    {run && <Status status={run.status} named />}
                    <span class="gap" />
                    {run && <Thumbs run={run} />}
                    <Copy text={id} label="Copy id" what="Id copied" />
                    <Copy text={() => curlOf(`/runs/${id}`)} label="Copy as curl" what="curl copied" class="quiet as-curl" />
                </div>
                {run && <Figures run={run} />}
                {run && tagsOf(run).length > 0 && (
                    <p class="row">{tagsOf(run).slice(0, 30).map((tag) => <a key={tag} class="chip" href={searchHref(run, ['tag', tag])}>{tag}</a>)}</p>
                )}
            </header>
            <Fault of={failed} />
            {run && <ErrorBanner run={run} />}
            <TabList tab={tab} onTab={(next) => setQuery({ tab: next })} />
            <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`} tabIndex={0} class={`panel panel-${tab}`}>
                <Panel tab={tab} run={run} type={type} payloads={payloads} version={version} />
            </div>
        </section>
    );
}
