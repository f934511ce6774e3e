// compare_model.mjs - what two lists, texts, payloads and trees have in common.  Without a browser.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { corpus } from './lib/hostile.mjs';
import { module } from './lib/modules.mjs';
import { largeSkeleton } from './lib/traces.mjs';

const { common, diff } = await module('compare/diff.ts');
const { brokenUp, compare } = await module('compare/said.ts');
const { folds } = await module('compare/folds.ts');
const { Differ } = await module('compare/differ.ts');
const { align, differs, seen } = await module('compare/align.ts');
const { moreCost, moreTime, moreTokens, share } = await module('compare/delta.ts');
const { decodeSkeleton } = await module('trace/skeleton.ts');
const { buildTree } = await module('trace/tree.ts');

// The same numbers each time.
function dice(seed) {
    let state = seed;
    return (sides) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * sides);
    };
}

// How long the longest that two lists have in common is.
function longest(a, b) {
    let row = new Int32Array(b.length + 1);
    for (const one of a) {
        const next = new Int32Array(b.length + 1);
        for (let j = 0; j < b.length; j++) next[j + 1] = one === b[j] ? row[j] + 1 : Math.max(next[j], row[j + 1]);
        row = next;
    }
    return row[b.length];
}

const kept = (match) => match.reduce((n, to) => n + (to >= 0 ? 1 : 0), 0);

function assertMatches(a, b, match) {
    let last = -1;
    match.forEach((to, i) => {
        if (to < 0) return;
        assert.ok(to > last, 'in order');
        assert.equal(a[i], b[to]);
        last = to;
    });
}

// Others may have the processor meanwhile.
const workedMs = (began) => {
    const { user, system } = process.cpuUsage(began);
    return (user + system) / 1000;
};

describe('what two lists have in common', () => {
    it('is the longest there is', () => {
        const roll = dice(7);
        for (let n = 0; n < 400; n++) {
            const list = () => Int32Array.from({ length: roll(24) }, () => roll(1 + roll(5)));
            const [a, b] = [list(), list()];
            const match = common(a, b);
            assertMatches(a, b, match);
            assert.equal(kept(match), longest(a, b), `${a} and ${b}`);
        }
    });
    it('is found in stretches where there is little of it, and still in order', () => {
        const roll = dice(3);
        for (const sides of [2, 50, 600, 5000]) {
            const list = () => Int32Array.from({ length: 600 }, () => roll(sides));
            const [a, b] = [list(), list()];
            const match = common(a, b, 1);
            assertMatches(a, b, match);
            assert.ok(kept(match) >= 0.5 * longest(a, b), `${kept(match)} of ${longest(a, b)}`);
        }
    });
    it('of a hundred thousand that have nothing in common is nothing, soon', () => {
        const a = Int32Array.from({ length: 100_000 }, (_, i) => i);
        const b = a.map((one) => one + 1_000_000);
        const began = process.cpuUsage();
        assert.equal(kept(common(a, b)), 0);
        assert.ok(workedMs(began) < 5000, `${workedMs(began)} ms`);
    });
});

const told = (lines) => lines.map(({ is, left, right }) => {
    const text = (pieces) => pieces.map(({ text, changed }) => (changed ? `{${text}}` : text)).join('');
    return is === 'same' ? `  ${text(left)}` : is === 'left' ? `- ${text(left)}` : is === 'right' ? `+ ${text(right)}` : `~ ${text(left)} | ${text(right)}`;
});

