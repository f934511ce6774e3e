// What is known of a run: tags, metadata and where it belongs.  A click on a value looks for
// other runs with it.
import { useMemo } from 'preact/hooks';
import { Copy } from '../components/Copy.tsx';
import { JsonView } from './JsonView.tsx';
import { write } from './jsonModel.ts';
import { metadataOf, searchHref, tagsOf, type RunInfo } from './info.ts';
import { isObject, type Json } from './message.ts';
import { localSource } from './source.ts';

const MOST = 200; // pairs as rows; all of them are in the value below

function Pair({ name, value, href }: { name: string; value: unknown; href?: string }) {
    const text = typeof value === 'string' ? value : write(value, 0);
    return (
        <tr>
            <th scope="row">{name.slice(0, 200)}</th>
            <td>
                {href ? <a href={href} title="Find runs with this value">{text.slice(0, 500)}</a> : text.slice(0, 500)}
                {text.length > 500 && <span class="soft"> … {text.length} characters</span>}
            </td>
        </tr>
    );
}

function Pairs({ title, of, hrefOf }: { title: string; of: Json; hrefOf?: (name: string, value: unknown) => string | undefined }) {
    const list = Object.entries(of);
    if (!list.length) return null;
    return (
        <section>
            <h3>{title} <span class="soft">{list.length}</span></h3>
            <div class="table-place" tabIndex={0} role="group" aria-label={title}>
                <table class="pairs">
                    <tbody>
                        {list.slice(0, MOST).map(([name, value]) => (
                            <Pair key={name} name={name} value={value} href={hrefOf?.(name, value)} />
                        ))}
                    </tbody>
                </table>
            </div>
            {list.length > MOST && <p class="soft">{list.length - MOST} more are below.</p>}
        </section>
    );
}

const isPlain = (value: unknown): value is string | number | boolean => /^(string|number|boolean)$/.test(typeof value);

export function Metadata({ run }: { run: RunInfo }) {
    const extra = isObject(run.extra) ? run.extra : {};
    const rest = useMemo(() => localSource(extra), [run.extra]);
    const places: [string, string | null][] = [
        ['run', run.id],
        ['trace', run.trace_id],
        ['parent', run.parent_run_id],
        ['project', run.session_name],
        ['thread', run.thread_id],
        ['example', run.reference_example_id],
        ['dotted order', run.dotted_order],
    ];
    const tags = tagsOf(run);
    return (
        <>
            {tags.length > 0 && (
                <section>
                    <h3>Tags</h3>
                    <p class="row">{tags.map((tag) => <a key={tag} class="chip" href={searchHref(run, ['tag', tag])}>{tag}</a>)}</p>
                </section>
            )}
            <Pairs
                title="Metadata"
                of={metadataOf(run)}
                hrefOf={(name, value) => (isPlain(value) && /^[\w.-]+$/.test(name) ? searchHref(run, [`metadata.${name}`, String(value)]) : undefined)}
            />
            <Pairs title="Runtime" of={isObject(extra.runtime) ? extra.runtime : {}} />
            <section>
                <h3>Where it belongs</h3>
                <div class="table-place" tabIndex={0} role="group" aria-label="Where it belongs">
                    <table class="pairs">
                        <tbody>
                            {places.map(([name, id]) => id && (
                                <tr key={name}>
                                    <th scope="row">{name}</th>
                                    <td class="mono">{id} <Copy text={id} /></td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            </section>
            <section>
                <h3>All of extra</h3>
                <JsonView source={rest} label="extra" />
            </section>
        </>
    );
}
