/* postgres_look.h - one run_query, in looks at a piece of an index each.
 *
 * A look is the next so many rows of the narrowest index, and those of them that SQL knows to
 * fit (postgres_terms.h narrows).  What the filter says of those is asked of C.
 *
 * What has to be found by its terms or its name is first sought among the newest; if it is rare
 * there, all runs with the terms are gathered, or those of the name walked along.
 *
 * Memory   rows are the look's, until the next
 */
#pragma once

#include "index/postgres_question.h"
#include "index/postgres_terms.h"

enum pg_shape {
    PG_BY_IDS,
    PG_BY_TRACE,
    PG_BY_PARENT,
    PG_BY_ROOT,
    PG_BY_PROJECT,
    PG_BY_START,
    PG_BY_NAME,
    PG_BY_TERMS,
    PG_BY_ANY,
    PG_SHAPES
};

struct pg_look {
    struct pg_narrow narrow;
    struct query_cursor cursor;
    int64_t limit_us; /* of the start, at the other end */
    enum pg_shape shape;
    uint32_t size;   /* rows to be looked at */
    uint32_t most;   /* of one look */
    uint64_t looked; /* in all */
    bool over;       /* there are no more */

    /* Of the last look. */
    struct arena *arena;
    struct index_row *rows; /* in order */
    size_t count, cap;
    const struct filter_pair **feedback; /* of each row; NULL: not asked for */
    const struct str **children;
    size_t *feedback_count, *child_count;
};

/* `judged`: rows are judged by more than SQL, so more of them are looked at; `most` at once. */
void pg_look_begin(struct pg_look *look, const struct run_query *query, bool judged, uint32_t most,
                   struct arena *arena);
void pg_look_end(struct pg_look *look);

void pg_look_send(const struct pg_look *look, struct pg_conn *conn);
void pg_look_take(struct pg_look *look, const struct libpq *pq, const PGresult *result,
                  struct err *err);

/* Does the filter ask for feedback, or for the names of children?  Those are other rows'. */
bool pg_look_wants_others(const struct pg_look *look);
void pg_look_send_others(const struct pg_look *look, struct pg_conn *conn);
void pg_look_take_others(struct pg_look *look, unsigned nth, const struct libpq *pq,
                         const PGresult *result);

/* Does the row fit, but for the filters of its trace?  Errors: those of filter_match(). */
int pg_look_fits(const struct pg_look *look, size_t row, bool *is, struct err *err);

/* The next look begins behind this row of the last one. */
void pg_look_back(struct pg_look *look, size_t row);

/* The next one is larger, if this one found little; or by terms, if what is sought is rare. */
void pg_look_on(struct pg_look *look);
