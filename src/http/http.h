/* http.h - the door of the HTTP room: HTTP/1.0 and 1.1 over loops.
 *
 * A connection serves one request at a time.  A request's life:
 *
 *     begin()            the head is complete; routed; allowed by `before`
 *     body() ... last    decoded (gzip, zstd, chunked) and limited
 *     http_reply()       or http_start(), http_write() ..., http_finish()
 *
 * A handler may reply at any moment from begin() on; the rest of a body that
 * was not read is then discarded within bounds, or the connection is closed.
 * Whatever is wrong with the protocol itself (framing, limits, time-outs,
 * encodings, unknown paths and methods) is answered by this room, always as
 * {"detail":"<sentence>"}.
 *
 * Threads  everything about a request happens on its connection's loop; the
 *          server is opened and stopped by the main thread
 * Memory   the request and its arena live until the reply has been handed to
 *          the kernel, or, after gone(), until http_release().  An idle
 *          connection holds at most 8 KiB
 * Sources  RFC 9110, RFC 9112, RFC 8878, docs/design/http.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/str.h"

struct arena;
struct buf;
struct http_request;
struct http_server;
struct loop;

/* At most this much of a streamed reply waits for the client. */
enum { HTTP_WINDOW = 4 << 20 };

struct http_handler {
    void (*begin)(struct http_request *request);
    /* NULL: this handler takes no body; one that comes is discarded.  `piece`
     * is borrowed for the call; `last` comes exactly once unless the request
     * ended before. */
    void (*body)(struct http_request *request, struct str piece, bool last);
    /* After http_write(): less than HTTP_WINDOW is waiting.  NULL if never streaming. */
    void (*drained)(struct http_request *request);
    /* The request is over without the handler's doing: the client left or
     * stalled, or the body broke a rule and was answered.  End what is under
     * way, then call http_release(), now or later.  Not called once a reply was
     * complete (http_reply, http_finish, http_cut). */
    void (*gone)(struct http_request *request);
};

struct http_route {
    const char *method; /* "GET" serves HEAD too */
    const char *path;   /* "/runs/{}/inputs": {} matches one non-empty segment */
    const struct http_handler *handler;
};

struct http_outcome {        /* of one request, for logs and metrics */
    struct str method, path; /* as sent, cut to 1 KiB; hostile bytes possible in path */
    int status;              /* 0: the client left before any answer */
    uint64_t bytes_in, bytes_out, duration_us;
    uint64_t request_id; /* unique in this process */
};

struct http_config {
    const struct http_route *routes; /* a literal path wins over one with {} */
    size_t route_count;
    /* What a path may begin with, "/api": one of these, the first that fits, is left out
     * before it is routed. */
    const struct str *prefixes;
    size_t prefix_count;
    const char *not_found;   /* what an unknown path is told; NULL: "Not Found" */
    const char *not_allowed; /* and another method; NULL: "Method Not Allowed" */
    void *context;
    /* Called before routing's begin(); replies itself and returns false to refuse. NULL: all pass. */
    bool (*before)(struct http_request *request);
    void (*ended)(void *context, const struct http_outcome *outcome); /* NULL: nobody asks */

    struct str *hosts;         /* Host names that are served (no port); others get 421 */
    size_t host_count;         /* 0: every name is */
    size_t wire_max, body_max; /* bytes of a body as sent and decoded: 413 */
    size_t head_max, line_max, header_max, uri_max;     /* 64 KiB, 16 KiB, 100, 8 KiB: 431, 414 */
    unsigned ratio_max;                                 /* decoded:wire, above 1 MiB decoded: 413 */
    unsigned head_ms, idle_ms, stall_ms, body_grace_ms; /* 10 s, 75 s, 30 s, 10 s */
    unsigned body_rate;       /* bytes a second that a body must bring after the grace: 1024 */
    unsigned connections_max; /* more are accepted late: the listener waits */
};

/* Listen on host:port (port 0: any free one) and hand the connections to
 * `loops` in turn.  Call before the loops run.  `host` is an address, not a name. */
int http_open(const struct http_config *config, struct loop **loops, size_t loop_count,
              struct str host, unsigned port, struct http_server **result, struct err *err);
unsigned http_port(const struct http_server *server);

/* Stop listening; close idle connections; let requests under way finish, with
 * "Connection: close", for at most grace_ms; then `done` once, on loops[0].
 * Any thread. */
void http_stop(struct http_server *server, unsigned grace_ms, void (*done)(void *context),
               void *context);
void http_close(struct http_server *server); /* after the loops have ended; NULL is fine */

/* ---- a request, from begin() on ---- */
struct loop *http_loop(const struct http_request *request);
struct arena *http_arena(struct http_request *request);
void *http_context(const struct http_request *request); /* http_config.context */
void **http_slot(struct http_request *request);         /* the handler's own pointer; starts NULL */
struct str http_method(const struct http_request *request); /* "HEAD" stays "HEAD" */
struct str http_path(const struct http_request *request);   /* without prefix and query */
struct str http_query(const struct http_request *request);  /* after the `?`, as sent */
struct str http_part(const struct http_request *request,
                     unsigned n); /* what the n-th {} matched, as sent */
/* Value of a header, trimmed; several are joined with ", "; at == NULL when absent. */
struct str http_header(struct http_request *request, struct str lower_case_name);
uint64_t http_request_id(const struct http_request *request);
uint64_t http_body_size(const struct http_request *request); /* Content-Length, or 0 when unknown */

/* The best coding this client takes, of those `offered` has a bit for
 * (1 << CODING_GZIP | 1 << CODING_ZSTD); q-values are honoured, zstd wins ties. */
enum coding http_accepts(struct http_request *request, unsigned offered);

/* A smaller limit for this body than the server's: beyond it 413. */
void http_limit_body(struct http_request *request, size_t max);

/* Another handler serves this request from now on: its begin(), and, unless that answered,
 * its body() with `piece`, which may be the first with anything in it.  The slot is the
 * new one's, NULL.  For a handler that learns only from the body whose request it is. */
void http_hand_over(struct http_request *request, const struct http_handler *handler,
                    struct str piece, bool last);

/* Stop and resume reading this request's body.  body() may still come once
 * more after http_pause() with what was already decoded. */
void http_pause(struct http_request *request);
void http_resume(struct http_request *request);

/* ---- the answer ---- */
struct http_field {
    struct str name, value; /* no CR, LF or NUL; Content-Length and Connection are ours */
};

struct http_piece {
    struct buf *keep; /* one reference, taken over; NULL: `bytes` are static */
    struct str bytes;
};

/* Answer whole.  Pieces are sent without copying.  A HEAD request gets the
 * head with this length and no body; 304 and 204 get no body. */
void http_reply(struct http_request *request, int status, const struct http_field *fields,
                size_t field_count, const struct http_piece *pieces, size_t piece_count);

/* {"detail":"<sentence>"} with that status; adds Retry-After: 1 to 429 and 503. */
void http_fail(struct http_request *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Answer in parts, chunked (to HTTP/1.0: until the connection closes). */
void http_start(struct http_request *request, int status, const struct http_field *fields,
                size_t field_count);
/* False when HTTP_WINDOW is full: wait for drained() before writing more. */
bool http_write(struct http_request *request, struct http_piece piece);
void http_finish(struct http_request *request);
void http_cut(struct http_request *request); /* end without the end: the client must notice */

void http_release(struct http_request *request); /* after gone(), exactly once */
