// What the page and the worker of a run say to each other.

export type Field = 'inputs' | 'outputs';

// A question, answered once: { n, answer } or { n, failed }.
export type Question =
    // Fetch a field, `total` bytes where that is known; there are { n, got } meanwhile.
    | { do: 'fetch'; field: Field; path: string; headers: Record<string, string>; total: number }
    // Here it is.
    | { do: 'take'; field: Field; text: string }
    | { do: 'conversation' }
    | { do: 'piece'; ref: number; from: number; to: number }
    // A call of the field's source.
    | { do: 'ask'; field: Field; call: string; args: unknown[] };

export type Answer =
    | { n: number; got: number; total: number }
    | { n: number; answer: unknown }
    | { n: number; failed: string };
