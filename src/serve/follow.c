/* follow.c - see follow.h. */
#include "serve/follow.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/watch.h"

struct follow {
    struct index *index;
    struct loop *loop;
    struct timer *timer;
    atomic_uint_fast64_t *generation;
    atomic_uint_fast64_t commits; /* of the others, when last looked at */
    atomic_bool missed;           /* a look failed since: it may be another database now */
    atomic_int_fast64_t fresh_us; /* when the last look that succeeded began */
    struct follow_look regular;
    bool failing; /* it was told */
};

static void told(struct op *op)
{
    struct follow_look *look = op_owner(op, struct follow_look, ask.op);
    struct follow *follow = look->follow;
    look->op.err = op->err;
    if (!op->err.code) {
        /* Any difference is a change: after a fail-over of the database there may be fewer,
         * or as many others.  Counted before it is told: who finds the sum as it is must
         * find the generation too.  That two count the same is no harm. */
        bool lost = atomic_exchange(&follow->missed, false);
        if (lost || atomic_load(&follow->commits) != look->ask.commits) {
            atomic_fetch_add_explicit(follow->generation, 1, memory_order_release);
            atomic_store(&follow->commits, look->ask.commits);
        }
        int64_t before_us = atomic_load(&follow->fresh_us);
        while (before_us < look->began_us &&
               !atomic_compare_exchange_weak(&follow->fresh_us, &before_us, look->began_us))
            ;
    } else {
        atomic_store(&follow->missed, true);
    }
    op_finish(&look->op);
}

void follow_look(struct follow_look *look)
{
    look->began_us = clock_mono_us();
    look->ask = (struct index_follow){.op = {.loop = look->op.loop, .done = told}};
    look->follow->index->ops->follow(look->follow->index, &look->ask);
}

static void looked(struct op *op)
{
    struct follow *follow = op_owner(op, struct follow, regular.op);
    if (op->err.code && !follow->failing)
        log_event(LOG_WARN, "index_not_followed", LOG_C("reason", op->err.text));
    else if (!op->err.code && follow->failing)
        log_event(LOG_INFO, "index_followed", LOG_C("reason", "it answers again"));
    follow->failing = op->err.code != ERR_OK;
    timer_start(follow->timer, FOLLOW_MS);
}

static void look_again(void *context)
{
    struct follow *follow = context;
    follow->regular =
        (struct follow_look){.op = {.loop = follow->loop, .done = looked}, .follow = follow};
    follow_look(&follow->regular);
}

struct follow *follow_start(struct index *index, struct loop *loop,
                            atomic_uint_fast64_t *generation)
{
    struct follow *follow = calloc(1, sizeof *follow);
    if (!follow)
        abort();
    follow->index = index;
    follow->loop = loop;
    follow->generation = generation;
    atomic_init(&follow->fresh_us, INT64_MIN);
    follow->timer = timer_new(loop, look_again, follow);
    timer_start(follow->timer, 0);
    return follow;
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    timer_free(follow->timer);
    free(follow);
}

bool follow_is_fresh(const struct follow *follow)
{
    return !follow || clock_mono_us() - FOLLOW_LEASE_MS * 1000 <
                          atomic_load_explicit(&follow->fresh_us, memory_order_acquire);
}

uint64_t follow_commits(const struct follow *follow)
{
    return atomic_load_explicit(&follow->commits, memory_order_acquire);
}
