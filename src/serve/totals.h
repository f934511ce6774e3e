/* totals.h - what all the runs of a trace used, for each of some traces.
 *
 * Of models, whatever they are part of; of the top of the trace where no model said
 * anything.
 *
 * Threads  begun and done on op.loop
 * Memory   results are in `arena`; a page of rows is there at a time
 * Errors   ERR_TIMEOUT when the time of a query is up (serve/query.h), and those of the index
 */
#pragma once

#include <stddef.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/stats.h"
#include "serve/query.h"

struct view;

struct totals {
    struct op op;
    const struct serve *serve;
    const bool *left;   /* in: as of a serve_query */
    struct view *views; /* in: tops of traces; out: their `totals` */
    size_t count;
    struct arena *arena;

    /* The journey's own. */
    int64_t began_us;
    size_t at;
    bool models; /* one of this trace said what it used */
    struct stats *stats;
    struct arena *page;
    struct serve_query rows;
};

void totals_gather(struct totals *totals);
