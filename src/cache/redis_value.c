/* redis_value.c - see redis_value.h. */
#define XXH_INLINE_ALL
#include "cache/redis_value.h"

#include <string.h>
#include <xxhash.h>

#include "base/bytes.h"

enum {
    MAGIC = 0x244e5552,
    LAYOUT = 1,
    CHECKED = 24 /* bytes of the head that the checksum is of */
};

_Static_assert(REDIS_VALUE_SECRET >= XXH3_SECRET_SIZE_MIN, "XXH3 takes no shorter secret");

void redis_value_secret(const char *from, unsigned char secret[REDIS_VALUE_SECRET])
{
    for (unsigned i = 0; i < REDIS_VALUE_SECRET / 16; i++) {
        XXH128_hash_t h = XXH3_128bits_withSeed(from, strlen(from), i);
        put_u64(secret + (size_t)16 * i, h.low64);
        put_u64(secret + (size_t)16 * i + 8, h.high64);
    }
}

void redis_value_head(const unsigned char secret[REDIS_VALUE_SECRET], struct str key,
                      uint64_t version, struct str bytes, unsigned char head[REDIS_VALUE_HEAD])
{
    put_u32(head, MAGIC);
    put_u32(head + 4, LAYOUT);
    put_u64(head + 8, version);
    put_u32(head + 16, (uint32_t)bytes.len);
    put_u32(head + 20, (uint32_t)key.len);

    XXH3_state_t state;
    XXH3_128bits_reset_withSecret(&state, secret, REDIS_VALUE_SECRET);
    XXH3_128bits_update(&state, head, CHECKED);
    XXH3_128bits_update(&state, key.at, key.len);
    XXH3_128bits_update(&state, bytes.at, bytes.len);
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    put_u64(head + CHECKED, h.low64);
    put_u64(head + CHECKED + 8, h.high64);
}

enum redis_value redis_value_check(const unsigned char secret[REDIS_VALUE_SECRET], struct str key,
                                   uint64_t version, struct str bytes,
                                   const unsigned char head[REDIS_VALUE_HEAD])
{
    unsigned char right[REDIS_VALUE_HEAD];
    if (get_u32(head) != MAGIC || get_u32(head + 4) != LAYOUT)
        return REDIS_VALUE_BAD;
    uint64_t found = get_u64(head + 8);
    redis_value_head(secret, key, found, bytes, right);
    if (memcmp(head, right, sizeof right) != 0)
        return REDIS_VALUE_BAD;
    return found == version ? REDIS_VALUE_GOOD : REDIS_VALUE_OTHER;
}
