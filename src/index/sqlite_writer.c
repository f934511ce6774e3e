/* sqlite_writer.c - see sqlite_writer.h.
 *
 * A transaction:
 *
 *   writer_stage()   decode every run of the batch; judge them by their ids;
 *                    only then insert the rows of those that are new, so that
 *                    a batch that is refused has changed nothing
 *   writer_commit()  the keys of the rows become a run in memory; when there
 *                    are many in memory, those of one kind are written as a
 *                    part; a slice of merging; the mark; COMMIT; publish
 *
 * What may go wrong: any statement, when the disk is full.  Then the whole
 * transaction is rolled back, everything that was in memory for it is
 * forgotten, and what is in memory *about* the file (the list of parts, merges
 * half done) is read again before the next one.
 *
 * Invariants between transactions: rows are numbered 1..view->rows without a
 * gap, in order of arrival; a row's or a name's key of each kind is in the
 * view, or in a live part, or in both.
 */
#include "index/sqlite_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/text.h"
#include "index/fold.h"
#include "index/hash.h"
#include "index/intern.h"
#include "index/sqlite_db.h"
#include "index/sqlite_parts.h"
#include "index/sqlite_wal.h"
#include "wire/json_string.h"

enum {
    INTERNED_MAX = 16384, /* texts remembered between transactions, ... */
    INTERNED_BYTES_MAX = 4 << 20
};

/* Keys of one kind that wait for their commit, in no order. */
struct staged {
    unsigned char *at;
    size_t count, cap;
    uint64_t added; /* with those that were spilled */
    bool spilled;   /* a part holds some of them already */
};

/* The ids of the rows of this transaction, in chains of equal hash. */
struct staged_id {
    struct uuid id;
    uint64_t hash[2];
    uint32_t next; /* 1 + its position; 0: the end */
};

struct staged_ids {
    struct staged_id *at;
    uint32_t *chain;
    size_t count, cap; /* as many chains as there is room for ids */
    uint64_t seed;     /* secret: clients choose ids */
};

/* A run of the batch that is being judged. */
struct judged {
    struct run run;
    bool fresh;
};

struct writer {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *set_meta;
    sqlite3_stmt *add_run, *add_name, *add_project, *get_hash, *get_name, *get_project;
    struct keys_reader reader;
    struct parts parts;
    struct wal *wal;
    uint64_t seed;

    /* As of the last commit. */
    sqlite3_mutex *lock; /* of `view`, against those who take it */
    struct keys_view *view;
    uint64_t names_there;
    int64_t layout;
    uint64_t mark;
    _Atomic uint64_t runs;

    /* Of the open transaction. */
    bool open;
    bool failed; /* it cannot be committed */
    bool stale;  /* the parts must be read again */
    uint64_t rows, names;
    struct uuid newest; /* no UUIDv7 that is stored or staged is greater */
    struct staged staged[KEYS_KINDS];
    struct staged_ids ids;

    struct intern name_numbers, project_numbers;
    struct judged *judged;
    size_t judged_cap;
    struct text scratch;
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
        {&w->set_meta, "UPDATE meta SET mark = ?1, layout = ?2, newest = ?3"},
        {&w->add_run, "INSERT INTO run VALUES"
                      " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"},
        {&w->add_name, "INSERT INTO name VALUES (?1, ?2)"},
        {&w->add_project, "INSERT INTO project(name) VALUES (?1)"},
        {&w->get_hash, "SELECT hash FROM run WHERE row = ?1"},
        {&w->get_name, "SELECT folded FROM name WHERE name = ?1"},
        {&w->get_project, "SELECT project FROM project WHERE name = ?1"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        int r = db_prepare(w->db, statements[i].sql, statements[i].statement, err);
        if (r)
            return r;
    }
    return 0;
}

