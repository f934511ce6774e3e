/* postgres_part.h - in which partition a run's row lies.
 *
 * A pure function of the id, stored in every row: it may never change.
 */
#pragma once

#include <stdint.h>

#include "base/uuid.h"

enum {
    PART_DAY_FIRST = 18262, /* 2020-01-01, in days since 1970 */
    PART_DAY_END = 47847,   /* 2101-01-01 */
    PART_HASHES = 16        /* -16 .. -1 */
};

/* The UTC day of a UUIDv7 of 2020..2100, else minus one of sixteen. */
static inline int32_t part_of(struct uuid id)
{
    uint64_t day = (uuid_prefix(id) >> 16) / (UINT64_C(24) * 60 * 60 * 1000);
    if (id.byte[6] >> 4 == 7 && id.byte[8] >> 6 == 2 && day >= PART_DAY_FIRST && day < PART_DAY_END)
        return (int32_t)day;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (int i = 0; i < 16; i++)
        hash = (hash ^ id.byte[i]) * UINT64_C(0x100000001b3);
    return -1 - (int32_t)(hash >> 60);
}
