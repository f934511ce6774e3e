/* commit.c - see commit.h.
 *
 *   begin()      take what waits; reserve places in the store
 *   staged()     the index has judged: append what it accepted
 *   appended()   it is durable: commit the rows
 *   committed()  it is visible: count the generation up, answer everyone
 *
 * A group takes these steps by itself; staging is one group at a time.
 *
 * What may go wrong:
 *
 *   - staging or appending fails: roll back, and the whole group fails.
 *     Duplicates and conflicts of the group fail with it, since they may have
 *     been judged against rows that are gone.
 *   - between judging and committing another node wrote one of the runs: the group
 *     is judged again.  Runs come in layers, perhaps by several nodes, so this is no
 *     exception: what was appended is kept, and as long as the same records are
 *     accepted only the rows are committed again.
 *   - other records are accepted then, or the container's number was taken: the
 *     group is judged again with new places.  What was appended is no row's, and
 *     goes with the garbage.
 *   - the commit fails after the log was written: nobody is acknowledged, and
 *     an index of one process is `behind`.  Before the next group the log's tail
 *     is replayed into it (recover.h); until that succeeds every batch is refused.
 *     The same when nobody knows whether the store kept the group.
 *   - a back end cannot be reached: what waits is refused with the group, rather
 *     than kept waiting for the same.
 *   - the sync fails: the process has ended (store.h).
 */
#include "ingest/commit.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "ingest/recover.h"
#include "loop/loop.h"
#include "loop/news.h"
#include "loop/watch.h"
#include "store/store.h"

enum {
    GROUP_RUNS = 10000,
    GROUP_BATCHES = STORE_GROUP_RECORDS,
    TOLD_AT_ONCE = 256,  /* ids of runs */
    PLACES_MAX = 4,      /* times that a group gets places */
    JUDGED_MAX = 8,      /* times that it is judged with the same; a container may be given up */
    JUDGED_US = 10000000 /* and all of this takes no longer */
};

struct group {
    struct commit *commit;
    bool busy;
    bool again;    /* it is to be judged again */
    bool appended; /* places and sequences hold, and so does what was accepted */
    unsigned placed_times, judged_times;
    int64_t taken_us;
    struct commit_batch *batches[GROUP_BATCHES];
    struct store_record places[GROUP_BATCHES];
    struct index_batch judged[GROUP_BATCHES];
    struct store_record accepted[GROUP_BATCHES];
    size_t count, accepted_count;
    int64_t began_us, appended_us;
    struct err failed; /* why the group failed, while it is rolled back */

    struct index_stage stage;
    struct store_append append;
    struct index_commit commit_rows;
    struct index_rollback rollback;
};

struct commit {
    struct commit_config config;
    atomic_size_t waiting;
    _Atomic enum err_code trouble;

    /* Everything below belongs to the commit loop. */
    struct op *head, **tail; /* arrivals, oldest first */
    uint64_t waiting_bytes;  /* of those */
    int64_t waiting_since_us;
    unsigned busy;   /* groups on their way */
    bool staging;    /* one of them is judged */
    bool recovering; /* a replay is on its way */
    bool behind;     /* the log holds records that the index has not */
    bool ending;     /* stop the loop when nothing is left to do */
    bool woken;      /* begin() is on its way */
    struct op wake;
    struct op retry, end;
    atomic_bool retrying;
    struct timer *flush; /* NULL with one group */
    struct recover recover;
    struct group *groups;
};

static void begin(struct op *op);
static void retry(struct op *op);
static void end_soon(struct op *op);
static void staged(struct op *op);
static void appended(struct op *op);
static void committed(struct op *op);
static void rolled_back(struct op *op);
static void recovered(struct op *op);

/* Look for something to do, soon. */
static void wake(struct commit *commit)
{
    if (!commit->woken) {
        commit->woken = true;
        op_finish(&commit->wake);
    }
}

static void flush(void *context)
{
    wake(context);
}

static void open_group(struct commit *commit, unsigned writer)
{
    struct group *g = &commit->groups[writer];
    struct loop *loop = commit->config.loop;
    g->commit = commit;
    g->stage = (struct index_stage){.op = {.loop = loop, .done = staged}, .writer = writer};
    g->append = (struct store_append){.op = {.loop = loop, .done = appended}};
    g->commit_rows =
        (struct index_commit){.op = {.loop = loop, .done = committed}, .writer = writer};
    g->rollback =
        (struct index_rollback){.op = {.loop = loop, .done = rolled_back}, .writer = writer};
}

