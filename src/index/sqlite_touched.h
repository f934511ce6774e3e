/* sqlite_touched.h - the runs that a transaction touches, in memory until they are written.
 *
 * A run mostly comes as a post and a patch, often in one body or one group: it becomes a row
 * once, when all is known, not with each layer.  A row whose keys change is written anew under
 * the next number; the old one says which that is.
 *
 * Threads  the writer's
 * Memory   a run and its facts, until they are written; an id, until the transaction ends
 * Errors   as sqlite_db.h
 * Sources  docs/design/index-schema.md, Rows
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "index/sqlite_row.h"

struct arena;
struct keys_reader;
struct keys_view;
struct staged;

/* A run of the transaction. */
struct touch;

/* A touch that was changed by the batch at hand, as it was before. */
struct touch_before;

struct touched {
    sqlite3_stmt *add_run, *set_run, *supersede, *add_facts, *set_facts, *get_run, *get_facts;
    struct keys_reader *reader;
    struct staged *staged;
    const struct keys_view *view; /* of the last commit; the owner's */
    uint64_t seed;
    uint64_t rows, replaced; /* numbers that are given out; rows that another replaced */
    struct uuid newest;      /* no UUIDv7 that is stored or touched is greater */

    struct touch *at;
    uint32_t *chain; /* of touches of equal hash; as many as there is room for touches */
    size_t count, cap;
    struct text pool; /* what touches hold; only grows within a batch */
    uint32_t batch;
    size_t first; /* touch of the batch */
    struct touch_before *before;
    size_t before_count, before_cap;
    struct text bytes;     /* scratch, ... */
    struct arena *scratch; /* ... like this, while rows are written */
    struct row_attributes attributes, attributes_before;
};

int touched_open(struct touched *touched, struct keys_reader *reader, struct staged *staged,
                 struct err *err);
void touched_close(struct touched *touched); /* half-open is fine */

/* From here on until the next one, changes can be undone. */
void touched_begin(struct touched *touched);
void touched_undo(struct touched *touched);

/* The run of an id, as it is after all that was done in this transaction, and its facts.
 * *touch is 0 when there is none. */
int touched_get(struct touched *touched, struct uuid id, size_t *touch, struct err *err);
/* `row->run` is only set as far as its holders are; facts until the next change. */
void touched_read(const struct touched *touched, size_t touch, struct row *row, struct str *facts);

/* What the run is from now on; *touch as it was got (0: it is new, and is made).
 * `facts` NULL: as they were; `lent`: they stay where they are until the transaction ends. */
void touched_put(struct touched *touched, size_t *touch, const struct row *row,
                 const struct str *facts, bool lent);

/* Much waits in memory? */
bool touched_is_much(const struct touched *touched);
/* Write rows and stage their keys. */
int touched_write(struct touched *touched, struct err *err);

/* The transaction is over. */
void touched_forget(struct touched *touched);
