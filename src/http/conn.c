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
 * bounded by one read, or by the limits of a head.  Output waits in a list of
 * pieces, bounded for streams by HTTP_WINDOW.
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
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/loop.h"

enum {
    HELD_MAX = 16 << 10,       /* pipelined input that is taken while a reply is awaited */
    TURN_REQUESTS = 32,        /* of one connection, before others have their turn */
    TURN_UNPACKED = 256 << 10, /* the same for bytes of bodies */
    REST_MAX = 64 << 10,       /* so much of an unread body is read to keep the connection */
    CORK = 64 << 10,           /* parts of a reply are gathered up to this */
    WRITE_MAX = 1 << 20,
    PIECES_MAX = 64, /* in one writev */
    OUT_COST = 128,  /* bytes, besides its bytes, that a waiting piece counts */
    LINGER_MS = 10000,
    LINGER_MAX = 128 << 20 /* a client that posts a body over the limit can still read the 413 */
};

struct out {
    struct out *next;
    struct str lead;         /* in `store` */
    struct http_piece piece; /* goes after it */
    char store[];
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

/* Run conn_turn() soon, outside whatever is going on. */
static void make_ready(struct conn *c)
{
    if (c->state == CONN_CLOSED || !link_alone(&c->ready))
        return;
    link_append(&c->hub->ready, &c->ready);
    hub_wake(c->hub);
}

static void out_free(struct out *out)
{
    buf_unref(out->piece.keep);
    free(out);
}

static void closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct hub *hub = c->hub;
    for (struct out *out = c->first, *next; out; out = next) {
        next = out->next;
        out_free(out);
    }
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
    if (r->gone && !r->released)
        return;
    r->next = c->hub->over;
    c->hub->over = r;
}

void http_release(struct http_request *request)
{
    assert(request->gone && !request->released);
    request->released = true;
    if (!request->conn)
        request_free(request);
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

/* ---- writing ---- */

/* `size` bytes at the front of the list were written. */
static void written_off(struct conn *c, size_t size)
{
    c->unsent -= size;
    c->given += size;
    while (c->first) {
        struct out *out = c->first;
        size_t n = size < out->lead.len ? size : out->lead.len;
        out->lead.at += n;
        out->lead.len -= n;
        size -= n;
        n = size < out->piece.bytes.len ? size : out->piece.bytes.len;
        if (n > 0)
            out->piece.bytes.at += n;
        out->piece.bytes.len -= n;
        size -= n;
        if (out->lead.len > 0 || out->piece.bytes.len > 0)
            return;
        c->first = out->next;
        c->outs--;
        if (!c->first)
            c->last = &c->first;
        out_free(out);
    }
}

/* libuv's buffers are not const, though it only reads them here. */
static uv_buf_t as_buf(struct str s)
{
    union {
        const char *in;
        char *out;
    } at = {.in = s.at};
    return uv_buf_init(at.out, (unsigned)s.len);
}

/* The front of the list, at most WRITE_MAX bytes; returns how many buffers. */
static unsigned gather(const struct conn *c, uv_buf_t *bufs, size_t *total)
{
    unsigned count = 0;
    *total = 0;
    for (const struct out *out = c->first; out && count + 2 <= PIECES_MAX; out = out->next) {
        struct str parts[2] = {out->lead, out->piece.bytes};
        for (int i = 0; i < 2; i++) {
            if (parts[i].len > WRITE_MAX - *total)
                parts[i].len = WRITE_MAX - *total;
            if (parts[i].len == 0)
                continue;
            bufs[count++] = as_buf(parts[i]);
            *total += parts[i].len;
        }
        if (*total == WRITE_MAX)
            break;
    }
    return count;
}

static void written(uv_write_t *write, int status);

/* Give the kernel what it takes; for the rest wait. */
static void flush(struct conn *c)
{
    uv_buf_t bufs[PIECES_MAX];
    size_t total = 0;
    if (c->writing || c->broken || !c->first)
        return;
    unsigned count = gather(c, bufs, &total);
    int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
    if (n > 0)
        written_off(c, (size_t)n);
    if (n >= 0 || n == UV_EAGAIN) {
        if (!c->first)
            return;
        count = gather(c, bufs, &total);
        n = uv_write(&c->write, (uv_stream_t *)&c->tcp, bufs, count, written);
        if (n == 0)
            c->writing = total;
    }
    if (n < 0) {
        c->broken = true;
        make_ready(c);
    }
}

/* What the client's machine has acknowledged. */
static uint64_t acknowledged(const struct conn *c)
{
    uint64_t sent = c->given;
    if (c->writing)
        sent += c->writing - c->tcp.write_queue_size;
#ifdef __linux__
    uv_os_fd_t fd;
    int waiting = 0;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 && ioctl(fd, TIOCOUTQ, &waiting) == 0)
        sent -= (uint64_t)waiting < sent ? (uint64_t)waiting : sent;
#endif
    return sent;
}

