/* sqlite_writer.c - see sqlite_writer.h.
 *
 * A transaction:
 *
 *   writer_stage()   judge a batch and take it in (sqlite_merge.h): runs in memory,
 *                    names and entities in the file
 *   writer_commit()  the runs become rows; the keys of the rows become a run of
 *                    keys in memory; when there are many in memory, those of one
 *                    kind are written as a part; a slice of merging; the mark;
 *                    COMMIT; publish
 *
 * What may go wrong: any statement, when the disk is full.  Then the whole
 * transaction is rolled back, everything that was in memory for it is
 * forgotten, and what is in memory *about* the file (the list of parts, merges
 * half done) is read again before the next one.
 *
 * Invariants between transactions: rows are numbered 1..view->rows without a
 * gap, in order of arrival; the keys of each kind of a row or a name are in the
 * view, or in a live part, or in both.
 */
#include "index/sqlite_writer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/sqlite_db.h"
#include "index/sqlite_merge.h"
#include "index/sqlite_parts.h"
#include "index/sqlite_staged.h"
#include "index/sqlite_wal.h"

enum {
    INTERNED_MAX = 16384, /* names remembered between transactions, ... */
    INTERNED_BYTES_MAX = 4 << 20,
    NUMBERS_LATE = 1 << 17, /* rows that are read again at start for the keys of one kind */
    UPTO_BYTES = 8 * KEYS_KINDS,
    SCRATCH = 2048
};

struct writer {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *set_meta;
    struct keys_reader reader;
    struct parts parts;
    struct staged staged;
    struct merger merger;
    struct wal *wal;

    /* As of the last commit. */
    sqlite3_mutex *lock; /* of `view`, against those who take it */
    struct keys_view *view;
    uint64_t seed, replaced, changes;
    int64_t layout;
    uint64_t mark;
    uint64_t upto[KEYS_KINDS]; /* the keys of numbers up to here are all in parts */
    _Atomic uint64_t runs;

    /* Of the open transaction. */
    bool open;
    bool failed; /* it cannot be committed */
    bool stale;  /* the parts and the counts must be read again */
    uint64_t upto_next[KEYS_KINDS];
};

/* --- opening ------------------------------------------------------------------ */

static int prepare_all(struct writer *w, struct err *err)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&w->begin, "BEGIN IMMEDIATE"},
        {&w->commit, "COMMIT"},
        {&w->rollback, "ROLLBACK"},
        {&w->set_meta, "UPDATE meta SET mark = ?1, layout = ?2, newest = ?3, replaced = ?4,"
                       " catalog = ?5, upto = ?6"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        int r = db_prepare(w->db, statements[i].sql, statements[i].statement, err);
        if (r)
            return r;
    }
    return 0;
}

static void take_meta(struct writer *w, sqlite3_stmt *s)
{
    struct merger *m = &w->merger;
    w->mark = (uint64_t)sqlite3_column_int64(s, 0);
    w->layout = sqlite3_column_int64(s, 1);
    memcpy(m->touched.newest.byte, sqlite3_column_blob(s, 2), sizeof m->touched.newest.byte);
    w->seed = (uint64_t)sqlite3_column_int64(s, 3);
    m->touched.seed = m->names.seed = m->catalog.seed = w->seed;
    m->touched.rows = (uint64_t)sqlite3_column_int64(s, 4);
    m->names.count = m->names.committed = (uint64_t)sqlite3_column_int64(s, 5);
    m->touched.replaced = w->replaced = (uint64_t)sqlite3_column_int64(s, 6);
    m->catalog.changes = w->changes = (uint64_t)sqlite3_column_int64(s, 7);
    const unsigned char *upto = sqlite3_column_blob(s, 8);
    for (int k = 0; k < KEYS_KINDS; k++)
        w->upto[k] = get_u64(upto + 8 * k);
    memcpy(w->upto_next, w->upto, sizeof w->upto);
}

static int load_meta(struct writer *w, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int r = db_prepare(w->db,
                       "SELECT mark, layout, newest, seed, (SELECT max(row) FROM run),"
                       " (SELECT max(name) FROM name), replaced, catalog, upto FROM meta",
                       &s, err);
    bool row = false;
    if (!r)
        r = db_step(s, &row, "read the mark", err);
    if (!r && row && sqlite3_column_bytes(s, 2) == sizeof w->merger.touched.newest.byte &&
        sqlite3_column_bytes(s, 8) == UPTO_BYTES)
        take_meta(w, s);
    else if (!r)
        r = err_set(err, ERR_CORRUPT, "index: no mark is in it; run `rundlet reindex`");
    sqlite3_finalize(s);
    return r;
}

