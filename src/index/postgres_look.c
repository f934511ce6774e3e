/* postgres_look.c - see postgres_look.h. */
#include "index/postgres_look.h"

#include <stdlib.h>

#include "base/arena.h"
#include "index/postgres_part.h"
#include "index/subject.h"
#include "run/facts.h"

enum {
    LOOK_FIRST = 256, /* rows of a look */
    LOOK_MAX = 16384,
    LOOK_FULL = 256, /* a look that found so many is not followed by a larger one */
    WALK_MAX = 1024  /* looked at before all with the terms are gathered */
};

/* --- statements --------------------------------------------------------------------- */

/* $1, $2 the cursor, $3 how far the start goes, $4 rows of a look; $14, $15 parts and ids. */
#define NAMED "(select n.id from rundlet_names n where n.hash = sha256($13::bytea))"
#define TEST                                                                                       \
    "($5::uuid is null or r.trace = $5)"                                                           \
    " and ($6::uuid is null"                                                                       \
    " or coalesce(r.parent, '00000000-0000-0000-0000-000000000000') = $6)"                         \
    " and ($7::int4 is null or r.type = $7)"                                                       \
    " and ($8::int4 is null or (r.parent is null)::int4 = $8)"                                     \
    " and ($9::int4 is null or (r.status = 2)::int4 = $9)"                                         \
    " and ($10::int8[] is null or r.terms @> $10)"                                                 \
    " and ($11::int8[] is null or r.terms && $11)"                                                 \
    " and ($12::uuid[] is null or r.project = any($12))"                                           \
    " and ($13::bytea is null or r.name = " NAMED ")"
#define HAS_TERMS "r.terms <> '{}'" /* as the index says */
#define KEYS "select r.part, r.id, r.start_us, (" TEST ") as fits from rundlet_runs r"

#define NEWER_FIRST "order by r.start_us desc, r.id desc limit $4"
#define OLDER_FIRST "order by r.start_us, r.id limit $4"
#define BELOW "(r.start_us, r.id) < ($1, $2) and r.start_us >= $3"
#define ABOVE "(r.start_us, r.id) > ($1, $2) and r.start_us <= $3"

#define WALK(condition, bound, order) KEYS " where " condition bound " " order
#define EACH(list, condition, bound, order)                                                        \
    "select r.* from (" list ") a cross join lateral (" KEYS " where " condition " and " bound     \
    " " order ") r " order
#define GATHER(condition, bound, order)                                                            \
    "select r.* from (" KEYS " where " condition " offset 0) r where r.fits and " bound " " order

/* Those that fit, and of all that were looked at how many there were, and the last. */
#define LOOK(what, last)                                                                           \
    "with w as materialized (" what "), l as (select count(*) over () as n, start_us, id from w"   \
    " order by start_us " last ", id " last " limit 1)"                                            \
    " select " PG_COLUMNS("1") ", l.n, l.start_us, l.id from l left join lateral ("                \
                               " select r.* from w cross join lateral (select r.*, project_name, " \
                               "project_version from " PG_RUNS                                     \
                               " where r.part = w.part and r.id = w.id and " PG_NOT_GONE           \
                               ") r where w.fits) r on true"

#define PROJECTS "select distinct u from unnest($12::uuid[]) u"
#define IDS "select distinct part, id from unnest($14::int4[], $15::uuid[]) as u (part, id)"

/* Each in both orders. */
#define BOTH(shape, name, kind, ...)                                                               \
    [2 * (shape)] = {name "_down", LOOK(kind(__VA_ARGS__, BELOW, NEWER_FIRST), "asc")},            \
         [2 * (shape) + 1] = {name "_up", LOOK(kind(__VA_ARGS__, ABOVE, OLDER_FIRST), "desc")}

enum { FEEDBACK = 2 * PG_SHAPES, CHILDREN, STATEMENTS };
_Static_assert((int)STATEMENTS == (int)PG_QUERY_STATEMENTS, "all are prepared");

