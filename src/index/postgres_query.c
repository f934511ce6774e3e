/* postgres_query.c - what a run_query asks; see postgres_question.h.
 *
 *   ask_look()     a piece of the index (postgres_look.h)
 *   have_look()    feedback and names of children, if the filter asks for those
 *   judge_main()   rows that fit are kept, until the page is full
 *   ask_trace()    a filter of the trace is a query of its own, inside of this one, that
 *                  ends with the first run that fits
 *
 * A look that finds too little goes on with the next, until all was looked at, or the step had
 * its share of rows or of time; then it ends, and so it does at the deadline, if it came any
 * further.  Each look is one statement, so it sees whole commits; between two of them others
 * have the connection.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/postgres_look.h"

enum {
    VERDICTS = 256,    /* about traces, that are remembered */
    SHARE_US = 250000, /* of a step, with what it waits for */
    TURN_US = 200000   /* in which rows are judged, while others of the loop wait */
};

/* --- what is under way ------------------------------------------------------------------ */

enum { FILTER_OF_TOP, FILTER_OF_TREE, TRACE_FILTERS };

struct verdict {
    struct uuid trace;
    bool known, fits;
};

struct asking {
    struct pg_question q;
    struct index_query *asked;
    struct pg_look main, inner;
    struct pg_look *now;        /* one of those */
    size_t at;                  /* row of the main look that is judged */
    struct query_cursor stands; /* all up to here is done with, */
    bool stood;                 /* if it is anything */
    int trace_filter;           /* which one the inner look is for */
    struct run_query of_trace;  /* its query */
    struct uuid trace;
    struct verdict verdicts[TRACE_FILTERS][VERDICTS];
    size_t verdict_count[TRACE_FILTERS];
    struct err err;
};

static struct asking *asking_of(struct pg_call *call)
{
    return op_owner(pg_question_of(call), struct asking, q);
}

static void end_page(struct asking *a, struct query_cursor at)
{
    a->asked->more = true;
    a->asked->next = at;
}

static void finish(struct asking *a)
{
    struct err err = a->q.call.err.code ? a->q.call.err : a->err;
    if (err.code == ERR_TIMEOUT && a->stood) {
        err = (struct err){0}; /* what was done is not done again */
        end_page(a, a->stands);
    }
    pg_look_end(&a->main);
    pg_look_end(&a->inner);
    pg_question_end(&a->q, &err);
}

/* --- filters of the trace --------------------------------------------------------------- */

static void ask_look(struct asking *a);

static void ask_trace(struct asking *a, int which, struct uuid trace)
{
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
    pg_look_end(&a->inner);
    pg_look_begin(&a->inner, &a->of_trace, true, INDEX_LOOK, a->asked->arena);
    a->now = &a->inner;
    ask_look(a);
}

/* What the filter says of the trace; false: that is asked for. */
static bool trace_is_known(struct asking *a, int which, struct uuid trace, bool *is)
{
    const struct verdict *verdicts = a->verdicts[which];
    for (size_t i = 0; i < VERDICTS; i++)
        if (verdicts[i].known && uuid_compare(verdicts[i].trace, trace) == 0) {
            *is = verdicts[i].fits;
            return true;
        }
    ask_trace(a, which, trace);
    return false;
}

/* --- what fits ---------------------------------------------------------------------------- */

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

/* Of the main look; false: something was asked for, or it failed. */
static bool judge_row(struct asking *a, const struct index_row *row, bool *is)
{
    const struct run_query *query = a->asked->query;
    const struct filter *filters[] = {query->trace_filter, query->tree_filter};
    if (pg_look_fits(&a->main, a->at, is, &a->err)) {
        finish(a);
        return false;
    }
    for (int which = 0; which < TRACE_FILTERS && *is; which++)
        if (filters[which] && !trace_is_known(a, which, row->trace, is))
            return false;
    return true;
}

static bool had_its_time(const struct asking *a)
{
    return clock_mono_us() - a->q.began_us >= SHARE_US;
}

static bool had_its_turn(int64_t began_us)
{
    return clock_mono_us() - began_us >= TURN_US;
}

/* Where traces are asked for, each row of a look takes its time. */
static bool asks_traces(const struct asking *a)
{
    return a->asked->query->trace_filter || a->asked->query->tree_filter;
}

