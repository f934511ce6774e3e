/* body.h - a request's body: where it ends, and what it unpacks to.
 *
 * Pure: bytes in, pieces out, however the bytes were cut.  Nothing is kept
 * but a few counters and, for a packed body, the decoder.
 *
 * Sources  RFC 9112 sections 6 and 7, codec.h
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "http/head.h"

/* ---- the chunked coding ---- */

enum chunks_state { CHUNKS_MORE, CHUNKS_DATA, CHUNKS_END, CHUNKS_BAD };

struct chunks {          /* all zeros to start */
    uint64_t left;       /* bytes of payload that come next; the caller counts them down */
    unsigned char state; /* enum step in body.c */
    unsigned char digits;
    unsigned extra; /* bytes of this chunk's extensions, or of all trailers */
};

/* Run over framing at the front of `*in` (advanced): up to payload
 * (CHUNKS_DATA; `left` bytes of it), to the body's end, or to a fault. */
enum chunks_state chunks_scan(struct chunks *chunks, struct str *in);

/* ---- the body ---- */

struct body_limits {
    size_t wire_max, body_max; /* as in http_config */
    unsigned ratio_max;
};

struct body {
    struct body_limits limits;
    enum coding coding;
    bool chunked, ended;
    bool discard;            /* nobody wants the pieces: do not unpack them */
    bool inside;             /* the decoder may hold output it had no room for */
    struct chunks chunks;    /* its `left` serves bodies of a known length too */
    struct decoder *decoder; /* NULL until the first byte of a packed body */
    uint64_t wire, decoded;  /* bytes so far; `wire` with the framing */
};

enum body_event {
    BODY_MORE,  /* input is wanted */
    BODY_PIECE, /* a piece */
    BODY_LAST,  /* a piece, after which the body has ended */
    BODY_END,   /* the body has ended; no piece */
    BODY_FAILED
};

void body_open(struct body *body, const struct head *head, const struct body_limits *limits);
void body_close(struct body *body);

/* Do the sizes that were announced fit? */
bool body_fits(const struct body *body, struct refusal *why);

/* The next thing in `*in` (advanced over what was used).  A piece lies in `in`
 * or in `room`.  Not called again once the body has ended or failed. */
enum body_event body_next(struct body *body, struct str *in, char *room, size_t size,
                          struct str *piece, struct refusal *why);