describe('two texts', () => {
    it('are compared by lines, and by words where a line was changed', () => {
        assert.deepEqual(told(diff('a\nthe old cat sat\nb\nc', 'a\nthe new cat sat\nc\nd')), [
            '  a',
            '~ the {old} cat sat | the {new} cat sat',
            '- b',
            '  c',
            '+ d',
        ]);
        assert.deepEqual(told(diff('', 'one\n')), ['+ one', '+ ']);
        assert.deepEqual(told(diff('', '')), []);
        assert.deepEqual(told(diff('nothing alike', 'an other text')), ['- nothing alike', '+ an other text']);
        assert.deepEqual(told(diff('a\r\nb', 'a\nb')), ['  a', '  b'], 'ends of lines are no difference');
    });
    it('lose nothing: each side can be put together again', () => {
        const roll = dice(11);
        const words = ['one', 'two', ' ', 'three', '\n', '\n', 'ü', '😀', '"', '{', corpus[0]];
        const text = () => Array.from({ length: roll(60) }, () => words[roll(words.length)]).join('');
        for (let n = 0; n < 300; n++) {
            const [a, b] = [text(), text()];
            const lines = diff(a, b);
            const side = (name, without) =>
                lines
                    .filter(({ is }) => is !== without)
                    .map((line) => (line.is === 'same' ? line.left : line[name]).map((piece) => piece.text).join(''))
                    .join('\n');
            assert.equal(side('left', 'right'), a);
            assert.equal(side('right', 'left'), b);
            for (const name of ['at', 'to']) {
                const numbers = lines.map((line) => line[name]).filter(Boolean);
                assert.deepEqual(numbers, numbers.map((_, i) => i + 1));
            }
        }
    });
    it('are two lines where very many words of one changed', () => {
        const text = (n, every) => Array.from({ length: 2000 }, (_, i) => (i % every ? `same${i}` : `other${i * n}`)).join(' ');
        assert.deepEqual(diff(text(1, 2), text(2, 2)).map(({ is }) => is), ['left', 'right']);
        assert.deepEqual(diff(text(1, 100), text(2, 100)).map(({ is }) => is), ['changed']);
    });
    it('have what is around differences, and the rest folded, or opened', () => {
        const same = Array.from({ length: 20 }, (_, i) => `line ${i}`);
        const lines = diff(['x', ...same, 'y'].join('\n'), ['z', ...same, 'y'].join('\n'));
        const all = folds(lines, true, new Set());
        assert.deepEqual(all.map((one) => one.folded ?? one.line.is), ['left', 'right', 'same', 'same', 'same', 18]);
        assert.equal(folds(lines, true, new Set([all.at(-1).at])).length, lines.length);
        assert.equal(folds(lines, false, new Set()).length, lines.length);
    });
});

describe('two payloads', () => {
    const side = (value, cut = false) => ({ text: value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value), cut });
    const ask = (field, a, b, more = {}) => compare({ field, left: side(a), right: side(b), json: false, ...more });

    it('are compared as messages where both are, or one has none', () => {
        const chat = (content, more = {}) => ({ messages: [{ role: 'user', content }], ...more });
        const found = ask('inputs', chat('Hello\nyou'), chat('Hello\nme'));
        assert.equal(found.as, 'messages');
        assert.deepEqual(told(found.lines), ['  [user]', '  Hello', '- you', '+ me']);
        assert.equal(ask('inputs', chat('a'), undefined).as, 'messages');
        assert.equal(ask('inputs', chat('a'), { k: 1 }).as, 'JSON');
        assert.equal(ask('inputs', chat('a'), chat('b'), { json: true }).as, 'JSON');
        const beside = ask('inputs', chat('a', { temperature: 0 }), chat('a', { temperature: 1 }));
        assert.deepEqual([beside.same, beside.beside], [true, true]);
    });
    it('have the calls of tools', () => {
        const call = (city) => ({ choices: [{ message: { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'weather', arguments: JSON.stringify({ city }) } }] } }] });
        assert.ok(told(ask('outputs', call('Oslo'), call('Rome')).lines).some((line) => line.includes('{Oslo}') && line.includes('{Rome}')));
    });
    it('are else JSON, whose members have an order', () => {
        const found = ask('inputs', { b: 1, a: { d: 1, c: 2 } }, '{"a":{"c":2,"d":1},"b":1}');
        assert.deepEqual([found.as, found.same], ['JSON', true]);
        const proto = ask('inputs', '{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}');
        assert.equal(proto.same, false);
    });
    it('that cannot be read, or end in the middle, are text, broken into lines', () => {
        assert.equal(brokenUp('{"a":[1,{"b":"x,{\\"y"},2],"c":'), '{\n  "a":[\n    1,\n    {\n      "b":"x,{\\"y"\n    },\n    2\n  ],\n  "c":');
        const half = compare({ field: 'inputs', left: side('{"a":1,"b":"long', true), right: side('{"a":1,"b":"longer"}'), json: false });
        assert.equal(half.as, 'text');
        assert.ok(told(half.lines).includes('    "a":1,'));
        const deep = '['.repeat(60_000) + ']'.repeat(60_000);
        assert.equal(ask('outputs', deep, deep).same, true);
        assert.ok(ask('outputs', deep, '{}').lines.length > 0);
    });
    it('of strangers are compared as any', () => {
        for (const text of corpus) {
            assert.equal(ask('inputs', { [text]: text }, { [text]: text }).same, true);
            assert.equal(ask('error', text, `${text}x`).same, false);
        }
    });
    it('that have very many lines are told in part, and that is said', () => {
        const found = ask('inputs', Array.from({ length: 12_000 }, (_, i) => i), []);
        assert.ok(found.more > 0);
        assert.equal(found.lines.length, 10_000);
    });
});

