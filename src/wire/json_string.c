/* json_string.c - see json_string.h. */
#include "wire/json_string.h"

#include <assert.h>
#include <stdint.h>

#include "base/text.h"
#include "wire/utf8.h"

enum { REPLACEMENT = 0xfffd }; /* the character for what cannot be told */

static uint32_t hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    return (uint32_t)((c | 0x20) - 'a' + 10);
}

/* The four digits of the escape \uXXXX at raw.at[at]. */
static uint32_t hex_unit(struct str raw, size_t at)
{
    assert(raw.len - at >= 6);
    const char *digits = raw.at + at + 2;
    return hex_digit(digits[0]) << 12 | hex_digit(digits[1]) << 8 | hex_digit(digits[2]) << 4 |
           hex_digit(digits[3]);
}

static size_t put_utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static char short_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/* Decode the escape, or the pair of escapes, at raw.at[*at] and go past it.
 * What comes out is never longer than what was read. */
static size_t take_escape(struct str raw, size_t *at, char out[4])
{
    assert(raw.len - *at >= 2);
    if (raw.at[*at + 1] != 'u') {
        out[0] = short_escape(raw.at[*at + 1]);
        *at += 2;
        return 1;
    }
    uint32_t c = hex_unit(raw, *at);
    *at += 6;
    if (c < 0xd800 || c > 0xdfff)
        return put_utf8(c, out);
    if (c < 0xdc00 && raw.len - *at >= 6 && raw.at[*at] == '\\' && raw.at[*at + 1] == 'u') {
        uint32_t low = hex_unit(raw, *at);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *at += 6;
            return put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), out);
        }
    }
    return put_utf8(REPLACEMENT, out);
}

/* How many bytes from raw.at[at] on stand for themselves. */
static size_t plain_run(struct str raw, size_t at)
{
    if (at == raw.len)
        return 0;
    const char *backslash = memchr(raw.at + at, '\\', raw.len - at);
    return backslash ? (size_t)(backslash - raw.at) - at : raw.len - at;
}

size_t json_string_decode(struct str raw, char *out)
{
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        size_t run = plain_run(raw, at);
        if (run)
            memcpy(out + len, raw.at + at, run);
        len += run;
        at += run;
        if (at < raw.len) {
            char decoded[4];
            size_t size = take_escape(raw, &at, decoded);
            memcpy(out + len, decoded, size);
            len += size;
        }
    }
    return len;
}

/* Take `piece` off the front of `plain`, if it is there. */
static bool take_prefix(struct str *plain, struct str piece)
{
    if (piece.len > plain->len || !str_eq((struct str){plain->at, piece.len}, piece))
        return false;
    if (piece.len) {
        plain->at += piece.len;
        plain->len -= piece.len;
    }
    return true;
}

bool json_string_is(struct str raw, struct str plain)
{
    for (size_t at = 0; at < raw.len;) {
        size_t run = plain_run(raw, at);
        if (!take_prefix(&plain, (struct str){raw.at + at, run}))
            return false;
        at += run;
        if (at < raw.len) {
            char decoded[4];
            size_t size = take_escape(raw, &at, decoded);
            if (!take_prefix(&plain, (struct str){decoded, size}))
                return false;
        }
    }
    return plain.len == 0;
}

static void write_escape(struct text *text, char c)
{
    static const char from[] = "\b\f\n\r\t\"\\";
    static const char to[] = "bfnrt\"\\";
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        text_add_char(text, '\\');
        text_add_char(text, to[found - from]);
    } else {
        text_addf(text, "\\u%04x", (unsigned)c);
    }
}

void json_string_write(struct text *text, struct str plain)
{
    const unsigned char *bytes = (const unsigned char *)plain.at;
    size_t written = 0;

    text_add_char(text, '"');
    for (size_t at = 0; at < plain.len;) {
        unsigned char c = bytes[at];
        size_t size = c < 0x80 ? 1 : utf8_sequence(bytes + at, plain.len - at);
        if (size > 0 && c >= 0x20 && c != '"' && c != '\\') {
            at += size;
            continue;
        }
        text_add(text, (struct str){plain.at + written, at - written});
        if (size == 0)
            text_add(text, STR("\xef\xbf\xbd")); /* U+FFFD */
        else
            write_escape(text, (char)c);
        at++;
        written = at;
    }
    if (written < plain.len)
        text_add(text, (struct str){plain.at + written, plain.len - written});
    text_add_char(text, '"');
}
