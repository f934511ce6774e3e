// send.mjs - operations on runs, packed into requests in every way a client may.
//
// An operation is { op: 'post' | 'patch', id, fields: Map of name -> JSON text, files }; in
// parts also { op: 'feedback', id, fields }, and { id, files } without fields.
import zlib from 'node:zlib';
import { ask } from './client.mjs';
import { writeParts } from './multipart.mjs';
import { zstd } from './tap.mjs';

const PARTS = new Set(['inputs', 'outputs', 'events', 'extra', 'error', 'serialized']);
// What Node puts behind its zstd streams: a frame of nothing.
const EMPTY_FRAME = Buffer.from('28b52ffd2000010000', 'hex');

export const asObject = (fields) =>
    `{${[...fields].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;

const ofFields = (main, fields) => [
    { name: main, body: asObject(fields.filter(([name]) => !PARTS.has(name))) },
    ...fields
        .filter(([name]) => PARTS.has(name))
        .map(([name, json]) => ({ name: `${main}.${name}`, body: json })),
];

// One request that says all of `operations`, in their order (a batch: posts first).
export function multipart(operations, { python = false, boundary }) {
    const parts = operations.flatMap(({ op, id, fields = null, files = [] }) => [
        ...(fields ? ofFields(`${op}.${id}`, [...fields]) : []),
        ...files.map(({ name, type, body }) => ({ name: `attachment.${id}.${name}`, type, body })),
    ]);
    return {
        method: 'POST',
        path: '/runs/multipart',
        type: `multipart/form-data; boundary=${boundary}`,
        body: writeParts(parts, boundary, { python }),
    };
}

export function batch(operations) {
    const of = (op) =>
        operations
            .filter((one) => one.op === op)
            .map(({ fields }) => asObject(fields))
            .join(',');
    return {
        method: 'POST',
        path: '/runs/batch',
        type: 'application/json',
        body: Buffer.from(`{"post":[${of('post')}],"patch":[${of('patch')}]}`),
    };
}

export function single({ op, id, fields }) {
    return {
        method: op === 'post' ? 'POST' : 'PATCH',
        path: op === 'post' ? '/runs' : `/runs/${id}`,
        type: 'application/json',
        body: Buffer.from(asObject(fields)),
    };
}

export const codings = {
    plain: (body) => body,
    gzip: (body) => zlib.gzipSync(body, { level: 1 }),
    zstd: (body) => Buffer.concat([zstd(body), EMPTY_FRAME]),
};

// Not by fetch(), which may never say that the server died.
export function send(server, { method, path, type, body, coding = 'plain', slices = null }) {
    return ask(server, method, path, {
        headers: {
            'content-type': type,
            ...(coding !== 'plain' && { 'content-encoding': coding }),
        },
        body: codings[coding](body),
        slices,
    });
}

// Run `work` on each of `items`, `many` at a time.
export async function atOnce(items, many, work) {
    const left = [...items];
    await Promise.all(
        Array.from({ length: many }, async () => {
            while (left.length > 0) await work(left.shift());
        }),
    );
}
