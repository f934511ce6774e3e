/* commit.c - see commit.h.
 *
 * One group at a time:
 *
 *   begin()      take what waits; reserve places in the log
 *   staged()     the index has judged: append what it accepted
 *   appended()   it is durable: commit the rows
 *   committed()  it is visible: count the generation up, answer everyone
 *
 * What may go wrong:
 *
 *   - staging or appending fails: roll back, and the whole group fails; nothing
 *     of it is in the log.  Duplicates and conflicts of the group fail with it,
 *     since they may have been judged against rows that are gone.
 *   - the commit fails after the log was written: nobody is acknowledged, and
 *     the index is `behind`.  Before the next group the log's tail is replayed
 *     into it (recover.h); until that succeeds every batch is refused.
 *   - the sync fails: the process has ended (store.h).
 */
#include "ingest/commit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingest/recover.h"
#include "loop/loop.h"
#include "store/store.h"

enum { GROUP_RUNS = 10000, GROUP_BATCHES = STORE_GROUP_RECORDS };

struct commit {
    struct commit_config config;
    atomic_size_t waiting;
    _Atomic enum err_code trouble;

    /* Everything below belongs to the commit loop. */
    struct op *head, **tail; /* arrivals, oldest first */
    bool busy;               /* a group or a replay is on its way */
    bool behind;             /* the log holds records that the index has not */
    bool ending;             /* stop the loop when nothing is left to do */
    struct op wake;
    struct op retry, end;
    atomic_bool retrying;

    struct commit_batch *group[GROUP_BATCHES];
    struct store_record places[GROUP_BATCHES];
    struct index_batch judged[GROUP_BATCHES];
    struct store_record accepted[GROUP_BATCHES];
    size_t count;
    int64_t began_us, appended_us;
    struct err failed; /* why the group failed, while it is rolled back */

    struct index_stage stage;
    struct store_append append;
    struct index_commit commit;
    struct index_rollback rollback;
    struct recover recover;
};

static void begin(struct op *op);
static void retry(struct op *op);
static void end_soon(struct op *op);
static void staged(struct op *op);
static void appended(struct op *op);
static void committed(struct op *op);
static void rolled_back(struct op *op);
static void recovered(struct op *op);

struct commit *commit_new(const struct commit_config *config)
{
    struct commit *commit = calloc(1, sizeof *commit);
    if (!commit)
        abort();
    commit->config = *config;
    commit->tail = &commit->head;
    commit->wake = (struct op){.loop = config->loop, .done = begin};
    commit->retry = (struct op){.loop = config->loop, .done = retry};
    commit->end = (struct op){.loop = config->loop, .done = end_soon};
    commit->stage.op = (struct op){.loop = config->loop, .done = staged};
    commit->append.op = (struct op){.loop = config->loop, .done = appended};
    commit->commit.op = (struct op){.loop = config->loop, .done = committed};
    commit->rollback.op = (struct op){.loop = config->loop, .done = rolled_back};
    commit->recover = (struct recover){
        .op = {.loop = config->loop, .done = recovered},
        .index = config->index,
        .store = config->store,
    };
    return commit;
}

void commit_free(struct commit *commit)
{
    if (!commit)
        return;
    assert(!commit->head && !commit->busy);
    free(commit);
}

enum err_code commit_trouble(const struct commit *commit)
{
    return atomic_load_explicit(&commit->trouble, memory_order_relaxed);
}

size_t commit_waiting(const struct commit *commit)
{
    return atomic_load_explicit(&commit->waiting, memory_order_relaxed);
}

void commit_end(struct commit *commit)
{
    op_finish(&commit->end);
}

static void end_soon(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, end);
    commit->ending = true;
    if (!commit->busy)
        loop_stop(commit->config.loop);
}

void commit_retry(struct commit *commit)
{
    if (!atomic_exchange(&commit->retrying, true))
        op_finish(&commit->retry);
}

/* Repair the index if it is behind; else forget the trouble when the log can be
 * written as far as anyone can see, and let the next batch tell. */
static void retry(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, retry);
    struct store_sizes size;
    atomic_store(&commit->retrying, false);
    if (commit->busy || commit->ending)
        return;
    store_sizes(commit->config.store, &size);
    if (commit->behind) {
        commit->busy = true;
        commit->recover.op.err = (struct err){0};
        recover(&commit->recover);
    } else if (size.free_bytes > 0 && !size.broken) {
        atomic_store_explicit(&commit->trouble, ERR_OK, memory_order_relaxed);
    }
}

/* On the commit loop: queue the batch; begin once all that came with it is queued. */
static void arrived(struct op *op)
{
    struct commit_batch *batch = op_owner(op, struct commit_batch, arrival);
    struct commit *commit = batch->commit;
    op->next = NULL;
    *commit->tail = op;
    commit->tail = &op->next;
    if (!commit->busy) {
        commit->busy = true;
        op_finish(&commit->wake);
    }
}

void commit_submit(struct commit *commit, struct commit_batch *batch)
{
    size_t waiting = atomic_fetch_add_explicit(&commit->waiting, 1, memory_order_relaxed);
    if (waiting >= commit->config.queue_max) {
        atomic_fetch_sub_explicit(&commit->waiting, 1, memory_order_relaxed);
        op_fail(&batch->op, ERR_BUSY, "%zu batches are waiting to be stored", waiting);
        return;
    }
    batch->commit = commit;
    batch->arrival = (struct op){.loop = commit->config.loop, .done = arrived};
    op_finish(&batch->arrival);
}

