/* fetch.h - the runs of rows, read and put together.
 *
 * Threads  begun and done on op.loop
 * Memory   everything is in `arena`, or what the rows point to
 * Errors   ERR_CORRUPT also when the place of a row holds something else, or nothing;
 *          those of the store
 */
#pragma once

#include <stddef.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/view.h"
#include "store/store.h"

struct fetch {
    struct op op;
    struct store *store;
    const struct index_row *rows; /* in: borrowed until done; all of them found */
    size_t count;
    struct arena *arena;
    struct view *views; /* out: `count` */

    /* The journey's own. */
    struct store_read read;
};

void fetch_runs(struct fetch *fetch);
