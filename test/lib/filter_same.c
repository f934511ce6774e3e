/* filter_same.c - see filter_same.h. */
#include "lib/filter_same.h"

#include <stdlib.h>

#include "run/filter.h"

static bool same_value(enum filter_type type, const struct filter_value *a,
                       const struct filter_value *b)
{
    switch (type) {
    case FILTER_UUID:
        return uuid_compare(a->uuid, b->uuid) == 0;
    case FILTER_TEXT:
    case FILTER_WORD:
        return str_eq(a->text, b->text);
    case FILTER_INSTANT:
    case FILTER_DURATION:
    case FILTER_INTEGER:
        return a->number == b->number;
    case FILTER_DECIMAL:
        return a->decimal == b->decimal;
    case FILTER_BOOL:
        return a->truth == b->truth;
    case FILTER_JSON:
        break;
    }
    abort();
}

static bool same_values(const struct filter *a, const struct filter *b)
{
    enum filter_type type =
        a->kind == FILTER_TEST ? filter_attribute_type(a->attribute) : FILTER_TEXT;
    if (a->value_count != b->value_count)
        return false;
    for (size_t i = 0; i < a->value_count; i++)
        if (!same_value(type, &a->values[i], &b->values[i]))
            return false;
    return true;
}

bool filter_same(const struct filter *a, const struct filter *b)
{
    if (a->kind != b->kind || a->attribute != b->attribute || a->op != b->op || !same_values(a, b))
        return false;
    const struct filter *x = a->first, *y = b->first;
    for (; x && y; x = x->next, y = y->next)
        if (!filter_same(x, y))
            return false;
    return !x && !y;
}
