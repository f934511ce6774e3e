/* loop.c - see loop.h and op.h.
 *
 * The mailbox is a Treiber stack that any thread pushes to and only this loop
 * empties.  It is emptied before the loop sleeps (prepare) and after it woke
 * (check), so what a loop posts to itself costs no system call; another
 * thread's post rings the bell (uv_async) when it finds the stack empty.
 */
#include "loop/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/log.h"
#include "loop/op.h"

struct loop {
    uv_loop_t uv;
    uv_async_t bell;
    uv_prepare_t before_sleep;
    uv_check_t after_sleep;
    _Atomic(struct op *) inbox; /* finished operations, newest first */
    atomic_bool stop;
    atomic_bool running;
    pthread_t home; /* valid while running */
    pthread_t thread;
    bool threaded;
    unsigned index;
    const char *name;
};

static void deliver(struct loop *loop);

static void bell_rung(uv_async_t *bell)
{
    (void)bell; /* what it rang for is done by after_sleep */
}

static void before_sleep(uv_prepare_t *handle)
{
    deliver(handle->data);
}

static void after_sleep(uv_check_t *handle)
{
    deliver(handle->data);
}

int loop_open(unsigned index, const char *name, struct loop **result, struct err *err)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        abort();
    loop->index = index;
    loop->name = name;
    int r = uv_loop_init(&loop->uv);
    if (r < 0) {
        free(loop);
        return err_sys(err, -r, "open loop %s", name);
    }
    r = uv_async_init(&loop->uv, &loop->bell, bell_rung);
    if (r < 0) {
        uv_loop_close(&loop->uv);
        free(loop);
        return err_sys(err, -r, "open loop %s", name);
    }
    uv_prepare_init(&loop->uv, &loop->before_sleep);
    uv_check_init(&loop->uv, &loop->after_sleep);
    loop->before_sleep.data = loop->after_sleep.data = loop;
    uv_prepare_start(&loop->before_sleep, before_sleep);
    uv_check_start(&loop->after_sleep, after_sleep);
    *result = loop;
    return 0;
}

static void close_left(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Whoever still waited for a server when the loop ended has a timer or a socket on
 * it, which would keep the last turn from ending. */
void loop_close(struct loop *loop)
{
    if (!loop)
        return;
    deliver(loop); /* a look-up may have come back since it ended */
    assert(!atomic_load(&loop->inbox));
    uv_walk(&loop->uv, close_left, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT); /* runs the close callbacks, then has nothing left */
    int r = uv_loop_close(&loop->uv);
    assert(r == 0);
    (void)r;
    free(loop);
}

void loop_wake(struct op *op)
{
    loop_stop(op->loop);
}

int loop_wait(const struct op *op, struct err *err)
{
    struct err bad = {0};
    if (loop_run(op->loop, &bad)) /* the answer may still come, to what is on our stack */
        fatal("wait for an answer: %s", bad.text);
    if (op->err.code && err)
        *err = op->err;
    return (int)op->err.code;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

bool loop_here(const struct loop *loop)
{
    return atomic_load_explicit(&loop->running, memory_order_acquire) &&
           pthread_equal(loop->home, pthread_self());
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void op_finish(struct op *op)
{
    struct loop *loop = op->loop;
    struct op *head = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do {
        op->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->inbox, &head, op, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on `op` belongs to the loop and may be gone already. */
    if (!head && !loop_here(loop))
        uv_async_send(&loop->bell);
}

void op_fail(struct op *op, enum err_code code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(op->err.text, sizeof op->err.text, format, ap);
    va_end(ap);
    op->err.code = code;
    op_finish(op);
}

/* Run everything in the mailbox, oldest first, and what that posts in turn;
 * but let the network have its turn between long chains. */
static void deliver(struct loop *loop)
{
    for (int round = 0; round < 8; round++) {
        struct op *newest = atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
        if (!newest)
            return;
        struct op *oldest = NULL;
        while (newest) {
            struct op *op = newest;
            newest = op->next;
            op->next = oldest;
            oldest = op;
        }
        while (oldest) {
            struct op *op = oldest;
            oldest = op->next;
            op->next = NULL;
            op->done(op);
        }
    }
    if (atomic_load_explicit(&loop->inbox, memory_order_relaxed))
        uv_async_send(&loop->bell);
}

int loop_run(struct loop *loop, struct err *err)
{
    loop->home = pthread_self();
    atomic_store_explicit(&loop->running, true, memory_order_release);
    int r = 0;
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
        r = uv_run(&loop->uv, UV_RUN_ONCE);
        if (r < 0)
            break;
    }
    deliver(loop);
    atomic_store_explicit(&loop->running, false, memory_order_release);
    atomic_store_explicit(&loop->stop, false, memory_order_release); /* it may run again */
    return r < 0 ? err_sys(err, -r, "run loop %s", loop->name) : 0;
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    struct err err = {0};
    pthread_setname_np(pthread_self(), loop->name);
    if (loop_run(loop, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort(); /* epoll itself failed: nothing on this loop can be answered any more */
    }
    return NULL;
}

int loop_start(struct loop *loop, struct err *err)
{
    int r = pthread_create(&loop->thread, NULL, run, loop);
    if (r != 0)
        return err_sys(err, r, "start loop %s", loop->name);
    loop->threaded = true;
    return 0;
}

void loop_join(struct loop *loop)
{
    if (loop && loop->threaded) {
        pthread_join(loop->thread, NULL);
        loop->threaded = false;
    }
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stop, true, memory_order_release);
    uv_async_send(&loop->bell);
}
