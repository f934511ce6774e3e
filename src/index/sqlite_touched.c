/* sqlite_touched.c - see sqlite_touched.h. */
#include "index/sqlite_touched.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/hash.h"
#include "index/sqlite_db.h"
#include "index/sqlite_scan.h"

enum {
    POOL_MUCH = 16 << 20,
    HOLDERS_MIN = 2,
    SCRATCH = 64 << 10, /* bytes to begin with, ... */
    SCRATCH_ROWS = 64   /* ... and rows that share them */
};

/* Something in the pool, or `lent` by the batch. */
struct piece {
    const char *lent;
    size_t at;
    uint32_t len, cap;
};

struct touch {
    struct uuid id;
    uint32_t next;  /* in its chain: 1 + its position; 0: the end */
    uint32_t batch; /* that last changed it */
    uint64_t row;   /* the number under which it is stored; 0: it is not */
    bool held;      /* what follows says what the run is; else its row does */
    bool changed, facts_changed;
    bool by_default;
    uint64_t project, name;
    struct piece run, facts;
    /* As they are stored. */
    struct uuid was_trace, was_parent;
    int64_t was_start_us;
    uint64_t was_project, was_name;
    enum run_type was_type;
    bool was_found; /* it had holders */
    bool has_facts;
    struct piece was_facts;
};

struct touch_before {
    size_t at;
    struct touch touch;
};

int touched_open(struct touched *t, struct keys_reader *reader, struct staged *staged,
                 struct err *err)
{
    *t = (struct touched){.reader = reader, .staged = staged};
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&t->add_run, "INSERT INTO run(" ROW_COLUMNS ") VALUES"
                      " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"},
        {&t->set_run, "UPDATE run SET superseded = ?2, id = ?3, trace = ?4, parent = ?5,"
                      " start_us = ?6, end_us = ?7, project = ?8, name = ?9, type = ?10,"
                      " status = ?11, flags = ?12, version = ?13, post_hash = ?14, holders = ?15"
                      " WHERE row = ?1"},
        {&t->supersede, "UPDATE run SET superseded = ?2 WHERE row = ?1"},
        {&t->add_facts, "INSERT INTO facts VALUES (?1, ?2)"},
        {&t->set_facts, "REPLACE INTO facts VALUES (?1, ?2)"},
        {&t->get_run, "SELECT " ROW_COLUMNS " FROM run WHERE row = ?1"},
        {&t->get_facts, "SELECT bytes FROM facts WHERE row = ?1"},
    };
    int r = 0;
    for (size_t i = 0; !r && i < sizeof statements / sizeof *statements; i++)
        r = db_prepare(reader->db, statements[i].sql, statements[i].statement, err);
    return r;
}

void touched_close(struct touched *t)
{
    sqlite3_stmt *statements[] = {t->add_run,   t->set_run, t->supersede, t->add_facts,
                                  t->set_facts, t->get_run, t->get_facts};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    free(t->at);
    free(t->chain);
    free(t->before);
    text_free(&t->pool);
    text_free(&t->bytes);
    row_attributes_free(&t->attributes);
    row_attributes_free(&t->attributes_before);
    *t = (struct touched){0};
}

/* --- by id ---------------------------------------------------------------------- */

static size_t chain_of(const struct touched *t, struct uuid id)
{
    return (size_t)(hash_bytes(t->seed, id.byte, sizeof id.byte) >> 32) & (t->cap - 1);
}

/* 1 + its position; 0: there is none. */
static size_t known(const struct touched *t, struct uuid id)
{
    if (t->count == 0)
        return 0;
    uint32_t i = t->chain[chain_of(t, id)];
    while (i && uuid_compare(t->at[i - 1].id, id) != 0)
        i = t->at[i - 1].next;
    return i;
}

static void link_touch(struct touched *t, size_t i)
{
    uint32_t *chain = &t->chain[chain_of(t, t->at[i].id)];
    t->at[i].next = *chain;
    *chain = (uint32_t)(i + 1);
}

