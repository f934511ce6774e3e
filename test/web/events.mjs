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
