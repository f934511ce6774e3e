/* sqlite_name.h - the numbers of folded names, which are made when there are none.
 *
 * A name that no run has is harmless: it stays when its batch is refused.
 *
 * Threads  the writer's
 * Errors   as sqlite_db.h
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "index/intern.h"
#include "index/sqlite_scan.h"

struct staged;

struct names {
    sqlite3_stmt *add, *get;
    struct keys_reader *reader;
    struct staged *staged;
    uint64_t seed;
    uint64_t count, committed; /* numbers that are given out; as of the last commit */
    struct intern numbers;
};

int names_open(struct names *names, struct keys_reader *reader, struct staged *staged,
               struct err *err);
void names_close(struct names *names); /* half-open is fine */

/* `view` is that of the last commit. */
int names_number(struct names *names, const struct keys_view *view, struct str folded,
                 uint64_t *number, struct err *err);

/* Stage the keys that are in no part yet, of kinds whose parts end at `upto`. */
int names_recover(struct names *names, const uint64_t upto[KEYS_KINDS], struct err *err);

/* Go back to the numbers below or at `count`: those above are rolled back. */
void names_cut(struct names *names, uint64_t count);
