/* uuid_test.c - ids are read liberally, written one way, and made in order. */
#include "base/uuid.h"

#include <stdlib.h>

#include "lib/check.h"

static const struct uuid sample = {{0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7, 0x65,
                                    0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6}};

static bool parses_to_sample(struct str text)
{
    struct uuid id;
    return uuid_parse(text, &id) && uuid_compare(id, sample) == 0;
}

TEST(every_usual_spelling_is_read)
{
    CHECK(parses_to_sample(STR("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"))); /* RFC 4122, section 3 */
    CHECK(parses_to_sample(STR("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6")));
    CHECK(parses_to_sample(STR("f81d4fae7dec11d0a76500a0c91e6bf6")));
    CHECK(parses_to_sample(STR("{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}")));
    CHECK(parses_to_sample(STR("{f81d4fae7dec11d0a76500a0c91e6bf6}")));
    CHECK(parses_to_sample(STR("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")));
    CHECK(parses_to_sample(STR("URN:UUID:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")));
}

TEST(what_is_no_id_is_refused_and_writes_nothing)
{
    static const struct str wrong[] = {
        {NULL, 0},
        {"", 0},
        {"{}", 2},
        {"{", 1},
        {"urn:uuid:", 9},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf", 35},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf60", 37},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bfg", 36},
        {"f81d4fae7-dec-11d0-a765-00a0c91e6bf6", 36},
        {"f81d4fae-7dec-11d0-a76500-a0c91e6bf6", 36},
        {"f81d4fae 7dec 11d0 a765 00a0c91e6bf6", 36},
        {"{f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 37},
        {"f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", 37},
        {"{urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", 47},
        {" f81d4fae7dec11d0a76500a0c91e6bf6", 33},
        {"f81d4fae7dec11d0a76500a0c91e6bf\0", 32},
        {"\xff\x81"
         "d4fae7dec11d0a76500a0c91e6bf6",
         31},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct uuid id = {{0}};
        CHECK(!uuid_parse(wrong[i], &id));
        CHECK(uuid_is_zero(id));
    }
}

TEST(an_id_is_written_in_lower_case_with_dashes)
{
    char out[UUID_TEXT + 1] = "";

    uuid_write(sample, out);

    CHECK(strcmp(out, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6") == 0);
}

/* The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z is 017F22E279B0. */
TEST(a_new_id_says_when_it_was_made)
{
    struct uuid_source source = {0};

    struct uuid id = uuid_v7(&source, 1645557742000000);

    static const uint8_t time[] = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0};
    CHECK(memcmp(id.byte, time, sizeof time) == 0);
    CHECK(id.byte[6] == 0x70 && id.byte[7] == 0);
    CHECK((id.byte[8] & 0xc0) == 0x80);
}

TEST(new_ids_grow_in_a_burst_and_when_the_clock_steps_back)
{
    struct uuid_source source = {0};
    struct uuid last = {{0}};
    int wrong = 0;

    for (int64_t i = 0; i < 100000; i++) {
        int64_t now_us = 1700000000000000 + i / 7 - (i > 50000 ? 3600000000 : 0);
        struct uuid id = uuid_v7(&source, now_us);
        wrong += uuid_compare(id, last) <= 0;
        wrong += id.byte[6] >> 4 != 7 || id.byte[8] >> 6 != 2;
        last = id;
    }
    CHECK(wrong == 0);
}

TEST(a_clock_before_1970_still_gives_growing_ids)
{
    struct uuid_source source = {0};

    struct uuid first = uuid_v7(&source, -5);
    struct uuid second = uuid_v7(&source, INT64_MIN);

    CHECK(uuid_compare(first, second) < 0);
}

TEST(ids_of_two_sources_differ_in_the_same_microsecond)
{
    struct uuid_source one = {0}, other = {0};

    struct uuid a = uuid_v7(&one, 1700000000000000);
    struct uuid b = uuid_v7(&other, 1700000000000000);

    CHECK(memcmp(a.byte, b.byte, 8) == 0);
    CHECK(uuid_compare(a, b) != 0);
}
