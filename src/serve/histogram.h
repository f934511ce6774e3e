/* histogram.h - when the runs of a query began (run/histogram.h), from what the index knows.
 *
 * All of them are gone through, the newest first, a page at a time.  After HISTOGRAM_MS what
 * was counted until then is the answer.
 *
 * Threads  begun and done on op.loop
 * Memory   a page of rows is there at a time
 * Errors   those of the index, but for ERR_TIMEOUT; ERR_UNAVAILABLE nobody waits any more
 */
#pragma once

#include <stdbool.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/histogram.h"
#include "serve/query.h"

enum { HISTOGRAM_MS = 5000 };

struct serve_histogram {
    struct op op;
    const struct serve *serve;
    struct run_query query; /* in: what it points to is borrowed until done; no limit */
    unsigned buckets;       /* in: at most; 1..HISTOGRAM_BUCKETS */
    const bool *left;       /* in: becomes true when nobody waits any more; NULL: never */

    struct histogram histogram; /* out: of the range of the query, if that has two ends */
    bool complete;              /* out: all were counted */

    /* The journey's own. */
    struct arena *page;
    struct serve_query rows;
};

void serve_histogram(struct serve_histogram *histogram);
