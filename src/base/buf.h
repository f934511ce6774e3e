/* buf.h - counted bytes that may cross threads.
 *
 * Filled by one owner, then published and read-only.  The count is atomic, so
 * any thread may hold or drop a reference; the last one frees.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget;

struct buf {
    atomic_uint refs;
    size_t len;            /* bytes in use */
    size_t cap;            /* bytes allocated */
    struct budget *budget; /* what `charged` goes back to with the last reference, or NULL */
    size_t charged;
    char at[];
};

struct buf *buf_new(size_t cap);        /* refs = 1, len = 0; NULL when over budget */
struct buf *buf_ref(struct buf *buf);   /* returns `buf` */
struct buf *buf_unref(struct buf *buf); /* NULL is fine; always returns NULL */

/* Only while nobody else holds it: the same bytes in a larger buffer, which may
 * have moved.  NULL when memory is short; then `buf` is as it was. */
struct buf *buf_grow(struct buf *buf, size_t cap);

/* Take `size` from the budget for as long as the buffer lives; once.  False
 * when the budget is used up. */
bool buf_charge(struct buf *buf, struct budget *budget, size_t size);
