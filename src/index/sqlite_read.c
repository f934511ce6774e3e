/* sqlite_read.c - see sqlite_read.h.  Searching is in sqlite_search.c. */
#include "index/sqlite_read.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "index/sqlite_db.h"

enum { PROGRESS_STEPS = 10000 }; /* of SQLite's machine between two looks at the clock */

static int passed(void *context)
{
    const struct reader *reader = context;
    return clock_mono_us() >= reader->keys.deadline_us;
}

int reader_open(const char *path, struct reader **result, struct err *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(err, ERR_BUSY, "no memory for a reader");
    int r = db_open(path, DB_READ, 0, &reader->db, err);
    if (r)
        goto fail;
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&reader->begin, "BEGIN"},
        {&reader->end, "ROLLBACK"},
        {&reader->layout, "SELECT layout FROM meta"},
        {&reader->row, "SELECT id, trace, start_us, container, ordinal, version, size, name, hash"
                       " FROM run WHERE row = ?1"},
        {&reader->name, "SELECT folded FROM name WHERE name = ?1"},
        {&reader->names, "SELECT name, folded FROM name"},
    };
    for (size_t i = 0; !r && i < sizeof statements / sizeof *statements; i++)
        r = db_prepare(reader->db, statements[i].sql, statements[i].statement, err);
    if (!r)
        r = keys_reader_open(&reader->keys, reader->db, err);
    if (r)
        goto fail;
    *result = reader;
    return 0;

fail:
    reader_close(reader);
    return r;
}

void reader_close(struct reader *reader)
{
    if (!reader)
        return;
    keys_reader_close(&reader->keys);
    sqlite3_finalize(reader->begin);
    sqlite3_finalize(reader->end);
    sqlite3_finalize(reader->layout);
    sqlite3_finalize(reader->row);
    sqlite3_finalize(reader->name);
    sqlite3_finalize(reader->names);
    db_close(reader->db);
    free(reader);
}

int reader_begin(struct reader *reader, const struct keys_view *view, int64_t deadline_us,
                 struct err *err)
{
    reader->view = view;
    reader->keys.deadline_us = deadline_us;
    if (clock_mono_us() >= deadline_us)
        return err_set(err, ERR_TIMEOUT, "index: the deadline of a read passed while it waited");
    sqlite3_progress_handler(reader->db, PROGRESS_STEPS, passed, reader);
    int r = db_run(reader->begin, "begin a read", err);
    bool row = false;
    if (!r)
        r = db_step(reader->layout, &row, "begin a read", err);
    if (r)
        return r;
    int64_t layout = row ? sqlite3_column_int64(reader->layout, 0) : -1;
    if (row)
        (void)sqlite3_reset(reader->layout); /* no step failed */
    return keys_reader_load(&reader->keys, layout, err);
}

void reader_end(struct reader *reader)
{
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(reader->db)) {
        (void)sqlite3_step(reader->end); /* ending a read changes nothing, so it cannot fail */
        (void)sqlite3_reset(reader->end);
    }
    reader->view = NULL;
}

int reader_row(struct reader *reader, uint64_t number, struct arena *arena, struct index_row *row,
               uint64_t *name, struct err *err)
{
    sqlite3_stmt *s = reader->row;
    int r = keys_reader_check(&reader->keys, err);
    if (r)
        return r;
    bool there = false;
    (void)sqlite3_bind_int64(s, 1, (int64_t)number); /* cannot fail */
    r = db_step(s, &there, "read a row", err);
    if (r)
        return r;
    if (!there || sqlite3_column_bytes(s, 0) != 16 || sqlite3_column_bytes(s, 1) != 16) {
        r = err_set(err, ERR_CORRUPT, "index: a row is missing; run `rundlet reindex`");
    } else {
        *row = (struct index_row){
            .found = true,
            .start_us = sqlite3_column_int64(s, 2),
            .version = (uint64_t)sqlite3_column_int64(s, 5),
            .size = (uint64_t)sqlite3_column_int64(s, 6),
        };
        struct holder *holder = arena_make(arena, struct holder, 1);
        *holder = (struct holder){
            .place = {(uint64_t)sqlite3_column_int64(s, 3), (uint32_t)sqlite3_column_int64(s, 4)},
            .sequence = row->version,
            .hash = get_u64(sqlite3_column_blob(s, 8)),
            .size = (uint32_t)row->size,
            .fields = UINT32_MAX,
            .kind = RUN_WHOLE,
        };
        row->holders = holder;
        row->holder_count = 1;
        memcpy(row->id.byte, sqlite3_column_blob(s, 0), 16);
        memcpy(row->trace.byte, sqlite3_column_blob(s, 1), 16);
        *name = (uint64_t)sqlite3_column_int64(s, 7);
    }
    if (there)
        (void)sqlite3_reset(s); /* no step failed */
    return r;
}

int reader_find(struct reader *reader, struct index_find *find, struct err *err)
{
    find->rows = arena_make(find->arena, struct index_row, find->count);
    for (size_t i = 0; i < find->count; i++) {
        struct key below = {0};
        unsigned char key[KEYS_WIDTH_MAX];
        bool found = false;
        find->rows[i].id = find->ids[i];
        key_add_id(&below, find->ids[i]);
        key_fill(&below, KEYS_ID);
        int r = keys_find(&reader->keys, reader->view, KEYS_ID, &below, KEYS_ID_PREFIX, key, &found,
                          err);
        uint64_t name = 0;
        if (!r && found && key_number(KEYS_ID, key) <= reader->view->rows)
            r = reader_row(reader, key_number(KEYS_ID, key), find->arena, &find->rows[i], &name,
                           err);
        if (r)
            return r;
    }
    return 0;
}
