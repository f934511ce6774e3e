/* stats.h - the runs of a query in numbers (run/stats.h), from what the index knows.
 *
 * All of them are gone through, a step at a time, whatever there are: in the time of a query
 * (serve/query.h), or it is ERR_TIMEOUT.
 *
 * Threads  begun and done on op.loop
 * Memory   results are in `arena`; a page of rows is there at a time
 * Errors   ERR_TIMEOUT, and those of the index
 */
#pragma once

#include <stdbool.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/feedback.h"
#include "run/stats.h"
#include "serve/query.h"
#include "serve/remarks.h"

struct serve_stats {
    struct op op;
    const struct serve *serve;
    const bool *left;       /* in: as of a serve_query */
    struct run_query query; /* in: what it points to is borrowed until done; no limit */
    bool feedback;          /* in: is that wanted? */
    struct arena *arena;

    struct stats stats; /* out */
    struct feedback_tally tally;

    /* The journey's own. */
    bool usage; /* of all runs that are asked for: none of them has another below it */
    struct arena *page;
    struct serve_query rows;
    struct remarks remarks;
};

void serve_stats(struct serve_stats *stats);
