/* sqlite_db.h - connections to the database file, and its tables.
 *
 * Threads  a connection belongs to one thread at a time
 * Errors   ERR_FULL no room, ERR_CORRUPT damaged or not ours (the text names
 *          `rundlet reindex`), ERR_TIMEOUT interrupted, ERR_BUSY no memory,
 *          ERR_UNAVAILABLE locked by another process, else ERR_IO.  A failed
 *          fsync ends the process
 * Sources  docs/design/index-schema.md
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum db_use { DB_WRITE, DB_READ, DB_CHECKPOINT };

/* Bytes of a page.  Rows are appended and keys come in blocks, so most pages are filled: fewer
 * and larger ones cost fewer calls.  But each commit writes three of them, however few its rows. */
enum { DB_PAGE = 8 << 10 };

/* Open the file; as DB_WRITE it is made, and a database of another schema is
 * emptied.  `cache_size` in bytes.  *result is NULL on failure. */
int db_open(const char *path, enum db_use use, size_t cache_size, sqlite3 **result,
            struct err *err);
void db_close(sqlite3 *db); /* NULL is fine; every statement is finalised */

/* Why the last call on this connection failed, as an error. */
int db_fail(sqlite3 *db, const char *doing, struct err *err);

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **result, struct err *err);
int db_exec(sqlite3 *db, const char *sql, struct err *err);

/* Run a statement that answers nothing, and make it ready again. */
int db_run(sqlite3_stmt *statement, const char *doing, struct err *err);

/* Step to the next answer: *row says whether there is one.  At the end, and on
 * an error, the statement is ready again. */
int db_step(sqlite3_stmt *statement, bool *row, const char *doing, struct err *err);

/* One number from one statement; as it was when there is no row. */
int db_ask(sqlite3 *db, const char *sql, int64_t *answer, struct err *err);
