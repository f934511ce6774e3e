// load.ts - the runs to be compared, each with the tree of its trace.
import { api } from '../api.ts';
import { runsById } from '../runs.ts';
import type { Run } from '../runs.ts';
import { idOf, isId } from '../search/terms.ts';
import { decodeSkeleton } from '../trace/skeleton.ts';
import { buildTree, findRun } from '../trace/tree.ts';
import type { Tree } from '../trace/tree.ts';
import { usedBy } from './align.ts';
import type { Compared } from './align.ts';

export const PLACES = ['a', 'b', 'c', 'd'] as const;

export interface One extends Compared {
    info: Run;
    duration: number; // us, -1 while it runs
    used: { tokens: number; cost: number };
}

// Which the address names; what is no id is none.
export const idsOf = (query: URLSearchParams): string[] =>
    PLACES.map((place) => query.get(place) ?? '')
        .filter(isId)
        .map(idOf);

async function treeOf(traceId: string, signal: AbortSignal): Promise<Tree> {
    const skeleton = await api.json('GET', `/traces/${encodeURIComponent(traceId)}/skeleton`, undefined, signal);
    return buildTree(decodeSkeleton(skeleton));
}

function one(info: Run, tree: Tree): One {
    const run = findRun(tree.skeleton, info.id);
    if (run < 0) throw new Error(`The run ${info.id} is not among those of its trace that the server tells`);
    const compared = { tree, run, whole: info.id === info.trace_id };
    return { ...compared, info, duration: tree.skeleton.duration[run]!, used: usedBy(compared) };
}

export async function load(ids: readonly string[], signal: AbortSignal): Promise<One[]> {
    const found = new Map((await runsById(ids, signal)).map((run) => [run.id, run]));
    const infos = ids.map((id) => {
        const run = found.get(id);
        if (!run) throw new Error(`There is no run ${id}`);
        return run;
    });
    const traces = [...new Set(infos.map((run) => run.trace_id))];
    const trees = new Map(await Promise.all(traces.map(async (id) => [id, await treeOf(id, signal)] as const)));
    return infos.map((info) => one(info, trees.get(info.trace_id)!));
}
