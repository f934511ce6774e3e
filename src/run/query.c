/* query.c - see query.h.
 *
 * A cursor is 24 bytes, the start (big endian, so that cursors of one page
 * differ late and read alike) and the id, then a check sum of three bytes that
 * tells a cursor of ours from a mistyped one; all in base64url.
 */
#include "run/query.h"

#include "base/crc32c.h"

enum { CURSOR_BYTES = 27 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint32_t check_of(const unsigned char *bytes)
{
    return crc32c(0, bytes, CURSOR_BYTES - 3);
}

void query_cursor_write(const struct query_cursor *cursor, char out[QUERY_CURSOR_TEXT])
{
    unsigned char bytes[CURSOR_BYTES];
    uint64_t start = (uint64_t)cursor->start_us;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(start >> (56 - 8 * i));
    memcpy(bytes + 8, cursor->id.byte, 16);
    uint32_t check = check_of(bytes);
    for (int i = 0; i < 3; i++)
        bytes[24 + i] = (unsigned char)(check >> 8 * i);

    for (int i = 0; i < CURSOR_BYTES / 3; i++) {
        const unsigned char *p = bytes + 3 * i;
        unsigned three = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        for (int k = 0; k < 4; k++)
            out[4 * i + k] = alphabet[three >> (18 - 6 * k) & 63];
    }
}

bool query_cursor_parse(struct str text, struct query_cursor *result)
{
    unsigned char bytes[CURSOR_BYTES];
    if (text.len != QUERY_CURSOR_TEXT)
        return false;
    for (int i = 0; i < CURSOR_BYTES / 3; i++) {
        unsigned three = 0;
        for (int k = 0; k < 4; k++) {
            char c = text.at[4 * i + k];
            const char *found = c ? strchr(alphabet, c) : NULL;
            if (!found)
                return false;
            three = three << 6 | (unsigned)(found - alphabet);
        }
        bytes[3 * i] = (unsigned char)(three >> 16);
        bytes[3 * i + 1] = (unsigned char)(three >> 8);
        bytes[3 * i + 2] = (unsigned char)three;
    }
    uint32_t check = check_of(bytes);
    for (int i = 0; i < 3; i++)
        if (bytes[24 + i] != (unsigned char)(check >> 8 * i))
            return false;

    uint64_t start = 0;
    for (int i = 0; i < 8; i++)
        start = start << 8 | bytes[i];
    result->start_us = (int64_t)start;
    memcpy(result->id.byte, bytes + 8, 16);
    return true;
}
