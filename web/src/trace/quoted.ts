// A text as the filter language writes it.
export const quoted = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;
