/* order.c - see order.h. */
#include "run/order.h"

enum { DATE = 8, CLOCK = 6, FRACTION_MIN = 3, FRACTION_MAX = 9 };

static size_t digits(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.at[n] >= '0' && s.at[n] <= '9')
        n++;
    return n;
}

static void skip(struct str *s, size_t n)
{
    s->at += n;
    s->len -= n;
}

/* Take a segment off the front: YYYYMMDDTHHMMSSffffffZ and an id. */
static bool segment(struct str *s, struct uuid *id)
{
    if (digits(*s) != DATE || s->len == DATE || s->at[DATE] != 'T')
        return false;
    skip(s, DATE + 1);
    size_t n = digits(*s);
    if (n < CLOCK + FRACTION_MIN || n > CLOCK + FRACTION_MAX || s->len == n || s->at[n] != 'Z')
        return false;
    skip(s, n + 1);
    if (s->len < UUID_TEXT || !uuid_parse((struct str){s->at, UUID_TEXT}, id))
        return false;
    skip(s, UUID_TEXT);
    return true;
}

bool order_read(struct str text, struct order *result)
{
    struct order order = {.segments = 0};
    for (;;) {
        order.parent = order.own;
        if (!segment(&text, &order.own))
            return false;
        if (order.segments++ == 0)
            order.root = order.own;
        if (text.len == 0)
            break;
        if (text.at[0] != '.')
            return false;
        skip(&text, 1);
    }
    *result = order;
    return true;
}
