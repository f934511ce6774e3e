/* query.h - the rows that a run_query asks for, in steps.
 *
 * An index ends a step when the query had its share (index/index.h), with few rows or none.
 * Here the next step is asked for, until there is a row, there are none, or the time of the
 * request is up.
 *
 *     serve_query(&rows)       done: `rows`, at least one unless `last` or `late`
 *     while !last: serve_query(&rows)
 *
 * Time     serve->query_ms (the setting query_timeout), from the first call, or from where
 *          the caller sets began_us: then `late` is set, and who can end its answer does, the
 *          cursor saying where to go on; for others there is serve_query_is_late()
 * Clients  a step that was begun is not called off (docs/decisions/0007); no other is begun
 *          once `left` says that the client is gone
 *
 * Threads  begun and done on op.loop
 * Memory   rows are in the `arena` of the call; of steps without rows nothing stays
 * Errors   those of the index; ERR_UNAVAILABLE nobody waits any more
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/query.h"

struct serve;

struct serve_query {
    struct op op;
    const struct serve *serve;
    struct run_query query; /* in: what it points to is borrowed to the end; the cursor moves */
    struct arena *arena;    /* in: may be another one at each call */
    const bool *left;       /* in: becomes true when nobody waits any more; NULL: never */

    struct index_row *rows; /* out */
    size_t count;
    bool last; /* out: there are no more; else query.cursor says where they begin */
    bool late; /* out: its time is up */

    int64_t began_us; /* 0: at the first call */

    /* The journey's own. */
    struct arena *step;
    struct index_query ask;
};

void serve_query(struct serve_query *query);

/* A began_us with which the time of a query is up in `ms`, if not before. */
int64_t serve_query_began(const struct serve *serve, unsigned ms);

/* For who has to go through all: is its time up?  Then `err` is set. */
bool serve_query_is_late(const struct serve_query *query, struct err *err);
