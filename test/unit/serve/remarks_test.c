/* remarks_test.c - all that was said of runs is counted, each once, and little held at once. */
#include "serve/remarks.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/text.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_record.h"
#include "lib/many_entities.h"

static bool done;

static void gathered(struct op *op)
{
    (void)op;
    done = true;
}

enum { RUNS_MAX = 100 };

/* Of the first `count` runs; what is said of them in *arena. */
static struct remarks gather(struct many_entities *many, struct budget *budget, size_t count,
                             struct arena *arena)
{
    struct uuid *ids = arena_make(arena, struct uuid, RUNS_MAX);
    struct loop *loop = hand_loop_open();
    for (size_t i = 0; i < count; i++)
        ids[i] = make_id(count - 1 - i);
    struct remarks remarks = {
        .op = {.loop = loop, .done = gathered},
        .index = &many->index,
        .budget = budget,
        .ids = ids,
        .count = count,
        .feedback = true,
        .arena = arena,
    };
    many->budget = budget;
    done = false;
    remarks_gather(&remarks);
    CHECK(hand_loop_until(loop, &done));
    hand_loop_close(loop);
    return remarks;
}

static bool says(const struct remarks *remarks, size_t i, const char *piece)
{
    struct text text = {0};
    feedback_write(&remarks->tallies[i], &text);
    text_add_char(&text, '\0');
    bool is = strstr(text.at, piece) != NULL;
    if (!is)
        fprintf(stderr, "%s\n", text.at);
    text_free(&text);
    return is;
}

TEST(much_feedback_of_one_run_is_gone_through_once)
{
    struct many_entities many;
    struct budget budget = {.limit = 64 << 20};
    struct arena *arena = arena_new(1024);
    many_entities(&many, 100000, 1, 100);
    struct remarks remarks = gather(&many, &budget, 1, arena);
    CHECK(remarks.op.err.code == ERR_OK);
    CHECK(says(&remarks, 0, "\"even\":{\"n\":50000") && says(&remarks, 0, "\"odd\":{\"n\":50000"));
    CHECK(many.given == 100000);
    CHECK(atomic_load(&budget.used) == 0); /* the pages are what the caller has charged */
    arena_free(arena);
}

TEST(feedback_of_many_runs_is_counted_once_each)
{
    struct many_entities many;
    struct budget budget = {.limit = 64 << 20};
    for (size_t runs = 1; runs < RUNS_MAX; runs += 33) {
        struct arena *arena = arena_new(1024);
        many_entities(&many, 60 * RUNS_MAX, RUNS_MAX, 100);
        struct remarks remarks = gather(&many, &budget, runs, arena);
        CHECK(remarks.op.err.code == ERR_OK && many.given == 60 * runs);
        for (size_t i = 0; i < runs; i++)
            CHECK(
                says(&remarks, i, (runs - 1 - i) % 2 ? "\"odd\":{\"n\":60" : "\"even\":{\"n\":60"));
        arena_free(arena);
    }
}

/* The page that is there while the next is asked for is none. */
TEST(one_that_is_large_is_charged_while_it_is_there)
{
    struct many_entities many;
    struct budget budget = {.limit = 8 << 20};
    struct arena *arena = arena_new(1024);
    many_entities(&many, 5, 1, 3 << 20);
    struct remarks remarks = gather(&many, &budget, 1, arena);
    CHECK(remarks.op.err.code == ERR_OK && many.pages == 5 && many.held == 0);
    CHECK(budget_take(&budget, 6 << 20)); /* others came */
    remarks = gather(&many, &budget, 1, arena);
    CHECK(remarks.op.err.code == ERR_BUSY && many.held == 6 << 20);
    CHECK(atomic_load(&budget.used) == 6 << 20);
    arena_free(arena);
}
