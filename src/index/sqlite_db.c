/* sqlite_db.c - see sqlite_db.h. */
#include "index/sqlite_db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

enum {
    APPLICATION = 0x52756e64, /* "Rund": this file is ours */
    SCHEMA = 5,               /* raise it with every change of the tables or of a key */
    READER_CACHE = 2 << 20,
    READER_MMAP = 256 << 20 /* read only: nothing is ever written through it */
};

/* docs/design/index-schema.md says what each is for. */
static const char schema[] =
    "CREATE TABLE meta("
    "  one INTEGER PRIMARY KEY CHECK (one = 1),"
    "  mark INTEGER NOT NULL,"
    "  layout INTEGER NOT NULL,"
    "  newest BLOB NOT NULL,"
    "  replaced INTEGER NOT NULL,"
    "  catalog INTEGER NOT NULL,"
    "  upto BLOB NOT NULL,"
    "  seed INTEGER NOT NULL);"
    "INSERT INTO meta VALUES (1, 0, 0, zeroblob(16), 0, 0, zeroblob(64), random());"
    "CREATE TABLE run("
    "  row INTEGER PRIMARY KEY, superseded INTEGER,"
    "  id BLOB, trace BLOB, parent BLOB, start_us INTEGER, end_us INTEGER, project INTEGER,"
    "  name INTEGER, type INTEGER, status INTEGER, flags INTEGER, version INTEGER,"
    "  post_hash BLOB, holders BLOB);"
    "CREATE TABLE facts(row INTEGER PRIMARY KEY, bytes BLOB);"
    "CREATE TABLE guess(trace BLOB, id BLOB, PRIMARY KEY (trace, id)) WITHOUT ROWID;"
    "CREATE TABLE name(name INTEGER PRIMARY KEY, folded BLOB);"
    "CREATE TABLE entity("
    "  number INTEGER PRIMARY KEY,"
    "  kind INTEGER, id BLOB, parent BLOB, name BLOB, made_us INTEGER, version INTEGER,"
    "  removed INTEGER, json BLOB);"
    "CREATE UNIQUE INDEX entity_id ON entity(kind, id);"
    "CREATE INDEX entity_parent ON entity(kind, parent, made_us, id);"
    "CREATE INDEX entity_name ON entity(kind, name, made_us, id);"
    "CREATE INDEX entity_made ON entity(kind, made_us, id);"
    "CREATE TABLE part("
    "  part INTEGER PRIMARY KEY,"
    "  kind INTEGER, state INTEGER, level INTEGER, blocks INTEGER, keys INTEGER,"
    "  first BLOB, last BLOB, filter BLOB);"
    "CREATE TABLE fence("
    "  part INTEGER, first BLOB, block INTEGER, PRIMARY KEY (part, first)) WITHOUT ROWID;"
    "CREATE TABLE block(block INTEGER PRIMARY KEY, keys BLOB);";

int db_fail(sqlite3 *db, const char *doing, struct err *err)
{
    int code = sqlite3_extended_errcode(db);
    int sys = sqlite3_system_errno(db);
    const char *text = sqlite3_errmsg(db);
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
        fatal("index: %s: a sync failed: %s (%d)", doing, text, sys);

    switch (code & 0xff) {
    case SQLITE_FULL:
        return err_set(err, ERR_FULL, "index: %s: %s", doing, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return err_set(err, ERR_CORRUPT, "index: %s: %s; run `rundlet reindex`", doing, text);
    case SQLITE_INTERRUPT:
        return err_set(err, ERR_TIMEOUT, "index: %s: the deadline passed", doing);
    case SQLITE_NOMEM:
        return err_set(err, ERR_BUSY, "index: %s: no memory", doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_UNAVAILABLE, "index: %s: another process holds it", doing);
    case SQLITE_IOERR:
        if (sys == 0 && (code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_TRUNCATE))
            sys = errno; /* that of a COMMIT is not kept by SQLite */
        if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
            return err_set(err, ERR_FULL, "index: %s: no room is left on the disk", doing);
        break;
    default:
        break;
    }
    return sys ? err_sys(err, sys, "index: %s: %s", doing, text)
               : err_set(err, ERR_IO, "index: %s: %s", doing, text);
}

int db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **result, struct err *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, result, NULL) != SQLITE_OK)
        return db_fail(db, "prepare", err);
    return 0;
}

int db_exec(sqlite3 *db, const char *sql, struct err *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(db, "prepare the file", err);
    return 0;
}

int db_run(sqlite3_stmt *statement, const char *doing, struct err *err)
{
    int r = sqlite3_step(statement) == SQLITE_DONE
                ? 0
                : db_fail(sqlite3_db_handle(statement), doing, err);
    (void)sqlite3_reset(statement); /* repeats the error of the step */
    return r;
}

int db_step(sqlite3_stmt *statement, bool *row, const char *doing, struct err *err)
{
    int step = sqlite3_step(statement);
    *row = step == SQLITE_ROW;
    if (step == SQLITE_ROW)
        return 0;
    int r = step == SQLITE_DONE ? 0 : db_fail(sqlite3_db_handle(statement), doing, err);
    (void)sqlite3_reset(statement); /* repeats the error of the step */
    return r;
}

