/* recover.c - see recover.h.
 *
 *   recover()   ask the index for its mark
 *   marked()    collect the next records of the log behind it; none: done
 *   sift()      of a shared index: which of their containers were given up?
 *   staged()    all of them must fit: they did before, if they were committed
 *   committed() and on with the next ones; if a node came first, sift() again
 *
 * What is damaged ends it, or, when what is sound is to be saved, is counted.
 *
 * Collecting copies the records, since a walk lends them only for a moment; a
 * group is as large as one that is committed.
 */
#include "ingest/recover.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/metric.h"
#include "index/index.h"
#include "store/store.h"

enum { GROUP_RECORDS = 1024, GROUP_RUNS = 10000, TRIES = 32 /* while nodes come first */ };

struct journey {
    struct recover *recover;
    struct arena *arena; /* of this group */
    struct record *records;
    struct index_batch *batches;
    size_t count, cap, bytes, runs;
    uint64_t reached;     /* sequence of the last record that was looked at */
    uint64_t *containers; /* of the batches, one for each; in the arena, as are: */
    bool *known, *condemned;
    unsigned tries; /* of this group */
    bool again;     /* it is rolled back to be judged once more */
    struct index_mark mark;
    struct index_known ask;
    struct index_stage stage;
    struct index_commit commit;
    struct index_rollback rollback;
};

static void marked(struct op *op);
static void sifted(struct op *op);
static void staged(struct op *op);
static void committed(struct op *op);
static void rolled_back(struct op *op);
static void sift(struct journey *j);
static void next(struct journey *j);

static void end(struct journey *j)
{
    struct recover *recover = j->recover;
    store_walk_end(recover->store);
    arena_free(j->arena);
    free(j->records);
    free(j->batches);
    free(j);
    op_finish(&recover->op);
}

void recover(struct recover *recover)
{
    struct journey *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->recover = recover;
    struct loop *loop = recover->op.loop;
    j->mark.op = (struct op){.loop = loop, .done = marked};
    j->ask.op = (struct op){.loop = loop, .done = sifted};
    j->stage.op = (struct op){.loop = loop, .done = staged};
    j->commit.op = (struct op){.loop = loop, .done = committed};
    j->rollback.op = (struct op){.loop = loop, .done = rolled_back};
    recover->records = recover->runs = recover->refused = recover->lost = 0;
    recover->damaged = false;
    recover->index->ops->mark(recover->index, &j->mark);
}

static void marked(struct op *op)
{
    struct journey *j = op_owner(op, struct journey, mark.op);
    if (op->err.code) {
        j->recover->op.err = op->err;
        end(j);
        return;
    }
    j->recover->sequence = j->mark.sequence;
    struct store_sizes size;
    store_sizes(j->recover->store, &size);
    if (j->mark.sequence > size.last_sequence) {
        err_set(&j->recover->op.err, ERR_CORRUPT,
                "the index knows record %" PRIu64 ", but the log ends at %" PRIu64
                ": if the log is right, run `rundlet reindex`",
                j->mark.sequence, size.last_sequence);
        end(j);
        return;
    }
    next(j);
}

static void grow(struct journey *j)
{
    if (j->count < j->cap)
        return;
    j->cap = j->cap ? 2 * j->cap : GROUP_RECORDS;
    j->records = realloc(j->records, j->cap * sizeof *j->records);
    j->batches = realloc(j->batches, j->cap * sizeof *j->batches);
    if (!j->records || !j->batches)
        abort();
}

/* Keep a copy of runs that follow each other in a record. */
static void keep(struct journey *j, const struct record *record, uint32_t from, uint32_t count,
                 struct place first, uint64_t sequence)
{
    grow(j);
    j->records[j->count] = count == record->count ? record_copy(record, j->arena)
                                                  : record_copy_some(record, from, count, j->arena);
    j->batches[j->count++] = (struct index_batch){.first = {first.container, first.ordinal + from},
                                                  .sequence = sequence};
    j->bytes += record_weight(&j->records[j->count - 1]);
    j->runs += count;
}

/* Of a record that may be damaged, the runs that are sound. */
static void keep_sound(struct journey *j, const struct record *record, struct place first,
                       uint64_t sequence)
{
    for (uint32_t i = 0, n; i < record->count; i += n) {
        struct run run;
        for (n = 0; i + n < record->count && !record_run(record, i + n, &run, NULL);)
            n++;
        if (n > 0) {
            keep(j, record, i, n, first, sequence);
            continue;
        }
        j->recover->lost++;
        n = 1;
    }
}

/* One record; stop the walk when the group is full. */
static int collect(void *context, const struct record *record, struct place first,
                   uint64_t sequence, struct err *err)
{
    struct journey *j = context;
    (void)err;
    j->reached = sequence;
    if (j->recover->salvage)
        keep_sound(j, record, first, sequence);
    else
        keep(j, record, 0, record->count, first, sequence);
    return j->count >= GROUP_RECORDS || j->bytes > STORE_GROUP_MAX || j->runs > GROUP_RUNS ? -1 : 0;
}

