/* watch.c - see watch.h. */
#include "loop/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "loop/loop.h"

struct watch {
    uv_poll_t poll;
    watch_ready_fn *ready;
    void *context;
    int events;
};

struct timer {
    uv_timer_t uv;
    timer_fn *passed;
    void *context;
};

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void polled(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    bool bad = status < 0;
    if (bad)
        watch->events = 0; /* libuv has stopped it: the next watch_set() begins anew */
    watch->ready(watch->context, bad || (events & (UV_READABLE | UV_DISCONNECT)),
                 bad || (events & UV_WRITABLE));
}

struct watch *watch_new(struct loop *loop, int fd, watch_ready_fn *ready, void *context)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        abort();
    watch->ready = ready;
    watch->context = context;
    int r = uv_poll_init_socket(loop_uv(loop), &watch->poll, fd);
    assert(r == 0); /* a socket of this process, not watched yet */
    (void)r;
    watch->poll.data = watch;
    return watch;
}

void watch_set(struct watch *watch, bool read, bool write)
{
    int events = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
    if (events == watch->events)
        return;
    watch->events = events;
    int r = events ? uv_poll_start(&watch->poll, events, polled) : uv_poll_stop(&watch->poll);
    assert(r == 0);
    (void)r;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, closed);
}

static void passed(uv_timer_t *uv)
{
    struct timer *timer = uv->data;
    timer->passed(timer->context);
}

struct timer *timer_new(struct loop *loop, timer_fn *fn, void *context)
{
    struct timer *timer = calloc(1, sizeof *timer);
    if (!timer)
        abort();
    timer->passed = fn;
    timer->context = context;
    uv_timer_init(loop_uv(loop), &timer->uv);
    timer->uv.data = timer;
    return timer;
}

void timer_start(struct timer *timer, uint64_t ms)
{
    uv_update_time(timer->uv.loop); /* "from now", however long this turn has taken */
    uv_timer_start(&timer->uv, passed, ms, 0);
}

void timer_stop(struct timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void timer_free(struct timer *timer)
{
    if (!timer)
        return;
    uv_timer_stop(&timer->uv);
    uv_close((uv_handle_t *)&timer->uv, closed);
}
