/* split.h - a document of runs of any size, cut into portions that fit a batch.
 *
 * The document is a JSON array, or a value a line (NDJSON); its first byte
 * tells which.  It is validated while it comes; the bytes of its items are
 * never changed.  At any moment at most one portion and the item behind it are
 * in memory.
 *
 *     split_feed(); while ((event = split_next()) == SPLIT_PORTION) ...
 *
 * Threads  one at a time
 * Memory   a portion is valid until the next call
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "wire/json_scan.h"

struct split;

struct split_limits {
    size_t items_max;   /* of a portion */
    size_t portion_max; /* bytes of a portion, unless one item is larger */
    size_t item_max;    /* bytes to wait for an item's end */
};

/* Items that follow each other. */
struct portion {
    struct str bytes;             /* from the first item to the end of the last, as they came */
    bool lines;                   /* they are NDJSON; else commas are between them */
    uint64_t first;               /* number of the first item in the document, from 0 */
    const struct json_span *item; /* where each is in `bytes` */
    size_t count;
};

enum split_event {
    SPLIT_MORE,    /* feed more */
    SPLIT_PORTION, /* see `portion` */
    SPLIT_END,     /* `last` was set, and the document is complete */
    SPLIT_FAULT    /* see split_fault() */
};

struct split *split_new(const struct split_limits *limits);
void split_free(struct split *split); /* NULL is fine */

void split_feed(struct split *split, struct str piece);
enum split_event split_next(struct split *split, bool last, struct portion *portion);

/* After SPLIT_FAULT: a few words, the byte of the document, and the item. */
struct split_fault {
    const char *what;
    uint64_t offset, item;
};
struct split_fault split_fault(const struct split *split);

/* The portion of `count` items from the `first` of this one. */
struct portion portion_part(const struct portion *portion, size_t first, size_t count);
