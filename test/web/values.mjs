// values.mjs - values as rows, Markdown as a tree, bytes as lines: what of them is shown, exactly
// and in time.  Without a browser.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { module } from './lib/modules.mjs';

const { JsonModel, readJson, write } = await module('run/jsonModel.ts');
const { readMarkdown, safeUrl } = await module('run/markdown.ts');
const pages = await module('run/pages.ts');

const all = (model) => model.slice(0, model.count);
const shown = (model) => all(model).map(({ depth, key, text, kind }) => `${' '.repeat(depth)}${key ?? ''}:${kind === 'string' ? JSON.stringify(text) : text || kind}`);

describe('a value as rows', () => {
    it('is open as far as it is small', () => {
        assert.deepEqual(shown(new JsonModel({ a: [1, 'x', null], b: {}, c: true })), [
            ':object', ' a:array', '  0:1', '  1:"x"', '  2:null', ' b:object', ' c:true',
        ]);
        const deep = new JsonModel({ list: Array.from({ length: 90 }, () => ({ a: 1, b: 2, c: 3, d: 4, e: 5 })) });
        assert.equal(deep.count, 92);
        assert.equal(all(deep)[2].text, 'a: 1, b: 2, c: 3, d: 4, e: 5');
    });
    it('opens and folds', () => {
        const model = new JsonModel({ a: { b: { c: 1 } }, z: 0 });
        const row = all(model)[1];
        model.toggle(row.id);
        assert.deepEqual(shown(model), [':object', ' a:b: {…}', ' z:0']);
        model.toggle(row.id);
        assert.equal(all(model)[2].key, 'b');
        model.toggle(12345);
        model.closeAll();
        assert.equal(model.count, 3);
        assert.ok(model.openAll());
        assert.equal(model.count, 5);
    });
    it('has groups of what is many, and what is in them stands where it should', () => {
        const model = new JsonModel(Array.from({ length: 123_456 }, (_, i) => i));
        assert.deepEqual(all(model).slice(0, 3).map(({ key }) => key), [null, '0 … 9999', '10000 … 19999']);
        assert.equal(model.count, 14);
        const { row } = model.find('123455', 0);
        assert.equal(all(model)[row].key, '123455');
        assert.equal(model.path(all(model)[row].id), '[123455]');
        assert.ok(!model.openAll(5000));
        assert.ok(model.count < 20_000);
    });
    it('says where a row is, and gives it', () => {
        const model = new JsonModel({ 'a b': [{ c: 'x' }] });
        const last = all(model).at(-1);
        assert.equal(model.path(last.id), '["a b"][0].c');
        assert.equal(model.path(all(model)[0].id), '.');
        assert.equal(model.json(all(model)[1].id), '[\n  {\n    "c": "x"\n  }\n]');
    });
    it('cuts long strings and has all of them', () => {
        const text = 'y'.repeat(5000);
        const model = new JsonModel({ text });
        const row = all(model)[1];
        assert.ok(row.cut && row.text.length === 300 && row.size === 5000);
        assert.equal(model.textOf(row.id, 0, 9999), text);
    });
    it('finds in keys and values, round the end, opening what is above', () => {
        const model = new JsonModel({ a: { Needle: 1 }, b: Array.from({ length: 500 }, (_, i) => (i === 333 ? 'a needle' : i)) });
        assert.deepEqual([model.find('needle', 0).at, model.find('needle', 1).at, model.find('needle', 1).at], [0, 1, 0]);
        const { row, matches } = model.find('needle', -1);
        assert.equal(matches, 2);
        assert.equal(all(model)[row].text, 'a needle');
        assert.ok(all(model)[row].match);
        assert.equal(model.find('nowhere', 0).matches, 0);
        assert.equal(model.find('', 0).matches, 0);
    });
    it('is as deep as it comes', () => {
        const model = new JsonModel(JSON.parse('['.repeat(5000) + ']'.repeat(5000)));
        assert.ok(model.count >= 2);
        model.openAll();
        assert.equal(model.count, 5000);
    });
    it('shows members with any name', () => {
        const model = new JsonModel(JSON.parse('{"__proto__":{"x":1},"constructor":2,"toString":3}'));
        assert.deepEqual(all(model).map(({ key }) => key), [null, '__proto__', 'x', 'constructor', 'toString']);
    });
});

describe('numbers', () => {
    const exact = Number(process.versions.node.split('.')[0]) >= 21;
    // Where parsers do not tell what a number was, it is the nearest that there is.
    it('are told as they were sent, as far as can be', () => {
        const text = '{"id":12345678901234567890,"f":0.1,"n":7}';
        const value = readJson(text);
        const shown = exact ? '12345678901234567890' : '12345678901234567000';
        assert.equal(all(new JsonModel(value))[1].text, shown);
        assert.equal(write(value, 0), text.replace('12345678901234567890', shown));
    });
    it('of text that looks like a mark stay', () => assert.equal(write(JSON.parse('["0.5:0"]'), 0), '["0.5:0"]'));
});

// ---- Markdown ----