static int load_meta(struct writer *w, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int r = db_prepare(w->db,
                       "SELECT mark, layout, newest, seed,"
                       " (SELECT max(row) FROM run), (SELECT max(name) FROM name) FROM meta",
                       &s, err);
    bool row = false;
    if (!r)
        r = db_step(s, &row, "read the mark", err);
    if (!r && row && sqlite3_column_bytes(s, 2) == sizeof w->newest.byte) {
        w->mark = (uint64_t)sqlite3_column_int64(s, 0);
        w->layout = sqlite3_column_int64(s, 1);
        memcpy(w->newest.byte, sqlite3_column_blob(s, 2), sizeof w->newest.byte);
        w->seed = w->ids.seed = (uint64_t)sqlite3_column_int64(s, 3);
        w->rows = (uint64_t)sqlite3_column_int64(s, 4);
        w->names = w->names_there = (uint64_t)sqlite3_column_int64(s, 5);
    } else if (!r) {
        r = err_set(err, ERR_CORRUPT, "index: no mark is in it; run `rundlet reindex`");
    }
    sqlite3_finalize(s);
    return r;
}

static int stage_key(struct writer *w, enum keys_kind kind, const struct key *key, struct err *err);
static int stage_name(struct writer *w, uint64_t number, uint64_t hash, struct str folded,
                      const uint64_t above[2], struct err *err);

/* What a row's keys are made of. */
struct row_keys {
    struct uuid id, trace;
    int64_t start_us;
    uint64_t name, row;
};

/* Stage the keys of a row, of each kind whose parts end before it. */
static int stage_row(struct writer *w, const struct row_keys *row, const uint64_t upto[KEYS_KINDS],
                     struct err *err)
{
    struct key id = {0}, trace = {0}, start = {0}, name = {0};
    key_add_id(&id, row->id);
    key_add_number(&id, row->row);

    key_add_id(&trace, row->trace);
    key_add_time(&trace, row->start_us);
    key_add_id(&trace, row->id);
    key_add_number(&trace, row->row);

    key_add_time(&start, row->start_us);
    key_add_id(&start, row->id);
    key_add_number(&start, row->name);
    key_add_number(&start, row->row);

    key_add_number(&name, row->name);
    key_add_time(&name, row->start_us);
    key_add_id(&name, row->id);
    key_add_number(&name, row->row);

    int r = row->row > upto[KEYS_ID] ? stage_key(w, KEYS_ID, &id, err) : 0;
    if (!r && row->row > upto[KEYS_TRACE])
        r = stage_key(w, KEYS_TRACE, &trace, err);
    if (!r && row->row > upto[KEYS_START])
        r = stage_key(w, KEYS_START, &start, err);
    if (!r && row->row > upto[KEYS_NAME] && row->name != 0)
        r = stage_key(w, KEYS_NAME, &name, err);
    return r;
}

static int recover_rows(struct writer *w, const uint64_t upto[KEYS_KINDS], struct err *err)
{
    uint64_t from = upto[KEYS_ID];
    for (int k = KEYS_TRACE; k <= KEYS_NAME; k++)
        from = upto[k] < from ? upto[k] : from;
    sqlite3_stmt *s = NULL;
    int r =
        db_prepare(w->db, "SELECT row, id, trace, start_us, name FROM run WHERE row > ?1", &s, err);
    if (!r)
        (void)sqlite3_bind_int64(s, 1, (int64_t)from); /* cannot fail */
    bool more = false;
    while (!r && !(r = db_step(s, &more, "read the newest rows", err)) && more) {
        struct row_keys row = {
            .row = (uint64_t)sqlite3_column_int64(s, 0),
            .start_us = sqlite3_column_int64(s, 3),
            .name = (uint64_t)sqlite3_column_int64(s, 4),
        };
        if (sqlite3_column_bytes(s, 1) != 16 || sqlite3_column_bytes(s, 2) != 16) {
            r = err_set(err, ERR_CORRUPT,
                        "index: row %" PRIu64 " is damaged; run `rundlet reindex`", row.row);
            break;
        }
        memcpy(row.id.byte, sqlite3_column_blob(s, 1), 16);
        memcpy(row.trace.byte, sqlite3_column_blob(s, 2), 16);
        r = stage_row(w, &row, upto, err);
    }
    sqlite3_finalize(s);
    return r;
}

