// A text of which the beginning is there: the rest comes piece by piece, on request.
import { useState } from 'preact/hooks';
import { count } from '../format.ts';
import type { Text } from './cut.ts';
import { Markdown } from './Markdown.tsx';
import type { Later } from './source.ts';

const PIECE = 100_000;
const MOST_SHOWN = 2_000_000;
const MOST_MARKDOWN = 100_000;

export function LongText({ said, more, markdown = false }: {
    said: Text;
    more: (ref: number, from: number, to: number) => Later<string>;
    markdown?: boolean;
}) {
    const [text, setText] = useState(said.text);
    const rest = said.length - text.length;
    const next = async (): Promise<void> => setText(text + (await more(said.ref, text.length, text.length + PIECE)));
    return (
        <>
            {markdown && text.length <= MOST_MARKDOWN ? <Markdown text={text} /> : <div class="plain">{text}</div>}
            {rest > 0 && text.length < MOST_SHOWN && (
                <button type="button" class="more" onClick={() => void next()}>
                    Show {count(Math.min(PIECE, rest))} more of {count(rest)} characters
                </button>
            )}
            {rest > 0 && text.length >= MOST_SHOWN && (
                <p class="soft">{count(rest)} more characters are in Raw.</p>
            )}
        </>
    );
}