int db_ask(sqlite3 *db, const char *sql, int64_t *answer, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int r = db_prepare(db, sql, &statement, err);
    bool row = false;
    if (!r)
        r = db_step(statement, &row, "look at the file", err);
    if (!r && row)
        *answer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return r;
}

/* Without secure_delete, which some builds of SQLite have as a default, a page whose keys were
 * merged is free as it is; with it, it is written twice more to be all zero.
 *
 * WAL with synchronous=NORMAL may lose the last commits in a power cut, never
 * the file: the log brings them back.  Checkpoints are ours (sqlite_wal.h). */
static int set_up(sqlite3 *db, enum db_use use, size_t cache_size, struct err *err)
{
    (void)sqlite3_extended_result_codes(db, 1); /* fails only without a connection */
    (void)sqlite3_wal_autocheckpoint(db, 0);    /* likewise */
    int r = db_exec(
        db, "PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA secure_delete=OFF", err);
    if (r)
        return r;
    char sql[80];
    if (use == DB_READ) {
        snprintf(sql, sizeof sql, "PRAGMA query_only=1; PRAGMA mmap_size=%d", READER_MMAP);
        r = db_exec(db, sql, err);
        cache_size = READER_CACHE;
    }
    if (!r && use != DB_CHECKPOINT) {
        snprintf(sql, sizeof sql, "PRAGMA cache_size=-%zu", cache_size / 1024 + 1);
        r = db_exec(db, sql, err);
    }
    return r;
}

/* SQLite answers with another mode where the file system cannot share memory. */
static int use_wal(sqlite3 *db, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false, wal = false;
    int r = db_prepare(db, "PRAGMA journal_mode=WAL", &statement, err);
    if (!r)
        r = db_step(statement, &row, "begin a write-ahead log", err);
    if (!r && row) {
        const char *mode = (const char *)sqlite3_column_text(statement, 0);
        wal = mode && strcmp(mode, "wal") == 0;
    }
    sqlite3_finalize(statement);
    return r || wal ? r : err_set(err, ERR_IO, "a write-ahead log cannot be kept there");
}

static int make_tables(sqlite3 *db, struct err *err)
{
    char sql[120];
    /* A file that was emptied has the pages of its schema until it is rewritten, which the
     * write-ahead log of before would forbid. */
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=DELETE; PRAGMA page_size=%d; VACUUM", DB_PAGE);
    int r = db_exec(db, sql, err);
    if (!r)
        r = use_wal(db, err);
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION,
             SCHEMA);
    if (!r)
        r = db_exec(db, "BEGIN IMMEDIATE", err);
    if (!r)
        r = db_exec(db, schema, err);
    if (!r)
        r = db_exec(db, sql, err);
    return r ? r : db_exec(db, "COMMIT", err);
}

/* Empty the database of another schema: the log fills it again. */
static int empty(sqlite3 *db, struct err *err)
{
    if (sqlite3_db_config(db, SQLITE_DBCONFIG_RESET_DATABASE, 1, (int *)NULL) != SQLITE_OK)
        return db_fail(db, "empty it", err);
    int r = db_exec(db, "VACUUM", err);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_RESET_DATABASE, 0, (int *)NULL); /* cannot fail */
    return r;
}

/* Whose file is it, and of which schema?  Make it ours when we may. */
static int settle(sqlite3 *db, enum db_use use, struct err *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int r = db_ask(db, "PRAGMA application_id", &application, err);
    if (!r)
        r = db_ask(db, "PRAGMA user_version", &version, err);
    if (!r)
        r = db_ask(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (r)
        return r;
    if (tables > 0 && application != APPLICATION)
        return err_set(err, ERR_INVALID, "it is the database of another program");
    if (tables > 0 && version == SCHEMA)
        return 0;
    if (use != DB_WRITE)
        return err_set(err, ERR_INVALID, "its schema is %" PRId64 ", this program's is %d", version,
                       SCHEMA);
    if (tables > 0) {
        log_event(LOG_WARN, "index_emptied", LOG_N("schema", version), LOG_N("wanted", SCHEMA));
        r = empty(db, err);
    }
    return r ? r : make_tables(db, err);
}

int db_open(const char *path, enum db_use use, size_t cache_size, sqlite3 **result, struct err *err)
{
    *result = NULL;
    int flags = use == DB_WRITE  ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                : use == DB_READ ? SQLITE_OPEN_READONLY
                                 : SQLITE_OPEN_READWRITE;
    sqlite3 *db = NULL;
    int r = 0;
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = !db ? err_set(err, ERR_BUSY, "no memory")
            : use == DB_READ && access(path, F_OK) != 0
                ? err_set(err, ERR_NOT_FOUND,
                          "there is none: `rundlet reindex` makes it, and so does the next start")
                : db_fail(db, "open it", err);
    if (!r)
        r = set_up(db, use, cache_size, err);
    if (!r)
        r = settle(db, use, err);
    if (r) {
        db_close(db);
        (void)err_wrap(err, "open the index %s", path); /* `err` may be NULL */
        return r;
    }
    *result = db;
    return 0;
}

void db_close(sqlite3 *db)
{
    (void)sqlite3_close(db); /* fails only while a statement lives */
}
