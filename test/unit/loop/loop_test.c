/* loop_test.c - operations come home: once, in order, on the loop's thread. */
#include "loop/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <uv.h>

#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/op.h"

struct post {
    struct op op;
    int number;
    struct desk *desk;
};

/* Where posts arrive; touched only by the loop's thread. */
struct desk {
    struct loop *loop;
    int seen[64], count;
    bool full;
    int wants;
};

static void arrived(struct op *op)
{
    struct post *post = op_owner(op, struct post, op);
    struct desk *desk = post->desk;
    if (desk->count < 64)
        desk->seen[desk->count] = post->number;
    desk->count++;
    desk->full = desk->count == desk->wants;
}

TEST(what_the_loop_posts_to_itself_comes_later_and_in_order)
{
    struct desk desk = {.loop = hand_loop_open(), .wants = 5};
    struct post posts[5];

    for (int i = 0; i < 5; i++) {
        posts[i] =
            (struct post){.op = {.loop = desk.loop, .done = arrived}, .number = i, .desk = &desk};
        op_finish(&posts[i].op);
    }
    CHECK(desk.count == 0); /* never inside the call */

    CHECK(hand_loop_until(desk.loop, &desk.full));
    for (int i = 0; i < 5; i++)
        CHECK(desk.seen[i] == i);
    hand_loop_close(desk.loop);
}

TEST(a_failed_operation_carries_its_reason_home)
{
    struct desk desk = {.loop = hand_loop_open(), .wants = 1};
    struct post post = {.op = {.loop = desk.loop, .done = arrived}, .desk = &desk};

    op_fail(&post.op, ERR_TIMEOUT, "after %d ms", 5);

    CHECK(hand_loop_until(desk.loop, &desk.full));
    CHECK(post.op.err.code == ERR_TIMEOUT);
    CHECK(strcmp(post.op.err.text, "after 5 ms") == 0);
    hand_loop_close(desk.loop);
}

enum { THREADS = 4, POSTS = 5000 };

struct crowd {
    struct loop *loop;
    pthread_t home;
    int last[THREADS]; /* the number that came last from each */
    int count, wrong_thread, wrong_order;
};

struct from {
    struct op op;
    int thread, number;
    struct crowd *crowd;
};

static void came(struct op *op)
{
    struct from *from = op_owner(op, struct from, op);
    struct crowd *crowd = from->crowd;
    crowd->wrong_thread += !pthread_equal(pthread_self(), crowd->home) || !loop_here(crowd->loop);
    crowd->wrong_order += from->number != crowd->last[from->thread] + 1;
    crowd->last[from->thread] = from->number;
    if (++crowd->count == THREADS * POSTS)
        loop_stop(crowd->loop);
}

static void *post_all(void *arg)
{
    struct from *from = arg;
    for (int i = 0; i < POSTS; i++)
        op_finish(&from[i].op);
    return NULL;
}

TEST(posts_of_each_thread_arrive_once_and_in_its_order)
{
    static struct from from[THREADS][POSTS];
    struct crowd crowd = {.home = pthread_self()};
    struct err err = {0};
    pthread_t threads[THREADS];
    CHECK(loop_open(3, "crowd", &crowd.loop, &err) == 0);
    CHECK(loop_index(crowd.loop) == 3);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < POSTS; i++)
            from[t][i] = (struct from){.op = {.loop = crowd.loop, .done = came},
                                       .thread = t,
                                       .number = i + 1,
                                       .crowd = &crowd};

    for (int t = 0; t < THREADS; t++)
        CHECK(pthread_create(&threads[t], NULL, post_all, from[t]) == 0);
    CHECK(loop_run(crowd.loop, &err) == 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);

    CHECK(crowd.count == THREADS * POSTS);
    CHECK(crowd.wrong_thread == 0);
    CHECK(crowd.wrong_order == 0);
    loop_close(crowd.loop);
}

/* One operation goes to and fro between two loops; a lost bell is a hang. */
struct ball {
    struct op op;
    struct loop *loops[2];
    int hops, wrong_side;
};

