/* splice.c - see splice.h. */
#include "wire/splice.h"

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

enum { COPIED_BELOW = 512, CHUNK = 4096 };

static void add_part(struct splice *splice, struct str s)
{
    if (splice->count == splice->cap) {
        size_t cap = splice->cap ? splice->cap * 2 : 16;
        struct str *parts = arena_make(splice->arena, struct str, cap);
        if (splice->count)
            memcpy(parts, splice->parts, splice->count * sizeof *parts);
        splice->parts = parts;
        splice->cap = cap;
    }
    splice->parts[splice->count++] = s;
}

void splice_add(struct splice *splice, struct str s)
{
    if (s.len == 0)
        return;
    splice->size += s.len;
    /* `room`: what is free behind the last part, which is then a copy of ours. */
    if (splice->room >= s.len) {
        struct str *last = &splice->parts[splice->count - 1];
        memcpy((char *)(uintptr_t)last->at + last->len, s.at, s.len);
        last->len += s.len;
        splice->room -= s.len;
        return;
    }
    size_t size = s.len > CHUNK ? s.len : CHUNK;
    char *at = arena_alloc(splice->arena, size);
    memcpy(at, s.at, s.len);
    add_part(splice, (struct str){at, s.len});
    splice->room = size - s.len;
}

void splice_view(struct splice *splice, struct str s)
{
    if (s.len < COPIED_BELOW) {
        splice_add(splice, s);
        return;
    }
    add_part(splice, s);
    splice->size += s.len;
    splice->room = 0;
}

struct buf *splice_join(const struct splice *splice)
{
    struct buf *buf = buf_new(splice->size);
    if (!buf)
        return NULL;
    for (size_t i = 0; i < splice->count; i++) {
        memcpy(buf->at + buf->len, splice->parts[i].at, splice->parts[i].len);
        buf->len += splice->parts[i].len;
    }
    return buf;
}
