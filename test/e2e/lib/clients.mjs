// clients.mjs - the LangSmith SDKs, LangChain and LangGraph, as test/clients/up installs them.
//
//   const { Client } = load('langsmith');          in this process
//   await program('tracing', { url, ... })         a program of test/clients/programs in
//                                                  one of its own: what it printed, as JSON
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const clients = fileURLToPath(new URL('../../clients/', import.meta.url));
const packages = execFileSync(join(clients, 'up'), { encoding: 'utf8' }).trim();

export const load = createRequire(join(packages, 'package.json'));
// The SDKs want what Node 18, which Debian has, keeps behind a flag.
globalThis.crypto ??= webcrypto;
// They read deprecations out; the tests know.
process.removeAllListeners('warning');

const version = (major, minor) => {
    const [a, b] = process.versions.node.split('.').map(Number);
    return a > major || (a === major && b >= minor);
};
// A Node that has zstd; null on a machine for which none is packed.
const packed = join(packages, `node_modules/node-linux-${process.arch}/bin/node`);
export const nodeWithZstd = version(22, 15) ? process.execPath : existsSync(packed) ? packed : null;
const nodeForPrograms = version(20, 0) ? process.execPath : nodeWithZstd;

// What a user's shell would have; nothing else of this one reaches a program.
export function settings(url, { project } = {}) {
    return {
        LANGSMITH_ENDPOINT: url,
        LANGSMITH_API_KEY: 'any',
        LANGSMITH_TRACING: 'true',
        ...(project && { LANGSMITH_PROJECT: project }),
    };
}

// For clients in this process.
export function useHere(url) {
    Object.assign(process.env, settings(url));
}

const PROGRAM_MS = 120_000;

export async function program(name, { url, project, node, env = {}, args = [] }) {
    const child = spawn(
        node ?? nodeForPrograms,
        ['--no-warnings', join(clients, 'programs', `${name}.cjs`), ...args],
        {
            env: {
                PATH: process.env.PATH,
                NODE_PATH: join(packages, 'node_modules'),
                ...settings(url, { project }),
                ...env,
            },
            stdio: ['ignore', 'pipe', 'pipe'],
        },
    );
    const out = [];
    const err = [];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => err.push(piece));
    const late = setTimeout(() => child.kill('SIGKILL'), PROGRAM_MS);
    const [code, signal] = await once(child, 'close');
    clearTimeout(late);
    const said = Buffer.concat(err).toString();
    assert.deepEqual({ code, signal, said }, { code: 0, signal: null, said: '' }, name);
    return JSON.parse(Buffer.concat(out).toString());
}

export async function all(iterator) {
    const items = [];
    for await (const item of iterator) items.push(item);
    return items;
}

// Through JSON and back: what can be compared with an answer.
export const plain = (value) => JSON.parse(JSON.stringify(value));
