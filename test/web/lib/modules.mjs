// modules.mjs - a module of the page, bundled for Node, so that what is pure is tested without
// a browser.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const web = fileURLToPath(new URL('../../../web/', import.meta.url));

// `path` below web/src.
export async function module(path) {
    const { build } = createRequire(join(web, 'package.json'))('esbuild');
    const { outputFiles } = await build({
        entryPoints: [join(web, 'src', path)],
        bundle: true,
        write: false,
        format: 'esm',
        platform: 'node',
        jsx: 'automatic',
        jsxImportSource: 'preact',
        logLevel: 'silent',
    });
    const folder = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'page-'));
    const file = join(folder, 'module.mjs');
    writeFileSync(file, outputFiles[0].contents);
    try {
        return await import(pathToFileURL(file).href);
    } finally {
        rmSync(folder, { recursive: true });
    }
}
