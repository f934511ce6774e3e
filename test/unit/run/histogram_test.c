/* histogram_test.c - runs in buckets. */
#include "run/histogram.h"

#include "lib/check.h"

static uint64_t sum(const uint64_t *counts, unsigned used)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < used; i++)
        total += counts[i];
    return total;
}

TEST(a_range_that_is_given_is_cut_into_equal_buckets)
{
    struct histogram h;
    histogram_of_range(&h, 1000, 1099, 10);
    CHECK(h.from_us == 1000 && h.width_us == 10 && h.used == 10);
    histogram_add(&h, 1000, false);
    histogram_add(&h, 1009, true);
    histogram_add(&h, 1010, false);
    histogram_add(&h, 1099, true);
    CHECK(h.count[0] == 2 && h.count[1] == 1 && h.count[9] == 1);
    CHECK(h.errors[0] == 1 && h.errors[1] == 0 && h.errors[9] == 1);
}

TEST(any_range_is_one)
{
    struct histogram h;
    histogram_of_range(&h, 5, 5, 60);
    CHECK(h.used == 1 && h.width_us == 1);
    histogram_add(&h, 5, false);
    histogram_of_range(&h, INT64_MIN + 1, INT64_MAX - 1, 1);
    histogram_add(&h, INT64_MAX - 1, false);
    histogram_add(&h, INT64_MIN + 1, false);
    CHECK(h.used == 1 && h.count[0] == 2);
    for (unsigned most = 1; most <= HISTOGRAM_BUCKETS; most++) {
        histogram_of_range(&h, 7, 7 + 1234, most);
        histogram_add(&h, 7 + 1234, false);
        CHECK(h.used <= most && h.count[h.used - 1] == 1);
    }
}

TEST(buckets_widen_until_all_runs_are_in_them)
{
    struct histogram h;
    const int64_t hour = INT64_C(3600000000);
    histogram_of_runs(&h, 60);
    CHECK(h.used == 0);
    for (int64_t i = 99; i >= 0; i--) /* newest first */
        histogram_add(&h, i * hour, i % 10 == 0);
    CHECK(h.used > 30 && h.used <= 60);
    CHECK(sum(h.count, h.used) == 100 && sum(h.errors, h.used) == 10);
    CHECK(h.from_us <= 0 && h.from_us > -h.width_us);
    CHECK(h.from_us + h.used * h.width_us > 99 * hour);
    CHECK(h.count[0] > 0 && h.count[h.used - 1] > 0 && h.errors[0] == 1);
    CHECK((h.from_us + INT64_C(62135596800000000)) % h.width_us == 0);
}

TEST(in_whatever_order_they_come_the_buckets_are_the_same)
{
    struct histogram up, down, mixed;
    uint32_t dice = 7;
    int64_t at[1000];
    histogram_of_runs(&up, 37);
    histogram_of_runs(&down, 37);
    histogram_of_runs(&mixed, 37);
    for (int i = 0; i < 1000; i++) {
        dice = dice * 1664525 + 1013904223;
        at[i] = (i - 500) * INT64_C(987654321) + (dice >> 8);
    }
    for (int i = 0; i < 1000; i++) {
        histogram_add(&up, at[i], i % 3 == 0);
        histogram_add(&down, at[999 - i], (999 - i) % 3 == 0);
        histogram_add(&mixed, at[i * 7 % 1000], i * 7 % 1000 % 3 == 0);
    }
    CHECK(up.used == down.used && up.from_us == down.from_us && up.width_us == down.width_us);
    CHECK(memcmp(up.count, down.count, sizeof up.count) == 0);
    CHECK(memcmp(up.errors, mixed.errors, sizeof up.errors) == 0);
    CHECK(memcmp(up.count, mixed.count, sizeof up.count) == 0 && sum(up.count, up.used) == 1000);
}

TEST(one_bucket_is_enough)
{
    struct histogram h;
    histogram_of_runs(&h, 1);
    histogram_add(&h, INT64_C(1700000000000000), false);
    histogram_add(&h, INT64_C(1700000000000000) - 1, false);
    histogram_add(&h, INT64_C(1800000000000000), true);
    CHECK(h.used == 1 && h.count[0] == 3 && h.errors[0] == 1);

    /* Also of runs on both sides of 1970. */
    histogram_of_runs(&h, 1);
    histogram_add(&h, -1, false);
    histogram_add(&h, 1, false);
    CHECK(h.used == 1 && h.count[0] == 2);
}