describe('who compares', () => {
    // A worker that answers when it is told to.
    const started = [];
    globalThis.Worker = class {
        asked = [];
        constructor() {
            started.push(this);
        }
        postMessage(question) {
            this.asked.push(question.left.text);
        }
        terminate() {}
    };
    globalThis.WORKERS = { diff: '' };
    const question = (text) => ({ field: 'error', left: { text, cut: false }, right: { text: '', cut: false }, json: false });
    const passed = () => new Promise((go) => setImmediate(go));

    it('does one after the other, and skips what nobody wants any more', async () => {
        const [differ, stop, on] = [new Differ(), new AbortController(), new AbortController().signal];
        const first = differ.ask(question('first'), on);
        const second = differ.ask(question('second'), stop.signal);
        const third = differ.ask(question('third'), on);
        await passed();
        const worker = started.at(-1);
        assert.deepEqual(worker.asked, ['first']);
        stop.abort();
        worker.onmessage({ data: { answer: 1 } });
        assert.equal(await first, 1);
        await assert.rejects(second, { name: 'AbortError' });
        await passed();
        assert.deepEqual(worker.asked, ['first', 'third']);
        worker.onmessage({ data: { failed: 'why' } });
        await assert.rejects(third, /why/);
    });
    it('takes another worker after one that broke', async () => {
        const [differ, on] = [new Differ(), new AbortController().signal];
        const first = differ.ask(question('first'), on);
        await passed();
        started.at(-1).onerror();
        await assert.rejects(first, /could not compare/);
        const second = differ.ask(question('second'), on);
        await passed();
        assert.deepEqual(started.at(-1).asked, ['second']);
        started.at(-1).onmessage({ data: { answer: 2 } });
        assert.equal(await second, 2);
    });
});

// Of [parent, name, more] each.
function treeOf(list) {
    const names = [...new Set(list.map(([, name]) => name))];
    return buildTree(
        decodeSkeleton({
            trace_id: 't',
            count: list.length,
            start_us: 0,
            names,
            types: ['chain'],
            id: list.map((_, i) => `id-${i}`),
            parent: list.map(([parent]) => parent),
            name: list.map(([, name]) => names.indexOf(name)),
            type: list.map(() => 0),
            start: list.map((_, i) => i),
            duration: list.map(() => 5),
            status: list.map(([, , more]) => more?.status ?? 0),
            tokens: list.map(([, , more]) => more?.tokens ?? -1),
            cost: list.map(() => null),
            first_token: list.map(() => -1),
            flags: list.map(() => 0),
            project: {},
        }),
    );
}
const whole = (tree) => ({ tree, run: tree.order[0], whole: true });
const nameOf = ({ skeleton: s }, run) => (run < 0 ? '·' : s.names[s.name[run]]);
const rowsOf = (a, b, all) => [...all.left].map((l, row) => `${' '.repeat(all.depth[row])}${nameOf(a, l)} ${nameOf(b, all.right[row])}${differs(all, row) ? ' *' : ''}`);

