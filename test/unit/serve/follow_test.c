/* follow_test.c - what was made before another node committed is not used after it. */
#include "serve/follow.h"

#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "loop/watch.h"

/* An index that says what the test wants it to. */
struct told {
    struct index index;
    uint64_t commits;
    enum err_code code;
};

static void follow_told(struct index *index, struct index_follow *follow)
{
    struct told *told = op_owner(index, struct told, index);
    follow->commits = told->commits;
    if (told->code)
        op_fail(&follow->op, told->code, "it cannot be reached");
    else
        op_finish(&follow->op);
}

static const struct index_ops ops = {.name = "told", .follow = follow_told};

struct world {
    struct told told;
    struct loop *loop;
    struct follow *follow;
    atomic_uint_fast64_t generation;
    struct follow_look look;
    bool done;
};

static void looked(struct op *op)
{
    struct world *w = op_owner(op, struct world, look.op);
    w->done = true;
}

/* Look once more; the generation after it. */
static uint64_t look(struct world *w)
{
    w->done = false;
    w->look = (struct follow_look){.op = {.loop = w->loop, .done = looked}, .follow = w->follow};
    follow_look(&w->look);
    CHECK(hand_loop_until(w->loop, &w->done));
    CHECK(w->look.op.err.code == w->told.code);
    return atomic_load(&w->generation);
}

static void world_open(struct world *w)
{
    *w = (struct world){.told = {.index = {.ops = &ops, .shared = true}, .commits = 7}};
    w->loop = hand_loop_open();
    w->follow = follow_start(&w->told.index, w->loop, &w->generation);
    (void)look(w);
}

static void world_close(struct world *w)
{
    follow_free(w->follow);
    hand_loop_close(w->loop);
}

TEST(a_commit_of_another_node_is_a_new_generation)
{
    struct world w;
    world_open(&w);
    uint64_t before = look(&w);
    CHECK(look(&w) == before);
    w.told.commits = 8;
    CHECK(look(&w) == before + 1);
    CHECK(look(&w) == before + 1);
    w.told.commits = 6; /* the copy that took over was behind */
    CHECK(look(&w) == before + 2);
    world_close(&w);
}

TEST(after_a_look_that_failed_nothing_that_was_made_before_is_used)
{
    struct world w;
    world_open(&w);
    uint64_t before = look(&w);
    w.told.code = ERR_UNAVAILABLE;
    CHECK(look(&w) == before);
    w.told.code = ERR_OK; /* as many commits, but perhaps others */
    CHECK(look(&w) == before + 1);
    CHECK(look(&w) == before + 1);
    world_close(&w);
}

TEST(what_was_not_looked_at_is_not_fresh)
{
    struct world w;
    CHECK(follow_is_fresh(NULL)); /* there are no other nodes */
    world_open(&w);
    CHECK(follow_is_fresh(w.follow));
    world_close(&w);
}
