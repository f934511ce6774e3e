/* sqlite_wal.c - see sqlite_wal.h. */
#include "index/sqlite_wal.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "index/index.h"
#include "index/sqlite_db.h"
#include "loop/lane.h"
#include "loop/op.h"

enum { QUEUE = 8 /* one of ours, and who wants the WAL synced */ };

struct wal {
    sqlite3 *writer;
    int pages;     /* in the WAL after the last commit */
    int moved;     /* of them, how many are in the database file as well */
    int next_rest; /* the writer finishes the rest only from here on */

    struct lane *lane;
    sqlite3 *db;         /* the lane's */
    sqlite3_mutex *lock; /* held while the lane works */
    struct op pass;      /* never finished: it belongs to the lane, then to us again */
    atomic_bool busy;    /* the lane has it */
    atomic_int pass_moved;
};

static int committed(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct wal *wal = context;
    if (pages < wal->pages) {
        wal->moved = 0; /* it began anew */
        wal->next_rest = 0;
        atomic_store_explicit(&wal->pass_moved, 0, memory_order_relaxed);
    }
    wal->pages = pages;
    return SQLITE_OK;
}

/* A failure is not the end: the WAL grows, and the next pass tries again.
 * (A failed sync is the end: db_fail().) */
static int checkpoint(sqlite3 *db)
{
    int pages = 0, moved = 0;
    if (sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved) == SQLITE_OK)
        return moved;
    struct err err = {0};
    if ((sqlite3_errcode(db) & 0xff) != SQLITE_BUSY) {
        (void)db_fail(db, "checkpoint", &err);
        log_event(LOG_WARN, "index_checkpoint_failed", LOG_C("reason", err.text));
    }
    return 0;
}

/* Other connections may commit meanwhile: the mark is read first, so it is not
 * more than what is synced. */
static int sync_wal(sqlite3 *db, uint64_t *sequence, struct err *err)
{
    int64_t mark = 0;
    sqlite3_file *file = NULL;
    int r = db_ask(db, "SELECT mark FROM meta", &mark, err);
    if (r)
        return r;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK ||
        !file || !file->pMethods)
        return err_set(err, ERR_IO, "index: the WAL is not open");
    if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        fatal("index: sync the WAL: %s", strerror(sqlite3_system_errno(db)));
    *sequence = (uint64_t)mark;
    return 0;
}

static void pass(struct wal *wal)
{
    sqlite3_mutex_enter(wal->lock);
    int moved = checkpoint(wal->db);
    sqlite3_mutex_leave(wal->lock);
    atomic_store_explicit(&wal->pass_moved, moved, memory_order_relaxed);
    atomic_store_explicit(&wal->busy, false, memory_order_release);
}

static void work(void *context, struct op *chain)
{
    struct wal *wal = context;
    if (chain == &wal->pass) {
        pass(wal);
        return;
    }
    struct index_durable *durable = op_owner(chain, struct index_durable, op);
    durable->op.err = (struct err){0};
    (void)sync_wal(wal->db, &durable->sequence, &durable->op.err); /* the operation carries it */
    op_finish(&durable->op);
}

void wal_durable(struct wal *wal, struct index_durable *durable)
{
    if (!lane_submit(wal->lane, &durable->op))
        op_fail(&durable->op, ERR_BUSY, "too many wait for the index to be synced");
}

int wal_open(const char *path, sqlite3 *writer, struct wal **result, struct err *err)
{
    struct wal *wal = calloc(1, sizeof *wal);
    if (!wal)
        return err_set(err, ERR_BUSY, "no memory for an index");
    const struct lane_config lane = {
        .name = "checkpoint",
        .threads = 1,
        .queue_max = QUEUE,
        .batch_max = 1,
        .work = work,
        .context = wal,
    };
    wal->writer = writer;
    wal->lock = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    int r = wal->lock ? 0 : err_set(err, ERR_BUSY, "no memory for an index");
    if (!r)
        r = db_open(path, DB_CHECKPOINT, 0, &wal->db, err);
    if (!r)
        r = lane_open(&lane, &wal->lane, err);
    if (r) {
        wal_close(wal);
        return r;
    }
    (void)sqlite3_wal_hook(writer, committed, wal); /* the hook before, if any, is none */
    *result = wal;
    return 0;
}

/* On the writer's own connection: what is left, all of it. */
static void finish_rest(struct wal *wal)
{
    sqlite3_mutex_enter(wal->lock);
    wal->moved = checkpoint(wal->writer);
    sqlite3_mutex_leave(wal->lock);
    /* A reader of an old snapshot may be in the way: do not try at each commit. */
    wal->next_rest = wal->pages + WAL_REST;
}

void wal_tend(struct wal *wal)
{
    if (wal->pages < WAL_BEGIN)
        return;
    bool busy = atomic_load_explicit(&wal->busy, memory_order_acquire);
    if (!busy) {
        int moved = atomic_exchange_explicit(&wal->pass_moved, 0, memory_order_relaxed);
        wal->moved = moved > wal->moved ? moved : wal->moved;
    }
    bool little = !busy && wal->pages - wal->moved <= WAL_REST;
    if ((little || wal->pages >= WAL_HELP) && wal->pages >= wal->next_rest) {
        finish_rest(wal);
        return;
    }
    if (busy || little)
        return;
    atomic_store_explicit(&wal->busy, true, memory_order_relaxed);
    if (!lane_submit(wal->lane, &wal->pass))
        atomic_store_explicit(&wal->busy, false, memory_order_relaxed);
}

void wal_close(struct wal *wal)
{
    if (!wal)
        return;
    lane_close(wal->lane);
    db_close(wal->db);
    if (wal->lane)
        (void)checkpoint(wal->writer); /* closing would do it, and keep a failure to itself */
    (void)sqlite3_wal_hook(wal->writer, NULL, NULL); /* ours is what it returns */
    sqlite3_mutex_free(wal->lock);
    free(wal);
}
