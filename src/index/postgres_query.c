/* postgres_query.c - what a run_query asks, in looks at a piece of an index each; see
 * postgres_question.h.
 *
 *   send_look()    the next so many rows of the narrowest index, and those of them that SQL
 *                  knows to fit (postgres_terms.h narrows)
 *   send_others()  feedback and names of children, if the filter asks for those
 *   judge()        the rest, by filter_match(); rows that fit are kept
 *   ask_trace()    a filter of the trace is a query of its own, inside of this one, that
 *                  ends with the first run that fits
 *
 * A look that finds nothing goes on with a larger one, until the page is full, all was
 * looked at, or the deadline passed.  What has to be found by its terms is first sought
 * among the newest; if it is rare there, all runs with the terms are gathered.
 *
 * Each look is one statement, so it sees whole commits.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/postgres_part.h"
#include "index/postgres_question.h"
#include "index/postgres_terms.h"
#include "index/subject.h"
#include "run/facts.h"

enum {
    LOOK_FIRST = 256, /* rows of a look */
    LOOK_MAX = 16384,
    LOOK_FULL = 256,  /* a look that found so many is not followed by a larger one */
    WALK_MAX = 2048,  /* looked at before all with the terms are gathered */
    ENOUGH = 1 << 16, /* looked at: a page that is not empty ends */
    VERDICTS = 256    /* about traces, that are remembered */
};

/* --- statements --------------------------------------------------------------------- */

/* $1, $2 the cursor, $3 how far the start goes, $4 rows of a look; $13, $14 parts and ids. */
#define TEST                                                                                       \
    "($5::uuid is null or r.trace = $5)"                                                           \
    " and ($6::uuid is null"                                                                       \
    " or coalesce(r.parent, '00000000-0000-0000-0000-000000000000') = $6)"                         \
    " and ($7::int4 is null or r.type = $7)"                                                       \
    " and ($8::int4 is null or (r.parent is null)::int4 = $8)"                                     \
    " and ($9::int4 is null or (r.status = 2)::int4 = $9)"                                         \
    " and ($10::int8[] is null or r.terms @> $10)"                                                 \
    " and ($11::int8[] is null or r.terms && $11)"                                                 \
    " and ($12::uuid[] is null or r.project = any($12))"
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
    "select r.* from (" KEYS " where " condition " and " TEST " offset 0) r where " bound " " order

/* Those that fit, and of all that were looked at how many there were, and the last. */
#define LOOK(what, last)                                                                           \
    "with w as materialized (" what "), l as (select count(*) over () as n, start_us, id from w"   \
    " order by start_us " last ", id " last " limit 1)"                                            \
    " select " PG_COLUMNS(                                                                         \
        "1") ", l.n, l.start_us, l.id from l left join lateral ("                                  \
             " select r.* from w cross join lateral (select r.*, project_name from " PG_RUNS       \
             " where r.part = w.part and r.id = w.id and " PG_NOT_GONE                             \
             ") r where w.fits) r on true"

#define PROJECTS "select distinct u from unnest($12::uuid[]) u"
#define IDS "select distinct part, id from unnest($13::int4[], $14::uuid[]) as u (part, id)"

/* Each in both orders. */
#define BOTH(shape, name, kind, ...)                                                               \
    [2 * (shape)] = {name "_down", LOOK(kind(__VA_ARGS__, BELOW, NEWER_FIRST), "asc")},            \
         [2 * (shape) + 1] = {name "_up", LOOK(kind(__VA_ARGS__, ABOVE, OLDER_FIRST), "desc")}

enum shape { BY_IDS, BY_TRACE, BY_PARENT, BY_ROOT, BY_PROJECT, BY_START, BY_TERMS, BY_ANY, SHAPES };
enum { FEEDBACK = 2 * SHAPES, CHILDREN, STATEMENTS };
_Static_assert((int)STATEMENTS == (int)PG_QUERY_STATEMENTS, "all are prepared");

const struct pg_statement pg_query_statements[STATEMENTS] = {
    BOTH(BY_IDS, "ids", EACH, IDS, "r.part = a.part and r.id = a.id"),
    BOTH(BY_TRACE, "of_trace", WALK, "r.trace = $5 and "),
    BOTH(BY_PARENT, "of_parent", WALK, "r.parent = $6 and "),
    BOTH(BY_ROOT, "roots", EACH, PROJECTS, "r.project = a.u and r.parent is null"),
    BOTH(BY_PROJECT, "of_project", EACH, PROJECTS, "r.project = a.u"),
    BOTH(BY_START, "by_start", WALK, ""),
    BOTH(BY_TERMS, "with_terms", GATHER, "r.terms @> $10"),
    BOTH(BY_ANY, "with_any", GATHER, "r.terms && $11"),
    [FEEDBACK] = {"feedback_of", "select w.n, e.name, e.json"
                                 " from unnest($1::uuid[]) with ordinality as w (id, n)"
                                 " join rundlet_entities e on e.parent = w.id and e.kind = 1"
                                 " where not e.removed order by w.n"},
    [CHILDREN] = {"children_of", "select w.n, r.facts"
                                 " from unnest($1::uuid[]) with ordinality as w (id, n)"
                                 " cross join lateral (select r.facts from " PG_RUNS
                                 " where r.parent = w.id and " PG_NOT_GONE ") r order by w.n"},
};

