/* sqlite_wal.h - moving the write-ahead log into the database file.
 *
 * Not in the committing path: a thread of its own does it once the WAL is
 * WAL_BEGIN pages long, without holding up the writer.  What the writer adds
 * meanwhile is left over; when that is little, the writer does the rest itself
 * after a commit, and SQLite begins the WAL anew.  When the WAL has grown to
 * WAL_HELP pages in spite of this, the writer waits for the thread and does
 * all the rest, so the disk sets the pace and the WAL stays bounded - unless
 * a reader holds on to an old snapshot, and readers have deadlines.
 *
 * Threads  the commit loop's, but for wal_durable()
 */
#pragma once

#include <sqlite3.h>

#include "base/err.h"
#include "index/sqlite_db.h"

enum {
    WAL_BEGIN = (16 << 20) / DB_PAGE,
    WAL_REST = (2 << 20) / DB_PAGE, /* so little is left that the writer finishes it */
    WAL_HELP = (128 << 20) / DB_PAGE
};

struct index_durable;
struct wal;

/* `writer` is the connection that commits. */
int wal_open(const char *path, sqlite3 *writer, struct wal **result, struct err *err);

/* After each commit. */
void wal_tend(struct wal *wal);

/* Sync the WAL; any thread, the work is the thread's that moves it. */
void wal_durable(struct wal *wal, struct index_durable *durable);
void wal_close(struct wal *wal); /* before the writer's connection; NULL is fine */
