/* spare.h - one large buffer that is kept for the next who needs one.
 *
 * Fresh memory of megabytes costs the kernel more than reading a body into it
 * costs us: every page is found and cleared.  So the last buffer of a large
 * batch stays, at most one, of at most SPARE_MAX bytes.
 *
 * Threads  any
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

struct buf;

enum { SPARE_MIN = 1 << 20, SPARE_MAX = 32 << 20 };

struct spare {
    _Atomic(struct buf *) buf; /* NULL: none */
};

/* An empty buffer of `cap` to twice as many bytes, the caller's then; NULL when
 * the spare one is none, too small or too large.  Its memory is all there: who
 * takes it has to account for `buf->cap` bytes. */
struct buf *spare_take(struct spare *spare, size_t cap);

/* Instead of buf_unref(), by the only one who has it. */
void spare_give(struct spare *spare, struct buf *buf);
