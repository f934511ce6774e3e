// parse.ts - the search bar's text as a filter of the API, or what is wrong with it.
//
//     either := both { "or" both }
//     both   := one { ["and"] one }
//     one    := ("-" | "not") one | "(" either ")" | key:value | text | key:/pattern/ | /pattern/
import { lex } from './lex.ts';
import type { Problem, Token } from './lex.ts';
import { Wrong, idOf, isId, meant, patternOf, termOf, text } from './terms.ts';

export type { Problem } from './lex.ts';

export interface Search {
    filter: string | null; // null: of all runs
    id: string | null; // nothing but the id of a run or a trace was written
    problems: Problem[]; // with any the filter is not to be used
}

const DEEPEST = 9; // parentheses; each may be three calls, and the API takes 32
const LONGEST = 4000;

class Parser {
    at = 0;
    depth = 0;
    constructor(
        readonly tokens: Token[],
        readonly source: string,
        readonly now: number,
        readonly problems: Problem[],
    ) {}

    wrong(from: number, to: number, why: string): null {
        this.problems.push({ from, to, text: why });
        return null;
    }

    either(): string | null {
        const parts = [this.both()];
        while (this.tokens[this.at]?.kind === 'or') {
            this.at++;
            parts.push(this.both());
        }
        return this.join('or', parts);
    }

    both(): string | null {
        const parts: (string | null)[] = [];
        for (;;) {
            const token = this.tokens[this.at];
            if (token?.kind === 'and' && parts.length) this.at++;
            else if (!token || token.kind === 'or' || (token.kind === 'close' && this.depth > 0)) break;
            parts.push(this.one());
        }
        if (!parts.length) {
            const token = this.tokens[this.at] ?? this.tokens[this.at - 1]!;
            return this.wrong(token.from, token.to, 'Something to look for is missing here');
        }
        return this.join('and', parts);
    }

    // Entries of metadata or feedback that stand in one `and` would be put together.
    join(word: 'and' | 'or', parts: (string | null)[]): string | null {
        const known = parts.filter((part): part is string => part !== null);
        if (known.length <= 1) return known[0] ?? null;
        return `${word}(${known.join(', ')})`;
    }

    one(): string | null {
        const token = this.tokens[this.at];
        if (!token) {
            const last = this.tokens[this.at - 1]!;
            return this.wrong(last.from, last.to, 'Something to look for is missing here');
        }
        this.at++;
        switch (token.kind) {
            case 'not':
                return this.not();
            case 'open':
                return this.group(token);
            case 'key':
                return this.key(token);
            case 'text':
                return this.text(token);
            case 'close':
                return this.wrong(token.from, token.to, 'There is no parenthesis that this one closes');
            case 'and':
            case 'or':
                return this.wrong(token.from, token.to, 'Something to look for is missing here');
        }
    }

    // Not of not is the thing itself.
    not(): string | null {
        const found = this.one();
        if (found?.startsWith('not(')) return found.slice(4, -1);
        return found && `not(${found})`;
    }

    group(token: Token): string | null {
        if (this.depth >= DEEPEST) return this.wrong(token.from, token.to, 'Too many parentheses in parentheses');
        this.depth++;
        const found = this.either();
        this.depth--;
        if (this.tokens[this.at]?.kind === 'close') this.at++;
        else this.wrong(token.from, token.to, 'A parenthesis is not closed');
        return found;
    }

    key({ key, value, form, from, at, to }: Extract<Token, { kind: 'key' }>): string | null {
        const term = termOf(key);
        if (!term) {
            const instead = meant(key);
            const hint = instead ? `did you mean “${instead}”?` : `for this text write "${this.source.slice(from, to)}"`;
            return this.wrong(from, at - 1, `There is no key “${key}”; ${hint}`);
        }
        if (!value && form === 'plain') return this.wrong(from, to, `“${key}:” needs a value`);
        try {
            if (form === 'pattern') return patternOf(key, value, this.source.slice(at, to));
            return term(value, form === 'quoted', this.now);
        } catch (error) {
            if (error instanceof Wrong) return this.wrong(at, to, error.message);
            throw error;
        }
    }

    text({ text: word, form, from, to }: Extract<Token, { kind: 'text' }>): string | null {
        if (form === 'pattern') return `matches(${text(word)})`;
        if (!word) return this.wrong(from, to, 'There is nothing between the quotes');
        return `search(${text(word)})`;
    }
}

export function parse(source: string, now = Date.now()): Search {
    const alone = source.trim();
    if (!alone) return { filter: null, id: null, problems: [] };
    if (isId(alone)) return { filter: null, id: idOf(alone), problems: [] };
    if (source.length > LONGEST)
        return { filter: null, id: null, problems: [{ from: LONGEST, to: source.length, text: 'This is too long' }] };
    const { tokens, problems } = lex(source);
    const parser = new Parser(tokens, source, now, problems);
    let filter = parser.either();
    // Only a parenthesis too many ends it early.
    while (parser.at < tokens.length) {
        const token = tokens[parser.at]!;
        parser.wrong(token.from, token.to, 'There is no parenthesis that this one closes');
        parser.at++;
        filter = null;
    }
    return { filter: problems.length ? null : filter, id: null, problems };
}
