// Markdown of strangers, as elements of an allow-list: see markdown.ts.  Nothing becomes HTML.
import { useMemo } from 'preact/hooks';
import type { ComponentChildren, JSX } from 'preact';
import { readMarkdown, type Block, type Inline } from './markdown.ts';

function inline(items: Inline[]): ComponentChildren {
    return items.map((item, i) => {
        switch (item.is) {
            case 'text':
                return item.text;
            case 'code':
                return <code key={i}>{item.text}</code>;
            case 'strong':
                return <strong key={i}>{inline(item.inside)}</strong>;
            case 'em':
                return <em key={i}>{inline(item.inside)}</em>;
            case 'del':
                return <del key={i}>{inline(item.inside)}</del>;
            case 'break':
                return <br key={i} />;
            case 'link':
                return <Away key={i} url={item.url}>{inline(item.inside)}</Away>;
        }
    });
}

// A link out of the page: it says where it leads, and tells nobody where one came from.
export function Away({ url, children }: { url: string; children: ComponentChildren }) {
    return (
        <a href={url} title={url} target="_blank" rel="noopener noreferrer nofollow">
            {children}
        </a>
    );
}

const HEADINGS = ['h3', 'h4', 'h5', 'h6', 'h6', 'h6'] as const;

function block(one: Block, i: number): JSX.Element {
    switch (one.is) {
        case 'heading': {
            const Heading = HEADINGS[one.level - 1];
            return <Heading key={i}>{inline(one.inside)}</Heading>;
        }
        case 'paragraph':
            return <p key={i}>{inline(one.inside)}</p>;
        case 'code':
            return (
                <pre key={i} tabIndex={0} aria-label={one.language ? `Code, ${one.language}` : 'Code'}>
                    <code>{one.text}</code>
                </pre>
            );
        case 'list': {
            const items = one.items.map((blocks, k) => <li key={k}>{tight(blocks)}</li>);
            return one.ordered ? <ol key={i} start={one.start}>{items}</ol> : <ul key={i}>{items}</ul>;
        }
        case 'quote':
            return <blockquote key={i}>{one.blocks.map(block)}</blockquote>;
        case 'rule':
            return <hr key={i} />;
        case 'table':
            return (
                <div key={i} class="table-place" tabIndex={0} role="group" aria-label="Table">
                    <table>
                        <thead>
                            <tr>{one.head.map((cell, k) => <th key={k}>{inline(cell)}</th>)}</tr>
                        </thead>
                        <tbody>
                            {one.rows.map((row, r) => (
                                <tr key={r}>{row.map((cell, k) => <td key={k}>{inline(cell)}</td>)}</tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            );
    }
}

// What begins with a line of text begins on the line of its mark.
function tight(blocks: Block[]): ComponentChildren {
    const [first, ...rest] = blocks;
    if (first?.is !== 'paragraph') return blocks.map(block);
    return [<span key="first">{inline(first.inside)}</span>, ...rest.map((one, i) => block(one, i + 1))];
}

export function Markdown({ text }: { text: string }) {
    const blocks = useMemo(() => readMarkdown(text), [text]);
    return <div class="markdown">{blocks.map(block)}</div>;
}
