// merge.mjs - what the layers of runs say together: the rules, the plain way.
//
// It is what the server is compared with, and shares nothing with it.  A layer is
//
//     { op: 'post' | 'patch', id, fields: Map of name -> JSON text as sent }
//     { op: 'attachment', id, name, type, body }
//
// Null, a missing field and `error: ""` say nothing.  A patch beats a post.  In a layer the
// later beats the earlier, but {} and [] never take a field from what is not empty.  Fields
// are taken whole.  What is said once for all: the dotted order of the first post (else of
// the first patch), trace, parent, project.
import assert from 'node:assert/strict';
import { rawElements, rawMember, rawMembers } from './client.mjs';
import { readParts } from './multipart.mjs';

const PARTS = ['inputs', 'outputs', 'events', 'extra', 'error', 'serialized'];
const ONCE = ['trace_id', 'parent_run_id', 'session_name', 'session_id'];

// ---- from requests to layers ----

function layer(op, text, id) {
    const fields = rawMembers(text);
    return { op, id: id ?? JSON.parse(fields.get('id')), fields };
}

// Of one request that was taken in, in the order in which it says them: posts first.
export function layersOf({ method, path, headers, body }) {
    const route = new URL(path, 'http://any').pathname.replace(/^\/api(\/v1)?|^\/v1/, '');
    if (method === 'POST' && route === '/runs/multipart')
        return ofParts(readParts(body, headers['content-type']));
    const text = body.toString('utf8');
    if (method === 'POST' && route === '/runs' && text.trimStart()[0] === '{')
        return [layer('post', text)];
    const single = /^\/runs\/([0-9a-f-]{36})$/.exec(route);
    if (method === 'PATCH' && single) return [layer('patch', text, single[1])];
    if (method === 'POST' && route === '/runs/batch' && text.trimStart()[0] === '{')
        return ['post', 'patch'].flatMap((op) =>
            rawElements(rawMember(text, op) ?? '[]').map((run) => layer(op, run)),
        );
    return [];
}

function ofParts(parts) {
    const layers = [];
    for (const { name, type, body } of parts) {
        const [op, id, ...rest] = name.split('.');
        const field = rest.join('.');
        if (op === 'attachment') {
            layers.push({ op, id, name: field, type, body });
        } else if (op !== 'feedback' && !field) {
            layers.push(layer(op, body.toString('utf8'), id));
        } else if (op !== 'feedback') {
            assert.ok(PARTS.includes(field), name);
            const main = layers.findLast((one) => one.op === op && one.id === id);
            main.fields.set(field, body.toString('utf8'));
        }
    }
    return layers;
}

// ---- from layers to runs ----

const says = (name, json) =>
    json !== undefined && json !== 'null' && !(name === 'error' && json === '""');
const isEmpty = (json) => /^(\{\s*\}|\[\s*\])$/.test(json);

export class Runs {
    constructor(layers = []) {
        this.all = new Map();
        for (const one of layers) this.add(one);
    }

    add({ op, id, fields, name, type, body }) {
        let run = this.all.get(id);
        if (!run)
            this.all.set(
                id,
                (run = { post: new Map(), patch: new Map(), once: new Map(), files: new Map() }),
            );
        if (op === 'attachment') {
            run.files.set(name, { type, body });
            return;
        }
        const taken = run[op];
        for (const [field, sent] of fields) {
            const json = sent.trim();
            if (!says(field, json)) continue;
            if (ONCE.includes(field) && !run.once.has(field)) run.once.set(field, json);
            if (field === 'dotted_order' && taken.has(field)) continue;
            if (isEmpty(json) && taken.has(field) && !isEmpty(taken.get(field))) continue;
            taken.set(field, json);
        }
    }

    // The JSON text that a field shows, or undefined.
    field(id, name) {
        const run = this.all.get(id);
        if (ONCE.includes(name)) return run.once.get(name);
        if (name === 'dotted_order') return run.post.get(name) ?? run.patch.get(name);
        return run.patch.get(name) ?? run.post.get(name);
    }

