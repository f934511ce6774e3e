/* view.h - a run put together from the layers that hold it, to be shown.
 *
 * Memory   views of the layers' bytes, of the row, and of the facts
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "base/uuid.h"
#include "run/merge.h"
#include "run/run.h"

struct facts;
struct stats;

struct view {
    struct uuid id, trace, parent; /* parent all zero: top level */
    struct uuid project;
    struct str project_name; /* as text, not JSON */
    int64_t start_us, end_us;
    enum run_type type;
    enum run_status status;
    uint64_t version;
    bool whole;                   /* it came whole, and no layer was added to it */
    struct str field[RUN_FIELDS]; /* its JSON as sent; at == NULL: nobody said */
    const struct facts *facts;    /* NULL: they were not asked for */
    struct str feedback_stats;    /* JSON; at == NULL: none, or not asked for */
    struct str s3_urls;           /* JSON; of its attachments; likewise */
    struct uuid share;            /* its token; all zero: likewise */
    const struct stats *totals;   /* of all runs of its trace; NULL: not asked for */
    struct str origin;            /* of links to us: http://host, or nothing */
};

/* Fill `field` from the holders and their runs, `runs[i]` being what holder i points to. */
void view_fill(struct view *view, const struct holder *holders, const struct run *runs,
               unsigned count);