static int recover_names(struct writer *w, const uint64_t upto[KEYS_KINDS], struct err *err)
{
    const uint64_t above[2] = {upto[KEYS_TEXT], upto[KEYS_GRAM]};
    sqlite3_stmt *s = NULL;
    int r = db_prepare(w->db, "SELECT name, folded FROM name WHERE name > ?1", &s, err);
    if (!r)
        (void)sqlite3_bind_int64(s, 1, (int64_t)(above[0] < above[1] ? above[0] : above[1]));
    bool more = false;
    while (!r && !(r = db_step(s, &more, "read the newest names", err)) && more) {
        struct str folded = {sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)};
        r = stage_name(w, (uint64_t)sqlite3_column_int64(s, 0),
                       hash_bytes(w->seed, folded.at, folded.len), folded, above, err);
    }
    sqlite3_finalize(s);
    return r;
}

/* Take what is staged of a kind as a run; NULL when there is nothing. */
static struct keys_run *take_staged(struct writer *w, enum keys_kind kind)
{
    struct staged *staged = &w->staged[kind];
    if (staged->count == 0)
        return NULL;
    struct keys_run *run = keys_run_new(staged->at, staged->count, keys_width(kind));
    staged->count = 0;
    return run;
}

static void forget_staged(struct writer *w)
{
    for (int k = 0; k < KEYS_KINDS; k++) {
        struct staged *staged = &w->staged[k];
        staged->count = 0;
        staged->added = 0;
        staged->spilled = false;
    }
    w->ids.count = 0;
    if (w->ids.cap > 0)
        memset(w->ids.chain, 0, w->ids.cap * sizeof *w->ids.chain);
}

/* Make `added` and the kinds that were `flushed` part of what everyone sees. */
static void publish(struct writer *w, const bool flushed[KEYS_KINDS],
                    struct keys_run *added[KEYS_KINDS])
{
    struct keys_view *old = w->view;
    struct keys_view *view =
        keys_view_new(old, w->rows, flushed, added, w->parts.filters, w->parts.filter_count);
    sqlite3_mutex_enter(w->lock);
    w->view = view;
    sqlite3_mutex_leave(w->lock);
    keys_view_unref(old);
    atomic_store_explicit(&w->runs, w->rows, memory_order_relaxed);
}

/* The keys that are in no part, from their rows and names. */
static int recover_view(struct writer *w, struct err *err)
{
    uint64_t upto[KEYS_KINDS];
    for (int k = 0; k < KEYS_KINDS; k++)
        upto[k] = parts_upto(&w->parts, (enum keys_kind)k);
    int r = recover_rows(w, upto, err);
    if (!r)
        r = recover_names(w, upto, err);
    if (r)
        return r;
    const bool flushed[KEYS_KINDS] = {false};
    struct keys_run *added[KEYS_KINDS];
    for (int k = 0; k < KEYS_KINDS; k++)
        added[k] = take_staged(w, (enum keys_kind)k);
    publish(w, flushed, added);
    forget_staged(w);
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
        r = db_exec(w->db, "BEGIN", err);
    if (!r)
        r = load_meta(w, err);
    if (!r)
        r = parts_open(&w->parts, &w->reader, w->seed, flush_size(cache_size), w->layout, err);
    if (!r)
        r = recover_view(w, err);
    if (!r)
        r = db_exec(w->db, "COMMIT", err);
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
    parts_close(&w->parts);
    keys_reader_close(&w->reader);
    sqlite3_stmt *statements[] = {w->begin,    w->commit,     w->rollback,    w->set_meta,
                                  w->add_run,  w->add_name,   w->add_project, w->get_hash,
                                  w->get_name, w->get_project};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    keys_view_unref(w->view);
    for (int k = 0; k < KEYS_KINDS; k++)
        free(w->staged[k].at);
    free(w->ids.at);
    free(w->ids.chain);
    free(w->judged);
    intern_clear(&w->name_numbers);
    intern_clear(&w->project_numbers);
    text_free(&w->scratch);
    db_close(w->db);
    sqlite3_mutex_free(w->lock);
    free(w);
}

