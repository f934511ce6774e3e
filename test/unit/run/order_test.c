/* order_test.c - dotted orders. */
#include "run/order.h"

#include "lib/check.h"

#define A "01a20937-8729-7000-8000-0350d55ee658"
#define B "01A20937-8748-7000-8000-0360231557FD"
#define C "11111111-2222-3333-4444-555555555555"
#define T "20261123T162243753001Z"

static bool is(struct uuid id, const char *text)
{
    struct uuid expected;
    return uuid_parse((struct str){text, strlen(text)}, &expected) &&
           uuid_compare(id, expected) == 0;
}

TEST(ids_are_read_from_the_root_down)
{
    struct order order;
    CHECK(order_read(STR(T A), &order) && order.segments == 1);
    CHECK(is(order.root, A) && is(order.own, A) && uuid_is_zero(order.parent));
    CHECK(order_read(STR(T A "." T B "." T C), &order) && order.segments == 3);
    CHECK(is(order.root, A) && is(order.parent, B) && is(order.own, C));
}

TEST(a_fraction_has_3_to_9_digits)
{
    struct order order;
    CHECK(order_read(STR("20261123T162243123Z" A), &order));
    CHECK(order_read(STR("20261123T162243123456789Z" A), &order));
    CHECK(!order_read(STR("20261123T16224312Z" A), &order));
    CHECK(!order_read(STR("20261123T1622431234567890Z" A), &order));
}

TEST(anything_else_is_none)
{
    static const char *const texts[] = {
        "",
        A,
        T,
        T A ".",
        "." T A,
        T A " ",
        T A ".." T B,
        T "x" A,
        "T" A,
        T A T B,
        "2026112" T A,
        T A "." A,
        "20261123T",
        "20261123",
        "20261123T162243753001",
        "20261123T162243753001Z0",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct order order;
        CHECK(!order_read((struct str){texts[i], strlen(texts[i])}, &order));
    }
}
