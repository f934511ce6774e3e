// First.tsx - S0: how to send runs, and whether one came.
import { useEffect, useState } from 'preact/hooks';
import { apiKey, asked, isAbort, keyWanted } from '../api.ts';
import { Copy } from '../components/Copy.tsx';
import { toast } from '../components/Toast.tsx';
import { follow } from '../events.ts';
import { href, navigate } from '../router.ts';
import { anyRun } from '../runs.ts';
import { SAMPLE_PROJECT, sendSample } from '../sample.ts';

interface Way {
    title: string;
    says: string;
    parts: [title: string, code: string][];
}

function waysFor(url: string, key: string): Way[] {
    const shell = `export LANGSMITH_TRACING=true\nexport LANGSMITH_ENDPOINT=${url}\nexport LANGSMITH_API_KEY=${key}`;
    return [
        {
            title: 'Python',
            says: 'The LangSmith SDK as it is; LangChain and LangGraph need the three variables and nothing else.',
            parts: [
                ['In the shell', `pip install langsmith\n\n${shell}`],
                [
                    'In the program',
                    'from langsmith import traceable\n\n@traceable\ndef answer(question: str) -> str:\n    return "42"\n\nanswer("life?")',
                ],
            ],
        },
        {
            title: 'JavaScript',
            says: 'The LangSmith SDK as it is; LangChain and LangGraph need the three variables and nothing else.',
            parts: [
                ['In the shell', `npm install langsmith\n\n${shell}`],
                [
                    'In the program',
                    'import { traceable } from "langsmith/traceable";\n\nconst answer = traceable(async (question) => "42", { name: "answer" });\n\nawait answer("life?");',
                ],
            ],
        },
        {
            title: 'curl',
            says: 'Runs as JSON, many in one request. A 201 means that they are on disk.',
            parts: [
                [
                    'In the shell',
                    `curl ${url}/runs -H 'Content-Type: application/json' \\\n` +
                        (key === 'any' ? '' : `  -H 'x-api-key: ${key}' \\\n`) +
                        `  -d '[{"trace_id":"${crypto.randomUUID?.() ?? '01890a5d-ac96-774b-bcce-b302099a8057'}","name":"hello",\n        "inputs":{"q":"life?"},"outputs":{"a":42}}]'`,
                ],
            ],
        },
        {
            title: 'Import',
            says: 'Runs in files, one a line, also packed with gzip or zstd.',
            parts: [['In the shell', `rundlet import runs.ndjson --url ${url}`]],
        },
    ];
}

// Waits until there is a run, of any project, which then is shown.
function useFirstRun(go: boolean): 'connecting' | 'open' | 'broken' {
    const [state, setState] = useState<'connecting' | 'open' | 'broken'>('connecting');
    useEffect(() => {
        if (!go) return undefined;
        const abort = new AbortController();
        const look = async () => {
            try {
                const found = await anyRun(abort.signal);
                if (!found || abort.signal.aborted) return;
                toast('Here is your first run');
                navigate(href('/ui/runs', { project: found.project.name, since: 'all' }), true);
            } catch (error) {
                if (!isAbort(error) && !abort.signal.aborted) setState('broken');
            }
        };
        const stop = follow('/runs/tail?select=id', {
            event: ({ type }) => void (type === 'run' && look()),
            // What came before this was listening.
            state: (now) => {
                setState(now);
                if (now === 'open') void look();
            },
        });
        return () => {
            stop();
            abort.abort();
        };
    }, [go, asked.value]);
    return state;
}

// `waits`: there is no run yet, and this goes on as soon as there is one.
export function First({ waits = false }: { waits?: boolean }) {
    const state = useFirstRun(waits);
    const [at, setAt] = useState(0);
    const [sending, setSending] = useState(false);
    const key = apiKey() || keyWanted.value ? 'YOUR-KEY' : 'any';
    const ways = waysFor(location.origin, key);
    const way = ways[at]!;
    const sample = async () => {
        setSending(true);
        try {
            const trace = await sendSample();
            if (!waits) navigate(`/ui/traces/${trace}`);
            else navigate(href('/ui/runs', { project: SAMPLE_PROJECT }));
        } catch (error) {
            toast(error instanceof Error ? error.message : String(error), { bad: true });
        } finally {
            setSending(false);
        }
    };
    const turn = (event: KeyboardEvent) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = (at + step + ways.length) % ways.length;
        setAt(next);
        document.getElementById(`way-${next}`)?.focus();
    };
    return (
        <section class="first">
            {waits ? (
                <>
                    <h1>
                        <span class={state === 'open' ? 'dot on' : 'dot'} aria-hidden="true" /> Waiting for your first run…
                    </h1>
                    <p class="soft" role="status">
                        {state !== 'broken'
                            ? 'This page goes on by itself as soon as one is there.'
                            : 'The server does not answer at the moment; this page keeps trying.'}
                    </p>
                </>
            ) : (
                <h1>Send runs</h1>
            )}
            <div class="tabs" role="tablist" aria-label="Ways to send runs" onKeyDown={turn}>
                {ways.map(({ title }, i) => (
                    <button
                        key={title}
                        type="button"
                        role="tab"
                        id={`way-${i}`}
                        aria-selected={i === at}
                        aria-controls="way"
                        tabIndex={i === at ? 0 : -1}
                        onClick={() => setAt(i)}
                    >
                        {title}
                    </button>
                ))}
            </div>
            <div id="way" role="tabpanel" aria-labelledby={`way-${at}`}>
                <p>{way.says}</p>
                {way.parts.map(([title, code]) => (
                    <figure key={title} class="snippet">
                        <figcaption>
                            {title}
                            <Copy text={code} />
                        </figcaption>
                        <pre tabIndex={0}>
                            <code>{code}</code>
                        </pre>
                    </figure>
                ))}
                {key !== 'any' && way.title !== 'Import' && (
                    <p class="soft">YOUR-KEY is what the server was started with, as --api-key, --api-key-file or RUNDLET_API_KEY.</p>
                )}
            </div>
            <p>
                <button type="button" disabled={sending} onClick={() => void sample()}>
                    Load a sample trace
                </button>{' '}
                <span class="soft">It goes to the project “{SAMPLE_PROJECT}”, which can be deleted.</span>
            </p>
        </section>
    );
}
