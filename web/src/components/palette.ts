// palette.ts - what the palette has, and which of it is meant by what is written.
export interface Entry {
    id: string;
    title: string;
    group: string;
    names: readonly string[]; // of keys that do the same
    run: () => void;
}

const wordsOf = (text: string): string[] => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);

// 0: the title begins so; 1: so do words of it, in their order or not; 2: it is somewhere.
// -1: something of it is nowhere.
function rank({ title, group }: Entry, text: string, words: readonly string[]): number {
    const all = `${title} ${group}`.toLowerCase();
    if (!words.every((word) => all.includes(word))) return -1;
    if (title.toLowerCase().startsWith(text)) return 0;
    const begun = wordsOf(title);
    return words.every((word) => begun.some((one) => one.startsWith(word))) ? 1 : 2;
}

// Those that have each written word, the likelier first; what is as likely stays in its order.
export function matching(entries: readonly Entry[], written: string): Entry[] {
    const text = written.trim().toLowerCase();
    const words = text.split(/\s+/).filter(Boolean);
    return entries
        .map((entry) => ({ entry, rank: rank(entry, text, words) }))
        .filter((one) => one.rank >= 0)
        .sort((a, b) => a.rank - b.rank)
        .map((one) => one.entry);
}
