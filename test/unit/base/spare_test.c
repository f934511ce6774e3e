/* spare_test.c - at most one buffer is kept, and it belongs to one at a time. */
#include "base/spare.h"

#include "base/buf.h"
#include "lib/check.h"

TEST(a_large_buffer_is_used_again)
{
    struct spare spare = {NULL};
    struct buf *buf = buf_new(2 * SPARE_MIN);
    buf->len = 7;
    spare_give(&spare, buf);

    CHECK(spare_take(&spare, SPARE_MIN) == buf);
    CHECK(buf->len == 0);
    CHECK(spare_take(&spare, SPARE_MIN) == NULL);
    buf_unref(buf);
}

TEST(one_that_is_too_small_or_much_too_large_stays_for_others)
{
    struct spare spare = {NULL};
    struct buf *buf = buf_new(3 * SPARE_MIN);
    spare_give(&spare, buf);
    CHECK(spare_take(&spare, 3 * SPARE_MIN + 1) == NULL);
    CHECK(spare_take(&spare, SPARE_MIN) == NULL);
    CHECK(spare_take(&spare, 2 * SPARE_MIN) == buf);
    buf_unref(buf);
}

TEST(small_and_huge_buffers_are_not_kept)
{
    struct spare spare = {NULL};
    spare_give(&spare, buf_new(SPARE_MIN - 1));
    spare_give(&spare, buf_new((size_t)SPARE_MAX + 1));
    CHECK(spare_take(&spare, SPARE_MIN) == NULL);
    CHECK(spare_take(&spare, 10) == NULL);
}

TEST(the_last_one_given_stays)
{
    struct spare spare = {NULL};
    struct buf *last = buf_new(3 * SPARE_MIN);
    spare_give(&spare, buf_new(2 * SPARE_MIN));
    spare_give(&spare, last);
    CHECK(spare_take(&spare, 2 * SPARE_MIN) == last);
    buf_unref(last);
}
