/* postgres_find.c - runs by id, and pages of a search; see postgres_question.h.
 *
 * A search by name is done in one of these ways, the first that can answer:
 *
 *   NAMES_FEW    at most 64 names match: the newest runs of each, merged
 *   WALK         the newest 2048 runs, their names tested, fill the page
 *   NAMES_FEW    the same with 4096 names
 *   SCAN         walk on to the end, as far as the deadline goes
 *
 * Each is one statement, so it sees whole commits; one that cannot answer says
 * so (how many names there were, how many runs it tested), and what it saw is
 * forgotten.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/fold.h"
#include "index/postgres_part.h"
#include "index/postgres_question.h"

enum {
    TRIGRAM = 3, /* code points: a shorter text has none */
    FEW = 64,
    MANY = 4096,
    WALK_RUNS = 2048
};

#define BELOW "(r.start_us, r.id) < ($1, $2)"
#define NEWEST "order by r.start_us desc, r.id desc"
#define NAME_MATCHES "(select n.folded like $5 from rundlet_names n where n.id = r.name)"
#define COLUMNS PG_COLUMNS("$4")
#define ALL_RUNS                                                                                   \
    "rundlet_runs r left join lateral (select e.name as project_name, e.version as "               \
    "project_version from rundlet_entities e"                                                      \
    " where e.kind = 0 and e.id = r.project and not e.removed offset 0) p on true"
#define SHOWN "(project_name is not null and " PG_NOT_GONE ")::int4"
#define RUNS(test) "select " COLUMNS " from " PG_RUNS " where " test " and " PG_NOT_GONE

/* $1, $2 the cursor, $3 rows, $4 facts?, $5 the text, $6 names. */
#define NAMES(test)                                                                                \
    "with m as materialized (select id from rundlet_names where " test " limit $6::int8 + 1),"     \
    " c as materialized (select count(*) as n from m)"                                             \
    " select " COLUMNS ", c.n from c left join lateral ("                                          \
    "  select r.* from m cross join lateral ("                                                     \
    "   select r.*, project_name, project_version from " PG_RUNS " where r.name = m.id and " BELOW \
    "   and " PG_NOT_GONE " " NEWEST " limit $3) r"                                                \
    "  where (select n from c) <= $6 " NEWEST " limit $3) r on true " NEWEST

enum {
    FIND_ONE,
    FIND_MANY,
    TRACE,
    TRACE_NAME,
    ALL,
    ANY_NAME,
    NAMES_LIKE,
    NAMES_WITH,
    WALK,
    SCAN,
    STATEMENTS
};
_Static_assert((int)STATEMENTS == (int)PG_FIND_STATEMENTS, "all are prepared");

const struct pg_statement pg_find_statements[STATEMENTS] = {
    [FIND_ONE] = {"find_one",
                  "select " PG_COLUMNS(
                      "$3") ", " SHOWN " from " ALL_RUNS
                            " where r.part = $1 and r.id = $2 and r.project is not null"},
    [FIND_MANY] =
        {"find_many",
         "select " PG_COLUMNS(
             "$3") ", shown, w.n"
                   " from unnest($1::int4[], $2::uuid[]) with ordinality as w (part, id, n)"
                   " cross join lateral (select r.*, project_name, project_version, " SHOWN
                   " as shown"
                   "  from " ALL_RUNS " where r.part = w.part and r.id = w.id"
                   "  and r.project is not null) r"},
    [TRACE] = {"trace", RUNS("r.trace = $5 and " BELOW) " " NEWEST " limit $3"},
    [TRACE_NAME] = {"trace_name",
                    RUNS("r.trace = $6 and " BELOW " and " NAME_MATCHES) " " NEWEST " limit $3"},
    [ALL] = {"all", RUNS(BELOW) " " NEWEST " limit $3"},
    [ANY_NAME] = {"any_name", RUNS("r.name is not null and " BELOW) " " NEWEST " limit $3"},
    [NAMES_LIKE] = {"names_like", NAMES("folded like $5")},
    [NAMES_WITH] = {"names_with", NAMES("strpos(folded, $5) > 0")},
    [WALK] =
        {"walk",
         "with w as materialized (select r.* from rundlet_runs r where " BELOW " " NEWEST
         " limit $6), c as (select count(*) as n from w)"
         " select " COLUMNS ", c.n from c left join lateral ("
         "  select r.*, project_name, project_version from w r cross join lateral (select e.name"
         "   as project_name, e.version as project_version from rundlet_entities e where e.kind = 0"
         "   and e.id = r.project and not e.removed offset 0) p"
         "  where " NAME_MATCHES " and " PG_NOT_GONE " " NEWEST " limit $3) r on true " NEWEST},
    [SCAN] = {"scan", RUNS(BELOW " and " NAME_MATCHES) " " NEWEST " limit $3"},
};

