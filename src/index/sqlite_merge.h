/* sqlite_merge.h - one batch after the other, judged and taken in.
 *
 * Threads  the writer's; everything happens in its open transaction
 * Errors   as sqlite_db.h; after one the transaction must be rolled back
 */
#pragma once

#include "base/text.h"
#include "index/index.h"
#include "index/sqlite_catalog.h"
#include "index/sqlite_guess.h"
#include "index/sqlite_name.h"
#include "index/sqlite_touched.h"

struct merger {
    sqlite3_stmt *guard, *unguard, *undo;
    struct touched touched;
    struct names names;
    struct catalog catalog;
    struct guesses guesses;
    struct row row; /* at hand */
    struct run *runs;
    size_t runs_cap;
    struct uuid *queue; /* runs whose trace moves */
    size_t queue_count, queue_cap;
    struct text facts, fresh, name;
};

int merger_open(struct merger *merger, struct keys_reader *reader, struct staged *staged,
                struct err *err);
void merger_close(struct merger *merger); /* half-open is fine */

/* Take a batch in, or nothing of it. */
int merger_take(struct merger *merger, struct index_batch *batch, struct err *err);
