/* stream.h - bytes through an encoder, or none, to a client, a slice at a time.
 *
 * Encoding is slow work: after each slice the loop has its turn, and when the
 * client has enough waiting, nothing more is encoded until it took some.
 *
 * Threads  the request's loop
 * Memory   embedded by its owner, who keeps the bytes alive until `done`
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/codec.h"
#include "base/str.h"
#include "http/http.h"
#include "loop/op.h"

struct stream;

/* Everything given to stream_send() was written; not `whole`: memory was short,
 * and the answer cannot go on.  Not called within stream_send(). */
typedef void stream_done_fn(struct stream *stream, bool whole);

struct stream {
    struct http_request *request;
    struct encoder *encoder; /* NULL: they go out as they are, copied */
    stream_done_fn *done;
    const struct str *parts;
    size_t count, part, at; /* where it is */
    bool last;              /* the coding ends with these parts */
    bool turning;           /* an operation is on its way: done, or the next slice */
    struct op turn;
};

void stream_open(struct stream *stream, struct http_request *request, enum coding coding,
                 stream_done_fn *done);
void stream_close(struct stream *stream); /* also of one never opened */

/* Encode and write `parts`, which stay the caller's. */
void stream_send(struct stream *stream, const struct str *parts, size_t count, bool last);

/* Nobody is there any more: a turn on its way ends in `done`. */
void stream_stop(struct stream *stream);

void stream_drained(struct stream *stream); /* the handler's drained() */
