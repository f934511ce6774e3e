/* conn.c - one connection's life.
 *
 * The happy path of a small request costs one read and one write: the head is
 * scanned in the hub's read buffer, copied once into the request, the handler
 * replies within begin(), the reply goes out with one writev, and the
 * connection is idle again without having told epoll anything.
 *
 *     CONN_HEAD ── head complete ──> CONN_BODY ── last ──> CONN_REPLY
 *        ^                               │                     │
 *        └──────── written, kept ────────┴──────────┬──────────┘
 *                                                   │ close
 *                                    CONN_LINGER ───┴──> CONN_CLOSED
 *
 * Input that cannot be used yet (a paused body, pipelined requests, a bomb
 * that had its share of this turn) is held, and reading stops; what is held is
 * bounded by one read, or by the limits of a head.  What is sent is output.c's.
 *
 * A reply that leaves before its request was read completely is the last one:
 * the answer is sent, our side is shut, and what still comes is read and
 * dropped for a while.  Closing at once would make the kernel send a reset,
 * which may overtake the answer.
 *
 * Handlers are called only from libuv's callbacks and from take(); take()
 * never nests.  Whatever a handler calls returns to it with the connection
 * intact or CONN_CLOSED; memory is freed a turn later.
 */
#include "http/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "loop/loop.h"

enum {
    HELD_MAX = 16 << 10,       /* pipelined input that is taken while a reply is awaited */
    TURN_REQUESTS = 32,        /* of one connection, before others have their turn */
    TURN_UNPACKED = 256 << 10, /* the same for bytes of bodies */
    REST_MAX = 64 << 10,       /* so much of an unread body is read to keep the connection */
    LINGER_MS = 10000,
    LINGER_MAX = 128 << 20 /* a client that posts a body over the limit can still read the 413 */
};

static void take(struct conn *c, struct str in);
static void settle(struct conn *c);
static void refuse(struct conn *c, const struct refusal *why);

static const struct http_config *config(const struct conn *c)
{
    return &c->hub->server->config;
}

static uint64_t now(const struct conn *c)
{
    return uv_now(c->hub->uv);
}

/* ---- the end of requests and connections ---- */

void conn_ready(struct conn *conn)
{
    if (conn->state == CONN_CLOSED || !link_alone(&conn->ready))
        return;
    link_append(&conn->hub->ready, &conn->ready);
    hub_wake(conn->hub);
}

static void closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct hub *hub = c->hub;
    output_free(c);
    link_remove(&c->all);
    link_remove(&c->ready);
    free(c->held.at);
    free(c);
    hub_closed_conn(hub);
}

