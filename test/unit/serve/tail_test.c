/* tail_test.c - who follows is told what came, in its own time. */
#include "serve/tail.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "run/render.h"
#include "serve/follow.h"
#include "wire/splice.h"

/* The test's own clocks. */
static int64_t now_us = 1000000;

int64_t clock_mono_us(void)
{
    return now_us;
}

int64_t clock_now_us(void)
{
    return now_us;
}

/* An index that has a run of every id that is not odd.  Bare queries find `others`. */
struct fake {
    struct index index;
    enum err_code code;
    unsigned queries, looks;
    uint64_t commits; /* of other nodes */
    uint32_t others[4];
    size_t other_count;
    uint64_t version;
};

struct world {
    struct fake fake;
    struct budget budget;
    atomic_uint_fast64_t generation;
    struct serve serve;
    struct loop *loop;
    struct style style;
    struct serve_tail tail;
    bool done;
};

static struct uuid id_of(uint32_t n)
{
    struct uuid id = {.byte = {[15] = 1}};
    memcpy(id.byte, &n, sizeof n);
    return id;
}

static uint32_t number_of(struct uuid id)
{
    uint32_t n;
    memcpy(&n, id.byte, sizeof n);
    return n;
}

static void add_row(struct index_query *query, const struct fake *fake, uint32_t n)
{
    query->rows[query->count++] = (struct index_row){
        .found = true,
        .id = id_of(n),
        .start_us = n,
        .version = fake->version,
        .silent = true,
    };
}

static void query_fake(struct index *index, struct index_query *query)
{
    struct fake *fake = op_owner(index, struct fake, index);
    const struct run_query *asked = query->query;
    if (fake->code) {
        op_fail(&query->op, fake->code, "as the test wants");
        return;
    }
    query->rows = arena_make(query->arena, struct index_row, QUERY_LIMIT_MAX);
    if (asked->bare)
        fake->looks++;
    else
        fake->queries++;
    for (size_t i = 0; i < asked->id_count; i++)
        if (number_of(asked->ids[i]) % 2 == 0)
            add_row(query, fake, number_of(asked->ids[i]));
    for (size_t i = 0; asked->bare && i < fake->other_count; i++)
        add_row(query, fake, fake->others[i]);
    op_finish(&query->op);
}

static void follow_fake(struct index *index, struct index_follow *follow)
{
    follow->commits = op_owner(index, struct fake, index)->commits;
    op_finish(&follow->op);
}

static const struct index_ops ops = {.name = "fake", .query = query_fake, .follow = follow_fake};

static void show(struct splice *splice, const struct view *run, uint64_t shown)
{
    char text[16];
    (void)shown;
    int len = snprintf(text, sizeof text, "%u,", number_of(run->id));
    splice_add(splice, (struct str){text, (size_t)len});
}

static void no_end(struct text *text, const struct query_cursor *next)
{
    (void)text;
    (void)next;
}

static void told(struct op *op)
{
    op_owner(op, struct world, tail.op)->done = true;
}

static void open_world(struct world *w)
{
    *w = (struct world){
        .fake = {.index = {.ops = &ops}, .version = 1},
        .budget = {.limit = 1 << 24},
        .loop = hand_loop_open(),
        .style = {.run = show, .end = no_end, .one_line = true},
    };
    w->serve = (struct serve){
        .index = &w->fake.index,
        .budget = &w->budget,
        .generation = &w->generation,
        .news = news_new(2),
        .query_ms = 30000,
        .query_look = INDEX_LOOK,
    };
    w->tail = (struct serve_tail){
        .op = {.loop = w->loop, .done = told},
        .serve = &w->serve,
        .asked = {.start_min_us = INT64_MIN, .start_max_us = INT64_MAX},
        .fields = SHOW(SHOW_ID),
        .style = &w->style,
    };
}

static void close_world(struct world *w)
{
    serve_tail_end(&w->tail);
    buf_unref(w->tail.step);
    hand_loop_close(w->loop);
    CHECK(w->budget.used == 0);
    news_free(w->serve.news);
}

/* Numbers `from` up to and without `to`. */
static void tell(struct world *w, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n < to; n++)
        news_tell(w->serve.news, (struct uuid[]){id_of(n)}, 1);
}

static void begin_next(struct world *w)
{
    w->tail.step = buf_unref(w->tail.step);
    w->done = false;
    serve_tail_next(&w->tail);
}

static enum tail_what next(struct world *w)
{
    begin_next(w);
    CHECK(hand_loop_until(w->loop, &w->done));
    return w->tail.what;
}

static bool shows(const struct world *w, const char *text)
{
    const struct buf *step = w->tail.step;
    return step && str_eq((struct str){step->at, step->len}, (struct str){text, strlen(text)});
}

TEST(what_came_is_told_and_each_run_once)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    uint64_t begin = w.tail.at;
    begin_next(&w);
    hand_loop_turn(w.loop);
    CHECK(!w.done);
    tell(&w, 2, 6);
    tell(&w, 2, 4);
    CHECK(hand_loop_until(w.loop, &w.done));
    CHECK(w.tail.what == TAIL_RUNS && w.tail.last && shows(&w, "2,4,"));
    CHECK(w.tail.at == begin + 6 && w.fake.queries == 1);
    close_world(&w);
}

TEST(many_come_in_batches)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    tell(&w, 0, 3 * TAIL_IDS);
    for (unsigned i = 0; i < 3; i++)
        CHECK(next(&w) == TAIL_RUNS && w.tail.last);
    CHECK(w.fake.queries == 3 && w.tail.at == news_last(w.serve.news));
    close_world(&w);
}

