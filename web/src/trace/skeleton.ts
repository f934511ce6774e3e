// The skeleton of a trace: what GET /traces/{id}/skeleton answers, as typed arrays.
//
// What comes is checked here once.  Whoever has a Skeleton may index its columns by any
// number below `count`, and follow `parent` without asking whether it leads out of them.

export const SUCCESS = 0;
export const ERROR = 1;
export const RUNNING = 2;

export const PARENT_MISSING = 1;
export const HAS_ATTACHMENTS = 2;
export const MAY_HAVE_FEEDBACK = 4;

export interface Skeleton {
    traceId: string;
    count: number;
    startUs: number;
    names: string[];
    types: string[];
    project: { id: string; name: string };
    truncated: boolean;
    ids: string[];
    parent: Int32Array; // -1: none here
    name: Int32Array;
    type: Int32Array;
    start: Float64Array; // us since startUs
    duration: Float64Array; // us, -1 while it runs
    status: Uint8Array;
    tokens: Float64Array; // -1: none
    cost: Float64Array; // NaN: none
    firstToken: Float64Array; // us since its start, -1: none
    flags: Uint8Array;
}

type Json = Record<string, unknown>;

function column(json: Json, name: string, count: number): unknown[] {
    const list = json[name];
    if (!Array.isArray(list) || list.length !== count)
        throw new Error(`The server's answer is not a trace: column "${name}" is not of ${count} runs.`);
    return list;
}

function numbers<T extends Float64Array | Int32Array | Uint8Array>(
    into: T,
    list: unknown[],
    absent: number,
): T {
    for (let i = 0; i < list.length; i++) {
        const value = list[i];
        into[i] = typeof value === 'number' ? value : absent;
    }
    return into;
}

// Numbers below `end`, or `otherwise`.
function indexes(list: unknown[], end: number, otherwise: number): Int32Array {
    const into = new Int32Array(list.length);
    for (let i = 0; i < list.length; i++) {
        const value = list[i] as number;
        into[i] = Number.isInteger(value) && value >= 0 && value < end ? value : otherwise;
    }
    return into;
}

const strings = (list: unknown): string[] => (Array.isArray(list) ? list.map(String) : []);

export function decodeSkeleton(answer: unknown): Skeleton {
    const json = (answer ?? {}) as Json;
    const count = json.count as number;
    if (!Number.isInteger(count) || count < 0)
        throw new Error('The server\'s answer is not a trace: it has no "count".');
    const names = strings(json.names);
    const types = strings(json.types);
    if (count > 0 && !names.length) names.push('');
    if (count > 0 && !types.length) types.push('chain');
    const project = (json.project ?? {}) as Json;
    const of = (name: string): unknown[] => column(json, name, count);
    return {
        traceId: String(json.trace_id ?? ''),
        count,
        startUs: Number(json.start_us) || 0,
        names,
        types,
        project: { id: String(project.id ?? ''), name: String(project.name ?? '') },
        truncated: json.truncated === true,
        ids: strings(of('id')),
        parent: indexes(of('parent'), count, -1),
        name: indexes(of('name'), names.length, 0),
        type: indexes(of('type'), types.length, 0),
        start: numbers(new Float64Array(count), of('start'), 0),
        duration: numbers(new Float64Array(count), of('duration'), -1),
        status: numbers(new Uint8Array(count), of('status'), SUCCESS),
        tokens: numbers(new Float64Array(count), of('tokens'), -1),
        cost: numbers(new Float64Array(count), of('cost'), NaN),
        firstToken: numbers(new Float64Array(count), of('first_token'), -1),
        flags: numbers(new Uint8Array(count), of('flags'), 0),
    };
}

// Where it ends, us since startUs; of a run that has not ended, `now`.
export function endOf(s: Skeleton, i: number, now: number): number {
    return s.duration[i] < 0 ? Math.max(s.start[i], now) : s.start[i] + s.duration[i];
}
