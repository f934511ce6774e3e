/* buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdlib.h>

#include "base/budget.h"

struct buf *buf_new(size_t cap)
{
    struct buf *buf = malloc(sizeof *buf + cap);
    if (!buf)
        return NULL;
    atomic_init(&buf->refs, 1);
    buf->len = 0;
    buf->cap = cap;
    buf->budget = NULL;
    buf->charged = 0;
    return buf;
}

struct buf *buf_ref(struct buf *buf)
{
    unsigned before = atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
    return buf;
}

struct buf *buf_unref(struct buf *buf)
{
    if (buf && atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel) == 1) {
        if (buf->budget)
            budget_give(buf->budget, buf->charged);
        free(buf);
    }
    return NULL;
}

struct buf *buf_grow(struct buf *buf, size_t cap)
{
    assert(atomic_load_explicit(&buf->refs, memory_order_relaxed) == 1 && cap >= buf->len);
    struct buf *grown = realloc(buf, sizeof *buf + cap);
    if (grown)
        grown->cap = cap;
    return grown;
}

bool buf_charge(struct buf *buf, struct budget *budget, size_t size)
{
    assert(!buf->budget);
    if (!budget_take(budget, size))
        return false;
    buf->budget = budget;
    buf->charged = size;
    return true;
}
