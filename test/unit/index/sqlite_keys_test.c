/* sqlite_keys_test.c - sorted keys in memory, their filters and views. */
#include "index/sqlite_keys.h"

#include <stdlib.h>

#include "lib/check.h"
#include "lib/make_record.h"

static int by_memcmp(const void *a, const void *b, void *width)
{
    return memcmp(a, b, *(const size_t *)width);
}

/* Random keys, of which many begin alike and some are equal. */
static void random_keys(struct make_random *random, unsigned char *keys, size_t count, size_t width,
                        unsigned spread)
{
    memset(keys, 0, count * width);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++)
            keys[i * width + make_random(random) % width] =
                (unsigned char)(make_random(random) % spread);
}

static bool sorted_and_distinct(const struct keys_run *run)
{
    for (size_t i = 1; i < run->count; i++)
        if (memcmp(run->at + (i - 1) * run->width, run->at + i * run->width, run->width) >= 0)
            return false;
    return true;
}

/* Does the run hold exactly these keys? */
static bool holds(const struct keys_run *run, unsigned char *keys, size_t count)
{
    size_t width = run->width, at = 0;
    qsort_r(keys, count, width, by_memcmp, &width);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && memcmp(keys + (i - 1) * width, keys + i * width, width) == 0)
            continue;
        if (at == run->count || memcmp(keys + i * width, run->at + at++ * width, width) != 0)
            return false;
    }
    return at == run->count;
}

TEST(a_run_has_the_keys_sorted_and_each_once)
{
    enum { MOST = 1500 };
    struct make_random random = {1};
    for (int round = 0; round < 200; round++) {
        size_t width = keys_width((enum keys_kind)(round % KEYS_KINDS));
        size_t count = 1 + make_random(&random) % (round % 5 ? 200 : MOST);
        unsigned char *keys = malloc(count * width), *same = malloc(count * width);
        random_keys(&random, keys, count, width, round % 3 ? 256 : 2);
        memcpy(same, keys, count * width);

        struct keys_run *run = keys_run_new(keys, count, width);
        CHECK(sorted_and_distinct(run));
        CHECK(holds(run, same, count));
        struct keys_run *again = keys_run_new(run->at, run->count, width); /* sorted input */
        CHECK(again->count == run->count && memcmp(again->at, run->at, run->count * width) == 0);
        keys_run_unref(run);
        keys_run_unref(again);
        free(keys);
        free(same);
    }
}

TEST(merged_runs_are_the_run_of_both)
{
    enum { MOST = 300 };
    struct make_random random = {2};
    for (int round = 0; round < 200; round++) {
        size_t width = keys_width((enum keys_kind)(round % KEYS_KINDS));
        size_t a = 1 + make_random(&random) % MOST, b = 1 + make_random(&random) % MOST;
        unsigned char *keys = malloc((a + b) * width);
        random_keys(&random, keys, a + b, width, 3);
        struct keys_run *one = keys_run_new(keys, a, width);
        struct keys_run *two = keys_run_new(keys + a * width, b, width);
        struct keys_run *both = keys_run_merge(one, two);
        CHECK(sorted_and_distinct(both));
        CHECK(holds(both, keys, a + b));
        keys_run_unref(one);
        keys_run_unref(two);
        keys_run_unref(both);
        free(keys);
    }
}

TEST(a_filter_forgets_nothing_and_is_seldom_wrong)
{
    enum { KEYS = 20000 };
    struct make_random random = {3};
    struct keys_filter *filter = keys_filter_new(KEYS, 1, 42);
    int missing = 0, wrong = 0;
    for (int i = 0; i < KEYS; i++)
        keys_filter_add(filter, make_id((uint64_t)i).byte, KEYS_ID_PREFIX);
    for (int i = 0; i < KEYS; i++)
        missing += !keys_filter_may_have(filter, make_id((uint64_t)i).byte, KEYS_ID_PREFIX);
    for (int i = 0; i < KEYS; i++)
        wrong += keys_filter_may_have(filter, make_uuid(&random).byte, KEYS_ID_PREFIX);
    CHECK(missing == 0);
    CHECK(wrong < KEYS / 30);
    keys_filter_unref(filter);
}

TEST(a_view_holds_what_was_added_until_it_is_flushed)
{
    enum { COMMITS = 300, EACH = 7 };
    struct make_random random = {4};
    const bool none[KEYS_KINDS] = {false};
    bool flushed[KEYS_KINDS] = {false};
    struct keys_view *view = NULL;
    flushed[KEYS_TRACE] = true;
    for (size_t c = 1; c <= COMMITS; c++) {
        struct keys_run *added[KEYS_KINDS] = {0};
        for (int k = KEYS_ID; k <= KEYS_TRACE; k++) {
            size_t width = keys_width((enum keys_kind)k);
            unsigned char keys[EACH * KEYS_WIDTH_MAX];
            for (size_t i = 0; i < EACH * width; i++)
                keys[i] = (unsigned char)make_random(&random);
            added[k] = keys_run_new(keys, EACH, width);
        }
        struct keys_view *next =
            keys_view_new(view, c, c % 10 == 0 ? flushed : none, added, NULL, 0);
        CHECK(keys_view_count(next, KEYS_ID) == c * EACH);
        CHECK(keys_view_count(next, KEYS_TRACE) == (c < 10 ? c : c % 10 + 1) * EACH);
        for (size_t i = 1; i < next->kind[KEYS_ID].count; i++)
            CHECK(next->kind[KEYS_ID].runs[i - 1]->count >= 2 * next->kind[KEYS_ID].runs[i]->count);
        if (view)
            CHECK(keys_view_count(view, KEYS_ID) == (c - 1) * EACH); /* the old one stays */
        keys_view_unref(view);
        view = next;
    }
    CHECK(view->rows == COMMITS);
    keys_view_unref(view);
}

TEST(times_sort_as_numbers_do)
{
    static const int64_t times[] = {INT64_MIN, -1000, -1, 0, 1, 1700000000000000, INT64_MAX};
    for (size_t i = 1; i < sizeof times / sizeof *times; i++) {
        struct key a = {0}, b = {0};
        key_add_time(&a, times[i - 1]);
        key_add_time(&b, times[i]);
        CHECK(memcmp(a.at, b.at, 8) < 0);
    }
}
