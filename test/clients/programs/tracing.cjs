// tracing.cjs - every kind of thing that a traced program does, once.
//
// usage: tracing.cjs [LANGSMITH [single]]    LANGSMITH: name of the package; single: no batches
// Prints what it did, run by run: { name: { id, parent, run_type, inputs, outputs, ... } }
const [sdk = 'langsmith', way] = process.argv.slice(2);
const { Client } = require(sdk);
const { traceable, getCurrentRunTree } = require(`${sdk}/traceable`);

const client = way === 'single' ? new Client({ autoBatchTracing: false }) : new Client();
const done = {};

// A traced function, and what is expected to be read of it.
function traced(name, run_type, body, { tags, metadata, see = (x) => x, ...more } = {}) {
    const note = (...args) => {
        const run = getCurrentRunTree();
        done[name] = {
            id: run.id,
            trace: run.trace_id,
            parent: run.parent_run?.id ?? null,
            run_type,
            tags: tags ?? [],
            metadata: metadata ?? {},
            inputs: args.length === 1 && typeof args[0] === 'object' ? args[0] : { input: args[0] },
        };
        return done[name];
    };
    const wrapped =
        body.constructor.name === 'AsyncGeneratorFunction'
            ? async function* (...args) {
                  note(...args);
                  yield* body(...args);
              }
            : async (...args) => {
                  const mine = note(...args);
                  try {
                      const outputs = await body(...args);
                      mine.outputs = see(outputs);
                      return outputs;
                  } catch (error) {
                      mine.error = String(error);
                      throw error;
                  }
              };
    return traceable(wrapped, { name, run_type, tags, metadata, client, ...more });
}

const retrieve = traced('retrieve', 'retriever', async ({ query }) => ({
    documents: [
        { page_content: `about ${query}`, metadata: { source: 'a.md', page: 1 } },
        { page_content: 'Äpfel, 梨, 🍎 and "quotes" \\ \u0007', metadata: {} },
    ],
}));
const calculate = traced('calculate', 'tool', async ({ expression }) => {
    throw new TypeError(`cannot calculate ${expression}`);
});
const answer = traced(
    'answer',
    'llm',
    async function* ({ messages }) {
        for (const word of ['It ', 'is ', `${messages.length}.`]) yield { content: word };
    },
    {
        aggregator: (chunks) => ({
            role: 'assistant',
            content: chunks.map((chunk) => chunk.content).join(''),
            usage_metadata: {
                input_tokens: 11,
                output_tokens: 4,
                total_tokens: 15,
                input_token_details: { cache_read: 3 },
            },
        }),
        metadata: { ls_provider: 'none', ls_model_name: 'fake-1', ls_temperature: 0.5 },
    },
);
const scalar = traced('scalar', 'parser', async (text) => text.length, {
    see: (length) => ({ outputs: length }),
});
const agent = traced(
    'agent',
    'chain',
    async ({ question, nested }) => {
        const { documents } = await retrieve({ query: question });
        await calculate({ expression: '1/0' }).catch(() => {});
        let text = '';
        for await (const chunk of answer({ messages: [{ role: 'user', content: question }] }))
            text += chunk.content;
        done.answer.outputs = {
            role: 'assistant',
            content: text,
            usage_metadata: {
                input_tokens: 11,
                output_tokens: 4,
                total_tokens: 15,
                input_token_details: { cache_read: 3 },
            },
        };
        return { text, length: await scalar(text), seen: documents.length, deep: nested };
    },
    { tags: ['nightly', 'übung'], metadata: { user_id: 'u-7', thread_id: 't-1', n: 3, ok: true } },
);

const picture = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 31) % 256);
const look = traced('look', 'tool', async ({ what }) => ({ saw: what }), {
    extractAttachments: ({ picture: bytes, ...rest }) => [
        { picture: { mimeType: 'image/png', data: bytes }, 'a note': ['text/plain', noteBytes] },
        rest,
    ],
});
const noteBytes = new TextEncoder().encode('------LangSmithFormBoundary\r\n\r\n');
const boom = traced('boom', 'chain', async () => {
    throw new Error('the whole of it failed');
});

async function main() {
    await agent({ question: 'how much is é?', nested: [[[{ a: [null, 1.5, -0.1, ''] }]]] });
    await look({ what: 'a picture', picture });
    done.look.inputs = { what: 'a picture' };
    done.look.files = {
        picture: { type: 'image/png', base64: Buffer.from(picture).toString('base64') },
        'a note': { type: 'text/plain', base64: Buffer.from(noteBytes).toString('base64') },
    };
    await boom({}).catch(() => {});
    if (client.flush) await client.flush();
    await client.awaitPendingTraceBatches();
    console.log(JSON.stringify(done));
}
main();
