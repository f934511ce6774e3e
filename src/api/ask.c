/* ask.c - see ask.h. */
#include "api/ask.h"

#include "api/fail.h"
#include "base/arena.h"
#include "run/render.h"

bool ask_form(struct http_request *request, struct form *form)
{
    struct err err = {0};
    if (form_parse(http_query(request), http_arena(request), form, &err) == 0)
        return true;
    http_fail(request, 400, "%s", err.text);
    return false;
}

bool ask_id(struct http_request *request, struct uuid *id)
{
    struct str text;
    if (form_decode_segment(http_part(request, 0), http_arena(request), &text) &&
        uuid_parse(text, id))
        return true;
    fail_value(request, "uuid_parsing", "path", "run_id", "Input should be a valid UUID");
    return false;
}

bool ask_fields(struct http_request *request, const struct form *form, uint64_t *fields)
{
    struct str list = form_get(form, STR("fields"));
    *fields = SHOW_ALL;
    if (!list.at)
        return true;
    *fields = SHOW(SHOW_ID);
    while (list.len) {
        const char *comma = memchr(list.at, ',', list.len);
        struct str name = {list.at, comma ? (size_t)(comma - list.at) : list.len};
        enum show field = show_named(name);
        if (field == SHOWS) {
            fail_value(request, "enum", "query", "fields",
                       "Input should be names of a run's fields, with commas between them");
            return false;
        }
        *fields |= SHOW(field);
        size_t used = name.len + (comma ? 1 : 0);
        list = (struct str){list.at + used, list.len - used};
    }
    return true;
}

bool ask_strong(struct http_request *request, const struct form *form, bool *strong)
{
    struct str value = form_get(form, STR("consistency"));
    *strong = str_eq(value, STR("strong"));
    if (!value.at || *strong || str_eq(value, STR("eventual")))
        return true;
    fail_value(request, "enum", "query", "consistency", "Input should be 'strong' or 'eventual'");
    return false;
}

/* A whole number in decimal; false for anything else.  A very large one is
 * large enough. */
static bool number(struct str text, long *value)
{
    bool negative = text.len && text.at[0] == '-';
    if (text.len == negative)
        return false;
    *value = 0;
    for (size_t i = negative; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        if (*value < 1000000000)
            *value = *value * 10 + (text.at[i] - '0');
    }
    *value = negative ? -*value : *value;
    return true;
}

static bool ask_limit(struct http_request *request, struct str text, uint32_t *limit)
{
    long value = 50;
    const char *type = NULL, *message = NULL;
    if (text.at && !number(text, &value)) {
        type = "int_parsing";
        message = "Input should be a valid integer, unable to parse string as an integer";
    } else if (value < 1) {
        type = "greater_than_equal";
        message = "Input should be greater than or equal to 1";
    } else if (value > QUERY_LIMIT_MAX) {
        type = "less_than_equal";
        message = "Input should be less than or equal to 1000";
    }
    if (type) {
        fail_value(request, type, "query", "limit", message);
        return false;
    }
    *limit = (uint32_t)value;
    return true;
}

bool ask_query(struct http_request *request, const struct form *form, struct query *query)
{
    struct str trace = form_get(form, STR("trace_id")), name = form_get(form, STR("name"));
    struct str cursor = form_get(form, STR("cursor"));
    *query = (struct query){.by_trace = trace.at != NULL, .by_name = name.len > 0, .name = name};
    if (query->by_trace && !uuid_parse(trace, &query->trace)) {
        fail_value(request, "uuid_parsing", "query", "trace_id", "Input should be a valid UUID");
        return false;
    }
    if (!ask_limit(request, form_get(form, STR("limit")), &query->limit))
        return false;
    if (cursor.len > 0) {
        query->after = true;
        if (!query_cursor_parse(cursor, &query->cursor)) {
            fail_value(request, "value_error", "query", "cursor",
                       "Input should be a next_cursor of an earlier answer");
            return false;
        }
    }
    if (!query->by_trace && !query->by_name) {
        http_fail(request, 400,
                  "At least one search parameter (trace_id or name) must be provided");
        return false;
    }
    return true;
}
