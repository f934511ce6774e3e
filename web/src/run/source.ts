// Where the rows of a JSON value come from: a model in this page, or one in a worker.
import { JsonModel, type Found, type Row } from './jsonModel.ts';

export type Later<T> = T | Promise<T>;

export interface JsonSource {
    slice(from: number, to: number): Later<Row[]>;
    count(): Later<number>;
    // These answer with how many rows there are then.
    toggle(id: number): Later<number>;
    openAll(): Later<number>;
    closeAll(): Later<number>;
    find(text: string, step: 1 | -1 | 0): Later<Found & { count: number }>;
    text(id: number, from: number, to: number): Later<string>;
    path(id: number): Later<string>;
    json(id: number): Later<string>;
}

export function sourceOf(model: JsonModel): JsonSource {
    return {
        slice: (from, to) => model.slice(from, to),
        count: () => model.count,
        toggle: (id) => (model.toggle(id), model.count),
        openAll: () => (model.openAll(), model.count),
        closeAll: () => (model.closeAll(), model.count),
        find: (text, step) => ({ ...model.find(text, step), count: model.count }),
        text: (id, from, to) => model.textOf(id, from, to),
        path: (id) => model.path(id),
        json: (id) => model.json(id),
    };
}

export const localSource = (value: unknown): JsonSource => sourceOf(new JsonModel(value));
