/* filter_write.c - a filter as text again, see filter.h.
 *
 * What is about one entry, and what is about an entry but stands alone, has an
 * `and` of its own inside another: there the parser would put it together anew.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "run/filter.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

/* The shortest that reads back as the same number. */
static void write_decimal(struct text *text, double decimal)
{
    enum { SHORT = 15, EXACT = 17 };
    char number[32];
    for (int digits = SHORT; digits <= EXACT; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, decimal);
        if (strtod(number, NULL) == decimal)
            break;
    }
    text_addf(text, "%s", number);
}

/* In seconds. */
static void write_duration(struct text *text, int64_t us)
{
    enum { US = 1000000 };
    text_addf(text, "%s%" PRId64, us < 0 ? "-" : "", (us < 0 ? -us : us) / US);
    int fraction = (int)((us < 0 ? -us : us) % US);
    int digits = 6;
    while (digits > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (digits > 0)
        text_addf(text, ".%0*d", digits, fraction);
}

static void write_value(struct text *text, enum filter_type type, const struct filter_value *value)
{
    char id[UUID_TEXT], date[RFC3339_SIZE];
    assert(type != FILTER_JSON); /* it has no values */
    switch (type) {
    case FILTER_UUID:
        uuid_write(value->uuid, id);
        json_string_write(text, (struct str){id, sizeof id});
        return;
    case FILTER_TEXT:
    case FILTER_WORD:
        json_string_write(text, value->text);
        return;
    case FILTER_INSTANT:
        json_string_write(text, rfc3339_write(value->number, date));
        return;
    case FILTER_DURATION:
        write_duration(text, value->number);
        return;
    case FILTER_INTEGER:
        text_addf(text, "%" PRId64, value->number);
        return;
    case FILTER_DECIMAL:
        write_decimal(text, value->decimal);
        return;
    case FILTER_BOOL:
        text_add(text, value->truth ? STR("true") : STR("false"));
        return;
    case FILTER_JSON:
        break;
    }
}

static void write_test(const struct filter *test, struct text *text)
{
    enum filter_type type = filter_attribute_type(test->attribute);
    bool list = test->op == FILTER_IN || test->op == FILTER_NIN;
    text_addf(text, "%.*s(%.*s, %s", STR_FMT(filter_operator_name(test->op)),
              STR_FMT(filter_attribute_name(test->attribute)), list ? "[" : "");
    if (test->op == FILTER_IS_NULL || test->op == FILTER_NOT_NULL)
        text_add(text, STR("null"));
    for (size_t i = 0; i < test->value_count; i++) {
        if (i > 0)
            text_add(text, STR(", "));
        write_value(text, type, &test->values[i]);
    }
    text_add(text, list ? STR("])") : STR(")"));
}

static void write_search(const char *name, const struct filter *search, struct text *text)
{
    text_addf(text, "%s(", name);
    if (search->attribute != FILTER_ATTRIBUTES)
        text_addf(text, "%.*s, ", STR_FMT(filter_attribute_name(search->attribute)));
    json_string_write(text, search->values[0].text);
    text_add_char(text, ')');
}

static void write_inside(const char *name, const struct filter *node, struct text *text)
{
    text_addf(text, "%s(", name);
    for (const struct filter *f = node->first; f; f = f->next) {
        bool alone = node->kind == FILTER_AND && f->kind == FILTER_TEST &&
                     filter_attribute_entry(f->attribute) != FILTER_ATTRIBUTES;
        if (f != node->first)
            text_add(text, STR(", "));
        if (alone)
            text_add(text, STR("and("));
        filter_write(f, text);
        if (alone)
            text_add_char(text, ')');
    }
    text_add_char(text, ')');
}

void filter_write(const struct filter *filter, struct text *text)
{
    switch (filter->kind) {
    case FILTER_ALL:
        text_add(text, STR("has(metadata, \"{}\")"));
        return;
    case FILTER_AND:
    case FILTER_ENTRY:
        write_inside("and", filter, text);
        return;
    case FILTER_OR:
        write_inside("or", filter, text);
        return;
    case FILTER_NOT:
        write_inside("not", filter, text);
        return;
    case FILTER_TEST:
        write_test(filter, text);
        return;
    case FILTER_SEARCH:
        write_search("search", filter, text);
        return;
    case FILTER_MATCHES:
        write_search("matches", filter, text);
        return;
    }
}
