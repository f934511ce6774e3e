/* lane_test.c - operations go out to a lane and come home to their loop. */
#include "loop/lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "loop/op.h"

enum { JOBS = 10000 };

struct job {
    struct op op;
    int in, out;
    struct tally *tally;
};

struct tally {
    struct loop *loop;
    pthread_t home;
    int done, wrong_thread, wrong_answer;
};

static atomic_int batches;

static void square(void *context, struct op *chain)
{
    (void)context;
    atomic_fetch_add(&batches, 1);
    while (chain) {
        struct job *job = op_owner(chain, struct job, op);
        chain = chain->next;
        job->out = job->in * job->in;
        op_finish(&job->op);
    }
}

static void squared(struct op *op)
{
    struct job *job = op_owner(op, struct job, op);
    struct tally *t = job->tally;
    t->wrong_thread += !pthread_equal(pthread_self(), t->home);
    t->wrong_answer += job->out != job->in * job->in;
    if (++t->done == JOBS)
        loop_stop(t->loop);
}

TEST(every_operation_comes_home_once)
{
    static struct job jobs[JOBS];
    struct tally tally = {.home = pthread_self()};
    struct err err = {0};
    struct lane *lane = NULL;
    struct lane_config config = {
        .name = "square", .threads = 4, .queue_max = JOBS, .batch_max = 64, .work = square};

    CHECK(loop_open(0, "test", &tally.loop, &err) == 0);
    CHECK(lane_open(&config, &lane, &err) == 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){
            .op = {.loop = tally.loop, .done = squared}, .in = i % 1000, .tally = &tally};
        CHECK(lane_submit(lane, &jobs[i].op));
    }
    CHECK(loop_run(tally.loop, &err) == 0);
    CHECK(tally.done == JOBS);
    CHECK(tally.wrong_thread == 0);
    CHECK(tally.wrong_answer == 0);
    lane_close(lane);
    loop_close(tally.loop);
}

TEST(a_full_lane_refuses)
{
    struct loop *loop = NULL;
    struct lane *lane = NULL;
    struct err err = {0};
    struct lane_config config = {
        .name = "full", .threads = 1, .queue_max = 0, .batch_max = 1, .work = square};

    CHECK(loop_open(0, "test", &loop, &err) == 0);
    CHECK(lane_open(&config, &lane, &err) == 0);
    struct job job = {.op = {.loop = loop, .done = squared}};
    CHECK(!lane_submit(lane, &job.op));
    lane_close(lane);
    loop_close(loop);
}

/* A worker that stands at a gate until the test opens it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool inside, open;
    size_t chains[8], calls;
};

static void pass(void *context, struct op *chain)
{
    struct gate *gate = context;
    pthread_mutex_lock(&gate->lock);
    gate->inside = true;
    pthread_cond_broadcast(&gate->moved);
    while (!gate->open)
        pthread_cond_wait(&gate->moved, &gate->lock);
    size_t n = 0;
    while (chain) {
        struct op *op = chain;
        chain = chain->next;
        n++;
        op_finish(op);
    }
    if (gate->calls < 8)
        gate->chains[gate->calls] = n;
    gate->calls++;
    pthread_mutex_unlock(&gate->lock);
}

static void counted(struct op *op)
{
    op_owner(op, struct job, op)->tally->done++;
}

/* Submit one, wait until the worker has it, then ten more: they gather. */
TEST(a_closing_lane_finishes_what_waits_in_batches_of_what_gathered)
{
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
    struct tally tally = {.loop = hand_loop_open()};
    struct lane *lane = NULL;
    struct err err = {0};
    struct lane_config config = {.name = "gate",
                                 .threads = 1,
                                 .queue_max = 10,
                                 .batch_max = 6,
                                 .work = pass,
                                 .context = &gate};
    struct job jobs[12];
    for (int i = 0; i < 12; i++)
        jobs[i] = (struct job){.op = {.loop = tally.loop, .done = counted}, .tally = &tally};
    CHECK(lane_open(&config, &lane, &err) == 0);

    CHECK(lane_submit(lane, &jobs[0].op));
    pthread_mutex_lock(&gate.lock);
    while (!gate.inside)
        pthread_cond_wait(&gate.moved, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    for (int i = 1; i <= 10; i++)
        CHECK(lane_submit(lane, &jobs[i].op));
    CHECK(lane_waiting(lane) == 10);
    CHECK(!lane_submit(lane, &jobs[11].op));
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.moved);
    pthread_mutex_unlock(&gate.lock);
    lane_close(lane);
    hand_loop_turn(tally.loop);

    CHECK(tally.done == 11);
    CHECK(gate.calls == 3);
    CHECK(gate.chains[0] == 1 && gate.chains[1] == 6 && gate.chains[2] == 4);
    hand_loop_close(tally.loop);
}

TEST(a_lane_that_was_never_used_closes)
{
    struct lane *lane = NULL;
    struct err err = {0};
    struct lane_config config = {
        .name = "fifteen letters", .threads = 3, .queue_max = 1, .batch_max = 1, .work = square};

    CHECK(lane_open(&config, &lane, &err) == 0);
    CHECK(lane_waiting(lane) == 0);
    lane_close(lane);
    lane_close(NULL);
}
