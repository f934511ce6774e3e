// A line of what a payload or an error says.

const SAID = /"(?:content|text|output|answer|input|query|question|result|message|page_content)"\s*:\s*"((?:[^"\\]|\\.)*)/g;

// Of the beginning of a JSON text, cut anywhere: the last thing said in it, or all of it.
export function gist(preview: string | null | undefined): string {
    if (!preview) return '';
    let last = '';
    for (const [, text] of preview.matchAll(SAID)) if (text) last = text;
    if (!last) return preview;
    try {
        return JSON.parse(`"${last}"`) as string;
    } catch {
        return last;
    }
}

// The line that says what went wrong: Python says it last, others say it first.
export function errorLine(text: string): string {
    const lines = text.trim().split('\n');
    return /^Traceback \(most recent call last\)/m.test(text) ? lines[lines.length - 1] : lines[0];
}
