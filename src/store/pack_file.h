/* pack_file.h - a pack in a file, or in memory as far as it was fetched: opened,
 * its runs read, all of it checked.
 *
 * Threads  a `struct pack_file` may be read by any number at once; a scratch
 *          belongs to one thread.  Everything blocks
 * Errors   ERR_NOT_FOUND no such file, or no such run in it; ERR_CORRUPT, also
 *          what the medium cannot read; ERR_UNAVAILABLE a newer program is needed;
 *          ERR_BUSY no memory; ERR_IO
 * Sources  docs/design/pack-format.md, Damage
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"
#include "run/record.h"
#include "run/run.h"
#include "store/numbered.h"
#include "store/pack.h"

struct arena;

enum { PACK_PATH = NUMBERED_PATH };

/* Bytes of a pack that are here without a file. */
struct pack_held {
    uint64_t at; /* in the pack */
    struct str bytes;
};

struct pack_file {
    const struct disk *disk;
    int fd;
    uint64_t number; /* of the container; also its name */
    struct pack *pack;
    const struct pack_held *held; /* NULL: there is a file */
    size_t held_count;
};

/* "<dir>/<number>.pack"; `path` has room for PACK_PATH.  And is a name of that form? */
int pack_path(struct str dir, uint64_t number, char *path, struct err *err);
bool pack_named(const char *name, uint64_t *number);

enum pack_open {
    PACK_STRICT, /* one whose sections are damaged is ERR_CORRUPT */
    PACK_MEND,   /* they are made anew from the blocks then */
    PACK_REBUILD /* in any case */
};
int pack_file_open(const struct disk *disk, struct str dir, uint64_t number, enum pack_open how,
                   struct pack_file *result, struct err *err);
void pack_file_close(struct pack_file *file); /* one that was opened */

/* The same for one of `size` bytes that is held; to be mended, as one piece.  What
 * is held stays the caller's, until the pack was closed. */
int pack_file_hold(uint64_t number, const struct pack_held *held, size_t count, uint64_t size,
                   enum pack_open how, struct pack_file *result, struct err *err);

/* PACK_STRICT, for a file of `size` bytes that the caller has open, and keeps; or
 * for one whose last bytes, or all of them, are held. */
int pack_file_take(struct pack_file *file, uint64_t size, struct err *err);

/* Only what the head or, if that is damaged, the foot says. */
int pack_file_summary(const struct disk *disk, struct str dir, uint64_t number,
                      struct pack_summary *result, struct err *err);

/* Does the head say what the foot does?  Reading needs only the foot. */
int pack_file_head(const struct pack_file *file, struct err *err);

/* Load a further section, while nobody else uses the pack: one that is damaged
 * makes it be rebuilt. */
int pack_file_load(struct pack_file *file, enum pack_section_type type, struct err *err);

/* Is every byte of it what was written?  Everything is read, unpacked, compared
 * with its checksums and with what the items say.  `each` is told of every item,
 * in the order of the stream, and may end it; NULL is fine. */
typedef int pack_each_fn(void *context, const struct pack_item *item, struct err *err);
int pack_file_check(struct pack_file *file, pack_each_fn *each, void *context, struct err *err);

/* One run that is asked for. */
struct pack_wanted {
    uint32_t ordinal;
    size_t index; /* in the caller's list of runs */
};

/* Which bytes of the pack have the wanted runs?  The runs are loaded.  Ranges
 * over a gap of at most `gap` are joined, as long as one has at most `most`
 * bytes.  `*ranges` is in `arena`, ascending. */
struct pack_range {
    uint64_t at;
    size_t size;
};
int pack_file_plan(const struct pack_file *file, struct pack_wanted *wanted, size_t count,
                   size_t gap, size_t most, struct arena *arena, struct pack_range **ranges,
                   size_t *range_count, struct err *err);

/* Memory to read with, kept from one read to the next. */
struct pack_scratch;
struct pack_scratch *pack_scratch_new(void);
void pack_scratch_free(struct pack_scratch *scratch); /* NULL is fine */

/* Fill runs[wanted[i].index], verified; `wanted` is sorted here.  Pages and
 * blocks that are needed are read once, neighbours with one call.  `*mend`: it
 * is a section that is damaged; opened with PACK_REBUILD it may succeed. */
int pack_file_read(const struct pack_file *file, struct pack_scratch *scratch,
                   struct pack_wanted *wanted, size_t count, struct arena *arena, struct run *runs,
                   bool *mend, struct err *err);

/* `size` bytes of the stream from `at` on: one or many items, or part of one. */
int pack_file_part(const struct pack_file *file, struct pack_scratch *scratch, uint64_t at,
                   size_t size, char *room, struct err *err);
