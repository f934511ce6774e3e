/* histogram.c - see histogram.h.
 *
 *   serve_histogram()  ask for rows ⇢ counted(), and again
 */
#include "serve/histogram.h"

#include "base/arena.h"
#include "base/clock.h"
#include "serve/serve.h"

static const int64_t DAY_US = INT64_C(86400000000);

static void counted(struct op *op);

static void ask(struct serve_histogram *histogram)
{
    histogram->page = arena_new(64 << 10);
    histogram->rows.arena = histogram->page;
    serve_query(&histogram->rows);
}

void serve_histogram(struct serve_histogram *histogram)
{
    struct run_query *query = &histogram->query;
    if (query->start_min_us > INT64_MIN && query->start_max_us < INT64_MAX)
        histogram_of_range(&histogram->histogram, query->start_min_us, query->start_max_us,
                           histogram->buckets);
    else
        histogram_of_runs(&histogram->histogram, histogram->buckets);
    query->limit = QUERY_LIMIT_MAX;
    query->bare = true;
    histogram->rows = (struct serve_query){
        .op = {.loop = histogram->op.loop, .done = counted},
        .serve = histogram->serve,
        .query = *query,
        .left = histogram->left,
        .began_us = serve_query_began(histogram->serve, HISTOGRAM_MS),
    };
    ask(histogram);
}

/* Of no runs the last day is shown. */
static void end(struct serve_histogram *histogram, bool complete, const struct err *err)
{
    int64_t now_us = clock_now_us();
    if (histogram->histogram.used == 0)
        histogram_of_range(&histogram->histogram, now_us - DAY_US, now_us - 1, histogram->buckets);
    histogram->complete = complete;
    histogram->op.err = *err;
    op_finish(&histogram->op);
}

static void counted(struct op *op)
{
    struct serve_histogram *histogram = op_owner(op, struct serve_histogram, rows.op);
    const struct serve_query *rows = &histogram->rows;
    struct err err = op->err;
    for (size_t i = 0; !err.code && i < rows->count; i++)
        histogram_add(&histogram->histogram, rows->rows[i].start_us,
                      rows->rows[i].status == RUN_ERROR);
    bool all = !err.code && rows->last;
    arena_free(histogram->page);
    histogram->page = NULL;
    if (err.code == ERR_TIMEOUT)
        err = (struct err){0};
    if (op->err.code || rows->late || all)
        end(histogram, all, &err);
    else
        ask(histogram);
}
