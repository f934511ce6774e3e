/* stats.c - see stats.h.
 *
 *   serve_stats()  ask for rows ⇢ counted(), what was said of them ⇢ heard(), and again
 */
#include "serve/stats.h"

#include "base/arena.h"
#include "run/view.h"
#include "serve/fetch.h"
#include "serve/serve.h"

static void counted(struct op *op);
static void heard(struct op *op);

static void ask(struct serve_stats *stats)
{
    stats->page = arena_new(4096);
    stats->rows.arena = stats->page;
    serve_query(&stats->rows);
}

void serve_stats(struct serve_stats *stats)
{
    stats->stats = (struct stats){0};
    stats->tally = (struct feedback_tally){0};
    stats->usage = stats->query.root == QUERY_YES || stats->query.by_type;
    stats->rows = (struct serve_query){
        .op = {.loop = stats->op.loop, .done = counted},
        .serve = stats->serve,
        .query = stats->query,
        .left = stats->left,
    };
    stats->rows.query.limit = REMARKS_RUNS;
    ask(stats);
}

static void end(struct serve_stats *stats, const struct err *err)
{
    arena_free(stats->page);
    stats->page = NULL;
    stats->op.err = *err;
    op_finish(&stats->op);
}

/* The page was taken in. */
static void go_on(struct serve_stats *stats)
{
    struct err err = {0};
    if (stats->rows.last) {
        end(stats, &err);
        return;
    }
    if (serve_query_is_late(&stats->rows, &err)) {
        end(stats, &err);
        return;
    }
    arena_free(stats->page);
    ask(stats);
}

static void counted(struct op *op)
{
    struct serve_stats *stats = op_owner(op, struct serve_stats, rows.op);
    if (op->err.code) {
        end(stats, &op->err);
        return;
    }
    size_t count = stats->rows.count, said = 0;
    struct uuid *ids = arena_make(stats->page, struct uuid, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct view view;
        struct err err = {0};
        if (fetch_row(&stats->rows.rows[i], stats->page, &view, &err)) {
            end(stats, &err);
            return;
        }
        if (!stats->rows.rows[i].silent)
            ids[said++] = view.id;
        stats_add(&stats->stats, &view, stats->usage, stats->arena);
    }
    if (!stats->feedback || said == 0) {
        go_on(stats);
        return;
    }
    stats->remarks = (struct remarks){
        .op = {.loop = stats->op.loop, .done = heard},
        .index = stats->serve->index,
        .ids = ids,
        .count = said,
        .feedback = true,
        .sum = &stats->tally,
        .sum_arena = stats->arena,
        .arena = stats->page,
    };
    remarks_gather(&stats->remarks);
}

static void heard(struct op *op)
{
    struct serve_stats *stats = op_owner(op, struct serve_stats, remarks.op);
    if (op->err.code)
        end(stats, &op->err);
    else
        go_on(stats);
}
