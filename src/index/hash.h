/* hash.h - a seeded hash of bytes, for tables whose keys others choose.
 *
 * Nothing that is stored for longer than its seed may depend on it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

__extension__ typedef unsigned __int128 hash_wide;

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    hash_wide product = (hash_wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(uint64_t seed, const void *at, size_t len)
{
    const unsigned char *p = at;
    uint64_t h = hash_mix(seed ^ len, UINT64_C(0x9e3779b97f4a7c15));
    for (; len >= 8; p += 8, len -= 8)
        h = hash_mix(h ^ get_u64(p), UINT64_C(0xbf58476d1ce4e5b9) ^ seed);
    if (len > 0) {
        unsigned char rest[8] = {0};
        memcpy(rest, p, len);
        h = hash_mix(h ^ get_u64(rest), UINT64_C(0xbf58476d1ce4e5b9) ^ seed);
    }
    return hash_mix(h ^ seed, UINT64_C(0x94d049bb133111eb));
}
