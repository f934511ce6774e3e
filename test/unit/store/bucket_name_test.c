/* bucket_name_test.c - numbers and names of a bucket's containers lead to each other. */
#include "store/bucket_name.h"

#include "lib/check.h"
#include "lib/make_record.h"
#include "store/object.h"

/* 2026-11-26T05:30:15.123456Z, by `date -d ... +%s`. */
static const uint64_t SOME_US = UINT64_C(1795671015123456);

static struct str str_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

TEST(a_name_says_day_hour_and_number)
{
    char room[BUCKET_NAME], hour[BUCKET_NAME];
    uint64_t number = bucket_number(SOME_US, 0x1ab);

    struct str name = bucket_name(number, room);

    CHECK(number == SOME_US * 1024 + 0x1ab);
    CHECK(str_eq(name, STR("v1/20261126/05/ab/19849cf3f5a801ab.pack")));
    CHECK(str_eq(bucket_hour(SOME_US, hour), STR("v1/20261126/05/")));
    CHECK(object_name_valid(name));
}

TEST(only_the_lowest_random_bits_are_taken)
{
    CHECK(bucket_number(1, 0xffffffff) == (1 << 10 | 0x3ff));
    CHECK(bucket_sequence(bucket_number(SOME_US, 0xffffffff)) == SOME_US);
}

/* The ends of hours, days and years, and of what a signed number holds. */
TEST(every_number_comes_back_from_its_name)
{
    static const uint64_t sequences[] = {0,
                                         1,
                                         3599999999,
                                         3600000000,
                                         UINT64_C(1798761599999999),
                                         UINT64_C(1798761600000000),
                                         (UINT64_C(1) << 53) - 1,
                                         (UINT64_C(1) << 54) - 1};
    struct make_random random = {7};
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0] + 1000; i++) {
        bool given = i < sizeof sequences / sizeof sequences[0];
        uint64_t sequence = given ? sequences[i] : make_random(&random) >> 10, found = 0;
        char room[BUCKET_NAME];
        uint64_t number = bucket_number(sequence, (uint32_t)make_random(&random));
        struct str name = bucket_name(number, room);
        CHECK(name.len < BUCKET_NAME);
        CHECK(object_name_valid(name));
        CHECK(bucket_named(name, &found) && found == number);
        CHECK(bucket_sequence(found) == sequence);
    }
    CHECK(bucket_number((UINT64_C(1) << 53) - 1, 0xffffffff) <= INT64_MAX);
}

TEST(within_an_hour_names_begin_alike_and_all_are_before_z)
{
    char room[BUCKET_NAME], hour[BUCKET_NAME], end[BUCKET_NAME + 1];
    struct str begin = bucket_hour(SOME_US, hour);
    snprintf(end, sizeof end, "%.*sz", STR_FMT(begin));
    uint64_t first = SOME_US - SOME_US % UINT64_C(3600000000);
    for (uint64_t us = first; us < first + UINT64_C(3600000000); us += 7654321) {
        struct str name = bucket_name(bucket_number(us, (uint32_t)us * 31), room);
        CHECK(memcmp(name.at, begin.at, begin.len) == 0);
        CHECK(memcmp(name.at, end, begin.len + 1) < 0);
    }
    struct str next = bucket_name(bucket_number(first + UINT64_C(3600000000), 0), room);
    CHECK(memcmp(next.at, begin.at, begin.len) > 0);
}

/* Anything else in the bucket is somebody else's. */
TEST(what_is_no_name_of_ours_is_told)
{
    static const char *const names[] = {
        "",
        ".pack",
        "v1/owner",
        "19849cf3f5a801ab.pack",
        "v1/20261126/05/ab/19849cf3f5a801ab.pac",
        "v1/20261126/05/ab/19849cf3f5a801ab.packs",
        "v1/20261126/05/ab/19849CF3F5A801AB.pack",
        "v1/20261126/05/ab/19849cf3f5a801ag.pack",
        "v1/20261126/05/ac/19849cf3f5a801ab.pack", /* the byte */
        "v1/20261126/06/ab/19849cf3f5a801ab.pack", /* the hour */
        "v1/20261127/05/ab/19849cf3f5a801ab.pack", /* the day */
        "v2/20261126/05/ab/19849cf3f5a801ab.pack",
        "/v1/20261126/05/ab/19849cf3f5a801ab.pack",
        "a/v1/20261126/05/ab/19849cf3f5a801ab.pack",
        "v1/20261126/05/ab/019849cf3f5a801ab.pack",
        "v1/20261126/05/ab/x/19849cf3f5a801ab.pack",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t number = 77;
        CHECK(!bucket_named(str_of(names[i]), &number));
        CHECK(number == 77);
    }
    uint64_t number = 0;
    CHECK(bucket_named(str_of("v1/20261126/05/ab/19849cf3f5a801ab.pack"), &number));
    CHECK(number == UINT64_C(0x19849cf3f5a801ab));
}