TEST(when_nothing_matches_for_long_that_is_said)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    begin_next(&w);
    now_us += TAIL_QUIET_MS * INT64_C(1000);
    tell(&w, 1, 2);
    CHECK(hand_loop_until(w.loop, &w.done));
    CHECK(w.tail.what == TAIL_QUIET && w.fake.queries == 1);
    close_world(&w);
}

TEST(who_is_too_slow_is_told_how_much_it_missed)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    tell(&w, 0, NEWS_KEPT + 10);
    CHECK(next(&w) == TAIL_LOST && w.tail.lost == 10);
    CHECK(next(&w) == TAIL_RUNS && w.tail.step->len > 3 && memcmp(w.tail.step->at, "10,", 3) == 0);
    close_world(&w);
}

TEST(who_comes_back_goes_on_where_it_was_or_is_told)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    uint64_t at = w.tail.at;
    tell(&w, 0, 3);
    serve_tail_end(&w.tail);
    w.tail.state = TAIL_IDLE;
    CHECK(serve_tail_begin(&w.tail));
    serve_tail_resume(&w.tail, news_epoch(w.serve.news), at);
    CHECK(next(&w) == TAIL_RUNS && shows(&w, "0,2,"));
    serve_tail_resume(&w.tail, news_epoch(w.serve.news) + 1, at);
    CHECK(next(&w) == TAIL_LOST && w.tail.lost == 0 && w.tail.reason);
    close_world(&w);
}

TEST(what_cannot_be_read_is_lost_and_what_may_be_later_is_not)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    w.fake.code = ERR_CORRUPT;
    tell(&w, 0, 5);
    CHECK(next(&w) == TAIL_LOST && w.tail.lost == 5);
    w.fake.code = ERR_BUSY;
    tell(&w, 6, 7);
    begin_next(&w);
    for (int i = 0; i < 20; i++)
        hand_loop_turn(w.loop);
    CHECK(!w.done);
    w.fake.code = ERR_OK;
    CHECK(hand_loop_until(w.loop, &w.done));
    CHECK(w.tail.what == TAIL_RUNS && shows(&w, "6,"));
    close_world(&w);
}

TEST(it_ends_when_it_is_told_to_and_when_the_server_does)
{
    struct world w;
    open_world(&w);
    CHECK(serve_tail_begin(&w.tail));
    begin_next(&w);
    serve_tail_stop(&w.tail); /* it waits */
    CHECK(hand_loop_until(w.loop, &w.done) && w.tail.what == TAIL_ENDS);
    w.tail.stopping = false;
    w.fake.code = ERR_BUSY;
    tell(&w, 0, 1);
    begin_next(&w);
    serve_tail_stop(&w.tail); /* it asks, and would try again */
    CHECK(hand_loop_until(w.loop, &w.done) && w.tail.what == TAIL_ENDS);
    w.tail.stopping = false;
    news_close(w.serve.news);
    CHECK(next(&w) == TAIL_ENDS);
    close_world(&w);
}

TEST(there_is_room_for_so_many)
{
    struct world w;
    struct serve_tail others[2];
    open_world(&w);
    for (int i = 0; i < 2; i++) {
        others[i] = w.tail;
        CHECK(serve_tail_begin(&others[i]));
    }
    CHECK(!serve_tail_begin(&w.tail));
    serve_tail_end(&others[0]);
    CHECK(serve_tail_begin(&w.tail));
    serve_tail_end(&others[1]);
    close_world(&w);
}

/* Let the other node's commit be noticed, and the next look be due. */
static void others_commit(struct world *w)
{
    struct follow_look look = {.op = {.loop = w->loop, .done = loop_wake},
                               .follow = w->serve.follow};
    w->fake.commits++;
    follow_look(&look);
    CHECK(loop_wait(&look.op, NULL) == 0);
    now_us += TAIL_LOOK_MS * INT64_C(1000);
}

TEST(what_other_nodes_commit_is_looked_for_and_told_once)
{
    struct world w;
    open_world(&w);
    w.serve.follow = follow_start(&w.fake.index, w.loop, &w.generation);
    w.fake.others[0] = 100;
    w.fake.other_count = 1;
    CHECK(serve_tail_begin(&w.tail));
    begin_next(&w); /* what is there already is old */
    for (int i = 0; i < 50 && !w.tail.looked; i++)
        hand_loop_turn(w.loop);
    CHECK(w.tail.looked && !w.done);

    w.fake.others[1] = 102;
    w.fake.other_count = 2;
    others_commit(&w);
    CHECK(hand_loop_until(w.loop, &w.done) && w.tail.what == TAIL_RUNS && shows(&w, "102,"));

    tell(&w, 104, 105); /* our own is seen by the next look too */
    CHECK(next(&w) == TAIL_RUNS && shows(&w, "104,"));
    w.fake.others[2] = 104;
    w.fake.others[3] = 106;
    w.fake.other_count = 4;
    others_commit(&w);
    CHECK(next(&w) == TAIL_RUNS && shows(&w, "106,"));

    w.fake.version = 2; /* all of them changed */
    others_commit(&w);
    CHECK(next(&w) == TAIL_RUNS && shows(&w, "100,102,104,106,"));
    CHECK(w.fake.looks == 4);
    follow_free(w.serve.follow);
    close_world(&w);
}
