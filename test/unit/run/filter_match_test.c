/* filter_match_test.c - what each operator and attribute means, on runs made by hand. */
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "lib/check.h"
#include "run/filter.h"

/* Good enough for ASCII. */
static bool contains(struct str text, struct str sought)
{
    for (size_t i = 0; i + sought.len <= text.len; i++)
        if (strncasecmp(text.at + i, sought.at, sought.len) == 0)
            return true;
    return false;
}

static bool match(const char *text, const struct filter_subject *subject)
{
    struct arena *arena = arena_new(256);
    const struct filter *filter = NULL;
    struct err err = {0};
    int r = filter_parse((struct str){text, strlen(text)}, arena, &filter, &err);
    if (r)
        fprintf(stderr, "%s\n  %s\n", text, err.text);
    CHECK(r == 0);
    bool found = false;
    CHECK(r != 0 || filter_match(filter, subject, &found, &err) == 0);
    arena_free(arena);
    return found;
}

#define IS(text) CHECK(match((text), subject))
#define IS_NOT(text) CHECK(!match((text), subject))

#define TEXT_OF(literal)                                                                           \
    {                                                                                              \
        .present = true, .value.text = {(literal), sizeof(literal) - 1 }                           \
    }
#define NUMBER(n)                                                                                  \
    {                                                                                              \
        .present = true, .value.number = (n)                                                       \
    }
#define DECIMAL(d)                                                                                 \
    {                                                                                              \
        .present = true, .value.decimal = (d)                                                      \
    }
#define TRUTH(b)                                                                                   \
    {                                                                                              \
        .present = true, .value.truth = (b)                                                        \
    }
#define ID(last)                                                                                   \
    {                                                                                              \
        .present = true, .value.uuid.byte = { [15] = (last) }                                      \
    }
#define KEY(literal)                                                                               \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define ZEROS "00000000-0000-0000-0000-0000000000"

static const struct str tags[] = {KEY("beta"), KEY("Prod")};
static const struct str child_names[] = {KEY("ChatModel"), KEY("search")};
static const struct filter_pair metadata[] = {
    {KEY("user"), TEXT_OF("u-1")},
    {KEY("n"), TEXT_OF("3")},
    {KEY("nothing"), {.present = false}},
    {KEY("other"), TEXT_OF("u-1")},
};
static const struct filter_pair feedback[] = {
    {KEY("correct"), DECIMAL(0.0)},
    {KEY("helpful"), DECIMAL(0.75)},
    {KEY("comment"), {.present = false}},
};

/* A run that has everything; 1000 seconds after 1970, in 2.5 seconds. */
static const struct filter_subject whole = {
    .cells =
        {
            [FILTER_ID] = ID(1),
            [FILTER_NAME] = TEXT_OF("Agent"),
            [FILTER_RUN_TYPE] = TEXT_OF("chain"),
            [FILTER_STATUS] = TEXT_OF("error"),
            [FILTER_ERROR] = TEXT_OF("ValueError: no"),
            [FILTER_START_TIME] = NUMBER(1000000000),
            [FILTER_END_TIME] = NUMBER(1002500000),
            [FILTER_LATENCY] = NUMBER(2500000),
            [FILTER_FIRST_TOKEN_TIME] = NUMBER(1001000000),
            [FILTER_TOTAL_TOKENS] = NUMBER(15),
            [FILTER_PROMPT_TOKENS] = NUMBER(10),
            [FILTER_COMPLETION_TOKENS] = NUMBER(5),
            [FILTER_TOTAL_COST] = DECIMAL(0.25),
            [FILTER_PROMPT_COST] = DECIMAL(0.2),
            [FILTER_COMPLETION_COST] = DECIMAL(0.05),
            [FILTER_INPUTS] = TEXT_OF("{\"question\":\"Why?\"}"),
            [FILTER_OUTPUTS] = TEXT_OF("{\"answer\":\"Because\"}"),
            [FILTER_IS_ROOT] = TRUTH(true),
            [FILTER_TRACE_ID] = ID(2),
            [FILTER_PARENT_RUN_ID] = ID(3),
            [FILTER_SESSION_ID] = ID(4),
            [FILTER_THREAD_ID] = TEXT_OF("t-1"),
            [FILTER_REFERENCE_EXAMPLE_ID] = ID(5),
            [FILTER_EXECUTION_ORDER] = NUMBER(1),
            [FILTER_DOTTED_ORDER] = TEXT_OF("20261123T162243784002Zab"),
        },
    .tags = tags,
    .tag_count = 2,
    .child_names = child_names,
    .child_count = 2,
    .metadata = metadata,
    .metadata_count = 4,
    .feedback = feedback,
    .feedback_count = 3,
    .contains = contains,
};

