/* recover.h - bring the index up to the log.
 *
 * Records after the index's mark are staged and committed again, in order,
 * with the places, times and ids they were given the first time.  Used at
 * start, after a commit that failed, and (from an empty index) by reindex.
 *
 * A bucket also has records that were put and never committed.  Those of a
 * container that was given up are passed over; one that disagrees with what is
 * there was sent again with other content, and is refused once more.  Other nodes
 * may commit meanwhile.
 *
 * Threads  on the commit loop, with no other writer under way
 * With `salvage` the index gets what is sound of a damaged log, and its mark is
 * the log's end, so that it is not looked at again.
 *
 * Errors   those of the store and the index; ERR_CORRUPT also when the index
 *          claims records that the log does not have
 * Sources  docs/design/durability.md
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop/op.h"

struct index;
struct store;

struct recover {
    struct op op;
    struct index *index;
    struct store *store;
    bool salvage;           /* in: take what is sound; else anything that is damaged is an error */
    uint64_t records, runs; /* out: replayed */
    uint64_t refused;       /* out, of a bucket: runs of records that disagree */
    uint64_t lost;          /* out, with `salvage`: runs that are damaged */
    bool damaged;           /* out, likewise: there is other damage, which may have cost more */
    uint64_t sequence;      /* out: the index's mark now */
};

void recover(struct recover *recover);
