// Time.tsx - how long ago, and on hover when, here and in UTC.
import { absolute, ago, time, utc } from '../format.ts';

export function Time({ at, now }: { at: string | null | undefined; now: number }) {
    const ms = time(at);
    if (!Number.isFinite(ms)) return <span class="soft">–</span>;
    return (
        <time dateTime={utc(ms)} title={`${absolute(ms)}\n${utc(ms)}`}>
            {ago(ms, now)}
        </time>
    );
}
