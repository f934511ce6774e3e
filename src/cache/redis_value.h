/* redis_value.h - a value as Redis keeps it: a head, then the bytes.
 *
 *     offset  size  what (little endian)
 *          0     4  magic "RUN$"
 *          4     4  version of this layout: 1
 *          8     8  version of the row that the value was made from
 *         16     4  length of the bytes
 *         20     4  length of the key
 *         24    16  checksum: XXH3-128 of the 24 bytes above, the key and the bytes,
 *                   with a secret
 *
 * The checksum tells what another deployment wrote, what belongs to another key,
 * and what was damaged.  XXH3 is no signature: who can read and write Redis and
 * sets out to forge values is kept away by Redis' own password and network.
 *
 * Sources  docs/design/cache.md; https://github.com/Cyan4973/xxHash, XXH3
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { REDIS_VALUE_HEAD = 40, REDIS_VALUE_SECRET = 192 };

/* XXH3 wants 136 bytes or more that look random: stretched from any string. */
void redis_value_secret(const char *from, unsigned char secret[REDIS_VALUE_SECRET]);

void redis_value_head(const unsigned char secret[REDIS_VALUE_SECRET], struct str key,
                      uint64_t version, struct str bytes, unsigned char head[REDIS_VALUE_HEAD]);

enum redis_value {
    REDIS_VALUE_GOOD,
    REDIS_VALUE_OTHER, /* of another version of the row */
    REDIS_VALUE_BAD
};
enum redis_value redis_value_check(const unsigned char secret[REDIS_VALUE_SECRET], struct str key,
                                   uint64_t version, struct str bytes,
                                   const unsigned char head[REDIS_VALUE_HEAD]);