/* Answer the whole group and go on. */
static void end(struct commit *commit, const struct err *err)
{
    if (err->code) {
        metric_add(METRIC_COMMIT_FAILED, 1);
        log_event(LOG_WARN, "commit_failed", LOG_C("reason", err->text));
    }
    if (err->code != ERR_TOO_BIG && err->code != ERR_BUSY) /* those are the batch's, not ours */
        atomic_store_explicit(&commit->trouble, commit->behind ? ERR_UNAVAILABLE : err->code,
                              memory_order_relaxed);
    for (size_t i = 0; i < commit->count; i++) {
        struct commit_batch *batch = commit->group[i];
        batch->verdict = commit->judged[i].verdict;
        batch->added = commit->judged[i].added;
        batch->conflict = commit->judged[i].conflict;
        batch->op.err = *err;
        atomic_fetch_sub_explicit(&commit->waiting, 1, memory_order_relaxed);
        op_finish(&batch->op);
    }
    metric_add(METRIC_COMMIT_BATCHES, (int64_t)commit->count);
    commit->count = 0;
    op_finish(&commit->wake);
}

/* Take what waits: as many batches as one write should hold, at least one. */
static void take_group(struct commit *commit)
{
    uint64_t bytes = 0;
    size_t runs = 0;
    while (commit->head && commit->count < GROUP_BATCHES) {
        struct commit_batch *batch = op_owner(commit->head, struct commit_batch, arrival);
        uint64_t size = store_size(batch->record);
        if (commit->count > 0 &&
            (bytes + size > STORE_GROUP_MAX || runs + batch->record->count > GROUP_RUNS))
            break;
        commit->head = commit->head->next;
        if (!commit->head)
            commit->tail = &commit->head;
        bytes += size;
        runs += batch->record->count;
        commit->group[commit->count] = batch;
        commit->places[commit->count] = (struct store_record){.record = batch->record};
        commit->count++;
    }
}

static void begin(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, wake);
    assert(commit->busy && commit->count == 0);
    if (!commit->head) {
        commit->busy = false;
        if (commit->ending)
            loop_stop(commit->config.loop);
        return;
    }
    if (commit->behind) {
        commit->recover.op.err = (struct err){0};
        recover(&commit->recover);
        return;
    }
    take_group(commit);
    commit->began_us = clock_mono_us();
    struct err err = {0};
    if (store_reserve(commit->config.store, commit->places, commit->count, &err)) {
        end(commit, &err);
        return;
    }
    for (size_t i = 0; i < commit->count; i++)
        commit->judged[i] = (struct index_batch){
            .record = commit->places[i].record,
            .first = commit->places[i].first,
            .sequence = commit->places[i].sequence,
        };
    commit->stage.op.err = (struct err){0};
    commit->stage.batches = commit->judged;
    commit->stage.count = commit->count;
    commit->config.index->ops->stage(commit->config.index, &commit->stage);
}

static void roll_back(struct commit *commit, const struct err *err)
{
    commit->failed = *err;
    commit->rollback.op.err = (struct err){0};
    commit->config.index->ops->rollback(commit->config.index, &commit->rollback);
}

static void staged(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, stage.op);
    metric_time(METRIC_INDEX_STAGE_SECONDS, (uint64_t)(clock_mono_us() - commit->began_us));
    if (op->err.code) {
        roll_back(commit, &op->err);
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < commit->count; i++)
        if (commit->judged[i].verdict == INDEX_ADDED)
            commit->accepted[count++] = commit->places[i];
    if (count == 0) {
        roll_back(commit, &(struct err){.code = ERR_OK}); /* nothing staged: just end it */
        return;
    }
    commit->append.op.err = (struct err){0};
    commit->append.records = commit->accepted;
    commit->append.count = count;
    commit->commit.sequence = commit->accepted[count - 1].sequence;
    store_append(commit->config.store, &commit->append);
}

static void appended(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, append.op);
    if (op->err.code) {
        roll_back(commit, &op->err);
        return;
    }
    commit->appended_us = clock_mono_us();
    commit->commit.op.err = (struct err){0};
    commit->config.index->ops->commit(commit->config.index, &commit->commit);
}

static void committed(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, commit.op);
    int64_t now_us = clock_mono_us();
    metric_time(METRIC_INDEX_COMMIT_SECONDS, (uint64_t)(now_us - commit->appended_us));
    if (op->err.code) {
        commit->behind = true;
        struct err err;
        err_set(&err, op->err.code == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE,
                "stored, but not indexed yet: %.150s", op->err.text);
        roll_back(commit, &err);
        return;
    }
    atomic_fetch_add_explicit(commit->config.generation, 1, memory_order_release);
    metric_add(METRIC_COMMIT_GROUPS, 1);
    metric_time(METRIC_COMMIT_SECONDS, (uint64_t)(now_us - commit->began_us));
    end(commit, &(struct err){.code = ERR_OK});
}

static void rolled_back(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, rollback.op);
    store_forget(commit->config.store);
    end(commit, &commit->failed);
}

/* The index was brought up to the log, or still cannot be: then what waits is
 * refused now rather than kept waiting. */
static void recovered(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, recover.op);
    metric_add(METRIC_REPLAYS, 1);
    if (op->err.code) {
        take_group(commit);
        for (size_t i = 0; i < commit->count; i++)
            commit->judged[i] = (struct index_batch){0};
        struct err err;
        err_set(&err, op->err.code == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE,
                "the index cannot follow the log: %.150s", op->err.text);
        end(commit, &err);
        return;
    }
    log_event(LOG_INFO, "index_caught_up", LOG_N("records", commit->recover.records));
    commit->behind = false;
    atomic_store_explicit(&commit->trouble, ERR_OK, memory_order_relaxed);
    atomic_fetch_add_explicit(commit->config.generation, 1, memory_order_release);
    op_finish(&commit->wake);
}
