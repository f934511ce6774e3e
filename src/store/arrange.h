/* arrange.h - which containers there are when a log is opened, one file for each.
 *
 * What a killed process left is cleared away: parts of packs, and of a segment
 * and its pack one.
 *
 * Threads  one, with no other writer; with `read_only` beside one, and nothing
 *          is changed
 * Errors   ERR_IO, ERR_BUSY, ERR_UNAVAILABLE a pack of a newer program is in doubt
 * Sources  docs/design/durability.md, Sealing
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"
#include "store/containers.h"

struct arrange {
    const struct disk *disk;
    struct str segments, packs; /* directories; no packs: empty */
    bool read_only;

    struct containers list; /* out: each of them a segment or a pack; the caller's to free */
    uint64_t newest;        /* out: the greatest number; 0: there is none */
    uint64_t newest_pack;   /* out: of those that were packs, also if the segment was taken */
};

/* `left` is told of segments whose packs are taken, with the last sequence. */
typedef int arrange_left_fn(void *context, uint64_t number, uint64_t sequence, struct err *err);
int arrange(struct arrange *arrange, arrange_left_fn *left, void *context, struct err *err);

/* The sequence of the last record of a container as far as it can be read; 0:
 * there is none, or it is not there.  `*sure`: it had no more. */
int arrange_end(const struct arrange *arrange, const struct container *container,
                uint64_t *sequence, bool *sure, struct err *err);
