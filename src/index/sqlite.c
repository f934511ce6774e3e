/* sqlite.c - the index in one SQLite file: who does what on which thread.
 *
 *   commit loop   stage, commit, rollback, mark: the writer (sqlite_writer.h),
 *                 done at once, since that loop exists to be blocked
 *   read lane     find, search, query, entities: a pool of connections (sqlite_read.h), one for
 *                 each thread of the lane
 *   checkpoint    sqlite_wal.h; durable
 *
 * A read takes the view of the last commit and then begins its transaction;
 * sqlite_keys.h says why that shows it whole commits.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "index/alone.h"
#include "index/index.h"
#include "index/sqlite_keys.h"
#include "index/sqlite_read.h"
#include "index/sqlite_writer.h"
#include "loop/lane.h"

struct sqlite_index {
    struct index index;
    struct writer *writer;
    struct lane *lane;
    sqlite3_mutex *lock; /* of `idle` */
    struct reader *idle; /* as many as the lane has threads */
    unsigned deadline_ms;
    bool read_only;
};

/* A read in the lane's queue; lives in the arena of what was asked. */
struct read {
    struct op op;
    struct op *asked;
    int (*answer)(struct reader *reader, struct read *read, struct err *err);
    void *what; /* of `asked`, as `answer` knows it */
    int64_t began_us;
};

static struct sqlite_index *sqlite_of(struct index *index)
{
    return (struct sqlite_index *)(void *)index;
}

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    (void)index;
    (void)loop;
    (void)err;
    return 0;
}

static bool refuse_if_read_only(const struct sqlite_index *s, struct op *op)
{
    if (s->read_only)
        op_fail(op, ERR_DENIED, "index: it is open for reading only");
    return s->read_only;
}

static void stage(struct index *index, struct index_stage *stage)
{
    struct sqlite_index *s = sqlite_of(index);
    if (refuse_if_read_only(s, &stage->op))
        return;
    for (size_t i = 0; i < stage->count; i++)
        if (writer_stage(s->writer, &stage->batches[i], &stage->op.err))
            break;
    op_finish(&stage->op);
}

static void commit(struct index *index, struct index_commit *commit)
{
    struct sqlite_index *s = sqlite_of(index);
    if (refuse_if_read_only(s, &commit->op))
        return;
    (void)writer_commit(s->writer, commit->sequence,
                        &commit->op.err); /* the operation carries it */
    op_finish(&commit->op);
}

static void rollback(struct index *index, struct index_rollback *rollback)
{
    writer_rollback(sqlite_of(index)->writer);
    op_finish(&rollback->op);
}

static void mark(struct index *index, struct index_mark *mark)
{
    mark->sequence = writer_mark(sqlite_of(index)->writer);
    op_finish(&mark->op);
}

static void durable(struct index *index, struct index_durable *durable)
{
    struct sqlite_index *s = sqlite_of(index);
    if (!refuse_if_read_only(s, &durable->op))
        writer_durable(s->writer, durable);
}

static struct reader *take_reader(struct sqlite_index *s)
{
    sqlite3_mutex_enter(s->lock);
    struct reader *reader = s->idle;
    s->idle = reader->next;
    sqlite3_mutex_leave(s->lock);
    return reader;
}

static void give_reader(struct sqlite_index *s, struct reader *reader)
{
    sqlite3_mutex_enter(s->lock);
    reader->next = s->idle;
    s->idle = reader;
    sqlite3_mutex_leave(s->lock);
}

static void read_one(struct sqlite_index *s, struct reader *reader, struct read *read)
{
    struct err *err = &read->asked->err;
    struct keys_view *view = writer_view(s->writer);
    int r = reader_begin(reader, view, read->began_us + (int64_t)s->deadline_ms * 1000, err);
    if (!r)
        r = read->answer(reader, read, err);
    reader_end(reader);
    keys_view_unref(view);

    metric_add(METRIC_INDEX_QUEUE_DEPTH, -1);
    metric_time(METRIC_INDEX_READ_SECONDS, (uint64_t)(clock_mono_us() - read->began_us));
    if (r == ERR_TIMEOUT)
        metric_add(METRIC_INDEX_READS_TIMEOUT, 1);
    op_finish(read->asked); /* `read` is gone now */
}

static void work(void *context, struct op *chain)
{
    struct sqlite_index *s = context;
    struct reader *reader = take_reader(s);
    while (chain) {
        struct read *read = op_owner(chain, struct read, op);
        chain = chain->next;
        read_one(s, reader, read);
    }
    give_reader(s, reader);
}

