// A run as a conversation: who said what, which tools were called and what they answered.
import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { bytes, count, short } from '../format.ts';
import type { Shown, ShownMessage, ShownPart, Text } from './cut.ts';
import type { Attachment } from './info.ts';
import { LongText } from './LongText.tsx';
import { Away } from './Markdown.tsx';
import { safeUrl } from './markdown.ts';
import type { Later } from './source.ts';

type More = (ref: number, from: number, to: number) => Later<string>;

const MANY = 100; // messages that are shown at once

const IMAGES = /^image\/(png|jpe?g|gif|webp|avif|bmp)$/i;
const AUDIO = /^audio\/[\w.+-]+$/i;
const VIDEO = /^video\/[\w.+-]+$/i;

// The bytes of base64 as an address inside the page, as long as it is shown.
function useBlob(data: string, mime: string): string {
    const [url, setUrl] = useState('');
    useEffect(() => {
        let made = '';
        try {
            const text = atob(data.replace(/\s/g, '').replace(/-/g, '+').replace(/_/g, '/'));
            const raw = Uint8Array.from(text, (c) => c.charCodeAt(0));
            made = URL.createObjectURL(new Blob([raw], { type: mime }));
        } catch {
            /* It is no base64. */
        }
        setUrl(made);
        return () => URL.revokeObjectURL(made);
    }, [data, mime]);
    return url;
}

// A picture or a sound where the type is one of the allow-list; else only a name to save it by.
function Medium({ url, mime, name, size }: { url: string; mime: string; name: string; size: string }) {
    const shown = IMAGES.test(mime) ? (
        <img src={url} alt={name || 'Picture'} loading="lazy" />
    ) : AUDIO.test(mime) ? (
        <audio src={url} controls />
    ) : VIDEO.test(mime) ? (
        <video src={url} controls />
    ) : null;
    return (
        <figure class="medium">
            {shown}
            <figcaption class="soft">
                {name || 'unnamed'} · {mime || 'unknown type'}{size && ` · ${size}`} ·{' '}
                <a href={url} download={name || 'attachment'}>Save</a>
            </figcaption>
        </figure>
    );
}

function Inline({ part }: { part: ShownPart & { kind: 'media' } }) {
    // A type that a page could run is none that is opened.
    const mime = part.mime || (part.media === 'image' ? 'image/png' : 'application/octet-stream');
    const safe = IMAGES.test(mime) || AUDIO.test(mime) || VIDEO.test(mime) ? mime : 'application/octet-stream';
    const url = useBlob(part.data, safe);
    const size = bytes(Math.round((part.size * 3) / 4));
    if (!part.data || !url)
        return <p class="soft">{part.media} {part.name} {mime} · {size} · see Raw</p>;
    return <Medium url={url} mime={safe} name={part.name} size={size} />;
}

function Code({ said, more }: { said: Text; more: More }) {
    return <div class="code"><LongText said={said} more={more} /></div>;
}

function Part({ part, more, markdown }: { part: ShownPart; more: More; markdown: boolean }) {
    switch (part.kind) {
        case 'text':
            return <LongText said={part.said} more={more} markdown={markdown} />;
        case 'refusal':
            return <div class="refusal"><strong>Refused: </strong><LongText said={part.said} more={more} /></div>;
        case 'reasoning':
            return (
                <details class="reasoning">
                    <summary>Reasoning · {count(part.said.length)} characters</summary>
                    <LongText said={part.said} more={more} markdown={markdown} />
                </details>
            );
        case 'json':
            return <Code said={part.said} more={more} />;
        case 'media':
            return <Inline part={part} />;
        case 'link': {
            const url = safeUrl(part.url);
            return (
                <p class="soft">
                    {part.media}, elsewhere: {url ? <Away url={url}>{url}</Away> : <code>{part.url.slice(0, 300)}</code>}
                </p>
            );
        }
        case 'call':
            return <Call part={part} more={more} />;
    }
}

function Call({ part, more }: { part: ShownPart & { kind: 'call' }; more: More }) {
    return (
        <div class={`call${part.failed ? ' failed' : ''}`} >
            <header>
                <span aria-hidden="true">→</span> <strong>{part.name}</strong>
                {part.id && <code class="soft cut">{part.id}</code>}
            </header>
            <Code said={part.args} more={more} />
            {part.result ? (
                <div class="result">
                    <span class={part.failed ? 'bad' : 'soft'}>{part.failed ? '✕ failed with' : '← came to'}</span>
                    {part.result.map((one, i) => <Part key={i} part={one} more={more} markdown={false} />)}
                </div>
            ) : null}
        </div>
    );
}

function Usage({ one }: { one: ShownMessage }) {
    if (!one.usage) return null;
    const { input, output, cached, reasoning } = one.usage;
    return (
        <span class="soft figures">
            {short(input)} in{cached > 0 && ` (${short(cached)} cached)`} · {short(output)} out
            {reasoning > 0 && ` (${short(reasoning)} reasoning)`}
        </span>
    );
}

function MessageBox({ one, more, markdown }: { one: ShownMessage; more: More; markdown: boolean }) {
    const known = ['system', 'developer', 'user', 'assistant', 'tool'].includes(one.role);
    return (
        <article class={`message ${known ? one.role : 'other'}${one.failed ? ' failed' : ''}`}>
            <header>
                <span class="role">{one.role.slice(0, 60)}</span>
                {one.name && <span class="cut">{one.name}</span>}
                {one.callId && <code class="soft cut">{one.callId}</code>}
                {one.failed && <span class="bad">✕ failed</span>}
                <Usage one={one} />
            </header>
            {one.parts.length ? (
                one.parts.map((part, i) => <Part key={i} part={part} more={more} markdown={markdown && one.role !== 'tool'} />)
            ) : (
                <p class="soft">(nothing)</p>
            )}
        </article>
    );
}

// The last ones first where there are many: they are what the run is about.
function List({ title, list, ...rest }: { title: string; list: ShownMessage[]; more: More; markdown: boolean }) {
    const [shown, setShown] = useState(MANY);
    const hidden = Math.max(0, list.length - shown);
    if (!list.length) return null;
    return (
        <section class="messages" aria-label={title}>
            <h3>{title} <span class="soft">{count(list.length)}</span></h3>
            {hidden > 0 && (
                <button type="button" class="more" onClick={() => setShown(shown + MANY)}>
                    Show {count(Math.min(MANY, hidden))} earlier of {count(hidden)}
                </button>
            )}
            {list.slice(hidden).map((one, i) => <MessageBox key={hidden + i} one={one} {...rest} />)}
        </section>
    );
}

export function Attachments({ list }: { list: Attachment[] }) {
    if (!list.length) return null;
    return (
        <section class="attachments" aria-label="Attachments">
            <h3>Attachments <span class="soft">{count(list.length)}</span></h3>
            {list.map((one) => <Medium key={one.name} url={one.url} mime={one.mime} name={one.name} size="" />)}
        </section>
    );
}

export function Messages({ shown, more, attachments, markdown, children }: {
    shown: Shown;
    more: More;
    attachments: Attachment[];
    markdown: boolean;
    children?: ComponentChildren;
}) {
    const none = !shown.input.length && !shown.output.length;
    return (
        <>
            {children}
            {none && <p class="soft">There are no messages in this run: see Input and Output.</p>}
            <List title="In" list={shown.input} more={more} markdown={markdown} />
            <List title="Out" list={shown.output} more={more} markdown={markdown} />
            <Attachments list={attachments} />
        </>
    );
}
