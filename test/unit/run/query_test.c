/* query_test.c - cursors come back as they went, and nothing else passes for one. */
#include "run/query.h"

#include "lib/check.h"

static const struct query_cursor some = {
    .start_us = INT64_C(1795450963859123),
    .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255}},
};

TEST(a_cursor_comes_back_as_it_was)
{
    static const int64_t starts[] = {0, -1, 1, INT64_MIN, INT64_MAX, INT64_C(1795450963859123)};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct query_cursor in = some, out = {0};
        char text[QUERY_CURSOR_TEXT];

        in.start_us = starts[i];
        query_cursor_write(&in, text);
        CHECK(query_cursor_parse((struct str){text, sizeof text}, &out));
        CHECK(out.start_us == in.start_us && uuid_compare(out.id, in.id) == 0);
    }
}

TEST(a_cursor_needs_no_escaping_in_a_url)
{
    char text[QUERY_CURSOR_TEXT];
    query_cursor_write(&some, text);
    for (int i = 0; i < QUERY_CURSOR_TEXT; i++)
        CHECK(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text[i]));
}

TEST(any_change_of_a_cursor_is_seen)
{
    char text[QUERY_CURSOR_TEXT];
    struct query_cursor out;
    query_cursor_write(&some, text);
    for (int i = 0; i < QUERY_CURSOR_TEXT; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        CHECK(!query_cursor_parse((struct str){text, sizeof text}, &out));
        text[i] = '\0';
        CHECK(!query_cursor_parse((struct str){text, sizeof text}, &out));
        text[i] = was;
    }
    CHECK(!query_cursor_parse((struct str){text, sizeof text - 1}, &out));
    CHECK(!query_cursor_parse((struct str){"", 0}, &out));
}