struct commit *commit_new(const struct commit_config *config)
{
    struct commit *commit = calloc(1, sizeof *commit);
    if (!commit)
        abort();
    commit->config = *config;
    if (commit->config.groups == 0)
        commit->config.groups = 1;
    commit->groups = calloc(commit->config.groups, sizeof *commit->groups);
    if (!commit->groups)
        abort();
    commit->tail = &commit->head;
    commit->wake = (struct op){.loop = config->loop, .done = begin};
    commit->retry = (struct op){.loop = config->loop, .done = retry};
    commit->end = (struct op){.loop = config->loop, .done = end_soon};
    commit->recover = (struct recover){
        .op = {.loop = config->loop, .done = recovered},
        .index = config->index,
        .store = config->store,
    };
    for (unsigned i = 0; i < commit->config.groups; i++)
        open_group(commit, i);
    if (commit->config.groups > 1)
        commit->flush = timer_new(config->loop, flush, commit);
    return commit;
}

void commit_free(struct commit *commit)
{
    if (!commit)
        return;
    assert(!commit->head && !commit->busy && !commit->recovering);
    timer_free(commit->flush);
    free(commit->groups);
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
    wake(commit);
}

void commit_retry(struct commit *commit)
{
    if (!atomic_exchange(&commit->retrying, true))
        op_finish(&commit->retry);
}

static void start_recovery(struct commit *commit)
{
    commit->recovering = true;
    commit->recover.op.err = (struct err){0};
    recover(&commit->recover);
}

/* Repair the index if it is behind; else forget the trouble when the store can be
 * written as far as anyone can see, and let the next batch tell. */
static void retry(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, retry);
    struct store_sizes size;
    atomic_store(&commit->retrying, false);
    if (commit->busy || commit->recovering || commit->ending)
        return;
    store_sizes(commit->config.store, &size);
    if (commit->behind)
        start_recovery(commit);
    else if (size.free_bytes > 0 && !size.broken)
        atomic_store_explicit(&commit->trouble, ERR_OK, memory_order_relaxed);
}

