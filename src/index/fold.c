/* fold.c - see fold.h.
 *
 * libutf8proc has full case folding, in which one code point may become
 * several, and simple lower case.  Simple folding is the full one wherever
 * that gives one code point (status C of CaseFolding.txt), else the simple
 * lower case (status S) - except for U+0130, the capital I with a dot, whose
 * lower case is "i" but which has no simple folding outside Turkish.
 */
#include "index/fold.h"

#include <assert.h>
#include <utf8proc.h>

#include "base/text.h"
#include "run/run.h"
#include "wire/json_string.h"
#include "wire/utf8.h"

enum { REPLACEMENT = 0xfffd, CAPITAL_I_WITH_DOT = 0x130, FOLD_POINTS_MAX = 4 };

static utf8proc_int32_t fold_one(utf8proc_int32_t c)
{
    if (c == 0)
        return REPLACEMENT;
    if (c == CAPITAL_I_WITH_DOT)
        return c;
    utf8proc_int32_t full[FOLD_POINTS_MAX];
    int last = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(c, full, FOLD_POINTS_MAX, UTF8PROC_CASEFOLD, &last);
    return count == 1 ? full[0] : utf8proc_tolower(c);
}

size_t fold(struct str plain, char *out)
{
    const unsigned char *in = (const unsigned char *)plain.at;
    char *end = out;
    for (size_t i = 0; i < plain.len;) {
        if (in[i] - 1u < 0x7f) {
            *end++ = (char)(in[i] >= 'A' && in[i] <= 'Z' ? in[i] | 0x20 : in[i]);
            i++;
            continue;
        }
        utf8proc_int32_t c = REPLACEMENT;
        size_t size = in[i] == 0 ? 0 : utf8_sequence(in + i, plain.len - i);
        if (size > 0)
            (void)utf8proc_iterate(in + i, (utf8proc_ssize_t)size, &c); /* it is valid */
        end += utf8proc_encode_char(fold_one(c), (utf8proc_uint8_t *)end);
        i += size ? size : 1;
    }
    assert((size_t)(end - out) <= FOLD_GROWTH * plain.len);
    return (size_t)(end - out);
}

/* Where to cut valid UTF-8 so that at most `max` bytes are left. */
static size_t whole_points(const char *at, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)at[max] & 0xc0) == 0x80)
        max--;
    return max;
}

bool fold_run_name(const struct run *run, struct text *text)
{
    struct str json = run_field(run, RUN_NAME);
    if (json.len < 2 || json.at[0] != '"')
        return false;
    struct str raw = {json.at + 1, json.len - 2};

    /* The decoded name lies behind the room for the folded one. */
    size_t most = raw.len < FOLD_NAME_MAX ? raw.len : FOLD_NAME_MAX;
    char *room = text_room(text, FOLD_GROWTH * most + raw.len + 1);
    char *plain = room + FOLD_GROWTH * most;
    size_t len = whole_points(plain, json_string_decode(raw, plain), FOLD_NAME_MAX);
    text->len += fold((struct str){plain, len}, room);
    return true;
}

bool fold_contains(struct str name, struct str wanted)
{
    return wanted.len == 0 || (name.len > 0 && memmem(name.at, name.len, wanted.at, wanted.len));
}

uint32_t fold_point(const char *at, size_t *size)
{
    const unsigned char *p = (const unsigned char *)at;
    if (p[0] < 0x80) {
        *size = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *size = 2;
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    }
    if (p[0] < 0xf0) {
        *size = 3;
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
    *size = 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

size_t fold_points(struct str folded)
{
    size_t count = 0;
    for (size_t i = 0; i < folded.len; i++)
        count += ((unsigned char)folded.at[i] & 0xc0) != 0x80;
    return count;
}
