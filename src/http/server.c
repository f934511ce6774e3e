/* server.c - the listener, the hub of each loop, and how they stop; see http.h.
 *
 * loops[0] accepts and hands each connection to the next loop by posting an
 * operation.  There is one listening socket: with one for each loop the kernel
 * spreads connections by hash, and a few busy clients may share a loop.
 *
 * Stopping  http_stop() posts to loops[0], which closes the listener and posts
 *           to every hub (behind the connections it handed over).  A hub closes
 *           what is idle, at the deadline the rest, then its own handles, and
 *           reports to loops[0]; the last report calls `done`.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metric.h"
#include "http/conn.h"
#include "loop/loop.h"

enum { ACCEPT_MAX = 64 /* in one go */, BACKLOG = 4096 };

/* ---- the hub of one loop ---- */

static void turn(uv_idle_t *handle)
{
    struct hub *hub = handle->data;
    struct link now;
    link_init(&now);
    while (!link_alone(&hub->ready)) {
        struct link *first = hub->ready.next;
        link_remove(first);
        link_append(&now, first);
    }
    while (!link_alone(&now)) {
        struct conn *c = op_owner(now.next, struct conn, ready);
        link_remove(&c->ready);
        if (c->state != CONN_CLOSED)
            conn_turn(c);
    }
    if (link_alone(&hub->ready))
        uv_idle_stop(handle);
}

void hub_wake(struct hub *hub)
{
    if (!hub->closing && !uv_is_active((uv_handle_t *)&hub->turn))
        uv_idle_start(&hub->turn, turn);
}

static void free_over(struct hub *hub)
{
    for (struct http_request *r = hub->over, *next; r; r = next) {
        next = r->next;
        request_free(r);
    }
    hub->over = NULL;
}

static void sweep(uv_prepare_t *handle)
{
    struct hub *hub = handle->data;
    hub->turns++;
    free_over(hub);
}

static void listen_again(struct http_server *server);

static void tick(uv_timer_t *handle)
{
    struct hub *hub = handle->data;
    uint64_t now = uv_now(hub->uv);
    bool over = hub->draining && now >= hub->drain_by;
    /* Closed connections leave the ring later, so it does not change here. */
    for (struct link *link = hub->conns.next; link != &hub->conns; link = link->next) {
        struct conn *c = op_owner(link, struct conn, all);
        if (over)
            conn_lose(c);
        else
            conn_tick(c, now);
    }
    if (hub == hub->server->hubs && hub->server->starved) {
        hub->server->starved = false;
        listen_again(hub->server);
    }
}

static void drain(struct op *op)
{
    struct hub *hub = op_owner(op, struct hub, drain);
    hub->draining = true;
    hub->drain_by = uv_now(hub->uv) + hub->server->grace_ms;
    for (struct link *link = hub->conns.next; link != &hub->conns; link = link->next)
        conn_drain(op_owner(link, struct conn, all));
    hub_check(hub);
}

static void drained(struct op *op)
{
    struct http_server *server = op_owner(op, struct hub, drained)->server;
    if (--server->hubs_left == 0 && server->done)
        server->done(server->done_context);
}

static void handle_closed(uv_handle_t *handle)
{
    struct hub *hub = handle->data;
    if (--hub->handles > 0)
        return;
    free_over(hub);
    if (hub->draining)
        op_finish(&hub->drained);
}

static void hub_finish(struct hub *hub)
{
    if (hub->closing)
        return;
    hub->closing = true;
    uv_close((uv_handle_t *)&hub->tick, handle_closed);
    uv_close((uv_handle_t *)&hub->turn, handle_closed);
    uv_close((uv_handle_t *)&hub->sweep, handle_closed);
}

/* Finish once the last connection is closed, none will come, and no handler has
 * anything on its way that would come home to this loop. */
void hub_check(struct hub *hub)
{
    if (hub->draining && hub->conn_count == 0 && hub->held == 0)
        hub_finish(hub);
}

static void wake(struct op *op)
{
    listen_again(op_owner(op, struct http_server, wake));
}

void hub_closed_conn(struct hub *hub)
{
    struct http_server *server = hub->server;
    hub->conn_count--;
    metric_add(METRIC_HTTP_CONNECTIONS, -1);
    atomic_fetch_sub(&server->live, 1);
    if (atomic_load(&server->full) && atomic_exchange(&server->full, false))
        op_finish(&server->wake);
    hub_check(hub);
}