    value(id, name) {
        const json = this.field(id, name);
        return json === undefined ? undefined : JSON.parse(json);
    }

    status(id) {
        if (this.field(id, 'error') !== undefined) return 'error';
        return this.field(id, 'end_time') !== undefined ? 'success' : 'pending';
    }

    trace(id) {
        const said = this.value(id, 'trace_id');
        if (said !== undefined) return said;
        const parent = this.value(id, 'parent_run_id');
        if (parent === undefined) return id;
        return this.all.has(parent) ? this.trace(parent) : parent;
    }

    files(id) {
        return this.all.get(id).files;
    }

    ids() {
        return [...this.all.keys()].filter((id) => {
            const run = this.all.get(id);
            return run.post.size + run.patch.size > 0;
        });
    }
}

// ---- held against what is shown ----

// Microseconds since 1970, of RFC 3339 (without a zone: UTC) or of milliseconds.
export function instant(value) {
    if (typeof value === 'number') return Math.round(value * 1000);
    const found = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(
        value,
    );
    assert.ok(found, `not a time: ${value}`);
    const zone = found[4]?.toUpperCase() ?? 'Z';
    const seconds = Date.parse(`${found[1]}T${found[2]}${zone.replace(/^(...)(\d\d)$/, '$1:$2')}`);
    return seconds * 1000 + Number((found[3] ?? '').padEnd(6, '0').slice(0, 6));
}

const shownAs = {
    // What is no object is wrapped into one.
    inputs: (json) => wrapped('input', json),
    outputs: (json) => wrapped('output', json),
    extra: (json) => json,
    events: (json) => json,
    serialized: (json) => json,
    tags: (json) => json,
};

function wrapped(name, json) {
    return json.startsWith('{') ? json : `{"${name}":${json}}`;
}

// JSON has no NaN; what is sent with it is shown with null.
const withoutNaN = (json) =>
    !/NaN|Infinity/.test(json)
        ? json
        : json.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (found) =>
              found[0] === '"' ? found : 'null',
          );

// `text`: a run as the server shows it.
export function assertShown(text, runs, id) {
    const shown = rawMembers(text);
    const value = (name) => (shown.has(name) ? JSON.parse(shown.get(name)) : undefined);
    const what = (name) => `${name} of ${id}`;
    assert.equal(value('id'), id);
    for (const [name, asShown] of Object.entries(shownAs)) {
        const json = runs.field(id, name);
        if (json === undefined)
            assert.ok([undefined, 'null', '{}', '[]'].includes(shown.get(name)), what(name));
        else assert.equal(shown.get(name), asShown(withoutNaN(json)), what(name));
    }
    assert.equal(value('name'), runs.value(id, 'name') ?? '', what('name'));
    assert.equal(value('run_type'), runs.value(id, 'run_type') ?? 'chain', what('run_type'));
    assert.equal(value('status'), runs.status(id), what('status'));
    assert.equal(value('error') ?? undefined, runs.value(id, 'error'), what('error'));
    assert.equal(value('trace_id'), runs.trace(id), what('trace_id'));
    for (const name of ['parent_run_id', 'reference_example_id'])
        assert.equal(value(name) ?? undefined, runs.value(id, name), what(name));
    const start = runs.value(id, 'start_time');
    if (start !== undefined)
        assert.equal(instant(value('start_time')), instant(start), what('start_time'));
    const end = runs.value(id, 'end_time');
    if (end === undefined) assert.equal(value('end_time'), null, what('end_time'));
    else assert.equal(instant(value('end_time')), instant(end), what('end_time'));
    const order = runs.value(id, 'dotted_order');
    if (order !== undefined) assert.equal(value('dotted_order'), order, what('dotted_order'));
    const project = runs.value(id, 'session_name');
    if (runs.field(id, 'session_id') === undefined)
        assert.equal(value('session_name'), project ?? 'default', what('session_name'));
}