/* One that finds, or searches; in the arena of what was asked. */
struct question {
    struct pg_question q;
    struct index_find *find; /* one of these */
    struct index_search *search;
    int statement; /* of a search */
    struct str like, wanted;
    uint64_t names;  /* that may match: FEW, MANY */
    uint64_t looked; /* at so many names or runs; of NAMES_... and WALK */
    struct err corrupt;
};

static struct question *question_of(struct pg_call *call)
{
    return op_owner(pg_question_of(call), struct question, q);
}

static void end(struct question *q)
{
    const struct err *err = q->q.call.err.code ? &q->q.call.err : &q->corrupt;
    pg_question_end(&q->q, err);
}

/* --- find ----------------------------------------------------------------------------- */

static void send_find(struct pg_call *call, struct pg_conn *conn)
{
    const struct index_find *find = question_of(call)->find;
    struct pg_args args = {0};
    if (find->count == 1) {
        pg_add_int(&args, part_of(find->ids[0]));
        pg_add_uuid(&args, find->ids[0]);
        pg_add_int(&args, find->facts);
        pg_send(conn, &pg_find_statements[FIND_ONE], &args);
    } else {
        pg_begin_array(&args, PG_INT, find->count);
        for (size_t i = 0; i < find->count; i++)
            pg_put_int(&args, part_of(find->ids[i]));
        pg_end_array(&args);
        pg_begin_array(&args, PG_UUID, find->count);
        for (size_t i = 0; i < find->count; i++)
            pg_put_bytes(&args, (struct str){(const char *)find->ids[i].byte, 16});
        pg_end_array(&args);
        pg_add_int(&args, find->facts);
        pg_send(conn, &pg_find_statements[FIND_MANY], &args);
    }
    pg_args_free(&args);
}

static void take_found(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    struct index_find *find = q->find;
    const struct libpq *pq = q->q.read->pq;
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        uint64_t n = find->count == 1 ? 1 : pg_long(pq, result, row, PG_COLUMN_COUNT + 1);
        if (n < 1 || n > find->count || q->corrupt.code)
            continue;
        if (pg_int(pq, result, row, PG_COLUMN_COUNT) == 0)
            find->rows[n - 1].hidden = true;
        else
            (void)pg_take_row(pq, result, row, find->arena, &find->rows[n - 1], &q->corrupt);
    }
}

static void found(struct pg_call *call)
{
    end(question_of(call));
}

void pg_read_find(struct pg_read *read, struct index_find *find)
{
    struct question *q = arena_make(find->arena, struct question, 1);
    *q = (struct question){
        .q.call = {.send = send_find, .answer = take_found, .done = found, .brief = true},
        .find = find,
    };
    find->rows = arena_make(find->arena, struct index_row, find->count);
    for (size_t i = 0; i < find->count; i++)
        find->rows[i].id = find->ids[i];
    pg_question_begin(&q->q, read, &find->op);
}

/* --- search --------------------------------------------------------------------------- */

/* For LIKE: any text with this in it. */
static struct str like_of(struct arena *arena, struct str wanted)
{
    char *out = arena_alloc(arena, 2 * wanted.len + 3), *end = out;
    *end++ = '%';
    for (size_t i = 0; i < wanted.len; i++) {
        if (wanted.at[i] == '%' || wanted.at[i] == '_' || wanted.at[i] == '\\')
            *end++ = '\\';
        *end++ = wanted.at[i];
    }
    *end++ = '%';
    return (struct str){out, (size_t)(end - out)};
}

