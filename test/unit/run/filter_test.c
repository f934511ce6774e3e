/* filter_test.c - the filter language: what is taken, as which tree, and what is refused. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "lib/filter_same.h"
#include "run/filter.h"

/* One text, and what became of it. */
struct parsed {
    struct arena *arena;
    const struct filter *filter;
    struct err err;
    int r;
};

static struct parsed parse(struct str text)
{
    struct parsed p = {.arena = arena_new(256)};
    char *copy = malloc(text.len ? text.len : 1); /* of exactly its size */
    if (!copy)
        abort();
    memcpy(copy, text.at, text.len);
    p.r = filter_parse((struct str){copy, text.len}, p.arena, &p.filter, &p.err);
    /* What was parsed holds nothing of the text. */
    memset(copy, '!', text.len);
    free(copy);
    return p;
}

static struct parsed parse_literal(const char *text)
{
    return parse((struct str){text, strlen(text)});
}

static void parsed_free(struct parsed *p)
{
    arena_free(p->arena);
}

static bool nothing_is_loose(const struct filter *filter)
{
    bool good = !filter->loose;
    for (const struct filter *f = filter->first; f; f = f->next)
        good = good && nothing_is_loose(f);
    return good;
}

/* Does it parse to what is written like that, and that to the same again? */
static bool means(const char *text, const char *canonical)
{
    struct parsed p = parse_literal(text);
    struct text written = {0};
    bool good = p.r == 0 && !p.filter->next && nothing_is_loose(p.filter);
    if (good) {
        filter_write(p.filter, &written);
        good = str_eq(text_str(&written), (struct str){canonical, strlen(canonical)});
        struct parsed again = parse(text_str(&written));
        good = good && again.r == 0 && filter_same(p.filter, again.filter);
        parsed_free(&again);
    }
    if (!good)
        fprintf(stderr, "%s\n  is      %.*s %s\n  and not %s\n", text, STR_FMT(text_str(&written)),
                p.err.text, canonical);
    text_free(&written);
    parsed_free(&p);
    return good;
}

/* Is it refused with exactly this? */
static bool refused(const char *text, const char *message)
{
    struct parsed p = parse_literal(text);
    bool good = p.r == ERR_INVALID && p.err.code == ERR_INVALID && !p.filter &&
                strcmp(p.err.text, message) == 0;
    if (!good)
        fprintf(stderr, "%s\n  says    %s\n  and not %s\n", text, p.err.text, message);
    parsed_free(&p);
    return good;
}

/* Is it refused at that column, with these words somewhere? */
static bool refused_at(const char *text, int column, const char *words)
{
    char where[40];
    struct parsed p = parse_literal(text);
    snprintf(where, sizeof where, "filter, column %d: ", column);
    bool good = p.r == ERR_INVALID && !p.filter && strncmp(p.err.text, where, strlen(where)) == 0 &&
                strstr(p.err.text, words) && strlen(p.err.text) < sizeof p.err.text - 1;
    for (const char *c = p.err.text; *c; c++)
        good = good && *c >= ' ' && *c <= '~';
    if (!good)
        fprintf(stderr, "%s\n  says %s\n", text, p.err.text);
    parsed_free(&p);
    return good;
}

#define HEX "018f0000-0000-7000-8000-0000000000ab"

/* --- what is taken ---------------------------------------------------------- */

TEST(the_examples_of_the_sdks_and_their_documentation)
{
    CHECK(means("and(eq(metadata_key, \"test_run\"), eq(metadata_value, \"abc\"))",
                "and(eq(metadata_key, \"test_run\"), eq(metadata_value, \"abc\"))"));
    CHECK(means("and(in(metadata_key, [\"session_id\",\"conversation_id\",\"thread_id\"]), "
                "eq(metadata_value, \"x\"))",
                "and(in(metadata_key, [\"session_id\", \"conversation_id\", \"thread_id\"]), "
                "eq(metadata_value, \"x\"))"));
    CHECK(means("eq(thread_id, \"x\")", "eq(thread_id, \"x\")"));
    CHECK(means("and(eq(run_type, \"chain\"), gt(latency, 10), gt(total_tokens, 5000))",
                "and(eq(run_type, \"chain\"), gt(latency, 10), gt(total_tokens, 5000))"));
    CHECK(means("and(gt(start_time, \"2023-07-15T12:34:56Z\"), or(neq(error, null), "
                "and(eq(feedback_key, \"Correctness\"), eq(feedback_score, 0.0))))",
                "and(gt(start_time, \"2023-07-15T12:34:56.000000Z\"), or(neq(error, null), "
                "and(eq(feedback_key, \"Correctness\"), eq(feedback_score, 0))))"));
    CHECK(means("and(or(has(tags, \"experimental\"), has(tags, \"beta\")), gt(latency, 2))",
                "and(or(eq(tags, \"experimental\"), eq(tags, \"beta\")), gt(latency, 2))"));
    CHECK(means("search(\"substring\")", "search(\"substring\")"));
    CHECK(means("gt(latency, \"5s\")", "gt(latency, 5)"));
    CHECK(means("and(neq(metadata_key,'a'), eq(metadata_value,'b'))",
                "and(neq(metadata_key, \"a\"), eq(metadata_value, \"b\"))"));
    CHECK(means("and(neq(metadata_key,'x'))", "neq(metadata_key, \"x\")"));
    CHECK(means("eq(is_root, true)", "eq(is_root, true)"));
    CHECK(means("exists(metadata, \"baz\")", "eq(metadata_key, \"baz\")"));
    CHECK(means("has(metadata, '{\"k\":\"v\"}')",
                "and(eq(metadata_key, \"k\"), eq(metadata_value, \"v\"))"));
    CHECK(means("has(\"metadata\", '{\"k\":\"v\"}')",
                "and(eq(metadata_key, \"k\"), eq(metadata_value, \"v\"))"));
}

