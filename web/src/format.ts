// format.ts - numbers, times and amounts as a person reads them, in their language and zone.

const number = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'always', style: 'narrow' });

export const NONE = '–';

export const count = (n: number | null | undefined): string => (n == null ? NONE : number.format(n));
export const short = (n: number | null | undefined): string => (n == null ? NONE : compact.format(n));

export function duration(us: number | null | undefined): string {
    if (us == null || us < 0) return NONE;
    if (us === 0) return '0 s';
    if (us < 1000) return `${us} µs`;
    const ms = us / 1000;
    if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
    const s = ms / 1000;
    if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
    const m = Math.floor(s / 60);
    if (m < 60) return `${m} min ${Math.floor(s % 60)} s`;
    return `${Math.floor(m / 60)} h ${m % 60} min`;
}

export function cost(amount: number | string | null | undefined): string {
    if (amount == null) return NONE;
    const value = Number(amount);
    if (!Number.isFinite(value)) return NONE;
    if (value !== 0 && Math.abs(value) < 0.01) return `$${Number(value.toPrecision(2))}`;
    return `$${value.toFixed(2)}`;
}

export function percent(share: number | null | undefined): string {
    if (share == null) return NONE;
    const value = share * 100;
    return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

export function bytes(n: number | null | undefined): string {
    if (n == null) return NONE;
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) {
        n /= 1024;
        unit++;
    }
    return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

// A time without a zone is UTC.
export function time(text: string | null | undefined): number {
    if (!text) return NaN;
    return Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`);
}

export const absolute = (ms: number): string => (Number.isFinite(ms) ? local.format(ms) : NONE);
const minutes = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const thousandths = new Intl.DateTimeFormat(undefined, {
    year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3,
});

// Moments that are `apart` ms from each other, so that each is another text.
export const moments = (apart: number): Intl.DateTimeFormat => (apart >= 60_000 ? minutes : apart >= 1000 ? local : thousandths);

export const utc = (ms: number): string => (Number.isFinite(ms) ? new Date(ms).toISOString() : NONE);

export function ago(ms: number, now: number): string {
    if (!Number.isFinite(ms)) return NONE;
    const s = Math.round((now - ms) / 1000);
    const size = Math.abs(s);
    if (size < 5) return 'now';
    const [unit, length]: [Intl.RelativeTimeFormatUnit, number] =
        size < 60 ? ['second', 1] : size < 3600 ? ['minute', 60] : size < 86400 ? ['hour', 3600] : ['day', 86400];
    return relative.format(-Math.round(s / length), unit);
}

// The words in the beginning of a payload, without the JSON around them.
export function words(preview: string | null | undefined): string {
    if (!preview) return '';
    if (!/^[{[]/.test(preview)) return preview;
    const said = [...preview.matchAll(/"(?:content|text|page_content|input|inputs|question|query|output|outputs|answer|result)":"((?:[^"\\]|\\.)*)/g)]
        .map((found) => found[1]!)
        .filter(Boolean);
    const one = said.at(-1) ?? /^\{"[^"]*":"((?:[^"\\]|\\.)*)/.exec(preview)?.[1];
    return one === undefined ? preview : one.replace(/\\(?:u([0-9a-f]{4})|(.))/gi, (_, code, c) =>
        code ? String.fromCharCode(parseInt(code, 16)) : (({ n: ' ', t: ' ', r: ' ' })[c as string] ?? c),
    );
}
