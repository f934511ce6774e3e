/* filter_value.c - see filter_value.h. */
#include "run/filter_value.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "run/filter_lex.h"
#include "wire/json_scan.h"
#include "wire/rfc3339.h"

const char *filter_value_words(enum filter_type type)
{
    switch (type) {
    case FILTER_UUID:
        return "a uuid in quotes";
    case FILTER_TEXT:
    case FILTER_WORD:
        return "a text in quotes";
    case FILTER_INSTANT:
        return "a date such as \"2026-11-23T16:22:43Z\"";
    case FILTER_DURATION:
        return "seconds, or a text such as \"5s\"";
    case FILTER_INTEGER:
        return "a whole number";
    case FILTER_DECIMAL:
        return "a number";
    case FILTER_BOOL:
        return "true or false";
    case FILTER_JSON:
        break;
    }
    return "null";
}

/* --- numbers ---------------------------------------------------------------- */

/* A JSON number, which ends where strtod() ends too. */
static double to_double(struct str number, struct arena *arena)
{
    return strtod(arena_copy(arena, number).at, NULL);
}

static bool read_decimal(struct str text, struct arena *arena, double *result)
{
    if (text.len == 0 || filter_number_size(text) != text.len)
        return false;
    *result = to_double(text, arena);
    return isfinite(*result);
}

static bool read_integer(struct str text, struct arena *arena, int64_t *result)
{
    static const double exact = 9007199254740992.0; /* whole numbers up to here are doubles */
    double d;
    if (!read_decimal(text, arena, &d))
        return false;
    if (memchr(text.at, '.', text.len) || memchr(text.at, 'e', text.len) ||
        memchr(text.at, 'E', text.len)) {
        if (fabs(d) > exact || d != trunc(d))
            return false;
        *result = (int64_t)d;
        return true;
    }
    errno = 0;
    long long n = strtoll(arena_copy(arena, text).at, NULL, 10);
    *result = n;
    return errno == 0;
}

/* "5s", "200ms", "1.5"; a number alone is seconds. */
static bool read_duration(struct str text, struct arena *arena, int64_t *result)
{
    static const struct {
        struct str name;
        double seconds;
    } units[] = {{{"", 0}, 1},   {{"ms", 2}, 0.001}, {{"s", 1}, 1},
                 {{"m", 1}, 60}, {{"h", 1}, 3600},   {{"d", 1}, 86400}};
    size_t size = filter_number_size(text);
    if (size == 0)
        return false;
    struct str unit = {text.at + size, text.len - size};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!str_eq(unit, units[i].name))
            continue;
        double seconds = to_double((struct str){text.at, size}, arena) * units[i].seconds;
        if (fabs(seconds) > FILTER_LATENCY_MAX)
            return false;
        *result = llround(seconds * 1e6);
        return true;
    }
    return false;
}

/* --- one value -------------------------------------------------------------- */

static bool read_instant(struct str text, struct arena *arena, int64_t *result)
{
    static const struct str midnight = {"T00:00:00Z", 10};
    enum { DATE = 10 };
    if (text.len != DATE)
        return rfc3339_parse(text, result);
    char *whole = arena_alloc(arena, DATE + midnight.len);
    memcpy(whole, text.at, DATE);
    memcpy(whole + DATE, midnight.at, midnight.len);
    return rfc3339_parse((struct str){whole, DATE + midnight.len}, result);
}

static struct str lower(struct str text, struct arena *arena)
{
    char *out = arena_alloc(arena, text.len);
    for (size_t i = 0; i < text.len; i++) {
        out[i] = text.at[i];
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] = (char)(out[i] | 0x20);
    }
    return (struct str){out, text.len};
}

static bool read_bool(struct str text, struct arena *arena, bool *result)
{
    struct str word = lower(text, arena);
    *result = str_eq(word, STR("true"));
    return *result || str_eq(word, STR("false"));
}

/* A number or boolean without quotes is meant where JSON values are kept as texts. */
static bool takes_json(enum filter_attribute attribute)
{
    return attribute == FILTER_METADATA_VALUE || attribute == FILTER_THREAD_ID;
}

static struct str seen(struct str value, struct arena *arena)
{
    char room[FILTER_SEEN_MAX];
    struct str short_one = filter_seen(value, room);
    return short_one.at == room ? arena_copy(arena, short_one) : value;
}

static bool read_text(const struct filter_token *token, bool json, struct arena *arena,
                      struct str *result)
{
    bool truth;
    switch (token->kind) {
    case FILTER_TOKEN_STRING:
        *result = token->text;
        return true;
    case FILTER_TOKEN_NUMBER:
        *result = arena_copy(arena, token->text);
        return json;
    case FILTER_TOKEN_NAME:
        *result = lower(token->text, arena);
        return json && read_bool(token->text, arena, &truth);
    case FILTER_TOKEN_END:
    case FILTER_TOKEN_MARK:
        break;
    }
    return false;
}