TEST(operators_and_words_come_in_any_case_and_space_anywhere)
{
    CHECK(means("AND(Eq(name,'a'),NOT(oR(nEQ(error,NULL),In(tags,['b']))))",
                "and(eq(name, \"a\"), not(or(neq(error, null), in(tags, [\"b\"]))))"));
    CHECK(means(" \t\r\n eq \n( is_root\t,\r\nTRUE ) \n", "eq(is_root, true)"));
    CHECK(means("eq(is_root, False)", "eq(is_root, false)"));
    CHECK(means("eq(is_root, 'True')", "eq(is_root, true)"));
    CHECK(means("eq(error, None)", "eq(error, null)"));
    CHECK(means("neq(error, nOnE)", "neq(error, null)"));
    CHECK(means("nin ( tags , [ 'a' , 'b' ] )", "nin(tags, [\"a\", \"b\"])"));
}

TEST(every_operator_is_written_as_it_is_read)
{
    static const char *const texts[] = {
        "eq(total_tokens, 1)",  "neq(total_tokens, 1)",      "gt(total_tokens, 1)",
        "gte(total_tokens, 1)", "lt(total_tokens, 1)",       "lte(total_tokens, 1)",
        "in(name, [])",         "nin(total_tokens, [1, 2])", "eq(total_tokens, null)",
        "neq(inputs, null)",    "not(eq(name, \"a\"))",      "or(eq(name, \"a\"), eq(id, null))",
        "search(\"\")",         "search(metadata, \"a\")",   "has(metadata, \"{}\")",
        "matches(\"\")",        "matches(name, \"\\\\d\")",  "matches(\"\\\"|\\n\")",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CHECK(means(texts[i], texts[i]));
}

TEST(strings_have_two_quotes_and_the_escapes_of_json)
{
    CHECK(means("eq(name, 'it is \"so\"')", "eq(name, \"it is \\\"so\\\"\")"));
    CHECK(means("eq(name, \"it's\")", "eq(name, \"it's\")"));
    CHECK(means("eq(name, 'it\\'s')", "eq(name, \"it's\")"));
    CHECK(means("eq(name, \"it\\'s \\\"so\\\" \\\\\")", "eq(name, \"it's \\\"so\\\" \\\\\")"));
    CHECK(means("eq(name, '\\n\\t\\r\\b\\f\\/')", "eq(name, \"\\n\\t\\r\\b\\f/\")"));
    CHECK(means("eq(name, 'a\nb')", "eq(name, \"a\\nb\")"));
    CHECK(means("eq(name, '\\u0041\\u00e9\\u6771')", "eq(name, \"A\xc3\xa9\xe6\x9d\xb1\")"));
    CHECK(means("eq(name, '\\ud83d\\ude00')", "eq(name, \"\xf0\x9f\x98\x80\")"));
    CHECK(means("eq(name, '\\uD83D\\uDE00')", "eq(name, \"\xf0\x9f\x98\x80\")"));
    CHECK(means("eq(name, '\\ud83dx')", "eq(name, \"\xef\xbf\xbdx\")"));
    CHECK(means("eq(name, '\\uafaf\\uAFAF')", "eq(name, \"\xea\xbe\xaf\xea\xbe\xaf\")"));
    CHECK(means("eq(name, '\\ud83d')", "eq(name, \"\xef\xbf\xbd\")"));
    CHECK(means("eq(name, '\\ude00\\ud83d')", "eq(name, \"\xef\xbf\xbd\xef\xbf\xbd\")"));
    CHECK(means("eq(name, 'a\\u0000b')", "eq(name, \"a\xef\xbf\xbd"
                                         "b\")"));
    CHECK(means("eq(name, '')", "eq(name, \"\")"));
    CHECK(means("eq(\"na\\u006de\", 'null')", "eq(name, \"null\")"));
}

TEST(every_attribute_takes_what_it_is)
{
    static const struct str samples[] = {
        [FILTER_UUID] = {"\"" HEX "\"", 38},
        [FILTER_TEXT] = {"\"Text\"", 6},
        [FILTER_WORD] = {"\"word\"", 6},
        [FILTER_INSTANT] = {"\"2026-11-23T16:22:43.784002Z\"", 29},
        [FILTER_DURATION] = {"1.5", 3},
        [FILTER_INTEGER] = {"12", 2},
        [FILTER_DECIMAL] = {"0.25", 4},
        [FILTER_BOOL] = {"true", 4},
        [FILTER_JSON] = {"null", 4},
    };
    static const char names[] =
        "id name run_type status error start_time end_time latency first_token_time total_tokens "
        "prompt_tokens completion_tokens total_cost prompt_cost completion_cost tags metadata "
        "metadata_key metadata_value feedback_key feedback_score inputs outputs is_root trace_id "
        "parent_run_id session_id thread_id reference_example_id execution_order dotted_order "
        "child_run_name ";
    size_t count = 0;
    for (const char *at = names; *at; count++) {
        char text[128];
        size_t len = strcspn(at, " ");
        enum filter_attribute attribute = filter_attribute_named((struct str){at, len});
        CHECK(attribute == count);
        if (attribute == FILTER_ATTRIBUTES)
            return;
        CHECK(str_eq(filter_attribute_name(attribute), (struct str){at, len}));
        snprintf(text, sizeof text, "eq(%.*s, %.*s)", (int)len, at,
                 STR_FMT(samples[filter_attribute_type(attribute)]));
        CHECK(means(text, text));
        snprintf(text, sizeof text, "neq(%.*s, null)", (int)len, at);
        CHECK(means(text, text));
        at += len + 1;
    }
    CHECK(count == FILTER_ATTRIBUTES);
    CHECK(filter_attribute_named(STR("")) == FILTER_ATTRIBUTES);
    CHECK(filter_attribute_named(STR("NAME")) == FILTER_ATTRIBUTES);
    CHECK(means("eq(tag, 'a')", "eq(tags, \"a\")"));
}

TEST(the_attributes_that_are_lists_and_the_halves_of_entries)
{
    for (int i = 0; i < FILTER_ATTRIBUTES; i++) {
        enum filter_attribute a = (enum filter_attribute)i;
        bool metadata = a == FILTER_METADATA_KEY || a == FILTER_METADATA_VALUE;
        bool feedback = a == FILTER_FEEDBACK_KEY || a == FILTER_FEEDBACK_SCORE;
        CHECK(filter_attribute_entry(a) == (metadata   ? FILTER_METADATA_KEY
                                            : feedback ? FILTER_FEEDBACK_KEY
                                                       : FILTER_ATTRIBUTES));
        CHECK(filter_attribute_is_list(a) ==
              (metadata || feedback || a == FILTER_TAGS || a == FILTER_CHILD_RUN_NAME));
    }
}

TEST(ids_are_taken_with_and_without_dashes)
{
    CHECK(means("eq(trace_id, '018F00000000700080000000000000ab')", "eq(trace_id, \"" HEX "\")"));
    CHECK(means("in(id, ['" HEX "'])", "in(id, [\"" HEX "\"])"));
}

TEST(dates_are_instants)
{
    CHECK(means("lt(start_time, '2026-11-23T16:22:43')",
                "lt(start_time, \"2026-11-23T16:22:43.000000Z\")"));
    CHECK(means("lt(start_time, '2026-11-23 16:22:43.5+01:00')",
                "lt(start_time, \"2026-11-23T15:22:43.500000Z\")"));
    CHECK(means("lt(end_time, '2026-11-23')", "lt(end_time, \"2026-11-23T00:00:00.000000Z\")"));

    struct parsed p = parse(STR("eq(first_token_time, '1970-01-02')"));
    CHECK(p.r == 0 && p.filter->values[0].number == INT64_C(86400000000));
    parsed_free(&p);
}

TEST(latency_is_seconds_or_has_a_unit)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"10", 10000000},
        {"0.25", 250000},
        {"1e-6", 1},
        {"0.0000014", 1},
        {"-1", -1000000},
        {"0", 0},
        {"'5s'", 5000000},
        {"'200ms'", 200000},
        {"'1m'", 60000000},
        {"'2h'", 7200000000},
        {"'1d'", 86400000000},
        {"'1.5s'", 1500000},
        {"'7'", 7000000},
        {"'1e3ms'", 1000000},
        {"'0.001ms'", 1},
        {"1e9", 1000000000000000},
        {"123456789.123456", 123456789123456},
        {"-999999999.999999", -999999999999999},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        struct text written = {0};
        snprintf(text, sizeof text, "eq(latency, %s)", cases[i].text);
        struct parsed p = parse_literal(text);
        CHECK(p.r == 0 && p.filter->values[0].number == cases[i].us);
        if (p.r == 0) {
            filter_write(p.filter, &written);
            struct parsed again = parse(text_str(&written));
            CHECK(again.r == 0 && again.filter->values[0].number == cases[i].us);
            parsed_free(&again);
        }
        text_free(&written);
        parsed_free(&p);
    }
    CHECK(means("eq(latency, -0.5)", "eq(latency, -0.5)"));
    CHECK(means("eq(latency, -0)", "eq(latency, 0)"));
    CHECK(means("eq(latency, 1.000001)", "eq(latency, 1.000001)"));
    CHECK(means("eq(latency, 1.02)", "eq(latency, 1.02)"));
}