function flat(items) {
    return items
        .map((item) => {
            if (item.is === 'text') return item.text;
            if (item.is === 'code') return `\`${item.text}\``;
            if (item.is === 'break') return '⏎';
            if (item.is === 'link') return `[${flat(item.inside)}](${item.url})`;
            return `<${item.is}>${flat(item.inside)}</>`;
        })
        .join('');
}
function told(block) {
    switch (block.is) {
        case 'heading':
            return `h${block.level} ${flat(block.inside)}`;
        case 'paragraph':
            return `p ${flat(block.inside)}`;
        case 'code':
            return `code ${block.language} ${block.text}`;
        case 'list':
            return `${block.ordered ? `ol${block.start}` : 'ul'} (${block.items.map((item) => item.map(told).join('; ')).join(' | ')})`;
        case 'quote':
            return `quote (${block.blocks.map(told).join('; ')})`;
        case 'table':
            return `table ${[block.head, ...block.rows].map((row) => row.map(flat).join(',')).join(' / ')}`;
        default:
            return 'rule';
    }
}
const read = (text) => readMarkdown(text).map(told);

describe('Markdown', () => {
    const cases = [
        ['# A\ntext', ['h1 A', 'p text']],
        ['a **b** *c* ~~d~~ `e` __f__ _g_', ['p a <strong>b</> <em>c</> <del>d</> `e` <strong>f</> <em>g</>']],
        ['snake_case_name 2*3*4 ** a', ['p snake_case_name 2<em>3</>4 ** a']],
        ['**a *b* c**', ['p <strong>a <em>b</> c</>']],
        ['\\*not\\* it', ['p *not* it']],
        ['one\ntwo\n\nthree', ['p one⏎two', 'p three']],
        ['```js\nlet a = "<b>";\n```\nx', ['code js let a = "<b>";', 'p x']],
        ['```\nnever closed', ['code  never closed']],
        ['- a\n- b\n  - c\n- d', ['ul (p a | p b; ul (p c) | p d)']],
        ['3. a\n4. b', ['ol3 (p a | p b)']],
        ['> a\n> b\n\nc', ['quote (p a⏎b)', 'p c']],
        ['| a | b |\n|---|:-:|\n| 1 | **2** |', ['table a,b / 1,<strong>2</>']],
        ['a | b, no table', ['p a | b, no table']],
        ['---', ['rule']],
        ['[a](https://x.test/y) <https://z.test> https://w.test.', ['p [a](https://x.test/y) [https://z.test](https://z.test) [https://w.test](https://w.test).']],
        ['![pixel](https://x.test/p.gif)', ['p [pixel](https://x.test/p.gif)']],
        ['[a](javascript:alert(1))', ['p [a](javascript:alert(1))']],
        ['<b onclick=x>a</b><script>b</script>', ['p <b onclick=x>a</b><script>b</script>']],
    ];
    for (const [text, blocks] of cases) it(JSON.stringify(text), () => assert.deepEqual(read(text), blocks));

    it('has links to nothing that runs', () => {
        for (const url of ['javascript:alert(1)', ' javascript:x', 'java\tscript:x', 'JAVASCRIPT:x', 'data:text/html,x', 'vbscript:x', 'blob:x', 'file:///etc/passwd', '//x.test', '/delete', 'https:x', 'ht\u202etps://x', 'https://a b'])
            assert.equal(safeUrl(url), '', url);
        assert.equal(safeUrl('https://x.test/?a=1#b'), 'https://x.test/?a=1#b');
    });
    it('takes time by length only', () => {
        const n = 100_000;
        const bad = ['*', '_', '**', '[', '![', '](', '`', '``` ', '> ', '- ', '<', '|', '\\', '# ', '1. ', '~~', '*a ', '_a_b', '[a](', 'http://', '\n|-|', ' - \n', '> - '];
        for (const one of bad) {
            const text = one.repeat(Math.floor(n / one.length));
            const began = process.cpuUsage(); // others may have the processor meanwhile
            readMarkdown(text);
            const { user, system } = process.cpuUsage(began);
            const took = (user + system) / 1000;
            assert.ok(took < 3000, `${JSON.stringify(one)}: ${took} ms`);
        }
    });
    it('is not deeper than a page can be', () => {
        assert.ok(JSON.stringify(readMarkdown(`${'> '.repeat(5000)}x`)).length < 20_000);
        readMarkdown(`${'- '.repeat(5000)}x`);
        readMarkdown(`${'*a '.repeat(300)}${'b* '.repeat(300)}`);
    });
});

// ---- bytes ----

describe('bytes as lines', () => {
    const { COLUMNS, PAGE, linesOf, rangeOf } = pages;
    const lines = (bytes) => {
        const list = [];
        for (let page = 0; page * PAGE < bytes.length; page++) {
            const [from, to] = rangeOf(page, bytes.length).match(/\d+/g).map(Number);
            list.push(...linesOf(bytes.subarray(from, to + 1), page === 0));
        }
        return list;
    };
    it('are all there, none twice, also across pages', () => {
        for (const text of ['short', 'é'.repeat(PAGE), `a${'日'.repeat(PAGE)}`, `ab${'😀'.repeat(PAGE / 2)}`, 'x'.repeat(PAGE), 'x'.repeat(PAGE + 1)]) {
            const bytes = Buffer.from(text);
            const got = lines(bytes);
            assert.equal(got.join(''), text);
            assert.equal(got.length, Math.ceil(bytes.length / COLUMNS));
        }
    });
    it('show what would move the text as signs', () => {
        assert.deepEqual(linesOf(Buffer.from('a\nb\t\u0000\u202ec\u007f'), true), ['a␊b␉␀□c␡']);
        assert.deepEqual(linesOf(Uint8Array.of(0xff, 0x41), true), ['\ufffdA']);
        assert.deepEqual(linesOf(Buffer.from('\ufeffa'), true), ['\ufeffa']);
    });
});
