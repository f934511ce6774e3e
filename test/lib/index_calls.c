/* index_calls.c - see index_calls.h. */
#include "lib/index_calls.h"

#include <assert.h>
#include <stddef.h>
#include <uv.h>

static void done(struct op *op)
{
    struct calls *calls = loop_uv(op->loop)->data;
    calls->done = true;
}

static struct op begin(struct calls *calls)
{
    loop_uv(calls->loop)->data = calls;
    calls->done = false;
    return (struct op){.loop = calls->loop, .done = done};
}

static int wait_for(struct calls *calls, struct op *op)
{
    while (!calls->done)
        uv_run(loop_uv(calls->loop), UV_RUN_ONCE);
    calls->err = op->err;
    return (int)op->err.code;
}

void calls_open(struct calls *calls, struct index *index)
{
    *calls = (struct calls){.index = index};
    int r = loop_open(0, "calls", &calls->loop, &calls->err);
    assert(r == 0);
    (void)r;
    calls_use(calls, index);
}

void calls_use(struct calls *calls, struct index *index)
{
    calls->index = index;
    int r = index->ops->attach(index, calls->loop, &calls->err);
    assert(r == 0);
    (void)r;
}

void calls_close(struct calls *calls)
{
    loop_close(calls->loop);
}

int calls_stage(struct calls *calls, struct index_batch *batches, size_t count)
{
    struct index_stage stage = {.op = begin(calls), .batches = batches, .count = count};
    calls->index->ops->stage(calls->index, &stage);
    return wait_for(calls, &stage.op);
}

int calls_commit(struct calls *calls, uint64_t sequence)
{
    struct index_commit commit = {.op = begin(calls), .sequence = sequence};
    calls->index->ops->commit(calls->index, &commit);
    return wait_for(calls, &commit.op);
}

int calls_rollback(struct calls *calls)
{
    struct index_rollback rollback = {.op = begin(calls)};
    calls->index->ops->rollback(calls->index, &rollback);
    return wait_for(calls, &rollback.op);
}

uint64_t calls_mark(struct calls *calls)
{
    struct index_mark mark = {.op = begin(calls)};
    calls->index->ops->mark(calls->index, &mark);
    int r = wait_for(calls, &mark.op);
    assert(r == 0);
    (void)r;
    return mark.sequence;
}

int calls_durable(struct calls *calls, uint64_t *sequence)
{
    struct index_durable durable = {.op = begin(calls)};
    calls->index->ops->durable(calls->index, &durable);
    int r = wait_for(calls, &durable.op);
    *sequence = durable.sequence;
    return r;
}

int calls_find(struct calls *calls, const struct uuid *ids, size_t count, struct arena *arena,
               struct index_row **rows)
{
    struct index_find find = {
        .op = begin(calls), .ids = ids, .count = count, .facts = true, .arena = arena};
    calls->index->ops->find(calls->index, &find);
    int r = wait_for(calls, &find.op);
    *rows = find.rows;
    return r;
}

int calls_follow(struct calls *calls, uint64_t *commits)
{
    struct index_follow follow = {.op = begin(calls)};
    calls->index->ops->follow(calls->index, &follow);
    int r = wait_for(calls, &follow.op);
    *commits = follow.commits;
    return r;
}

int calls_search(struct calls *calls, const struct query *query, struct arena *arena,
                 struct index_search *result)
{
    *result = (struct index_search){.op = begin(calls), .query = query, .arena = arena};
    calls->index->ops->search(calls->index, result);
    return wait_for(calls, &result->op);
}

int calls_query(struct calls *calls, const struct run_query *query, struct arena *arena,
                struct index_query *result)
{
    *result = (struct index_query){.op = begin(calls),
                                   .query = query,
                                   .look = calls->look ? calls->look : INDEX_LOOK,
                                   .arena = arena};
    calls->index->ops->query(calls->index, result);
    return wait_for(calls, &result->op);
}

int calls_entities(struct calls *calls, struct index_entities *asked)
{
    asked->op = begin(calls);
    calls->index->ops->entities(calls->index, asked);
    return wait_for(calls, &asked->op);
}
