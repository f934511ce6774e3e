/* histogram_test.c - runs are counted until all were, or for so long. */
#include "serve/histogram.h"

#include "base/arena.h"
#include "base/clock.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "serve/serve.h"

/* The test's own clocks. */
static int64_t now_us;

int64_t clock_mono_us(void)
{
    return now_us;
}

int64_t clock_now_us(void)
{
    return INT64_C(1700000000000000) + now_us;
}

/* An index with `rows` rows, each a second before the last, of which each time it gives as
 * many as are asked for and takes `step_us`; at the end it fails with `code`. */
struct fake {
    struct index index;
    int64_t rows, step_us;
    enum err_code code;
};

static void query_fake(struct index *index, struct index_query *query)
{
    struct fake *fake = op_owner(index, struct fake, index);
    int64_t at = query->query->after ? query->query->cursor.start_us / 1000000 : fake->rows;
    now_us += fake->step_us;
    query->rows = arena_make(query->arena, struct index_row, query->query->limit);
    for (; query->count < query->query->limit && at > 0; at--)
        query->rows[query->count++] = (struct index_row){
            .found = true,
            .start_us = (at - 1) * 1000000,
            .status = at % 2 ? RUN_SUCCESS : RUN_ERROR,
        };
    query->next.start_us = at * 1000000;
    query->more = at > 0 || fake->code;
    if (query->count == 0 && fake->code)
        op_fail(&query->op, fake->code, "as the test wants");
    else
        op_finish(&query->op);
}

static const struct index_ops ops = {.name = "fake", .query = query_fake};

struct world {
    struct fake fake;
    struct serve serve;
    struct serve_histogram histogram;
    bool done;
};

static void answered(struct op *op)
{
    op_owner(op, struct world, histogram.op)->done = true;
}

static void ask(struct world *w, int64_t min_us, int64_t max_us)
{
    struct loop *loop = hand_loop_open();
    w->fake.index.ops = &ops;
    w->serve = (struct serve){.index = &w->fake.index, .query_ms = 30000, .query_look = INDEX_LOOK};
    w->done = false;
    w->histogram = (struct serve_histogram){
        .op = {.loop = loop, .done = answered},
        .serve = &w->serve,
        .query = {.start_min_us = min_us, .start_max_us = max_us},
        .buckets = 60,
    };
    serve_histogram(&w->histogram);
    CHECK(hand_loop_until(loop, &w->done));
    hand_loop_close(loop);
}

static uint64_t counted(const struct world *w)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < w->histogram.histogram.used; i++)
        total += w->histogram.histogram.count[i];
    return total;
}

TEST(all_are_counted)
{
    struct world w = {.fake = {.rows = 2500, .step_us = 1000}};
    ask(&w, INT64_MIN, INT64_MAX);
    CHECK(w.histogram.op.err.code == ERR_OK && w.histogram.complete && counted(&w) == 2500);
}

TEST(a_range_that_is_asked_for_is_that_of_the_answer)
{
    struct world w = {.fake = {.rows = 100, .step_us = 1000}};
    ask(&w, 0, 119999999);
    CHECK(w.histogram.histogram.from_us == 0 && w.histogram.histogram.width_us == 2000000);
    CHECK(w.histogram.histogram.used == 60 && w.histogram.histogram.count[49] == 2);
    CHECK(w.histogram.histogram.errors[49] == 1 && w.histogram.histogram.count[50] == 0);
}

TEST(of_no_runs_it_is_that_of_the_last_day)
{
    struct world w = {.fake = {.rows = 0}};
    ask(&w, INT64_MIN, INT64_MAX);
    CHECK(w.histogram.complete && w.histogram.histogram.used == 60 && counted(&w) == 0);
    CHECK(w.histogram.histogram.from_us == clock_now_us() - INT64_C(86400000000));
}

TEST(after_a_while_what_is_there_is_the_answer)
{
    struct world w = {.fake = {.rows = 100000, .step_us = 1000000}};
    ask(&w, INT64_MIN, INT64_MAX);
    CHECK(w.histogram.op.err.code == ERR_OK && !w.histogram.complete);
    CHECK(counted(&w) == HISTOGRAM_MS / 1000 * QUERY_LIMIT_MAX);
}

TEST(what_takes_the_index_too_long_ends_it_too)
{
    struct world w = {.fake = {.rows = 1000, .code = ERR_TIMEOUT}};
    ask(&w, INT64_MIN, INT64_MAX);
    CHECK(w.histogram.op.err.code == ERR_OK && !w.histogram.complete && counted(&w) == 1000);
}

TEST(what_fails_fails)
{
    struct world w = {.fake = {.rows = 1000, .code = ERR_UNAVAILABLE}};
    ask(&w, INT64_MIN, INT64_MAX);
    CHECK(w.histogram.op.err.code == ERR_UNAVAILABLE);
}