static void queue(struct conn *c, struct str lead, struct http_piece piece)
{
    struct out *out = malloc(sizeof *out + lead.len);
    if (!out)
        abort();
    if (lead.len)
        memcpy(out->store, lead.at, lead.len);
    *out = (struct out){.lead = {out->store, lead.len}, .piece = piece};
    *c->last = out;
    c->last = &out->next;
    c->outs++;
    c->unsent += lead.len + piece.bytes.len;
}

/* Without a queue: try at once.  What was not taken is left in `lead` and
 * `pieces`, whose count is returned. */
static size_t send_now(struct conn *c, struct str *lead, struct http_piece *pieces, size_t count)
{
    uv_buf_t bufs[PIECES_MAX];
    unsigned n = 0;
    if (lead->len)
        bufs[n++] = as_buf(*lead);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].bytes.len)
            bufs[n++] = as_buf(pieces[i].bytes);
    if (n == 0)
        return count;
    int r = uv_try_write((uv_stream_t *)&c->tcp, bufs, n);
    if (r == UV_EAGAIN)
        r = 0;
    if (r < 0) {
        c->broken = true;
        make_ready(c);
        return count;
    }
    size_t sent = (size_t)r;
    c->given += sent;
    size_t part = sent < lead->len ? sent : lead->len;
    lead->at += part;
    lead->len -= part;
    sent -= part;
    size_t first = 0;
    for (; first < count && sent >= pieces[first].bytes.len; first++) {
        sent -= pieces[first].bytes.len;
        buf_unref(pieces[first].keep);
    }
    if (first < count && sent > 0) {
        pieces[first].bytes.at += sent;
        pieces[first].bytes.len -= sent;
    }
    for (size_t i = first; i < count && first > 0; i++)
        pieces[i - first] = pieces[i];
    return count - first;
}

void conn_send(struct conn *conn, struct str lead, const struct http_piece *pieces, size_t count,
               bool more)
{
    struct http_piece now_pieces[PIECES_MAX];
    if (conn->request) {
        conn->request->bytes_out += lead.len;
        for (size_t i = 0; i < count; i++)
            conn->request->bytes_out += pieces[i].bytes.len;
    }
    size_t large = 0;
    for (size_t i = 0; i < count; i++)
        large |= pieces[i].bytes.len > WRITE_MAX;
    if (!conn->first && !conn->broken && conn->state != CONN_CLOSED && !more && !large &&
        count < PIECES_MAX) {
        if (count)
            memcpy(now_pieces, pieces, count * sizeof *pieces);
        count = send_now(conn, &lead, now_pieces, count);
        pieces = now_pieces;
    }
    if (conn->broken || conn->state == CONN_CLOSED) {
        for (size_t i = 0; i < count; i++)
            buf_unref(pieces[i].keep);
        return;
    }
    if (lead.len > 0 && count == 0)
        queue(conn, lead, (struct http_piece){0});
    for (size_t i = 0; i < count; i++) {
        queue(conn, lead, pieces[i]);
        lead.len = 0;
    }
    if (!more || conn->unsent >= CORK)
        flush(conn);
    else
        make_ready(conn);
}

