/* conn.h - connections, the hub of each loop, and the server they belong to.
 *
 * Threads  a hub and its connections belong to their loop; of the server only
 *          what is atomic is touched by more than loops[0]
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/text.h"
#include "http/request.h"
#include "loop/op.h"

enum {
    CONN_READ_MAX = 64 << 10, /* read from one connection at a time */
    CONN_ROOM = 128 << 10     /* unpacked at a time */
};

/* A ring of things; an owner that is in none points to itself. */
struct link {
    struct link *prev, *next;
};

static inline void link_init(struct link *link)
{
    link->prev = link->next = link;
}

static inline void link_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link_init(link);
}

static inline void link_append(struct link *ring, struct link *link)
{
    link->prev = ring->prev;
    link->next = ring;
    ring->prev->next = link;
    ring->prev = link;
}

static inline bool link_alone(const struct link *link)
{
    return link->next == link;
}

/* What one loop keeps. */
struct hub {
    struct http_server *server;
    struct loop *loop;
    uv_loop_t *uv;
    uv_timer_t tick;    /* all deadlines */
    uv_idle_t turn;     /* runs only while `ready` is not empty */
    uv_prepare_t sweep; /* frees what is over */
    unsigned handles;   /* open ones */
    uint64_t turns;     /* of the loop */
    struct link conns;
    struct link ready; /* connections with work to do that need not wait for the network */
    size_t conn_count;
    size_t held; /* requests whose client is gone and whose handler is not done */
    struct http_request *over;
    struct text scratch;
    struct date date;
    char *read; /* CONN_READ_MAX, then CONN_ROOM: nothing is kept in them between callbacks */
    uint64_t next_id;
    bool draining, closing;
    uint64_t drain_by;
    struct op drain, drained;
};

struct http_server {
    struct http_config config;
    struct routes *routes;
    struct hub *hubs;
    size_t hub_count, next_hub;
    unsigned port;
    uint64_t tick_ms;
    int fd; /* listens; -1 when closed */
    uv_poll_t listener;
    bool starved;         /* out of descriptors: accept again at the next tick */
    atomic_bool full;     /* connections_max: whoever closes one posts `wake` */
    atomic_uint live;     /* connections, handed over or open */
    atomic_bool stopping; /* http_stop() was called */
    struct op wake, stop;
    unsigned grace_ms;
    size_t hubs_left;
    void (*done)(void *context);
    void *done_context;
};

struct out; /* something that waits to be written */

enum conn_state {
    CONN_HEAD,   /* idle, or a head is coming */
    CONN_BODY,   /* a body is coming; the reply may begin meanwhile */
    CONN_REPLY,  /* the request is complete, its reply is not */
    CONN_LINGER, /* the last reply: what still comes is dropped */
    CONN_CLOSED  /* libuv is letting go of it */
};

struct held { /* input that could not be used yet */
    char *at;
    size_t len, cap;
};

struct conn {
    uv_tcp_t tcp;
    struct hub *hub;
    struct link all, ready;
    enum conn_state state;
    bool reading, taking, eof;
    bool broken;     /* writing failed: to be given up outside the handler's call */
    bool head_begun; /* some of a head has come */
    bool shut;       /* CONN_LINGER: all is written, and our side is closed */
    struct head_scan scan;
    struct held held;
    struct http_request *request;    /* NULL in CONN_HEAD */
    uint64_t full_turn;              /* the turn of the loop in which it read all it may */
    uint64_t since;                  /* ms: in CONN_HEAD, its idle or head time began */
    uint64_t window_at, window_wire; /* ms, bytes: when and where body_rate was looked at */
    uint64_t linger_by, lingered;    /* ms, bytes */

    uv_write_t write;
    size_t writing; /* bytes in `write`; 0 when it is free */
    struct out *first, **last;
    size_t unsent, outs;            /* bytes and items waiting */
    uint64_t given;                 /* bytes the kernel took */
    uint64_t stall_at, stall_taken; /* ms (0: nothing waited), bytes the client had then */
};

/* Did `done` bytes within `took` ms keep up with the rate we ask for? */
static inline bool conn_too_slow(const struct conn *conn, uint64_t done, uint64_t took)
{
    return done == 0 || done < conn->hub->server->config.body_rate * took / 1000;
}

/* ---- conn.c ---- */
void conn_open(struct hub *hub, int fd);          /* takes over `fd` */
void conn_tick(struct conn *conn, uint64_t time); /* ms, as uv_now() */
void conn_ready(struct conn *conn); /* run conn_turn() soon, outside whatever is going on */
void conn_turn(struct conn *conn);
void conn_written(struct conn *conn, bool good); /* some of what waited was, or cannot be, sent */
void conn_drain(struct conn *conn);              /* no further request */
void conn_lose(struct conn *conn);               /* now, whatever it is doing */

/* ---- output.c (with conn_send() and conn_full(): request.h) ---- */
void output_flush(struct conn *conn); /* send what waits, as far as the kernel takes it */
bool output_stalled(struct conn *conn, uint64_t now);
void output_free(struct conn *conn);

/* ---- server.c ---- */
void hub_wake(struct hub *hub);        /* `ready` is not empty */
void hub_closed_conn(struct hub *hub); /* one less */
void hub_check(struct hub *hub);       /* may it finish now? */
