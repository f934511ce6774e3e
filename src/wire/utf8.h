/* utf8.h - which bytes are UTF-8.
 *
 * No overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Sources  RFC 3629; The Unicode Standard, table 3-7
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* What must follow a lead byte: the first byte after it within [low, high],
 * the others within [0x80, 0xbf]. */
struct utf8_rest {
    uint8_t count; /* 0: no multi-byte sequence begins with that byte */
    uint8_t low, high;
};

static inline struct utf8_rest utf8_rest(unsigned char lead)
{
    if (lead < 0xc2 || lead > 0xf4)
        return (struct utf8_rest){0, 0, 0};
    if (lead < 0xe0)
        return (struct utf8_rest){1, 0x80, 0xbf};
    if (lead < 0xf0)
        return (struct utf8_rest){2, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf};
    return (struct utf8_rest){3, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf};
}

/* The length of the multi-byte sequence at the start of `bytes`; 0 when there
 * is none, or when it does not end within `len`, which is at least 1. */
static inline size_t utf8_sequence(const unsigned char *bytes, size_t len)
{
    struct utf8_rest rest = utf8_rest(bytes[0]);
    if (rest.count == 0 || len <= rest.count || bytes[1] < rest.low || bytes[1] > rest.high)
        return 0;
    for (size_t i = 2; i <= rest.count; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return (size_t)rest.count + 1;
}

static inline bool utf8_valid(struct str s)
{
    const unsigned char *bytes = (const unsigned char *)s.at;
    for (size_t i = 0; i < s.len;) {
        size_t size = bytes[i] < 0x80 ? 1 : utf8_sequence(bytes + i, s.len - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}
