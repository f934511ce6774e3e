/* query_test.c - rows are asked for in steps: until there are some, in time, for who waits. */
#include "serve/query.h"

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
    return now_us;
}

/* An index with `rows` rows behind each other, of which it gives at most one at a time, and
 * only every `gap`-th time; each time takes `step_us`. */
struct slow {
    struct index index;
    int64_t rows, gap, step_us, asked;
};

static void query_slow(struct index *index, struct index_query *query)
{
    struct slow *slow = op_owner(index, struct slow, index);
    CHECK(query->look == 7);
    int64_t at = query->query->after ? query->query->cursor.start_us : 0;
    now_us += slow->step_us;
    query->rows = arena_make(query->arena, struct index_row, 1);
    query->count = at < slow->rows && slow->asked++ % slow->gap == slow->gap - 1;
    query->rows[0] = (struct index_row){.found = true, .start_us = at};
    query->next.start_us = at + (int64_t)query->count;
    query->more = query->next.start_us < slow->rows;
    op_finish(&query->op);
}

static const struct index_ops ops = {.name = "slow", .query = query_slow};

enum { QUERY_MS = 30000 };

struct world {
    struct slow slow;
    struct serve serve;
    bool left;
    struct loop *loop;
    struct arena *arena;
    struct serve_query query;
    bool done;
};

static void answered(struct op *op)
{
    op_owner(op, struct world, query.op)->done = true;
}

static void open_world(struct world *w, int64_t rows, int64_t gap, int64_t step_us)
{
    now_us = 1000000;
    *w = (struct world){
        .slow = {.index = {.ops = &ops}, .rows = rows, .gap = gap, .step_us = step_us},
        .loop = hand_loop_open(),
        .arena = arena_new(256),
        .serve = {.index = &w->slow.index, .query_ms = QUERY_MS, .query_look = 7},
    };
    w->query = (struct serve_query){
        .op = {.loop = w->loop, .done = answered},
        .serve = &w->serve,
        .query = {.limit = 10},
        .arena = w->arena,
        .left = &w->left,
    };
}

static void close_world(struct world *w)
{
    hand_loop_close(w->loop);
    arena_free(w->arena);
}

static void ask(struct world *w)
{
    w->done = false;
    serve_query(&w->query);
    CHECK(hand_loop_until(w->loop, &w->done));
}

TEST(an_empty_page_is_not_given_while_there_is_more)
{
    struct world w;
    open_world(&w, 3, 5, 1);

    for (int64_t i = 0; i < 3; i++) {
        ask(&w);
        CHECK(w.query.op.err.code == ERR_OK && w.query.count == 1);
        CHECK(w.query.rows[0].start_us == i && w.query.last == (i == 2));
    }
    CHECK(w.slow.asked == 15);
    close_world(&w);
}

TEST(none_are_none_at_once)
{
    struct world w;
    open_world(&w, 0, 1, 1);

    ask(&w);
    CHECK(w.query.op.err.code == ERR_OK && w.query.count == 0 && w.query.last);
    close_world(&w);
}

TEST(who_looks_too_long_for_the_next_row_is_told_where_to_go_on)
{
    struct world w;
    struct err err = {0};
    open_world(&w, 1, 1000, 1000000);

    ask(&w);
    CHECK(w.query.op.err.code == ERR_OK && w.query.count == 0 && !w.query.last && w.query.late);
    CHECK(w.slow.asked == QUERY_MS / 1000 && w.query.query.after);
    CHECK(serve_query_is_late(&w.query, &err) && err.code == ERR_TIMEOUT && err.text[0] != '\0');
    w.query.began_us = 0; /* as another request would */
    ask(&w);
    CHECK(w.slow.asked == 2 * QUERY_MS / 1000 && w.query.late);
    close_world(&w);
}

TEST(with_no_time_at_all_each_step_is_told_of)
{
    struct world w;
    open_world(&w, 1, 1000, 0);
    w.serve.query_ms = 0;

    ask(&w);
    CHECK(w.query.op.err.code == ERR_OK && w.query.late && w.slow.asked == 1);
    close_world(&w);
}

TEST(nothing_more_is_asked_for_a_client_that_left)
{
    struct world w;
    open_world(&w, 1, 1000, 1);

    w.done = false;
    serve_query(&w.query);
    w.left = true; /* while the step is under way */
    CHECK(hand_loop_until(w.loop, &w.done));
    CHECK(w.query.op.err.code == ERR_UNAVAILABLE && w.slow.asked == 1);
    close_world(&w);
}

TEST(who_goes_through_all_sees_that_it_is_late)
{
    struct world w;
    struct err err = {0};
    open_world(&w, 100, 1, 20000000);

    ask(&w);
    CHECK(!serve_query_is_late(&w.query, &err));
    ask(&w);
    CHECK(w.query.count == 1 && serve_query_is_late(&w.query, &err));
    CHECK(w.query.rows[0].found && err.code == ERR_TIMEOUT);
    close_world(&w);
}