static void stand(struct asking *a, struct query_cursor at)
{
    a->stands = at;
    a->stood = true;
}

/* The rows of a look, from `at` on; false: something was asked for, or it has ended. */
static bool judge_rows(struct asking *a)
{
    struct index_query *asked = a->asked;
    int64_t began_us = clock_mono_us();
    for (; a->at < a->main.count; a->at++) {
        const struct index_row *row = &a->main.rows[a->at];
        bool is;
        if (!judge_row(a, row, &is))
            return false; /* and on from here */
        if (is && asked->count == asked->query->limit) {
            end_page(a, a->stands);
            finish(a);
            return false;
        }
        if (is)
            keep(asked, row);
        stand(a, (struct query_cursor){row->start_us, row->id});
        if (had_its_turn(began_us) || (asks_traces(a) && had_its_time(a))) {
            end_page(a, a->stands);
            finish(a);
            return false;
        }
    }
    return true;
}

static void judge_main(struct asking *a)
{
    if (!judge_rows(a))
        return;
    if (a->main.over) {
        finish(a);
        return;
    }
    stand(a, a->main.cursor);
    if (a->main.looked >= a->asked->look || had_its_time(a)) {
        end_page(a, a->stands);
        finish(a);
    } else {
        pg_look_on(&a->main);
        ask_look(a);
    }
}

/* Is there one that fits among the rows of an inner look?  What a turn is too short for comes
 * with the next look. */
static int judge_trace(struct asking *a, bool *is)
{
    int64_t began_us = clock_mono_us();
    *is = false;
    for (size_t i = 0; i < a->inner.count && !*is; i++) {
        int r = pg_look_fits(&a->inner, i, is, &a->err);
        if (r)
            return r;
        if (!*is && i + 1 < a->inner.count && had_its_turn(began_us)) {
            pg_look_back(&a->inner, i);
            return 0;
        }
    }
    return 0;
}

static void judge_inner(struct asking *a)
{
    bool is;
    if (judge_trace(a, &is)) {
        finish(a);
        return;
    }
    if (!is && !a->inner.over) {
        pg_look_on(&a->inner);
        ask_look(a);
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

/* --- a look ---------------------------------------------------------------------------------- */

static void send_others(struct pg_call *call, struct pg_conn *conn)
{
    pg_look_send_others(asking_of(call)->now, conn);
}

static void take_others(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct asking *a = asking_of(call);
    pg_look_take_others(a->now, nth, a->q.read->pq, result);
}

static void have_others(struct pg_call *call)
{
    struct asking *a = asking_of(call);
    if (call->err.code)
        finish(a);
    else
        judge(a);
}

static void send_look(struct pg_call *call, struct pg_conn *conn)
{
    pg_look_send(asking_of(call)->now, conn);
}

static void take_look(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct asking *a = asking_of(call);
    (void)nth;
    pg_look_take(a->now, a->q.read->pq, result, &a->err);
}

static void have_look(struct pg_call *call)
{
    struct asking *a = asking_of(call);
    if (call->err.code || a->err.code) {
        finish(a);
        return;
    }
    if (a->now == &a->main)
        a->at = 0;
    if (!pg_look_wants_others(a->now)) {
        judge(a);
        return;
    }
    a->q.call = (struct pg_call){.send = send_others, .answer = take_others, .done = have_others};
    pg_question_ask(&a->q);
}

static void ask_look(struct asking *a)
{
    a->q.call = (struct pg_call){.send = send_look, .answer = take_look, .done = have_look};
    pg_question_ask(&a->q);
}

void pg_read_query(struct pg_read *read, struct index_query *asked)
{
    const struct run_query *query = asked->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX && asked->look >= 1);
    struct asking *a = arena_make(asked->arena, struct asking, 1);
    asked->rows = arena_make(asked->arena, struct index_row, query->limit);
    asked->count = 0;
    asked->more = false;
    a->asked = asked;
    a->now = &a->main;
    bool judged = query->filter || query->trace_filter || query->tree_filter;
    pg_look_begin(&a->main, query, judged, asked->look, asked->arena);
    a->q.call = (struct pg_call){.send = send_look, .answer = take_look, .done = have_look};
    pg_question_begin(&a->q, read, &asked->op);
}
