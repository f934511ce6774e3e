// tail.mjs - a client that follows GET /runs/tail.
//
//   const tail = await Tail.open(server, { session: 'p' });
//   const { type, id, data } = await tail.next();      // comments and lone ids pass by
//   tail.close();
import assert from 'node:assert/strict';
import http from 'node:http';

const EVENT_MS = 30_000;

export class Tail {
    static open(server, query = {}, headers = {}) {
        return new Promise((resolve, reject) => {
            const request = http.request({
                host: '127.0.0.1',
                port: server.port,
                path: `/runs/tail?${new URLSearchParams(query)}`,
                headers,
                agent: false,
            });
            request.on('error', reject);
            request.on('response', (response) => {
                const tail = new Tail(request, response);
                if (response.statusCode !== 200) resolve(tail);
                else tail.began.then(() => resolve(tail), reject);
            });
            request.end();
        });
    }

    constructor(request, response) {
        this.request = request;
        this.response = response;
        this.status = response.statusCode;
        this.headers = response.headers;
        this.text = '';
        this.id = null;
        this.events = [];
        this.waiting = null;
        this.ended = false;
        // It is heard from here on: the first thing that is sent is an id.
        this.began = new Promise((resolve) => (this.begin = resolve));
        response.setEncoding('utf8');
        response.on('data', (piece) => this.#take(piece));
        const end = () => {
            this.ended = true;
            this.begin();
            this.#wake();
        };
        request.on('error', end); // we left
        response.on('error', end);
        response.on('close', end);
    }

    #take(piece) {
        this.text += piece;
        if (this.status !== 200) return;
        for (let end; (end = this.text.indexOf('\n\n')) >= 0;) {
            this.#add(this.text.slice(0, end).split('\n'));
            this.text = this.text.slice(end + 2);
        }
        this.#wake();
    }

    #add(lines) {
        const event = { type: null, id: null, data: null };
        for (const line of lines) {
            const [, name, value] = /^(\w*):? ?(.*)$/.exec(line);
            if (name === 'event') event.type = value;
            else if (name === 'id') this.id = event.id = value;
            else if (name === 'data') event.data = JSON.parse(value);
            else assert.equal(line, ':', 'a line of an event');
        }
        if (event.type) this.events.push(event);
        else if (event.id) this.begin();
    }

    #wake() {
        const wake = this.waiting;
        this.waiting = null;
        wake?.();
    }

    // The next event; null: there are no more.
    async next() {
        const late = AbortSignal.timeout(EVENT_MS);
        while (this.events.length === 0 && !this.ended)
            await new Promise((resolve, reject) => {
                this.waiting = resolve;
                late.onabort = () => reject(new Error(`no event in ${EVENT_MS} ms`));
            });
        late.onabort = null;
        return this.events.shift() ?? null;
    }

    // The runs that come, until one is as asked for; all of them.
    async runsUntil(is) {
        const runs = [];
        for (;;) {
            const event = await this.next();
            assert.equal(event?.type, 'run', JSON.stringify(event));
            runs.push(event.data);
            if (is(event.data)) return runs;
        }
    }

    async end() {
        while (await this.next());
    }

    close() {
        this.request.destroy();
    }
}
