/* walk.h - every record of the log, oldest first, out of segments and packs.
 *
 * Threads  one at a time; blocks
 * Errors   ERR_CORRUPT damage, when nobody wants to be told of it; those of the
 *          visitor; ERR_IO, ERR_BUSY
 */
#pragma once

#include "store/segment.h"
#include "store/store.h"

struct pack_walk;

/* A container that is not written. */
struct walk_container {
    uint64_t number;
    bool sealed; /* it was a pack when we came; else it may have become one */
};

/* What there is to walk. */
struct walk_log {
    const struct disk *disk;
    struct str segments, packs;              /* directories */
    const struct walk_container *containers; /* ascending */
    size_t count;
    const struct segment *last; /* the segment that is written; NULL: none */
    bool live;                  /* another process may be writing it */
};

/* Where a walk was stopped by its visitor, so that a log that is walked in
 * portions is read once; all zero at first. */
struct walk_stop {
    uint64_t number;             /* of the container; 0: nowhere */
    struct segment_walk segment; /* only the position */
    struct pack_walk *pack;
    uint64_t sequence; /* of the record that was visited last */
};
void walk_stop_end(struct walk_stop *stop);

/* The sequence of the last record before a container; false when it cannot say. */
bool walk_sequence_before(const struct walk_log *log, struct walk_container container,
                          uint64_t *sequence);

/* See store_walk(). */
int walk(const struct walk_log *log, struct walk_stop *stop, uint64_t after_sequence,
         store_visit_fn *visit, store_damaged_fn *damaged, void *context, struct err *err);
