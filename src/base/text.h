/* text.h - a string that grows while it is written.
 *
 * For answers, log lines and messages: things whose size we decide.  Running
 * out of memory aborts; what a client sizes goes through buf.h and a budget.
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct buf;

struct text {
    char *at; /* not NUL-terminated; NULL while empty */
    size_t len, cap;
};

void text_add(struct text *text, struct str s);
void text_add_char(struct text *text, char c);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *text); /* empty again */

/* Make room for `size` more bytes and return where they go; the caller adds
 * what it wrote to text->len. */
char *text_room(struct text *text, size_t size);

static inline struct str text_str(const struct text *text)
{
    return (struct str){text->at, text->len};
}

/* A counted copy, one reference, the caller's. */
struct buf *text_to_buf(const struct text *text);