static void send_search(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    const struct query *query = q->search->query;
    /* No run starts at the end of time. */
    struct query_cursor cursor = {.start_us = INT64_MAX};
    if (query->after)
        cursor = query->cursor;
    struct pg_args args = {0};
    pg_add_long(&args, (uint64_t)cursor.start_us);
    pg_add_uuid(&args, cursor.id);
    pg_add_long(&args, (uint64_t)query->limit + 1);
    pg_add_int(&args, q->search->facts);
    if (q->statement == TRACE)
        pg_add_uuid(&args, query->trace);
    else if (q->statement != ALL && q->statement != ANY_NAME)
        pg_add_text(&args, q->statement == NAMES_WITH ? q->wanted : q->like);
    if (q->statement == TRACE_NAME)
        pg_add_uuid(&args, query->trace);
    else if (q->statement == NAMES_LIKE || q->statement == NAMES_WITH)
        pg_add_long(&args, q->names);
    else if (q->statement == WALK)
        pg_add_long(&args, WALK_RUNS);
    pg_send(conn, &pg_find_statements[q->statement], &args);
    pg_args_free(&args);
}

static bool tells_how_many(int statement)
{
    return statement == NAMES_LIKE || statement == NAMES_WITH || statement == WALK;
}

static void take_page(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    struct index_search *search = q->search;
    const struct libpq *pq = q->q.read->pq;
    int count = pq->PQntuples(result);
    (void)nth;
    if (tells_how_many(q->statement) && count > 0) {
        q->looked = pg_long(pq, result, 0, PG_COLUMN_COUNT);
        if (pq->PQgetisnull(result, 0, 0)) /* no run, just the number */
            count = 0;
    }
    search->more = (uint32_t)count > search->query->limit;
    if (search->more)
        count = (int)search->query->limit;
    search->count = (size_t)count;
    search->rows = arena_make(search->arena, struct index_row, (size_t)count + 1);
    for (int row = 0; row < count && !q->corrupt.code; row++)
        (void)pg_take_row(pq, result, row, search->arena, &search->rows[row], &q->corrupt);
}

/* What may be able to answer when this was not; the same: it has answered. */
static int next_way(struct question *q)
{
    switch (q->statement) {
    case NAMES_LIKE:
    case NAMES_WITH:
        if (q->looked <= q->names)
            return q->statement;
        return q->names == FEW ? WALK : SCAN;
    case WALK:
        if (q->search->more || q->looked < WALK_RUNS)
            return WALK;
        q->names = MANY;
        return fold_points(q->wanted) < TRIGRAM ? NAMES_WITH : NAMES_LIKE;
    default:
        return q->statement;
    }
}

static void searched(struct pg_call *call)
{
    struct question *q = question_of(call);
    int before = q->statement;
    uint64_t names = q->names;
    bool failed = call->err.code || q->corrupt.code;
    if (!failed)
        q->statement = next_way(q);
    if (failed || (q->statement == before && q->names == names))
        end(q);
    else
        pg_question_ask(&q->q);
}

void pg_read_search(struct pg_read *read, struct index_search *search)
{
    const struct query *query = search->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct question *q = arena_make(search->arena, struct question, 1);
    *q = (struct question){
        .q.call = {.send = send_search, .answer = take_page, .done = searched},
        .search = search,
        .names = FEW,
    };
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        q->wanted = (struct str){folded, fold(query->name, folded)};
        q->like = like_of(search->arena, q->wanted);
    }
    if (query->by_trace)
        q->statement = query->by_name ? TRACE_NAME : TRACE;
    else if (!query->by_name)
        q->statement = ALL;
    else if (q->wanted.len == 0)
        q->statement = ANY_NAME;
    else
        q->statement = fold_points(q->wanted) < TRIGRAM ? NAMES_WITH : NAMES_LIKE;
    pg_question_begin(&q->q, read, &search->op);
}
