/* answer.h - the answer of an HTTP/1.1 server, read while it arrives.
 *
 * Bodies with a Content-Length or in chunks; interim (1xx) answers are passed
 * over.  Anything else, and anything unclear, is an error: the connection is
 * then of no use any more.
 *
 * Threads  one at a time
 * Sources  RFC 9112
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text.h"

enum {
    ANSWER_LINE_MAX = 16 << 10, /* bytes of a line of the head */
    ANSWER_LINES_MAX = 256,     /* of the head, of all chunks' trailers */
    ANSWER_BODY_MAX = 8 << 20   /* bytes of a body */
};

enum answer_state {
    ANSWER_MORE,  /* feed more */
    ANSWER_WHOLE, /* status and body are all here */
    ANSWER_BAD    /* see `what` */
};

struct answer {
    /* Read when it is whole. */
    int status;
    uint64_t retry_after_s; /* 0: not said, or not as a number */
    bool close;             /* the connection ends with this answer */
    struct text body;
    const char *what; /* ANSWER_BAD: a few words */

    /* The parser's own. */
    enum {
        ANSWER_STATUS,
        ANSWER_HEAD,
        ANSWER_SIZE,
        ANSWER_BYTES,
        ANSWER_CHUNK_END,
        ANSWER_TRAILER,
        ANSWER_DONE
    } part;
    struct text line;
    unsigned lines;
    bool sized, chunked;
    uint64_t left; /* bytes of the body, or of the chunk, that are still to come */
};

void answer_start(struct answer *answer); /* a fresh one, or one to be used again */
void answer_free(struct answer *answer);

/* `ended`: the server closed, nothing follows the piece. */
enum answer_state answer_feed(struct answer *answer, struct str piece, bool ended);
