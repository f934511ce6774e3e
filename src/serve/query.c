/* query.c - see query.h. */
#include "serve/query.h"

#include "base/clock.h"

static void answered(struct op *op);

static void ask(struct serve_query *query)
{
    query->ask = (struct index_query){
        .op = {.loop = query->op.loop, .done = answered},
        .query = &query->query,
        .arena = query->arena,
    };
    query->index->ops->query(query->index, &query->ask);
}

void serve_query(struct serve_query *query)
{
    query->op.err = (struct err){0};
    if (query->began_us == 0)
        query->began_us = clock_mono_us();
    ask(query);
}

bool serve_query_is_late(const struct serve_query *query, struct err *err)
{
    if (clock_mono_us() - query->began_us <= INT64_C(1000) * QUERY_MS)
        return false;
    err_set(err, ERR_TIMEOUT,
            "Not all was looked through in %d s: ask for one project, or for less time with "
            "start_time and end_time",
            QUERY_MS / 1000);
    return true;
}

static void answered(struct op *op)
{
    struct serve_query *query = op_owner(op, struct serve_query, ask.op);
    if (op->err.code) {
        query->op.err = op->err;
        op_finish(&query->op);
        return;
    }
    query->rows = query->ask.rows;
    query->count = query->ask.count;
    query->last = !query->ask.more;
    if (query->ask.more) {
        query->query.after = true;
        query->query.cursor = query->ask.next;
    }
    if (query->count > 0 || query->last || serve_query_is_late(query, &query->op.err))
        op_finish(&query->op);
    else
        ask(query);
}
