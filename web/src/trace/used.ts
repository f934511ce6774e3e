// What runs of a trace used, together.
import type { Tree } from './tree.ts';

// Those at the positions from `from` to `end`.  Models say what they used; a chain that hands that
// on would count it again.
export function used({ skeleton: s, order }: Tree, from: number, end: number): { tokens: number; cost: number } {
    const models = s.types.map((type) => type === 'llm' || type === 'embedding');
    let [tokens, cost] = [0, 0];
    for (let at = from; at < end; at++) {
        const run = order[at];
        if (!models[s.type[run]]) continue;
        if (s.tokens[run] > 0) tokens += s.tokens[run];
        if (s.cost[run] > 0) cost += s.cost[run];
    }
    return { tokens, cost };
}
