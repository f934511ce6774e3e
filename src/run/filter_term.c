/* filter_term.c - the operators that name an attribute: eq to nin, has, exists, search,
 * matches. */
#include <string.h>

#include "base/arena.h"
#include "base/regex.h"
#include "base/text.h"
#include "run/filter.h"
#include "run/filter_lex.h"
#include "run/filter_parser.h"
#include "run/filter_value.h"

static int make_test(struct filter_parser *p, enum filter_attribute attribute,
                     enum filter_operator op, struct filter **result)
{
    int r = filter_make(p, FILTER_TEST, result);
    if (r)
        return r;
    (*result)->attribute = attribute;
    (*result)->op = op;
    return 0;
}

static void set_text(struct filter_parser *p, struct filter *node, struct str text)
{
    struct filter_value *value = arena_make(p->lex.arena, struct filter_value, 1);
    value->text = text;
    node->values = value;
    node->value_count = 1;
}

static bool at_null(const struct filter_parser *p)
{
    return filter_token_is_word(&p->lex.token, STR("null")) ||
           filter_token_is_word(&p->lex.token, STR("none"));
}

static int take_string(struct filter_parser *p, const char *what, struct str *result)
{
    if (p->lex.token.kind != FILTER_TOKEN_STRING)
        return filter_lex_expected(&p->lex, what);
    *result = p->lex.token.text;
    return filter_lex_next(&p->lex);
}

/* --- attributes ------------------------------------------------------------- */

static int no_attribute(const struct filter_parser *p, size_t at, struct str name)
{
    char shown[FILTER_SHOWN_MAX + 1];
    struct text list = {0};
    for (int i = 0; i < FILTER_ATTRIBUTES; i++)
        text_addf(&list, "%s%.*s", i ? ", " : "",
                  STR_FMT(filter_attribute_name((enum filter_attribute)i)));
    int r = filter_lex_wrong(&p->lex, at, "no attribute \"%s\"; there are %.*s",
                             filter_shown(name, shown), STR_FMT(text_str(&list)));
    text_free(&list);
    return r;
}

static int named(const struct filter_parser *p, size_t at, struct str name,
                 enum filter_attribute *result)
{
    *result = filter_attribute_named(name);
    return *result == FILTER_ATTRIBUTES ? no_attribute(p, at, name) : 0;
}

/* An attribute, which may be quoted, and the comma behind it; another argument follows. */
static int take_attribute(struct filter_parser *p, const struct filter_call *call,
                          enum filter_attribute *result)
{
    if (filter_at(p, ')'))
        return filter_wrong_count(p, call);
    if (p->lex.token.kind != FILTER_TOKEN_NAME && p->lex.token.kind != FILTER_TOKEN_STRING)
        return filter_lex_expected(&p->lex, "an attribute");
    int r = named(p, p->lex.token.at, p->lex.token.text, result);
    if (!r)
        r = filter_lex_next(&p->lex);
    if (!r)
        r = filter_take_comma(p, call);
    if (!r && filter_at(p, ')'))
        r = filter_wrong_count(p, call);
    return r;
}

/* --- comparisons ------------------------------------------------------------ */

static int no_json(const struct filter_parser *p, enum filter_attribute attribute)
{
    const char *instead = attribute == FILTER_METADATA
                              ? "see has, exists, search, metadata_key, metadata_value"
                              : "see search";
    return filter_lex_wrong(&p->lex, p->lex.token.at, "%.*s is only compared with null; %s",
                            STR_FMT(filter_attribute_name(attribute)), instead);
}

static int check_type(const struct filter_parser *p, const struct filter_call *call,
                      enum filter_attribute attribute)
{
    enum filter_operator op = call->word->op;
    enum filter_type type = filter_attribute_type(attribute);
    if (type == FILTER_JSON)
        return no_json(p, attribute);
    if ((type == FILTER_WORD || type == FILTER_BOOL) && op >= FILTER_GT && op <= FILTER_LTE)
        return filter_lex_wrong(&p->lex, call->at, "%.*s is equal or not, there is no %.*s of it",
                                STR_FMT(filter_attribute_name(attribute)),
                                STR_FMT(call->word->name));
    return 0;
}

/* The attribute, and the operator as it is called. */
static int begin_test(struct filter_parser *p, const struct filter_call *call,
                      struct filter **result)
{
    enum filter_attribute attribute;
    int r = take_attribute(p, call, &attribute);
    if (!r)
        r = make_test(p, attribute, call->word->op, result);
    if (!r)
        (*result)->loose = filter_attribute_entry(attribute) != FILTER_ATTRIBUTES;
    return r;
}

