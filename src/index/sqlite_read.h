/* sqlite_read.h - finding and searching, on one connection.
 *
 * Threads  a reader belongs to one thread at a time
 * Errors   as sqlite_db.h, and ERR_TIMEOUT at the deadline
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "index/index.h"
#include "index/sqlite_scan.h"

struct reader {
    sqlite3 *db;
    struct keys_reader keys;
    sqlite3_stmt *begin, *end, *layout, *row, *name, *names;
    const struct keys_view *view; /* during a read */
    struct reader *next;          /* belongs to the pool */
};

int reader_open(const char *path, struct reader **result, struct err *err);
void reader_close(struct reader *reader); /* NULL is fine */

/* Between these two everything is read as of one commit: that of `view`, which
 * must have been taken before.  `deadline_us` is monotonic. */
int reader_begin(struct reader *reader, const struct keys_view *view, int64_t deadline_us,
                 struct err *err);
void reader_end(struct reader *reader);

int reader_find(struct reader *reader, struct index_find *find, struct err *err);
int reader_search(struct reader *reader, struct index_search *search, struct err *err);

/* A row by its number, what it points to in the arena; and the number of its name (0: none). */
int reader_row(struct reader *reader, uint64_t number, struct arena *arena, struct index_row *row,
               uint64_t *name, struct err *err);
