/* gather.h - layers on their way in: read while they arrive, judged as one.
 *
 * The sister of batch.h, for what the LangSmith SDKs send.  Feed the body piece by piece;
 * at the end there is a record of layers (RUN_POST, RUN_PATCH), attachments and feedback,
 * or the request is refused as a whole with the first reason, and nothing of it is kept.
 *
 * Bytes    are kept as they came.  An entry's run->raw goes from the first byte of its
 *          object to the last of its last field part; what stands between, nobody reads.
 *          Of fields that do not follow each other, and of those with a NaN or an infinity
 *          in them (which become null), a copy stands behind the body, without fields that
 *          nobody knows.  An attachment's raw is its name, its type and its bytes
 * Null     says nothing, and is not among run->present; of equal keys in an object, and of
 *          equal parts, the last one counts that says something
 * Ids      trace and parent that are not said are taken from the dotted order; trace is zero
 *          where neither says it, and the index's to find.  An attachment has trace and start
 *          of a layer of its run in the same body; else no trace, and the time it came
 * Threads  one at a time
 * Memory   the body, the entries and the facts, counted against `budget` as they come
 * Sources  the contract of the LangSmith SDKs: docs/langsmith.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "run/batch.h"
#include "run/record.h"

struct gather;

enum gather_kind {
    GATHER_MULTIPART, /* parts post.<id>, patch.<id>, their fields, attachments, feedback */
    GATHER_BATCH,     /* {"post":[...],"patch":[...]}: posts come first */
    GATHER_POST,      /* an object */
    GATHER_PATCH      /* an object, for the run `id` */
};

enum gather_state {
    GATHER_READING, /* feed more */
    GATHER_READY,   /* whole and good: see gather_record() */
    GATHER_REFUSED  /* see gather_refusal() */
};

enum {
    GATHER_COST = 24 << 10,      /* of the budget, for a request besides its bytes */
    GATHER_LAYER_COST = 2 << 10, /* likewise for each layer, attachment and feedback */
    GATHER_PARTS_MAX = 10000
};

struct gather_config {
    enum gather_kind kind;
    struct str boundary;               /* GATHER_MULTIPART: multipart_boundary() */
    struct uuid id;                    /* GATHER_PATCH */
    const struct batch_limits *limits; /* runs_max: of layers, attachments and feedback */
    struct budget *budget;
    struct spare *spare; /* may be NULL */
    int64_t received_us;
    size_t size_hint; /* may be 0 */
};

struct gather *gather_new(const struct gather_config *config); /* `config` is copied */
void gather_free(struct gather *gather); /* gives back to the budget; NULL is fine */

/* Anything but GATHER_READING is final. */
enum gather_state gather_feed(struct gather *gather, struct str piece, bool last);

size_t gather_count(const struct gather *gather);   /* entries seen so far, good or bad */
size_t gather_strange(const struct gather *gather); /* NaN and infinities seen */

/* GATHER_REFUSED: ERR_INVALID, ERR_TOO_BIG, ERR_BUSY; the text names the place. */
const struct err *gather_refusal(const struct gather *gather);

/* GATHER_READY; until gather_free().  It may have no entries: nothing was sent. */
const struct record *gather_record(const struct gather *gather);
