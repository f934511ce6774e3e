// A subset of Markdown as a tree: headings, paragraphs, lists, quotes, code, tables, emphasis
// and links.  HTML is text; a picture is a link to it; a link goes to http, https or mailto.
//
// One pass over the lines, and one over each line: the time grows with the length only.

export type Inline =
    | { is: 'text'; text: string }
    | { is: 'code'; text: string }
    | { is: 'strong' | 'em' | 'del'; inside: Inline[] }
    | { is: 'link'; url: string; inside: Inline[] }
    | { is: 'break' };

export type Block =
    | { is: 'heading'; level: number; inside: Inline[] }
    | { is: 'paragraph'; inside: Inline[] }
    | { is: 'code'; language: string; text: string }
    | { is: 'list'; ordered: boolean; start: number; items: Block[][] }
    | { is: 'quote'; blocks: Block[] }
    | { is: 'table'; head: Inline[][]; rows: Inline[][][] }
    | { is: 'rule' };

const DEEPEST = 8; // quotes and lists in each other; beyond, they are text

// ---- in a line ----

export function safeUrl(url: string): string {
    const clean = url.trim();
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u0020\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(clean)) return '';
    return /^(https?:\/\/|mailto:)/i.test(clean) ? clean : '';
}

const isWord = (c: string | undefined): boolean => c !== undefined && /[\p{L}\p{N}_]/u.test(c);

// Where a mark may begin something, and the mark: ` ** __ * _ ~~ [ ![ < http
const SPECIAL = /[`*_~[\]!<\\\n]|https?:\/\//g;

class Line {
    private readonly missing = new Set<string>(); // marks that come no more from here on

    constructor(
        private readonly text: string,
        private readonly depth = 0,
    ) {}

    read(): Inline[] {
        const { text } = this;
        const out: Inline[] = [];
        let at = 0;
        let plain = 0;
        const flush = (to: number): void => {
            if (to > plain) out.push({ is: 'text', text: text.slice(plain, to) });
        };
        for (;;) {
            SPECIAL.lastIndex = at;
            const found = SPECIAL.exec(text);
            if (!found) break;
            at = found.index;
            if (text[at] === '\\' && /[\p{P}\p{S}]/u.test(text[at + 1] ?? '')) {
                flush(at);
                plain = at + 1;
                at += 2;
                continue;
            }
            const [item, next] = this.special(at);
            if (!item) {
                at = next;
                continue;
            }
            flush(at);
            out.push(item);
            at = plain = next;
        }
        flush(text.length);
        return out;
    }

    // What begins at `at`, and where it ends; or null, and where to go on.
    private special(at: number): [Inline | null, number] {
        const { text } = this;
        switch (text[at]) {
            case '\n':
                return [{ is: 'break' }, at + 1];
            case '`':
                return this.code(at);
            case '!':
                return text[at + 1] === '[' ? this.link(at + 1) : [null, at + 1];
            case '[':
                return this.link(at);
            case '<':
                return this.address(at);
            case '*':
            case '_':
            case '~':
                return this.emphasis(at);
            case 'h':
                return this.bare(at);
            default:
                return [null, at + 1];
        }
    }

    // The next `mark` from `from` on, asked for in vain only once.
    private find(mark: string, from: number): number {
        if (this.missing.has(mark)) return -1;
        const at = this.text.indexOf(mark, from);
        if (at < 0) this.missing.add(mark);
        return at;
    }

    private code(at: number): [Inline | null, number] {
        let fence = at;
        while (this.text[fence] === '`') fence++;
        const mark = this.text.slice(at, fence);
        const close = this.find(mark, fence);
        if (close < 0 || mark.length > 8) return [null, fence];
        return [{ is: 'code', text: this.text.slice(fence, close).replace(/\n/g, ' ') }, close + mark.length];
    }

    private link(at: number): [Inline | null, number] {
        const close = this.find('](', at);
        if (close < 0 || close - at > 1000) return [null, at + 1];
        const end = this.find(')', close);
        if (end < 0 || end - close > 4000) return [null, at + 1];
        const label = this.text.slice(at + 1, close);
        if (label.includes('[') || label.includes('\n')) return [null, at + 1];
        const url = safeUrl(this.text.slice(close + 2, end).replace(/\s+"[^"]*"\s*$/, ''));
        if (!url) return [null, at + 1];
        const inside = this.inner(label || url);
        return [{ is: 'link', url, inside }, end + 1];
    }

    private inner(text: string): Inline[] {
        return this.depth >= DEEPEST ? [{ is: 'text', text }] : new Line(text, this.depth + 1).read();
    }

    // <https://...>
    private address(at: number): [Inline | null, number] {
        const end = this.find('>', at);
        const url = end < 0 || end - at > 4000 ? '' : safeUrl(this.text.slice(at + 1, end));
        if (!url) return [null, at + 1];
        return [{ is: 'link', url, inside: [{ is: 'text', text: url }] }, end + 1];
    }

    private bare(at: number): [Inline | null, number] {
        const end = /[^\s<>"'`]{1,2000}/y;
        end.lastIndex = at;
        const url = safeUrl((end.exec(this.text)?.[0] ?? '').replace(/[.,;:!?)\]}*_]+$/, ''));
        if (!url || isWord(this.text[at - 1])) return [null, at + 4];
        return [{ is: 'link', url, inside: [{ is: 'text', text: url }] }, at + url.length];
    }

    private emphasis(at: number): [Inline | null, number] {
        const { text } = this;
        const c = text[at];
        const twice = text[at + 1] === c;
        if (c === '~' && !twice) return [null, at + 1];
        const mark = twice ? c + c : c;
        const from = at + mark.length;
        const opens = text[from] !== undefined && !/\s/.test(text[from]) && !(c === '_' && isWord(text[at - 1]));
        if (!opens) return [null, from];
        for (let close = this.find(mark, from + 1), tries = 0; close > 0 && tries < 20; tries++) {
            const closes = !/\s/.test(text[close - 1]) && !(c === '_' && isWord(text[close + mark.length]));
            if (closes && (twice || text[close + 1] !== c)) {
                const is = c === '~' ? 'del' : twice ? 'strong' : 'em';
                return [{ is, inside: this.inner(text.slice(from, close)) }, close + mark.length];
            }
            close = this.find(mark, close + (twice ? 1 : 2));
        }
        return [null, from];
    }
}

