/* postgres_read.c - see postgres_read.h: one loop's readers, and questions under way. */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "index/postgres_question.h"

#define SETTINGS                                                                                   \
    "select set_config('statement_timeout', $1, false),"                                           \
    " set_config('default_transaction_isolation', 'read committed', false),"                       \
    " " PG_KEEPALIVES ","                                                                          \
    " set_config('plan_cache_mode', 'force_generic_plan', false),"                                 \
    " set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),"                \
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)"

/* Each set of statements, behind the other. */
static const struct pg_statement *gather(size_t *count)
{
    static const struct {
        const struct pg_statement *at;
        size_t count;
    } sets[] = {{pg_find_statements, PG_FIND_STATEMENTS},
                {pg_query_statements, PG_QUERY_STATEMENTS},
                {pg_entity_statements, PG_ENTITY_STATEMENTS},
                {pg_container_statements, PG_CONTAINER_STATEMENTS}};
    struct pg_statement *all = calloc(PG_FIND_STATEMENTS + PG_QUERY_STATEMENTS +
                                          PG_ENTITY_STATEMENTS + PG_CONTAINER_STATEMENTS,
                                      sizeof *all);
    if (!all)
        abort();
    *count = 0;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (size_t k = 0; k < sets[i].count; k++)
            all[(*count)++] = sets[i].at[k];
    return all;
}

struct pg_read *pg_read_new(const struct pg_read_config *config)
{
    struct pg_read *read = calloc(1, sizeof *read);
    if (!read)
        abort();
    read->config = *config;
    read->pq = pg_server_libpq(config->server);
    read->role.settings = SETTINGS;
    read->role.statements = gather(&read->role.count);
    read->pool = pg_pool_new(&(struct pg_pool_config){
        .server = config->server,
        .loop = config->loop,
        .role = &read->role,
        .connections = config->readers,
        .queue = config->queue,
        .timeout_ms = config->deadline_ms,
        .connect_ms = config->connect_ms,
    });
    return read;
}

void pg_read_free(struct pg_read *read)
{
    if (!read)
        return;
    pg_pool_free(read->pool);
    free((void *)(uintptr_t)read->role.statements);
    free(read);
}

/* --- questions ------------------------------------------------------------------- */

void *pg_question_new(size_t size)
{
    struct pg_question *q = calloc(1, size);
    if (!q)
        abort();
    q->own = true;
    return q;
}

void pg_question_end(struct pg_question *q, const struct err *err)
{
    struct op *asked = q->asked;
    if (!q->own) {
        metric_add(METRIC_INDEX_QUEUE_DEPTH, -1);
        metric_time(METRIC_INDEX_READ_SECONDS, (uint64_t)(clock_mono_us() - q->began_us));
        if (err->code == ERR_TIMEOUT)
            metric_add(METRIC_INDEX_READS_TIMEOUT, 1);
    }
    asked->err = *err; /* which may lie in `q` */
    if (q->own)
        free(q); /* the arena of who asked has the others */
    op_finish(asked);
}

void pg_question_done(struct pg_call *call)
{
    struct pg_question *q = pg_question_of(call);
    pg_question_end(q, &call->err);
}

void pg_question_ask(struct pg_question *q)
{
    q->call.deadline_us = q->deadline_us;
    if (pg_pool_ask(q->read->pool, &q->call))
        return;
    if (!q->own)
        metric_add(METRIC_INDEX_READS_REFUSED, 1);
    err_set(&q->call.err, ERR_BUSY, "too many reads are waiting for the index");
    q->call.done(&q->call);
}

void pg_question_begin(struct pg_question *q, struct pg_read *read, struct op *asked)
{
    q->read = read;
    q->asked = asked;
    q->began_us = clock_mono_us();
    if (!q->deadline_us)
        q->deadline_us = q->began_us + (int64_t)read->config.deadline_ms * 1000;
    if (!q->own) {
        metric_add(METRIC_INDEX_READS, 1);
        metric_add(METRIC_INDEX_QUEUE_DEPTH, 1);
    }
    pg_question_ask(q);
}

/* --- rows ------------------------------------------------------------------------- */

static struct str copy(struct arena *arena, struct str text)
{
    return text.at ? arena_copy(arena, text) : text;
}

int pg_take_row(const struct libpq *pq, const PGresult *result, int row, struct arena *arena,
                struct index_row *taken, struct err *err)
{
    struct holder holders[MERGE_HOLDERS];
    unsigned count = 0;
    int r = merge_read(pg_text(pq, result, row, 10), holders, &count, err);
    if (r)
        return r;
    struct str facts = pg_text(pq, result, row, 11);
    struct holder *kept = arena_make(arena, struct holder, count);
    memcpy(kept, holders, count * sizeof *kept);
    *taken = (struct index_row){
        .found = true,
        .id = pg_uuid(pq, result, row, 0),
        .trace = pg_uuid(pq, result, row, 1),
        .parent = pg_uuid(pq, result, row, 2),
        .project = pg_uuid(pq, result, row, 3),
        .project_name = copy(arena, pg_text(pq, result, row, 4)),
        .start_us = (int64_t)pg_long(pq, result, row, 5),
        .end_us = pg_null(pq, result, row, 6) ? RUN_RUNNING : (int64_t)pg_long(pq, result, row, 6),
        .type = (enum run_type)pg_int(pq, result, row, 7),
        .status = (enum run_status)pg_int(pq, result, row, 8),
        .version = pg_long(pq, result, row, 9),
        .project_version = pg_long(pq, result, row, 12),
        .silent = pg_int(pq, result, row, 13) != 0,
        .holders = kept,
        .holder_count = count,
        .size = merge_size(kept, count),
        .facts = facts.len ? copy(arena, facts) : (struct str){0},
    };
    return 0;
}