/* On the commit loop: queue the batch; begin once all that came with it is queued. */
static void arrived(struct op *op)
{
    struct commit_batch *batch = op_owner(op, struct commit_batch, arrival);
    struct commit *commit = batch->commit;
    if (!commit->head)
        commit->waiting_since_us = clock_mono_us();
    op->next = NULL;
    *commit->tail = op;
    commit->tail = &op->next;
    commit->waiting_bytes += store_size(batch->record);
    if (commit->busy < commit->config.groups && !commit->recovering)
        wake(commit);
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

static void answer(struct commit *commit, struct commit_batch *batch, const struct err *err)
{
    batch->op.err = *err;
    atomic_fetch_sub_explicit(&commit->waiting, 1, memory_order_relaxed);
    metric_add(METRIC_COMMIT_BATCHES, 1);
    op_finish(&batch->op);
}

static struct commit_batch *take(struct commit *commit)
{
    struct commit_batch *batch = op_owner(commit->head, struct commit_batch, arrival);
    commit->head = commit->head->next;
    if (!commit->head)
        commit->tail = &commit->head;
    commit->waiting_bytes -= store_size(batch->record);
    return batch;
}

/* Whoever waits would wait for the same. */
static void refuse_waiting(struct commit *commit, const struct err *err)
{
    while (commit->head)
        answer(commit, take(commit), err);
}

static bool is_down(enum err_code code)
{
    return code == ERR_UNAVAILABLE || code == ERR_TIMEOUT;
}

/* Answer the whole group and go on. */
static void end(struct group *g, const struct err *err)
{
    struct commit *commit = g->commit;
    if (err->code) {
        metric_add(METRIC_COMMIT_FAILED, 1);
        log_event(LOG_WARN, "commit_failed", LOG_C("reason", err->text));
    }
    if (err->code != ERR_TOO_BIG && err->code != ERR_BUSY) /* those are the batch's, not ours */
        atomic_store_explicit(&commit->trouble, commit->behind ? ERR_UNAVAILABLE : err->code,
                              memory_order_relaxed);
    /* What was judged a duplicate may be another node's, and new to us; and a commit
     * whose end nobody knows may become visible. */
    if (commit->config.index->shared)
        atomic_fetch_add_explicit(commit->config.generation, 1, memory_order_release);
    for (size_t i = 0; i < g->count; i++) {
        struct commit_batch *batch = g->batches[i];
        batch->verdict = g->judged[i].verdict;
        batch->added = g->judged[i].added;
        batch->conflict = g->judged[i].conflict;
        batch->gone = g->judged[i].gone;
        answer(commit, batch, err);
    }
    g->count = 0;
    g->busy = g->again = false;
    commit->busy--;
    if (is_down(err->code) && !commit->behind) {
        struct err refused = *err;
        refused.code = ERR_UNAVAILABLE; /* of theirs nothing was tried */
        refuse_waiting(commit, &refused);
    }
    wake(commit);
}

/* Take what waits: as many batches as one write should hold, at least one. */
static void take_group(struct group *g)
{
    struct commit *commit = g->commit;
    uint64_t bytes = 0;
    size_t runs = 0;
    while (commit->head && g->count < GROUP_BATCHES) {
        const struct record *record = op_owner(commit->head, struct commit_batch, arrival)->record;
        uint64_t size = store_size(record);
        if (g->count > 0 && (bytes + size > STORE_GROUP_MAX || runs + record->count > GROUP_RUNS))
            break;
        bytes += size;
        runs += record->count;
        g->batches[g->count] = take(commit);
        g->places[g->count] = (struct store_record){.record = record};
        g->count++;
    }
    commit->waiting_since_us = clock_mono_us();
}

static void roll_back(struct group *g, const struct err *err)
{
    struct index *index = g->commit->config.index;
    g->failed = *err;
    g->rollback.op.err = (struct err){0};
    index->ops->rollback(index, &g->rollback);
}

static int place(struct group *g, struct err *err)
{
    g->placed_times++;
    g->judged_times = 1;
    return store_reserve(g->commit->config.store, g->places, g->count, err);
}

static void judge(struct group *g)
{
    struct commit *commit = g->commit;
    struct err err = {0};
    commit->staging = true;
    g->again = false;
    g->judged_times++;
    g->began_us = clock_mono_us();
    for (size_t i = 0; i < g->count; i++)
        g->judged[i] = (struct index_batch){0};
    if (!g->appended && place(g, &err)) {
        commit->staging = false;
        end(g, &err);
        return;
    }
    for (size_t i = 0; i < g->count; i++)
        g->judged[i] = (struct index_batch){
            .record = g->places[i].record,
            .first = g->places[i].first,
            .sequence = g->places[i].sequence,
        };
    g->stage.op.err = (struct err){0};
    g->stage.batches = g->judged;
    g->stage.count = g->count;
    commit->config.index->ops->stage(commit->config.index, &g->stage);
}

/* Has enough gathered for a further group beside those on their way? */
static bool is_time(struct commit *commit)
{
    if (commit->busy == 0 || commit->waiting_bytes >= commit->config.gather || commit->ending)
        return true;
    int64_t waited_us = clock_mono_us() - commit->waiting_since_us;
    int64_t flush_us = commit->config.flush_ms * INT64_C(1000);
    if (waited_us >= flush_us)
        return true;
    timer_start(commit->flush, (uint64_t)(flush_us - waited_us) / 1000 + 1);
    return false;
}

/* One that is to be judged again, or one that is free. */
static struct group *next_group(struct commit *commit)
{
    struct group *idle = NULL;
    for (unsigned i = 0; i < commit->config.groups; i++) {
        struct group *g = &commit->groups[i];
        if (g->again)
            return g;
        if (!g->busy && !idle)
            idle = g;
    }
    return idle;
}

static void begin(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, wake);
    commit->woken = false;
    if (commit->recovering || commit->staging)
        return; /* it wakes us */
    struct group *g = next_group(commit);
    if (g && g->again) {
        judge(g);
        return;
    }
    if (!commit->head) {
        if (commit->ending && commit->busy == 0)
            loop_stop(commit->config.loop);
        return;
    }
    if (commit->behind) {
        if (commit->busy == 0)
            start_recovery(commit);
        return;
    }
    if (!g || !is_time(commit))
        return;
    take_group(g);
    g->busy = true;
    g->appended = false;
    g->placed_times = 0;
    g->taken_us = clock_mono_us();
    commit->busy++;
    judge(g);
}

/* Are these the records that were accepted the last time? */
static bool accept(struct group *g)
{
    size_t count = 0;
    bool same = true;
    for (size_t i = 0; i < g->count; i++) {
        if (g->judged[i].verdict != INDEX_ADDED)
            continue;
        same =
            same && count < g->accepted_count && g->accepted[count].record == g->places[i].record;
        g->accepted[count++] = g->places[i];
    }
    same = same && count == g->accepted_count;
    g->accepted_count = count;
    return same;
}

static void append(struct group *g)
{
    g->append.op.err = (struct err){0};
    g->append.records = g->accepted;
    g->append.count = g->accepted_count;
    store_append(g->commit->config.store, &g->append);
}

static void commit_rows(struct group *g)
{
    struct index *index = g->commit->config.index;
    g->appended_us = clock_mono_us();
    g->commit_rows.op.err = (struct err){0};
    g->commit_rows.sequence = g->accepted[g->accepted_count - 1].sequence;
    index->ops->commit(index, &g->commit_rows);
}