static void damaged(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    struct journey *j = context;
    (void)file;
    (void)offset;
    (void)why;
    j->recover->damaged |= lost;
}

static void next(struct journey *j)
{
    struct recover *recover = j->recover;
    arena_free(j->arena);
    j->arena = arena_new(1024);
    j->count = j->bytes = j->runs = 0;
    j->reached = recover->sequence;
    int r = store_walk(recover->store, recover->sequence, collect,
                       recover->salvage ? damaged : NULL, j, &recover->op.err);
    struct store_sizes size;
    store_sizes(recover->store, &size);
    if (r == 0 && recover->salvage && j->reached < size.last_sequence)
        j->reached = size.last_sequence; /* behind what is lost at the end */
    if (r > 0 || (j->count == 0 && j->reached == recover->sequence)) {
        end(j);
        return;
    }
    recover->op.err.code = ERR_OK;
    for (size_t i = 0; i < j->count; i++)
        j->batches[i].record = &j->records[i];
    j->tries = 0;
    sift(j);
}

static void stage(struct journey *j)
{
    j->stage.batches = j->batches;
    j->stage.count = j->count;
    j->recover->index->ops->stage(j->recover->index, &j->stage);
}

static void sift(struct journey *j)
{
    if (!j->recover->index->shared || j->count == 0) {
        stage(j);
        return;
    }
    j->containers = arena_make(j->arena, uint64_t, j->count);
    j->known = arena_make(j->arena, bool, j->count);
    j->condemned = arena_make(j->arena, bool, j->count);
    for (size_t i = 0; i < j->count; i++)
        j->containers[i] = j->batches[i].first.container;
    j->ask.containers = j->containers;
    j->ask.known = j->known;
    j->ask.condemned = j->condemned;
    j->ask.count = j->count;
    j->recover->index->ops->known(j->recover->index, &j->ask);
}

static void sifted(struct op *op)
{
    struct journey *j = op_owner(op, struct journey, ask.op);
    if (op->err.code) {
        j->recover->op.err = op->err;
        end(j);
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < j->count; i++)
        if (!j->condemned[i])
            j->batches[kept++] = j->batches[i];
    j->count = kept;
    stage(j);
}

static void give_up(struct journey *j, const struct err *err)
{
    j->recover->op.err = *err;
    j->recover->index->ops->rollback(j->recover->index, &j->rollback);
}

static void staged(struct op *op)
{
    struct journey *j = op_owner(op, struct journey, stage.op);
    if (op->err.code) {
        give_up(j, &op->err);
        return;
    }
    for (size_t i = 0; i < j->count && !store_has_orphans(j->recover->store); i++) {
        if (j->batches[i].verdict == INDEX_CONFLICT) {
            struct err err;
            err_set(&err, ERR_CORRUPT,
                    "record %" PRIu64 " of the log disagrees with the index: run `rundlet reindex`",
                    j->batches[i].sequence);
            give_up(j, &err);
            return;
        }
    }
    j->commit.sequence = j->reached;
    j->recover->index->ops->commit(j->recover->index, &j->commit);
}

static void count(struct recover *recover, const struct index_batch *batch)
{
    recover->records++;
    recover->runs += batch->added;
    metric_add(METRIC_REPLAYED_RUNS, batch->added);
    if (batch->verdict != INDEX_CONFLICT)
        return;
    recover->refused += batch->record->count;
    char id[UUID_TEXT + 1] = {0};
    uuid_write(record_id(batch->record, batch->conflict), id);
    log_event(LOG_WARN, "record_refused", LOG_C("run_id", id),
              LOG_C("reason", "another content of this run is there; one of the two was never "
                              "acknowledged"));
}

static void committed(struct op *op)
{
    struct journey *j = op_owner(op, struct journey, commit.op);
    /* Or it is not known what became of it: who looks again sees. */
    bool again = op->err.code == ERR_CONFLICT || op->err.code == ERR_TIMEOUT;
    if (again && j->recover->index->shared && ++j->tries < TRIES) {
        j->again = true;
        j->recover->index->ops->rollback(j->recover->index, &j->rollback);
        return;
    }
    if (op->err.code) {
        give_up(j, &op->err);
        return;
    }
    for (size_t i = 0; i < j->count; i++)
        count(j->recover, &j->batches[i]);
    j->recover->sequence = j->commit.sequence;
    next(j);
}

static void rolled_back(struct op *op)
{
    struct journey *j = op_owner(op, struct journey, rollback.op);
    if (!j->again) {
        end(j);
        return;
    }
    j->again = false;
    sift(j);
}
