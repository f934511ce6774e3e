// own.ts - what a table has for a name that somebody wrote; not what every object has.
export const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
    Object.hasOwn(table, name) ? table[name] : undefined;
