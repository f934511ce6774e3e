/* frame.h - bytes to one zstd frame and back, from memory to memory.
 *
 * For what is stored: each frame has a content checksum, so what comes out is
 * what went in or an error.
 *
 * Threads  a packer or opener belongs to one thread at a time
 * Memory   about a megabyte each, while it lives
 * Sources  RFC 8878
 */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct frame_packer;
struct frame_opener;

struct frame_packer *frame_packer_new(int level);    /* aborts when out of memory, like the next */
void frame_packer_free(struct frame_packer *packer); /* NULL is fine */

size_t frame_bound(size_t size); /* no frame of `size` bytes is longer */

/* Into `room`, of at least frame_bound() bytes; returns the frame's length. */
size_t frame_pack(struct frame_packer *packer, struct str in, char *room);

struct frame_opener *frame_opener_new(void);
void frame_opener_free(struct frame_opener *opener); /* NULL is fine */

/* The first `size` bytes of what is in the frame.  ERR_CORRUPT: it is none, or
 * holds less; the checksum is looked at only when `size` is all of it. */
int frame_open(struct frame_opener *opener, struct str frame, char *room, size_t size,
               struct err *err);

/* Of the frame at the beginning of `bytes`: its length, and how much is in it.
 * 0 when there is none, or it does not say.  Nothing is unpacked. */
size_t frame_measure(struct str bytes, size_t *size);