TEST(numbers_may_be_in_quotes_and_whole_ones_may_have_a_point)
{
    CHECK(means("gt(total_tokens, '5000')", "gt(total_tokens, 5000)"));
    CHECK(means("gt(total_tokens, 5000.0)", "gt(total_tokens, 5000)"));
    CHECK(means("gt(total_tokens, 5E+3)", "gt(total_tokens, 5000)"));
    CHECK(means("gt(total_tokens, 9007199254740992.0)", "gt(total_tokens, 9007199254740992)"));
    CHECK(refused_at("gt(total_tokens, 9007199254740994.0)", 18, "a whole number"));
    CHECK(
        means("gt(total_tokens, -9223372036854775808)", "gt(total_tokens, -9223372036854775808)"));
    CHECK(means("gt(total_tokens, 9223372036854775807)", "gt(total_tokens, 9223372036854775807)"));
    CHECK(means("gt(total_cost, '0.1')", "gt(total_cost, 0.1)"));
    CHECK(means("gt(total_cost, 1e300)", "gt(total_cost, 1e+300)"));
    CHECK(means("gt(total_cost, 0.30000000000000004)", "gt(total_cost, 0.30000000000000004)"));
    CHECK(means("gt(total_cost, -0)", "gt(total_cost, -0)"));
    CHECK(means("eq(feedback_score, True)", "eq(feedback_score, 1)"));
    CHECK(means("eq(feedback_score, 'false')", "eq(feedback_score, 0)"));
}

TEST(values_of_metadata_are_texts)
{
    CHECK(means("eq(metadata_value, 3)", "eq(metadata_value, \"3\")"));
    CHECK(means("eq(metadata_value, 3.0)", "eq(metadata_value, \"3.0\")"));
    CHECK(means("eq(metadata_value, True)", "eq(metadata_value, \"true\")"));
    CHECK(means("eq(metadata_value, '3')", "eq(metadata_value, \"3\")"));
    CHECK(means("in(thread_id, [7, 'x'])", "in(thread_id, [\"7\", \"x\"])"));
    CHECK(refused_at("eq(name, 3)", 10, "name takes a text in quotes, not 3"));
}

TEST(types_and_states_are_lower_case)
{
    CHECK(means("in(run_type, ['LLM', 'Tool'])", "in(run_type, [\"llm\", \"tool\"])"));
    CHECK(means("neq(status, \"ERROR\")", "neq(status, \"error\")"));
    CHECK(means("eq(run_type, 'AZ_[@9')", "eq(run_type, \"az_[@9\")"));
    CHECK(means("eq(name, 'LLM')", "eq(name, \"LLM\")"));
}

/* --- trees ------------------------------------------------------------------ */

