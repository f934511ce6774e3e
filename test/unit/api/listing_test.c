/* listing_test.c - a page is found in one walk, in bounded memory. */
#include "api/listing.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/clock.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_record.h"
#include "lib/many_entities.h"
#include "serve/serve.h"

/* The test's own clocks: each look takes `step_us`. */
static int64_t now_us, step_us;

int64_t clock_mono_us(void)
{
    return now_us += step_us;
}

int64_t clock_now_us(void)
{
    return now_us;
}

struct world {
    struct many_entities many;
    struct budget budget;
    struct serve serve;
    struct loop *loop;
    struct arena *arena;
    struct listing listing;
    bool done;
};

static void listed(struct op *op)
{
    op_owner(op, struct world, listing.op)->done = true;
}

static void open_world(struct world *w, size_t count, size_t size)
{
    step_us = 0;
    *w = (struct world){
        .budget = {.limit = 512 << 20}, .loop = hand_loop_open(), .arena = arena_new(1024)};
    many_entities(&w->many, count, 1, size);
    w->many.budget = &w->budget;
    w->serve = (struct serve){.index = &w->many.index, .budget = &w->budget, .query_ms = 30000};
}

static void list(struct world *w, struct listing ask)
{
    w->listing = ask;
    w->listing.op = (struct op){.loop = w->loop, .done = listed};
    w->listing.serve = &w->serve;
    w->listing.arena = w->arena;
    w->many.given = w->many.held = 0;
    w->done = false;
    listing_begin(&w->listing);
    CHECK(hand_loop_until(w->loop, &w->done));
}

static void close_world(struct world *w)
{
    hand_loop_close(w->loop);
    arena_free(w->arena);
    CHECK(atomic_load(&w->budget.used) == 0);
}

/* Are those on the page these, each `step` after the last? */
static bool is_page(const struct world *w, size_t first, int step, size_t count)
{
    for (size_t i = 0; i < w->listing.count; i++) {
        uint64_t n = (uint64_t)((int64_t)first + (int64_t)i * step);
        if (uuid_compare(w->listing.entities[i].id, make_id(n)) != 0 ||
            w->listing.entities[i].json.len == 0)
            return false;
    }
    return w->listing.op.err.code == ERR_OK && w->listing.count == count;
}

static bool takes_odd(const struct listing *listing, const struct entity *entity)
{
    size_t *seen = listing->own;
    if (seen)
        ++*seen;
    return str_eq(entity->name, STR("odd"));
}

static bool takes_none(const struct listing *listing, const struct entity *entity)
{
    ++*(size_t *)listing->own;
    (void)entity;
    return false;
}

static int oldest_first(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    return x->made_us < y->made_us ? -1 : x->made_us > y->made_us;
}

TEST(a_page_is_where_its_offset_says)
{
    struct world w;
    open_world(&w, 20000, 10);
    list(&w, (struct listing){.limit = 100});
    CHECK(is_page(&w, 0, 1, 100) && w.many.given == 100);
    list(&w, (struct listing){.limit = 1000, .offset = 12345});
    CHECK(is_page(&w, 12345, 1, 1000) && w.many.given == 13345);
    list(&w, (struct listing){.limit = 100, .offset = 19990});
    CHECK(is_page(&w, 19990, 1, 10));
    list(&w, (struct listing){.limit = 100, .offset = 1000000000});
    CHECK(is_page(&w, 0, 1, 0) && w.many.given == 20000);
    close_world(&w);
}

TEST(conditions_and_orders_cost_one_walk)
{
    struct world w;
    size_t seen = 0;
    open_world(&w, 100000, 10);
    list(&w, (struct listing){.takes = takes_odd, .limit = 10, .offset = 5, .own = &seen});
    CHECK(is_page(&w, 11, 2, 10) && seen == 30);
    seen = 0;
    list(&w, (struct listing){.takes = takes_none, .limit = 1, .own = &seen});
    CHECK(w.listing.op.err.code == ERR_OK && seen == 100000 && w.many.given == 100000);
    seen = 0;
    list(&w, (struct listing){.asked.bare = true, .takes = takes_none, .limit = 1, .own = &seen});
    CHECK(w.listing.op.err.code == ERR_OK && seen == 100000);
    list(&w, (struct listing){.order = oldest_first, .limit = 10, .offset = 3});
    CHECK(is_page(&w, 99996, -1, 10) && w.many.given == 100000);
    close_world(&w);
}

TEST(what_is_on_the_page_is_charged_and_what_is_not_is_let_go)
{
    struct world w;
    size_t seen = 0;
    open_world(&w, 100, 1 << 20);
    list(&w, (struct listing){.takes = takes_none, .limit = 1, .own = &seen});
    CHECK(w.listing.op.err.code == ERR_OK && seen == 100 && w.many.held == 0);
    list(&w, (struct listing){.limit = 20});
    CHECK(is_page(&w, 0, 1, 20));
    CHECK(atomic_load(&w.budget.used) > 20 << 20 && atomic_load(&w.budget.used) < 21 << 20);
    list(&w, (struct listing){.limit = 100});
    CHECK(w.listing.op.err.code == ERR_TOO_BIG && w.many.given < 70);
    close_world(&w);
    open_world(&w, 100, 1 << 20);
    CHECK(budget_take(&w.budget, w.budget.limit - (4 << 20)));
    list(&w, (struct listing){.limit = 100});
    CHECK(w.listing.op.err.code == ERR_BUSY && w.many.given < 6);
    budget_give(&w.budget, w.budget.limit - (4 << 20));
    close_world(&w);
}

TEST(a_walk_ends_when_nobody_waits_for_it)
{
    struct world w;
    bool left = true;
    size_t seen = 0;
    open_world(&w, 100000, 10);
    list(&w, (struct listing){.takes = takes_none, .limit = 1, .own = &seen, .left = &left});
    CHECK(w.listing.op.err.code == ERR_UNAVAILABLE && w.many.pages == 1);
    close_world(&w);
}

TEST(a_walk_that_takes_too_long_ends)
{
    struct world w;
    size_t seen = 0;
    open_world(&w, 100000, 10);
    step_us = 1000000;
    list(&w, (struct listing){.takes = takes_none, .limit = 1, .own = &seen});
    CHECK(w.listing.op.err.code == ERR_TIMEOUT && seen < 20000);
    close_world(&w);
}