/* Stage the keys of the newest rows, but for those that were replaced: nobody finds them. */
static int recover_rows(struct writer *w, const uint64_t upto[KEYS_KINDS], struct err *err)
{
    uint64_t from = upto[KEYS_ID];
    for (int k = 0; k < KEYS_KINDS; k++)
        if (k != KEYS_TEXT && k != KEYS_GRAM)
            from = upto[k] < from ? upto[k] : from;
    struct row_attributes attributes = {0};
    sqlite3_stmt *s = NULL;
    int r = db_prepare(w->db,
                       "SELECT run." ROW_COLUMNS ", bytes FROM run LEFT JOIN facts"
                       " ON facts.row = run.row WHERE run.row > ?1 AND superseded = 0",
                       &s, err);
    if (!r)
        (void)sqlite3_bind_int64(s, 1, (int64_t)from); /* cannot fail */
    bool more = false;
    while (!r && !(r = db_step(s, &more, "read the newest rows", err)) && more) {
        struct row row;
        struct str facts = {sqlite3_column_blob(s, ROW_COLUMN_COUNT),
                            (size_t)sqlite3_column_bytes(s, ROW_COLUMN_COUNT)};
        r = row_read(s, &row, err);
        struct arena *scratch = arena_new(SCRATCH);
        if (!r)
            r = row_attributes(&row, facts, w->seed, scratch, &attributes, err);
        arena_free(scratch);
        if (!r)
            r = row_stage(&w->staged, &row, &attributes, upto, err);
    }
    sqlite3_finalize(s);
    row_attributes_free(&attributes);
    return r;
}

/* Make `added` and the kinds that were `flushed` part of what everyone sees. */
static void publish(struct writer *w, const bool flushed[KEYS_KINDS],
                    struct keys_run *added[KEYS_KINDS])
{
    struct keys_view *old = w->view;
    struct touched *touched = &w->merger.touched;
    struct keys_view *view =
        keys_view_new(old, touched->rows, flushed, added, w->parts.filters, w->parts.filter_count);
    sqlite3_mutex_enter(w->lock);
    w->view = view;
    sqlite3_mutex_leave(w->lock);
    touched->view = view;
    keys_view_unref(old);
    w->replaced = touched->replaced;
    atomic_store_explicit(&w->runs, touched->rows - touched->replaced, memory_order_relaxed);
}

/* The keys that are in no part, from their rows and names. */
static int recover_view(struct writer *w, struct err *err)
{
    int r = recover_rows(w, w->upto, err);
    if (!r)
        r = names_recover(&w->merger.names, w->upto, err);
    if (r)
        return r;
    const bool flushed[KEYS_KINDS] = {false};
    struct keys_run *added[KEYS_KINDS];
    for (int k = 0; k < KEYS_KINDS; k++)
        added[k] = staged_take(&w->staged, (enum keys_kind)k);
    publish(w, flushed, added);
    staged_forget(&w->staged);
    return 0;
}

/* The keys that wait in memory take about as much of it as the page cache may:
 * those of each kind, twice while they are merged. */
static size_t flush_size(size_t cache_size)
{
    size_t size = cache_size / 2 / KEYS_KINDS;
    return size < PARTS_FLUSH_MIN   ? PARTS_FLUSH_MIN
           : size > PARTS_FLUSH_MAX ? PARTS_FLUSH_MAX
                                    : size;
}

/* In one read transaction. */
static int load_all(struct writer *w, size_t cache_size, struct err *err)
{
    int r = db_exec(w->db, "BEGIN", err);
    if (!r)
        r = load_meta(w, err);
    if (!r)
        r = parts_open(&w->parts, &w->reader, w->seed, flush_size(cache_size), w->layout, err);
    w->staged.parts = &w->parts;
    if (!r)
        r = recover_view(w, err);
    if (!r)
        r = catalog_load(&w->merger.catalog, err);
    if (!r)
        r = guesses_load(&w->merger.guesses, err);
    return r ? r : db_exec(w->db, "COMMIT", err);
}