bool conn_full(const struct conn *conn)
{
    return conn->broken || conn->unsent + conn->outs * OUT_COST >= HTTP_WINDOW;
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
    if (good && f->host_count > 0 && !head_host_is(r->head.host, f->hosts, f->host_count))
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
    route_find(c->hub->server->routes, r->head.method, r->head.path, &r->match);
    const struct http_handler *handler = r->match.handler;
    if (!handler) {
        struct str allow = {r->match.allow, strlen(r->match.allow)};
        struct http_field field = {STR("Allow"), allow};
        if (allow.len)
            reply_refusal(r, 405, "Method Not Allowed", &field, 1);
        else
            reply_refusal(r, 404, "Not Found", NULL, 0);
        return;
    }
    if (f->before && !f->before(r)) {
        assert(r->replied);
        return;
    }
    r->handler = handler;
    r->body.discard = !handler->body;
    handler->begin(r);
}

/* After begin(): the body's turn. */
static void begun(struct conn *c, bool body_came)
{
    struct http_request *r = c->request;
    struct refusal why = {0};
    if (!r || c->state != CONN_BODY || r->replied)
        return;
    if (!body_fits(&r->body, &why)) {
        refuse(c, &why);
        return;
    }
    if (r->body.ended && !r->handler->body)
        c->state = CONN_REPLY;
    if (r->head.expects && !r->continued && !r->paused && !r->body.ended && !r->started) {
        r->continued = true;
        if (!body_came)
            conn_send(c, STR("HTTP/1.1 100 Continue\r\n\r\n"), NULL, 0, false);
    }
}

static bool take_head(struct conn *c, struct str *in, struct share *share)
{
    const struct http_config *f = config(c);
    const struct head_limits limits = {f->head_max, f->line_max, f->header_max, f->uri_max};
    struct refusal why = {0};
    if (in->len == 0)
        return false;
    if (share->requests == TURN_REQUESTS) {
        make_ready(c);
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
    begun(c, in->len > 0);
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
        make_ready(c);
        return false;
    }
    enum body_event event = BODY_END;
    if (!r->body.ended)
        event = body_next(&r->body, in, c->hub->read + CONN_READ_MAX, CONN_ROOM, &piece, &why);
    if (event == BODY_MORE)
        return false;
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
        if (!conn->taking) {
            begun(conn, false);
            make_ready(conn);
        }
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
        make_ready(conn);
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

static void written(uv_write_t *write, int status)
{
    struct conn *c = write->handle->data;
    size_t size = c->writing;
    c->writing = 0;
    if (c->state == CONN_CLOSED)
        return;
    if (status < 0) {
        lose(c, false);
        return;
    }
    written_off(c, size);
    flush(c);
    struct http_request *r = c->request;
    if (r && r->blocked && !r->gone && !c->broken && !conn_full(c)) {
        r->blocked = false;
        if (r->handler->drained)
            r->handler->drained(r);
    }
    settle(c);
    if (c->held.len > 0 && c->state == CONN_HEAD)
        make_ready(c);
    regulate(c);
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
    flush(conn);
    settle(conn);
    if (conn->state != CONN_CLOSED)
        take(conn, STR(""));
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_HEAD && !conn->head_begun && conn->held.len == 0)
        hang_up(conn, false);
}

/* Did `done` bytes within `took` ms keep up with the rate we ask for? */
static bool too_slow(const struct conn *c, uint64_t done, uint64_t took)
{
    return done < config(c)->body_rate * took / 1000 || done == 0;
}

/* Does the client read what it is sent? */
static void check_stall(struct conn *c, uint64_t time)
{
    if (c->unsent == 0 || c->state == CONN_CLOSED) {
        c->stall_at = 0;
        return;
    }
    bool first = c->stall_at == 0;
    if (!first && time - c->stall_at < config(c)->stall_ms)
        return;
    uint64_t taken = acknowledged(c);
    if (!first && too_slow(c, taken - c->stall_taken, time - c->stall_at)) {
        lose(c, true);
        return;
    }
    c->stall_at = time;
    c->stall_taken = taken;
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
        if (too_slow(conn, r->body.wire - conn->window_wire, time - conn->window_at)) {
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
    check_stall(conn, time);
}
