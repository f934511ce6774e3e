/* range.c - see range.h. */
#include "api/range.h"

#include <stdbool.h>
#include <stdint.h>
#include <strings.h>

/* Digits from the front of `s`; false when there are none.  More than a file
 * could have bytes is all the same to us. */
static bool digits(struct str *s, uint64_t *value)
{
    size_t n = 0;
    *value = 0;
    while (n < s->len && s->at[n] >= '0' && s->at[n] <= '9') {
        if (*value < UINT64_MAX / 20)
            *value = *value * 10 + (uint64_t)(s->at[n] - '0');
        n++;
    }
    *s = (struct str){s->at + n, s->len - n};
    return n > 0;
}

enum range_kind range_parse(struct str header, size_t size, size_t *from, size_t *len)
{
    const size_t unit = sizeof "bytes=" - 1;
    if (header.len < unit || strncasecmp(header.at, "bytes=", unit) != 0)
        return RANGE_NONE;
    struct str s = {header.at + unit, header.len - unit};
    uint64_t first, last = UINT64_MAX;
    bool has_first = digits(&s, &first);
    if (s.len == 0 || s.at[0] != '-')
        return RANGE_NONE;
    s = (struct str){s.at + 1, s.len - 1};
    bool has_last = digits(&s, &last);
    if (s.len > 0 || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;

    if (!has_first) { /* the last so many bytes */
        if (last == 0 || size == 0)
            return RANGE_OUTSIDE;
        *len = last < size ? (size_t)last : size;
        *from = size - *len;
        return RANGE_PART;
    }
    if (first >= size)
        return RANGE_OUTSIDE;
    *from = (size_t)first;
    *len = has_last && last < size ? (size_t)(last - first + 1) : size - *from;
    return RANGE_PART;
}
