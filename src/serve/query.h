/* query.h - the rows that a run_query asks for, some at a time.
 *
 * An index may give a short page, also an empty one, and say that there is more.  Here
 * it is asked again, until there is a row or there are none.
 *
 *     while (!rows.last)
 *         serve_query(&rows)       done: `rows`, at least one unless `last`
 *
 * Threads  begun and done on op.loop
 * Memory   rows are in the `arena` of the call
 * Errors   ERR_TIMEOUT when nothing is found in QUERY_MS; those of the index
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/query.h"

enum { QUERY_MS = 30000 };

struct serve_query {
    struct op op;
    struct index *index;
    struct run_query query; /* in: what it points to is borrowed to the end; the cursor moves */
    struct arena *arena;    /* in: may be another one at each call */

    struct index_row *rows; /* out */
    size_t count;
    bool last; /* out: there are no more; else query.cursor says where they begin */

    /* The journey's own. */
    int64_t began_us;
    struct index_query ask;
};

void serve_query(struct serve_query *query);

/* For who goes through all: did it take longer than QUERY_MS already?  Then `err` is set. */
bool serve_query_is_late(const struct serve_query *query, struct err *err);