static void hub_open(struct hub *hub, struct http_server *server, struct loop *loop, size_t index)
{
    hub->server = server;
    hub->loop = loop;
    hub->uv = loop_uv(loop);
    hub->next_id = index + 1;
    hub->turns = 1;
    hub->date.second = -1;
    hub->drain = (struct op){.loop = loop, .done = drain};
    hub->drained = (struct op){.loop = server->hubs[0].loop, .done = drained};
    link_init(&hub->conns);
    link_init(&hub->ready);
    hub->read = malloc(CONN_READ_MAX + CONN_ROOM);
    if (!hub->read)
        abort();
    uv_timer_init(hub->uv, &hub->tick);
    uv_idle_init(hub->uv, &hub->turn);
    uv_prepare_init(hub->uv, &hub->sweep);
    hub->tick.data = hub->turn.data = hub->sweep.data = hub;
    hub->handles = 3;
    uv_timer_start(&hub->tick, tick, server->tick_ms, server->tick_ms);
    uv_prepare_start(&hub->sweep, sweep);
}

/* ---- accepting ---- */

struct arrival { /* a connection on its way to its loop */
    struct op op;
    struct hub *hub;
    int fd;
};

static void arrived(struct op *op)
{
    struct arrival *arrival = op_owner(op, struct arrival, op);
    conn_open(arrival->hub, arrival->fd);
    free(arrival);
}

static void hand_over(struct http_server *server, int fd)
{
    struct hub *hub = &server->hubs[server->next_hub++ % server->hub_count];
    struct arrival *arrival = calloc(1, sizeof *arrival);
    if (!arrival)
        abort();
    *arrival = (struct arrival){.op = {.loop = hub->loop, .done = arrived}, .hub = hub, .fd = fd};
    atomic_fetch_add(&server->live, 1);
    metric_add(METRIC_HTTP_CONNECTIONS, 1);
    metric_add(METRIC_HTTP_CONNECTIONS_TOTAL, 1);
    op_finish(&arrival->op);
}

/* May another connection be accepted?  If not, the listener rests until one is
 * closed; whoever clears `full` wakes it. */
static bool has_room(struct http_server *server)
{
    if (atomic_load(&server->live) < server->config.connections_max)
        return true;
    atomic_store(&server->full, true);
    if (atomic_load(&server->live) < server->config.connections_max)
        return atomic_exchange(&server->full, false); /* else `wake` is on its way */
    return false;
}

static void knock(uv_poll_t *handle, int status, int events)
{
    struct http_server *server = handle->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        if (!has_room(server)) {
            uv_poll_stop(handle);
            return;
        }
        int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(server, fd);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The client still waits, so the socket stays readable: without a
             * rest this would spin. */
            server->starved = true;
            uv_poll_stop(handle);
            return;
        }
        /* Others concern the one connection, which went away while it waited. */
    }
}

static void listen_again(struct http_server *server)
{
    if (server->fd >= 0 && !server->starved)
        uv_poll_start(&server->listener, UV_READABLE, knock);
}

static int open_listener(struct http_server *server, struct str host, unsigned port,
                         struct err *err)
{
    char name[INET6_ADDRSTRLEN];
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    int on = 1;
    if (host.len >= sizeof name || port > 65535)
        return err_set(err, ERR_INVALID, "listen on %.*s:%u: not an address", STR_FMT(host), port);
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    if (uv_ip4_addr(name, (int)port, (struct sockaddr_in *)&address) == 0)
        len = sizeof(struct sockaddr_in);
    else if (uv_ip6_addr(name, (int)port, (struct sockaddr_in6 *)&address) == 0)
        len = sizeof(struct sockaddr_in6);
    else
        return err_set(err, ERR_INVALID, "listen on %s:%u: not an address", name, port);

    server->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->fd < 0 || setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(server->fd, (struct sockaddr *)&address, len) < 0 || listen(server->fd, BACKLOG) < 0)
        return err_sys(err, errno, "listen on %s:%u", name, port);
    len = sizeof address;
    if (getsockname(server->fd, (struct sockaddr *)&address, &len) < 0)
        return err_sys(err, errno, "listen on %s:%u", name, port);
    server->port =
        ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                            : ((struct sockaddr_in *)&address)->sin_port);

    struct hub *hub = &server->hubs[0];
    int r = uv_poll_init(hub->uv, &server->listener, server->fd);
    if (r < 0)
        return err_sys(err, -r, "listen on %s:%u", name, port);
    server->listener.data = server;
    hub->handles++;
    r = uv_poll_start(&server->listener, UV_READABLE, knock);
    return r < 0 ? err_sys(err, -r, "listen on %s:%u", name, port) : 0;
}

