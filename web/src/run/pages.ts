// Bytes of a payload as lines of text: each of COLUMNS bytes, fetched in pages when looked at.
//
// A character that begins in a line belongs to it wholly, so pages overlap by three bytes and
// the lines together are the payload, no byte of it twice.

export const COLUMNS = 80;
const LINES = 512;
export const PAGE = COLUMNS * LINES;
const OVER = 3;

const isRest = (byte: number): boolean => (byte & 0xc0) === 0x80;

// Control characters as signs, or they would move the text; what is no UTF-8 as U+FFFD.
const shown = (text: string): string =>
    text.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => {
        const code = c.charCodeAt(0);
        return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? '\u2421' : '\u25a1';
    });

// The lines of a page; `bytes` go on OVER bytes behind it where the payload does.
export function linesOf(bytes: Uint8Array, first: boolean): string[] {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const end = Math.min(bytes.length, PAGE);
    // Where a line begins: behind what is left of a character, if it began before.
    const start = (at: number): number => {
        let from = at;
        if (at === 0 && first) return 0;
        while (from < bytes.length && from < at + OVER && isRest(bytes[from])) from++;
        return from;
    };
    const lines = [];
    for (let at = 0; at < end; at += COLUMNS)
        lines.push(shown(decoder.decode(bytes.subarray(start(at), start(Math.min(at + COLUMNS, bytes.length))))));
    return lines;
}

export const rangeOf = (page: number, total: number): string =>
    `bytes=${page * PAGE}-${Math.min(total, (page + 1) * PAGE + OVER) - 1}`;
