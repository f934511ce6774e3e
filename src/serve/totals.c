/* totals.c - see totals.h.
 *
 *   totals_gather()  ask for the rows of a trace ⇢ counted(), its next rows, the next trace
 */
#include "serve/totals.h"

#include "base/arena.h"
#include "run/view.h"
#include "serve/fetch.h"

static void counted(struct op *op);

static void ask(struct totals *totals)
{
    totals->page = arena_new(4096);
    totals->rows.arena = totals->page;
    serve_query(&totals->rows);
}

static void end(struct totals *totals, const struct err *err)
{
    arena_free(totals->page);
    totals->page = NULL;
    totals->op.err = *err;
    op_finish(&totals->op);
}

/* The next trace; its time is that of all of them. */
static void next(struct totals *totals)
{
    if (totals->at == totals->count) {
        end(totals, &(struct err){0});
        return;
    }
    totals->models = false;
    totals->rows = (struct serve_query){
        .op = {.loop = totals->op.loop, .done = counted},
        .serve = totals->serve,
        .left = totals->left,
        .query = {.by_trace = true,
                  .trace = totals->views[totals->at].trace,
                  .start_min_us = INT64_MIN,
                  .start_max_us = INT64_MAX,
                  .limit = QUERY_LIMIT_MAX},
        .began_us = totals->began_us,
    };
    ask(totals);
}

void totals_gather(struct totals *totals)
{
    totals->at = 0;
    totals->began_us = 0;
    totals->stats = arena_make(totals->arena, struct stats, totals->count + 1);
    next(totals);
}

static int count_row(struct totals *totals, const struct index_row *row, struct err *err)
{
    struct view view;
    int r = fetch_row(row, totals->page, &view, err);
    if (r)
        return r;
    if (stats_is_model(&view) && view.facts)
        for (unsigned i = 0; i < FACTS_NUMBERS; i++)
            totals->models |= view.facts->usage.has[i];
    stats_add(&totals->stats[totals->at], &view, false, totals->arena);
    return 0;
}

static void counted(struct op *op)
{
    struct totals *totals = op_owner(op, struct totals, rows.op);
    struct err err = op->err;
    totals->began_us = totals->rows.began_us;
    for (size_t i = 0; !err.code && i < totals->rows.count; i++)
        (void)count_row(totals, &totals->rows.rows[i], &err);
    bool all = totals->rows.last && totals->at + 1 == totals->count;
    if (err.code || (!all && serve_query_is_late(&totals->rows, &err))) {
        end(totals, &err);
        return;
    }
    arena_free(totals->page);
    totals->page = NULL;
    if (!totals->rows.last) {
        ask(totals);
        return;
    }
    struct view *top = &totals->views[totals->at];
    if (!totals->models)
        stats_add_usage(&totals->stats[totals->at], top, totals->arena);
    top->totals = &totals->stats[totals->at++];
    next(totals);
}