const struct pg_statement pg_query_statements[STATEMENTS] = {
    BOTH(PG_BY_IDS, "ids", EACH, IDS, "r.part = a.part and r.id = a.id"),
    BOTH(PG_BY_TRACE, "of_trace", WALK, "r.trace = $5 and "),
    BOTH(PG_BY_PARENT, "of_parent", WALK, "r.parent = $6 and "),
    BOTH(PG_BY_ROOT, "roots", EACH, PROJECTS, "r.project = a.u and r.parent is null"),
    BOTH(PG_BY_PROJECT, "of_project", EACH, PROJECTS, "r.project = a.u"),
    BOTH(PG_BY_START, "by_start", WALK, ""),
    BOTH(PG_BY_NAME, "of_name", WALK, "r.name = " NAMED " and "),
    BOTH(PG_BY_TERMS, "with_terms", GATHER, "r.terms @> $10 and " HAS_TERMS),
    BOTH(PG_BY_ANY, "with_any", GATHER, "r.terms && $11 and " HAS_TERMS),
    [FEEDBACK] = {"feedback_of", "select w.n, e.name, e.json"
                                 " from unnest($1::uuid[]) with ordinality as w (id, n)"
                                 " join rundlet_entities e on e.parent = w.id and e.kind = 1"
                                 " where not e.removed order by w.n"},
    [CHILDREN] = {"children_of", "select w.n, r.facts"
                                 " from unnest($1::uuid[]) with ordinality as w (id, n)"
                                 " cross join lateral (select r.facts from " PG_RUNS
                                 " where r.parent = w.id and " PG_NOT_GONE ") r order by w.n"},
};

/* --- a look: what is asked ------------------------------------------------------------- */

static bool is_walk(enum pg_shape shape)
{
    return shape == PG_BY_ROOT || shape == PG_BY_PROJECT || shape == PG_BY_START;
}

