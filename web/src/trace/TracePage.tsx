// TracePage.tsx - one trace: its runs as a tree, and the run that is looked at.
export function TracePage({ traceId }: { traceId: string }) {
    return <h1>Trace {traceId}</h1>;
}
