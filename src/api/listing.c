/* listing.c - see listing.h.
 *
 *   listing_begin()  ask for some ⇢ got(), take of them what is wanted, and again
 */
#include "api/listing.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/clock.h"
#include "serve/charge.h"
#include "serve/serve.h"

static void got(struct op *op);

static void ask(struct listing *listing)
{
    struct index_entities *asked = &listing->asked;
    bool plain = !listing->takes && !listing->order;
    bool before = plain && listing->passed < listing->offset;
    asked->op = (struct op){.loop = listing->op.loop, .done = got};
    asked->bare = before || listing->bare;
    asked->limit = asked->bare ? LISTING_BARE : LISTING_STEP;
    asked->bytes = LISTING_STEP_BYTES;
    size_t left = before ? listing->offset - listing->passed : listing->limit - listing->count;
    if (plain && left < asked->limit)
        asked->limit = (uint32_t)left;
    asked->arena = listing->step = arena_new(4096);
    listing->serve->index->ops->entities(listing->serve->index, asked);
}

void listing_begin(struct listing *listing)
{
    listing->began_us = clock_mono_us();
    listing->bare = listing->asked.bare;
    ask(listing);
}

struct entity listing_copy(const struct entity *entity, struct arena *arena)
{
    struct entity copy = *entity;
    copy.name = copy.name.at ? arena_copy(arena, copy.name) : copy.name;
    copy.json = copy.json.at ? arena_copy(arena, copy.json) : copy.json;
    return copy;
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
    listing->entities[listing->count++] = listing_copy(from, listing->arena);
    listing->bytes += sizeof *from + from->json.len;
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
        else
            keep(listing, entity);
        if (!listing->order && listing->count == listing->limit)
            return true;
    }
    return false;
}

/* The step as it was read counts as long as it is there, what was kept of it longer. */
static int charge_step(struct listing *listing, struct err *err)
{
    size_t size = 0;
    for (size_t i = 0; i < listing->asked.count; i++)
        size += sizeof(struct entity) + listing->asked.entities[i].json.len;
    return charge_answer(listing->step, listing->serve->budget, size, err);
}

static int charge_page(struct listing *listing, struct err *err)
{
    size_t most = listing->serve->budget->limit / 2; /* as charge_answer() has it, of all steps */
    size_t size = listing->bytes < most ? listing->bytes : most;
    if (listing->bytes > LISTING_BYTES)
        return err_set(err, ERR_TOO_BIG, "The page is over %d MiB; ask for a smaller limit",
                       LISTING_BYTES >> 20);
    if (size == listing->charged)
        return 0;
    size -= listing->charged;
    listing->charged += size;
    return charge_answer(listing->arena, listing->serve->budget, size, err);
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
    cut_page(listing);
    op_finish(&listing->op);
}

static int may_go_on(const struct listing *listing, struct err *err)
{
    unsigned most_ms = listing->serve->query_ms;
    if (listing->left && *listing->left)
        return err_set(err, ERR_UNAVAILABLE, "nobody waits for it any more");
    if (clock_mono_us() - listing->began_us > INT64_C(1000) * (int64_t)most_ms)
        return err_set(err, ERR_TIMEOUT, "Not found in %u s; ask for fewer", most_ms / 1000);
    return 0;
}

static void got(struct op *op)
{
    struct listing *listing = op_owner(op, struct listing, asked.op);
    struct err *err = &listing->op.err;
    bool enough = false;
    *err = op->err;
    if (!err->code)
        (void)charge_step(listing, err); /* then err says so, here and below */
    if (!err->code) {
        enough = take(listing) || !listing->asked.more;
        (void)charge_page(listing, err);
    }
    arena_free(listing->step);
    listing->step = NULL;
    if (!err->code && !enough)
        (void)may_go_on(listing, err);
    listing->asked.after = true;
    if (enough || err->code)
        finish(listing);
    else
        ask(listing);
}
