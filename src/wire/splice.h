/* splice.h - an answer put together from views of stored bytes and a little text.
 *
 * What is long is viewed where it lies; what is short is copied together, so
 * that the answer has few parts.
 *
 * Memory   copies live in the arena; views must live as long as the splice
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct arena;
struct buf;

struct splice {
    struct arena *arena; /* in */
    struct str *parts;   /* out: in order */
    size_t count;
    size_t size; /* bytes of all parts */
    size_t cap, room;
};

void splice_add(struct splice *splice, struct str s);  /* copied */
void splice_view(struct splice *splice, struct str s); /* viewed, unless it is short */

/* All parts as one counted buffer; NULL when memory is short. */
struct buf *splice_join(const struct splice *splice);
