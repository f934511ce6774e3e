/* sqlite_parts.h - the writer's half of the parts: write, merge, clean up.
 *
 * Shape    a part of level 0 is what was in memory; PARTS_FAN of one level are
 *          merged into one of the next.  Merging and cleaning are cut into
 *          slices in proportion to what each commit adds, so that no commit
 *          does a large piece of work and no level gets far behind
 * Threads  the writer's.  Everything happens in its open transaction; after a
 *          rollback call parts_reload()
 * Errors   as sqlite_db.h
 * Sources  docs/design/index-schema.md, Parts
 */
#pragma once

#include <stdint.h>

#include "index/sqlite_scan.h"

enum {
    PARTS_FAN = 8,
    PARTS_LEVELS = 6,
    PARTS_FLUSH_MAX = 3 << 19, /* bytes: most keys of a kind in memory before they become a part */
    PARTS_FLUSH_MIN = 64 * KEYS_WIDTH_MAX,
    PARTS_SPILL = 8,         /* so many times that, staged, become one before their commit */
    PARTS_FILTERED = 4 << 20 /* a larger part has no filter: writing it would be felt */
};

struct merge;

struct parts {
    struct keys_reader *reader; /* the writer's own; its list is kept up to date */
    uint64_t seed;
    size_t flush; /* bytes of a kind's keys in memory that become a part */
    int64_t next_part;
    int64_t layout; /* counted up by every change of the list */
    sqlite3_stmt *begin, *finish, *kill, *forget, *add_block, *add_fence, *clear_blocks,
        *clear_fences;
    struct merge *merges[KEYS_KINDS][PARTS_LEVELS];
    struct keys_filter **filters; /* of live parts */
    size_t filter_count, filter_cap;
    int64_t *dead; /* parts whose blocks are to be cleared */
    size_t dead_count, dead_cap;
};

/* Within a transaction. */
int parts_open(struct parts *parts, struct keys_reader *reader, uint64_t seed, size_t flush,
               int64_t layout, struct err *err);
void parts_close(struct parts *parts); /* half-open is fine */

/* After a rollback, within no transaction: go back to what is stored. */
int parts_reload(struct parts *parts, int64_t layout, struct err *err);

/* Write a new part of level 0 with the keys of all `runs`. */
int parts_write(struct parts *parts, enum keys_kind kind, struct keys_run *const *runs,
                size_t count, struct err *err);

/* A slice of what there is to do, for `added` new keys of each kind. */
int parts_tend(struct parts *parts, const uint64_t added[KEYS_KINDS], struct err *err);
