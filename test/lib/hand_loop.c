/* hand_loop.c - see hand_loop.h. */
#include "lib/hand_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "loop/loop.h"

enum { PATIENCE_MS = 10000 };

struct loop *hand_loop_open(void)
{
    struct loop *loop = NULL;
    struct err err = {0};
    if (loop_open(0, "hand", &loop, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return loop;
}

void hand_loop_close(struct loop *loop)
{
    hand_loop_turn(loop);
    loop_close(loop);
}

static void expired(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

bool hand_loop_until(struct loop *loop, const bool *flag)
{
    uv_loop_t *uv = loop_uv(loop);
    uv_timer_t timer;
    bool late = false, gone = false;
    uv_timer_init(uv, &timer);
    timer.data = &late;
    uv_timer_start(&timer, expired, PATIENCE_MS, 0);
    while (!*flag && !late)
        uv_run(uv, UV_RUN_ONCE);
    timer.data = &gone;
    uv_close((uv_handle_t *)&timer, closed);
    while (!gone)
        uv_run(uv, UV_RUN_NOWAIT);
    return *flag;
}

void hand_loop_turn(struct loop *loop)
{
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
}
