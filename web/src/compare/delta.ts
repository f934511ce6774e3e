// delta.ts - how much more or less the right one is than the left one, as a person reads it.
import { cost, count, duration } from '../format.ts';

// '' where one of them is not known; "=" where nothing changed.
function delta(left: number, right: number, told: (size: number) => string): string {
    if (!Number.isFinite(left) || !Number.isFinite(right)) return '';
    const by = right - left;
    return by === 0 ? '=' : `${by > 0 ? '+' : '−'}${told(Math.abs(by))}`;
}

const known = (n: number): number => (n < 0 ? NaN : n);

export const moreTime = (left: number, right: number): string => delta(known(left), known(right), (us) => duration(Math.round(us)));
export const moreTokens = (left: number, right: number): string => delta(known(left), known(right), count);
// Sums of fractions are not exact.
export const moreCost = (left: number, right: number): string =>
    delta(left, Math.abs(right - left) < 1e-9 ? left : right, cost);

export function share(left: number, right: number): string {
    if (!(left > 0) || !(right >= 0) || left === right) return '';
    const percent = Math.round((right / left - 1) * 100);
    return percent ? `${percent > 0 ? '+' : '−'}${count(Math.abs(percent))} %` : '';
}
