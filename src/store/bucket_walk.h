/* bucket_walk.h - the records of a bucket, hour by hour.
 *
 * Within an hour packs come in the order of their numbers.  For one node that
 * is the order in which it wrote them; of several nodes it follows their clocks.
 *
 * Threads  one; every call blocks
 * Errors   those of the objects, and ERR_CORRUPT
 * Sources  docs/design/production.md, Objects
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "store/object_desk.h"
#include "store/pack_file.h"
#include "store/store.h"

struct pack_walk;

struct bucket_walk {
    struct object_desk *desk; /* the caller's */

    /* Where a walk stopped: the next one goes on from there, if that is what it
     * asks for. */
    bool under_way;
    uint64_t from;     /* what the walk began behind */
    uint64_t reached;  /* sequence of the last record that was visited */
    uint64_t highest;  /* the greatest of all; of several nodes not the last */
    uint64_t *numbers; /* of an hour, ascending; heap */
    size_t count, cap, next;
    struct text after; /* the next listing begins behind this name */
    struct pack_walk *pack;
    struct buf *bytes;     /* of the pack */
    struct pack_held held; /* the same */
};

/* As store_walk(); `*highest` is the greatest sequence that was seen, 0: none. */
int bucket_walk(struct bucket_walk *walk, uint64_t after, store_visit_fn *visit,
                store_damaged_fn *damaged, void *context, uint64_t *highest, struct err *err);
void bucket_walk_end(struct bucket_walk *walk);