static const struct filter_subject empty = {.contains = contains};

TEST(every_attribute_is_equal_to_its_value)
{
    static const char *const attributes_and_values[][2] = {
        {"id", "'" ZEROS "01'"},
        {"name", "'Agent'"},
        {"run_type", "'CHAIN'"},
        {"status", "'error'"},
        {"error", "'ValueError: no'"},
        {"start_time", "'1970-01-01T00:16:40'"},
        {"end_time", "'1970-01-01T00:16:42.5+00:00'"},
        {"latency", "'2500ms'"},
        {"first_token_time", "'1970-01-01T00:16:41Z'"},
        {"total_tokens", "15"},
        {"prompt_tokens", "10"},
        {"completion_tokens", "5"},
        {"total_cost", "0.25"},
        {"prompt_cost", "0.2"},
        {"completion_cost", "0.05"},
        {"tags", "'Prod'"},
        {"tag", "'beta'"},
        {"metadata_key", "'n'"},
        {"metadata_value", "3"},
        {"feedback_key", "'helpful'"},
        {"feedback_score", "0.75"},
        {"is_root", "true"},
        {"trace_id", "'" ZEROS "02'"},
        {"parent_run_id", "'" ZEROS "03'"},
        {"session_id", "'" ZEROS "04'"},
        {"thread_id", "'t-1'"},
        {"reference_example_id", "'" ZEROS "05'"},
        {"execution_order", "1"},
        {"dotted_order", "'20261123T162243784002Zab'"},
        {"child_run_name", "'search'"},
    };
    for (size_t i = 0; i < sizeof attributes_and_values / sizeof *attributes_and_values; i++) {
        const char *attribute = attributes_and_values[i][0];
        static const struct {
            const char *before, *between, *after; /* of attribute and value */
            bool of_whole, of_empty;
        } conditions[] = {
            {"eq(", ", ", ")", true, false},      {"neq(", ", ", ")", false, true},
            {"in(", ", [", "])", true, false},    {"nin(", ", [", "])", false, true},
            {"not(eq(", ", ", "))", false, true},
        };
        char text[128];
        for (size_t j = 0; j < sizeof conditions / sizeof *conditions; j++) {
            snprintf(text, sizeof text, "%s%s%s%s%s", conditions[j].before, attribute,
                     conditions[j].between, attributes_and_values[i][1], conditions[j].after);
            if (match(text, &whole) != conditions[j].of_whole ||
                match(text, &empty) != conditions[j].of_empty) {
                fprintf(stderr, "%s\n", text);
                test_failures++;
            }
        }
        snprintf(text, sizeof text, "eq(%s, null)", attribute);
        CHECK(!match(text, &whole) && match(text, &empty));
        snprintf(text, sizeof text, "neq(%s, null)", attribute);
        CHECK(match(text, &whole) && !match(text, &empty));
    }
}

TEST(json_is_there_or_not)
{
    static const char *const attributes[] = {"inputs", "outputs", "metadata"};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "eq(%s, null)", attributes[i]);
        CHECK(!match(text, &whole) && match(text, &empty));
        snprintf(text, sizeof text, "neq(%s, null)", attributes[i]);
        CHECK(match(text, &whole) && !match(text, &empty));
    }
}

