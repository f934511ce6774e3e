// many.cjs - many runs at once.
//
// usage: many.cjs LANGSMITH RUNS BYTES     RUNS of them, at once, BYTES of inputs each
// Prints the ids, in the order of their numbers.
const [sdk, runs, bytes] = process.argv.slice(2);
const { Client } = require(sdk);
const { traceable, getCurrentRunTree } = require(`${sdk}/traceable`);

const client = new Client();
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
    const all = await Promise.all(
        Array.from({ length: Number(runs) }, (_, n) =>
            one({ n, text: String.fromCharCode(97 + (n % 26)).repeat(Number(bytes)) }),
        ),
    );
    if (client.flush) await client.flush();
    await client.awaitPendingTraceBatches();
    clearInterval(alive);
    console.log(JSON.stringify(all.map(({ id }) => id)));
}
main();
