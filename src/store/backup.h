/* backup.h - the containers of one data directory, copied to another.
 *
 * The copy has the layout of a data directory, and is one.  Containers are
 * copied in the order of their numbers, each under a temporary name that is
 * synced and read back before it gets its own; so whenever it stops, what is
 * there is sound, and the log up to some moment.  What is there already is not
 * copied again.  Another process may write `from` all the while.
 *
 * Threads  one for a `to`, whose lock the caller holds; blocks for long
 * Errors   ERR_CONFLICT `to` holds what is not of `from`: nothing was copied;
 *          ERR_FULL, ERR_IO, ERR_BUSY not to the end; ERR_NOT_FOUND `from` is
 *          no data directory.  Damage in `from` is told, and no error
 * Sources  docs/design/durability.md, Backup
 */
#pragma once

#include <stdint.h>

#include "base/disk.h"
#include "base/str.h"

struct backup {
    const struct disk *disk;
    struct str from, to; /* data directories; both exist */
    /* Told of what is damaged in `from`, file by file. */
    void (*damaged)(void *context, struct str file, uint64_t offset, const char *why);
    void (*progress)(void *context, const struct backup *backup); /* now and then; or NULL */
    void *context;

    /* out: also while it goes on */
    uint64_t of;            /* how many containers `from` has */
    uint64_t copied, kept;  /* containers that `to` has now: from this copying, from before */
    uint64_t bytes;         /* copied */
    uint64_t last_sequence; /* of the last record that `to` has */
    uint64_t damage;        /* how often `damaged` was called */
};

int backup_make(struct backup *backup, struct err *err);
