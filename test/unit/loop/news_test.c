/* news_test.c - ids that are told are heard, in order, and what was overtaken is counted. */
#include "loop/news.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"

/* The test's own clocks. */
static _Atomic int64_t now_us = 1000000;

int64_t clock_mono_us(void)
{
    return now_us;
}

int64_t clock_now_us(void)
{
    return now_us;
}

struct listener {
    struct news_ear ear;
    struct loop *loop;
    struct news *news;
    bool heard;
};

static void heard(struct op *op)
{
    op_owner(op, struct listener, ear.op)->heard = true;
}

static bool open_ear(struct listener *l, struct news *news)
{
    *l = (struct listener){.loop = hand_loop_open(), .news = news};
    l->ear.op = (struct op){.loop = l->loop, .done = heard};
    return news_listen(news, &l->ear);
}

static void close_ear(struct listener *l)
{
    news_leave(l->news, &l->ear);
    hand_loop_close(l->loop);
}

static struct uuid id_of(uint32_t n)
{
    struct uuid id = {0};
    memcpy(id.byte, &n, sizeof n);
    return id;
}

static uint32_t number_of(struct uuid id)
{
    uint32_t n;
    memcpy(&n, id.byte, sizeof n);
    return n;
}

/* Ids `from` up to and without `to`. */
static void tell(struct news *news, uint32_t from, uint32_t to)
{
    struct uuid *ids = malloc((to - from) * sizeof *ids);
    for (uint32_t i = from; i < to; i++)
        ids[i - from] = id_of(i);
    news_tell(news, ids, to - from);
    free(ids);
}

TEST(while_nobody_listens_nothing_is_kept)
{
    struct news *news = news_new(4);
    CHECK(!news_is_wanted(news));
    tell(news, 0, 10);
    CHECK(news_last(news) == 0);
    news_free(news);
}

TEST(who_listens_takes_what_was_told_in_order)
{
    struct news *news = news_new(4);
    struct listener l;
    struct uuid ids[8];
    uint64_t lost;
    CHECK(open_ear(&l, news) && news_is_wanted(news));
    uint64_t after = news_last(news), begin = after;
    tell(news, 0, 10);
    CHECK(news_take(news, &after, ids, 8, &lost) == 8 && lost == 0);
    CHECK(number_of(ids[0]) == 0 && number_of(ids[7]) == 7 && after == begin + 8);
    CHECK(news_take(news, &after, ids, 8, &lost) == 2 && number_of(ids[1]) == 9);
    CHECK(news_take(news, &after, ids, 8, &lost) == 0 && after == news_last(news));
    close_ear(&l);
    news_free(news);
}

TEST(who_waits_is_woken_once)
{
    struct news *news = news_new(4);
    struct listener l;
    CHECK(open_ear(&l, news));
    uint64_t after = news_last(news);
    news_wait(news, &l.ear, after);
    hand_loop_turn(l.loop);
    CHECK(!l.heard);
    tell(news, 0, 1);
    tell(news, 1, 2);
    CHECK(hand_loop_until(l.loop, &l.heard));
    l.heard = false;
    hand_loop_turn(l.loop);
    CHECK(!l.heard);
    news_wait(news, &l.ear, after); /* there is some already */
    CHECK(hand_loop_until(l.loop, &l.heard));
    close_ear(&l);
    news_free(news);
}

TEST(a_wait_can_be_ended)
{
    struct news *news = news_new(4);
    struct listener l;
    CHECK(open_ear(&l, news));
    news_hush(news, &l.ear);
    hand_loop_turn(l.loop);
    CHECK(!l.heard);
    news_wait(news, &l.ear, news_last(news));
    news_hush(news, &l.ear);
    CHECK(hand_loop_until(l.loop, &l.heard));
    l.heard = false;
    news_wait(news, &l.ear, news_last(news));
    news_close(news);
    CHECK(hand_loop_until(l.loop, &l.heard) && news_closed(news));
    close_ear(&l);
    news_free(news);
}

TEST(what_was_overtaken_is_counted)
{
    struct news *news = news_new(4);
    struct listener l;
    struct uuid ids[8];
    uint64_t lost;
    CHECK(open_ear(&l, news));
    uint64_t after = news_last(news);
    tell(news, 0, NEWS_KEPT);
    CHECK(news_take(news, &after, ids, 1, &lost) == 1 && lost == 0 && number_of(ids[0]) == 0);
    tell(news, NEWS_KEPT, NEWS_KEPT + 5);
    CHECK(news_take(news, &after, ids, 1, &lost) == 1 && lost == 4 && number_of(ids[0]) == 5);
    close_ear(&l);
    news_free(news);
}

TEST(who_comes_back_soon_misses_nothing_and_later_is_told)
{
    struct news *news = news_new(1);
    struct listener l;
    struct uuid ids[8];
    uint64_t lost;
    CHECK(open_ear(&l, news));
    uint64_t after = news_last(news);
    close_ear(&l);
    now_us += NEWS_LINGER_MS * INT64_C(1000) - 1;
    tell(news, 0, 3);
    CHECK(open_ear(&l, news));
    CHECK(news_take(news, &after, ids, 8, &lost) == 3 && lost == 0);
    close_ear(&l);
    now_us += NEWS_LINGER_MS * INT64_C(1000);
    tell(news, 3, 6);
    CHECK(open_ear(&l, news));
    CHECK(news_take(news, &after, ids, 8, &lost) == 0 && lost > 0);
    close_ear(&l);
    news_free(news);
}

TEST(there_is_room_for_so_many)
{
    struct news *news = news_new(2);
    struct listener a, b, c;
    CHECK(open_ear(&a, news) && open_ear(&b, news));
    CHECK(!open_ear(&c, news));
    hand_loop_close(c.loop);
    close_ear(&a);
    CHECK(open_ear(&c, news));
    close_ear(&b);
    close_ear(&c);
    news_free(news);
}

enum { MANY = 200000 };

static void *tell_many(void *context)
{
    for (uint32_t i = 0; i < MANY; i += 10)
        tell(context, i, i + 10);
    return NULL;
}

TEST(from_another_thread_all_is_heard_or_counted)
{
    struct news *news = news_new(4);
    struct listener l;
    struct uuid ids[64];
    pthread_t thread;
    uint64_t after, lost, sum = 0;
    CHECK(open_ear(&l, news));
    after = news_last(news);
    uint64_t end = after + MANY, begin = after;
    pthread_create(&thread, NULL, tell_many, news);
    while (after < end) {
        l.heard = false;
        news_wait(news, &l.ear, after);
        CHECK(hand_loop_until(l.loop, &l.heard));
        for (size_t n; (n = news_take(news, &after, ids, 64, &lost)) > 0;) {
            sum += n + lost;
            CHECK(number_of(ids[n - 1]) == after - begin - 1);
        }
    }
    CHECK(sum == MANY);
    pthread_join(thread, NULL);
    close_ear(&l);
    news_free(news);
}
