// What a trace came to, and what can be done with it.
import { Copy } from '../components/Copy.tsx';
import { Status } from '../components/Status.tsx';
import { Type } from '../components/Type.tsx';
import { absolute, cost, count, duration, short, utc } from '../format.ts';
import { href } from '../router.ts';
import { curlOf } from '../run/info.ts';
import { DeleteTrace } from './DeleteTrace.tsx';
import { statusWord } from './kinds.ts';
import { ERROR, endOf } from './skeleton.ts';
import type { Tree } from './tree.ts';
import { used } from './used.ts';

export function TraceHeader({ tree, now }: { tree: Tree; now: number }) {
    const s = tree.skeleton;
    const root = tree.order[0];
    const failed = s.status.reduce((n, status) => n + (status === ERROR ? 1 : 0), 0);
    const sum = used(tree, 0, tree.order.length);
    const began = s.startUs / 1000;
    return (
        <header class="trace-head">
            <div class="row">
                <Type type={s.types[s.type[root]]} />
                <h1 class="cut">{s.names[s.name[root]] || '(no name)'}</h1>
                <Status status={statusWord(s.status[root])} named />
                <span class="gap" />
                <Copy text={s.traceId} label="Copy id" what="Id of the trace copied" />
                <Copy text={() => location.href} label="Copy link" what="Link copied" />
                <Copy text={() => curlOf(`/traces/${s.traceId}/skeleton`)} label="Copy as curl" what="curl copied" class="quiet as-curl" />
                <DeleteTrace s={s} />
            </div>
            <p class="row soft facts">
                {s.project.name && <a href={href('/ui/runs', { project: s.project.name })}>{s.project.name}</a>}
                <span title={utc(began)}>{absolute(began)}</span>
                <span>{duration(Math.round(endOf(s, root, now) - s.start[root]))}</span>
                <span>{count(s.count)} {s.count === 1 ? 'run' : 'runs'}</span>
                {failed > 0 && <span class="bad">✕ {count(failed)} failed</span>}
                {tree.running > 0 && <span class="busy" role="status">◌ {count(tree.running)} running</span>}
                {sum.tokens > 0 && <span title={count(sum.tokens)}>{short(sum.tokens)} tokens</span>}
                {sum.cost > 0 && <span>{cost(sum.cost)}</span>}
            </p>
        </header>
    );
}
