/* make_pack.h - packs in memory, from batches of a test's choosing.
 *
 *     struct make_batch batches[] = {{.runs = specs, .count = 2, .first = 0, .sequence = 1}};
 *     struct made_pack *made = make_pack(7, batches, 1);
 *     ... made->file, made->runs ...
 *     made_pack_free(made);
 *
 * What must come back - made->runs - is decoded from the records that were
 * made, not from the pack.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "lib/make_record.h"
#include "run/run.h"
#include "store/pack_build.h"

struct make_batch {
    const struct make_run *runs;
    size_t count;
    uint32_t first; /* ordinal of its first run; batches ascend */
    uint64_t sequence;
    int64_t received_us;
};

/* A run, and what its item must say besides. */
struct packed_run {
    struct run run;
    const char *entry;
    uint32_t ordinal, first, count;
    uint64_t sequence;
    int64_t received_us;
    struct str project; /* with its quotes */
};

struct made_pack {
    struct text file;        /* its bytes */
    struct packed_run *runs; /* ascending by ordinal */
    uint32_t count;
    struct made_record **made; /* one for each batch */
    size_t batches;
};

struct made_pack *make_pack(uint64_t number, const struct make_batch *batches, size_t count);
void made_pack_free(struct made_pack *made); /* NULL is fine */

/* The inputs of pack_build() for them, all one heap block; raw_at is an address,
 * for make_pack_fetch(). */
struct pack_input **make_pack_inputs(const struct made_pack *made);
int make_pack_fetch(void *context, const struct pack_input *in, size_t from, char *room,
                    size_t size, struct err *err);

/* Are they the same, to the last byte? */
bool same_run(const struct run *a, const struct run *b);

/* `len` letters, digits and dashes that do not compress well, and a NUL. */
void make_noise(struct make_random *random, char *room, size_t len);
