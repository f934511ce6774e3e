/* output.c - what a connection sends, and what waits to be sent.
 *
 * A reply is offered to the kernel at once, its head and pieces in one writev,
 * and mostly that is all.  What is not taken waits in a list, in order; libuv
 * has one write of it at a time, so it tells when there is room again.  Parts
 * of a stream are gathered until there are CORK bytes or the turn ends.
 *
 * A list item does not move while it waits, since libuv points into it.  Whole
 * replies are as large as their handler made them; streams are bounded by
 * HTTP_WINDOW, against which a waiting piece counts more than its bytes.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/buf.h"
#include "http/conn.h"

enum {
    CORK = 64 << 10,
    WRITE_MAX = 1 << 20,
    PIECES_MAX = 64, /* in one writev */
    OUT_COST = 128   /* bytes, besides its own, that a waiting piece counts */
};

struct out {
    struct out *next;
    struct str lead;         /* in `store` */
    struct http_piece piece; /* goes after it */
    char store[];
};

static void out_free(struct out *out)
{
    buf_unref(out->piece.keep);
    free(out);
}

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

static void written(uv_write_t *write, int status)
{
    struct conn *c = write->handle->data;
    size_t size = c->writing;
    c->writing = 0;
    if (c->state == CONN_CLOSED)
        return;
    if (status >= 0) {
        written_off(c, size);
        output_flush(c);
    }
    conn_written(c, status >= 0);
}

void output_flush(struct conn *c)
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
        conn_ready(c);
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

static void enqueue(struct conn *c, struct str lead, struct http_piece piece)
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
        conn_ready(c);
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
        enqueue(conn, lead, (struct http_piece){0});
    for (size_t i = 0; i < count; i++) {
        if (lead.len == 0 && pieces[i].bytes.len == 0) {
            buf_unref(pieces[i].keep);
            continue;
        }
        enqueue(conn, lead, pieces[i]);
        lead.len = 0;
    }
    if (!more || conn->unsent >= CORK)
        output_flush(conn);
    else
        conn_ready(conn);
}

bool conn_full(const struct conn *conn)
{
    return conn->broken || conn->unsent + conn->outs * OUT_COST >= HTTP_WINDOW;
}

void output_free(struct conn *conn)
{
    for (struct out *out = conn->first, *next; out; out = next) {
        next = out->next;
        out_free(out);
    }
    conn->first = NULL;
}

/* Does the client not read what it is sent? */
bool output_stalled(struct conn *conn, uint64_t now)
{
    if (conn->unsent == 0) {
        conn->stall_at = 0;
        return false;
    }
    bool first = conn->stall_at == 0;
    uint64_t took = now - conn->stall_at;
    if (!first && took < conn->hub->server->config.stall_ms)
        return false;
    uint64_t taken = acknowledged(conn);
    if (!first && conn_too_slow(conn, taken - conn->stall_taken, took))
        return true;
    conn->stall_at = now;
    conn->stall_taken = taken;
    return false;
}
