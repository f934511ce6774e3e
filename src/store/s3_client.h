/* s3_client.h - one loop's requests to a bucket: each sent once.
 *
 * libcurl does the talking, over connections that are kept; at most so many at
 * once, the rest waits in the order it came.  How many may wait is for the
 * caller to bound.
 *
 * Threads  its loop's; opened before the loop runs, closed after it ended
 * Memory   what a request points to is the caller's, until done
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/metric.h"
#include "base/text.h"
#include "store/s3_answer.h"
#include "store/s3_site.h"

struct loop;
struct s3_client;
struct s3_request;
struct s3_slot;

enum { S3_ETAG = 128, S3_REASON = 96 };

enum s3_method { S3_GET, S3_HEAD, S3_DELETE, S3_PUT, S3_POST };

/* A piece of the body of a 2xx, whose head is in the outputs already; `taken` is
 * what came before.  False ends the transfer, which is not a failure. */
typedef bool s3_take_fn(struct s3_request *request, const char *bytes, size_t size);

struct s3_request {
    /* in */
    enum s3_method method;
    enum s3_headers headers;
    enum metric counted;       /* as this */
    const char *target;        /* behind the site's base: "/name?query" */
    char range[48];            /* "0-9", "-10"; "": the whole */
    const struct iovec *parts; /* the body, of which `size` bytes from `skip` on are sent */
    size_t part_count;
    uint64_t skip, size;
    s3_take_fn *take;     /* NULL: all bodies go to `text` */
    size_t text_max;      /* bytes; there the transfer ends */
    int64_t deadline_us;  /* by clock_mono_us() */
    unsigned patience_ms; /* from the connection's turn on, at most */
    void (*done)(struct s3_request *request);

    /* out */
    int status;             /* of a whole answer; 0: there was none */
    char reason[S3_REASON]; /* then why */
    unsigned sent;          /* how often, for libcurl sends again when a kept connection was dead */
    bool waits;             /* for a connection */
    bool ended;             /* by take(), or at text_max */
    int64_t turn_us;        /* when its turn for a connection came, by clock_mono_us() */
    int64_t moved_us;       /* the last sign of life, by clock_mono_us() */
    int64_t length;         /* Content-Length, or -1 */
    uint64_t taken;         /* bytes that take() got */
    char content_range[64];
    char etag[S3_ETAG];
    char region[S3_REGION];
    struct text text; /* the body of what is no 2xx, or of all; freed by the caller */

    uint64_t left; /* bytes of the body not given to the connection yet */

    /* private */
    struct s3_slot *slot;
    struct s3_request *next;
    size_t part, part_at; /* where in `parts` reading is */
};

/* NULL when libcurl has no memory. */
struct s3_client *s3_client_open(const struct s3_site *site, struct loop *loop,
                                 unsigned connections);
void s3_client_close(struct s3_client *client); /* NULL is fine; with nothing under way */

/* `done` comes later, never inside the call. */
void s3_client_send(struct s3_client *client, struct s3_request *request);

/* Forget one that is under way: `done` will not come. */
void s3_client_cancel(struct s3_client *client, struct s3_request *request);

const struct s3_site *s3_client_site(const struct s3_client *client);
struct loop *s3_client_loop(const struct s3_client *client);
