// trace_model.mjs - a trace as the page has it: columns that are checked, the tree, what of it is
// seen, the critical path, going from run to run.  Without a browser.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { module } from './lib/modules.mjs';
import { largeSkeleton } from './lib/traces.mjs';

const { decodeSkeleton } = await module('trace/skeleton.ts');
const model = await module('trace/tree.ts');
const { criticalPath } = await module('trace/critical.ts');
const { ticks } = await module('trace/Bars.tsx');

const NOBODY = new Set();

// Of [parent, start, duration, status?] each.
function skeleton(list, types = list.map(() => 'chain')) {
    const kinds = [...new Set(types)];
    return {
        trace_id: 't',
        count: list.length,
        start_us: 0,
        names: ['a'],
        types: kinds,
        id: list.map((_, i) => `id-${i}`),
        parent: list.map(([parent]) => parent),
        name: list.map(() => 0),
        type: types.map((type) => kinds.indexOf(type)),
        start: list.map(([, start = 0]) => start),
        duration: list.map(([, , duration = 0]) => duration),
        status: list.map(([, , , status = 0]) => status),
        tokens: list.map(() => -1),
        cost: list.map(() => null),
        first_token: list.map(() => -1),
        flags: list.map(() => 0),
        project: { id: 'p', name: 'project' },
        truncated: false,
    };
}
const treeOf = (list, types) => model.buildTree(decodeSkeleton(skeleton(list, types)));
const rows = (tree, folded = NOBODY, keep = null) => [...model.visibleRows(tree, folded, keep)];
const some = (on) => [...on].flatMap((one, run) => (one ? [run] : []));

//       0
//     1   2      and 3 below 1, 4 and 5 below 2
const family = [[-1], [0], [0], [1], [2], [2]];

describe('a skeleton', () => {
    it('is taken as columns', () => {
        const s = decodeSkeleton(largeSkeleton(1000));
        assert.equal(s.count, 1000);
        assert.equal(s.parent[5], 1);
        assert.ok(Number.isNaN(s.cost[1]));
        assert.equal(s.cost[3], 0.003);
        assert.equal(s.tokens[1], -1);
    });
    it('whose columns are not as long as it says is refused with a sentence', () => {
        for (const name of ['id', 'parent', 'name', 'type', 'start', 'duration', 'status', 'flags'])
            assert.throws(() => decodeSkeleton({ ...skeleton(family), [name]: [1] }), new RegExp(`"${name}"`));
        for (const broken of [null, 7, 'text', [], {}, { count: -1 }, { count: 1.5 }, { count: '3' }])
            assert.throws(() => decodeSkeleton(broken), /not a trace/);
    });
    it('leads nowhere outside of its columns', () => {
        const s = decodeSkeleton({
            ...skeleton(family),
            parent: [-1, 99, -7, 'x', null, 1.5],
            name: [0, 5, -1, 'x', null, 0.5],
            type: [7, 0, 0, 0, 0, 0],
        });
        assert.deepEqual([...s.parent], [-1, -1, -1, -1, -1, -1]);
        assert.deepEqual([...s.name], [0, 0, 0, 0, 0, 0]);
        assert.equal(s.type[0], 0);
    });
    it('may be empty', () => assert.equal(treeOf([]).order.length, 0));
});

describe('the tree', () => {
    it('stands as in a book', () => {
        const tree = treeOf(family);
        assert.deepEqual([...tree.order], [0, 1, 3, 2, 4, 5]);
        assert.deepEqual([...tree.depth], [0, 1, 1, 2, 2, 2]);
        assert.deepEqual([...tree.end], [6, 3, 6, 3, 5, 6]);
    });
    it('takes a child that began before its parent, and several tops', () => {
        const tree = treeOf([[2], [-1], [-1], [2]]);
        assert.deepEqual([...tree.order], [1, 2, 0, 3]);
    });
    it('has no circles', () => {
        for (const parents of [[0], [1, 0], [1, 2, 0], [3, 0, 1, 2, 0], [2, 2, 1, 0]]) {
            const tree = treeOf(parents.map((parent) => [parent]));
            assert.deepEqual([...tree.order].sort(), parents.map((_, i) => i));
            assert.ok([...tree.parent].some((parent) => parent < 0));
        }
    });
    it('is as deep as it comes: a chain of 100 000', () => {
        const tree = treeOf(Array.from({ length: 100_000 }, (_, i) => [i - 1]));
        assert.equal(tree.depth[99_999], 99_999);
        assert.equal(tree.end[0], 100_000);
        assert.equal(rows(tree, new Set([10])).length, 11);
    });
    it('counts what failed below', () => {
        const tree = treeOf([[-1, 0, 9, 1], [0], [0], [1, 0, 1, 1], [2], [2, 0, 1, 1]]);
        assert.deepEqual([...tree.errors], [3, 1, 1, 1, 0, 1]);
        assert.equal(treeOf([[-1, 0, -1, 2], [0, 0, -1, 2]]).running, 2);
    });
});

