/* bad_disk.h - a disk that fails at the call of your choice.
 *
 * The plan is one for the process: set it, act, look at the counts, and set it
 * to zero again.  Only one thread may use it at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/disk.h"

enum bad_call {
    BAD_NONE,
    BAD_OPEN,
    BAD_PREAD,
    BAD_PWRITEV,
    BAD_FDATASYNC,
    BAD_FSYNC,
    BAD_FTRUNCATE,
    BAD_FALLOCATE,
    BAD_FSTAT,
    BAD_FSTATVFS,
    BAD_LINK,
    BAD_RENAME,
    BAD_UNLINK,
    BAD_MKDIR,
    BAD_CALLS
};

struct bad_disk_plan {
    enum bad_call call;   /* which fails */
    int fails_at;         /* its n-th call, 1 is the first; 0 never */
    bool and_then_always; /* and all after it */
    int sys;              /* errno of the failure; 0: EIO */
    enum bad_call second; /* one more that fails, always, once the first has failed */

    size_t short_io;     /* most bytes one read or write does; 0 for no limit */
    bool interrupted;    /* every other call that may be is: EINTR */
    bool no_sync;        /* syncs are only counted: for tests of many thousand states */
    bool limited;        /* the file system has so many bytes free: */
    uint64_t free_bytes; /* what fstatvfs says */

    int calls[BAD_CALLS]; /* counted, also those that failed */
    bool failed;          /* the failure has happened */
};

extern struct bad_disk_plan bad_disk_plan;
extern const struct disk bad_disk;
