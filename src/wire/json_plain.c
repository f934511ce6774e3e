/* json_plain.c - see json_plain.h.
 *
 * Outside of strings no valid JSON has an N or an I, so there one begins such a word.
 */
#include "wire/json_plain.h"

#include <stdbool.h>

/* The byte behind the string that begins at `at`. */
static size_t string_end(struct str s, size_t at)
{
    for (at++; s.at[at] != '"'; at++)
        if (s.at[at] == '\\')
            at++;
    return at + 1;
}

/* The next byte that begins a string or such a word, or the end. */
static size_t next_stop(struct str s, size_t at)
{
    while (at < s.len && s.at[at] != '"' && s.at[at] != 'N' && s.at[at] != 'I')
        at++;
    return at;
}

size_t json_plain(struct str lax, char *out)
{
    size_t len = 0;
    for (size_t at = 0; at < lax.len;) {
        size_t stop = next_stop(lax, at);
        bool word = stop < lax.len && lax.at[stop] != '"';
        size_t end = word || stop == lax.len ? stop : string_end(lax, stop);
        memcpy(out + len, lax.at + at, end - at);
        len += end - at;
        at = end;
        if (!word)
            continue;
        if (len > 0 && out[len - 1] == '-')
            len--;
        memcpy(out + len, "null", 4);
        len += 4;
        at += lax.at[at] == 'N' ? sizeof "NaN" - 1 : sizeof "Infinity" - 1;
    }
    return len;
}
