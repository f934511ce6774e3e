// SearchBar.tsx - one line in which runs are asked for: what cannot be read is underlined and
// said, keys and values are offered.  It asks when the writing rests, or at Enter.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { complete } from './complete.ts';
import type { Observed, Option } from './complete.ts';
import { parse } from './parse.ts';
import type { Problem } from './parse.ts';

const RESTS_MS = 350;

// The text with its faults marked, lying under that of the input.
function Underlined({ text, problems }: { text: string; problems: readonly Problem[] }) {
    const parts = [];
    let at = 0;
    for (const { from, to } of [...problems].sort((a, b) => a.from - b.from)) {
        if (from < at) continue;
        parts.push(<span key={at}>{text.slice(at, from)}</span>);
        parts.push(<u key={`u${from}`}>{text.slice(from, to)}</u>);
        at = to;
    }
    return <>{parts}</>;
}

export function SearchBar({ value, observed, onSearch, onId }: {
    value: string;
    observed: () => Observed;
    onSearch: (text: string) => void;
    onId: (id: string) => void;
}) {
    const [text, setText] = useState(value);
    const [options, setOptions] = useState<{ from: number; to: number; list: Option[] } | null>(null);
    const [at, setAt] = useState(-1);
    const input = useRef<HTMLInputElement>(null);
    const under = useRef<HTMLDivElement>(null);
    const timer = useRef(0);
    const sent = useRef(value);
    const list = useId();
    const { problems } = parse(text);

    // The address changed otherwise: by Back, or by a click on a value.  What was asked from here
    // comes back too, trimmed, and more may be written by then.
    useEffect(() => {
        if (value === sent.current) return;
        clearTimeout(timer.current); // what was begun here is gone
        sent.current = value;
        setText(value);
    }, [value]);
    useEffect(() => () => clearTimeout(timer.current), []);

    const search = (now: string) => {
        clearTimeout(timer.current);
        if (parse(now).problems.length > 0) return;
        sent.current = now.trim();
        onSearch(sent.current);
    };
    const offer = () => {
        const field = input.current!;
        const found = complete(field.value, field.selectionStart ?? field.value.length, observed());
        setOptions(found.options.length ? { from: found.from, to: found.to, list: found.options } : null);
        setAt(-1);
    };
    const written = () => {
        const now = input.current!.value;
        setText(now);
        offer();
        clearTimeout(timer.current);
        if (!parse(now).id) timer.current = setTimeout(() => search(now), RESTS_MS) as unknown as number;
    };
    const take = (option: Option) => {
        const { from, to } = options!;
        const now = text.slice(0, from) + option.insert + text.slice(to).trimStart();
        const caret = from + option.insert.length;
        setText(now);
        const field = input.current!;
        field.value = now;
        field.focus();
        field.setSelectionRange(caret, caret);
        if (option.insert.endsWith(':')) offer();
        else {
            setOptions(null);
            search(now);
        }
    };
    const pressed = (event: KeyboardEvent) => {
        const offered = options?.list ?? [];
        if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
            event.preventDefault();
            if (!offered.length) offer();
            else {
                const next = at + (event.key === 'ArrowDown' ? 1 : -1);
                setAt(next < -1 ? offered.length - 1 : next >= offered.length ? -1 : next);
            }
        } else if (event.key === 'Enter' || (event.key === 'Tab' && at >= 0)) {
            event.preventDefault();
            const id = parse(text).id;
            if (at >= 0 && offered[at]) take(offered[at]!);
            else if (id) onId(id);
            else {
                setOptions(null);
                search(text);
            }
        } else if (event.key === 'Escape') {
            event.preventDefault();
            event.stopPropagation();
            if (options) setOptions(null);
            else input.current!.blur();
        }
    };
    const open = options !== null;
    return (
        <div class="search" role="search">
            <div class="field">
                <div class="under" ref={under} aria-hidden="true">
                    <Underlined text={text} problems={problems} />
                </div>
                <input
                    ref={input}
                    type="text"
                    role="combobox"
                    aria-label="Search runs"
                    aria-expanded={open}
                    aria-controls={list}
                    aria-autocomplete="list"
                    aria-activedescendant={open && at >= 0 ? `${list}-${at}` : undefined}
                    aria-invalid={problems.length > 0}
                    aria-describedby={problems.length ? `${list}-why` : undefined}
                    placeholder="status:error latency:>2s name:~agent &quot;exact text&quot;"
                    spellcheck={false}
                    autocomplete="off"
                    autocapitalize="off"
                    maxLength={4000}
                    value={text}
                    onInput={written}
                    onFocus={offer}
                    onClick={offer}
                    onBlur={() => setOptions(null)}
                    onKeyDown={pressed}
                    onScroll={(event) => (under.current!.scrollLeft = event.currentTarget.scrollLeft)}
                />
                {text && (
                    <button
                        type="button"
                        class="quiet"
                        aria-label="Clear the search"
                        onClick={() => {
                            setText('');
                            search('');
                            input.current!.focus();
                        }}
                    >
                        ×
                    </button>
                )}
            </div>
            <ul id={list} role="listbox" aria-label="What may come here" hidden={!open}>
                {options?.list.map((option, i) => (
                    <li
                        key={option.label}
                        id={`${list}-${i}`}
                        role="option"
                        aria-selected={i === at}
                        onPointerDown={(event) => {
                            event.preventDefault();
                            take(option);
                        }}
                    >
                        <span class="mono">{option.label}</span> <span class="soft">{option.does}</span>
                    </li>
                ))}
            </ul>
            {problems.length > 0 && (
                <p id={`${list}-why`} class="why bad" role="status">
                    {problems[0]!.text}
                </p>
            )}
        </div>
    );
}

// Instead of an answer, to a line that is in the address and cannot be read.
export const Unread = () => (
    <section class="empty">
        <h2>The search cannot be read</h2>
        <p>Nothing was asked: mend what is underlined.</p>
    </section>
);