TEST(an_and_in_an_and_is_the_same_and)
{
    CHECK(means("and(eq(name, 'a'), and(eq(name, 'b'), and(eq(name, 'c'))), eq(name, 'd'))",
                "and(eq(name, \"a\"), eq(name, \"b\"), eq(name, \"c\"), eq(name, \"d\"))"));
    CHECK(means("or(or(eq(name, 'a'), eq(name, 'b')), or(eq(name, 'c')))",
                "or(eq(name, \"a\"), eq(name, \"b\"), eq(name, \"c\"))"));
    CHECK(means("and(and(and(eq(name, 'a'))))", "eq(name, \"a\")"));
    CHECK(means("and(and(eq(name, 'a'), eq(name, 'b')))", "and(eq(name, \"a\"), eq(name, \"b\"))"));
    CHECK(means("and(or(and(eq(name, 'a'), eq(name, 'b'))), eq(name, 'c'))",
                "and(eq(name, \"a\"), eq(name, \"b\"), eq(name, \"c\"))"));
    CHECK(means("not(not(eq(name, 'a')))", "not(not(eq(name, \"a\")))"));
}

TEST(key_and_value_in_one_and_are_one_entry)
{
    struct parsed p = parse(STR("and(eq(name, 'n'), eq(metadata_value, '1'), eq(status, 's'), "
                                "in(metadata_key, ['a']), gt(latency, 1))"));
    CHECK(p.r == 0 && p.filter->kind == FILTER_AND);
    const struct filter *entry = p.filter->first->next;
    CHECK(p.filter->first->attribute == FILTER_NAME);
    CHECK(entry->kind == FILTER_ENTRY && entry->attribute == FILTER_METADATA_KEY);
    CHECK(entry->first->attribute == FILTER_METADATA_VALUE && entry->first->op == FILTER_EQ);
    CHECK(entry->first->next->attribute == FILTER_METADATA_KEY);
    CHECK(entry->first->next->op == FILTER_IN && entry->first->next->next == NULL);
    CHECK(entry->next->attribute == FILTER_STATUS);
    CHECK(entry->next->next->attribute == FILTER_LATENCY && !entry->next->next->next);
    parsed_free(&p);

    p = parse(STR("and(neq(feedback_key, 'a'), nin(feedback_score, [0, 1]))"));
    CHECK(p.r == 0 && p.filter->kind == FILTER_ENTRY);
    CHECK(p.filter->attribute == FILTER_FEEDBACK_KEY);
    parsed_free(&p);
}

TEST(a_second_key_begins_a_second_entry)
{
#define ONE(key, value) "and(eq(metadata_key, \"" key "\"), eq(metadata_value, \"" value "\"))"
    const char *two = "and(" ONE("a", "1") ", " ONE("b", "2") ")";
    CHECK(means("and(eq(metadata_key,'a'), eq(metadata_value,'1'), eq(metadata_key,'b'), "
                "eq(metadata_value,'2'))",
                two));
    CHECK(means("and(and(eq(metadata_key,'a'), eq(metadata_value,'1')), "
                "and(eq(metadata_key,'b'), eq(metadata_value,'2')))",
                two));
    CHECK(means("has(metadata, '{\"a\":\"1\", \"b\":\"2\"}')", two));
    CHECK(means("and(eq(metadata_value,'1'), eq(metadata_key,'a'), eq(metadata_value,'2'), "
                "eq(metadata_key,'b'))",
                "and(and(eq(metadata_value, \"1\"), eq(metadata_key, \"a\")), "
                "and(eq(metadata_value, \"2\"), eq(metadata_key, \"b\")))"));
    CHECK(means("and(eq(metadata_key,'a'), in(metadata_key,['b']), eq(metadata_value,'2'))",
                "and(and(eq(metadata_key, \"a\")), "
                "and(in(metadata_key, [\"b\"]), eq(metadata_value, \"2\")))"));
    CHECK(means("and(neq(metadata_key,'a'), eq(metadata_key,'b'), eq(metadata_value,'2'))",
                "and(neq(metadata_key, \"a\"), eq(metadata_key, \"b\"), "
                "eq(metadata_value, \"2\"))"));
}

TEST(metadata_and_feedback_are_not_mixed)
{
    CHECK(means("and(eq(metadata_key,'a'), eq(feedback_key,'f'), eq(feedback_score,1), "
                "eq(metadata_value,'1'))",
                "and(" ONE("a", "1") ", and(eq(feedback_key, \"f\"), eq(feedback_score, 1)))"));
    CHECK(means("and(eq(metadata_key,'a'), eq(feedback_score,1))",
                "and(and(eq(metadata_key, \"a\")), and(eq(feedback_score, 1)))"));
}

TEST(conditions_on_one_half_stand_alone_unless_they_are_a_range)
{
    CHECK(means("and(eq(metadata_key,'a'), neq(metadata_key,'b'))",
                "and(and(eq(metadata_key, \"a\")), and(neq(metadata_key, \"b\")))"));
    CHECK(means("and(neq(metadata_key,'a'), nin(metadata_key,['b']), eq(name, 'n'))",
                "and(and(neq(metadata_key, \"a\")), and(nin(metadata_key, [\"b\"])), "
                "eq(name, \"n\"))"));
    CHECK(means("and(eq(name, 'n'), eq(metadata_key,'a'))",
                "and(eq(name, \"n\"), and(eq(metadata_key, \"a\")))"));

    struct parsed p = parse(STR("and(gt(feedback_score, 0.2), lt(feedback_score, 0.8))"));
    CHECK(p.r == 0 && p.filter->kind == FILTER_ENTRY);
    parsed_free(&p);
    p = parse(STR("and(neq(feedback_score, 0.5), gte(feedback_score, 0.2))"));
    CHECK(p.r == 0 && p.filter->kind == FILTER_ENTRY);
    parsed_free(&p);
    p = parse(STR("and(gt(feedback_score, 0.2), eq(name, 'n'))"));
    CHECK(p.r == 0 && p.filter->kind == FILTER_AND);
    CHECK(p.filter->first->kind == FILTER_TEST && p.filter->first->next->kind == FILTER_TEST);
    parsed_free(&p);
}

