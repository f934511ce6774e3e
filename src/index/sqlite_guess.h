/* sqlite_guess.h - whose trace is only guessed, by the trace that was guessed (guess.h).
 *
 * There are few: who sends a run with a parent mostly says the trace.
 *
 * Threads  the writer's; everything happens in its open transaction
 * Errors   as sqlite_db.h
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"

struct guesses {
    sqlite3 *db;
    sqlite3_stmt *add, *remove, *next;
    uint64_t count;
};

int guesses_open(struct guesses *guesses, sqlite3 *db, struct err *err);
void guesses_close(struct guesses *guesses); /* half-open is fine */
int guesses_load(struct guesses *guesses, struct err *err);

int guesses_add(struct guesses *guesses, struct uuid trace, struct uuid id, struct err *err);
int guesses_remove(struct guesses *guesses, struct uuid trace, struct uuid id, struct err *err);

/* The next run above `after` of which the trace is guessed to be this one. */
int guesses_next(struct guesses *guesses, struct uuid trace, struct uuid after, struct uuid *id,
                 bool *there, struct err *err);
