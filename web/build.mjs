// build.mjs - the page, bundled for the server that embeds it.
//
// usage: node web/build.mjs [OUT]
//
// Into OUT (build/web): index.html, the assets with a hash of their content in their names,
// each also as .gz; and files.c, the table of them (src/api/web_files.h).  Every file
// src/**/NAME.worker.ts is a bundle of its own, found by the page as WORKERS.NAME.
//
// The same sources make the same bytes.  Nothing is fetched: npm ci came before.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
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

async function bundle(name, entry, define = {}, more = { format: 'iife' }) {
    const result = await build({
        entryPoints: { [name]: entry },
        bundle: true,
        minify: true,
        write: false,
        outdir: out,
        target: 'es2022',
        jsx: 'automatic',
        jsxImportSource: 'preact',
        charset: 'utf8',
        legalComments: 'none',
        logLevel: 'warning',
        define: { 'process.env.NODE_ENV': '"production"', ...define },
        ...more,
    });
    return result.outputFiles.map((file) => ({
        name: basename(file.path),
        bytes: Buffer.from(file.contents),
    }));
}

// What files.c will have of each.
const table = [];

// `named`: its name says its content already.
function keep(name, bytes, { fixed = true, named = false } = {}) {
    const [stem, extension] = name.split('.');
    const sum = hash(bytes);
    const file = fixed && !named ? `${stem}-${sum}.${extension}` : name;
    const packed = gzipSync(bytes, { level: 9 });
    writeFileSync(join(out, file), bytes);
    writeFileSync(join(out, `${file}.gz`), packed);
    const type = types[extension] + (extension === 'svg' ? '' : '; charset=utf-8');
    table.push({ file, type, sum, fixed, size: bytes.length, packed: packed.length });
    return `/ui/assets/${file}`;
}

// By their paths from where the compiler runs: the root of the repository.
function filesC() {
    const at = relative(process.cwd(), out);
    const embeds = table.map(
        ({ file }, i) =>
            `EMBED(web_${i}, "${at}/${file}");\nEMBED(web_${i}_gz, "${at}/${file}.gz");`,
    );
    const rows = table.map(
        ({ file, type, sum, fixed, size, packed }, i) =>
            `    {.name = {"${file}", ${file.length}},\n` +
            `     .type = {"${type}", ${type.length}},\n` +
            `     .bytes = {embed_web_${i}_start, ${size}},\n` +
            `     .gzip = {embed_web_${i}_gz_start, ${packed}},\n` +
            `     .etag = {"\\"${sum}\\"", ${sum.length + 2}},\n` +
            `     .gzip_etag = {"\\"${sum}-gzip\\"", ${sum.length + 7}},\n` +
            `     .fixed = ${fixed}},`,
    );
    return [
        '/* Made by web/build.mjs. */',
        '#include "api/embed.h"',
        '#include "api/web_files.h"',
        ...embeds,
        'const struct web_file web_files[] = {',
        ...rows,
        '};',
        'const size_t web_file_count = sizeof web_files / sizeof web_files[0];',
        '',
    ].join('\n');
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const workers = {};
for (const path of files(join(web, 'src')).filter((file) => file.endsWith('.worker.ts')).sort()) {
    const name = basename(path, '.worker.ts');
    workers[name] = keep(`${name}.js`, (await bundle(name, path))[0].bytes);
}
// What is imported when it is needed is a file of its own; they name each other by their hashes.
const app = await bundle('app', join(web, 'src/main.tsx'), { WORKERS: JSON.stringify(workers) }, {
    format: 'esm',
    splitting: true,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
});
const names = { icon: keep('icon.svg', readFileSync(join(web, 'src/icon.svg'))) };
for (const { name, bytes } of app) {
    const address = keep(name, bytes, { named: true });
    if (name.startsWith('app-')) names[name.split('.').pop()] = address;
}
const page = readFileSync(join(web, 'src/index.html'), 'utf8');
keep('index.html', Buffer.from(page.replace(/\{(\w+)\}/g, (_, name) => names[name])), {
    fixed: false,
});
writeFileSync(join(out, 'files.c'), filesC());