describe('two trees', () => {
    it('are one: children by name and type, in their order', () => {
        const a = treeOf([[-1, 'agent'], [0, 'plan'], [0, 'tool'], [2, 'inner'], [0, 'answer']]);
        const b = treeOf([[-1, 'other name'], [0, 'plan', { tokens: 3 }], [0, 'look up'], [0, 'answer', { status: 1 }], [0, 'answer']]);
        const all = align(whole(a), whole(b));
        assert.deepEqual(rowsOf(a, b, all), ['agent other name', ' plan plan *', ' tool · *', '  inner · *', ' · look up *', ' · answer *', ' answer answer']);
        assert.deepEqual([...all.end], [7, 2, 4, 4, 5, 6, 7]);
        assert.deepEqual([...seen(all, new Set([2]), false)], [0, 1, 2, 4, 5, 6]);
    });
    it('that are the same differ nowhere; with only what differs their root is left', () => {
        const a = treeOf([[-1, 'a'], [0, 'b'], [1, 'c'], [0, 'd']]);
        const b = treeOf([[-1, 'a'], [0, 'b'], [1, 'c', { status: 1 }], [0, 'd']]);
        assert.deepEqual([...seen(align(whole(a), whole(a)), new Set(), true)], [0]);
        assert.deepEqual([...seen(align(whole(a), whole(b)), new Set(), true)], [0, 1, 2], 'and what is above a difference');
    });
    it('may be parts of one, or have more than one root', () => {
        const a = treeOf([[-1, 'a'], [0, 'b'], [1, 'x'], [0, 'b'], [3, 'y'], [-1, 'lost']]);
        const all = align({ tree: a, run: 1, whole: false }, { tree: a, run: 3, whole: false });
        assert.deepEqual(rowsOf(a, a, all), ['b b', ' x · *', ' · y *']);
        const b = treeOf([[-1, 'lost'], [-1, 'a']]);
        assert.deepEqual(rowsOf(a, b, align(whole(a), { tree: b, run: 1, whole: true })).at(-1), 'lost lost');
    });
    it('of ten thousand runs are aligned soon: the same, broad, deep, with nothing in common', () => {
        const large = buildTree(decodeSkeleton(largeSkeleton(10_000)));
        const broad = (names) => treeOf(Array.from({ length: 10_000 }, (_, i) => [i ? 0 : -1, i ? names(i) : 'root']));
        const deep = treeOf(Array.from({ length: 10_000 }, (_, i) => [i - 1, `level ${i % 3}`]));
        const roll = dice(5);
        for (const [a, b] of [
            [large, large],
            [broad((i) => `n${i % 7}`), broad(() => `n${roll(7)}`)],
            [broad((i) => `a${i}`), broad((i) => `b${i}`)],
            [deep, deep],
            [deep, large],
        ]) {
            const began = process.cpuUsage();
            const all = align(whole(a), whole(b));
            assert.ok(workedMs(began) < 5000, `${workedMs(began)} ms`);
            const runs = (list) => [...list].filter((run) => run >= 0).sort((x, y) => x - y);
            for (const side of [all.left, all.right]) assert.deepEqual(runs(side), Array.from({ length: 10_000 }, (_, i) => i), 'each run once');
        }
    });
});

describe('by how much', () => {
    it('is said with a sign', () => {
        assert.equal(moreTime(1_000_000, 2_500_000), '+1.50 s');
        assert.equal(moreTime(2000, 1000), '−1.0 ms');
        assert.equal(moreTime(7, 7), '=');
        assert.equal(moreTime(-1, 7), '', 'one is running');
        assert.equal(moreTokens(1200, 200), '−1,000');
        assert.equal(moreCost(0.1 + 0.2, 0.3), '=');
        assert.equal(moreCost(0.5, 0.25), '−$0.25');
        assert.equal(moreCost(NaN, 1), '');
        assert.equal(share(200, 300), '+50 %');
        assert.equal(share(300, 200), '−33 %');
        assert.equal(share(0, 5), '');
    });
});
