/* sqlite_row.h - a run as it stands in its row, and the keys by which the row is found.
 *
 * Threads  pure, but for the statement that is read
 * Errors   ERR_CORRUPT
 * Sources  docs/design/index-schema.md, Tables and Keys
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "index/sqlite_keys.h"
#include "run/merge.h"

struct arena;
struct staged;

/* The columns of a SELECT for row_read(), and of an INSERT. */
#define ROW_COLUMNS                                                                                \
    "row, superseded, id, trace, parent, start_us, end_us, project, name, type, status, flags,"    \
    " version, post_hash, holders"
enum { ROW_COLUMN_COUNT = 15 };

struct row {
    uint64_t number;
    uint64_t superseded; /* the number of the row that replaced it; 0: none */
    uint64_t project;    /* the number of the entity */
    uint64_t name;       /* of the folded name; 0: it has none */
    bool by_default;     /* nobody named the project */
    struct merged run;   /* count == 0: only attachments came, nobody finds it */
};

int row_read(sqlite3_stmt *statement, struct row *row, struct err *err);
void row_bind(sqlite3_stmt *statement, const struct row *row, struct str holders);

static inline bool row_is_live(const struct row *row, uint64_t rows)
{
    return row->number <= rows && (row->superseded == 0 || row->superseded > rows);
}

/* What has a key of its own.  The numbers are part of a hash that is stored: append only. */
enum row_attribute {
    ATTRIBUTE_PARENT = 1, /* this and an example: of any project */
    ATTRIBUTE_EXAMPLE,
    ATTRIBUTE_METADATA, /* key and value, but for long ones (filter_seen_whole) */
    ATTRIBUTE_TAG,
    ATTRIBUTE_THREAD
};

/* How it stands in a key.  `seed` is secret, since clients choose the texts. */
uint64_t row_attribute(uint64_t seed, enum row_attribute attribute, uint64_t project,
                       struct str key, struct str value);
uint64_t row_attribute_uuid(uint64_t seed, enum row_attribute attribute, struct uuid id);

/* The attributes of a run, ascending, each once. */
struct row_attributes {
    uint64_t *at;
    size_t count, cap;
};

int row_attributes(const struct row *row, struct str facts, uint64_t seed, struct arena *scratch,
                   struct row_attributes *result, struct err *err);
void row_attributes_free(struct row_attributes *attributes);

/* Stage the row's keys, of each kind whose parts end before it. */
int row_stage(struct staged *staged, const struct row *row, const struct row_attributes *attributes,
              const uint64_t upto[KEYS_KINDS], struct err *err);
