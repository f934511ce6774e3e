// bundle.mjs - the page as it is built: its types hold, it is small enough, the same sources make
// the same bytes, and nothing in it is from elsewhere.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('../../', import.meta.url));
const FIRST_LOAD = 60 * 1024; // bytes as they travel: gzip

describe('the bundle', () => {
    let out;
    const build = () => {
        const folder = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'bundle-'));
        execFileSync(process.execPath, ['web/build.mjs', folder], { cwd: root });
        return folder;
    };
    before(() => {
        // That make has installed what it takes.
        assert.equal(spawnSync('scripts/web', { cwd: root }).status, 0);
        out = build();
    });
    after(() => rmSync(out, { recursive: true }));

    it('has types that hold', () => {
        const packages = execFileSync(join(root, 'test/web/up'), { encoding: 'utf8' }).trim();
        const checked = spawnSync(join(packages, 'node_modules/.bin/tsc'), ['-p', 'web'], { cwd: root, encoding: 'utf8' });
        assert.equal(checked.status, 0, checked.stdout);
    });

    it('is small: what the first screen loads, and all of it', (t) => {
        const page = readFileSync(join(out, 'index.html'), 'utf8');
        const size = (file) => readFileSync(join(out, `${file}.gz`)).length;
        const named = [...page.matchAll(/\/ui\/assets\/([^"]+\.(?:js|css))"/g)].map((found) => found[1]);
        // What the page names, and what that imports before it runs.
        const loaded = new Set(named);
        for (const file of loaded)
            for (const [, other] of readFileSync(join(out, file), 'utf8').matchAll(/(?:from|import)"\.\/([\w-]+\.js)"/g))
                loaded.add(other);
        const first = [...loaded].reduce((sum, file) => sum + size(file), 0);
        const all = readdirSync(out)
            .filter((file) => /\.(js|css)$/.test(file))
            .reduce((sum, file) => sum + size(file), 0);
        t.diagnostic(`first load ${(first / 1024).toFixed(1)} KB, all ${(all / 1024).toFixed(1)} KB, as gzip`);
        assert.ok(first <= FIRST_LOAD, `${first} bytes`);
    });

    it('is the same when it is built again, and packed as it is', () => {
        const again = build();
        try {
            const files = readdirSync(out);
            assert.deepEqual(readdirSync(again), files);
            for (const file of files.filter((one) => one !== 'files.c'))
                assert.deepEqual(readFileSync(join(again, file)), readFileSync(join(out, file)), file);
            for (const file of files.filter((one) => one.endsWith('.gz')))
                assert.deepEqual(gunzipSync(readFileSync(join(out, file))), readFileSync(join(out, file.slice(0, -3))), file);
        } finally {
            rmSync(again, { recursive: true });
        }
    });

    it('names no other place, makes no code and no markup of text', () => {
        for (const file of readdirSync(out).filter((one) => /\.(js|css|html)$/.test(one))) {
            const text = readFileSync(join(out, file), 'utf8');
            const places = [...text.matchAll(/https?:\/\/[^\s"'`)]+/g)]
                .map((found) => found[0])
                .filter((place) => !/^https?:\/\/www\.w3\.org\//.test(place));
            assert.deepEqual(places, [], file);
            assert.doesNotMatch(text, /\beval\(|new Function\(|insertAdjacentHTML|document\.write|sourceMappingURL/, file);
        }
        // grep ends with 1 when it finds nothing.
        const markup = spawnSync('grep', ['-rnE', 'dangerouslySetInnerHTML|(inner|outer)HTML', 'web/src'], { cwd: root, encoding: 'utf8' });
        assert.equal(markup.status, 1, markup.stdout);
    });
});
