// traces.mjs - traces of three runs each, all different, all known: what suites that ask
// through the SDK write first.
//
//   const traces = makeTraces({ count: 30, project: 'p', start: Date.parse(...) });
//   await write(client, traces.flatMap((trace) => trace.runs));
import { randomUUID } from 'node:crypto';

const MINUTE = 60_000;

export function makeTraces({ count, project, start, step = MINUTE }) {
    return Array.from({ length: count }, (_, n) => trace(n, project, start + n * step));
}

function trace(n, project, start) {
    const id = randomUUID();
    const order = (ms, of) =>
        `${new Date(ms).toISOString().replace(/[-:.]/g, '').slice(0, -1)}000Z${of}`;
    const common = { trace_id: id, project_name: project };
    const root = {
        ...common,
        id,
        dotted_order: order(start, id),
        name: `agent ${n}`,
        run_type: 'chain',
        start_time: start,
        end_time: start + 1000 + n * 100,
        inputs: { question: `question ${n}` },
        outputs: { answer: `answer ${n}` },
        tags: n % 2 === 0 ? ['even'] : ['odd', 'strange'],
        extra: {
            metadata: { n, thread_id: `thread ${n % 4}`, team: n % 3 === 0 ? 'red' : 'blue' },
        },
    };
    const child = (offset, fields) => {
        const own = randomUUID();
        return {
            ...common,
            id: own,
            parent_run_id: id,
            dotted_order: `${root.dotted_order}.${order(start + offset, own)}`,
            start_time: start + offset,
            ...fields,
        };
    };
    const llm = child(100, {
        name: 'model',
        run_type: 'llm',
        end_time: start + 600,
        inputs: { messages: [{ role: 'user', content: `question ${n}` }] },
        outputs: {
            usage_metadata: {
                input_tokens: 10 + n,
                output_tokens: 5,
                total_tokens: 15 + n,
                input_cost: 0.25,
                output_cost: 0.5,
                total_cost: 0.75,
            },
        },
        events: [{ name: 'new_token', time: new Date(start + 150).toISOString() }],
        extra: { metadata: { ls_model_name: 'fake-1' } },
    });
    const broken = n % 5 === 0;
    const tool = child(700, {
        name: 'tool',
        run_type: 'tool',
        inputs: { n },
        ...(n % 7 === 6
            ? {} // it still runs
            : {
                  end_time: start + 900,
                  ...(broken ? { error: `it broke: ${n}` } : { outputs: { n } }),
              }),
    });
    return { n, id, start, root, llm, tool, broken, runs: [root, llm, tool] };
}

export async function write(client, runs) {
    await Promise.all(runs.map((run) => client.createRun({ ...run })));
    await client.flush?.();
    await client.awaitPendingTraceBatches();
}