int writer_open(const char *path, size_t cache_size, bool read_only, struct writer **result,
                struct err *err)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ERR_BUSY, "no memory for an index");
    int r = db_open(path, read_only ? DB_READ : DB_WRITE, cache_size, &w->db, err);
    if (r)
        goto fail;
    w->lock = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    if (!w->lock) {
        r = err_set(err, ERR_BUSY, "no memory for an index");
        goto fail;
    }
    r = prepare_all(w, err);
    if (!r)
        r = keys_reader_open(&w->reader, w->db, err);
    if (!r)
        r = merger_open(&w->merger, &w->reader, &w->staged, err);
    if (!r)
        r = load_all(w, cache_size, err);
    if (!r && !read_only)
        r = wal_open(path, w->db, &w->wal, err);
    if (r)
        goto fail;
    *result = w;
    return 0;

fail:
    writer_close(w);
    return r;
}

void writer_close(struct writer *w)
{
    if (!w)
        return;
    writer_rollback(w);
    wal_close(w->wal);
    merger_close(&w->merger);
    parts_close(&w->parts);
    keys_reader_close(&w->reader);
    sqlite3_stmt *statements[] = {w->begin, w->commit, w->rollback, w->set_meta};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    keys_view_unref(w->view);
    staged_free(&w->staged);
    db_close(w->db);
    sqlite3_mutex_free(w->lock);
    free(w);
}

/* --- the transaction ---------------------------------------------------------- */

static int begin(struct writer *w, struct err *err)
{
    if (w->failed)
        return err_set(err, ERR_INVALID, "index: the transaction failed: roll back first");
    if (w->open)
        return 0;
    int r = db_run(w->begin, "begin", err);
    if (r)
        return r;
    w->open = w->staged.spills = true;
    struct intern *interned = &w->merger.names.numbers;
    if (interned->count > INTERNED_MAX || interned->bytes > INTERNED_BYTES_MAX)
        intern_clear(interned);
    if (!w->stale)
        return 0;
    r = parts_reload(&w->parts, w->layout, err);
    if (!r)
        r = catalog_load(&w->merger.catalog, err);
    if (!r)
        r = guesses_load(&w->merger.guesses, err);
    if (!r)
        w->stale = false;
    return r;
}

static void forget_all(struct writer *w)
{
    staged_forget(&w->staged);
    touched_forget(&w->merger.touched);
    w->staged.spills = false;
}

void writer_rollback(struct writer *w)
{
    struct merger *m = &w->merger;
    /* SQLite may have rolled back on its own; if it cannot now, the file has
     * the journal of what it could not undo, and the next begin says so. */
    if (w->open && !sqlite3_get_autocommit(w->db)) {
        (void)sqlite3_step(w->rollback);
        (void)sqlite3_reset(w->rollback);
    }
    if (w->open || w->failed) {
        w->stale = true;
        names_cut(&m->names, m->names.committed);
        catalog_forget(&m->catalog);
    }
    w->open = w->failed = false;
    m->touched.rows = w->view ? w->view->rows : 0;
    m->touched.replaced = w->replaced;
    m->catalog.changes = w->changes;
    memcpy(w->upto_next, w->upto, sizeof w->upto);
    forget_all(w);
}

uint64_t writer_mark(const struct writer *w)
{
    return w->mark;
}

uint64_t writer_seed(const struct writer *w)
{
    return w->seed;
}

void writer_durable(struct writer *w, struct index_durable *durable)
{
    wal_durable(w->wal, durable);
}

struct keys_view *writer_view(struct writer *w)
{
    sqlite3_mutex_enter(w->lock);
    struct keys_view *view = keys_view_ref(w->view);
    sqlite3_mutex_leave(w->lock);
    return view;
}

uint64_t writer_runs(const struct writer *w)
{
    return atomic_load_explicit(&w->runs, memory_order_relaxed);
}

int writer_stage(struct writer *w, struct index_batch *batch, struct err *err)
{
    int r = begin(w, err);
    if (!r)
        r = merger_take(&w->merger, batch, err);
    if (r)
        w->failed = true;
    return r;
}

/* --- committing ------------------------------------------------------------------- */

static bool is_of_names(enum keys_kind kind)
{
    return kind == KEYS_TEXT || kind == KEYS_GRAM;
}

/* The numbers of a kind that are given out, and those that were at the last commit. */
static uint64_t numbers(const struct writer *w, enum keys_kind kind)
{
    return is_of_names(kind) ? w->merger.names.count : w->merger.touched.rows;
}

static uint64_t numbers_before(const struct writer *w, enum keys_kind kind)
{
    return is_of_names(kind) ? w->merger.names.committed : w->view->rows;
}

/* Write what the view has of a kind as a part.  What spilled needs the keys
 * that are still staged as well, so that the part is complete. */