/* All zero but for the id. */
static size_t add_touch(struct touched *t, struct uuid id)
{
    if (t->count == t->cap) {
        assert(t->cap < UINT32_MAX / 2);
        t->cap = t->cap ? 2 * t->cap : 1024;
        t->at = realloc(t->at, t->cap * sizeof *t->at);
        free(t->chain);
        t->chain = calloc(t->cap, sizeof *t->chain);
        if (!t->at || !t->chain)
            abort();
        for (size_t i = 0; i < t->count; i++)
            link_touch(t, i);
    }
    t->at[t->count] = (struct touch){.id = id, .batch = t->batch};
    link_touch(t, t->count);
    return ++t->count;
}

static void forget_pool(struct touched *t)
{
    if (t->pool.cap > 2 * POOL_MUCH)
        text_free(&t->pool);
    t->pool.len = 0;
}

void touched_forget(struct touched *t)
{
    t->count = t->before_count = t->first = 0;
    if (t->cap > 0)
        memset(t->chain, 0, t->cap * sizeof *t->chain);
    forget_pool(t);
}

void touched_begin(struct touched *t)
{
    t->batch++;
    t->first = t->count;
    t->before_count = 0;
}

void touched_undo(struct touched *t)
{
    while (t->before_count > 0) {
        const struct touch_before *before = &t->before[--t->before_count];
        uint32_t next = t->at[before->at].next; /* chains may have been made anew */
        t->at[before->at] = before->touch;
        t->at[before->at].next = next;
    }
    /* The last ones in are the first of their chains. */
    while (t->count > t->first) {
        const struct touch *last = &t->at[--t->count];
        t->chain[chain_of(t, last->id)] = last->next;
    }
}

/* --- what they hold --------------------------------------------------------------- */

static struct str piece_str(const struct touched *t, const struct piece *piece)
{
    if (piece->lent)
        return (struct str){piece->lent, piece->len};
    return (struct str){piece->len ? t->pool.at + piece->at : NULL, piece->len};
}

static void *piece_room(struct touched *t, struct piece *piece, size_t len)
{
    if (len > piece->cap) {
        size_t pad = (0 - t->pool.len) & 15;
        (void)text_room(&t->pool, pad + len);
        *piece = (struct piece){.at = t->pool.len + pad, .cap = (uint32_t)len};
        t->pool.len += pad + len;
    }
    piece->len = (uint32_t)len;
    piece->lent = NULL;
    return t->pool.at + piece->at;
}

static size_t run_size(unsigned holders)
{
    return offsetof(struct merged, holder) + holders * sizeof(struct holder);
}

static void hold_run(struct touched *t, struct piece *piece, const struct merged *run)
{
    size_t size = run_size(run->count);
    if (size > piece->cap)
        (void)piece_room(t, piece, run_size(run->count < HOLDERS_MIN ? HOLDERS_MIN : run->count));
    memcpy(piece_room(t, piece, size), run, size);
}

static void hold_facts(struct touched *t, struct piece *piece, struct str facts)
{
    void *room = piece_room(t, piece, facts.len);
    if (facts.len)
        memcpy(room, facts.at, facts.len);
}

void touched_read(const struct touched *t, size_t touch, struct row *row, struct str *facts)
{
    const struct touch *at = &t->at[touch - 1];
    assert(at->held);
    row->number = at->row;
    row->superseded = 0;
    row->project = at->project;
    row->name = at->name;
    row->by_default = at->by_default;
    memcpy(&row->run, t->pool.at + at->run.at, at->run.len);
    *facts = piece_str(t, &at->facts);
}

/* --- from the table ----------------------------------------------------------------- */

static int missing(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "index: a row is missing; run `rundlet reindex`");
}

static int load_facts(struct touched *t, struct touch *touch, struct err *err)
{
    bool there = false;
    (void)sqlite3_bind_int64(t->get_facts, 1, (int64_t)touch->row); /* cannot fail */
    int r = db_step(t->get_facts, &there, "read facts", err);
    touch->facts = (struct piece){0};
    touch->has_facts = there;
    if (r || !there)
        return r;
    struct str facts = {sqlite3_column_blob(t->get_facts, 0),
                        (size_t)sqlite3_column_bytes(t->get_facts, 0)};
    hold_facts(t, &touch->facts, facts);
    (void)sqlite3_reset(t->get_facts); /* no step failed */
    return 0;
}