static void hang_up(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    if (reset) {
        /* What the client never read must not stay in the kernel. */
        uv_os_fd_t fd;
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    uv_close((uv_handle_t *)&c->tcp, closed);
}

static struct str cut(struct str s)
{
    return (struct str){s.at, s.len < 1024 ? s.len : 1024};
}

/* Let go of the request: tell whoever counts, and free it unless its handler
 * still has it. */
static void end_request(struct conn *c)
{
    struct http_request *r = c->request;
    int64_t took_us = clock_mono_us() - r->started_us;
    if (config(c)->ended) {
        struct http_outcome outcome = {.method = cut(r->head.method),
                                       .path = cut(r->head.path),
                                       .status = r->status,
                                       .bytes_in = r->bytes_in + r->body.wire,
                                       .bytes_out =
                                           r->bytes_out > c->unsent ? r->bytes_out - c->unsent : 0,
                                       .duration_us = took_us > 0 ? (uint64_t)took_us : 0,
                                       .request_id = r->id};
        config(c)->ended(r->context, &outcome);
    }
    c->request = NULL;
    r->conn = NULL;
    if (r->gone && !r->released) {
        r->holds = c->hub;
        c->hub->held++;
        return;
    }
    r->next = c->hub->over;
    c->hub->over = r;
}

void http_release(struct http_request *request)
{
    assert(request->gone && !request->released);
    request->released = true;
    if (request->conn)
        return;
    struct hub *hub = request->holds;
    request_free(request);
    hub->held--;
    hub_check(hub);
}

/* The client is gone, or has to go. */
static void lose(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    struct http_request *r = c->request;
    hang_up(c, reset);
    if (!r)
        return;
    const struct http_handler *told =
        r->handler && !r->replied && !r->gone && r->handler->gone ? r->handler : NULL;
    r->gone |= told != NULL;
    end_request(c);
    if (told)
        told->gone(r);
}

void conn_lose(struct conn *conn)
{
    lose(conn, true);
}

void conn_cut(struct conn *conn)
{
    conn->request->replied = true;
    metric_add(METRIC_HTTP_ANSWERS_CUT, 1);
    lose(conn, true);
}

struct text *conn_scratch(struct conn *conn)
{
    conn->hub->scratch.len = 0;
    return &conn->hub->scratch;
}

struct date *conn_date(struct conn *conn)
{
    return &conn->hub->date;
}

/* ---- reading ---- */

/* Keep `in` behind what is held already. */
static void hold(struct conn *c, struct str in)
{
    struct held *held = &c->held;
    if (in.len == 0)
        return;
    if (held->cap - held->len < in.len) {
        size_t cap = held->cap ? held->cap * 2 : 512;
        while (cap - held->len < in.len)
            cap *= 2;
        held->at = realloc(held->at, cap);
        if (!held->at)
            abort();
        held->cap = cap;
    }
    memcpy(held->at + held->len, in.at, in.len);
    held->len += in.len;
}

/* Of what is held only `rest`, its end, is still wanted. */
static void held_keep(struct conn *c, struct str rest)
{
    if (rest.len > 0) {
        memmove(c->held.at, rest.at, rest.len);
        c->held.len = rest.len;
        return;
    }
    free(c->held.at); /* an idle connection is small */
    c->held = (struct held){0};
}

static void offer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct conn *c = handle->data;
    size_t size = CONN_READ_MAX;
    if (c->full_turn == c->hub->turns)
        size = 0; /* it had its share of this turn: libuv asks again in the next */
    else if (c->state == CONN_REPLY)
        size = c->held.len < HELD_MAX ? HELD_MAX - c->held.len : 0;
    *buf = uv_buf_init(c->hub->read, (unsigned)size);
}

static void arrived(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf);

