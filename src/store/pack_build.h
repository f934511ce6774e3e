/* pack_build.h - runs made into a pack.
 *
 * Pure: the runs' bytes are asked for when their turn comes, the file's come out
 * one behind the other, and where they are from and go is the caller's business.
 * As many blocks are in memory as the press has at a time.
 *
 * Errors   ERR_CORRUPT the bytes of a run fail its check; those of `fetch` and `write`
 * Sources  docs/design/pack-format.md
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/uuid.h"

/* One run, with what its record says of it; views of what the caller keeps. */
struct pack_input {
    const char *entry; /* RECORD_ENTRY bytes, sound */
    struct str spans;
    uint32_t raw_len;
    uint64_t raw_at;    /* for the caller's `fetch` */
    struct str project; /* the bytes by which projects are told apart; may be empty */
    struct uuid id, trace;
    int64_t start_us;
    uint64_t sequence;
    int64_t received_us;
    uint32_t ordinal, first, count;
    uint16_t kind;
};

/* Bytes of the item it becomes. */
uint64_t pack_item_size(const struct pack_input *in);

/* `size` bytes of the run's object, from `from` on. */
typedef int pack_fetch_fn(void *context, const struct pack_input *in, size_t from, char *room,
                          size_t size, struct err *err);

/* The next bytes of the file; `made_of` are the bytes of the stream that went
 * into them.  Not 0: the building ends with that. */
typedef int pack_write_fn(void *context, struct str bytes, uint64_t made_of, struct err *err);

struct pack_press;

struct pack_build {
    struct pack_input **inputs; /* in any order; sorted here */
    uint32_t count;             /* at most PACK_RUNS_MAX */
    uint64_t number;            /* of the container */
    uint64_t id;                /* random */
    uint64_t previous_sequence, last_sequence;
    int64_t created_us;
    int level;                /* of zstd */
    struct pack_press *press; /* to be used, of that level; NULL: one is made for this pack */
    pack_fetch_fn *fetch;
    pack_write_fn *write;
    void *context;
};

int pack_build(const struct pack_build *build, struct err *err);