/* --- what is under way ------------------------------------------------------------------ */

/* One run_query, and how far it is. */
struct look {
    struct pg_narrow narrow;
    struct query_cursor cursor;
    int64_t limit_us; /* of the start, at the other end */
    enum shape shape;
    uint32_t size;   /* rows to be looked at */
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

enum { FILTER_OF_TOP, FILTER_OF_TREE, TRACE_FILTERS };

struct verdict {
    struct uuid trace;
    bool known, fits;
};

struct asking {
    struct pg_question q;
    struct index_query *asked;
    struct look main, inner;
    struct look *now;          /* one of those */
    size_t at;                 /* row of the main look that is judged */
    int trace_filter;          /* which one the inner look is for */
    struct run_query of_trace; /* its query */
    struct uuid trace;
    struct verdict verdicts[TRACE_FILTERS][VERDICTS];
    size_t verdict_count[TRACE_FILTERS];
    uint64_t looked;
    struct err err;
};

static struct asking *asking_of(struct pg_call *call)
{
    return op_owner(pg_question_of(call), struct asking, q);
}

static const struct libpq *pq_of(const struct asking *a)
{
    return a->q.read->pq;
}

static void look_end(struct look *look)
{
    arena_free(look->arena);
    *look = (struct look){0};
}

static void finish(struct asking *a)
{
    struct err err = a->q.call.err.code ? a->q.call.err : a->err;
    look_end(&a->main);
    look_end(&a->inner);
    pg_question_end(&a->q, &err);
}

/* --- a look: what is asked ------------------------------------------------------------- */

static bool is_walk(enum shape shape)
{
    return shape == BY_ROOT || shape == BY_PROJECT || shape == BY_START;
}

static enum shape shape_of(const struct pg_narrow *n)
{
    const struct run_query *q = &n->query;
    if (q->id_count > 0)
        return BY_IDS;
    if (q->by_trace)
        return BY_TRACE;
    if (q->by_parent && !uuid_is_zero(q->parent))
        return BY_PARENT;
    if (q->project_count > 0)
        return q->root == QUERY_YES ? BY_ROOT : BY_PROJECT;
    return BY_START;
}

static void look_begin(struct look *look, const struct run_query *query, struct arena *arena)
{
    *look = (struct look){.arena = arena_new(1 << 14)};
    pg_narrow(query, arena, &look->narrow);
    const struct run_query *q = &look->narrow.query;
    struct query_cursor *cursor = &look->cursor;
    look->shape = shape_of(&look->narrow);
    look->size = query->filter ? LOOK_FIRST : query->limit + 1;
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
}

static void send_look(struct pg_call *call, struct pg_conn *conn)
{
    const struct look *look = asking_of(call)->now;
    const struct run_query *q = &look->narrow.query;
    struct pg_args args = {0};
    pg_add_long(&args, (uint64_t)look->cursor.start_us);
    pg_add_uuid(&args, look->cursor.id);
    pg_add_long(&args, (uint64_t)look->limit_us);
    pg_add_long(&args, look->size);
    add_tests(&args, &look->narrow);
    if (look->shape == BY_IDS) {
        pg_begin_array(&args, PG_INT, q->id_count);
        for (size_t i = 0; i < q->id_count; i++)
            pg_put_int(&args, part_of(q->ids[i]));
        pg_end_array(&args);
        add_ids(&args, q->ids, q->id_count);
    }
    pg_send(conn, &pg_query_statements[2 * look->shape + (q->oldest_first ? 1 : 0)], &args);
    pg_args_free(&args);
}

/* --- a look: what came back -------------------------------------------------------------- */

static int row_order(const void *a, const void *b, void *query)
{
    return query_order(query, a, b);
}

static void take_look(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct asking *a = asking_of(call);
    struct look *look = a->now;
    const struct libpq *pq = pq_of(a);
    int count = pq->PQntuples(result);
    (void)nth;
    arena_free(look->arena);
    look->arena = arena_new(1 << 14);
    look->count = 0;
    look->feedback = NULL;
    look->children = NULL;
    look->rows = arena_make(look->arena, struct index_row, (size_t)count + 1);
    uint64_t looked = count > 0 ? pg_long(pq, result, 0, PG_COLUMN_COUNT) : 0;
    look->over = looked < look->size;
    look->looked += looked;
    a->looked += looked;
    if (count == 0)
        return;
    look->cursor = (struct query_cursor){
        .start_us = (int64_t)pg_long(pq, result, 0, PG_COLUMN_COUNT + 1),
        .id = pg_uuid(pq, result, 0, PG_COLUMN_COUNT + 2),
    };
    for (int row = 0; row < count && !a->err.code; row++)
        if (!pg_null(pq, result, row, 0) &&
            pg_take_row(pq, result, row, look->arena, &look->rows[look->count], &a->err) == 0)
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

static void send_others(struct pg_call *call, struct pg_conn *conn)
{
    const struct look *look = asking_of(call)->now;
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
static bool row_of(const struct asking *a, const PGresult *result, int row, size_t *n)
{
    uint64_t nth = pg_long(pq_of(a), result, row, 0);
    *n = (size_t)nth - 1;
    return nth >= 1 && nth <= a->now->count;
}

static void take_feedback(struct asking *a, const PGresult *result)
{
    struct look *look = a->now;
    const struct libpq *pq = pq_of(a);
    int count = pq->PQntuples(result);
    struct filter_pair *pairs = arena_make(look->arena, struct filter_pair, (size_t)count + 1);
    look->feedback = arena_make(look->arena, const struct filter_pair *, look->count + 1);
    look->feedback_count = arena_make(look->arena, size_t, look->count + 1);
    for (int row = 0; row < count; row++) {
        struct entity entity = {.json = pg_text(pq, result, row, 2)};
        size_t n;
        if (!row_of(a, result, row, &n))
            continue;
        pairs[row].key = arena_copy(look->arena, pg_text(pq, result, row, 1));
        entity_score(&entity, &pairs[row].value);
        if (look->feedback_count[n]++ == 0)
            look->feedback[n] = &pairs[row];
    }
}

static void take_children(struct asking *a, const PGresult *result)
{
    struct look *look = a->now;
    const struct libpq *pq = pq_of(a);
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
        if (!row_of(a, result, row, &n) || bytes.len == 0)
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

static void take_others(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct asking *a = asking_of(call);
    if (nth == 0 && asks_feedback(a->now->narrow.query.filter))
        take_feedback(a, result);
    else
        take_children(a, result);
}

/* --- what fits --------------------------------------------------------------------------------- */

static bool is_example(const struct run_query *query, const struct filter_subject *subject)
{
    const struct filter_cell *cell = &subject->cells[FILTER_REFERENCE_EXAMPLE_ID];
    for (size_t i = 0; i < query->example_count && cell->present; i++)
        if (uuid_compare(query->examples[i], cell->value.uuid) == 0)
            return true;
    return query->example_count == 0;
}

/* All but the filters of its trace. */
static bool fits(const struct look *look, size_t row)
{
    const struct run_query *query = &look->narrow.query;
    struct filter_subject subject;
    if (!query->filter && query->example_count == 0)
        return true;
    if (subject_of(&look->rows[row], look->arena, &subject, NULL))
        return false;
    if (look->feedback) {
        subject.feedback = look->feedback[row];
        subject.feedback_count = look->feedback_count[row];
    }
    if (look->children) {
        subject.child_names = look->children[row];
        subject.child_count = look->child_count[row];
    }
    return is_example(query, &subject) && (!query->filter || filter_match(query->filter, &subject));
}

static void ask_look(struct asking *a);

/* What the filter says of the trace; if that is not known, ask. */
static bool trace_is_known(struct asking *a, int which, struct uuid trace, bool *is)
{
    const struct verdict *verdicts = a->verdicts[which];
    for (size_t i = 0; i < VERDICTS; i++)
        if (verdicts[i].known && uuid_compare(verdicts[i].trace, trace) == 0) {
            *is = verdicts[i].fits;
            return true;
        }
    const struct run_query *query = a->asked->query;
    a->trace_filter = which;
    a->trace = trace;
    a->of_trace = (struct run_query){
        .by_trace = true,
        .trace = trace,
        .ids = which == FILTER_OF_TOP ? &a->trace : NULL,
        .id_count = which == FILTER_OF_TOP,
        .start_min_us = INT64_MIN,
        .start_max_us = INT64_MAX,
        .filter = which == FILTER_OF_TOP ? query->trace_filter : query->tree_filter,
        .limit = 1,
    };
    look_end(&a->inner);
    look_begin(&a->inner, &a->of_trace, a->asked->arena);
    a->now = &a->inner;
    ask_look(a);
    return false;
}

static struct str copy(struct arena *arena, struct str text)
{
    return text.at ? arena_copy(arena, text) : text;
}

static void keep(struct index_query *asked, const struct index_row *row)
{
    struct index_row *kept = &asked->rows[asked->count++];
    struct holder *holders = arena_make(asked->arena, struct holder, row->holder_count);
    memcpy(holders, row->holders, row->holder_count * sizeof *holders);
    *kept = *row;
    kept->holders = holders;
    kept->project_name = copy(asked->arena, row->project_name);
    kept->facts = copy(asked->arena, row->facts);
}

/* Of the main look; false: something was asked for. */
static bool judge_row(struct asking *a, const struct index_row *row, bool *is)
{
    const struct run_query *query = a->asked->query;
    const struct filter *filters[] = {query->trace_filter, query->tree_filter};
    *is = fits(&a->main, a->at);
    for (int which = 0; which < TRACE_FILTERS && *is; which++)
        if (filters[which] && !trace_is_known(a, which, row->trace, is))
            return false;
    return true;
}

/* The next look is a larger one, if this one found little; or one by terms, if what is
 * sought is rare. */
static void look_on(struct asking *a)
{
    struct look *look = a->now;
    const struct pg_narrow *n = &look->narrow;
    if (look->count < LOOK_FULL)
        look->size = look->size < LOOK_MAX / 4 ? 4 * look->size : LOOK_MAX;
    if (is_walk(look->shape) && look->looked >= WALK_MAX && (n->all_count > 0 || n->any_count > 0))
        look->shape = n->all_count > 0 ? BY_TERMS : BY_ANY;
    ask_look(a);
}

static void judge_main(struct asking *a)
{
    struct index_query *asked = a->asked;
    struct look *look = &a->main;
    for (; a->at < look->count; a->at++) {
        const struct index_row *row = &look->rows[a->at];
        bool is;
        if (!judge_row(a, row, &is))
            return; /* and on from here */
        if (is && asked->count == asked->query->limit) {
            const struct index_row *last = &asked->rows[asked->count - 1];
            asked->more = true;
            asked->next = (struct query_cursor){last->start_us, last->id};
            finish(a);
            return;
        }
        if (is)
            keep(asked, row);
    }
    asked->more = !look->over && asked->count > 0 && a->looked >= ENOUGH;
    asked->next = look->cursor;
    if (look->over || asked->more)
        finish(a);
    else
        look_on(a);
}

static void judge_inner(struct asking *a)
{
    bool is = false;
    for (size_t i = 0; i < a->inner.count && !is; i++)
        is = fits(&a->inner, i);
    if (!is && !a->inner.over) {
        look_on(a);
        return;
    }
    size_t n = a->verdict_count[a->trace_filter]++ % VERDICTS;
    a->verdicts[a->trace_filter][n] = (struct verdict){a->trace, true, is};
    a->now = &a->main;
    judge_main(a);
}

static void judge(struct asking *a)
{
    if (a->now == &a->main)
        judge_main(a);
    else
        judge_inner(a);
}

static void have_others(struct pg_call *call)
{
    struct asking *a = asking_of(call);
    if (call->err.code)
        finish(a);
    else
        judge(a);
}

static void have_look(struct pg_call *call)
{
    struct asking *a = asking_of(call);
    const struct filter *filter = a->now->narrow.query.filter;
    if (call->err.code || a->err.code) {
        finish(a);
        return;
    }
    if (a->now == &a->main)
        a->at = 0;
    if (a->now->count > 0 && (asks_feedback(filter) || asks_children(filter))) {
        a->q.call =
            (struct pg_call){.send = send_others, .answer = take_others, .done = have_others};
        pg_question_ask(&a->q);
        return;
    }
    judge(a);
}

static void ask_look(struct asking *a)
{
    a->q.call = (struct pg_call){.send = send_look, .answer = take_look, .done = have_look};
    pg_question_ask(&a->q);
}

void pg_read_query(struct pg_read *read, struct index_query *asked)
{
    const struct run_query *query = asked->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct asking *a = arena_make(asked->arena, struct asking, 1);
    asked->rows = arena_make(asked->arena, struct index_row, query->limit);
    asked->count = 0;
    asked->more = false;
    a->asked = asked;
    a->now = &a->main;
    look_begin(&a->main, query, asked->arena);
    if (query->trace_filter || query->tree_filter)
        a->main.size = LOOK_FIRST;
    a->q.call = (struct pg_call){.send = send_look, .answer = take_look, .done = have_look};
    pg_question_begin(&a->q, read, &asked->op);
}
