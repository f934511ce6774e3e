// many.cjs - many runs at once.
//
// usage: many.cjs LANGSMITH RUNS BYTES     RUNS of them, at once, BYTES of inputs each
// Prints the ids, in the order of their numbers, and a hash of each text.
const [sdk, runs, bytes] = process.argv.slice(2);
const { Client } = require(sdk);
const { traceable, getCurrentRunTree } = require(`${sdk}/traceable`);
const { createHash } = require('node:crypto');

const client = new Client();

// About as dense as what people write: a hundred megabytes of one letter are no text.
function words(n, size) {
    const pieces = [];
    for (let length = 0, i = n + 1; length < size;) {
        i = (Math.imul(i, 1664525) + 1013904223) >>> 0;
        const word = `${(i % 4000).toString(36)}é `;
        pieces.push(word);
        length += word.length;
    }
    return pieces.join('').slice(0, size);
}
const one = traceable(
    async ({ n }) => {
        const { id } = getCurrentRunTree();
        await null;
        return { id, n: n + 1 };
    },
    { name: 'one', run_type: 'chain', client },
);

async function main() {
    // The SDK serialises large runs on a thread that does not keep a program alive.
    const alive = setInterval(() => {}, 1000);
    const texts = Array.from({ length: Number(runs) }, (_, n) => words(n, Number(bytes)));
    const all = await Promise.all(texts.map((text, n) => one({ n, text })));
    if (client.flush) await client.flush();
    await client.awaitPendingTraceBatches();
    clearInterval(alive);
    const hash = (text) => createHash('sha256').update(text).digest('hex');
    console.log(JSON.stringify(all.map(({ id }, n) => ({ id, hash: hash(texts[n]) }))));
}
main();