static void note_stored(struct touch *touch, const struct row *row)
{
    touch->was_trace = row->run.trace;
    touch->was_parent = row->run.parent;
    touch->was_start_us = row->run.start_us;
    touch->was_type = row->run.type;
    touch->was_project = row->project;
    touch->was_name = row->name;
    touch->was_found = row->run.count > 0;
    touch->was_facts = touch->facts;
    touch->facts.cap = 0; /* so that these stay */
}

static int load(struct touched *t, size_t i, struct err *err)
{
    struct touch *touch = &t->at[i];
    struct row row;
    bool there = false;
    (void)sqlite3_bind_int64(t->get_run, 1, (int64_t)touch->row); /* cannot fail */
    int r = db_step(t->get_run, &there, "read a row", err);
    if (!r && !there)
        r = missing(err);
    if (!r)
        r = row_read(t->get_run, &row, err);
    if (there)
        (void)sqlite3_reset(t->get_run); /* no step failed */
    if (!r)
        r = load_facts(t, touch, err);
    if (r)
        return r;
    touch->project = row.project;
    touch->name = row.name;
    touch->by_default = row.by_default;
    touch->run = (struct piece){0};
    hold_run(t, &touch->run, &row.run);
    note_stored(touch, &row);
    touch->held = true;
    return 0;
}

static bool is_v7(struct uuid id)
{
    return id.byte[6] >> 4 == 7;
}

int touched_get(struct touched *t, struct uuid id, size_t *touch, struct err *err)
{
    *touch = known(t, id);
    if (*touch)
        return t->at[*touch - 1].held ? 0 : load(t, *touch - 1, err);
    if (is_v7(id) && uuid_compare(id, t->newest) > 0)
        return 0;
    struct key below = {0};
    unsigned char key[KEYS_WIDTH_MAX];
    bool there = false;
    key_add_id(&below, id);
    key_fill(&below, KEYS_ID);
    int r = keys_find(t->reader, t->view, KEYS_ID, &below, KEYS_ID_PREFIX, key, &there, err);
    if (r || !there)
        return r;
    *touch = add_touch(t, id);
    t->at[*touch - 1].row = key_number(KEYS_ID, key);
    return load(t, *touch - 1, err);
}

/* Keep what it was, once in a batch; what it holds is not written over from then on. */
static void keep_before(struct touched *t, size_t i)
{
    struct touch *touch = &t->at[i];
    if (touch->batch == t->batch)
        return;
    if (t->before_count == t->before_cap) {
        t->before_cap = t->before_cap ? 2 * t->before_cap : 64;
        t->before = realloc(t->before, t->before_cap * sizeof *t->before);
        if (!t->before)
            abort();
    }
    t->before[t->before_count++] = (struct touch_before){i, *touch};
    touch->batch = t->batch;
    touch->run.cap = touch->facts.cap = 0;
}

void touched_put(struct touched *t, size_t *touch, const struct row *row, const struct str *facts,
                 bool lent)
{
    if (*touch == 0) {
        *touch = add_touch(t, row->run.id);
        if (is_v7(row->run.id) && uuid_compare(row->run.id, t->newest) > 0)
            t->newest = row->run.id;
    } else {
        keep_before(t, *touch - 1);
    }
    struct touch *at = &t->at[*touch - 1];
    at->held = at->changed = true;
    at->project = row->project;
    at->name = row->name;
    at->by_default = row->by_default;
    hold_run(t, &at->run, &row->run);
    if (facts && !str_eq(*facts, piece_str(t, &at->facts))) {
        at->facts_changed = true;
        if (lent)
            at->facts = (struct piece){.lent = facts->at, .len = (uint32_t)facts->len};
        else
            hold_facts(t, &at->facts, *facts);
    }
}

/* --- to the table -------------------------------------------------------------------- */

static int attributes_changed(struct touched *t, const struct touch *touch, const struct row *row,
                              bool *changed, struct err *err)
{
    *changed = false;
    if (!touch->facts_changed)
        return 0;
    struct row_attributes *before = &t->attributes_before;
    int r = row_attributes(row, piece_str(t, &touch->was_facts), t->seed, t->scratch, before, err);
    if (!r)
        r = row_attributes(row, piece_str(t, &touch->facts), t->seed, t->scratch, &t->attributes,
                           err);
    *changed = before->count != t->attributes.count ||
               (before->count > 0 &&
                memcmp(before->at, t->attributes.at, before->count * sizeof *before->at) != 0);
    return r;
}

