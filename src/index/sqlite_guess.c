/* sqlite_guess.c - see sqlite_guess.h. */
#include "index/sqlite_guess.h"

#include "index/sqlite_db.h"

int guesses_open(struct guesses *guesses, sqlite3 *db, struct err *err)
{
    *guesses = (struct guesses){.db = db};
    int r = db_prepare(db, "INSERT INTO guess VALUES (?1, ?2)", &guesses->add, err);
    if (!r)
        r = db_prepare(db, "DELETE FROM guess WHERE trace = ?1 AND id = ?2", &guesses->remove, err);
    if (!r)
        r = db_prepare(db, "SELECT id FROM guess WHERE trace = ?1 AND id > ?2 ORDER BY id LIMIT 1",
                       &guesses->next, err);
    return r;
}

void guesses_close(struct guesses *guesses)
{
    sqlite3_finalize(guesses->add);
    sqlite3_finalize(guesses->remove);
    sqlite3_finalize(guesses->next);
    *guesses = (struct guesses){0};
}

int guesses_load(struct guesses *guesses, struct err *err)
{
    int64_t count = 0;
    int r = db_ask(guesses->db, "SELECT count(*) FROM guess", &count, err);
    guesses->count = (uint64_t)count;
    return r;
}

/* Binding static bytes cannot fail. */
static void bind(sqlite3_stmt *s, const struct uuid *trace, const struct uuid *id)
{
    (void)sqlite3_bind_blob(s, 1, trace->byte, sizeof trace->byte, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 2, id->byte, sizeof id->byte, SQLITE_STATIC);
}

int guesses_add(struct guesses *guesses, struct uuid trace, struct uuid id, struct err *err)
{
    bind(guesses->add, &trace, &id);
    guesses->count++;
    return db_run(guesses->add, "note a guess", err);
}

int guesses_remove(struct guesses *guesses, struct uuid trace, struct uuid id, struct err *err)
{
    bind(guesses->remove, &trace, &id);
    guesses->count--;
    return db_run(guesses->remove, "forget a guess", err);
}

int guesses_next(struct guesses *guesses, struct uuid trace, struct uuid after, struct uuid *id,
                 bool *there, struct err *err)
{
    bind(guesses->next, &trace, &after);
    int r = db_step(guesses->next, there, "look guesses up", err);
    if (r || !*there)
        return r;
    if (sqlite3_column_bytes(guesses->next, 0) == sizeof id->byte)
        memcpy(id->byte, sqlite3_column_blob(guesses->next, 0), sizeof id->byte);
    (void)sqlite3_reset(guesses->next); /* no step failed */
    return 0;
}
