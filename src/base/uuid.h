/* uuid.h - 128-bit ids: read liberally, written one way.
 *
 * Sources  RFC 9562
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum { UUID_TEXT = 36 };

struct uuid {
    uint8_t byte[16];
};

/* 32 hex digits in either case; with dashes in the usual places or none; also
 * in braces or after "urn:uuid:".  Any version and variant. */
bool uuid_parse(struct str text, struct uuid *result);

/* Lower case, dashed; writes UUID_TEXT bytes, no NUL. */
void uuid_write(struct uuid id, char out[UUID_TEXT]);

/* UUIDv7 that grow: each is greater than the one before from the same source,
 * also within one microsecond and when the clock steps back. */
struct uuid_source {
    uint64_t last_us; /* start at 0 */
};
struct uuid uuid_v7(struct uuid_source *source, int64_t now_us);

/* UUIDv4: nothing of it can be guessed. */
struct uuid uuid_v4(void);

static inline int uuid_compare(struct uuid a, struct uuid b)
{
    return memcmp(a.byte, b.byte, sizeof a.byte);
}

/* The first eight bytes; in the same order as the ids. */
static inline uint64_t uuid_prefix(struct uuid id)
{
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++)
        prefix = prefix << 8 | id.byte[i];
    return prefix;
}

static inline bool uuid_is_zero(struct uuid id)
{
    static const struct uuid zero;
    return memcmp(id.byte, zero.byte, sizeof id.byte) == 0;
}