TEST(an_inner_and_keeps_its_conditions_for_itself)
{
    CHECK(means("and(and(eq(metadata_key,'a')), eq(metadata_value,'1'))",
                "and(and(eq(metadata_key, \"a\")), and(eq(metadata_value, \"1\")))"));
    CHECK(means("and(and(eq(metadata_key,'a'), eq(name,'n')), eq(metadata_value,'1'))",
                "and(and(eq(metadata_key, \"a\")), eq(name, \"n\"), "
                "and(eq(metadata_value, \"1\")))"));
    CHECK(means("and(eq(metadata_key,'a'), or(eq(metadata_value,'1'), eq(metadata_value,'2')))",
                "and(and(eq(metadata_key, \"a\")), "
                "or(eq(metadata_value, \"1\"), eq(metadata_value, \"2\")))"));
    CHECK(means("and(eq(metadata_key,'a'), or(eq(metadata_value,'1')))",
                "and(and(eq(metadata_key, \"a\")), and(eq(metadata_value, \"1\")))"));
    CHECK(means("and(eq(metadata_key,'a'), not(eq(metadata_value,'1')))",
                "and(and(eq(metadata_key, \"a\")), not(eq(metadata_value, \"1\")))"));
    CHECK(means("and(exists(metadata,'a'), eq(metadata_value,'1'))",
                "and(and(eq(metadata_key, \"a\")), and(eq(metadata_value, \"1\")))"));
    CHECK(means(
        "and(has(metadata,'a'), has(metadata,'{\"b\":1}'), eq(metadata_value,'1'))",
        "and(and(eq(metadata_key, \"a\")), " ONE("b", "1") ", "
                                                           "and(eq(metadata_value, \"1\")))"));
}

TEST(null_is_a_condition_of_an_entry_like_others)
{
    CHECK(means("and(eq(feedback_key,'a'), neq(feedback_score,null))",
                "and(eq(feedback_key, \"a\"), neq(feedback_score, null))"));
    CHECK(means("and(eq(feedback_key,null), eq(name,'n'))",
                "and(and(eq(feedback_key, null)), eq(name, \"n\"))"));
    CHECK(means("has(metadata, '{\"a\":null}')",
                "and(eq(metadata_key, \"a\"), eq(metadata_value, null))"));
}

TEST(has_takes_json_apart)
{
    CHECK(means(
        "has(metadata, ' {\"a\" : 1.50, \"b c\":[1, null], \"d\":{\"e\" : true}}\n')",
        "and(" ONE("a", "1.50") ", " ONE("b c", "[1,null]") ", " ONE("d", "{\\\"e\\\":true}") ")"));
    /* In JSON: {"a": [" \" ", 2], "\n": "\u00e9"} */
    CHECK(means("has(metadata, '{\"a\": [\" \\\\\" \", 2], \"\\\\n\": \"\\\\u00e9\"}')",
                "and(" ONE("a", "[\\\" \\\\\\\" \\\",2]") ", " ONE("\\n", "\xc3\xa9") ")"));
    CHECK(means("has(metadata, '{\"a\":1,\"b\":2,\"a\":3}')",
                "and(" ONE("a", "3") ", " ONE("b", "2") ")"));
    CHECK(means("has(metadata, '{\"\":\"\"}')", ONE("", "")));
    CHECK(means("has(metadata, '\\t\\r\\n{\"a\":\\t[ 1,\\r\\n2\\t]\\r}')", ONE("a", "[1,2]")));
    CHECK(means("has(metadata, '{\"\\\\u0000\":\"\\\\u0000\"}')",
                ONE("\xef\xbf\xbd", "\xef\xbf\xbd")));
    CHECK(means("has(metadata, 'plain {key}')", "eq(metadata_key, \"plain {key}\")"));
    CHECK(means("has(metadata, '[1]')", "eq(metadata_key, \"[1]\")"));
    CHECK(means("and(has(metadata, ' { } '), eq(name, 'n'))",
                "and(has(metadata, \"{}\"), eq(name, \"n\"))"));
    CHECK(means("not(has(metadata, '{\"a\":1,\"b\":2}'))",
                "not(and(" ONE("a", "1") ", " ONE("b", "2") "))"));
}

/* --- what is refused -------------------------------------------------------- */

TEST(an_error_says_where_and_what)
{
    CHECK(refused("and(is_root, eq(foo, 1))",
                  "filter, column 5: no operator \"is_root\"; there are and, or, not, eq, neq, gt, "
                  "gte, lt, lte, in, nin, has, exists, search, matches"));
    CHECK(
        refused("and(not(eq(foo, 1)))",
                "filter, column 12: no attribute \"foo\"; there are id, name, run_type, status, "
                "error, start_time, end_time, latency, first_token_time, total_tokens, "
                "prompt_tokens, completion_tokens, total_cost, prompt_cost, completion_cost, tags, "
                "metadata, metadata_key, metadata_value, feedback_key, feedback_score, inputs, "
                "outputs, is_root, trace_id, parent_run_id, session_id, thread_id, "
                "reference_example_id, execution_order, dotted_order, child_run_name"));
    CHECK(refused("gt(latency, 'soon')",
                  "filter, column 13: latency takes seconds, or a text such as \"5s\", not "
                  "\"soon\""));
    CHECK(refused("eq(name, \"\xc3\xa9\xf0\x9f\x98\x80\") x",
                  "filter, column 16: expected the end, found x"));
    CHECK(refused("eq(name, 'a'))", "filter, column 14: expected the end, found )"));
    CHECK(refused("", "filter, column 1: expected a condition such as eq(name, \"x\"), found the "
                      "end"));
}

TEST(what_no_attribute_is)
{
    CHECK(refused_at("eq(foo, 1)", 4, "\"foo\""));
    CHECK(refused_at("eq('foo', 1)", 4, "\"foo\""));
    CHECK(refused_at("eq(Name, 'a')", 4, "\"Name\""));
    CHECK(refused_at("eq(metadata.k, 'a')", 4, "\"metadata.k\""));
    CHECK(refused_at("eq('\xc3\xa9\\n', 'a')", 4, "\"???\""));
    CHECK(refused_at("eq(null, 'a')", 4, "\"null\""));
    CHECK(refused_at("eq(an_attribute_with_a_name_that_is_much_longer_than_a_message, 'a')", 4,
                     ", dotted_order, child_run_name"));
    CHECK(refused_at("eq(3, 'a')", 4, "expected an attribute, found 3"));
    CHECK(refused_at("eq([1], 'a')", 4, "expected an attribute, found ["));
    CHECK(refused_at("search(foo, 'a')", 8, "\"foo\""));
    CHECK(refused_at("search('foo', 'a')", 8, "\"foo\""));
}