static enum pg_shape shape_of(const struct pg_narrow *n)
{
    const struct run_query *q = &n->query;
    if (q->id_count > 0)
        return PG_BY_IDS;
    if (q->by_trace)
        return PG_BY_TRACE;
    if (q->by_parent && !uuid_is_zero(q->parent))
        return PG_BY_PARENT;
    if (q->project_count > 0)
        return q->root == QUERY_YES ? PG_BY_ROOT : PG_BY_PROJECT;
    return PG_BY_START;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void pg_look_begin(struct pg_look *look, const struct run_query *query, bool judged, uint32_t most,
                   struct arena *arena)
{
    *look = (struct pg_look){.arena = arena_new(1 << 14)};
    pg_narrow(query, arena, &look->narrow);
    const struct run_query *q = &look->narrow.query;
    struct query_cursor *cursor = &look->cursor;
    look->shape = shape_of(&look->narrow);
    look->most = least(most, LOOK_MAX);
    look->size = least(judged ? LOOK_FIRST : query->limit + 1, look->most);
    look->limit_us = q->oldest_first ? q->start_max_us : q->start_min_us;
    if (q->after) {
        *cursor = q->cursor;
    } else if (q->oldest_first) { /* no run starts at the beginning of time */
        *cursor = (struct query_cursor){.start_us = INT64_MIN};
    } else {
        *cursor = (struct query_cursor){.start_us = INT64_MAX};
    }
    /* What is outside of the range need not be looked at. */
    if (!q->oldest_first && q->start_max_us < INT64_MAX && cursor->start_us > q->start_max_us)
        *cursor = (struct query_cursor){.start_us = q->start_max_us + 1};
    if (q->oldest_first && q->start_min_us > INT64_MIN && cursor->start_us < q->start_min_us) {
        *cursor = (struct query_cursor){.start_us = q->start_min_us - 1};
        memset(cursor->id.byte, 0xff, sizeof cursor->id.byte);
    }
}

static void add_numbers(struct pg_args *args, const uint64_t *numbers, size_t count)
{
    if (count == 0) {
        pg_add_null(args);
        return;
    }
    pg_begin_array(args, PG_LONG, count);
    for (size_t i = 0; i < count; i++)
        pg_put_long(args, numbers[i]);
    pg_end_array(args);
}

static void add_ids(struct pg_args *args, const struct uuid *ids, size_t count)
{
    if (count == 0) {
        pg_add_null(args);
        return;
    }
    pg_begin_array(args, PG_UUID, count);
    for (size_t i = 0; i < count; i++)
        pg_put_bytes(args, (struct str){(const char *)ids[i].byte, sizeof ids[i].byte});
    pg_end_array(args);
}

static void add_id(struct pg_args *args, bool asked, struct uuid id)
{
    if (asked)
        pg_add_uuid(args, id);
    else
        pg_add_null(args);
}

static void add_int(struct pg_args *args, bool asked, int32_t number)
{
    if (asked)
        pg_add_int(args, number);
    else
        pg_add_null(args);
}

static void add_tests(struct pg_args *args, const struct pg_narrow *n)
{
    const struct run_query *q = &n->query;
    add_id(args, q->by_trace, q->trace);
    add_id(args, q->by_parent, q->parent);
    add_int(args, q->by_type, (int32_t)q->type);
    add_int(args, q->root != QUERY_EITHER, q->root == QUERY_YES);
    add_int(args, q->error != QUERY_EITHER, q->error == QUERY_YES);
    add_numbers(args, n->all, n->all_count);
    add_numbers(args, n->any, n->any_count);
    add_ids(args, q->projects, q->project_count);
    pg_add_text(args, n->name);
}

void pg_look_send(const struct pg_look *look, struct pg_conn *conn)
{
    const struct run_query *q = &look->narrow.query;
    struct pg_args args = {0};
    pg_add_long(&args, (uint64_t)look->cursor.start_us);
    pg_add_uuid(&args, look->cursor.id);
    pg_add_long(&args, (uint64_t)look->limit_us);
    pg_add_long(&args, look->size);
    add_tests(&args, &look->narrow);
    if (look->shape == PG_BY_IDS) {
        pg_begin_array(&args, PG_INT, q->id_count);
        for (size_t i = 0; i < q->id_count; i++)
            pg_put_int(&args, part_of(q->ids[i]));
        pg_end_array(&args);
        add_ids(&args, q->ids, q->id_count);
    }
    pg_send(conn, &pg_query_statements[2 * look->shape + (q->oldest_first ? 1 : 0)], &args);
    pg_args_free(&args);
}

void pg_look_end(struct pg_look *look)
{
    arena_free(look->arena);
    *look = (struct pg_look){0};
}

/* --- a look: what came back -------------------------------------------------------------- */

static int row_order(const void *a, const void *b, void *query)
{
    return query_order(query, a, b);
}

void pg_look_take(struct pg_look *look, const struct libpq *pq, const PGresult *result,
                  struct err *err)
{
    int count = pq->PQntuples(result);
    arena_free(look->arena);
    look->arena = arena_new(1 << 14);
    look->count = 0;
    look->feedback = NULL;
    look->children = NULL;
    look->rows = arena_make(look->arena, struct index_row, (size_t)count + 1);
    uint64_t looked = count > 0 ? pg_long(pq, result, 0, PG_COLUMN_COUNT) : 0;
    look->over = looked < look->size;
    look->looked += looked;
    if (count == 0)
        return;
    look->cursor = (struct query_cursor){
        .start_us = (int64_t)pg_long(pq, result, 0, PG_COLUMN_COUNT + 1),
        .id = pg_uuid(pq, result, 0, PG_COLUMN_COUNT + 2),
    };
    for (int row = 0; row < count && !err->code; row++)
        if (!pg_null(pq, result, row, 0) &&
            pg_take_row(pq, result, row, look->arena, &look->rows[look->count], err) == 0)
            look->count++;
    qsort_r(look->rows, look->count, sizeof *look->rows, row_order, &look->narrow.query);
}

/* --- what other rows say ------------------------------------------------------------------- */

static bool asks_feedback(const struct filter *filter)
{
    return filter_asks(filter, FILTER_FEEDBACK_KEY) || filter_asks(filter, FILTER_FEEDBACK_SCORE);
}

static bool asks_children(const struct filter *filter)
{
    return filter_asks(filter, FILTER_CHILD_RUN_NAME);
}

bool pg_look_wants_others(const struct pg_look *look)
{
    const struct filter *filter = look->narrow.query.filter;
    return look->count > 0 && (asks_feedback(filter) || asks_children(filter));
}

void pg_look_send_others(const struct pg_look *look, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_UUID, look->count);
    for (size_t i = 0; i < look->count; i++)
        pg_put_bytes(&args, (struct str){(const char *)look->rows[i].id.byte, 16});
    pg_end_array(&args);
    if (asks_feedback(look->narrow.query.filter))
        pg_send(conn, &pg_query_statements[FEEDBACK], &args);
    if (asks_children(look->narrow.query.filter))
        pg_send(conn, &pg_query_statements[CHILDREN], &args);
    pg_args_free(&args);
}