TEST(order_is_that_of_the_type)
{
    const struct filter_subject *subject = &whole;
    IS("gt(latency, 2.4)");
    IS_NOT("gt(latency, 2.5)");
    IS("gte(latency, 2.5)");
    IS_NOT("gte(latency, '2501ms')");
    IS("lt(latency, '1m')");
    IS_NOT("lt(latency, 2.5)");
    IS("lte(latency, 2.5)");
    IS_NOT("lte(latency, 2.499999)");
    IS("gt(total_tokens, 9)"); /* not as texts */
    IS("lt(total_tokens, 100)");
    IS("gt(total_cost, 0.2)");
    IS("lt(start_time, '1970-01-02')");
    IS_NOT("lt(start_time, '1970-01-01T00:16:40+00:01')");
    IS("gte(start_time, '1970-01-01T00:16:40')");
    IS("gt(name, 'AZ')"); /* bytes: small letters behind large ones */
    IS("gt(name, 'Agen')");
    IS("gt(name, 'AAAAAAAAA')");
    IS("lt(name, 'B')");
    IS("lt(name, 'Agent ')");
    IS_NOT("lt(name, 'Agent')");
    IS("lt(id, '" ZEROS "02')");
    IS("gt(id, '" ZEROS "00')");

    /* Absent is neither above nor below. */
    CHECK(!match("gt(latency, -1)", &empty) && !match("lt(latency, 1)", &empty));
    CHECK(!match("gte(latency, 0)", &empty) && !match("lte(latency, 0)", &empty));
}

TEST(lists_of_values)
{
    const struct filter_subject *subject = &whole;
    IS("in(name, ['x', 'Agent', 'y'])");
    IS_NOT("in(name, ['x', 'agent'])");
    IS_NOT("in(name, [])");
    IS("nin(name, ['x', 'agent'])");
    IS_NOT("nin(name, ['x', 'Agent'])");
    IS("nin(name, [])");
    CHECK(!match("in(name, [])", &empty) && match("nin(name, [])", &empty));
}

TEST(a_list_matches_by_any_element_and_fails_by_any)
{
    const struct filter_subject *subject = &whole;
    IS("and(eq(tags, 'beta'), eq(tags, 'Prod'))");
    IS("has(tags, 'beta')");
    IS_NOT("has(tags, 'BETA')");
    IS_NOT("has(tags, 'bet')");
    IS_NOT("neq(tags, 'beta')");
    IS("neq(tags, 'gamma')");
    IS("in(tags, ['gamma', 'Prod'])");
    IS_NOT("nin(tags, ['gamma', 'Prod'])");
    IS("gt(tags, 'a')");
    IS("lt(tags, 'a')"); /* Prod */
    IS_NOT("lt(tags, 'A')");
    IS("gt(feedback_score, 0.5)");
    IS("lt(feedback_score, 0.5)");
    IS_NOT("gt(feedback_score, 0.75)");
    IS_NOT("neq(feedback_score, 0)");
    IS("neq(feedback_score, 1)"); /* the absent one is not equal either */
    IS_NOT("neq(child_run_name, 'ChatModel')");
}

TEST(an_element_without_a_value_counts_as_none)
{
    static const struct filter_pair bare[] = {{KEY("k"), {.present = false}}};
    const struct filter_subject of_bare = {.metadata = bare,
                                           .metadata_count = 1,
                                           .feedback = bare,
                                           .feedback_count = 1,
                                           .contains = contains};
    const struct filter_subject *subject = &of_bare;
    IS("neq(feedback_key, null)");
    IS("eq(feedback_score, null)");
    IS_NOT("neq(feedback_score, null)");
    IS("neq(metadata, null)");
    IS("eq(metadata_value, null)");
    IS("neq(metadata_value, 'null')");
    IS("has(metadata, '{\"k\":null}')");
    IS_NOT("has(metadata, '{\"k\":\"null\"}')");
    IS("and(eq(metadata_key, 'k'), neq(metadata_value, 'x'))");
}

