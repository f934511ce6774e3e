/* experiments.h - the projects in which a dataset was tried out: those whose
 * `reference_dataset_id` it is.
 *
 * Threads  begun and done on op.loop
 * Memory   the result is in `arena`; of the projects a page is there at a time, which is charged
 * Errors   ERR_TOO_BIG more than EXPERIMENTS_MAX; ERR_BUSY; those of the index
 */
#pragma once

#include <stddef.h>

#include "index/index.h"
#include "loop/op.h"

enum { EXPERIMENTS_MAX = 1000, EXPERIMENTS_PAGE = 500, EXPERIMENTS_BYTES = 1 << 20 };

struct budget;

struct experiments {
    struct op op;
    struct index *index;
    struct budget *budget;
    struct uuid dataset;
    struct arena *arena;

    struct uuid *projects; /* out */
    size_t count;

    /* The journey's own. */
    struct arena *page;
    struct index_entities ask;
};

void experiments_find(struct experiments *experiments);