static void listener_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    handle->data = &server->hubs[0];
    handle_closed(handle);
}

static void close_listener(struct http_server *server)
{
    if (server->fd < 0)
        return;
    if (server->listener.data)
        uv_close((uv_handle_t *)&server->listener, listener_closed);
    close(server->fd);
    server->fd = -1;
}

/* ---- the server ---- */

/* What is 0 gets the value that http.h names. */
static void set_defaults(struct http_config *c)
{
    c->wire_max = c->wire_max ? c->wire_max : 64u << 20;
    c->body_max = c->body_max ? c->body_max : 128u << 20;
    c->head_max = c->head_max ? c->head_max : 64u << 10;
    c->line_max = c->line_max ? c->line_max : 16u << 10;
    c->header_max = c->header_max ? c->header_max : 100;
    c->uri_max = c->uri_max ? c->uri_max : 8u << 10;
    c->ratio_max = c->ratio_max ? c->ratio_max : 200;
    c->head_ms = c->head_ms ? c->head_ms : 10000;
    c->idle_ms = c->idle_ms ? c->idle_ms : 75000;
    c->stall_ms = c->stall_ms ? c->stall_ms : 30000;
    c->body_grace_ms = c->body_grace_ms ? c->body_grace_ms : 10000;
    c->body_rate = c->body_rate ? c->body_rate : 1024;
    c->connections_max = c->connections_max ? c->connections_max : 10000;
}

/* Deadlines are looked at every second, or finer when they are short. */
static uint64_t tick_ms(const struct http_config *c)
{
    unsigned shortest = c->head_ms < c->idle_ms ? c->head_ms : c->idle_ms;
    shortest = c->stall_ms < shortest ? c->stall_ms : shortest;
    shortest = c->body_grace_ms < shortest ? c->body_grace_ms : shortest;
    unsigned ms = shortest / 4;
    return ms < 10 ? 10 : ms > 1000 ? 1000 : ms;
}

static void stop(struct op *op);

int http_open(const struct http_config *config, struct loop **loops, size_t loop_count,
              struct str host, unsigned port, struct http_server **result, struct err *err)
{
    assert(loop_count > 0);
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    server->config = *config;
    server->fd = -1;
    set_defaults(&server->config);
    server->tick_ms = tick_ms(&server->config);
    server->routes = routes_new(config->routes, config->route_count);
    server->hubs = calloc(loop_count, sizeof *server->hubs);
    if (!server->hubs)
        abort();
    server->hub_count = server->hubs_left = loop_count;
    server->wake = (struct op){.loop = loops[0], .done = wake};
    server->stop = (struct op){.loop = loops[0], .done = stop};
    server->hubs[0].loop = loops[0];
    for (size_t i = 0; i < loop_count; i++)
        hub_open(&server->hubs[i], server, loops[i], i);
    /* A write to a connection that was closed is an error to handle, no signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    int r = open_listener(server, host, port, err);
    if (r)
        http_close(server);
    else
        *result = server;
    return r;
}

unsigned http_port(const struct http_server *server)
{
    return server->port;
}

static void stop(struct op *op)
{
    struct http_server *server = op_owner(op, struct http_server, stop);
    close_listener(server);
    for (size_t i = 0; i < server->hub_count; i++)
        op_finish(&server->hubs[i].drain);
}

void http_stop(struct http_server *server, unsigned grace_ms, void (*done)(void *context),
               void *context)
{
    if (atomic_exchange(&server->stopping, true))
        return;
    server->grace_ms = grace_ms;
    server->done = done;
    server->done_context = context;
    op_finish(&server->stop);
}

void http_close(struct http_server *server)
{
    if (!server)
        return;
    close_listener(server);
    for (size_t i = 0; i < server->hub_count; i++) {
        struct hub *hub = &server->hubs[i];
        for (struct link *link = hub->conns.next; link != &hub->conns; link = link->next)
            conn_lose(op_owner(link, struct conn, all));
        /* Not stopped, or never started: its handles are ours to close. */
        while (hub->handles > 0) {
            hub->draining = false;
            if (hub->conn_count == 0)
                hub_finish(hub);
            uv_run(hub->uv, UV_RUN_NOWAIT);
        }
        free_over(hub);
        text_free(&hub->scratch);
        free(hub->read);
    }
    routes_free(server->routes);
    free(server->hubs);
    free(server);
}
