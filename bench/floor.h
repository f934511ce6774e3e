/* floor.h - the bare steps: what the same work costs with nothing around it.
 *
 * For a batch, one step after another on its bytes: take them from a loopback
 * connection (and answer with one byte), scan them as JSON, check their sum,
 * write them to a file that is there already, sync it, insert as many rows into
 * an SQLite table with indexes on id, trace and time, in one transaction.
 * For a name search, SQLite's trigram index over the distinct names.
 *
 * Threads  one of its own, which takes the bytes; the rest is the caller's
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum floor_step {
    FLOOR_RECEIVE,
    FLOOR_SCAN,
    FLOOR_SUM,
    FLOOR_WRITE,
    FLOOR_SYNC,
    FLOOR_INSERT,
    FLOOR_STEPS
};

struct floor;

struct floor *floor_open(const char *dir);
void floor_close(struct floor *floor);

void floor_empty(struct floor *floor); /* no rows, as a server that was just started */

/* The steps of one batch; `random_ids`: else ids that grow with time.  Adds to
 * `ms`, in milliseconds. */
void floor_post(struct floor *floor, struct str request, size_t body_at, size_t runs,
                bool random_ids, double ms[FLOOR_STEPS]);

/* `count` distinct names of the form "call of <12 letters>" into the trigram index. */
void floor_add_names(struct floor *floor, size_t count);
/* At most 50 of the names that hold `part`; milliseconds. */
double floor_search_name(struct floor *floor, const char *part);
/* The same bytes from the file that floor_post() writes; milliseconds. */
double floor_read(struct floor *floor, size_t size);
