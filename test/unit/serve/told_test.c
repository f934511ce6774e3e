/* told_test.c - the last versions that were told are known. */
#include "serve/told.h"

#include "lib/check.h"

static struct uuid id_of(uint32_t n)
{
    struct uuid id = {.byte = {[15] = 1}};
    memcpy(id.byte, &n, sizeof n);
    return id;
}

TEST(a_version_is_known_and_those_before_it)
{
    struct told *told = told_new();
    CHECK(!told_has(told, id_of(1), 1));
    told_add(told, id_of(1), 5);
    CHECK(told_has(told, id_of(1), 5) && told_has(told, id_of(1), 4));
    CHECK(!told_has(told, id_of(1), 6) && !told_has(told, id_of(2), 1));
    told_add(told, id_of(1), 3);
    CHECK(told_has(told, id_of(1), 5));
    told_free(told);
}

TEST(the_last_ones_are_known_whatever_came_before)
{
    struct told *told = told_new();
    const uint32_t end = 10 * TOLD_KEPT + 77;
    unsigned known = 0;
    for (uint32_t n = 0; n < end; n++)
        told_add(told, id_of(n), 1);
    for (uint32_t n = end - TOLD_KEPT; n < end; n++)
        known += told_has(told, id_of(n), 1);
    CHECK(known == TOLD_KEPT && !told_has(told, id_of(0), 1));
    told_free(told);
}

TEST(who_is_asked_for_is_kept)
{
    struct told *told = told_new();
    told_add(told, id_of(0), 7);
    for (uint32_t n = 1; n < 10 * TOLD_KEPT; n++) {
        told_add(told, id_of(n), 1);
        if (n % 100 == 0)
            CHECK(told_has(told, id_of(0), 7));
    }
    told_free(told);
}
