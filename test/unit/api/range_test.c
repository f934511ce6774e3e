/* range_test.c - one range of bytes, as RFC 9110 section 14 has it. */
#include "api/range.h"

#include "lib/check.h"

TEST(ranges_mean_what_the_rfc_says)
{
    static const struct {
        const char *header;
        enum range_kind kind;
        size_t from, len;
    } cases[] = {
        {"bytes=0-0", RANGE_PART, 0, 1},
        {"bytes=0-9", RANGE_PART, 0, 10},
        {"BYTES=3-", RANGE_PART, 3, 7},
        {"bytes=5-999", RANGE_PART, 5, 5},
        {"bytes=-3", RANGE_PART, 7, 3},
        {"bytes=-999", RANGE_PART, 0, 10},
        {"bytes=9-9", RANGE_PART, 9, 1},
        {"bytes=10-", RANGE_OUTSIDE, 0, 0},
        {"bytes=10-12", RANGE_OUTSIDE, 0, 0},
        {"bytes=-0", RANGE_OUTSIDE, 0, 0},
        {"bytes=3-2", RANGE_NONE, 0, 0},
        {"bytes=-", RANGE_NONE, 0, 0},
        {"bytes=", RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", RANGE_NONE, 0, 0},
        {"bytes=a-b", RANGE_NONE, 0, 0},
        {"lines=0-1", RANGE_NONE, 0, 0},
        {"bytes=99999999999999999999-", RANGE_OUTSIDE, 0, 0},
        {"bytes=4-99999999999999999999999", RANGE_PART, 4, 6},
        {"", RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t from = 0, len = 0;
        struct str header = {cases[i].header, strlen(cases[i].header)};
        enum range_kind kind = range_parse(header, 10, &from, &len);
        if (kind != cases[i].kind || from != cases[i].from || len != cases[i].len)
            fprintf(stderr, "%s: kind %d, %zu+%zu\n", cases[i].header, (int)kind, from, len);
        CHECK(kind == cases[i].kind && from == cases[i].from && len == cases[i].len);
    }
}

TEST(nothing_has_no_ranges)
{
    size_t from, len;
    CHECK(range_parse(STR("bytes=0-"), 0, &from, &len) == RANGE_OUTSIDE);
    CHECK(range_parse(STR("bytes=-5"), 0, &from, &len) == RANGE_OUTSIDE);
}