enum { HOPS = 4000 };

static void caught(struct op *op)
{
    struct ball *ball = op_owner(op, struct ball, op);
    ball->wrong_side += !loop_here(op->loop) || loop_here(ball->loops[op->loop == ball->loops[0]]);
    if (++ball->hops == HOPS) {
        loop_stop(ball->loops[0]);
        loop_stop(ball->loops[1]);
        return;
    }
    op->loop = ball->loops[op->loop == ball->loops[0]];
    op_finish(op);
}

TEST(two_loops_wake_each_other_each_time)
{
    struct ball ball = {.op = {.done = caught}};
    struct err err = {0};
    for (unsigned i = 0; i < 2; i++)
        CHECK(loop_open(i, "side", &ball.loops[i], &err) == 0);

    ball.op.loop = ball.loops[0];
    op_finish(&ball.op); /* before they run: it waits in the mailbox */
    for (int i = 0; i < 2; i++)
        CHECK(loop_start(ball.loops[i], &err) == 0);
    for (int i = 0; i < 2; i++)
        loop_join(ball.loops[i]);

    CHECK(ball.hops == HOPS);
    CHECK(ball.wrong_side == 0);
    for (int i = 0; i < 2; i++)
        loop_close(ball.loops[i]);
}

static void stop_and_post(struct op *op)
{
    struct post *post = op_owner(op, struct post, op);
    loop_stop(op->loop);
    post->op.done = arrived;
    op_finish(&post->op);
}

TEST(what_is_in_the_mailbox_at_the_stop_still_runs)
{
    struct desk desk = {.wants = 1};
    struct err err = {0};
    CHECK(loop_open(0, "stop", &desk.loop, &err) == 0);
    struct post post = {.op = {.loop = desk.loop, .done = stop_and_post}, .desk = &desk};

    op_finish(&post.op);
    CHECK(loop_run(desk.loop, &err) == 0);

    CHECK(desk.count == 1);
    CHECK(!loop_here(desk.loop));
    loop_close(desk.loop);
}

static void *stop_it(void *loop)
{
    loop_stop(loop);
    return NULL;
}

TEST(any_thread_can_stop_a_loop_that_sleeps)
{
    struct loop *loop = NULL;
    struct err err = {0};
    pthread_t thread;
    CHECK(loop_open(0, "sleeper", &loop, &err) == 0);
    CHECK(loop_start(loop, &err) == 0);

    CHECK(pthread_create(&thread, NULL, stop_it, loop) == 0);
    pthread_join(thread, NULL);
    loop_join(loop);

    loop_close(loop);
    loop_close(NULL);
    loop_join(NULL);
}

/* A post that posts itself anew, and a timer that is due once the first has come. */
struct chain {
    struct op op;
    uv_timer_t timer;
    int count, count_at_tick;
    bool ended;
};

enum { CHAIN = 10000 };

static void ticked(uv_timer_t *timer)
{
    struct chain *chain = timer->data;
    chain->count_at_tick = chain->count;
    uv_close((uv_handle_t *)timer, NULL);
}

static void posted_again(struct op *op)
{
    struct chain *chain = op_owner(op, struct chain, op);
    if (++chain->count == 1)
        uv_timer_start(&chain->timer, ticked, 0, 0);
    if (chain->count < CHAIN)
        op_finish(op);
    else
        chain->ended = true;
}

TEST(a_long_chain_of_posts_lets_the_network_have_its_turn)
{
    struct loop *loop = hand_loop_open();
    struct chain chain = {.op = {.loop = loop, .done = posted_again}};
    uv_timer_init(loop_uv(loop), &chain.timer);
    chain.timer.data = &chain;

    op_finish(&chain.op);
    CHECK(hand_loop_until(loop, &chain.ended));

    CHECK(chain.count == CHAIN);
    CHECK(chain.count_at_tick > 0 && chain.count_at_tick <= 32);
    hand_loop_close(loop);
}