TEST(what_no_operator_is)
{
    CHECK(refused_at("foo(name, 'a')", 1, "no operator \"foo\""));
    CHECK(refused_at("and(eq(name, 'a'), foo())", 20, "no operator \"foo\""));
    CHECK(refused_at("eq.x(name, 'a')", 1, "no operator \"eq.x\""));
    CHECK(refused_at("aA_zZ.09(name, 'a')", 1, "no operator \"aA_zZ.09\""));
    CHECK(refused_at("an_operator_with_a_name_that_is_much_longer_than_a_message()", 1, "search"));
    CHECK(refused_at("and('a')", 5, "expected a condition such as eq(name, \"x\"), found a text"));
    CHECK(refused_at("and(3)", 5, "found 3"));
    CHECK(refused_at("(eq(name, 'a'))", 1, "found ("));
    CHECK(refused_at("[eq(name, 'a')]", 1, "found ["));
}

TEST(the_syntax_is_kept)
{
    CHECK(refused_at("eq", 3, "expected an opening parenthesis, found the end"));
    CHECK(refused_at("eq[name, 'a']", 3, "found ["));
    CHECK(refused_at("eq(", 4, "expected an attribute, found the end"));
    CHECK(refused_at("eq(name", 8, "expected a comma, found the end"));
    CHECK(refused_at("eq(name 'a')", 9, "expected a comma, found a text"));
    CHECK(refused_at("eq(name,", 9, "name takes a text in quotes, not the end"));
    CHECK(refused_at("eq(name, 'a'", 13, "expected a closing parenthesis, found the end"));
    CHECK(refused_at("eq(name, 'a']", 13, "expected a closing parenthesis, found ]"));
    CHECK(refused_at("eq(name, 'a'))", 14, "expected the end, found )"));
    CHECK(refused_at("eq(name, 'a') eq(name, 'b')", 15, "expected the end, found eq"));
    CHECK(refused_at("and(eq(name, 'a')", 18, "a comma or a closing parenthesis"));
    CHECK(refused_at("and(eq(name, 'a'),)", 19, "expected a condition"));
    CHECK(refused_at("and(eq(name, 'a') eq(name, 'b'))", 19, "a comma or a closing parenthesis"));
    CHECK(refused_at("in(name, ['a' 'b'])", 15, "expected a comma or a ]"));
    CHECK(refused_at("in(name, ['a',])", 15, "name takes a text in quotes, not ]"));
    CHECK(refused_at("in(name, [,])", 11, "not ,"));
    CHECK(refused_at("in(name, ['a'", 14, "expected a comma or a ]"));
    CHECK(refused_at("eq(name, @)", 10, "unexpected @"));
    CHECK(refused_at("eq(name, ~)", 10, "unexpected ~"));
    CHECK(refused_at("eq('~ ', 1)", 4, "\"~ \""));
    CHECK(refused_at("eq(name, \xc3\xa9)", 10, "unexpected character"));
    CHECK(refused_at("search(3)", 8, "expected a text in quotes or an attribute, found 3"));
    CHECK(refused_at("search(name)", 12, "search takes a text"));
    CHECK(refused_at("search(name 'a')", 13, "expected a comma"));
    CHECK(refused_at("search('a' 'b')", 12, "expected a closing parenthesis"));
    CHECK(refused_at("matches(3)", 9, "expected a text in quotes or an attribute, found 3"));
    CHECK(refused_at("matches('(' 'b')", 13, "expected a closing parenthesis"));
}

TEST(texts_end_and_have_known_escapes)
{
    CHECK(refused_at("eq(name, 'a)", 10, "does not end"));
    CHECK(refused_at("eq(name, \"a')", 10, "does not end"));
    CHECK(refused_at("eq(name, 'a\\')", 10, "does not end"));
    CHECK(refused_at("eq(name, 'a\\", 10, "does not end"));
    CHECK(refused_at("eq(name, 'a\\x41')", 12, "no such escape"));
    CHECK(refused_at("eq(name, '\\u12')", 11, "no such escape"));
    CHECK(refused_at("eq(name, '\\u123')", 11, "no such escape"));
    CHECK(refused_at("eq(name, '\\u123g')", 11, "no such escape"));

    struct parsed p = parse(STR("eq(name, 'a\0b')"));
    CHECK(p.r == ERR_INVALID && strcmp(p.err.text, "filter, column 12: a NUL in a text") == 0);
    parsed_free(&p);
    p = parse(STR("eq(name\0, 'b')"));
    CHECK(p.r == ERR_INVALID && strcmp(p.err.text, "filter, column 8: unexpected character") == 0);
    parsed_free(&p);
    p = parse(STR("eq(name, 'a\\\0')"));
    CHECK(p.r == ERR_INVALID && strstr(p.err.text, "filter, column 12: no such escape"));
    parsed_free(&p);
    CHECK(refused("eq(name, '\xff')", "filter: not UTF-8"));
}

