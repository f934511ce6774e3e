// WORKERS.NAME: the address of the bundle of NAME.worker.ts; web/build.mjs defines it.
declare const WORKERS: Record<string, string>;
declare module '*.css';
