/* fetch.h - the runs of rows, read and put together.
 *
 * Of a row that says all that is to be shown nothing is read; with its facts, where texts
 * need not be written as they were sent.
 *
 * Threads  begun and done on op.loop
 * Memory   everything is in `arena`, or what the rows point to
 * Errors   ERR_CORRUPT also when the place of a row holds something else, or nothing;
 *          those of the store
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/view.h"
#include "store/store.h"

struct links;

struct fetch {
    struct op op;
    struct store *store;
    const struct index_row *rows; /* in: borrowed until done; all of them found */
    size_t count;
    uint64_t fields;           /* in: what will be shown of them (run/render.h) */
    bool by_facts;             /* in: texts that facts say may be written anew */
    const struct links *links; /* in: of attachments; NULL: none are shown */
    struct arena *arena;
    struct view *views; /* out: `count` */

    /* The journey's own. */
    bool *reads; /* which rows the store is asked for */
    struct store_read read;
};

void fetch_runs(struct fetch *fetch);

/* Bytes that will be read of a row to show these fields, by facts. */
uint64_t fetch_size(const struct index_row *row, uint64_t fields);

/* What a row says without its layers.  The facts are in the arena; ERR_CORRUPT. */
int fetch_row(const struct index_row *row, struct arena *arena, struct view *view, struct err *err);
