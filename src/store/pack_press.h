/* pack_press.h - blocks made into frames, by several threads when there are many.
 *
 * Whoever builds a pack fills one block after the other; frames are given back in
 * the same order.  Helpers are woken only when a further block is begun, so what is
 * one block is packed where it is.  A press is kept for the next pack: its memory
 * is there already.
 *
 * Threads  one builder at a time; `give` is called on its thread
 * Memory   PACK_BLOCK twice for each block under way, as far as it is used, and
 *          what a packer takes for each thread
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct frame_packer;
struct pack_press;

enum { PACK_HELPERS_MAX = 3 };

/* The frame of the next block, which had `size` bytes.  Not 0: it all ends with that. */
typedef int pack_give_fn(void *context, struct str frame, uint32_t crc, size_t size,
                         struct err *err);

/* `level` of zstd; at most PACK_HELPERS_MAX helpers, fewer when threads cannot be had. */
struct pack_press *pack_press_new(int level, unsigned helpers);
void pack_press_free(struct pack_press *press); /* NULL is fine */

/* For one pack.  After an error only pack_press_stop() may follow. */
void pack_press_start(struct pack_press *press, pack_give_fn *give, void *context);
/* A block to fill, of PACK_BLOCK bytes. */
int pack_press_block(struct pack_press *press, char **block, struct err *err);
/* So much is in it. */
void pack_press_end(struct pack_press *press, size_t filled);
/* All that is left to be given. */
int pack_press_finish(struct pack_press *press, struct err *err);
void pack_press_stop(struct pack_press *press); /* what was not given is dropped */

/* The builder's own packer, for what is no block. */
struct frame_packer *pack_press_packer(struct pack_press *press);
