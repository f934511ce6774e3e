/* uuid.c - see uuid.h.
 *
 * Version 7 as RFC 9562 section 6.2 method 3 allows: 48 bits of milliseconds,
 * then 12 bits of the fraction of a millisecond (each microsecond is at least
 * four of its steps), then 62 random bits.  A source hands out each microsecond
 * once, so its ids grow strictly; in a burst it runs ahead of the clock by one
 * microsecond an id, until the clock has caught up.
 */
#include "base/uuid.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "base/log.h"

enum { V7_TIME_BITS = 48 };

/* What a digit is, and one more; 0: it is none.  Which of them comes cannot be foreseen, so
 * comparing would cost a wrong guess for every other digit. */
static const uint8_t digit[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

static bool starts_with_urn(struct str text)
{
    static const char urn[] = "urn:uuid:";
    if (text.len < sizeof urn - 1)
        return false;
    for (size_t i = 0; i < sizeof urn - 1; i++) {
        char c = text.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != urn[i])
            return false;
    }
    return true;
}

bool uuid_parse(struct str text, struct uuid *result)
{
    if (starts_with_urn(text)) {
        text.at += 9;
        text.len -= 9;
    } else if (text.len >= 2 && text.at[0] == '{' && text.at[text.len - 1] == '}') {
        text.at++;
        text.len -= 2;
    }
    bool dashed = text.len == UUID_TEXT;
    if (!dashed && text.len != 32)
        return false;

    struct uuid id;
    const char *p = text.at;
    for (size_t i = 0; i < sizeof id.byte; i++) {
        if (dashed && (i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        unsigned high = digit[(unsigned char)p[0]], low = digit[(unsigned char)p[1]];
        if (high == 0 || low == 0)
            return false;
        id.byte[i] = (uint8_t)((high - 1) << 4 | (low - 1));
        p += 2;
    }
    *result = id;
    return true;
}

void uuid_write(struct uuid id, char out[UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof id.byte; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[id.byte[i] >> 4];
        *out++ = digits[id.byte[i] & 15];
    }
}

/* Random bytes are fetched 512 at a time: one getrandom() costs 0.4 us (bench
 * machine), as much as everything else about an id ten times over. */
static void random_bytes(uint8_t *out, size_t size)
{
    static _Thread_local uint8_t pool[512];
    static _Thread_local size_t left;
    assert(size <= sizeof pool);
    if (left < size) {
        ssize_t n;
        do
            n = getrandom(pool, sizeof pool, 0);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof pool)
            fatal("no random bytes from the kernel: error %d", errno);
        left = sizeof pool;
    }
    left -= size;
    memcpy(out, pool + left, size);
}

struct uuid uuid_v7(struct uuid_source *source, int64_t now_us)
{
    uint64_t us = now_us > 0 ? (uint64_t)now_us : 0;
    if (us <= source->last_us)
        us = source->last_us + 1;
    source->last_us = us;

    uint64_t ms = us / 1000;
    uint64_t fraction = us % 1000 * 4096 / 1000;
    assert(ms < (uint64_t)1 << V7_TIME_BITS);
    struct uuid id;
    for (int i = 0; i < 6; i++)
        id.byte[i] = (uint8_t)(ms >> (V7_TIME_BITS - 8 - 8 * i));
    id.byte[6] = (uint8_t)(0x70 | fraction >> 8);
    id.byte[7] = (uint8_t)fraction;
    random_bytes(id.byte + 8, 8);
    id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 0x3f));
    return id;
}

struct uuid uuid_v4(void)
{
    struct uuid id;
    random_bytes(id.byte, sizeof id.byte);
    id.byte[6] = (uint8_t)(0x40 | (id.byte[6] & 0x0f));
    id.byte[8] = (uint8_t)(0x80 | (id.byte[8] & 0x3f));
    return id;
}