static int read_null(struct filter_parser *p, const struct filter_call *call, struct filter *test)
{
    if (call->word->op == FILTER_EQ)
        test->op = FILTER_IS_NULL;
    else if (call->word->op == FILTER_NEQ)
        test->op = FILTER_NOT_NULL;
    else
        return filter_lex_wrong(&p->lex, p->lex.token.at, "only eq and neq take null");
    return filter_lex_next(&p->lex);
}

int filter_read_compare(struct filter_parser *p, const struct filter_call *call,
                        struct filter **result)
{
    int r = begin_test(p, call, result);
    if (r)
        return r;
    struct filter *test = *result;
    if (filter_at(p, '['))
        return filter_lex_wrong(&p->lex, p->lex.token.at, "%.*s takes one value; in and nin a list",
                                STR_FMT(call->word->name));
    if (at_null(p)) {
        r = read_null(p, call, test);
        return r ? r : filter_check_end(p, call);
    }

    struct filter_value *value = arena_make(p->lex.arena, struct filter_value, 1);
    r = check_type(p, call, test->attribute);
    if (!r)
        r = filter_value_take(&p->lex, test->attribute, value);
    if (!r)
        r = filter_lex_next(&p->lex);
    if (!r)
        r = filter_check_end(p, call);
    test->values = value;
    test->value_count = 1;
    return r;
}

/* The token at hand is behind the "["; go past the "]". */
static int read_list(struct filter_parser *p, struct filter *test)
{
    struct filter_value *values = NULL;
    size_t count = 0, room = 0;
    while (!filter_at(p, ']') || count > 0) {
        if (count == FILTER_VALUES_MAX)
            return filter_lex_wrong(&p->lex, p->lex.token.at, "more than %d values in a list",
                                    FILTER_VALUES_MAX);
        if (count == room) {
            room = room ? 2 * room : 8;
            struct filter_value *more = arena_make(p->lex.arena, struct filter_value, room);
            if (count)
                memcpy(more, values, count * sizeof *values);
            values = more;
        }
        if (at_null(p))
            return filter_lex_wrong(&p->lex, p->lex.token.at, "a list holds no null; see eq");
        int r = filter_value_take(&p->lex, test->attribute, &values[count++]);
        if (!r)
            r = filter_lex_next(&p->lex);
        if (r)
            return r;
        if (filter_at(p, ']'))
            break;
        if (!filter_at(p, ','))
            return filter_lex_expected(&p->lex, "a comma or a ]");
        r = filter_lex_next(&p->lex);
        if (r)
            return r;
    }
    test->values = values;
    test->value_count = count;
    return filter_lex_next(&p->lex);
}

int filter_read_in(struct filter_parser *p, const struct filter_call *call, struct filter **result)
{
    int r = begin_test(p, call, result);
    if (r)
        return r;
    struct filter *test = *result;
    if (filter_attribute_type(test->attribute) == FILTER_JSON)
        return no_json(p, test->attribute);
    if (!filter_at(p, '['))
        return filter_lex_expected(&p->lex, "a list such as [\"a\", \"b\"]");
    r = filter_lex_next(&p->lex);
    if (!r)
        r = read_list(p, test);
    return r ? r : filter_check_end(p, call);
}

/* --- has, exists, search ---------------------------------------------------- */

static int make_equal(struct filter_parser *p, enum filter_attribute attribute, struct str text,
                      struct filter **result)
{
    int r = make_test(p, attribute, FILTER_EQ, result);
    if (!r)
        set_text(p, *result, text);
    return r;
}

static int make_member(struct filter_parser *p, const struct filter_pair *pair,
                       struct filter **result)
{
    struct filter *node = NULL;
    int r = filter_make(p, FILTER_ENTRY, &node);
    if (r)
        return r;
    node->attribute = FILTER_METADATA_KEY;
    *result = node;
    r = make_equal(p, FILTER_METADATA_KEY, pair->key, &node->first);
    if (r)
        return r;
    if (!pair->value.present)
        return make_test(p, FILTER_METADATA_VALUE, FILTER_IS_NULL, &node->first->next);
    return make_equal(p, FILTER_METADATA_VALUE, pair->value.value.text, &node->first->next);
}

/* Every member of the object is an entry of the metadata. */
static int make_members(struct filter_parser *p, struct str json, size_t at, struct filter **result)
{
    struct filter_pair *pairs;
    size_t count;
    if (!filter_value_members(json, p->lex.arena, &pairs, &count))
        return filter_lex_wrong(&p->lex, at,
                                "a key, or a JSON object of at most %d members, is expected",
                                FILTER_VALUES_MAX);
    if (count == 0)
        return filter_make(p, FILTER_ALL, result);
    if (count == 1)
        return make_member(p, pairs, result);
    int r = filter_make(p, FILTER_AND, result);
    if (r)
        return r;
    struct filter **link = &(*result)->first;
    for (size_t i = 0; i < count && !r; i++) {
        r = make_member(p, &pairs[i], link);
        if (!r)
            link = &(*link)->next;
    }
    return r;
}

