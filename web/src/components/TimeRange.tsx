// TimeRange.tsx - which span of time: so long until now, or from one moment to another.
//
// In the address: since=24h, or since=all, or from=…&to=… (UTC).
import { own } from '../own.ts';
import { setQuery } from '../router.ts';

export const SPANS: Record<string, [ms: number, title: string]> = {
    '15m': [9e5, 'Last 15 minutes'],
    '1h': [36e5, 'Last hour'],
    '6h': [216e5, 'Last 6 hours'],
    '24h': [864e5, 'Last 24 hours'],
    '7d': [6048e5, 'Last 7 days'],
    '30d': [2592e6, 'Last 30 days'],
};
export const USUAL = '7d';

export interface Range {
    since: string; // a key of SPANS, 'all', or 'custom'
    from: number | null; // ms
    to: number | null;
}

const moment = (text: string | null): number | null => {
    const ms = text ? Date.parse(text) : NaN;
    return Number.isFinite(ms) ? ms : null;
};

export function rangeOf(query: URLSearchParams, now: number): Range {
    const from = moment(query.get('from'));
    const to = moment(query.get('to'));
    if (from !== null || to !== null) return { since: 'custom', from, to };
    const since = query.get('since') ?? USUAL;
    if (since === 'all') return { since, from: null, to: null };
    const span = own(SPANS, since);
    return span ? { since, from: now - span[0], to: null } : { since: USUAL, from: now - SPANS[USUAL]![0], to: null };
}

export const setRange = (from: number, to: number): void =>
    setQuery({ since: null, from: new Date(from).toISOString(), to: new Date(to).toISOString() }, false);

// The form that <input type=datetime-local> has: local, to the minute.
const field = (ms: number | null): string => {
    if (ms === null) return '';
    const local = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
    return local.toISOString().slice(0, 16);
};

export function TimeRange({ range }: { range: Range }) {
    const pick = (since: string) =>
        since === 'custom'
            ? setQuery({
                  since: null,
                  from: new Date(range.from ?? Date.now() - 864e5).toISOString(),
                  to: new Date(range.to ?? Date.now()).toISOString(),
              })
            : setQuery({ since: since === USUAL ? null : since, from: null, to: null });
    const edge = (name: 'from' | 'to') => (event: Event) => {
        const { value } = event.currentTarget as HTMLInputElement;
        if (value) setQuery({ [name]: new Date(value).toISOString() });
    };
    return (
        <span class="row">
            <select aria-label="Time" value={range.since} onChange={(event) => pick(event.currentTarget.value)}>
                {Object.entries(SPANS).map(([key, [, title]]) => (
                    <option key={key} value={key}>
                        {title}
                    </option>
                ))}
                <option value="all">All time</option>
                <option value="custom">From … to …</option>
            </select>
            {range.since === 'custom' && (
                <>
                    <input aria-label="From" type="datetime-local" value={field(range.from)} onChange={edge('from')} />
                    <input aria-label="To" type="datetime-local" value={field(range.to)} onChange={edge('to')} />
                </>
            )}
        </span>
    );
}
