// events.mjs - how streams of events are read and begun again.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { module } from './lib/modules.mjs';

describe('a stream that breaks', () => {
    let follow, eventReader;
    const { fetch } = globalThis;
    before(async () => {
        globalThis.sessionStorage ??= { getItem: () => null };
        globalThis.localStorage ??= { getItem: () => null };
        globalThis.document ??= new EventTarget();
        globalThis.addEventListener ??= globalThis.removeEventListener ??= () => {}; // of a window
        ({ follow, eventReader } = await module('events.ts'));
    });
    after(() => (globalThis.fetch = fetch));

    it('is begun again where it was, also when an id came alone', async () => {
        const said = ['id: e-5\n\n', 'event: run\nid: e-5\ndata: {}\n\nid: e-9\n\n', 'id: e-9\n\n'];
        const asked = [];
        const events = [];
        await new Promise((resolve) => {
            globalThis.fetch = async (path, { headers }) => {
                asked.push(headers['last-event-id'] ?? null);
                if (asked.length === 4) setTimeout(() => (stop(), resolve()));
                const text = said[Math.min(asked.length, said.length) - 1];
                return new Response(
                    new ReadableStream({
                        start(controller) {
                            controller.enqueue(new TextEncoder().encode(text));
                            controller.close();
                        },
                    }),
                );
            };
            const stop = follow('/runs/tail', { event: (event) => events.push(event), state: () => {} });
        });
        assert.deepEqual(asked, [null, 'e-5', 'e-9', 'e-9']);
        assert.deepEqual(events.map(({ type, id }) => [type, id]), [['run', 'e-5']]);
    });

    it('is read in whatever pieces it comes', () => {
        const text = 'id: 1\n\nevent: run\nid: 2\ndata: a\ndata: b\n\n: quiet\n\nid: 3\n\n';
        for (let size = 1; size <= text.length; size++) {
            const told = [];
            const ids = [];
            const read = eventReader((event) => told.push(event), (id) => ids.push(id));
            for (let i = 0; i < text.length; i += size) read(text.slice(i, i + size));
            assert.deepEqual(told, [{ type: 'run', id: '2', data: 'a\nb' }]);
            assert.equal(ids.at(-1), '3');
        }
    });
});

describe('what is done later', () => {
    const names = ['document', 'addEventListener', 'removeEventListener', 'setTimeout'];
    const kept = names.map((name) => globalThis[name]);
    const page = Object.assign(new EventTarget(), { hidden: false });
    let rung;
    let later;
    before(async () => {
        ({ later } = await module('again.ts'));
        const network = new EventTarget();
        globalThis.document = page;
        globalThis.addEventListener = network.addEventListener.bind(network);
        globalThis.removeEventListener = network.removeEventListener.bind(network);
        globalThis.setTimeout = (act) => void (rung = act);
        globalThis.network = network;
    });
    after(() => names.forEach((name, i) => (globalThis[name] = kept[i])));
    const ways = {
        'the time is over': () => rung(),
        'the network is back': () => globalThis.network.dispatchEvent(new Event('online')),
        'somebody looks': () => page.dispatchEvent(new Event('visibilitychange')),
    };

    for (const [way, happens] of Object.entries(ways))
        it(`is done once when ${way}, but not while nobody looks`, () => {
            let done = 0;
            page.hidden = true;
            later(1000, () => done++);
            happens();
            assert.equal(done, 0);
            page.hidden = false;
            ways['somebody looks']();
            assert.equal(done, 1);
            later(1000, () => done++);
            happens();
            for (const again of Object.values(ways).slice(1)) again();
            assert.equal(done, 2);
            later(1000, () => done++)();
            for (const again of Object.values(ways).slice(1)) again();
            assert.equal(done, 2, 'and not when it was called off');
        });
});