static int flush(struct writer *w, enum keys_kind kind, struct keys_run **staged, struct err *err)
{
    struct keys_run *runs[KEYS_RUNS_MAX + 1];
    size_t count = w->view->kind[kind].count;
    bool spilled = w->staged.kind[kind].spilled;
    memcpy(runs, w->view->kind[kind].runs, count * sizeof *runs);
    if (spilled && *staged)
        runs[count++] = *staged;
    w->upto_next[kind] = spilled ? numbers(w, kind) : numbers_before(w, kind);
    if (count == 0)
        return 0;
    int r = parts_write(&w->parts, kind, runs, count, err);
    if (!r && spilled) {
        keys_run_unref(*staged);
        *staged = NULL;
    }
    return r;
}

/* Should the keys of a kind that are in memory go to the file, and how much?  When there are
 * many; and when, few as they are, too many rows would have to be read again for them. */
static size_t pressure(const struct writer *w, enum keys_kind kind)
{
    size_t size = keys_view_count(w->view, kind) * keys_width(kind);
    bool late = size > 0 && numbers_before(w, kind) - w->upto[kind] >= NUMBERS_LATE;
    return size >= w->parts.flush ? size : late ? 1 : 0;
}

/* Flush what spilled, and at most one kind besides. */
static int flush_some(struct writer *w, struct keys_run *staged[KEYS_KINDS],
                      bool flushed[KEYS_KINDS], struct err *err)
{
    int worst = KEYS_KINDS;
    size_t most = 0;
    for (int k = 0; k < KEYS_KINDS; k++) {
        size_t wants = pressure(w, (enum keys_kind)k);
        flushed[k] = w->staged.kind[k].spilled;
        if (!flushed[k] && wants > most) {
            most = wants;
            worst = k;
        }
    }
    if (worst < KEYS_KINDS)
        flushed[worst] = true;
    for (int k = 0; k < KEYS_KINDS; k++) {
        int r = flushed[k] ? flush(w, (enum keys_kind)k, &staged[k], err) : 0;
        if (r)
            return r;
        /* Of a kind that has no key in memory all are in parts. */
        if (!staged[k] && (flushed[k] || w->view->kind[k].count == 0))
            w->upto_next[k] = numbers(w, (enum keys_kind)k);
    }
    return 0;
}

static int write_meta(struct writer *w, uint64_t sequence, struct err *err)
{
    const struct merger *m = &w->merger;
    unsigned char upto[UPTO_BYTES];
    for (int k = 0; k < KEYS_KINDS; k++)
        put_u64(upto + 8 * k, w->upto_next[k]);
    sqlite3_stmt *s = w->set_meta; /* binding numbers and static bytes cannot fail */
    (void)sqlite3_bind_int64(s, 1, (int64_t)sequence);
    (void)sqlite3_bind_int64(s, 2, w->parts.layout);
    (void)sqlite3_bind_blob(s, 3, m->touched.newest.byte, 16, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 4, (int64_t)m->touched.replaced);
    (void)sqlite3_bind_int64(s, 5, (int64_t)m->catalog.changes);
    (void)sqlite3_bind_blob(s, 6, upto, sizeof upto, SQLITE_STATIC);
    return db_run(s, "set the mark", err);
}

int writer_commit(struct writer *w, uint64_t sequence, struct err *err)
{
    struct merger *m = &w->merger;
    struct keys_run *staged[KEYS_KINDS] = {0};
    bool flushed[KEYS_KINDS] = {false};
    uint64_t added[KEYS_KINDS];
    int r = begin(w, err);
    if (!r)
        r = touched_write(&m->touched, err);
    if (r)
        goto fail;
    for (int k = 0; k < KEYS_KINDS; k++) {
        added[k] = w->staged.kind[k].added;
        staged[k] = staged_take(&w->staged, (enum keys_kind)k);
    }
    r = flush_some(w, staged, flushed, err);
    if (!r)
        r = parts_tend(&w->parts, added, err);
    if (r)
        goto fail;
    r = write_meta(w, sequence, err);
    if (!r)
        r = db_run(w->commit, "commit", err);
    if (r)
        goto fail;

    w->open = false;
    w->mark = sequence;
    w->layout = w->parts.layout;
    w->changes = m->catalog.changes;
    memcpy(w->upto, w->upto_next, sizeof w->upto);
    m->names.committed = m->names.count;
    publish(w, flushed, staged);
    forget_all(w);
    wal_tend(w->wal);
    return 0;

fail:
    for (int k = 0; k < KEYS_KINDS; k++)
        keys_run_unref(staged[k]);
    w->failed = true;
    writer_rollback(w);
    return r;
}
