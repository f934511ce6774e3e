// sdk.mjs - bodies as the LangSmith SDKs write them, read and written, and what their
// layers say together.  Nothing here knows how the server does it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import zlib from 'node:zlib';

// ---- multipart ----

// parts: [name, bytes or value, type]
export function multipart(parts, boundary = 'a-boundary') {
    const pieces = [];
    for (const [name, content, type = 'application/json'] of parts) {
        const bytes = Buffer.isBuffer(content)
            ? content
            : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
        pieces.push(
            Buffer.from(
                `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n` +
                    `Content-Type: ${type}; length=${bytes.length}\r\n\r\n`,
            ),
            bytes,
            Buffer.from('\r\n'),
        );
    }
    pieces.push(Buffer.from(`--${boundary}--\r\n`));
    return {
        headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
        body: Buffer.concat(pieces),
    };
}

// [{ name, type, bytes }], read by their lengths.
export function readParts(body, boundary) {
    const parts = [];
    let at = 0;
    for (;;) {
        const line = `--${boundary}`;
        assert.equal(body.subarray(at, at + line.length).toString(), line);
        at += line.length;
        if (body.subarray(at, at + 2).toString() === '--') return parts;
        const end = body.indexOf('\r\n\r\n', at);
        const head = body.subarray(at + 2, end).toString();
        const length = Number(
            /content-length: *(\d+)/i.exec(head)?.[1] ?? /; *length=(\d+)/i.exec(head)[1],
        );
        at = end + 4;
        parts.push({
            name: /name="([^"]*)"/.exec(head)[1],
            type: /content-type: *([^;\r]*)/i.exec(head)?.[1],
            bytes: body.subarray(at, at + length),
        });
        at += length + 2;
    }
}

// ---- what is inside a request ----

export function zstdDecode(bytes) {
    const made = spawnSync('zstd', ['-q', '-d', '-c'], { input: bytes, maxBuffer: 1 << 28 });
    assert.equal(made.status, 0, String(made.stderr));
    return made.stdout;
}

export function zstdEncode(bytes) {
    const made = spawnSync('zstd', ['-q', '-c', '-1'], { input: bytes, maxBuffer: 1 << 28 });
    assert.equal(made.status, 0, String(made.stderr));
    return made.stdout;
}

function unpack(headers, bytes) {
    const coding = headers['content-encoding'];
    return coding === 'zstd'
        ? zstdDecode(bytes)
        : coding === 'gzip'
          ? zlib.gunzipSync(bytes)
          : bytes;
}

// { operations: [{ kind, id, fields }], attachments, feedback }, in the order they count.
export function readRequest({ method, path, headers, bytes }) {
    const body = unpack(headers, bytes);
    if (path.endsWith('/runs/multipart')) {
        const boundary = /boundary="?([^";]*)/.exec(headers['content-type'])[1];
        const operations = [];
        const attachments = [];
        const feedback = [];
        for (const part of readParts(body, boundary)) {
            const [op, id, ...rest] = part.name.split('.');
            if (op === 'attachment') {
                attachments.push({ id, name: rest.join('.'), ...part });
                continue;
            }
            const value = JSON.parse(part.bytes.toString());
            if (op === 'feedback') feedback.push(value);
            else if (rest.length === 0) operations.push({ kind: op, id, fields: value });
            else {
                const of = operations.findLast((o) => o.kind === op && o.id === id);
                if (value !== null) of.fields[rest[0]] = value;
            }
        }
        return { operations, attachments, feedback };
    }
    const json = JSON.parse(body.toString());
    const all = (list, kind) => (list ?? []).map((fields) => ({ kind, id: fields.id, fields }));
    let operations;
    if (method === 'PATCH')
        operations = [{ kind: 'patch', id: path.split('/').at(-1), fields: json }];
    else if (path.endsWith('/runs/batch'))
        operations = [...all(json.post, 'post'), ...all(json.patch, 'patch')];
    else operations = all([json], 'post');
    return { operations, attachments: [], feedback: [] };
}

// ---- merging ----

const once = ['id', 'trace_id', 'parent_run_id'];
const isEmpty = (value) =>
    typeof value === 'object' && (Array.isArray(value) ? value : Object.keys(value)).length === 0;

// Runs by id, of operations in the order they came.
export function merge(operations) {
    const runs = new Map();
    for (const { kind, id, fields } of operations) {
        if (!runs.has(id)) runs.set(id, { post: {}, patch: {}, first: { id } });
        const run = runs.get(id);
        for (const [name, value] of Object.entries(fields)) {
            if (value === null || (name === 'error' && value === '')) continue;
            const layer = run[kind];
            if (once.includes(name)) run.first[name] ??= value;
            else if (name === 'dotted_order') layer[name] ??= value;
            else if (!(name in layer) || isEmpty(layer[name]) || !isEmpty(value))
                layer[name] = value;
        }
    }
    const result = new Map();
    for (const [id, { post, patch, first }] of runs) {
        const merged = { ...post, ...patch, ...first };
        if (post.dotted_order) merged.dotted_order = post.dotted_order;
        merged.status = merged.error ? 'error' : 'end_time' in merged ? 'success' : 'pending';
        result.set(id, merged);
    }
    return result;
}

// As it is shown: microseconds and a Z.
export function shownTime(time) {
    if (time === undefined) return null;
    if (typeof time === 'number')
        return new Date(time).toISOString().replace(/\.(\d{3})Z/, '.$1000Z');
    const [, seconds, fraction = '', zone] =
        /^(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/.exec(time) ?? assert.fail(time);
    const whole = new Date(`${seconds}${zone ?? 'Z'}`).toISOString().slice(0, 19);
    return `${whole}.${fraction.padEnd(6, '0').slice(0, 6)}Z`;
}
