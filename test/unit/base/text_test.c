/* text_test.c - a string that grows, whatever is added and how. */
#include "base/text.h"

#include "base/buf.h"
#include "lib/check.h"

TEST(an_empty_text_holds_nothing_and_may_be_freed)
{
    struct text text = {0};

    text_add(&text, (struct str){NULL, 0});
    text_addf(&text, "%s", "");

    CHECK(text.len == 0);
    text_free(&text);
    text_free(&text);
}

TEST(all_that_was_added_is_there_in_order)
{
    struct text text = {0};
    char expected[100 * 12 + 1] = "";

    for (unsigned i = 0; i < 100; i++) {
        text_add(&text, STR("ab"));
        text_add_char(&text, '-');
        text_addf(&text, "%08u", i);
        text_add_char(&text, '\0');
        snprintf(expected + (size_t)12 * i, 13, "ab-%08u", i % 100);
    }

    CHECK(text.len == 1200);
    CHECK(memcmp(text.at, expected, 1200) == 0);
    text_free(&text);
    CHECK(text.at == NULL && text.len == 0 && text.cap == 0);
}

TEST(one_piece_may_be_larger_than_all_before)
{
    struct text text = {0};
    static char large[70000];
    memset(large, 'x', sizeof large);

    text_add_char(&text, 'a');
    text_add(&text, (struct str){large, sizeof large});
    text_addf(&text, "%.*s", (int)sizeof large, large);

    CHECK(text.len == 140001);
    CHECK(text.at[0] == 'a' && text.at[1] == 'x' && text.at[140000] == 'x');
    text_free(&text);
}

TEST(room_is_there_to_be_written)
{
    struct text text = {0};
    for (size_t size = 1; size < 3000; size += 7) {
        memset(text_room(&text, size), 'y', size);
        text.len += size - 1;
    }
    CHECK(text_str(&text).len == text.len);
    text_free(&text);
}

TEST(a_counted_copy_outlives_the_text)
{
    struct text text = {0};
    text_add(&text, STR("answer"));

    struct buf *buf = text_to_buf(&text);
    text_free(&text);
    struct buf *empty = text_to_buf(&text);

    CHECK(buf->len == 6 && memcmp(buf->at, "answer", 6) == 0);
    CHECK(empty->len == 0);
    buf_unref(buf);
    buf_unref(empty);
}
