/* filter_seen.c - long values of metadata, as filters see them; see filter.h. */
#include <assert.h>
#include <xxhash.h>

#include "run/filter.h"

enum {
    SIX_BITS = 11,       /* of a hash of 64 bits */
    TAIL = 3 + SIX_BITS, /* the mark and the hash */
    HEAD = 32            /* bytes of the beginning that stay, so that it can be searched */
};

static const struct str mark = {"\xe2\x80\xa6", 3}; /* U+2026, an ellipsis */

static char *write_hash(char *out, uint64_t hash)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned i = 0; i < SIX_BITS; i++, hash >>= 6)
        *out++ = digits[hash & 63];
    return out;
}

struct str filter_seen(struct str value, char room[FILTER_SEEN_MAX])
{
    static_assert(HEAD + TAIL <= FILTER_SEEN_MAX, "it fits");
    if (value.len <= FILTER_SEEN_MAX)
        return value;
    size_t head = HEAD;
    while ((value.at[head] & 0xc0) == 0x80 && head > 0)
        head--;
    memcpy(room, value.at, head);
    memcpy(room + head, mark.at, mark.len);
    char *end = write_hash(room + head + mark.len, XXH3_64bits(value.at, value.len));
    return (struct str){room, (size_t)(end - room)};
}

bool filter_seen_whole(struct str seen)
{
    return seen.len < HEAD + TAIL - 3 || seen.len > HEAD + TAIL ||
           memcmp(seen.at + seen.len - TAIL, mark.at, mark.len) != 0;
}

struct str filter_seen_text(struct str seen)
{
    return filter_seen_whole(seen) ? seen : (struct str){seen.at, seen.len - TAIL};
}