/* Read or do not, as the state wants it.  No change costs nothing. */
static void regulate(struct conn *c)
{
    const struct http_request *r = c->request;
    bool want = false;
    switch (c->state) {
    case CONN_HEAD:
        want = link_alone(&c->ready);
        break;
    case CONN_BODY:
        want = link_alone(&c->ready) && (!r->paused || r->replied);
        break;
    case CONN_REPLY:
        want = c->held.len < HELD_MAX;
        break;
    case CONN_LINGER:
        want = true;
        break;
    case CONN_CLOSED:
        return;
    }
    want = want && !c->eof && !c->broken;
    if (want == c->reading)
        return;
    c->reading = want;
    if (want)
        uv_read_start((uv_stream_t *)&c->tcp, offer, arrived);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/* The client will send no more.  One that sent a request and awaits its
 * answer is taken to have left; half-closing clients are not served. */
static void ended(struct conn *c)
{
    c->eof = true;
    c->reading = false;
    switch (c->state) {
    case CONN_REPLY:
        if (!c->request->replied)
            lose(c, false);
        return;
    case CONN_LINGER:
        if (c->shut)
            hang_up(c, false);
        return;
    case CONN_HEAD:
    case CONN_BODY:
        lose(c, false);
        return;
    case CONN_CLOSED:
        return;
    }
}

static void arrived(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (size == 0 || size == UV_ENOBUFS)
        return;
    if (size == UV_EOF) {
        ended(c);
        return;
    }
    if (size < 0) {
        lose(c, false);
        return;
    }
    if (size == CONN_READ_MAX)
        c->full_turn = c->hub->turns;
    take(c, (struct str){buf->base, (size_t)size});
}

/* ---- from bytes to requests ---- */

struct share { /* what was done for this connection in this turn */
    unsigned requests;
    size_t unpacked;
};

static void body_window(struct conn *c)
{
    c->window_at = now(c);
    c->window_wire = c->request->body.wire;
}

/* The head is complete: judge it, find its handler, begin. */
static void start_request(struct conn *c, struct str bytes)
{
    const struct http_config *f = config(c);
    const struct head_limits head_limits = {f->head_max, f->line_max, f->header_max, f->uri_max};
    const struct body_limits body_limits = {f->wire_max, f->body_max, f->ratio_max};
    struct refusal why = {0};
    char *copy = NULL;
    struct http_request *r = request_new(bytes, c->scan.count, &copy);
    c->request = r;
    c->scan = (struct head_scan){0};
    c->head_begun = false;
    r->conn = c;
    r->loop = c->hub->loop;
    r->context = f->context;
    r->id = c->hub->next_id;
    c->hub->next_id += c->hub->server->hub_count;
    r->bytes_in = bytes.len;
    c->state = CONN_BODY;

    bool good = head_parse(&r->head, copy, bytes.len, r->fields, &head_limits, &why);
    /* A browser that was led here by another name sends it; what sends none is none. */
    if (good && f->host_count > 0 && r->head.host.len > 0 &&
        !head_host_is(r->head.host, f->hosts, f->host_count))
        good = refused(&why, 421, "The Host of this request is not served here");
    if (good) {
        body_open(&r->body, &r->head, &body_limits);
        body_window(c);
        good = body_fits(&r->body, &why);
    }
    if (!good) {
        refuse(c, &why);
        return;
    }
    r->path = route_strip(r->head.path, f->prefixes, f->prefix_count);
    route_find(c->hub->server->routes, r->head.method, r->path, &r->match);
    const struct http_handler *handler = r->match.handler;
    if (!handler) {
        struct str allow = {r->match.allow, strlen(r->match.allow)};
        struct http_field field = {STR("Allow"), allow};
        if (allow.len)
            reply_refusal(r, 405, f->not_allowed ? f->not_allowed : "Method Not Allowed", &field,
                          1);
        else
            reply_refusal(r, 404, f->not_found ? f->not_found : "Not Found", NULL, 0);
        return;
    }
    if (f->before && !f->before(r)) {
        assert(r->replied);
        return;
    }
    r->handler = handler;
    r->body.discard = !handler->body;
    handler->begin(r);
    if (c->request == r && c->state == CONN_BODY && r->body.ended && !handler->body)
        c->state = CONN_REPLY;
}

/* The body is wanted, and nothing of it has come: perhaps its sender waits. */
static void invite(struct conn *c)
{
    struct http_request *r = c->request;
    if (!r->head.expects || r->continued || r->started || r->replied)
        return;
    r->continued = true;
    if (r->body.wire == 0)
        conn_send(c, STR("HTTP/1.1 100 Continue\r\n\r\n"), NULL, 0, false);
}

static bool take_head(struct conn *c, struct str *in, struct share *share)
{
    const struct http_config *f = config(c);
    const struct head_limits limits = {f->head_max, f->line_max, f->header_max, f->uri_max};
    struct refusal why = {0};
    if (in->len == 0)
        return false;
    if (share->requests == TURN_REQUESTS) {
        conn_ready(c);
        return false;
    }
    enum head_verdict verdict = head_scan(&c->scan, *in, &limits, &why);
    if (verdict == HEAD_MORE) {
        if (!c->head_begun && c->scan.at > c->scan.start) {
            c->head_begun = true;
            c->since = now(c);
        }
        return false;
    }
    if (verdict == HEAD_REFUSED) {
        refuse(c, &why);
        return true;
    }
    size_t at = c->scan.at;
    struct str bytes = {in->at + c->scan.start, at - c->scan.start};
    in->at += at;
    in->len -= at;
    share->requests++;
    start_request(c, bytes);
    return true;
}

static bool take_body(struct conn *c, struct str *in, struct share *share)
{
    struct http_request *r = c->request;
    struct str piece = STR("");
    struct refusal why = {0};
    if (r->paused && !r->replied)
        return false;
    if (share->unpacked >= TURN_UNPACKED) {
        conn_ready(c);
        return false;
    }
    enum body_event event = BODY_END;
    if (!r->body.ended)
        event = body_next(&r->body, in, c->hub->read + CONN_READ_MAX, CONN_ROOM, &piece, &why);
    if (event == BODY_MORE) {
        invite(c);
        return false;
    }
    if (event == BODY_FAILED) {
        refuse(c, &why);
        return true;
    }
    share->unpacked += piece.len;
    bool last = event != BODY_PIECE;
    if (event == BODY_END)
        piece = STR("");
    if (last)
        c->state = CONN_REPLY;
    if (r->replied)
        settle(c);
    else if (r->handler->body)
        r->handler->body(r, piece, last);
    return true;
}

/* Use what is held and `in`, which came after it, as far as it goes. */
static void take(struct conn *c, struct str in)
{
    bool held = c->held.len > 0;
    struct share share = {0};
    assert(!c->taking);
    if (held) {
        hold(c, in);
        in = (struct str){c->held.at, c->held.len};
    }
    c->taking = true;
    for (bool on = true; on;) {
        switch (c->state) {
        case CONN_HEAD:
            on = take_head(c, &in, &share);
            break;
        case CONN_BODY:
            on = take_body(c, &in, &share);
            break;
        case CONN_LINGER:
            c->lingered += in.len;
            in.len = 0;
            on = false;
            break;
        case CONN_REPLY:
        case CONN_CLOSED:
            on = false;
            break;
        }
    }
    c->taking = false;
    if (c->state == CONN_CLOSED)
        return;
    if (held)
        held_keep(c, in);
    else
        hold(c, in);
    if (c->state == CONN_LINGER && c->lingered > LINGER_MAX)
        lose(c, true);
    else if (c->eof && (c->state == CONN_HEAD || c->state == CONN_BODY) && link_alone(&c->ready))
        lose(c, false);
    else
        regulate(c);
}

void conn_resume(struct conn *conn)
{
    struct http_request *r = conn->request;
    if (!r->paused && conn->state == CONN_BODY) {
        body_window(conn);
        if (!conn->taking)
            conn_ready(conn);
    }
    if (!conn->taking)
        regulate(conn);
}

/* ---- replies ---- */

bool conn_keeps(struct conn *conn)
{
    const struct http_request *r = conn->request;
    if (conn->hub->draining || conn->eof || conn->state == CONN_LINGER)
        return false;
    if (r->body.ended)
        return true;
    bool told_to_wait = r->head.expects && !r->continued; /* will the body come or not? */
    return !r->body.chunked && r->body.chunks.left <= REST_MAX && !told_to_wait;
}

void conn_replied(struct conn *conn)
{
    struct http_request *r = conn->request;
    if (!r || conn->state == CONN_CLOSED)
        return;
    r->replied = true;
    if (!r->body.ended && r->keep)
        r->body.discard = true;
    else if (!r->body.ended)
        conn->state = CONN_LINGER;
    else if (conn->state == CONN_BODY)
        conn->state = CONN_REPLY;
    settle(conn);
    if (conn->taking || conn->state == CONN_CLOSED)
        return;
    if (conn->held.len > 0)
        conn_ready(conn);
    regulate(conn);
}

/* When the reply is complete and written, and the request read: what next? */
static void settle(struct conn *c)
{
    struct http_request *r = c->request;
    if (c->state == CONN_CLOSED || !r || !r->replied || c->unsent > 0 || c->broken)
        return;
    if (c->state == CONN_BODY)
        return; /* the small rest of the body is still to come */
    bool keep = r->keep && c->state == CONN_REPLY && !c->hub->draining;
    bool clean = c->state == CONN_REPLY && c->held.len == 0;
    end_request(c);
    if (keep) {
        c->state = CONN_HEAD;
        c->since = now(c);
        if (c->eof && c->held.len == 0 && !c->taking)
            hang_up(c, false);
        return;
    }
    if (clean || c->eof) {
        hang_up(c, false);
        return;
    }
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        (void)shutdown(fd, SHUT_WR);
    c->state = CONN_LINGER;
    c->shut = true;
    c->linger_by = now(c) + LINGER_MS;
}

void conn_written(struct conn *conn, bool good)
{
    if (!good) {
        lose(conn, false);
        return;
    }
    struct http_request *r = conn->request;
    if (r && r->blocked && !r->replied && !r->gone && !conn_full(conn)) {
        r->blocked = false;
        if (r->handler->drained)
            r->handler->drained(r);
    }
    settle(conn);
    if (conn->held.len > 0 && conn->state == CONN_HEAD)
        conn_ready(conn);
    regulate(conn);
}

static void count_refusal(int status)
{
    switch (status) {
    case 408:
        metric_add(METRIC_HTTP_REFUSED_TIMEOUT, 1);
        break;
    case 413:
    case 414:
    case 431:
        metric_add(METRIC_HTTP_REFUSED_LIMIT, 1);
        break;
    case 421:
        metric_add(METRIC_HTTP_REFUSED_HOST, 1);
        break;
    default:
        metric_add(METRIC_HTTP_REFUSED_PROTOCOL, 1);
        break;
    }
}

/* Answer what breaks a rule, and be done with this client. */
static void refuse(struct conn *c, const struct refusal *why)
{
    struct http_request *r = c->request;
    count_refusal(why->status);
    if (!r) {
        char *copy = NULL;
        r = c->request = request_new(STR(""), 0, &copy);
        r->conn = c;
        r->context = config(c)->context;
        r->id = c->hub->next_id;
        c->hub->next_id += c->hub->server->hub_count;
        r->bytes_in = c->scan.at;
    }
    if (r->started && !r->replied) {
        lose(c, true); /* half a reply is out: another cannot begin */
        return;
    }
    c->state = CONN_LINGER;
    if (r->replied) {
        settle(c);
        return;
    }
    const struct http_handler *told = r->handler && r->handler->gone ? r->handler : NULL;
    r->gone = told != NULL;
    reply_refusal(r, why->status, why->sentence, NULL, 0);
    if (told)
        told->gone(r);
}

/* ---- time ---- */

void conn_open(struct hub *hub, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->hub = hub;
    c->last = &c->first;
    link_init(&c->ready);
    link_init(&c->all);
    link_append(&hub->conns, &c->all);
    hub->conn_count++;
    uv_tcp_init(hub->uv, &c->tcp);
    c->tcp.data = c;
    if (uv_tcp_open(&c->tcp, fd) < 0) {
        close(fd);
        hang_up(c, false);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    c->since = now(c);
    if (hub->draining)
        hang_up(c, false);
    else
        regulate(c);
}

void conn_turn(struct conn *conn)
{
    if (conn->broken) {
        lose(conn, false);
        return;
    }
    output_flush(conn);
    settle(conn);
    if (conn->state != CONN_CLOSED)
        take(conn, STR(""));
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_HEAD && !conn->head_begun && conn->held.len == 0)
        hang_up(conn, false);
}

void conn_tick(struct conn *conn, uint64_t time)
{
    const struct http_config *f = config(conn);
    struct refusal why = {0};
    struct http_request *r = conn->request;
    switch (conn->state) {
    case CONN_HEAD:
        if (conn->head_begun && time - conn->since >= f->head_ms) {
            refused(&why, 408, "The head of the request took longer than %u ms", f->head_ms);
            refuse(conn, &why);
        } else if (!conn->head_begun && time - conn->since >= f->idle_ms) {
            hang_up(conn, false);
        }
        break;
    case CONN_BODY:
        if (time - conn->window_at < f->body_grace_ms || (r->paused && !r->replied))
            break;
        if (conn_too_slow(conn, r->body.wire - conn->window_wire, time - conn->window_at)) {
            refused(&why, 408, "The body comes slower than %u bytes a second", f->body_rate);
            refuse(conn, &why);
        } else {
            body_window(conn);
        }
        break;
    case CONN_LINGER:
        if (conn->shut && time >= conn->linger_by)
            hang_up(conn, false);
        break;
    case CONN_REPLY:
        break;
    case CONN_CLOSED:
        return;
    }
    if (conn->state != CONN_CLOSED && output_stalled(conn, time))
        lose(conn, true);
}
