/* query.c - see query.h. */
#include "serve/query.h"

#include "base/arena.h"
#include "base/clock.h"
#include "serve/serve.h"

static void stepped(struct op *op);

static void ask(struct serve_query *query)
{
    struct index *index = query->serve->index;
    query->step = arena_new(4096);
    query->ask = (struct index_query){
        .op = {.loop = query->op.loop, .done = stepped},
        .query = &query->query,
        .look = query->serve->query_look,
        .arena = query->step,
    };
    index->ops->query(index, &query->ask);
}

void serve_query(struct serve_query *query)
{
    query->op.err = (struct err){0};
    query->late = false;
    if (query->began_us == 0)
        query->began_us = clock_mono_us();
    ask(query);
}

int64_t serve_query_began(const struct serve *serve, unsigned ms)
{
    int64_t before_ms = serve->query_ms > ms ? serve->query_ms - ms : 0;
    return clock_mono_us() - INT64_C(1000) * before_ms;
}

bool serve_query_is_late(const struct serve_query *query, struct err *err)
{
    if (!query->late)
        return false;
    err_set(err, ERR_TIMEOUT,
            "Not all was looked through in %u s: ask for one project, or for less time with "
            "start_time and end_time",
            query->serve->query_ms / 1000);
    return true;
}

static struct str copy(struct arena *arena, struct str text)
{
    return text.at ? arena_copy(arena, text) : text;
}

static void copy_rows(struct serve_query *query)
{
    struct index_row *rows = arena_make(query->arena, struct index_row, query->count + 1);
    for (size_t i = 0; i < query->count; i++) {
        const struct index_row *row = &query->rows[i];
        struct holder *holders = arena_make(query->arena, struct holder, row->holder_count + 1);
        if (row->holder_count > 0)
            memcpy(holders, row->holders, row->holder_count * sizeof *holders);
        rows[i] = *row;
        rows[i].holders = holders;
        rows[i].project_name = copy(query->arena, row->project_name);
        rows[i].facts = copy(query->arena, row->facts);
    }
    query->rows = rows;
}

/* A step has room for a whole page; of one that found little only that is kept. */
static void end_step(struct serve_query *query)
{
    if (query->count >= query->query.limit / 2 && query->count > 0) {
        arena_adopt(query->arena, query->step);
    } else {
        copy_rows(query);
        arena_free(query->step);
    }
    query->step = NULL;
}

static void stepped(struct op *op)
{
    struct serve_query *query = op_owner(op, struct serve_query, ask.op);
    query->op.err = op->err;
    query->count = op->err.code ? 0 : query->ask.count;
    query->rows = query->ask.rows;
    query->last = !op->err.code && !query->ask.more;
    if (!op->err.code && query->ask.more) {
        query->query.after = true;
        query->query.cursor = query->ask.next;
    }
    end_step(query);
    query->late =
        clock_mono_us() - query->began_us >= INT64_C(1000) * (int64_t)query->serve->query_ms;
    if (!op->err.code && query->left && *query->left)
        err_set(&query->op.err, ERR_UNAVAILABLE, "nobody waits for it any more");
    if (query->op.err.code || query->count > 0 || query->last || query->late)
        op_finish(&query->op);
    else
        ask(query);
}
