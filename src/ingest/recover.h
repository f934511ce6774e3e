/* recover.h - bring the index up to the log.
 *
 * Records after the index's mark are staged and committed again, in order,
 * with the places, times and ids they were given the first time.  Used at
 * start, after a commit that failed, and (from an empty index) by reindex.
 *
 * Threads  on the commit loop, with no other writer under way
 * Errors   those of the store and the index; ERR_CORRUPT also when the index
 *          claims records that the log does not have
 * Sources  docs/design/durability.md
 */
#pragma once

#include <stdint.h>

#include "loop/op.h"

struct index;
struct store;

struct recover {
    struct op op;
    struct index *index;
    struct store *store;
    uint64_t records, runs; /* out: replayed */
    uint64_t sequence;      /* out: the index's mark now */
};

void recover(struct recover *recover);
