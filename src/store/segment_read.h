/* segment_read.h - runs of one segment, once it is known in which records they lie.
 *
 * Threads  any number at once over one file; everything blocks
 * Errors   ERR_NOT_FOUND no such run, ERR_CORRUPT with the offset, ERR_BUSY no
 *          memory, ERR_IO
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "run/record.h"
#include "store/segment.h"

struct arena;
struct run;

/* A run that is asked for, and the record it lies in. */
struct segment_wanted {
    uint32_t ordinal;
    size_t index;    /* in the caller's list of runs */
    uint64_t at;     /* of its record */
    uint64_t extent; /* the record is not longer than this */
    uint32_t first;  /* ordinal of the record's first run */

    /* What segment_read() has found of it so far. */
    const char *front; /* the record's first bytes */
    size_t front_len;
    uint64_t table_at, body_at; /* in the record */
    const char *entry, *spans, *raw;
    struct record_entry where;
};

/* Fill runs[wanted[i].index], verified; `wanted` ascends by ordinal.  `damaged`:
 * there are records that cannot be found, so what is missing may be in them. */
int segment_read(const struct segment_file *file, struct segment_wanted *wanted, size_t count,
                 bool damaged, struct arena *arena, struct run *runs, struct err *err);

/* The error for a run that is in no record. */
int segment_no_run(uint32_t ordinal, bool damaged, struct err *err);
