/* codec.h - gzip and zstd, as streams and for whole answers.
 *
 * Decoders take pieces of any size and give pieces of at most the size of the
 * caller's room, so a bomb can be stopped between two calls.
 *
 * Threads  a decoder or encoder belongs to one thread at a time
 * Errors   ERR_INVALID corrupt, cut short, or trailing bytes that are no frame;
 *          ERR_TOO_BIG a zstd window over 2^27
 * Sources  RFC 1952 (several members are one stream), RFC 8878
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD };

struct buf;
struct decoder;
struct encoder;

struct decoder *decoder_new(enum coding coding); /* gzip or zstd; aborts when out of memory */
void decoder_free(struct decoder *decoder);      /* NULL is fine */

/* Decode from the front of `*in` (which is advanced) into `room`; `*made` says
 * how many bytes came out.  Call again while it makes some or `in` is not
 * empty.  Empty frames and further members are part of the stream. */
int decoder_step(struct decoder *decoder, struct str *in, char *room, size_t size, size_t *made,
                 struct err *err);

/* The input is at its end: was the stream complete? */
int decoder_end(const struct decoder *decoder, struct err *err);

struct encoder *encoder_new(enum coding coding); /* gzip 1 or zstd 1: for answers on the fly */
void encoder_free(struct encoder *encoder);

/* Encode all of `in`; with `last` the stream is finished.  Returns one
 * reference to what came out (possibly empty), or NULL when memory is short. */
struct buf *encoder_step(struct encoder *encoder, struct str in, bool last);
