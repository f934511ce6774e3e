/* rfc3339_test.c - timestamps.  Expected numbers come from date(1) and Python. */
#include <stdlib.h>
#include <time.h>

#include "lib/check.h"
#include "wire/rfc3339.h"

/* From a block of exactly its size. */
static bool parse(const char *s, int64_t *us)
{
    size_t len = strlen(s);
    char *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    memcpy(copy, s, len);
    bool good = rfc3339_parse((struct str){copy, len}, us);
    free(copy);
    return good;
}

static bool is(const char *s, int64_t expected)
{
    int64_t us = -1;
    return parse(s, &us) && us == expected;
}

static bool refused(const char *s)
{
    int64_t us = 77;
    return !parse(s, &us) && us == 77;
}

static bool written(int64_t us, const char *expected)
{
    char out[RFC3339_SIZE];
    struct str s = rfc3339_write(us, out);
    return s.at == out && s.len == strlen(expected) && strcmp(out, expected) == 0;
}

TEST(known_moments_are_read)
{
    CHECK(is("1970-01-01T00:00:00Z", 0));
    CHECK(is("1969-12-31T23:59:59.999999Z", -1));
    CHECK(is("2026-11-23T16:22:43.784002Z", INT64_C(1795450963784002)));
    CHECK(is("2000-02-29T12:00:00Z", INT64_C(951825600000000)));
    CHECK(is("0001-01-01T00:00:00Z", INT64_C(-62135596800000000)));
    CHECK(is("9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)));
    CHECK(is("1600-03-01T00:00:00Z", INT64_C(-11670912000000000)));
}

TEST(an_offset_is_taken_off)
{
    CHECK(is("1970-01-01T01:00:00+01:00", 0));
    CHECK(is("1969-12-31T18:30:00-05:30", 0));
    CHECK(is("1970-01-01T23:59:00+23:59", 0));
    CHECK(is("1970-01-01T00:00:00+00:00", 0));
    CHECK(is("1970-01-01T00:00:00-00:00", 0));
}

TEST(a_time_without_a_zone_is_utc)
{
    CHECK(is("1970-01-01T00:00:01", 1000000));
    CHECK(is("1970-01-01 00:00:01.5", 1500000));
}

TEST(letters_may_be_small_and_the_t_may_be_a_space)
{
    CHECK(is("1970-01-01t00:00:01z", 1000000));
    CHECK(is("1970-01-01 00:00:01Z", 1000000));
    CHECK(is("1970-01-01 00:00:01+00:00", 1000000));
    CHECK(refused("1970-01-01  00:00:01Z"));
    CHECK(refused("1970-01-01_00:00:01Z"));
    CHECK(refused("1970-01-0100:00:01Z"));
    CHECK(refused("1970-01-01T00:00:01 Z"));
}

TEST(one_to_nine_digits_of_fraction_are_cut_to_microseconds)
{
    CHECK(is("1970-01-01T00:00:00.1Z", 100000));
    CHECK(is("1970-01-01T00:00:00.12Z", 120000));
    CHECK(is("1970-01-01T00:00:00.000001Z", 1));
    CHECK(is("1970-01-01T00:00:00.0000019Z", 1));
    CHECK(is("1970-01-01T00:00:00.123456789Z", 123456));
    CHECK(is("1969-12-31T23:59:59.9999999Z", -1));
    CHECK(refused("1970-01-01T00:00:00.Z"));
    CHECK(refused("1970-01-01T00:00:00."));
    CHECK(refused("1970-01-01T00:00:00,5Z"));
    CHECK(refused("1970-01-01T00:00:00.1234567890Z"));
}

TEST(a_leap_second_is_the_next_second)
{
    CHECK(is("2016-12-31T23:59:60Z", INT64_C(1483228800000000)));
    CHECK(is("2016-12-31T23:59:60.25Z", INT64_C(1483228800250000)));
    CHECK(is("2017-01-01T00:59:60+01:00", INT64_C(1483228800000000)));
    CHECK(refused("2016-12-31T23:59:61Z"));
    CHECK(refused("9999-12-31T23:59:60Z"));
}

TEST(days_are_those_of_the_calendar)
{
    CHECK(refused("2023-02-29T00:00:00Z"));
    CHECK(refused("1900-02-29T00:00:00Z"));
    CHECK(refused("2024-02-30T00:00:00Z"));
    CHECK(refused("2024-04-31T00:00:00Z"));
    CHECK(refused("2024-01-32T00:00:00Z"));
    CHECK(refused("2024-00-10T00:00:00Z"));
    CHECK(refused("2024-13-10T00:00:00Z"));
    CHECK(refused("2024-01-00T00:00:00Z"));
    CHECK(refused("0000-01-01T00:00:00Z"));
}

TEST(times_are_those_of_the_clock)
{
    CHECK(refused("2024-01-01T24:00:00Z"));
    CHECK(refused("2024-01-01T23:60:00Z"));
    CHECK(refused("2024-01-01T23:59:00+24:00"));
    CHECK(refused("2024-01-01T23:59:00+00:60"));
}

TEST(an_offset_may_not_lead_out_of_the_years_there_are)
{
    CHECK(refused("0001-01-01T00:00:00+00:01"));
    CHECK(refused("9999-12-31T23:59:00-00:01"));
    CHECK(is("0001-01-01T00:01:00+00:01", INT64_C(-62135596800000000)));
    CHECK(is("0001-01-01T00:00:00-01:00", INT64_C(-62135593200000000)));
}

TEST(what_is_not_a_timestamp_is_refused)
{
    static const char *const others[] = {
        "",
        "now",
        "2024",
        "2024-01-01",
        "2024-01-01T",
        "2024-01-01T10",
        "2024-01-01T10:00",
        "2024-01-01T10:00Z",
        "24-01-01T10:00:00Z",
        "2024-1-1T10:00:00Z",
        "+2024-01-01T10:00:00Z",
        "-024-01-01T10:00:00Z",
        "2024/01/01T10:00:00Z",
        "2024-01-01T10.00.00Z",
        "2024-01-01T10:00:00ZZ",
        "2024-01-01T10:00:00Z ",
        " 2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00+1:00",
        "2024-01-01T10:00:00+0100",
        "2024-01-01T10:00:00+01",
        "2024-01-01T10:00:00+01:0",
        "2024-01-01T10:00:00+01:00Z",
        "2024-01-01T10:00:00UTC",
        "2024-01-01T10:00:0 Z",
        "2024-01-01T1a:00:00Z",
        "1700000000",
        "2024-W01-1T10:00:00Z",
        "2024-01-01T10:00:00+-1:00",
        "20240101T100000Z",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(refused(others[i]));
    int64_t us;
    CHECK(!rfc3339_parse((struct str){"2024-01-01\0"
                                      "10:00:00Z",
                                      20},
                         &us));
    CHECK(!rfc3339_parse((struct str){"2024-01-01T10:00:00\0", 20}, &us));
    CHECK(!rfc3339_parse((struct str){NULL, 0}, &us));
}

TEST(no_prefix_of_a_timestamp_is_read_beyond)
{
    static const char full[] = "2026-11-23T16:22:43.784002+01:30";
    for (size_t len = 0; len < sizeof full - 1; len++) {
        char *copy = malloc(len ? len : 1);
        if (!copy)
            abort();
        memcpy(copy, full, len);
        int64_t us;
        bool good = rfc3339_parse((struct str){copy, len}, &us);
        CHECK(good == (len == 19 || (len >= 21 && len <= 26)));
        free(copy);
    }
}

TEST(what_is_written_has_six_digits_and_a_z)
{
    CHECK(written(0, "1970-01-01T00:00:00.000000Z"));
    CHECK(written(-1, "1969-12-31T23:59:59.999999Z"));
    CHECK(written(INT64_C(1795450963784002), "2026-11-23T16:22:43.784002Z"));
    CHECK(written(INT64_C(951825600000000), "2000-02-29T12:00:00.000000Z"));
    CHECK(written(INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"));
    CHECK(written(INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"));
}

/* The C library counts days by other means. */
TEST(days_all_over_ten_thousand_years_are_written_and_read)
{
    const int64_t first = INT64_C(-62135596800), last = INT64_C(253402300799);
    for (int64_t second = first; second <= last; second += 5 * 86400) {
        int64_t moment = second + (second - first) / (5 * 86400) % 86400;
        time_t t = (time_t)moment;
        struct tm tm;
        char expected[64], out[RFC3339_SIZE];
        gmtime_r(&t, &tm);
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.000042Z",
                 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        int64_t us = 0;
        struct str s = rfc3339_write(moment * 1000000 + 42, out);
        bool good =
            strcmp(out, expected) == 0 && rfc3339_parse(s, &us) && us == moment * 1000000 + 42;
        CHECK(good);
        if (!good)
            return;
    }
}

TEST(whole_milliseconds_are_instants_too)
{
    static const struct {
        const char *number;
        int64_t us;
    } good[] = {
        {"0", 0},
        {"1795450963865", INT64_C(1795450963865000)},
        {"-1", -1000},
        {"-62135596800000", INT64_C(-62135596800000000)},
        {"253402300799999", INT64_C(253402300799999000)},
    };
    static const char *const bad[] = {"",
                                      "-",
                                      "253402300800000",
                                      "-62135596800001",
                                      "1.",
                                      "1e3",
                                      "1.5",
                                      "1234567890123456789",
                                      " 1",
                                      "true",
                                      "99999999999999999999999999999"};
    int64_t us = 7;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(rfc3339_parse_ms((struct str){good[i].number, strlen(good[i].number)}, &us) &&
              us == good[i].us);
    us = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!rfc3339_parse_ms((struct str){bad[i], strlen(bad[i])}, &us) && us == 7);
}
