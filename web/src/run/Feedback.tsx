// What was said of a run, and a place to say something.
import { useEffect, useState } from 'preact/hooks';
import { toast } from '../components/Toast.tsx';
import { absolute, time, utc } from '../format.ts';
import { giveFeedback, readFeedback, takeBack, type Feedback as One, type RunInfo } from './info.ts';
import { write } from './jsonModel.ts';
import { isObject } from './message.ts';

export function Thumb({ up }: { up: boolean }) {
    return (
        <svg class="thumb" viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">
            <path
                d="M2.5 7.5h2v6h-2Zm2 0L7.8 2c1.2 0 1.7.8 1.5 1.9L8.8 6.5h3.6c.9 0 1.4.7 1.2 1.5l-1.2 4.4c-.2.7-.7 1.1-1.4 1.1H4.5"
                transform={up ? undefined : 'rotate(180 8 8)'}
                fill="none"
                stroke="currentColor"
                stroke-width="1.3"
                stroke-linejoin="round"
            />
        </svg>
    );
}

const told = (one: One): string => {
    if (typeof one.score === 'number' || typeof one.score === 'boolean') return String(Number(one.score));
    return one.value === null || one.value === undefined ? '' : typeof one.value === 'string' ? one.value : write(one.value);
};

const sourceOf = (one: One): string => (isObject(one.feedback_source) ? String(one.feedback_source.type ?? '') : '');

function Given({ one, onGone }: { one: One; onGone: () => void }) {
    const at = time(one.created_at);
    return (
        <tr>
            <td>{one.key}</td>
            <td>{one.key === 'user_score' && one.score !== null && <Thumb up={Number(one.score) > 0} />} {told(one)}</td>
            <td class="comment">{one.comment}</td>
            <td class="soft">{sourceOf(one)}</td>
            <td class="soft" title={utc(at)}>{absolute(at)}</td>
            <td>
                <button
                    type="button"
                    class="quiet"
                    onClick={() => takeBack(one.id).then(onGone, (error: Error) => toast(error.message, { bad: true }))}
                >
                    Take back
                </button>
            </td>
        </tr>
    );
}

export function Feedback({ run }: { run: RunInfo }) {
    const [list, setList] = useState<One[] | null>(null);
    const [failed, setFailed] = useState('');
    const [key, setKey] = useState('user_score');
    const [comment, setComment] = useState('');
    const read = (signal?: AbortSignal): Promise<void> =>
        readFeedback(run.id, signal).then(
            (all) => {
                setList(all);
                setFailed('');
            },
            (error: Error) => signal?.aborted || setFailed(error.message),
        ) as Promise<void>;
    useEffect(() => {
        const stop = new AbortController();
        void read(stop.signal);
        return () => stop.abort();
    }, [run.id]);
    const give = (score: number | null): void => {
        giveFeedback(run, { key: key.trim() || 'user_score', score, comment: comment.trim() }).then(
            () => {
                setComment('');
                toast('Feedback is stored');
                void read();
            },
            (error: Error) => toast(error.message, { bad: true }),
        );
    };
    return (
        <>
            <form
                class="feedback-form"
                onSubmit={(event) => {
                    event.preventDefault();
                    if (comment.trim()) give(null);
                }}
            >
                <div class="row">
                    <button type="button" id="thumb-up" aria-label="Good" onClick={() => give(1)}><Thumb up /> Good</button>
                    <button type="button" aria-label="Bad" onClick={() => give(0)}><Thumb up={false} /> Bad</button>
                    <label>
                        under the key <input value={key} size={14} onInput={(event) => setKey(event.currentTarget.value)} />
                    </label>
                </div>
                <label>
                    <span class="soft">Comment, sent along with the thumb</span>
                    <textarea rows={2} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
                </label>
                <button type="submit" disabled={!comment.trim()}>Only the comment</button>
            </form>
            {failed && <p class="bad" role="alert">{failed}</p>}
            {list && !list.length && <p class="soft">Nobody has said anything about this run yet.</p>}
            {list && list.length > 0 && (
                <div class="table-place" tabIndex={0} role="group" aria-label="Feedback that was given">
                    <table class="given">
                        <thead>
                            <tr><th>Key</th><th>Score</th><th>Comment</th><th>Source</th><th>When</th><th><span class="away">Acts</span></th></tr>
                        </thead>
                        <tbody>
                            {list.map((one) => <Given key={one.id} one={one} onGone={() => void read()} />)}
                        </tbody>
                    </table>
                </div>
            )}
        </>
    );
}