export const readInline = (text: string): Inline[] => new Line(text).read();

// ---- lines ----

const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*)$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const TABLE = /^\s*\|?(\s*:?-+:?\s*\|)+\s*(:?-+:?\s*)?$/;

const cells = (line: string): Inline[][] =>
    line
        .trim()
        .replace(/^\||\|$/g, '')
        .split(/(?<!\\)\|/)
        .map((cell) => readInline(cell.trim().replaceAll('\\|', '|')));

class Lines {
    private at = 0;

    constructor(
        private readonly lines: string[],
        private readonly depth: number,
    ) {}

    read(): Block[] {
        const blocks: Block[] = [];
        while (this.at < this.lines.length) {
            if (!this.lines[this.at].trim()) this.at++;
            else blocks.push(this.block());
        }
        return blocks;
    }

    private block(): Block {
        const line = this.lines[this.at];
        const fence = FENCE.exec(line);
        if (fence) return this.fence(fence[1], fence[2]);
        const heading = HEADING.exec(line);
        if (heading) {
            this.at++;
            const text = heading[2].replace(/\s+#+\s*$/, '');
            return { is: 'heading', level: heading[1].length, inside: readInline(text) };
        }
        if (RULE.test(line)) {
            this.at++;
            return { is: 'rule' };
        }
        if (this.depth < DEEPEST) {
            if (QUOTE.test(line)) return this.quote();
            if (ITEM.test(line)) return this.list();
        }
        if (line.includes('|') && TABLE.test(this.lines[this.at + 1] ?? '')) return this.table();
        return this.paragraph();
    }

    private fence(mark: string, language: string): Block {
        const from = ++this.at;
        const closes = (line: string): boolean =>
            line.trim().startsWith(mark) && !line.trim().slice(mark.length).replaceAll(mark[0], '').trim();
        while (this.at < this.lines.length && !closes(this.lines[this.at])) this.at++;
        const text = this.lines.slice(from, this.at).join('\n');
        this.at++;
        return { is: 'code', language, text };
    }

    private quote(): Block {
        const inside: string[] = [];
        for (let found; (found = QUOTE.exec(this.lines[this.at] ?? '')); this.at++) inside.push(found[1]);
        return { is: 'quote', blocks: new Lines(inside, this.depth + 1).read() };
    }

    private list(): Block {
        const first = ITEM.exec(this.lines[this.at])!;
        const indent = first[1].length;
        const ordered = /\d/.test(first[2]);
        const items: Block[][] = [];
        for (let found; (found = ITEM.exec(this.lines[this.at] ?? '')); ) {
            if (found[1].length !== indent || /\d/.test(found[2]) !== ordered) break;
            if (RULE.test(this.lines[this.at])) break;
            items.push(this.item(found[3], indent));
        }
        return { is: 'list', ordered, start: ordered ? parseInt(first[2], 10) : 1, items };
    }

    // Its line, and those below that stand further to the right.
    private item(firstLine: string, indent: number): Block[] {
        const inside = [firstLine];
        for (this.at++; this.at < this.lines.length; this.at++) {
            const line = this.lines[this.at];
            const shift = line.length - line.trimStart().length;
            const blank = !line.trim();
            if (!blank && shift <= indent) {
                // A lazy line goes on with a paragraph; anything else ends the item.
                const before = inside[inside.length - 1];
                if (!before.trim() || ITEM.test(line) || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line)) break;
            }
            if (blank && !this.goesOn(indent)) break;
            inside.push(blank ? '' : line.slice(Math.min(shift, indent + 2)));
        }
        return new Lines(inside, this.depth + 1).read();
    }

    // Whether the line below a blank one still belongs to an item at `indent`.
    private goesOn(indent: number): boolean {
        const next = this.lines[this.at + 1];
        if (next === undefined) return false;
        if (!next.trim()) return false;
        return next.length - next.trimStart().length > indent;
    }

    private table(): Block {
        const head = cells(this.lines[this.at]);
        const rows: Inline[][][] = [];
        for (this.at += 2; (this.lines[this.at] ?? '').includes('|'); this.at++)
            rows.push(cells(this.lines[this.at]));
        return { is: 'table', head, rows };
    }

    private paragraph(): Block {
        const from = this.at++;
        const ends = (line: string): boolean =>
            !line.trim() || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
        while (this.at < this.lines.length && !ends(this.lines[this.at])) this.at++;
        const text = this.lines.slice(from, this.at).map((line) => line.trim());
        return { is: 'paragraph', inside: readInline(text.join('\n')) };
    }
}

export const readMarkdown = (text: string): Block[] => new Lines(text.split(/\r\n?|\n/), 0).read();
