/* skeleton.h - a whole trace without its payloads (run/skeleton.h), from what the index knows.
 *
 * Threads  begun and done on op.loop
 * Memory   results are in `arena`; two pages of rows are there at a time
 * Errors   ERR_NOT_FOUND no run has this trace, ERR_BUSY, ERR_TIMEOUT its time is up
 *          (serve/query.h), and those of the index
 */
#pragma once

#include <stdbool.h>

#include "base/codec.h"
#include "base/str.h"
#include "base/uuid.h"
#include "loop/op.h"
#include "run/skeleton.h"
#include "serve/etag.h"
#include "serve/query.h"

struct serve;

struct serve_skeleton {
    struct op op;
    const struct serve *serve;
    struct uuid trace;
    enum coding coding;    /* in: of the answer, which is another one in another */
    const bool *left;      /* in: becomes true when nobody waits any more; NULL: never */
    struct str none_match; /* in: of If-None-Match; at == NULL: none */
    struct arena *arena;   /* in: lives until the answer was sent */

    struct skeleton *skeleton; /* out: closed */
    char etag[ETAG];
    bool not_modified;

    /* The journey's own. */
    size_t seen;       /* rows */
    struct err failed; /* while the next page was on its way */
    struct arena *page;
    struct serve_query rows;
};

void serve_skeleton(struct serve_skeleton *skeleton);
