/* seal.h - a segment that is not written any more, made into a pack.
 *
 * The pack is written beside its final name, synced, read back and compared
 * with what the segment says, and only then given its name: what has that name
 * is whole, durable and right.
 *
 * Threads  any one at a time for a directory; blocks for long
 * Memory   a few blocks, and about half a kilobyte for each run
 * Errors   ERR_CORRUPT the segment is damaged: it stays as it is; ERR_FULL,
 *          ERR_IO, ERR_BUSY nothing is left behind, try later;
 *          ERR_UNAVAILABLE told to stop.  A failed
 *          sync ends the process
 * Sources  docs/design/durability.md, Sealing
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"

enum { SEAL_LEVEL = 3 /* of zstd */ };

struct seal {
    const struct disk *disk;
    struct str segments, packs; /* directories */
    int packs_fd;
    uint64_t number;       /* of the container */
    uint64_t end_sequence; /* the segment ends with this record, or is damaged; 0: not known */
    uint64_t keep_free;    /* bytes of the file system */

    /* Called as the work goes on, with the bytes done since the last call: a
     * quarter of the segment's as they are fetched, then all that are packed.
     * May sleep.  False: stop. */
    bool (*pace)(void *context, uint64_t bytes);
    void *context;

    uint64_t pack_size;     /* out: bytes of the file */
    uint64_t raw_size;      /* out: bytes of the runs */
    uint64_t last_sequence; /* out: of its last record */
};

int seal_segment(struct seal *seal, struct err *err);

/* "<dir>/<number>.tmp", what a killed one may leave; and is a name of that form? */
int seal_tmp_path(struct str dir, uint64_t number, char *path, struct err *err);
bool seal_tmp_named(const char *name);
