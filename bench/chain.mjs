// chain.mjs - a chain of runs that comes from below, one run a request, without its trace.
//
//   node bench/chain.mjs [RUNS]      RUNDLET, RUNDLET_MODE as for the tests (test/e2e/lib/server.mjs)
//
// Each run's parent is not there yet, so its trace is guessed (src/index/guess.h).  Prints the
// time of each quarter: a chain costs what it is long if those are equal.
import { randomUUID } from 'node:crypto';
import { Server } from '../test/e2e/lib/server.mjs';

const count = Number(process.argv[2] ?? 2000);
const ids = Array.from({ length: count }, () => randomUUID());
const server = await Server.start();
const begin = performance.now();
let last = begin;
for (let i = count - 1; i >= 0; i--) {
    const run = { id: ids[i], name: 'link', run_type: 'chain', start_time: 1767225600000 + i };
    if (i > 0) run.parent_run_id = ids[i - 1];
    const answer = await server.post('/runs', JSON.stringify(run));
    if (answer.status !== 202) throw new Error(`${answer.status} ${answer.text}`);
    if (i % Math.ceil(count / 4) === 0) {
        const now = performance.now();
        console.log(`${count - i} runs: ${((now - last) / 1000).toFixed(2)} s`);
        last = now;
    }
}
const body = JSON.stringify({ trace: ids[0], select: ['id'] });
const found = (await server.post('/runs/query', body)).json.runs.length;
console.log(`in all: ${((last - begin) / 1000).toFixed(2)} s; in the trace of the top: ${found}`);
await server.close();
