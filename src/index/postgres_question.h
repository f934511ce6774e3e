/* postgres_question.h - what the files of postgres_read.h share: a question under way, and
 * rows as they come back.
 *
 *   postgres_read.c        one loop's readers
 *   postgres_find.c        runs by id, and pages of a search
 *   postgres_query.c       what a run_query asks, in looks (postgres_look.h)
 *   postgres_entities.c    entities
 *   postgres_containers.c  which containers there are, and what others commit
 */
#pragma once

#include "index/index.h"
#include "index/postgres_read.h"

struct pg_read {
    struct pg_read_config config;
    const struct libpq *pq;
    struct pg_role role; /* all statements, of all these files */
    struct pg_pool *pool;
};

/* First member of every question's own struct. */
struct pg_question {
    struct pg_call call; /* the caller's `send`, `answer`, `done` */
    struct pg_read *read;
    struct op *asked;
    int64_t began_us, deadline_us;
    /* From malloc, and goes at the end.  Those are what nodes ask for themselves, some of them
     * ten times a second: no metric of reads has them, or it would tell of little else. */
    bool own;
};

static inline struct pg_question *pg_question_of(struct pg_call *call)
{
    return op_owner(call, struct pg_question, call);
}

/* Zeroed, from malloc. */
void *pg_question_new(size_t size);

/* The first time; and again, with another call.  Where it is refused, `done` runs inside. */
void pg_question_begin(struct pg_question *q, struct pg_read *read, struct op *asked);
void pg_question_ask(struct pg_question *q);
/* `err` may lie in `q`. */
void pg_question_end(struct pg_question *q, const struct err *err);
void pg_question_done(struct pg_call *call); /* as `done`: nothing more to ask */

/* --- rows ---------------------------------------------------------------------- */

/* Of a row `r` and the name of its project; facts only where `facts` <> 0. */
#define PG_COLUMNS(facts)                                                                          \
    "r.id, r.trace, r.parent, r.project, project_name, r.start_us, r.end_us, r.type, r.status,"    \
    " r.version, r.holders, case when " facts "::int4 <> 0 then r.facts end, project_version,"     \
    " ((select e.id from rundlet_entities e where e.parent = r.id and e.kind in (1, 2)"            \
    " and not e.removed limit 1) is null)::int4"
enum { PG_COLUMN_COUNT = 14 };

/* Rows with their projects: those that are in none, or in one that was deleted, are hidden. */
#define PG_RUNS                                                                                    \
    "rundlet_runs r cross join lateral (select e.name as project_name, e.version as "              \
    "project_version from rundlet_entities e"                                                      \
    " where e.kind = 0 and e.id = r.project and not e.removed offset 0) p"
/* Were neither they nor their trace deleted?  Asked of one row after the other. */
#define PG_NOT_GONE                                                                                \
    "(select e.id from rundlet_entities e"                                                         \
    " where e.kind = 6 and e.id = r.id and not e.removed) is null"                                 \
    " and (select e.id from rundlet_entities e"                                                    \
    " where e.kind = 7 and e.id = r.trace and not e.removed) is null"

/* One in the columns above; ERR_CORRUPT. */
int pg_take_row(const struct libpq *pq, const PGresult *result, int row, struct arena *arena,
                struct index_row *taken, struct err *err);

/* --- statements ------------------------------------------------------------------ */

enum {
    PG_FIND_STATEMENTS = 10,
    PG_QUERY_STATEMENTS = 20,
    PG_ENTITY_STATEMENTS = 4,
    PG_CONTAINER_STATEMENTS = 7
};
extern const struct pg_statement pg_find_statements[PG_FIND_STATEMENTS];
extern const struct pg_statement pg_query_statements[PG_QUERY_STATEMENTS];
extern const struct pg_statement pg_entity_statements[PG_ENTITY_STATEMENTS];
extern const struct pg_statement pg_container_statements[PG_CONTAINER_STATEMENTS];
