// langchain.cjs - a LangChain program and a LangGraph one, with models that are none.
//
// Prints what came out, and the id of the run of each.
const { ChatPromptTemplate } = require('@langchain/core/prompts');
const { FakeStreamingChatModel, FakeListChatModel } = require('@langchain/core/utils/testing');
const { StringOutputParser } = require('@langchain/core/output_parsers');
const { AIMessage, AIMessageChunk, HumanMessage } = require('@langchain/core/messages');
const { awaitAllCallbacks } = require('@langchain/core/callbacks/promises');
const { tool } = require('@langchain/core/tools');
const { Annotation, END, START, StateGraph } = require('@langchain/langgraph');
const { uuid7 } = require('langsmith');
const { z } = require('zod');

const ids = { chain: uuid7(), stream: uuid7(), graph: uuid7(), failed: uuid7() };
const config = (name) => ({
    runId: ids[name],
    runName: `the ${name}`,
    tags: ['lc', name],
    metadata: { session_id: 's-1', kind: name },
});

const prompt = ChatPromptTemplate.fromMessages([
    ['system', 'Answer in {language}.'],
    ['human', '{question}'],
]);
const chain = prompt
    .pipe(new FakeListChatModel({ responses: ['Paris', 'Rom'] }))
    .pipe(new StringOutputParser());
const streaming = prompt.pipe(
    new FakeStreamingChatModel({
        chunks: ['Be', 'r', 'lin'].map((content) => new AIMessageChunk({ content })),
    }),
);
const failing = prompt.pipe(() => {
    throw new RangeError('no answer today');
});

const weather = tool(async ({ city }) => `sunny in ${city}`, {
    name: 'weather',
    schema: z.object({ city: z.string() }),
});
const State = Annotation.Root({
    messages: Annotation({ reducer: (a, b) => a.concat(b), default: () => [] }),
});
const graph = new StateGraph(State)
    .addNode('ask', async () => ({ messages: [new AIMessage('I look it up')] }))
    .addNode('look', async () => ({
        messages: [new AIMessage(await weather.invoke({ city: 'Ulm' }))],
    }))
    .addEdge(START, 'ask')
    .addConditionalEdges('ask', ({ messages }) => (messages.length > 1 ? 'look' : END))
    .addEdge('look', END)
    .compile();

async function main() {
    const question = { language: 'German', question: 'capital of Italy?' };
    const said = {};
    said.chain = await chain.invoke(question, config('chain'));
    said.stream = '';
    for await (const chunk of await streaming.stream(question, config('stream')))
        said.stream += chunk.content;
    said.failed = await failing.invoke(question, config('failed')).catch(String);
    const state = await graph.invoke(
        { messages: [new HumanMessage('the weather?')] },
        config('graph'),
    );
    said.graph = state.messages.at(-1).content;
    await awaitAllCallbacks();
    console.log(JSON.stringify({ ids, said }));
}
main();
