// What happened while a run ran, as it was told: tokens that came, retries, uploads.
import { useMemo } from 'preact/hooks';
import { useWindow } from '../components/window.ts';
import { absolute, count, duration, time, utc } from '../format.ts';
import { write } from './jsonModel.ts';
import type { RunInfo } from './info.ts';
import { isObject, type Json } from './message.ts';

const ROW_PX = 24;

const more = ({ name: _name, time: _time, ...rest }: Json): string => (Object.keys(rest).length ? write(rest, 0) : '');

export function Events({ run }: { run: RunInfo }) {
    const list = useMemo(() => (Array.isArray(run.events) ? run.events.filter(isObject) : []), [run.events]);
    const window = useWindow(list.length, ROW_PX);
    if (!list.length) return <p class="soft">Nothing was told of this run while it ran.</p>;
    const start = time(run.start_time);
    return (
        <>
            <p class="soft">{count(list.length)} events, with the time since the run began</p>
            <div ref={window.ref} class="events" role="list" tabIndex={0} aria-label="Events" style={{ '--rows': list.length }}>
                <div role="presentation" class="grid-all" style={{ height: `${window.total}px` }}>
                    <div role="presentation" style={{ transform: `translateY(${window.shift}px)` }}>
                        {list.slice(window.first, window.last).map((one, i) => {
                            const at = time(typeof one.time === 'string' ? one.time : '');
                            return (
                                <div role="listitem" class="event" key={window.first + i} aria-setsize={list.length} aria-posinset={window.first + i + 1}>
                                    <span class="figure" title={`${absolute(at)} · ${utc(at)}`}>
                                        {Number.isFinite(at) ? `+${duration(Math.max(0, Math.round((at - start) * 1000)))}` : ''}
                                    </span>
                                    <strong>{String(one.name ?? '').slice(0, 100)}</strong>
                                    <code class="cut soft">{more(one).slice(0, 500)}</code>
                                </div>
                            );
                        })}
                    </div>
                </div>
            </div>
        </>
    );
}
