/* buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/budget.h"

enum { HUGE = 2 << 20, HUGE_FROM = 4 << 20 };

/* A body of megabytes is filled once from end to end: in huge pages that is a
 * few faults instead of thousands.  Only asked for; it may not be granted. */
static void prefer_huge_pages(struct buf *buf)
{
    uintptr_t from = ((uintptr_t)buf + HUGE - 1) / HUGE * HUGE;
    uintptr_t to = ((uintptr_t)buf->at + buf->cap) / HUGE * HUGE;
    if (to > from)
        (void)madvise((char *)buf + (from - (uintptr_t)buf), to - from, MADV_HUGEPAGE);
}

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
    if (cap >= HUGE_FROM)
        prefer_huge_pages(buf);
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
    if (!grown)
        return NULL;
    grown->cap = cap;
    if (cap >= HUGE_FROM)
        prefer_huge_pages(grown);
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