static bool looks_like_object(struct str text)
{
    size_t i = 0;
    while (i < text.len && text.at[i] != '\0' && strchr(" \t\r\n", text.at[i]))
        i++;
    return i < text.len && text.at[i] == '{';
}

int filter_read_has(struct filter_parser *p, const struct filter_call *call, struct filter **result)
{
    enum filter_attribute attribute;
    struct str text = {NULL, 0};
    size_t at = p->lex.token.at;
    int r = take_attribute(p, call, &attribute);
    if (r)
        return r;
    if (attribute != FILTER_TAGS && attribute != FILTER_METADATA)
        return filter_lex_wrong(&p->lex, at, "has takes tags or metadata, not %.*s",
                                STR_FMT(filter_attribute_name(attribute)));
    at = p->lex.token.at;
    r = take_string(p, "a text in quotes", &text);
    if (r)
        return r;
    if (attribute == FILTER_TAGS)
        r = make_equal(p, FILTER_TAGS, text, result);
    else if (looks_like_object(text))
        r = make_members(p, text, at, result);
    else
        r = make_equal(p, FILTER_METADATA_KEY, text, result);
    return r ? r : filter_check_end(p, call);
}

int filter_read_exists(struct filter_parser *p, const struct filter_call *call,
                       struct filter **result)
{
    enum filter_attribute attribute;
    struct str text = {NULL, 0};
    size_t at = p->lex.token.at;
    int r = take_attribute(p, call, &attribute);
    if (r)
        return r;
    if (attribute != FILTER_METADATA)
        return filter_lex_wrong(&p->lex, at, "exists takes metadata, not %.*s",
                                STR_FMT(filter_attribute_name(attribute)));
    r = take_string(p, "a key in quotes", &text);
    if (!r)
        r = make_equal(p, FILTER_METADATA_KEY, text, result);
    return r ? r : filter_check_end(p, call);
}

static bool is_searched(enum filter_attribute attribute)
{
    return attribute == FILTER_NAME || attribute == FILTER_ERROR || attribute == FILTER_INPUTS ||
           attribute == FILTER_OUTPUTS || attribute == FILTER_TAGS || attribute == FILTER_METADATA;
}

/* What is sought; it stands at `at`. */
static int set_sought(struct filter_parser *p, struct filter *node, size_t at, struct str text)
{
    struct err why = {0};
    set_text(p, node, text);
    if (node->kind == FILTER_SEARCH)
        return 0;
    if (p->patterns++ == FILTER_PATTERNS_MAX)
        return filter_lex_wrong(&p->lex, at, "more than %d regular expressions",
                                FILTER_PATTERNS_MAX);
    if (regex_compile(text, p->lex.arena, &node->regex, &why))
        return filter_lex_wrong(&p->lex, at, "%s", why.text);
    return 0;
}

/* Only behind the first argument is it known whether that is the attribute. */
int filter_read_search(struct filter_parser *p, const struct filter_call *call,
                       struct filter **result)
{
    struct filter_token first = p->lex.token;
    struct filter *node = NULL;
    if (filter_at(p, ')'))
        return filter_wrong_count(p, call);
    if (first.kind != FILTER_TOKEN_STRING && first.kind != FILTER_TOKEN_NAME)
        return filter_lex_expected(&p->lex, "a text in quotes or an attribute");
    int r = filter_make(p, call->word->kind, &node);
    if (!r)
        r = filter_lex_next(&p->lex);
    if (r)
        return r;
    *result = node;
    if (first.kind == FILTER_TOKEN_STRING && !filter_at(p, ',')) {
        r = filter_check_end(p, call);
        return r ? r : set_sought(p, node, first.at, first.text);
    }

    struct str text = {NULL, 0};
    r = named(p, first.at, first.text, &node->attribute);
    if (r)
        return r;
    if (!is_searched(node->attribute))
        return filter_lex_wrong(&p->lex, first.at,
                                "%.*s takes name, error, inputs, outputs, tags or metadata, "
                                "not %.*s",
                                STR_FMT(call->word->name),
                                STR_FMT(filter_attribute_name(node->attribute)));
    r = filter_take_comma(p, call);
    if (!r && filter_at(p, ')'))
        r = filter_wrong_count(p, call);
    size_t at = p->lex.token.at;
    if (!r)
        r = take_string(p, "a text in quotes", &text);
    if (!r)
        r = filter_check_end(p, call);
    return r ? r : set_sought(p, node, at, text);
}