TEST(key_and_value_are_those_of_one_entry)
{
    const struct filter_subject *subject = &whole;
    IS("and(eq(metadata_key, 'user'), eq(metadata_value, 'u-1'))");
    IS_NOT("and(eq(metadata_key, 'user'), eq(metadata_value, '3'))");
    IS("and(and(eq(metadata_key, 'user')), eq(metadata_value, '3'))");
    IS("and(in(metadata_key, ['a', 'n']), in(metadata_value, [2, 3]))");
    IS_NOT("and(in(metadata_key, ['a', 'n']), in(metadata_value, ['u-1', 2]))");
    IS("and(eq(metadata_key, 'user'), eq(metadata_value, 'u-1'), "
       "eq(metadata_key, 'n'), eq(metadata_value, '3'))");
    IS_NOT("and(eq(metadata_key, 'user'), eq(metadata_value, '3'), "
           "eq(metadata_key, 'n'), eq(metadata_value, 'u-1'))");
    IS("and(eq(feedback_key, 'correct'), eq(feedback_score, 0.0))");
    IS_NOT("and(eq(feedback_key, 'correct'), gt(feedback_score, 0.0))");
    IS_NOT("and(eq(feedback_key, 'comment'), lt(feedback_score, 100))");
    IS("and(eq(feedback_key, 'comment'), eq(feedback_score, null))");
    IS("and(eq(feedback_key, 'helpful'), neq(feedback_score, null))");
    IS_NOT("and(eq(feedback_key, 'comment'), neq(feedback_score, null))");
    CHECK(!match("and(neq(metadata_key, 'a'), neq(metadata_value, 'b'))", &empty));
}

TEST(neq_with_a_key_or_value_beside_is_about_that_entry)
{
    const struct filter_subject *subject = &whole;
    IS("and(neq(metadata_key, 'user'), eq(metadata_value, 'u-1'))"); /* other */
    IS_NOT("and(neq(metadata_key, 'n'), eq(metadata_value, '3'))");
    IS("and(eq(metadata_key, 'user'), neq(metadata_value, '3'))");
    IS_NOT("and(eq(metadata_key, 'user'), neq(metadata_value, 'u-1'))");
    IS("and(eq(metadata_key, 'nothing'), neq(metadata_value, 'u-1'))");
    IS("and(nin(metadata_key, ['user', 'n', 'nothing']), eq(metadata_value, 'u-1'))");
    IS_NOT("and(nin(metadata_key, ['user', 'other']), eq(metadata_value, 'u-1'))");

    /* Alone it is about all of them. */
    IS_NOT("neq(metadata_key, 'user')");
    IS_NOT("and(neq(metadata_key, 'user'))");
    IS_NOT("and(neq(metadata_key, 'user'), neq(metadata_key, 'x'))");
    IS("and(neq(metadata_key, 'y'), neq(metadata_key, 'x'))");
    IS_NOT("and(eq(metadata_key, 'n'), neq(metadata_key, 'user'))");
}

TEST(a_range_is_of_one_entry)
{
    const struct filter_subject *subject = &whole;
    IS("and(gt(feedback_score, 0.5), lt(feedback_score, 0.8))");
    IS_NOT("and(gt(feedback_score, 0.1), lt(feedback_score, 0.7))"); /* 0 and 0.75 */
    IS("and(and(gt(feedback_score, 0.1)), and(lt(feedback_score, 0.7)))");
    IS_NOT("and(gt(feedback_score, 0.5), neq(feedback_score, 0.75))");
    IS("and(eq(feedback_key, 'helpful'), gt(feedback_score, 0.5), lt(feedback_score, 0.8))");
}

