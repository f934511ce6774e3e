/* listing.h - a page of entities, by conditions that the index does not know.
 *
 * Without such conditions a small page is the index's.  Else the entities are walked
 * LISTING_STEP at a time, and what is not taken is let go again.
 *
 * Threads  begun and done on op.loop
 * Errors   ERR_TOO_BIG more than LISTING_MAX had to be looked at, or LISTING_BYTES kept; those of the index
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"

struct arena;
struct listing;

enum {
    LISTING_STEP = 100,
    LISTING_MAX = 200000,
    LISTING_BYTES = 64 << 20 /* of the page */
};

typedef bool listing_takes(const struct listing *listing, const struct entity *entity);
typedef int listing_order(const void *a, const void *b); /* of struct entity */

struct listing {
    struct op op;
    struct index *index;
    struct arena *arena;
    /* In: what the index knows of the conditions; its limit and offset are not read. */
    struct index_entities asked;
    listing_takes *takes; /* in: NULL: all */
    listing_order *order; /* in: NULL: newest first */
    void *own;            /* in: for `takes` */
    uint32_t limit, offset;
    bool all; /* in: see everything, also behind the page: `takes` wants to count */

    struct entity *entities; /* out */
    size_t count;

    /* The journey's own. */
    struct arena *step;
    size_t cap, seen, passed, bytes;
};

void listing_begin(struct listing *listing);