TEST(numbers_are_those_of_json)
{
    static const char *const broken[] = {"-",   "01", "1.",    "1.e3", "1e", "1e+",
                                         "0x1", "5s", "1.2.3", "--1",  "-a", "1_000"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "eq(total_cost, %s)", broken[i]);
        CHECK(refused_at(text, 16, "no number as JSON has them"));
        snprintf(text, sizeof text, "eq(total_cost, '%s')", broken[i]);
        CHECK(refused_at(text, 16, "total_cost takes a number, not"));
    }
    CHECK(refused_at("eq(total_cost, +1)", 16, "unexpected +"));
    CHECK(refused_at("eq(total_cost, .5)", 16, "unexpected ."));
    CHECK(refused_at("eq(total_cost, NaN)", 16, "total_cost takes a number, not NaN"));
    CHECK(refused_at("eq(total_cost, '')", 16, "total_cost takes a number, not \"\""));
    CHECK(refused_at("eq(total_cost, 1e999)", 16, "total_cost takes a number"));
    CHECK(refused_at("eq(total_cost, true)", 16, "total_cost takes a number"));
    CHECK(refused_at("eq(total_tokens, 1.5)", 18, "total_tokens takes a whole number, not 1.5"));
    CHECK(refused_at("eq(total_tokens, 9223372036854775808)", 18, "a whole number"));
    CHECK(refused_at("eq(total_tokens, 1e16)", 18, "a whole number"));
}

TEST(a_value_has_the_type_of_its_attribute)
{
    CHECK(refused_at("eq(id, 'x')", 8, "id takes a uuid in quotes, not \"x\""));
    CHECK(refused_at("eq(id, 3)", 8, "id takes a uuid"));
    CHECK(refused_at("eq(name, foo)", 10, "name takes a text in quotes, not foo"));
    CHECK(refused_at("eq(name, true)", 10, "not true"));
    CHECK(refused_at("eq(metadata_value, foo)", 20, "metadata_value takes a text"));
    CHECK(refused_at("eq(run_type, llm)", 14, "run_type takes a text in quotes, not llm"));
    CHECK(refused_at("eq(start_time, 'now')", 16, "start_time takes a date such as"));
    CHECK(refused_at("eq(start_time, '2026-02-30')", 16, "start_time takes a date such as"));
    CHECK(refused_at("eq(start_time, 1700000000000)", 16, "start_time takes a date such as"));
    CHECK(refused_at("eq(latency, '5 s')", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, '5y')", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, 's')", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, '')", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, 1.1e9)", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, 1e999)", 13, "latency takes seconds"));
    CHECK(refused_at("eq(latency, '12000d')", 13, "latency takes seconds"));
    CHECK(refused_at("eq(is_root, 1)", 13, "is_root takes true or false, not 1"));
    CHECK(refused_at("eq(is_root, 'yes')", 13, "is_root takes true or false, not \"yes\""));
    CHECK(refused_at("eq(start_time, end_time)", 16, "not end_time"));
    CHECK(refused_at("in(id, ['" HEX "', 'x'])", 49, "id takes a uuid"));
    CHECK(refused_at("eq(completion_tokens, 'a text that is a good deal longer than forty')", 23,
                     "not \"a text that is a good deal longer than f\""));
}

TEST(an_operator_takes_what_it_takes)
{
    CHECK(refused_at("and()", 5, "and takes one condition or more"));
    CHECK(refused_at("OR()", 4, "or takes one condition or more"));
    CHECK(refused_at("not()", 5, "not takes one condition"));
    CHECK(refused_at("not(eq(name, 'a'), eq(name, 'b'))", 18, "not takes one condition"));
    CHECK(refused_at("eq()", 4, "eq takes an attribute and a value"));
    CHECK(refused_at("eq(name)", 8, "eq takes an attribute and a value"));
    CHECK(refused_at("eq(name,)", 9, "eq takes an attribute and a value"));
    CHECK(refused_at("eq(name, 'a', 'b')", 13, "eq takes an attribute and a value"));
    CHECK(refused_at("eq(name, null, 'b')", 14, "eq takes an attribute and a value"));
    CHECK(refused_at("eq(name, ['a'])", 10, "eq takes one value; in and nin a list"));
    CHECK(refused_at("eq(name, eq(name, 'a'))", 10, "name takes a text in quotes, not eq"));
    CHECK(refused_at("in(name, 'a')", 10, "expected a list such as [\"a\", \"b\"], found a text"));
    CHECK(refused_at("in(name, null)", 10, "expected a list"));
    CHECK(refused_at("nin(name)", 9, "nin takes an attribute and a list"));
    CHECK(refused_at("in(name, ['a'], ['b'])", 15, "in takes an attribute and a list"));
    CHECK(refused_at("in(name, ['a', null])", 16, "a list holds no null"));
    CHECK(refused_at("in(name, [['a']])", 11, "name takes a text in quotes, not ["));
    CHECK(refused_at("gt(total_tokens, null)", 18, "only eq and neq take null"));
    CHECK(refused_at("and(gt(is_root, true))", 5, "is_root is equal or not, there is no gt"));
    CHECK(refused_at("lte(status, 'error')", 1, "status is equal or not, there is no lte"));
    CHECK(refused_at("eq(metadata, 'a')", 14, "metadata is only compared with null; see has"));
    CHECK(refused_at("in(inputs, ['a'])", 12, "inputs is only compared with null; see search"));
    CHECK(refused_at("gt(outputs, 'a')", 13, "outputs is only compared with null; see search"));
    CHECK(refused_at("has(name, 'a')", 5, "has takes tags or metadata, not name"));
    CHECK(refused_at("has(tags)", 9, "has takes tags and a tag"));
    CHECK(refused_at("has(tags, 'a', 'b')", 14, "has takes tags and a tag"));
    CHECK(refused_at("has(tags, 3)", 11, "expected a text in quotes, found 3"));
    CHECK(refused_at("has(metadata, '{\"a\":}')", 15, "a JSON object"));
    CHECK(refused_at("has(metadata, '{\"a\":1} x')", 15, "a JSON object"));
    CHECK(refused_at("has(metadata, '{')", 15, "a JSON object"));
    CHECK(refused_at("exists(tags, 'a')", 8, "exists takes metadata, not tags"));
    CHECK(refused_at("exists(metadata)", 16, "exists takes metadata and a key"));
    CHECK(refused_at("exists(metadata, k)", 18, "expected a key in quotes, found k"));
    CHECK(refused_at("exists(metadata, 'k', 'l')", 21, "exists takes metadata and a key"));
    CHECK(refused_at("search()", 8, "search takes a text, or an attribute and a text"));
    CHECK(refused_at("search(name,)", 13, "search takes a text"));
    CHECK(refused_at("search(name, 'a', 'b')", 17, "search takes a text"));
    CHECK(refused_at("search(name, b)", 14, "expected a text in quotes, found b"));
    CHECK(refused_at("search(run_type, 'a')", 8, "search takes name, error, inputs"));
    CHECK(
        refused_at("matches()", 9, "matches takes a regular expression, or an attribute and one"));
    CHECK(refused_at("matches(name,)", 14, "matches takes a regular expression"));
    CHECK(refused_at("matches(name, 'a', 'b')", 18, "matches takes a regular expression"));
    CHECK(refused_at("matches(tag_names, 'a')", 9, "no attribute"));
    CHECK(refused_at("matches(thread_id, 'a')", 9, "matches takes name, error, inputs"));
}

