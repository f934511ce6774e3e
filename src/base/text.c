/* text.c - see text.h. */
#include "base/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

char *text_room(struct text *text, size_t size)
{
    assert(size <= SIZE_MAX / 2 - text->len);
    if (!text->at || text->cap - text->len < size) {
        size_t cap = text->cap ? text->cap * 2 : 256;
        while (cap - text->len < size)
            cap *= 2;
        text->at = realloc(text->at, cap);
        if (!text->at)
            abort();
        text->cap = cap;
    }
    return text->at + text->len;
}

void text_add(struct text *text, struct str s)
{
    if (s.len == 0)
        return;
    memcpy(text_room(text, s.len), s.at, s.len);
    text->len += s.len;
}

void text_add_char(struct text *text, char c)
{
    *text_room(text, 1) = c;
    text->len++;
}

void text_addf(struct text *text, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    va_list again;
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (len > 0) {
        size_t size = (size_t)len + 1;
        vsnprintf(text_room(text, size), size, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
}

void text_free(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

struct buf *text_to_buf(const struct text *text)
{
    struct buf *buf = buf_new(text->len);
    if (!buf)
        abort();
    if (text->len)
        memcpy(buf->at, text->at, text->len);
    buf->len = text->len;
    return buf;
}