TEST(has_and_exists_look_into_metadata)
{
    const struct filter_subject *subject = &whole;
    IS("exists(metadata, 'user')");
    IS("exists(metadata, 'nothing')");
    IS_NOT("exists(metadata, 'u-1')");
    IS("has(metadata, 'n')");
    IS_NOT("has(metadata, 'm')");
    IS("has(metadata, '{\"user\":\"u-1\", \"n\": 3}')");
    IS("has(metadata, '{\"n\":\"3\"}')");
    IS_NOT("has(metadata, '{\"user\":\"u-1\", \"n\": 4}')");
    IS_NOT("has(metadata, '{\"user\":\"3\"}')");
    IS("has(metadata, '{}')");
    CHECK(match("has(metadata, '{}')", &empty));
    CHECK(!match("exists(metadata, 'user')", &empty));
}

#define FIFTY "01234567890123456789012345678901234567890123456789"

TEST(long_values_are_equal_by_all_their_bytes)
{
    char room[FILTER_SEEN_MAX], again[FILTER_SEEN_MAX];
    struct str value = STR(FIFTY FIFTY), other = STR(FIFTY "x" FIFTY), seen;
    seen = filter_seen(value, room);
    CHECK(seen.len <= FILTER_SEEN_MAX && !filter_seen_whole(seen));
    CHECK(filter_seen(seen, again).at == seen.at);
    CHECK(!str_eq(seen, filter_seen(other, again)));
    CHECK(filter_seen_whole(STR("short")) && filter_seen_whole(STR("")));
    CHECK(filter_seen((struct str){value.at, FILTER_SEEN_MAX}, again).at == value.at);

    const struct filter_pair pair = {KEY("k"), {.present = true, .value.text = seen}};
    const struct filter_subject one = {
        .metadata = &pair, .metadata_count = 1, .contains = contains};
    const struct filter_subject *subject = &one;
    IS("eq(metadata_value, '" FIFTY FIFTY "')");
    IS("has(metadata, '{\"k\":\"" FIFTY FIFTY "\"}')");
    IS("in(metadata_value, ['x', '" FIFTY FIFTY "'])");
    IS_NOT("eq(metadata_value, '" FIFTY "x" FIFTY "')");
    IS_NOT("eq(metadata_value, '" FIFTY "')");
    IS("neq(metadata_value, '" FIFTY "x" FIFTY "')");
    IS("gt(metadata_value, '" FIFTY "')");
    IS("lt(metadata_value, '1" FIFTY FIFTY "')");
    IS("search('6789012345678901')");
    IS_NOT("search('" FIFTY "')");
    IS_NOT("search('\xe2\x80\xa6')"); /* neither mark nor hash are of the value */
    IS("matches(metadata, '^[0-9]{32}$')");
}

TEST(and_or_not_are_those_of_two_values)
{
    const struct filter_subject *subject = &whole;
    IS("and(eq(name, 'Agent'), eq(status, 'error'), gt(latency, 1))");
    IS_NOT("and(eq(name, 'Agent'), eq(status, 'error'), gt(latency, 3))");
    IS_NOT("and(eq(name, 'x'), eq(status, 'error'))");
    IS("or(eq(name, 'x'), eq(status, 'x'), gt(latency, 1))");
    IS_NOT("or(eq(name, 'x'), eq(status, 'x'))");
    IS_NOT("not(eq(name, 'Agent'))");
    IS("not(not(eq(name, 'Agent')))");
    IS("not(and(eq(name, 'Agent'), eq(status, 'x')))");
    IS_NOT("not(or(eq(name, 'Agent'), eq(status, 'x')))");

    /* Also where nothing is known. */
    subject = &empty;
    IS("not(gt(latency, 1))");
    IS("not(lte(latency, 1))");
    IS("not(eq(name, 'x'))");
    IS_NOT("not(neq(name, 'x'))");
    IS("not(search('x'))");
    IS("not(and(eq(metadata_key, 'a'), eq(metadata_value, 'b')))");
}