/* --- the transaction ---------------------------------------------------------- */

static void forget_names_if_many(struct intern *intern)
{
    if (intern->count > INTERNED_MAX || intern->bytes > INTERNED_BYTES_MAX)
        intern_clear(intern);
}

static int begin(struct writer *w, struct err *err)
{
    if (w->failed)
        return err_set(err, ERR_INVALID, "index: the transaction failed: roll back first");
    if (w->open)
        return 0;
    int r = db_run(w->begin, "begin", err);
    if (r)
        return r;
    w->open = true;
    forget_names_if_many(&w->name_numbers);
    forget_names_if_many(&w->project_numbers);
    if (!w->stale)
        return 0;
    r = parts_reload(&w->parts, w->layout, err);
    if (!r)
        w->stale = false;
    return r;
}

void writer_rollback(struct writer *w)
{
    /* SQLite may have rolled back on its own; if it cannot now, the file has
     * the journal of what it could not undo, and the next begin says so. */
    if (w->open && !sqlite3_get_autocommit(w->db)) {
        (void)sqlite3_step(w->rollback);
        (void)sqlite3_reset(w->rollback);
    }
    if (w->open || w->failed) {
        w->stale = true;
        intern_clear(&w->name_numbers);
        intern_clear(&w->project_numbers);
    }
    w->open = w->failed = false;
    w->rows = w->view ? w->view->rows : 0;
    w->names = w->names_there;
    forget_staged(w);
}