static void staged(struct op *op)
{
    struct group *g = op_owner(op, struct group, stage.op);
    struct commit *commit = g->commit;
    metric_time(METRIC_INDEX_STAGE_SECONDS, (uint64_t)(clock_mono_us() - g->began_us));
    commit->staging = false;
    if (commit->config.groups > 1)
        wake(commit);
    if (op->err.code) {
        roll_back(g, &op->err);
        return;
    }
    bool same = accept(g);
    if (g->accepted_count == 0) {
        roll_back(g, &(struct err){.code = ERR_OK}); /* nothing staged: just end it */
    } else if (!g->appended) {
        append(g);
    } else if (same) {
        commit_rows(g);
    } else {
        g->appended = false;
        roll_back(g, &(struct err){.code = ERR_CONFLICT});
    }
}

static void appended(struct op *op)
{
    struct group *g = op_owner(op, struct group, append.op);
    struct index *index = g->commit->config.index;
    if (op->err.code) {
        /* It may be in the store after all: then an index that follows must have it. */
        if (op->err.code == ERR_TIMEOUT && !index->shared)
            g->commit->behind = true;
        roll_back(g, &op->err);
        return;
    }
    g->appended = true;
    commit_rows(g);
}

static void tell_of(struct news *news, const struct record *record)
{
    struct uuid ids[TOLD_AT_ONCE];
    size_t count = 0;
    for (uint32_t i = 0; i < record->count; i++) {
        struct uuid id = record_about(record, i);
        if (!uuid_is_zero(id))
            ids[count++] = id;
        if (count == TOLD_AT_ONCE || i + 1 == record->count) {
            news_tell(news, ids, count);
            count = 0;
        }
    }
}

/* For who follows live.  A run that was there already may be told again. */
static void tell(const struct group *g)
{
    struct news *news = g->commit->config.news;
    if (!news || !news_is_wanted(news))
        return;
    for (size_t i = 0; i < g->accepted_count; i++)
        tell_of(news, g->accepted[i].record);
}

static void committed(struct op *op)
{
    struct group *g = op_owner(op, struct group, commit_rows.op);
    struct commit *commit = g->commit;
    int64_t now_us = clock_mono_us();
    metric_time(METRIC_INDEX_COMMIT_SECONDS, (uint64_t)(now_us - g->appended_us));
    if (op->err.code && commit->config.index->shared) {
        roll_back(g, &op->err);
        return;
    }
    if (op->err.code) {
        commit->behind = true;
        struct err err;
        err_set(&err, op->err.code == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE,
                "stored, but not indexed yet: %.150s", op->err.text);
        roll_back(g, &err);
        return;
    }
    if (!commit->config.index->shared) /* else end() does, for everybody */
        atomic_fetch_add_explicit(commit->config.generation, 1, memory_order_release);
    tell(g);
    metric_add(METRIC_COMMIT_GROUPS, 1);
    metric_time(METRIC_COMMIT_SECONDS, (uint64_t)(now_us - g->began_us));
    end(g, &(struct err){.code = ERR_OK});
}

static void rolled_back(struct op *op)
{
    struct group *g = op_owner(op, struct group, rollback.op);
    struct commit *commit = g->commit;
    bool came_first = g->failed.code == ERR_CONFLICT;
    if (came_first && g->judged_times == JUDGED_MAX)
        g->appended = false;
    if (!came_first || !g->appended)
        store_forget(commit->config.store);
    if (came_first && (g->appended || g->placed_times < PLACES_MAX) &&
        clock_mono_us() - g->taken_us < JUDGED_US) {
        g->again = true;
        wake(commit);
        return;
    }
    if (came_first) /* no batch of it is to blame */
        err_set(&g->failed, ERR_BUSY, "Other nodes came first, again and again; try again");
    end(g, &g->failed);
}

/* The index was brought up to the log, or still cannot be: then what waits is
 * refused now rather than kept waiting. */
static void recovered(struct op *op)
{
    struct commit *commit = op_owner(op, struct commit, recover.op);
    metric_add(METRIC_REPLAYS, 1);
    commit->recovering = false;
    if (op->err.code) {
        struct err err;
        err_set(&err, op->err.code == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE,
                "the index cannot follow the log: %.150s", op->err.text);
        metric_add(METRIC_COMMIT_FAILED, 1);
        log_event(LOG_WARN, "commit_failed", LOG_C("reason", err.text));
        atomic_store_explicit(&commit->trouble, ERR_UNAVAILABLE, memory_order_relaxed);
        refuse_waiting(commit, &err);
    } else {
        log_event(LOG_INFO, "index_caught_up", LOG_N("records", commit->recover.records));
        commit->behind = false;
        atomic_store_explicit(&commit->trouble, ERR_OK, memory_order_relaxed);
        atomic_fetch_add_explicit(commit->config.generation, 1, memory_order_release);
    }
    wake(commit);
}