static bool read_value(const struct filter_token *token, enum filter_attribute attribute,
                       struct arena *arena, struct filter_value *result)
{
    bool string = token->kind == FILTER_TOKEN_STRING;
    bool number = string || token->kind == FILTER_TOKEN_NUMBER;
    bool word = string || token->kind == FILTER_TOKEN_NAME;
    switch (filter_attribute_type(attribute)) {
    case FILTER_UUID:
        return string && uuid_parse(token->text, &result->uuid);
    case FILTER_TEXT:
        if (!read_text(token, takes_json(attribute), arena, &result->text))
            return false;
        if (attribute == FILTER_METADATA_VALUE)
            result->text = seen(result->text, arena);
        return true;
    case FILTER_WORD:
        result->text = lower(token->text, arena);
        return string;
    case FILTER_INSTANT:
        return string && read_instant(token->text, arena, &result->number);
    case FILTER_DURATION:
        return number && read_duration(token->text, arena, &result->number);
    case FILTER_INTEGER:
        return number && read_integer(token->text, arena, &result->number);
    case FILTER_DECIMAL:
        if (number && read_decimal(token->text, arena, &result->decimal))
            return true;
        /* Thumbs up and down are kept as 1 and 0. */
        bool thumb;
        if (attribute != FILTER_FEEDBACK_SCORE || !word || !read_bool(token->text, arena, &thumb))
            return false;
        result->decimal = thumb ? 1 : 0;
        return true;
    case FILTER_BOOL:
        return word && read_bool(token->text, arena, &result->truth);
    case FILTER_JSON:
        break;
    }
    return false;
}

int filter_value_take(const struct filter_lex *lex, enum filter_attribute attribute,
                      struct filter_value *result)
{
    enum filter_type type = filter_attribute_type(attribute);
    assert(type != FILTER_JSON);
    struct filter_value value = {0};
    if (read_value(&lex->token, attribute, lex->arena, &value)) {
        *result = value;
        return 0;
    }
    char shown[FILTER_SHOWN_MAX + 1];
    const char *quote = lex->token.kind == FILTER_TOKEN_STRING ? "\"" : "";
    const char *found =
        lex->token.kind == FILTER_TOKEN_END ? "the end" : filter_shown(lex->token.text, shown);
    return filter_lex_wrong(lex, lex->token.at, "%.*s takes %s, not %s%s%s",
                            STR_FMT(filter_attribute_name(attribute)), filter_value_words(type),
                            quote, found, quote);
}

/* --- a JSON object ---------------------------------------------------------- */

static struct str without_space(struct str json, struct arena *arena)
{
    char *out = arena_alloc(arena, json.len);
    size_t len = 0;
    bool inside = false; /* a string */
    for (size_t i = 0; i < json.len; i++) {
        char c = json.at[i];
        if (!inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
            continue;
        if (c == '"')
            inside = !inside;
        out[len++] = c;
        if (inside && c == '\\')
            out[len++] = json.at[++i];
    }
    return (struct str){out, len};
}

static struct filter_pair member(struct str json, const struct json_scan *scan, struct arena *arena)
{
    struct str key = {json.at + scan->key.at, scan->key.len};
    struct str value = {json.at + scan->value.at, scan->value.len};
    struct filter_pair pair = {.key = filter_decode(key, arena)};
    pair.value.present = scan->type != JSON_NULL;
    struct str text = scan->type == JSON_STRING
                          ? filter_decode((struct str){value.at + 1, value.len - 2}, arena)
                          : without_space(value, arena);
    pair.value.value.text = seen(text, arena);
    return pair;
}

static size_t place_of(struct str key, const struct filter_pair *pairs, size_t count)
{
    size_t i = 0;
    while (i < count && !str_eq(pairs[i].key, key))
        i++;
    return i;
}

bool filter_value_members(struct str json, struct arena *arena, struct filter_pair **result,
                          size_t *count)
{
    struct json_scan scan;
    size_t fields = 0;
    enum json_event event;
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, json.at, json.len, true)) != JSON_END) {
        if (event == JSON_FAULT || event == JSON_MORE ||
            (event == JSON_ITEM && scan.type != JSON_OBJECT))
            return false;
        fields += event == JSON_FIELD;
    }
    if (fields > FILTER_VALUES_MAX)
        return false;

    struct filter_pair *pairs = arena_make(arena, struct filter_pair, fields);
    size_t used = 0;
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, json.at, json.len, true)) != JSON_END) {
        if (event != JSON_FIELD)
            continue;
        struct filter_pair pair = member(json, &scan, arena);
        size_t at = place_of(pair.key, pairs, used);
        assert(at < fields);
        pairs[at] = pair;
        used += at == used;
    }
    *result = pairs;
    *count = used;
    return true;
}
