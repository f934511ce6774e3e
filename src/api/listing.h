/* listing.h - a page of entities, by conditions and in orders that the index does not know.
 *
 * The entities are walked once, some at a time; what is not taken is let go again.  Those
 * that only come before the page are walked without their objects.
 *
 * Threads  begun and done on op.loop
 * Memory   the page is in `arena`; it and a step at a time are charged to the budget
 * Errors   ERR_TOO_BIG more than LISTING_BYTES on the page; ERR_TIMEOUT it is not full after
 *          query_timeout; ERR_BUSY answers hold too much;
 *          ERR_UNAVAILABLE nobody waits any more; those of the index
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"

struct arena;
struct listing;
struct serve;

enum {
    LISTING_STEP = 500,
    LISTING_STEP_BYTES = 1 << 20,
    LISTING_BARE = 5000,     /* of a step without objects */
    LISTING_BYTES = 64 << 20 /* of the page */
};

typedef bool listing_takes(const struct listing *listing, const struct entity *entity);
typedef int listing_order(const void *a, const void *b); /* of struct entity */

struct listing {
    struct op op;
    const struct serve *serve;
    const bool *left; /* in: becomes true when nobody waits any more; NULL: never */
    struct arena *arena;
    /* In: what the index knows of the conditions; bare if `takes` needs no objects and takes
     * none.  No limit, and no cursor. */
    struct index_entities asked;
    listing_takes *takes; /* in: NULL: all */
    listing_order *order; /* in: NULL: newest first */
    void *own;            /* in: for `takes` */
    uint32_t limit, offset;

    struct entity *entities; /* out */
    size_t count;

    /* The journey's own. */
    struct arena *step;
    int64_t began_us;
    bool bare; /* as it was asked */
    size_t cap, passed, bytes, charged;
};

void listing_begin(struct listing *listing);

/* With its name and object, which may go. */
struct entity listing_copy(const struct entity *entity, struct arena *arena);
