/* listing.c - see listing.h. */
#include "api/listing.h"

#include <stdlib.h>

#include "base/arena.h"

static void got(struct op *op);

static bool is_plain(const struct listing *listing)
{
    return !listing->takes && !listing->order && listing->limit <= LISTING_STEP;
}

static void ask(struct listing *listing)
{
    listing->asked.op = (struct op){.loop = listing->op.loop, .done = got};
    if (is_plain(listing)) {
        listing->asked.limit = listing->limit;
        listing->asked.offset = listing->offset;
        listing->asked.arena = listing->arena;
    } else {
        arena_free(listing->step);
        listing->step = arena_new(4096);
        listing->asked.limit = LISTING_STEP;
        listing->asked.offset = (uint32_t)listing->seen;
        listing->asked.arena = listing->step;
    }
    listing->index->ops->entities(listing->index, &listing->asked);
}

void listing_begin(struct listing *listing)
{
    ask(listing);
}

/* Into the page, out of the memory of a step. */
static void keep(struct listing *listing, const struct entity *from)
{
    if (listing->count == listing->cap) {
        size_t cap = listing->cap ? listing->cap * 2 : 64;
        struct entity *at = arena_make(listing->arena, struct entity, cap);
        if (listing->count)
            memcpy(at, listing->entities, listing->count * sizeof *at);
        listing->entities = at;
        listing->cap = cap;
    }
    struct entity *to = &listing->entities[listing->count++];
    *to = *from;
    to->name = from->name.at ? arena_copy(listing->arena, from->name) : from->name;
    to->json = from->json.at ? arena_copy(listing->arena, from->json) : from->json;
    listing->bytes += from->json.len;
}

/* Those of a step that are asked for; true: it is enough. */
static bool take(struct listing *listing)
{
    for (size_t i = 0; i < listing->asked.count; i++) {
        const struct entity *entity = &listing->asked.entities[i];
        if (listing->takes && !listing->takes(listing, entity))
            continue;
        if (!listing->order && listing->passed < listing->offset)
            listing->passed++;
        else if (listing->order || listing->count < listing->limit)
            keep(listing, entity);
        if (!listing->order && !listing->all && listing->count >= listing->limit)
            return true;
    }
    return false;
}

static void cut_page(struct listing *listing)
{
    if (!listing->order)
        return;
    if (listing->count > 1)
        qsort(listing->entities, listing->count, sizeof *listing->entities, listing->order);
    size_t from = listing->offset < listing->count ? listing->offset : listing->count;
    if (from > 0)
        listing->entities += from;
    listing->count -= from;
    if (listing->count > listing->limit)
        listing->count = listing->limit;
}

static void finish(struct listing *listing)
{
    arena_free(listing->step);
    listing->step = NULL;
    op_finish(&listing->op);
}

static void got(struct op *op)
{
    struct listing *listing = op_owner(op, struct listing, asked.op);
    listing->op.err = op->err;
    if (op->err.code) {
        finish(listing);
        return;
    }
    if (is_plain(listing)) {
        listing->entities = listing->asked.entities;
        listing->count = listing->asked.count;
        finish(listing);
        return;
    }
    listing->seen += listing->asked.count;
    bool enough = take(listing) || listing->asked.count < LISTING_STEP;
    if (!enough && listing->seen >= LISTING_MAX)
        err_set(&listing->op.err, ERR_TOO_BIG,
                "More than %d would have to be looked at; ask for fewer", LISTING_MAX);
    if (listing->bytes > LISTING_BYTES)
        err_set(&listing->op.err, ERR_TOO_BIG, "The page is over %d MiB; ask for a smaller limit",
                LISTING_BYTES >> 20);
    if (enough || listing->op.err.code) {
        cut_page(listing);
        finish(listing);
    } else {
        ask(listing);
    }
}