describe('what is seen of it', () => {
    const tree = treeOf(family);
    it('is all, without what is below a folded one', () => {
        assert.deepEqual(rows(tree), [0, 1, 3, 2, 4, 5]);
        assert.deepEqual(rows(tree, new Set([1])), [0, 1, 2, 4, 5]);
        assert.deepEqual(rows(tree, new Set([0, 2])), [0]);
    });
    it('is what is wanted, with what is above it', () => {
        assert.deepEqual(rows(tree, NOBODY, model.keepWith(tree, (run) => run === 4)), [0, 2, 4]);
        assert.deepEqual(rows(tree, NOBODY, model.keepWith(tree, () => false)), []);
    });
    it('is folded at a depth', () => {
        assert.deepEqual([...model.foldedAt(tree, 1)], [1, 2]);
        assert.deepEqual([...model.foldedAt(tree, 0)], [0]);
    });
    it('has a row for each run, also for one that is not seen', () => {
        const seen = model.visibleRows(tree, new Set([1]), null);
        assert.equal(model.rowOf(tree, seen, 2), 2);
        assert.equal(model.rowOf(tree, seen, 3), 1);
        assert.equal(model.rowOf(tree, seen, -1), -1);
    });
});

describe('going about', () => {
    const tree = treeOf(family);
    it('goes round the end', () => {
        const wanted = (run) => run === 1 || run === 4;
        assert.equal(model.nextRun(tree, 0, 1, wanted), 1);
        assert.equal(model.nextRun(tree, 1, 1, wanted), 4);
        assert.equal(model.nextRun(tree, 4, 1, wanted), 1);
        assert.equal(model.nextRun(tree, 1, -1, wanted), 4);
        assert.equal(model.nextRun(tree, -1, 1, wanted), 1);
        assert.equal(model.nextRun(tree, -1, -1, wanted), 4);
        assert.equal(model.nextRun(tree, 0, 1, () => false), -1);
    });
    it('goes from sibling to sibling, not round', () => {
        const all = () => true;
        assert.equal(model.nextSibling(tree, 1, 1, all), 2);
        assert.equal(model.nextSibling(tree, 2, 1, all), -1);
        assert.equal(model.nextSibling(tree, 2, -1, all), 1);
        assert.equal(model.nextSibling(tree, 5, -1, all), 4);
        assert.equal(model.nextSibling(tree, 0, 1, all), -1);
    });
});

describe('the critical path', () => {
    const path = (list, now = 0) => some(criticalPath(treeOf(list), now));
    it('is who was waited for, backwards', () => {
        // 1 from 0 to 4, 2 from 4 to 9, 3 beside them from 0 to 3.
        assert.deepEqual(path([[-1, 0, 10], [0, 0, 4], [0, 4, 5], [0, 0, 3]]), [0, 1, 2]);
    });
    it('goes down', () => {
        assert.deepEqual(path([[-1, 0, 10], [0, 0, 10], [0, 0, 5], [1, 2, 8], [2, 0, 5]]), [0, 1, 3]);
    });
    it('of what outlasts its parent counts what its parent waited', () => {
        assert.deepEqual(path([[-1, 0, 10], [0, 5, 100], [0, 0, 5]]), [0, 1, 2]);
    });
    it('takes what runs to run until now', () => {
        assert.deepEqual(path([[-1, 0, -1, 2], [0, 0, 50], [0, 50, -1, 2]], 80), [0, 1, 2]);
    });
    it('of several tops is of the one that ends last', () => {
        assert.deepEqual(path([[-1, 0, 5], [-1, 1, 20]]), [1]);
        assert.deepEqual(path([]), []);
    });
});

describe('the axis', () => {
    it('has round times, not too many', () => {
        assert.deepEqual(ticks({ from: 0, to: 5_000_000 }, 5), [0, 1e6, 2e6, 3e6, 4e6, 5e6]);
        assert.deepEqual(ticks({ from: 0, to: 1 }, 5), [0, 1]);
        assert.deepEqual(ticks({ from: 0, to: 100e6 }, 5), [0, 30e6, 60e6, 90e6]);
        for (const to of [3, 77, 1e6, 3.7e9, 1e15]) assert.ok(ticks({ from: to / 3, to }, 5).length <= 6);
    });
});
