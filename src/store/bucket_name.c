/* bucket_name.c - see bucket_name.h. */
#include "store/bucket_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static const uint64_t SECOND_US = 1000000;

uint64_t bucket_number(uint64_t sequence, uint32_t random)
{
    return sequence << BUCKET_RANDOM | (random & ((1U << BUCKET_RANDOM) - 1));
}

uint64_t bucket_sequence(uint64_t number)
{
    return number >> BUCKET_RANDOM;
}

struct str bucket_hour(uint64_t sequence, char room[BUCKET_NAME])
{
    time_t seconds = (time_t)(sequence / SECOND_US);
    struct tm tm;
    gmtime_r(&seconds, &tm); /* 54 bits of microseconds end in the year 2540 */
    size_t len = strftime(room, BUCKET_NAME, "v1/%Y%m%d/%H/", &tm);
    return (struct str){room, len};
}

struct str bucket_name(uint64_t number, char room[BUCKET_NAME])
{
    struct str hour = bucket_hour(bucket_sequence(number), room);
    int len = snprintf(room + hour.len, BUCKET_NAME - hour.len, "%02x/%016" PRIx64 ".pack",
                       (unsigned)(number & 0xff), number);
    return (struct str){room, hour.len + (size_t)len};
}

bool bucket_named(struct str name, uint64_t *number)
{
    enum { DIGITS = 16 };
    static const struct str ending = {".pack", 5};
    char room[BUCKET_NAME];
    uint64_t n = 0;
    if (name.len < DIGITS + ending.len)
        return false;
    const char *at = name.at + name.len - ending.len - DIGITS;
    for (int i = 0; i < DIGITS; i++) {
        char c = at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        n = n << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (!str_eq(bucket_name(n, room), name)) /* also the day and the hour */
        return false;
    *number = n;
    return true;
}

struct err bucket_error(struct err err)
{
    if (err.code == ERR_DENIED || err.code == ERR_INVALID || err.code == ERR_NOT_FOUND)
        err.code = ERR_UNAVAILABLE;
    return err;
}
