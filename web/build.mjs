// build.mjs - the page, bundled for the server that embeds it.
//
// usage: node web/build.mjs [OUT]
//
// Into OUT (build/web): index.html, the assets with a hash of their content in their names,
// each also as .gz; and table.h, in which src/api/web.c finds them.  Every file
// src/**/NAME.worker.ts is a bundle of its own, found by the page as WORKERS.NAME.
//
// The same sources make the same bytes.  Nothing is fetched: npm ci came before.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const web = fileURLToPath(new URL('.', import.meta.url));
const out = process.argv[2] ?? join(web, '../build/web');

const types = { js: 'text/javascript', css: 'text/css', html: 'text/html', svg: 'image/svg+xml' };

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

function files(folder) {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
        const path = join(folder, entry.name);
        return entry.isDirectory() ? files(path) : [path];
    });
}

async function bundle(entry, define = {}) {
    const result = await build({
        entryPoints: [entry],
        bundle: true,
        minify: true,
        write: false,
        outdir: out,
        format: 'iife',
        target: 'es2022',
        jsx: 'automatic',
        jsxImportSource: 'preact',
        charset: 'utf8',
        legalComments: 'none',
        logLevel: 'warning',
        define: { 'process.env.NODE_ENV': '"production"', ...define },
    });
    return Object.fromEntries(
        result.outputFiles.map((file) => [file.path.split('.').pop(), Buffer.from(file.contents)]),
    );
}

// [{ path, file, type, etag, fixed: whether its name says its content }]
const table = [];

function keep(name, bytes, { hashed = true } = {}) {
    const [stem, extension] = [name.replace(/\.[^.]*$/, ''), name.split('.').pop()];
    const sum = hash(bytes);
    const file = hashed ? `${stem}-${sum}.${extension}` : name;
    writeFileSync(join(out, file), bytes);
    writeFileSync(join(out, `${file}.gz`), gzipSync(bytes, { level: 9 }));
    table.push({ file, type: types[extension], sum, hashed });
    return `/ui/assets/${file}`;
}

// What the assembler and the compiler make of it: see src/api/web.c.
function tableOf() {
    return [
        '/* Made by web/build.mjs. */',
        ...table.map(
            ({ file, type, sum, hashed }, i) =>
                `WEB_FILE(${i}, "${file}", "${type}", "${sum}", ${hashed})`,
        ),
        '',
    ].join('\n');
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const workers = {};
for (const path of files(join(web, 'src')).filter((file) => file.endsWith('.worker.ts')).sort()) {
    const name = basename(path, '.worker.ts');
    workers[name] = keep(`${name}.js`, (await bundle(path)).js);
}
const app = await bundle(join(web, 'src/main.tsx'), { WORKERS: JSON.stringify(workers) });
const names = {
    js: keep('app.js', app.js),
    css: keep('app.css', app.css),
    icon: keep('icon.svg', readFileSync(join(web, 'src/icon.svg'))),
};
const page = readFileSync(join(web, 'src/index.html'), 'utf8');
keep('index.html', Buffer.from(page.replace(/\{(\w+)\}/g, (_, name) => names[name])), {
    hashed: false,
});
writeFileSync(join(out, 'table.h'), tableOf());
