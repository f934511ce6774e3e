/* s3_upload.h - a large object, put in parts.
 *
 * Begun, several parts at once, a look whether the name is still free (not
 * every server honours If-None-Match when parts are put together), completed.
 * When any of it fails, what was sent is thrown away as well as that can be
 * done in a second; a bucket should have a rule that removes incomplete uploads.
 *
 * Threads  the client's loop
 */
#pragma once

#include "store/s3_exchange.h"

enum { S3_PART = 16 * 1024 * 1024 }; /* bytes of a part, unless there would be too many */

struct s3_upload {
    struct s3_client *client;
    const char *target; /* "/name" */
    const struct iovec *parts;
    size_t part_count;
    uint64_t size; /* bytes in all */
    bool persistent;
    unsigned deadline_ms;
    int64_t deadline_us;
    void *context;
    /* Once.  ERR_CONFLICT with `unknown`: what exists may be ours. */
    void (*ended)(void *context, const struct err *err, bool unknown);
};

/* Copies `ask`; what it points to is borrowed until it ended. */
void s3_upload_begin(const struct s3_upload *ask);
