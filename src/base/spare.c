/* spare.c - see spare.h. */
#include "base/spare.h"

#include <assert.h>

#include "base/buf.h"

struct buf *spare_take(struct spare *spare, size_t cap)
{
    if (cap < SPARE_MIN || cap > SPARE_MAX)
        return NULL;
    struct buf *buf = atomic_exchange_explicit(&spare->buf, NULL, memory_order_acquire);
    if (buf && (buf->cap < cap || buf->cap / 2 > cap)) {
        spare_give(spare, buf); /* for somebody else */
        buf = NULL;
    }
    if (!buf)
        return NULL;
    buf->len = 0;
    return buf;
}

void spare_give(struct spare *spare, struct buf *buf)
{
    assert(atomic_load_explicit(&buf->refs, memory_order_relaxed) == 1 && !buf->budget);
    if (buf->cap >= SPARE_MIN && buf->cap <= SPARE_MAX)
        buf = atomic_exchange_explicit(&spare->buf, buf, memory_order_acq_rel);
    buf_unref(buf);
}
