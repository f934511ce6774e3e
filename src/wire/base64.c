/* base64.c - see base64.h. */
#include "wire/base64.h"

#include "base/text.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(struct text *text, struct str bytes)
{
    char *out = text_room(text, (bytes.len + 2) / 3 * 4), *p = out;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i < 3 ? bytes.len - i : 3;
        unsigned three = 0;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (k < left ? (unsigned char)bytes.at[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *p++ = k <= left ? digits[three >> (18 - 6 * k) & 63] : '=';
    }
    text->len += (size_t)(p - out);
}

static int value_of(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool base64_read(struct str text, char *out, size_t *len)
{
    unsigned bits = 0, have = 0;
    while (text.len > 0 && text.at[text.len - 1] == '=')
        text.len--;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.at[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        out[(*len)++] = (char)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return true;
}