/* Which of the look's rows it is about; they come in that order. */
static bool row_of(const struct pg_look *look, const struct libpq *pq, const PGresult *result,
                   int row, size_t *n)
{
    uint64_t nth = pg_long(pq, result, row, 0);
    *n = (size_t)nth - 1;
    return nth >= 1 && nth <= look->count;
}

static void take_feedback(struct pg_look *look, const struct libpq *pq, const PGresult *result)
{
    int count = pq->PQntuples(result);
    struct filter_pair *pairs = arena_make(look->arena, struct filter_pair, (size_t)count + 1);
    look->feedback = arena_make(look->arena, const struct filter_pair *, look->count + 1);
    look->feedback_count = arena_make(look->arena, size_t, look->count + 1);
    for (int row = 0; row < count; row++) {
        struct entity entity = {.json = pg_text(pq, result, row, 2)};
        size_t n;
        if (!row_of(look, pq, result, row, &n))
            continue;
        pairs[row].key = arena_copy(look->arena, pg_text(pq, result, row, 1));
        entity_score(&entity, &pairs[row].value);
        if (look->feedback_count[n]++ == 0)
            look->feedback[n] = &pairs[row];
    }
}

static void take_children(struct pg_look *look, const struct libpq *pq, const PGresult *result)
{
    int count = pq->PQntuples(result);
    struct str *names = arena_make(look->arena, struct str, (size_t)count + 1);
    size_t named = 0;
    look->children = arena_make(look->arena, const struct str *, look->count + 1);
    look->child_count = arena_make(look->arena, size_t, look->count + 1);
    for (int row = 0; row < count; row++) {
        struct facts facts;
        struct filter_subject subject = {0};
        struct str bytes = pg_text(pq, result, row, 1);
        size_t n;
        if (!row_of(look, pq, result, row, &n) || bytes.len == 0)
            continue;
        if (facts_read(arena_copy(look->arena, bytes), look->arena, &facts, NULL))
            continue;
        facts_subject(&facts, &subject);
        if (!subject.cells[FILTER_NAME].present)
            continue;
        if (look->child_count[n]++ == 0)
            look->children[n] = &names[named];
        names[named++] = subject.cells[FILTER_NAME].value.text;
    }
}

void pg_look_take_others(struct pg_look *look, unsigned nth, const struct libpq *pq,
                         const PGresult *result)
{
    if (nth == 0 && asks_feedback(look->narrow.query.filter))
        take_feedback(look, pq, result);
    else
        take_children(look, pq, result);
}

/* --- what fits ---------------------------------------------------------------------------- */

static bool is_example(const struct run_query *query, const struct filter_subject *subject)
{
    const struct filter_cell *cell = &subject->cells[FILTER_REFERENCE_EXAMPLE_ID];
    for (size_t i = 0; i < query->example_count && cell->present; i++)
        if (uuid_compare(query->examples[i], cell->value.uuid) == 0)
            return true;
    return query->example_count == 0;
}

int pg_look_fits(const struct pg_look *look, size_t row, bool *is, struct err *err)
{
    const struct run_query *query = &look->narrow.query;
    struct filter_subject subject;
    *is = !query->filter && query->example_count == 0;
    if (*is || subject_of(&look->rows[row], look->arena, &subject, NULL))
        return 0;
    if (look->feedback) {
        subject.feedback = look->feedback[row];
        subject.feedback_count = look->feedback_count[row];
    }
    if (look->children) {
        subject.child_names = look->children[row];
        subject.child_count = look->child_count[row];
    }
    *is = is_example(query, &subject);
    return *is && query->filter ? filter_match(query->filter, &subject, is, err) : 0;
}

void pg_look_back(struct pg_look *look, size_t row)
{
    look->cursor = (struct query_cursor){look->rows[row].start_us, look->rows[row].id};
    look->over = false;
}

void pg_look_on(struct pg_look *look)
{
    const struct pg_narrow *n = &look->narrow;
    if (look->count < LOOK_FULL)
        look->size = least(4 * look->size, look->most);
    if (!is_walk(look->shape) || look->looked < WALK_MAX)
        return;
    if (n->all_count > 0 || n->any_count > 0) {
        look->shape = n->all_count > 0 ? PG_BY_TERMS : PG_BY_ANY;
        look->size = look->most; /* all of them are gathered for each look, whatever its size */
    } else if (n->name.at) {
        look->shape = PG_BY_NAME;
    }
}
