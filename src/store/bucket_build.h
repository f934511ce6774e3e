/* bucket_build.h - records of a group made into a pack in memory.
 *
 * Threads  any; pure
 * Errors   those of pack_build()
 * Sources  docs/design/pack-format.md
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct pack_press;
struct spare;
struct store_record;

enum { BUCKET_LEVEL = 1 }; /* of zstd: clients are waiting */

/* One reference, the caller's.  All records are of the container `number`; the press
 * is of BUCKET_LEVEL.  The spare buffer is taken if it fits. */
int bucket_build(uint64_t number, const struct store_record *records, size_t count,
                 uint64_t previous_sequence, struct pack_press *press, struct spare *spare,
                 struct buf **result, struct err *err);
