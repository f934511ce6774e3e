/* request.h - one request, as the files of this room see it.
 *
 * A request is made when its head is complete.  It ends in one of two ways:
 * the connection lets go of it (answered and written, or lost), or, when its
 * handler was told gone(), it waits for http_release() as well.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/body.h"
#include "http/head.h"
#include "http/http.h"
#include "http/route.h"

struct arena;
struct conn;
struct hub;
struct text;

struct http_request {
    struct conn *conn; /* NULL when the connection has let go of it */
    struct hub *holds; /* then, until released: its loop does not end before */
    struct loop *loop;
    void *context;
    const struct http_handler *handler; /* NULL before begin() */
    struct arena *arena;                /* NULL until asked for */
    void *slot;
    struct http_request *next; /* on the hub's list of requests that are over */
    uint64_t id, bytes_in, bytes_out;
    int64_t started_us;
    int status;
    bool started;   /* http_start() was called */
    bool replied;   /* the reply is complete, though perhaps not written */
    bool keep;      /* the reply says that the connection stays */
    bool bare;      /* the reply has no body: HEAD, 204, 304 */
    bool chunked;   /* the reply is in chunks */
    bool open;      /* a chunk was written: its CR LF comes before the next */
    bool blocked;   /* http_write() said false */
    bool paused;    /* the handler wants no more of the body for now */
    bool continued; /* 100 Continue was sent */
    bool gone;      /* the handler was told; what it still calls does nothing */
    bool released;
    struct str path; /* what was routed */
    struct route_match match;
    struct head head;
    struct body body;
    struct head_field fields[]; /* the head's, and after them its bytes */
};

/* `head` is copied; `copy` says where to.  All else is zero. */
struct http_request *request_new(struct str head, size_t fields, char **copy);
void request_free(struct http_request *request);

/* ---- reply.c ---- */

struct date { /* the Date header of the current second */
    int64_t second;
    char text[32];
};

/* As http_reply(), whether or not the handler is gone. */
void reply_refusal(struct http_request *request, int status, const char *sentence,
                   const struct http_field *fields, size_t field_count);

/* ---- what a connection (conn.c) does for a reply ---- */

bool conn_keeps(struct conn *conn);           /* may the connection stay after this reply? */
struct text *conn_scratch(struct conn *conn); /* empty; until the next call */
struct date *conn_date(struct conn *conn);

/* Send `lead` (copied if need be), then the pieces (references taken over).
 * With `more` it may wait for company until this turn of the loop ends. */
void conn_send(struct conn *conn, struct str lead, const struct http_piece *pieces, size_t count,
               bool more);
bool conn_full(const struct conn *conn); /* HTTP_WINDOW is waiting, or the client is gone */
void conn_replied(struct conn *conn);    /* that was all */
void conn_cut(struct conn *conn);
void conn_resume(struct conn *conn); /* request->paused has changed */