/* Would its keys be others than those that are there? */
static int keys_changed(struct touched *t, const struct touch *touch, const struct row *row,
                        bool *changed, struct err *err)
{
    const struct merged *run = &row->run;
    *changed = touch->was_start_us != run->start_us || touch->was_name != row->name ||
               touch->was_project != row->project || touch->was_type != run->type ||
               touch->was_found != (run->count > 0) ||
               uuid_compare(touch->was_trace, run->trace) != 0 ||
               uuid_compare(touch->was_parent, run->parent) != 0;
    return *changed ? 0 : attributes_changed(t, touch, row, changed, err);
}

static int write_facts(struct touched *t, const struct touch *touch, bool fresh, struct err *err)
{
    struct str facts = piece_str(t, &touch->facts);
    if (facts.len == 0 && (fresh || !touch->has_facts))
        return 0;
    sqlite3_stmt *s = fresh || !touch->has_facts ? t->add_facts : t->set_facts;
    (void)sqlite3_bind_int64(s, 1, (int64_t)touch->row); /* these binds cannot fail */
    (void)sqlite3_bind_blob64(s, 2, facts.len ? facts.at : "", facts.len, SQLITE_STATIC);
    return db_run(s, "write facts", err);
}

static int replace(struct touched *t, uint64_t old, uint64_t new, struct err *err)
{
    (void)sqlite3_bind_int64(t->supersede, 1, (int64_t)old); /* these binds cannot fail */
    (void)sqlite3_bind_int64(t->supersede, 2, (int64_t) new);
    t->replaced++;
    return db_run(t->supersede, "replace a row", err);
}

static int insert(struct touched *t, struct touch *touch, struct row *row, struct str holders,
                  struct err *err)
{
    static const uint64_t all[KEYS_KINDS] = {0};
    if (t->rows == KEYS_NUMBER_MAX - 2)
        return err_set(err, ERR_FULL, "index: no number is left for a row");
    uint64_t old = touch->row;
    row->number = touch->row = ++t->rows;
    row_bind(t->add_run, row, holders);
    int r = db_run(t->add_run, "add a row", err);
    if (!r)
        r = write_facts(t, touch, true, err);
    if (!r && old)
        r = replace(t, old, row->number, err);
    if (!r)
        r = row_attributes(row, piece_str(t, &touch->facts), t->seed, t->scratch, &t->attributes,
                           err);
    return r ? r : row_stage(t->staged, row, &t->attributes, all, err);
}

static int update(struct touched *t, struct touch *touch, const struct row *row, struct str holders,
                  struct err *err)
{
    row_bind(t->set_run, row, holders);
    int r = db_run(t->set_run, "change a row", err);
    return !r && touch->facts_changed ? write_facts(t, touch, false, err) : r;
}

static int write_one(struct touched *t, struct touch *touch, struct row *row, struct err *err)
{
    struct str facts;
    bool anew = touch->row == 0;
    touched_read(t, (size_t)(touch - t->at) + 1, row, &facts);
    int r = anew ? 0 : keys_changed(t, touch, row, &anew, err);
    if (r)
        return r;
    t->bytes.len = 0;
    if (row->run.count > 0)
        merge_write(row->run.holder, row->run.count, &t->bytes);
    return anew ? insert(t, touch, row, text_str(&t->bytes), err)
                : update(t, touch, row, text_str(&t->bytes), err);
}

bool touched_is_much(const struct touched *t)
{
    return t->pool.len > POOL_MUCH;
}

int touched_write(struct touched *t, struct err *err)
{
    struct row row;
    int r = 0;
    for (size_t i = 0, written = 0; !r && i < t->count; i++) {
        if (t->at[i].held && t->at[i].changed) {
            if (written++ % SCRATCH_ROWS == 0) {
                arena_free(t->scratch);
                t->scratch = arena_new(SCRATCH);
            }
            r = write_one(t, &t->at[i], &row, err);
        }
        t->at[i].held = t->at[i].changed = t->at[i].facts_changed = false;
    }
    arena_free(t->scratch);
    t->scratch = NULL;
    forget_pool(t);
    t->before_count = 0;
    t->first = t->count; /* what is written is not undone */
    return r;
}
