/* upkeep.h - what is done meanwhile: segments become packs.
 *
 * Of a bucket that nodes share: what no row leads to is removed (gc.h), once an
 * hour; at the start, whether the index knows of the bucket at all.
 *
 * One thread of low priority and straight-line code.  It finds its work by
 * looking at the store, so there is nothing to remember over a crash:
 *
 *     a segment was not written for a while       it is written no more
 *     a segment is not written any more           it is sealed
 *     a segment whose pack is there               is removed, once the index
 *                                                 would survive a power cut
 *
 * Threads  its own; start and stop on the main thread
 * Errors   are logged and tried again later
 * Sources  docs/design/durability.md, Sealing
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct index;
struct loop;
struct store;
struct upkeep;

struct upkeep_config {
    struct store *store;
    struct index *index;
    struct loop *writer;    /* the commit loop */
    unsigned loop_index;    /* of a loop of its own, to wait on */
    uint64_t idle_ms;       /* a segment is sealed when nothing came for so long */
    uint64_t bytes_per_sec; /* of runs, at most; 0: as fast as it goes */
    bool bucket;            /* the store is one, which nodes share: gc is done instead */
    uint64_t gc_grace_ms;
};

int upkeep_start(const struct upkeep_config *config, struct upkeep **result, struct err *err);

/* What is under way is given up.  The commit loop still runs.  NULL is fine. */
void upkeep_stop(struct upkeep *upkeep);
void upkeep_free(
    struct upkeep *upkeep); /* after stop, and after the index was closed; NULL is fine */