TEST(a_search_looks_past_the_case_and_into_everything)
{
    const struct filter_subject *subject = &whole;
    IS("search('AGENT')");
    IS("search('valueerror')");
    IS("search('WHY')");
    IS("search('because')");
    IS("search('PROD')");
    IS("search('U-1')");
    IS("search('NOTHING')");
    IS_NOT("search('chain')"); /* the type */
    IS_NOT("search('helpful')");
    IS_NOT("search('t-1')");
    IS_NOT("search('ChatModel')");
    IS_NOT("search('absent')");
    CHECK(!match("search('')", &empty) && match("search('')", &whole));
}

TEST(a_search_may_be_of_one_attribute)
{
    const struct filter_subject *subject = &whole;
    IS("search(name, 'gen')");
    IS_NOT("search(name, 'why')");
    IS("search(error, 'NO')");
    IS("search(inputs, 'why')");
    IS_NOT("search(inputs, 'because')");
    IS("search(outputs, 'because')");
    IS("search(tags, 'bet')");
    IS_NOT("search('tags', 'user')");
    IS("search(metadata, 'USE')");
    IS("search(metadata, 'u-')");
    IS_NOT("search(metadata, 'agent')");
    CHECK(!match("search(name, '')", &empty) && !match("search(metadata, 'a')", &empty));
}

TEST(a_regular_expression_looks_where_a_search_does)
{
    const struct filter_subject *subject = &whole;
    IS("matches('^agent$')");
    IS("matches('value.*: no$')");
    IS("matches('wh.\\\\?')");
    IS("matches('BECAUSE')");
    IS("matches('^pro')");
    IS("matches('^u-[0-9]$')");
    IS("matches('^nothing$')");
    IS_NOT("matches('(?-i)agent')");
    IS_NOT("matches('chain')"); /* the type */
    IS_NOT("matches('helpful|t-1|chatmodel|absent')");
    IS_NOT("matches('agent.*value')"); /* each is a text of its own */
    IS("matches(name, '^a.e')");
    IS_NOT("matches(name, 'why')");
    IS("matches(error, 'no$')");
    IS_NOT("matches(inputs, 'because')");
    IS("matches(outputs, 'because')");
    IS("matches(tags, '^beta$')");
    IS_NOT("matches('tags', 'user')");
    IS("and(matches(metadata, '^use'), not(matches(metadata, 'agent')))");
    IS("matches('')");
    CHECK(!match("matches('')", &empty) && !match("matches(metadata, 'a')", &empty));
}

TEST(what_takes_too_much_is_an_error_and_not_false)
{
    static const struct filter_subject subject = {
        .cells[FILTER_NAME] = TEXT_OF("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"),
        .cells[FILTER_ERROR] = TEXT_OF("b"),
        .contains = contains,
    };
    static const char *const unknown[] = {
        "matches('^(a+)+$')",
        "not(matches(name, '^(a+)+$'))",
        "or(matches('^(a+)+$'), search('b'))",
        "or(and(matches('^(a+)+$'), search('none')), matches('b'))",
    };
    static const char *const known[] = {
        "matches(error, '^(a+)+$')",
        "and(search('none'), matches('^(a+)+$'))",
        "not(or(search('b'), matches('^(a+)+$')))",
    };
    struct arena *arena = arena_new(256);
    const struct filter *filter;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        struct err err = {0};
        bool is = true;
        CHECK(filter_parse((struct str){unknown[i], strlen(unknown[i])}, arena, &filter, NULL) ==
              0);
        CHECK(filter_match(filter, &subject, &is, &err) == ERR_INVALID && !is);
        CHECK(strstr(err.text, "\"^(a+)+$\" takes too much"));
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool is = true;
        CHECK(filter_parse((struct str){known[i], strlen(known[i])}, arena, &filter, NULL) == 0);
        CHECK(filter_match(filter, &subject, &is, NULL) == 0 && !is);
    }
    arena_free(arena);
}