/* --- limits ----------------------------------------------------------------- */

static void add_times(struct text *text, const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_add(text, (struct str){piece, strlen(piece)});
}

/* `each` that often behind `before`, and `close` once or as often: taken with `most` of them,
 * refused with one more. */
static void check_limit(const char *before, const char *each, const char *middle, const char *close,
                        size_t close_per_each, size_t most, const char *words)
{
    for (size_t count = most; count <= most + 1; count++) {
        struct text text = {0};
        add_times(&text, before, 1);
        add_times(&text, each, count);
        add_times(&text, middle, 1);
        add_times(&text, close, close_per_each ? count : 1);
        struct parsed p = parse(text_str(&text));
        CHECK((p.r == 0) == (count == most));
        CHECK(count == most || (p.r == ERR_INVALID && strstr(p.err.text, words)));
        parsed_free(&p);
        text_free(&text);
    }
}

TEST(a_regular_expression_is_read_with_its_place)
{
    CHECK(refused("matches('a(b')", "filter, column 9: the regular expression is wrong at its "
                                    "character 4: missing closing parenthesis"));
    CHECK(refused_at("and(eq(name, 'a'), matches(error, '*'))", 35, "at its character 1"));
    CHECK(refused_at("matches('\\\\C')", 9, "disabled"));
    CHECK(
        refused_at("matches('\\d')", 10, "no such escape")); /* the text's own escapes come first */
    CHECK(means("matches('\\u0000')", "matches(\"\xef\xbf\xbd\")"));

    char text[FILTER_TEXT_MAX - 10];
    memset(text, 'a', sizeof text);
    memcpy(text, "matches('", 9);
    memcpy(text + sizeof text - 3, "')", 3);
    CHECK(refused_at(text, 9, "a regular expression has at most 1000 bytes"));
}

TEST(the_number_of_regular_expressions_has_a_limit)
{
    char text[64 * (FILTER_PATTERNS_MAX + 1)] = "or(";
    for (int i = 0; i < FILTER_PATTERNS_MAX; i++)
        strcat(text, i ? ", matches('a')" : "matches('a')");
    size_t len = strlen(text);
    strcpy(text + len, ")");
    struct parsed p = parse_literal(text);
    CHECK(p.r == 0);
    parsed_free(&p);
    strcpy(text + len, ", matches('b'))");
    CHECK(refused_at(text, (int)len + 3 + 8, "more than 8 regular expressions"));
}

TEST(depth_has_a_limit)
{
    check_limit("", "not(", "eq(name,'a')", ")", 1, FILTER_DEPTH_MAX - 1,
                "filter, column 129: more than 32 calls in each other");
    check_limit("", "and(", "eq(name,'a')", ")", 1, FILTER_DEPTH_MAX - 1, "32 calls");
}

TEST(the_number_of_conditions_has_a_limit)
{
    check_limit("and(", "eq(name,'a'),", "eq(name,'b')", ")", 0, FILTER_NODES_MAX - 2,
                "more than 512 conditions");
    check_limit("has(metadata,'{", "\"a\":0,", "\"b\":1", "}')", 0, FILTER_VALUES_MAX - 1,
                "at most 1000 members");

    /* Each member is three nodes: the entry and its two halves. */
    struct text text = {0};
    for (int count = 170; count <= 171; count++) {
        text.len = 0;
        add_times(&text, "has(metadata,'{", 1);
        for (int i = 0; i < count; i++)
            text_addf(&text, "%s\"k%d\":0", i ? "," : "", i);
        add_times(&text, "}')", 1);
        struct parsed p = parse(text_str(&text));
        CHECK((p.r == 0) == (count == 170));
        parsed_free(&p);
    }
    text_free(&text);
}

TEST(the_length_of_a_list_has_a_limit)
{
    check_limit("in(name,[", "'a',", "'b'", "])", 0, FILTER_VALUES_MAX - 1,
                "more than 1000 values in a list");

    struct text text = {0};
    add_times(&text, "in(total_tokens, [", 1);
    for (int i = 0; i < FILTER_VALUES_MAX; i++)
        text_addf(&text, "%s%d", i ? ", " : "", i);
    add_times(&text, "])", 1);
    struct parsed p = parse(text_str(&text));
    CHECK(p.r == 0 && p.filter->value_count == FILTER_VALUES_MAX);
    for (int i = 0; i < FILTER_VALUES_MAX && p.r == 0; i++)
        CHECK(p.filter->values[i].number == i);
    parsed_free(&p);
    text_free(&text);
}

TEST(the_length_of_the_text_has_a_limit)
{
    check_limit("eq(name,'a')", " ", "", "", 0, FILTER_TEXT_MAX - 12,
                "filter: 65537 bytes, the limit is 65536");
    check_limit("eq(name,'", "x", "", "')", 0, FILTER_TEXT_MAX - 11, "the limit is 65536");
}

TEST(the_text_of_an_error_may_not_be_wanted)
{
    struct arena *arena = arena_new(256);
    const struct filter *none = NULL;
    CHECK(filter_parse(STR("eq(foo, 1)"), arena, &none, NULL) == ERR_INVALID && !none);
    CHECK(filter_parse((struct str){NULL, 0}, arena, &none, NULL) == ERR_INVALID && !none);
    arena_free(arena);
}