static void submit(struct index *index, struct op *asked, struct arena *arena,
                   int (*answer)(struct reader *, struct read *, struct err *), void *what)
{
    struct sqlite_index *s = sqlite_of(index);
    struct read *read = arena_make(arena, struct read, 1);
    *read =
        (struct read){.asked = asked, .answer = answer, .what = what, .began_us = clock_mono_us()};
    metric_add(METRIC_INDEX_READS, 1);
    metric_add(METRIC_INDEX_QUEUE_DEPTH, 1);
    if (lane_submit(s->lane, &read->op))
        return;
    metric_add(METRIC_INDEX_QUEUE_DEPTH, -1);
    metric_add(METRIC_INDEX_READS_REFUSED, 1);
    op_fail(asked, ERR_BUSY, "too many reads are waiting for the index");
}

static int do_find(struct reader *reader, struct read *read, struct err *err)
{
    return reader_find(reader, read->what, err);
}

static int do_search(struct reader *reader, struct read *read, struct err *err)
{
    return reader_search(reader, read->what, err);
}

static int do_query(struct reader *reader, struct read *read, struct err *err)
{
    return reader_query(reader, read->what, err);
}

static int do_entities(struct reader *reader, struct read *read, struct err *err)
{
    return reader_entities(reader, read->what, err);
}

static void find(struct index *index, struct index_find *find)
{
    submit(index, &find->op, find->arena, do_find, find);
}

static void search(struct index *index, struct index_search *search)
{
    submit(index, &search->op, search->arena, do_search, search);
}

static void query(struct index *index, struct index_query *query)
{
    submit(index, &query->op, query->arena, do_query, query);
}

static void entities(struct index *index, struct index_entities *asked)
{
    submit(index, &asked->op, asked->arena, do_entities, asked);
}

static uint64_t runs(struct index *index)
{
    return writer_runs(sqlite_of(index)->writer);
}

static void close_sqlite(struct index *index)
{
    if (!index)
        return;
    struct sqlite_index *s = sqlite_of(index);
    lane_close(s->lane);
    while (s->idle) {
        struct reader *reader = s->idle;
        s->idle = reader->next;
        reader_close(reader);
    }
    writer_close(s->writer);
    sqlite3_mutex_free(s->lock);
    free(s);
}

static const struct index_ops sqlite_ops = {
    .name = "sqlite",
    .attach = attach,
    .stage = stage,
    .commit = commit,
    .rollback = rollback,
    .mark = mark,
    .durable = durable,
    .find = find,
    .search = search,
    .query = query,
    .entities = entities,
    .follow = index_alone_follow,
    .known = index_alone_known,
    .condemn = index_alone_condemn,
    .containers = index_alone_containers,
    .lose = index_alone_lose,
    .runs = runs,
    .close = close_sqlite,
};

static int open_readers(struct sqlite_index *s, const char *path,
                        const struct index_sqlite_config *config, struct err *err)
{
    for (unsigned i = 0; i < config->readers; i++) {
        struct reader *reader = NULL;
        int r = reader_open(path, writer_seed(s->writer), &reader, err);
        if (r)
            return r;
        reader->next = s->idle;
        s->idle = reader;
    }
    const struct lane_config lane = {
        .name = "index-read",
        .threads = config->readers,
        .queue_max = config->queue,
        .batch_max = 1,
        .work = work,
        .context = s,
    };
    return lane_open(&lane, &s->lane, err);
}

int index_sqlite_open(const struct index_sqlite_config *config, struct index **result,
                      struct err *err)
{
    /* Counting every allocation under one lock is of no use here.  Refused once
     * SQLite is in use, when it does not matter. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int r = 0;
    struct sqlite_index *s = calloc(1, sizeof *s);
    char *path = strndup(config->path.at, config->path.len);
    if (!s || !path) {
        free(s);
        free(path);
        return err_set(err, ERR_BUSY, "no memory for an index");
    }
    s->index = (struct index){.ops = &sqlite_ops, .writers = 1};
    s->deadline_ms = config->deadline_ms;
    s->read_only = config->read_only;
    r = writer_open(path, config->cache_size, config->read_only, &s->writer, err);
    if (!r) {
        s->lock = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
        r = s->lock ? 0 : err_set(err, ERR_BUSY, "no memory for an index");
    }
    if (!r)
        r = open_readers(s, path, config, err);
    free(path);
    if (r) {
        close_sqlite(&s->index);
        return r;
    }
    *result = &s->index;
    return 0;
}
