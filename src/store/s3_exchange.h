/* s3_exchange.h - a request to a bucket, sent until it has an answer that counts.
 *
 * Again    after no connection, no answer, half an answer; 409, 429, 5xx but
 *          501 and 507; what the caller judges so.  With pauses that double from
 *          about 50 ms to a second, of random length so that nodes do not come
 *          back all at once.  An answer that makes no sense gets three tries
 * Not      after any other 4xx: it would be the same again
 * Waiting  a try is given up when nothing moved for a quarter of `deadline_ms`,
 *          or when it took twice that and a second for each MiB; all of it ends
 *          at the deadline.  That is for transfers that move: where nothing but
 *          tries came that brought none of the bytes - no connection, 5xx,
 *          silence - there are two, and others only for a third of it, 5 s at
 *          most: whoever waits for the answer would rather know
 * Threads  the client's loop
 */
#pragma once

#include "base/err.h"
#include "store/s3_client.h"

struct s3_exchange;
struct timer;

enum s3_verdict {
    S3_GOOD,
    S3_AGAIN, /* with err: why; and `unknown`, if it may have been done even so */
    S3_ODD,   /* with err: it makes no sense, but may the next time */
    S3_BAD    /* with err */
};

/* Look at an answer (request.status is its status, `error` what it says). */
typedef enum s3_verdict s3_judge_fn(struct s3_exchange *x);

struct s3_exchange {
    /* in */
    struct s3_request request; /* but for deadline_us, patience_ms and done */
    s3_judge_fn *judge;
    void (*ended)(struct s3_exchange *x); /* once, never inside the call */
    uint64_t expected;                    /* bytes of the answer */
    bool slow;       /* the server may have much to do first: half of the deadline, not a quarter */
    bool persistent; /* try again up to the deadline, though nothing moves: nobody waits */
    void (*failed_first)(struct s3_exchange *x); /* the first try was in vain; NULL is fine */
    unsigned deadline_ms;                        /* of the whole call */
    int64_t deadline_us;                         /* when that is */

    /* out; and in while it is sent: this exchange's place in what came before */
    bool unknown;   /* a try that changes something may have been carried out */
    struct err err; /* ERR_OK: it was judged good.  ERR_TIMEOUT: no answer, and unknown;
                       ERR_UNAVAILABLE: none, and it was not carried out */

    /* private */
    struct s3_client *client;
    struct timer *timer;
    struct s3_error error;
    unsigned tries, odd;
    unsigned vain;   /* tries since one that moved something */
    int64_t vain_us; /* when the first of them began */
    bool pausing;
};

void s3_exchange_begin(struct s3_client *client, struct s3_exchange *x);
void s3_exchange_cancel(struct s3_exchange *x); /* `ended` will not come */

/* What a status says by itself; 2xx is good. */
enum s3_verdict s3_judge_status(struct s3_exchange *x);

/* The same for an answer that should be a document: a 2xx may hold an error. */
enum s3_verdict s3_judge_document(struct s3_exchange *x);

/* Judge it so, and say why. */
enum s3_verdict s3_judged(struct s3_exchange *x, enum s3_verdict verdict, enum err_code code,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