uint64_t writer_mark(const struct writer *w)
{
    return w->mark;
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

/* --- staging: judge ------------------------------------------------------------- */

static size_t chain_of(const struct staged_ids *ids, struct uuid id)
{
    return (size_t)(hash_bytes(ids->seed, id.byte, sizeof id.byte) >> 32) & (ids->cap - 1);
}

static const struct staged_id *staged_id(const struct staged_ids *ids, struct uuid id)
{
    if (ids->count == 0)
        return NULL;
    for (uint32_t i = ids->chain[chain_of(ids, id)]; i; i = ids->at[i - 1].next)
        if (uuid_compare(ids->at[i - 1].id, id) == 0)
            return &ids->at[i - 1];
    return NULL;
}

static void link_id(struct staged_ids *ids, size_t i)
{
    uint32_t *chain = &ids->chain[chain_of(ids, ids->at[i].id)];
    ids->at[i].next = *chain;
    *chain = (uint32_t)(i + 1);
}

static void add_staged_id(struct staged_ids *ids, const struct run *run)
{
    if (ids->count == ids->cap) {
        assert(ids->cap < UINT32_MAX / 2);
        ids->cap = ids->cap ? 2 * ids->cap : 1024;
        ids->at = realloc(ids->at, ids->cap * sizeof *ids->at);
        free(ids->chain);
        ids->chain = calloc(ids->cap, sizeof *ids->chain);
        if (!ids->at || !ids->chain)
            abort();
        for (size_t i = 0; i < ids->count; i++)
            link_id(ids, i);
    }
    ids->at[ids->count] = (struct staged_id){.id = run->id, .hash = {run->hash[0], run->hash[1]}};
    link_id(ids, ids->count++);
}

/* The last ones in are the first of their chains. */
static void cut_staged_ids(struct staged_ids *ids, size_t count)
{
    while (ids->count > count) {
        const struct staged_id *last = &ids->at[--ids->count];
        ids->chain[chain_of(ids, last->id)] = last->next;
    }
}

static bool is_v7(struct uuid id)
{
    return id.byte[6] >> 4 == 7;
}

/* Is a run of this id stored?  Then its hash. */
static int stored_hash(struct writer *w, struct uuid id, bool *there, uint64_t hash[2],
                       struct err *err)
{
    struct key below = {0};
    unsigned char key[KEYS_WIDTH_MAX];
    key_add_id(&below, id);
    key_fill(&below, KEYS_ID);
    int r = keys_find(&w->reader, w->view, KEYS_ID, &below, KEYS_ID_PREFIX, key, there, err);
    if (r || !*there)
        return r;
    bool row = false;
    (void)sqlite3_bind_int64(w->get_hash, 1, (int64_t)key_number(KEYS_ID, key)); /* cannot fail */
    r = db_step(w->get_hash, &row, "read a row", err);
    if (r)
        return r;
    if (row && sqlite3_column_bytes(w->get_hash, 0) == 16)
        memcpy(hash, sqlite3_column_blob(w->get_hash, 0), 16);
    else
        r = err_set(err, ERR_CORRUPT, "index: a row is missing; run `rundlet reindex`");
    if (row)
        (void)sqlite3_reset(w->get_hash); /* no step failed */
    return r;
}

/* Is the run new?  Else *conflict says whether the one that is there differs. */
static int judge(struct writer *w, struct judged *judged, bool *conflict, struct err *err)
{
    const struct run *run = &judged->run;
    *conflict = false;
    judged->fresh = true;
    if (is_v7(run->id) && uuid_compare(run->id, w->newest) > 0) {
        w->newest = run->id;
        return 0;
    }
    uint64_t hash[2] = {0};
    const struct staged_id *staged = staged_id(&w->ids, run->id);
    bool there = staged != NULL;
    if (staged) {
        memcpy(hash, staged->hash, sizeof hash);
    } else {
        int r = stored_hash(w, run->id, &there, hash, err);
        if (r)
            return r;
    }
    if (there) {
        judged->fresh = false;
        *conflict = hash[0] != run->hash[0] || hash[1] != run->hash[1];
    }
    return 0;
}

/* --- staging: insert -------------------------------------------------------------- */

/* Staged keys that are too many to wait become a part.  It does not count as
 * complete: the rest of this transaction's keys come with the commit. */
static int spill(struct writer *w, enum keys_kind kind, struct err *err)
{
    struct keys_run *run = take_staged(w, kind);
    int r = parts_write(&w->parts, kind, &run, 1, 0, err);
    keys_run_unref(run);
    w->staged[kind].spilled = true;
    return r;
}

static int stage_key(struct writer *w, enum keys_kind kind, const struct key *key, struct err *err)
{
    struct staged *staged = &w->staged[kind];
    size_t width = keys_width(kind);
    assert(key->len == width);
    if (staged->count == staged->cap) {
        staged->cap = staged->cap ? 2 * staged->cap : 1024;
        staged->at = realloc(staged->at, staged->cap * width);
        if (!staged->at)
            abort();
    }
    memcpy(staged->at + staged->count * width, key->at, width);
    staged->count++;
    staged->added++;
    return staged->count * width >= PARTS_SPILL * w->parts.flush && w->open ? spill(w, kind, err)
                                                                            : 0;
}

/* The keys of a name, of the kinds whose parts end before it: text, grams. */
static int stage_name(struct writer *w, uint64_t number, uint64_t hash, struct str folded,
                      const uint64_t above[2], struct err *err)
{
    int r = 0;
    if (number > above[0]) {
        struct key text = {0};
        key_add_u64(&text, hash);
        key_add_number(&text, number);
        r = stage_key(w, KEYS_TEXT, &text, err);
    }
    uint64_t gram = 0;
    size_t points = 0;
    for (size_t i = 0, size; !r && number > above[1] && i < folded.len; i += size) {
        gram = keys_gram(gram, fold_point(folded.at + i, &size));
        if (++points < KEYS_GRAM_POINTS)
            continue;
        struct key key = {0};
        key_add_u64(&key, gram);
        key_add_number(&key, number);
        r = stage_key(w, KEYS_GRAM, &key, err);
    }
    return r;
}

/* Is this the text of that name? */
static int name_is(struct writer *w, uint64_t number, struct str folded, bool *same,
                   struct err *err)
{
    bool row = false;
    (void)sqlite3_bind_int64(w->get_name, 1, (int64_t)number); /* cannot fail */
    int r = db_step(w->get_name, &row, "read a name", err);
    if (r || !row)
        return r;
    struct str there = {sqlite3_column_blob(w->get_name, 0),
                        (size_t)sqlite3_column_bytes(w->get_name, 0)};
    *same = str_eq(there, folded);
    (void)sqlite3_reset(w->get_name); /* no step failed */
    return 0;
}

/* The number of a folded name, which is made when there is none. */
static int name_number(struct writer *w, struct str folded, uint64_t *number, struct err *err)
{
    uint64_t hash = hash_bytes(w->seed, folded.at, folded.len);
    *number = intern_get(&w->name_numbers, hash, folded);
    if (*number)
        return 0;

    struct key below = {0};
    unsigned char key[KEYS_WIDTH_MAX];
    key_add_u64(&below, hash);
    key_fill(&below, KEYS_TEXT);
    for (bool found = true, same = false; !same;) {
        int r =
            keys_find(&w->reader, w->view, KEYS_TEXT, &below, KEYS_TEXT_PREFIX, key, &found, err);
        if (!r && found)
            r = name_is(w, key_number(KEYS_TEXT, key), folded, &same, err);
        if (r)
            return r;
        if (!found)
            break;
        if (same)
            *number = key_number(KEYS_TEXT, key);
        memcpy(below.at, key, below.len);
    }
    if (!*number) {
        if (w->names == KEYS_NUMBER_MAX - 1)
            return err_set(err, ERR_FULL, "index: no number is left for a name");
        *number = ++w->names;
        (void)sqlite3_bind_int64(w->add_name, 1, (int64_t)*number); /* these binds cannot fail */
        (void)sqlite3_bind_blob64(w->add_name, 2, folded.len ? folded.at : "", folded.len,
                                  SQLITE_STATIC);
        int r = db_run(w->add_name, "add a name", err);
        if (!r)
            r = stage_name(w, *number, hash, folded, (const uint64_t[2]){0, 0}, err);
        if (r)
            return r;
    }
    intern_put(&w->name_numbers, hash, folded, *number);
    return 0;
}

/* The number of the run's project, which is made when there is none. */
static int project_number(struct writer *w, const struct run *run, uint64_t *number,
                          struct err *err)
{
    struct str json = run_field(run, RUN_SESSION_NAME), project = STR("default");
    if (json.len >= 2 && json.at[0] == '"') {
        w->scratch.len = 0;
        char *room = text_room(&w->scratch, json.len);
        project.len = json_string_decode((struct str){json.at + 1, json.len - 2}, room);
        project.at = room;
        if (project.len > FOLD_NAME_MAX)
            project.len = FOLD_NAME_MAX;
    }
    uint64_t hash = hash_bytes(w->seed, project.at, project.len);
    *number = intern_get(&w->project_numbers, hash, project);
    if (*number)
        return 0;

    bool row = false;
    (void)sqlite3_bind_blob64(w->get_project, 1, project.len ? project.at : "", project.len,
                              SQLITE_STATIC); /* these binds cannot fail */
    int r = db_step(w->get_project, &row, "look a project up", err);
    if (r)
        return r;
    if (row) {
        *number = (uint64_t)sqlite3_column_int64(w->get_project, 0);
        (void)sqlite3_reset(w->get_project); /* no step failed */
    } else {
        (void)sqlite3_bind_blob64(w->add_project, 1, project.len ? project.at : "", project.len,
                                  SQLITE_STATIC);
        r = db_run(w->add_project, "add a project", err);
        *number = (uint64_t)sqlite3_last_insert_rowid(w->db);
    }
    if (!r)
        intern_put(&w->project_numbers, hash, project, *number);
    return r;
}

static int insert(struct writer *w, const struct run *run, struct place place, uint64_t version,
                  struct err *err)
{
    static const uint64_t all[KEYS_KINDS] = {0};
    uint64_t project = 0, name = 0;
    int r = project_number(w, run, &project, err);
    if (r)
        return r;
    w->scratch.len = 0;
    if (fold_run_name(run, &w->scratch))
        r = name_number(w, text_str(&w->scratch), &name, err);
    if (r)
        return r;
    if (w->rows == KEYS_NUMBER_MAX - 1)
        return err_set(err, ERR_FULL, "index: no number is left for a row");

    uint64_t row = ++w->rows;
    sqlite3_stmt *s = w->add_run; /* binding numbers and static bytes cannot fail */
    (void)sqlite3_bind_int64(s, 1, (int64_t)row);
    (void)sqlite3_bind_blob(s, 2, run->id.byte, 16, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 3, run->trace.byte, 16, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 4, run->start_us);
    if (run->end_us == RUN_RUNNING)
        (void)sqlite3_bind_null(s, 5);
    else
        (void)sqlite3_bind_int64(s, 5, run->end_us);
    (void)sqlite3_bind_int64(s, 6, (int64_t)project);
    (void)sqlite3_bind_int64(s, 7, (int64_t)name);
    (void)sqlite3_bind_int(s, 8, (int)run->type);
    (void)sqlite3_bind_int(s, 9, (int)run->status);
    (void)sqlite3_bind_int64(s, 10, (int64_t)place.container);
    (void)sqlite3_bind_int64(s, 11, place.ordinal);
    (void)sqlite3_bind_int64(s, 12, (int64_t)version);
    (void)sqlite3_bind_int64(s, 13, (int64_t)run->raw.len);
    (void)sqlite3_bind_blob(s, 14, run->hash, 16, SQLITE_STATIC);
    r = db_run(s, "add a row", err);
    if (r)
        return r;
    const struct row_keys keys = {run->id, run->trace, run->start_us, name, row};
    return stage_row(w, &keys, all, err);
}

/* --- staging -------------------------------------------------------------------- */

static int room_for(struct writer *w, size_t count, struct err *err)
{
    if (count <= w->judged_cap)
        return 0;
    free(w->judged);
    w->judged = calloc(count, sizeof *w->judged);
    w->judged_cap = w->judged ? count : 0;
    return w->judged ? 0 : err_set(err, ERR_BUSY, "index: no memory for %zu runs", count);
}

static int stage(struct writer *w, struct index_batch *batch, struct err *err)
{
    uint32_t count = batch->record->count, added = 0;
    int r = begin(w, err);
    if (!r)
        r = room_for(w, count, err);
    for (uint32_t i = 0; !r && i < count; i++)
        r = record_run(batch->record, i, &w->judged[i].run, err);
    if (r)
        return r;

    size_t before = w->ids.count;
    for (uint32_t i = 0; i < count; i++) {
        bool conflict = false;
        r = judge(w, &w->judged[i], &conflict, err);
        if (r)
            return r;
        if (conflict) {
            cut_staged_ids(&w->ids, before);
            batch->verdict = INDEX_CONFLICT;
            batch->added = 0;
            batch->conflict = i;
            return 0;
        }
        if (w->judged[i].fresh) {
            add_staged_id(&w->ids, &w->judged[i].run);
            added++;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!w->judged[i].fresh)
            continue;
        struct place place = {batch->first.container, batch->first.ordinal + i};
        r = insert(w, &w->judged[i].run, place, batch->sequence, err);
        if (r)
            return r;
    }
    batch->added = added;
    batch->verdict = added ? INDEX_ADDED : INDEX_DUPLICATE;
    return 0;
}

int writer_stage(struct writer *w, struct index_batch *batch, struct err *err)
{
    int r = stage(w, batch, err);
    if (r)
        w->failed = true;
    return r;
}

/* --- committing ------------------------------------------------------------------- */

static bool is_of_names(enum keys_kind kind)
{
    return kind == KEYS_TEXT || kind == KEYS_GRAM;
}

/* Write what the view has of a kind as a part.  What spilled needs the keys
 * that are still staged as well, so that the part is complete. */
static int flush(struct writer *w, enum keys_kind kind, struct keys_run **staged, struct err *err)
{
    struct keys_run *runs[KEYS_RUNS_MAX + 1];
    size_t count = w->view->kind[kind].count;
    memcpy(runs, w->view->kind[kind].runs, count * sizeof *runs);
    uint64_t upto = is_of_names(kind) ? w->names_there : w->view->rows;
    if (w->staged[kind].spilled) {
        upto = is_of_names(kind) ? w->names : w->rows;
        if (*staged)
            runs[count++] = *staged;
    }
    if (count == 0)
        return 0;
    int r = parts_write(&w->parts, kind, runs, count, upto, err);
    if (!r && w->staged[kind].spilled) {
        keys_run_unref(*staged);
        *staged = NULL;
    }
    return r;
}

/* Flush what spilled, and at most one kind that has grown long. */
static int flush_some(struct writer *w, struct keys_run *staged[KEYS_KINDS],
                      bool flushed[KEYS_KINDS], struct err *err)
{
    int longest = KEYS_KINDS;
    size_t most = w->parts.flush;
    for (int k = 0; k < KEYS_KINDS; k++) {
        size_t size = keys_view_count(w->view, (enum keys_kind)k) * keys_width((enum keys_kind)k);
        flushed[k] = w->staged[k].spilled;
        if (!flushed[k] && size >= most) {
            most = size;
            longest = k;
        }
    }
    if (longest < KEYS_KINDS)
        flushed[longest] = true;
    for (int k = 0; k < KEYS_KINDS; k++) {
        int r = flushed[k] ? flush(w, (enum keys_kind)k, &staged[k], err) : 0;
        if (r)
            return r;
    }
    return 0;
}

int writer_commit(struct writer *w, uint64_t sequence, struct err *err)
{
    struct keys_run *staged[KEYS_KINDS] = {0};
    bool flushed[KEYS_KINDS] = {false};
    uint64_t added[KEYS_KINDS];
    int r = begin(w, err);
    if (r)
        goto fail;
    for (int k = 0; k < KEYS_KINDS; k++) {
        added[k] = w->staged[k].added;
        staged[k] = take_staged(w, (enum keys_kind)k);
    }
    r = flush_some(w, staged, flushed, err);
    if (!r)
        r = parts_tend(&w->parts, added, err);
    if (r)
        goto fail;
    (void)sqlite3_bind_int64(w->set_meta, 1, (int64_t)sequence); /* these binds cannot fail */
    (void)sqlite3_bind_int64(w->set_meta, 2, w->parts.layout);
    (void)sqlite3_bind_blob(w->set_meta, 3, w->newest.byte, 16, SQLITE_STATIC);
    r = db_run(w->set_meta, "set the mark", err);
    if (!r)
        r = db_run(w->commit, "commit", err);
    if (r)
        goto fail;

    w->open = false;
    w->mark = sequence;
    w->layout = w->parts.layout;
    w->names_there = w->names;
    publish(w, flushed, staged);
    forget_staged(w);
    wal_tend(w->wal);
    return 0;

fail:
    for (int k = 0; k < KEYS_KINDS; k++)
        keys_run_unref(staged[k]);
    w->failed = true;
    writer_rollback(w);
    return r;
}
