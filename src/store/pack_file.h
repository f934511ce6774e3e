/* pack_file.h - a pack in a file: opened, its runs read, its records walked.
 *
 * Threads  a `struct pack_file` may be read by any number at once; a scratch and
 *          a walk belong to one thread.  Everything blocks
 * Errors   ERR_NOT_FOUND no such file, or no such run in it; ERR_CORRUPT;
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
#include "store/pack.h"

struct arena;

enum {
    PACK_NAME = 21,   /* letters of "0123456789abcdef.pack" */
    PACK_PATH = 4096, /* most bytes of a path, with its NUL */
};

struct pack_file {
    const struct disk *disk;
    int fd;
    uint64_t number; /* of the container; also its name */
    struct pack *pack;
};

/* "<dir>/<number>.pack"; `path` has room for PACK_PATH.  And is a name of that form? */
int pack_path(struct str dir, uint64_t number, char *path, struct err *err);
bool pack_named(const char *name, uint64_t *number);

/* With `strict` a pack whose sections are damaged is ERR_CORRUPT; else they are
 * made anew from the blocks. */
int pack_file_open(const struct disk *disk, struct str dir, uint64_t number, bool strict,
                   struct pack_file *result, struct err *err);
void pack_file_close(struct pack_file *file); /* one that was opened */

/* The same, strict, for a file of `size` bytes that the caller has open, and keeps. */
int pack_file_take(struct pack_file *file, uint64_t size, struct err *err);

/* Only what the head or, if that is damaged, the foot says. */
int pack_file_summary(const struct disk *disk, struct str dir, uint64_t number,
                      struct pack_summary *result, struct err *err);

/* Load a further section; one that is damaged makes the pack be rebuilt. */
int pack_file_load(struct pack_file *file, enum pack_section_type type, struct err *err);

/* Memory to read with, kept from one read to the next. */
struct pack_scratch;
struct pack_scratch *pack_scratch_new(void);
void pack_scratch_free(struct pack_scratch *scratch); /* NULL is fine */

/* One run that is asked for. */
struct pack_wanted {
    uint32_t ordinal;
    size_t index; /* in the caller's list of runs */
};

/* Fill runs[wanted[i].index], verified; `wanted` is sorted here.  Blocks that
 * are needed are read and unpacked once, neighbours with one call. */
int pack_file_read(const struct pack_file *file, struct pack_scratch *scratch,
                   struct pack_wanted *wanted, size_t count, struct arena *arena, struct run *runs,
                   struct err *err);

/* `size` bytes of the stream from `at` on: one or many items, or part of one. */
int pack_file_part(const struct pack_file *file, struct pack_scratch *scratch, uint64_t at,
                   size_t size, char *room, struct err *err);
