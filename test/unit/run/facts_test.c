/* facts_test.c - what is taken out of a layer, how rows come by it, and that it is read
 * back or refused.  What clients send here was captured from them. */
#include "run/facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "lib/bare_layer.h"
#include "lib/check.h"
#include "lib/make_record.h"
#include "run/filter_value.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

/* --- one layer, and what is read of it -------------------------------------- */

struct taken {
    struct text bytes;
    struct arena *arena;
    struct facts facts;
};

#define FIELDS(...) ((struct str[RUN_FIELDS]){__VA_ARGS__})

/* All but the usage is read the same way. */
static void check_labels(const struct taken *t)
{
    const struct facts_usage none = {0};
    struct facts labels, same = t->facts;
    struct err err = {0};
    CHECK(facts_read_labels(text_str(&t->bytes), t->arena, &labels, &err) == 0);
    CHECK(memcmp(&labels.usage, &none, sizeof none) == 0);
    CHECK(labels.metadata_count == same.metadata_count && labels.tag_count == same.tag_count);
    for (size_t i = 0; i < labels.metadata_count && !test_failures; i++)
        CHECK(str_eq(labels.metadata[i].key, same.metadata[i].key) &&
              str_eq(labels.metadata[i].value.value.text, same.metadata[i].value.value.text));
    CHECK(str_eq(labels.thread, same.thread) && labels.cut == same.cut);
    CHECK(uuid_compare(labels.reference_example, same.reference_example) == 0);
}

static void take(struct taken *t, enum run_kind kind, const struct str fields[RUN_FIELDS])
{
    struct bare_layer layer;
    struct err err = {0};
    *t = (struct taken){.arena = arena_new(1024)};
    bare_layer(&layer, kind, fields);
    facts_of(&layer.run, &t->bytes);
    layer_free(&layer);
    CHECK(facts_read(text_str(&t->bytes), t->arena, &t->facts, &err) == 0);
    CHECK(t->bytes.len <= FACTS_MAX);
    check_labels(t);
}

static void let_go(struct taken *t)
{
    text_free(&t->bytes);
    arena_free(t->arena);
}

static bool is(struct str found, const char *expected)
{
    bool same = found.len == strlen(expected) && memcmp(found.at, expected, found.len) == 0;
    if (!same)
        fprintf(stderr, "found    %.*s\nexpected %s\n", STR_FMT(found), expected);
    return same;
}

/* The text of the pair of that key; at == NULL: there is none, or null. */
static struct str value_of(const struct facts *facts, const char *key)
{
    for (size_t i = 0; i < facts->metadata_count; i++)
        if (str_eq(facts->metadata[i].key, (struct str){key, strlen(key)}))
            return facts->metadata[i].value.present ? facts->metadata[i].value.value.text
                                                    : (struct str){0};
    return (struct str){0};
}

static double number(const struct facts *facts, enum facts_number n)
{
    return facts->usage.has[n] ? facts->usage.value[n] : -1;
}

static bool tokens_are(const struct facts *facts, double prompt, double completion, double total)
{
    return number(facts, FACTS_PROMPT_TOKENS) == prompt &&
           number(facts, FACTS_COMPLETION_TOKENS) == completion &&
           number(facts, FACTS_TOTAL_TOKENS) == total;
}

/* `piece` again and again, between the two. */
static struct text repeated(const char *before, const char *piece, size_t times, const char *after)
{
    struct text text = {0};
    text_add(&text, (struct str){before, strlen(before)});
    for (size_t i = 0; i < times; i++)
        text_add(&text, (struct str){piece, strlen(piece)});
    text_add(&text, (struct str){after, strlen(after)});
    return text;
}

/* --- what clients send ------------------------------------------------------ */

/* langsmith (Python) 0.11.1: the patch of a call wrapped with @traceable. */
TEST(facts_of_a_python_call)
{
    struct taken t;
    take(
        &t, RUN_PATCH,
        FIELDS([RUN_INPUTS] = STR("{\"q\":\"capital of France?\"}"),
               [RUN_OUTPUTS] = STR("{\"role\":\"assistant\",\"content\":\"Paris \xf0\x9f\x97\xbc\","
                                   "\"usage_metadata\":{\"input_tokens\":12,\"output_tokens\":5,"
                                   "\"total_tokens\":17}}"),
               [RUN_EXTRA] =
                   STR("{\"metadata\":{\"thread_id\":\"th-1\",\"user\":\"bob\","
                       "\"ls_method\":\"traceable\",\"usage_metadata\":{\"input_tokens\":"
                       "12,\"output_tokens\":5,\"total_tokens\":17}},\"runtime\":{\"sdk\":"
                       "\"langsmith-py\",\"langchain_version\":null}}"),
               [RUN_EVENTS] =
                   STR("[{\"name\":\"new_token\",\"time\":\"2026-11-23T16:24:07.177854+00:00\"}]"),
               [RUN_TAGS] = STR("[\"prod\",\"exp-1\"]"),
               [RUN_DOTTED_ORDER] =
                   STR("\"20261123T162407142792Z01a20938-cce6-7310-98ac-39dc2451cfb3\"")));

    CHECK(is(t.facts.inputs_preview, "{\"q\":\"capital of France?\"}"));
    CHECK(is(t.facts.outputs_preview,
             "{\"role\":\"assistant\",\"content\":\"Paris \xf0\x9f\x97\xbc\",\"usage_metadata\":"
             "{\"input_tokens\":12,\"output_tokens\":5,\"total_tokens\":17}}"));
    CHECK(tokens_are(&t.facts, 12, 5, 17));
    CHECK(t.facts.metadata_count == 4);
    CHECK(is(value_of(&t.facts, "user"), "bob"));
    CHECK(is(value_of(&t.facts, "usage_metadata"),
             "{\"input_tokens\":12,\"output_tokens\":5,\"total_tokens\":17}"));
    CHECK(is(t.facts.thread, "th-1"));
    CHECK(t.facts.has_first_token && t.facts.first_token_us == INT64_C(1795451047177854));
    CHECK(t.facts.tag_count == 2 && is(t.facts.tags[0], "prod") && is(t.facts.tags[1], "exp-1"));
    CHECK(is(t.facts.dotted_order, "20261123T162407142792Z01a20938-cce6-7310-98ac-39dc2451cfb3"));
    CHECK(!t.facts.error.at && !t.facts.has_reference_example && t.facts.cut == 0);
    let_go(&t);
}

/* @langchain/core 1.4.0, a chat model; the fake model of the capture does not count, so
 * here usage_metadata stands where real ones have it. */
TEST(facts_of_a_langchain_call)
{
    struct taken t;
    take(
        &t, RUN_PATCH,
        FIELDS([RUN_OUTPUTS] = STR(
                   "{\"generations\":[[{\"message\":{\"lc\":1,\"type\":\"constructor\",\"id\":["
                   "\"langchain_core\",\"messages\",\"AIMessage\"],\"kwargs\":{\"content\":\"Paris "
                   "is the capital.\",\"tool_calls\":[],\"invalid_tool_calls\":[],"
                   "\"additional_kwargs\":{},\"response_metadata\":{},\"usage_metadata\":"
                   "{\"input_tokens\":9,\"output_tokens\":6,\"total_tokens\":15,"
                   "\"input_token_details\":{\"cache_read\":4}},\"id\":"
                   "\"run-01a20939-a505-770e-9977-ab2a701367f2\"}},\"text\":\"Paris is the "
                   "capital.\"}]],\"llmOutput\":{\"tokenUsage\":{\"promptTokens\":1}}}"),
               [RUN_EXTRA] = STR(
                   "{\"options\":{},\"invocation_params\":{},\"batch_size\":1,\"metadata\":"
                   "{\"LANGSMITH_TRACING\":\"true\",\"thread_id\":\"th-9\",\"versions\":"
                   "{\"@langchain/core\":\"1.4.0\"}},\"runtime\":{\"library\":\"langchain-js\"}}"),
               [RUN_EVENTS] =
                   STR("[{\"name\":\"start\",\"time\":\"2026-11-23T16:25:02.503Z\"},"
                       "{\"name\":\"new_token\",\"time\":\"2026-11-23T16:25:02.510Z\"},"
                       "{\"name\":\"new_token\",\"time\":\"2026-11-23T16:25:02.511Z\"}]"),
               [RUN_ERROR_TEXT] = STR("\"lambda boom\\n\\nError: lambda boom\\n    at X\"")));

    CHECK(tokens_are(&t.facts, 9, 6, 15));
    CHECK(is(t.facts.usage.prompt_token_details, "{\"cache_read\":4}"));
    CHECK(is(value_of(&t.facts, "versions"), "{\"@langchain/core\":\"1.4.0\"}"));
    CHECK(is(t.facts.thread, "th-9"));
    CHECK(t.facts.first_token_us == INT64_C(1795451102510000));
    CHECK(is(t.facts.error, "lambda boom\n\nError: lambda boom\n    at X"));
    CHECK(t.facts.outputs_preview.len == FACTS_PREVIEW && t.facts.cut == 1u << RUN_OUTPUTS);
    let_go(&t);
}

/* langsmith (JavaScript) 0.12.0 around OpenAI's client. */
TEST(facts_of_an_openai_call)
{
    struct taken t;
    take(&t, RUN_PATCH,
         FIELDS([RUN_OUTPUTS] = STR(
                    "{\"id\":\"chatcmpl-pf94a3w9yna\",\"object\":\"chat.completion\",\"choices\":"
                    "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
                    "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{"
                    "\"name\":\"tool_1\",\"arguments\":\"{\\\"arg0\\\":\\\"which refund\\\"}\"}}]},"
                    "\"finish_reason\":\"tool_calls\"}],\"usage_metadata\":{\"input_tokens\":1200,"
                    "\"output_tokens\":40,\"total_tokens\":1400}}")));
    CHECK(tokens_are(&t.facts, 1200, 40, 1400)); /* what was said, not the sum */
    let_go(&t);
    take(&t, RUN_PATCH,
         FIELDS([RUN_OUTPUTS] = STR(
                    "{\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}}}")));
    CHECK(tokens_are(&t.facts, 19, 10, 29));
    CHECK(is(t.facts.usage.prompt_token_details, "{\"cached_tokens\":0,\"audio_tokens\":0}"));
    let_go(&t);
}

/* As langsmith (Python) patches a run of which it has nothing to say. */
TEST(a_layer_of_nulls_and_what_is_no_layer_have_no_facts)
{
    struct taken t;
    take(&t, RUN_PATCH,
         FIELDS([RUN_NAME] = STR("null"), [RUN_INPUTS] = STR("null"), [RUN_OUTPUTS] = STR("null"),
                [RUN_EXTRA] = STR(" null "), [RUN_ERROR_TEXT] = STR("\"\""),
                [RUN_EVENTS] = STR("[]"), [RUN_TAGS] = STR("[]"), [RUN_DOTTED_ORDER] = STR("null"),
                [RUN_REFERENCE_EXAMPLE_ID] = STR("null")));
    CHECK(t.bytes.len == 0);
    let_go(&t);
    take(&t, RUN_ATTACHMENT,
         FIELDS([RUN_NAME] = STR("a"), [RUN_INPUTS] = STR("\x89PNG\""), [RUN_RUN_TYPE] = STR("x")));
    CHECK(t.bytes.len == 0);
    let_go(&t);
    take(&t, RUN_ENTITY, FIELDS([RUN_NAME] = STR("\"a\"")));
    CHECK(t.bytes.len == 0);
    let_go(&t);
}

/* --- usage ------------------------------------------------------------------ */

TEST(usage_is_the_first_of_its_places)
{
    static const char *places[] = {
        "\"usage_metadata\":{\"input_tokens\":1}",
        "\"m\":{\"usage_metadata\":{\"input_tokens\":2}}",
        "\"o\":{\"lc\":1,\"kwargs\":{\"a\":[{}],\"usage_metadata\":{\"input_tokens\":3}}}",
        "\"generations\":[[],[{\"text\":\"a\"},{\"message\":{\"kwargs\":{\"usage_metadata\":"
        "{\"input_tokens\":4}}}}]]",
        NULL, /* metadata */
        "\"llm_output\":{\"token_usage\":{\"prompt_tokens\":6}}",
        "\"usage\":{\"prompt_tokens\":7}",
    };
    enum { PLACES = sizeof places / sizeof places[0] };

    /* All sets of them, the best place first and last. */
    for (unsigned set = 1; set < 2u << PLACES; set++) {
        struct text outputs = {0};
        text_add(&outputs, STR("{\"a\":\"usage\""));
        for (unsigned i = 0; i < PLACES; i++) {
            unsigned p = set >> PLACES & 1 ? i : PLACES - 1 - i;
            if (set >> p & 1 && places[p])
                text_addf(&outputs, ",%s", places[p]);
        }
        text_add(&outputs, STR(",\"z\":[1,{\"usage_metadata\":{\"input_tokens\":8}}]}"));
        struct taken t;
        take(&t, RUN_POST,
             FIELDS([RUN_OUTPUTS] = text_str(&outputs),
                    [RUN_EXTRA] =
                        set >> 4 & 1
                            ? STR("{\"metadata\":{\"usage_metadata\":{\"input_tokens\":5}}}")
                            : STR("{\"metadata\":{}}")));
        unsigned first = (unsigned)__builtin_ctz(set);
        CHECK(number(&t.facts, FACTS_PROMPT_TOKENS) == (first < PLACES ? first + 1 : -1.0));
        let_go(&t);
        text_free(&outputs);
    }
}

TEST(usage_by_other_names_and_what_is_none)
{
    static const struct {
        const char *outputs;
        double prompt, completion, total;
    } cases[] = {
        {"{\"llmOutput\":{\"tokenUsage\":{\"promptTokens\":3,\"completionTokens\":4,"
         "\"totalTokens\":8}}}",
         3, 4, 8},
        {"{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", 3, 4, 7},
        {"{\"usage\":{\"prompt_tokens\":3}}", 3, -1, 3},
        {"{\"usage\":{\"prompt_tokens\":3,\"input_tokens\":5}}", 5, -1, 5},
        {"{\"usage\":{\"prompt_tokens\":3,\"input_tokens\":null}}", 3, -1, 3},
        {"{\"usage\":{\"prompt_tokens\":3,\"prompt_tokens\":4}}", 4, -1, 4},
        {"{\"usage\":{\"prompt_tokens\":1e2,\"completion_tokens\":2.0}}", 100, 2, 102},
        {"{\"usage\":{\"total_tokens\":9007199254740991}}", -1, -1, 9007199254740991.0},
        {"{\"usage\":{\"total_tokens\":9007199254740992}}", -1, -1, -1},
        {"{\"a\":{\"usage_metadata\":{\"input_tokens\":1}},\"b\":{\"usage_metadata\":"
         "{\"input_tokens\":2}}}",
         1, -1, 1},
        {"{\"usage\":{\"prompt_tokens\":9007199254740991,\"completion_tokens\":1}}",
         9007199254740991.0, 1, -1},
        {"{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":1.5,\"total_tokens\":1e400}}", -1,
         -1, -1},
        {"{\"usage\":{\"prompt_tokens\":\"3\"}}", -1, -1, -1},
        {"{\"usage\":{\"seconds\":3}}", -1, -1, -1},
        {"{\"usage\":[3],\"usage_metadata\":3}", -1, -1, -1},
        {"[{\"usage\":{\"prompt_tokens\":3}}]", -1, -1, -1},
        {"\"usage\"", -1, -1, -1},
        /* What is no usage does not stand before one. */
        {"{\"usage_metadata\":{},\"usage\":{\"prompt_tokens\":3}}", 3, -1, 3},
        /* Written with escapes. */
        {"{\"us\\u0061ge\":{\"pr\\u006fmpt_tokens\":3},\"usage\":null}", 3, -1, 3},
        /* A string that looks like it. */
        {"{\"a\":\"\\\\\\\"},\\\"usage\\\":{\\\"prompt_tokens\\\":1}\",\"usage\":"
         "{\"prompt_tokens\":2}}",
         2, -1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct taken t;
        struct str outputs = {cases[i].outputs, strlen(cases[i].outputs)};
        take(&t, RUN_POST, FIELDS([RUN_OUTPUTS] = outputs));
        bool good = tokens_are(&t.facts, cases[i].prompt, cases[i].completion, cases[i].total);
        if (!good)
            fprintf(stderr, "%s\n", cases[i].outputs);
        CHECK(good);
        let_go(&t);
    }
}

TEST(costs_are_numbers_or_texts_and_keep_their_digits)
{
    struct taken t;
    take(&t, RUN_POST,
         FIELDS([RUN_OUTPUTS] =
                    STR("{\"usage_metadata\":{\"input_cost\":\"0.000100\",\"output_cost\":2.5e-1,"
                        "\"input_cost_details\":{\"cache\":\"0.1\",\"x\":1},"
                        "\"output_token_details\":{\"a\":\"1\"},"
                        "\"input_token_details\":{\"a\":null},\"output_cost_details\":[]}}")));

    CHECK(is(t.facts.usage.text[FACTS_PROMPT_COST], "0.000100"));
    CHECK(is(t.facts.usage.text[FACTS_COMPLETION_COST], "2.5e-1"));
    CHECK(number(&t.facts, FACTS_PROMPT_COST) == 0.0001);
    CHECK(number(&t.facts, FACTS_TOTAL_COST) == 0.0001 + 0.25);
    CHECK(!t.facts.usage.text[FACTS_TOTAL_COST].at);
    CHECK(is(t.facts.usage.prompt_cost_details, "{\"cache\":\"0.1\",\"x\":1}"));
    /* Clients refuse a run over these. */
    CHECK(!t.facts.usage.completion_token_details.at && !t.facts.usage.prompt_token_details.at);
    CHECK(!t.facts.usage.completion_cost_details.at);
    let_go(&t);

    static const char *bad[] = {"\"NaN\"", "\"1,5\"", "\"\"", "\"1 \"", "\"1e999\"", "true", "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct text outputs = {0};
        text_addf(&outputs, "{\"usage\":{\"total_tokens\":1,\"total_cost\":%s}}", bad[i]);
        take(&t, RUN_POST, FIELDS([RUN_OUTPUTS] = text_str(&outputs)));
        CHECK(number(&t.facts, FACTS_TOTAL_COST) == -1);
        CHECK(number(&t.facts, FACTS_TOTAL_TOKENS) == 1);
        let_go(&t);
        text_free(&outputs);
    }
}

TEST(a_usage_too_long_to_keep_is_said_to_be_cut)
{
    struct text outputs = repeated("{\"usage_metadata\":{\"input_tokens\":1", ",\"x\":12345678",
                                   FACTS_SOURCE / 8, "},\"usage\":{\"prompt_tokens\":2}}");
    struct taken t;
    take(&t, RUN_POST, FIELDS([RUN_OUTPUTS] = text_str(&outputs)));
    CHECK(tokens_are(&t.facts, 2, -1, 2));
    CHECK(t.facts.cut == 1u << RUN_OUTPUTS);
    let_go(&t);
    text_free(&outputs);
}

/* --- metadata --------------------------------------------------------------- */

static void check_pairs(const char *json)
{
    struct taken t;
    struct text extra = {0};
    struct filter_pair *pairs;
    size_t count;
    text_addf(&extra, "{\"runtime\":{\"metadata\":{\"no\":1}},\"metadata\":%s}", json);
    take(&t, RUN_POST, FIELDS([RUN_EXTRA] = text_str(&extra)));
    CHECK(filter_value_members((struct str){json, strlen(json)}, t.arena, &pairs, &count));

    CHECK(count == t.facts.metadata_count);
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < t.facts.metadata_count; j++) {
            const struct filter_pair *pair = &t.facts.metadata[j];
            found |=
                str_eq(pair->key, pairs[i].key) && pair->value.present == pairs[i].value.present &&
                (!pair->value.present || str_eq(pair->value.value.text, pairs[i].value.value.text));
        }
        CHECK(found);
    }
    let_go(&t);
    text_free(&extra);
}

/* filter_value_members() is what has(metadata, ...) asks with. */
TEST(pairs_of_metadata_are_what_filters_compare_them_with)
{
    check_pairs("{}");
    check_pairs("{\"a\":1,\"b\":true,\"c\":null,\"d\":\"x\",\"e\":[ 1, \"a b\" ],\"f\":{}}");
    check_pairs("{ \"a b\" : { \"c\" :\t[\n1 , { } ] , \"d e\" : \" x\\\" y\" } }");
    check_pairs("{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"a\":null}");
    check_pairs("{\"\\u0061\\n\":\"\\u00e9\\ud83d\\ude00\\ud83d \\udc00\\u0000 \\\\\"}");
    check_pairs("{\"\":\"\",\"n\":-1.50E+3,\"s\":\"\\\"\"}");
    check_pairs("{\"x\":{\"y\":\"\\u0061\\\\\"},\"z\":\"\xc3\xa9\"}");
}

TEST(metadata_of_a_whole_run_may_lie_beside_extra)
{
    struct taken t;
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = STR("{\"a\":\"beside\"}")));
    CHECK(is(value_of(&t.facts, "a"), "beside"));
    let_go(&t);
    take(&t, RUN_WHOLE,
         FIELDS([RUN_METADATA] = STR("{\"a\":\"beside\"}"), [RUN_EXTRA] = STR("{\"x\":1}")));
    CHECK(is(value_of(&t.facts, "a"), "beside"));
    let_go(&t);
    take(&t, RUN_WHOLE, FIELDS([RUN_EXTRA] = STR("{\"metadata\":{\"a\":\"inside\"}}")));
    CHECK(is(value_of(&t.facts, "a"), "inside"));
    let_go(&t);
    /* Of a layer it is a part of extra, whose holder holds both. */
    take(&t, RUN_POST,
         FIELDS([RUN_METADATA] = STR("{\"a\":\"beside\"}"), [RUN_EXTRA] = STR("{\"x\":1}")));
    CHECK(t.facts.metadata_count == 0);
    let_go(&t);
    take(&t, RUN_POST, FIELDS([RUN_EXTRA] = STR("{\"metadata\":[1]}")));
    CHECK(t.facts.metadata_count == 0);
    let_go(&t);
}

TEST(a_thread_is_the_first_of_its_names)
{
    static const char *cases[][2] = {
        {"{\"conversation_id\":\"c\",\"session_id\":\"s\",\"thread_id\":\"t\"}", "t"},
        {"{\"thread_id\":\"t\",\"session_id\":\"s\"}", "t"},
        {"{\"conversation_id\":\"c\",\"session_id\":\"s\",\"thread_id\":null}", "s"},
        {"{\"conversation_id\":\"c\",\"session_id\":\"\"}", "c"},
        {"{\"thread_id\":7}", "7"},
        {"{\"thread_id\":[1, 2]}", "[1,2]"},
        {"{\"thread_id\":\"a\",\"thread_id\":\"b\\u00e9\"}", "b\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct taken t;
        struct str metadata = {cases[i][0], strlen(cases[i][0])};
        take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = metadata));
        CHECK(is(t.facts.thread, cases[i][1]));
        let_go(&t);
    }
    struct taken t;
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = STR("{\"thread_id\":null,\"thread\":1}")));
    CHECK(!t.facts.thread.at && t.facts.metadata_count == 2);
    let_go(&t);
}

TEST(long_values_are_kept_as_filters_see_them)
{
    struct taken t;
    char room[FILTER_SEEN_MAX];
    struct text text = repeated("", "abc\xc3\xa9", FACTS_SOURCE / 5, "");
    struct text metadata = repeated("{\"a\":\"", "abc\\u00e9", FACTS_SOURCE / 5, "\",\"b\":1}");
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&metadata)));
    CHECK(t.facts.metadata_count == 2 && t.facts.cut == 1u << RUN_EXTRA);
    CHECK(str_eq(value_of(&t.facts, "a"), filter_seen(text_str(&text), room)));
    let_go(&t);
    text_free(&metadata);
    text_free(&text);

    /* So many of them; what is behind is kept. */
    metadata = (struct text){0};
    text_add_char(&metadata, '{');
    for (int i = 0; i <= FACTS_SHORTENED; i++)
        text_addf(&metadata, "\"k%d\":\"%0100d\",", i, i);
    text_add(&metadata, STR("\"b\":1}"));
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&metadata)));
    CHECK(t.facts.metadata_count == FACTS_SHORTENED + 1 && is(value_of(&t.facts, "b"), "1"));
    let_go(&t);
    text_free(&metadata);

    /* Up to 64 bytes they are kept as they are. */
    text = repeated("", "x", FILTER_SEEN_MAX, "");
    metadata = repeated("{\"a\":\"", "x", FILTER_SEEN_MAX, "\"}");
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&metadata)));
    CHECK(str_eq(value_of(&t.facts, "a"), text_str(&text)) && t.facts.cut == 0);
    let_go(&t);
    text_free(&metadata);
    text_free(&text);
}

TEST(pairs_over_a_limit_are_left_out_and_the_thread_behind_them_is_not)
{
    struct taken t;
    struct text metadata = {0}, long_one = {0};
    text_add_char(&metadata, '{');
    for (int i = 0; i < FACTS_PAIRS + 3; i++)
        text_addf(&metadata, "\"k%d\":%d,", i, i);
    text_add(&metadata, STR("\"usage_metadata\":{\"total_tokens\":5},\"session_id\":\"s\"}"));
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&metadata)));
    CHECK(t.facts.metadata_count == FACTS_PAIRS && t.facts.cut == 1u << RUN_EXTRA);
    CHECK(is(t.facts.thread, "s") && tokens_are(&t.facts, -1, -1, 5));
    let_go(&t);

    /* A value that is too long does not keep out those behind it. */
    long_one = repeated("{\"a\":1,\"long\":\"", "0123456789", FACTS_SOURCE / 10 + 1, "\",\"b\":2}");
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&long_one)));
    CHECK(t.facts.metadata_count == 2 && is(value_of(&t.facts, "b"), "2"));
    CHECK(t.facts.cut == 1u << RUN_EXTRA);
    let_go(&t);

    /* Nor is a part of a thread's id another thread. */
    text_free(&long_one);
    long_one = repeated("{\"thread_id\":\"", "0123456789", FACTS_SOURCE / 10 + 1, "\"}");
    take(&t, RUN_WHOLE, FIELDS([RUN_METADATA] = text_str(&long_one)));
    CHECK(t.facts.metadata_count == 0 && !t.facts.thread.at && t.facts.cut == 1u << RUN_EXTRA);
    let_go(&t);
    text_free(&long_one);
    text_free(&metadata);
}

/* --- texts ------------------------------------------------------------------ */

TEST(a_preview_is_decoded_and_has_no_white_space)
{
    static const char *cases[][2] = {
        {"{ \"a b\" : [ 1 , \"x\\ty\\u00e9\\\"\" ] }", "{\"a b\":[1,\"x\ty\xc3\xa9\"\"]}"},
        {"\"only \\u0041 text\"", "only A text"},
        {"{\"n\":\"\\u0000\\ud800\"}", "{\"n\":\"\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"{}", "{}"},
        {" 12.5 ", "12.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct taken t;
        struct str inputs = {cases[i][0], strlen(cases[i][0])};
        take(&t, RUN_POST, FIELDS([RUN_INPUTS] = inputs));
        CHECK(is(t.facts.inputs_preview, cases[i][1]) && t.facts.cut == 0);
        let_go(&t);
    }
}

/* Characters of one to four bytes, plain and as escapes, at every distance to the end. */
TEST(texts_are_cut_between_characters)
{
    static const char *pieces[] = {
        "x",   "\xc3\xa9",       "\xe2\x82\xac", "\xf0\x9f\x97\xbc", "\\u00e9",
        "\\n", "\\ud83d\\uddfc", "\\ud83d",      "\\u0000x",         "\\\"",
        "\\\\"};
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++)
        for (size_t shift = 0; shift < 8; shift++) {
            struct text inputs = repeated("{\"a\":\"", "-", shift, "");
            struct text error = repeated("\"", "-", shift, "");
            for (int i = 0; i <= FACTS_SOURCE; i++) {
                text_add(&inputs, (struct str){pieces[p], strlen(pieces[p])});
                text_add(&error, (struct str){pieces[p], strlen(pieces[p])});
            }
            text_add(&inputs, STR("\"}"));
            text_add(&error, STR("\""));
            struct taken t;
            take(&t, RUN_POST,
                 FIELDS([RUN_INPUTS] = text_str(&inputs), [RUN_ERROR_TEXT] = text_str(&error)));
            CHECK(t.facts.inputs_preview.len <= FACTS_PREVIEW);
            CHECK(t.facts.inputs_preview.len > FACTS_PREVIEW - 4);
            CHECK(utf8_valid(t.facts.inputs_preview));
            CHECK(t.facts.error.len <= FACTS_SOURCE && t.facts.error.len > FACTS_SOURCE - 4);
            CHECK(utf8_valid(t.facts.error));
            CHECK(t.facts.cut == (1u << RUN_INPUTS | 1u << RUN_ERROR_TEXT));
            let_go(&t);
            text_free(&inputs);
            text_free(&error);
        }
}

TEST(the_first_token_is_the_first_event_of_that_name)
{
    static const struct {
        const char *events;
        int64_t us; /* 0: none */
    } cases[] = {
        {"[{\"time\":1795450963865,\"name\":\"new_token\"}]", INT64_C(1795450963865000)},
        {"[{\"name\":\"start\",\"time\":1},[],7,{\"name\":\"new_token\",\"time\":"
         "\"2026-11-23T16:24:07Z\",\"kwargs\":{\"time\":1,\"name\":\"x\"}}]",
         INT64_C(1795451047000000)},
        {"[{\"name\":\"new_token\"},{\"name\":\"new_token\",\"time\":\"2026-11-23T16:24:07\"}]",
         INT64_C(1795451047000000)},
        {"[{\"name\":\"new_token\",\"time\":\"soon\"}]", 0},
        {"[{\"name\":\"new_token\",\"time\":1.5}]", 0},
        {"[{\"name\":\"new_token\",\"time\":123456789012345678901234567890}]", 0},
        {"[{\"name\":\"end\",\"time\":1,\"of\":\"new_token\"}]", 0},
        {"{\"name\":\"new_token\",\"time\":1}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct taken t;
        struct str events = {cases[i].events, strlen(cases[i].events)};
        take(&t, RUN_PATCH, FIELDS([RUN_EVENTS] = events));
        CHECK(t.facts.has_first_token == (cases[i].us != 0));
        CHECK(t.facts.first_token_us == cases[i].us);
        let_go(&t);
    }
}

TEST(tags_are_texts_and_the_example_is_a_uuid)
{
    struct taken t;
    take(&t, RUN_POST,
         FIELDS([RUN_TAGS] = STR("[ \"a\" , 1, null, \"\", {\"b\":[]}, \"\\u00e9\" ]"),
                [RUN_REFERENCE_EXAMPLE_ID] = STR("\"01A20938-cce6-7310-98ac-39dc2451cfb3\"")));
    CHECK(t.facts.tag_count == 3 && is(t.facts.tags[0], "a") && is(t.facts.tags[1], ""));
    CHECK(is(t.facts.tags[2], "\xc3\xa9"));
    CHECK(t.facts.has_reference_example && t.facts.reference_example.byte[0] == 1 &&
          t.facts.reference_example.byte[15] == 0xb3);
    let_go(&t);
    take(&t, RUN_POST,
         FIELDS([RUN_TAGS] = STR("\"a\""), [RUN_REFERENCE_EXAMPLE_ID] = STR("\"none\"")));
    CHECK(t.bytes.len == 0);
    let_go(&t);
}

/* --- of hostile shape ------------------------------------------------------- */

TEST(payloads_of_any_shape_have_bounded_facts)
{
    struct text deep = repeated("", "{\"usage_metadata\":", JSON_DEPTH_MAX - 1, "");
    struct text deep_end = repeated("{}", "}", JSON_DEPTH_MAX - 1, "");
    text_add(&deep, text_str(&deep_end));
    struct text wide = repeated("{\"\":0", ",\"\\u0061\\\"\":{\"usage\":1e9}", 200000, "}");
    struct text tags = repeated("[\"\"", ",\"\"", 200000, "]");
    struct text events = repeated("[\"new_token\"", ",{\"name\":\"new_token\"}", 200000, "]");
    struct text order = repeated("\"", "\\u0000", 100000, "\"");
    struct taken t;
    take(&t, RUN_PATCH,
         FIELDS([RUN_INPUTS] = text_str(&deep), [RUN_OUTPUTS] = text_str(&wide),
                [RUN_EXTRA] = text_str(&deep), [RUN_METADATA] = text_str(&wide),
                [RUN_ERROR_TEXT] = text_str(&order), [RUN_EVENTS] = text_str(&events),
                [RUN_TAGS] = text_str(&tags), [RUN_DOTTED_ORDER] = text_str(&order)));
    CHECK(t.facts.tag_count == FACTS_SOURCE / 2 && !t.facts.has_first_token);
    CHECK(t.facts.dotted_order.len == FACTS_SOURCE / 3 * 3);
    let_go(&t);
    take(&t, RUN_WHOLE, FIELDS([RUN_OUTPUTS] = text_str(&deep), [RUN_METADATA] = text_str(&wide)));
    CHECK(t.facts.metadata_count == 2 && is(value_of(&t.facts, "a\""), "{\"usage\":1e9}"));
    CHECK(t.facts.cut == (1u << RUN_OUTPUTS));
    let_go(&t);
    text_free(&deep);
    text_free(&deep_end);
    text_free(&wide);
    text_free(&tags);
    text_free(&events);
    text_free(&order);
}

/* --- rows ------------------------------------------------------------------- */

static struct text facts_from(enum run_kind kind, const struct str fields[RUN_FIELDS])
{
    struct bare_layer layer;
    struct text text = {0};
    bare_layer(&layer, kind, fields);
    facts_of(&layer.run, &text);
    layer_free(&layer);
    return text;
}

static struct text merged(const struct text *old, uint32_t taken, const struct text *fresh)
{
    struct text text = {0};
    facts_merge(text_str(old), taken, text_str(fresh), &text);
    return text;
}

TEST(facts_go_with_the_fields_that_are_taken)
{
    struct text post = facts_from(
        RUN_POST, FIELDS([RUN_INPUTS] = STR("{\"a\":1}"), [RUN_OUTPUTS] = STR("{}"),
                         [RUN_TAGS] = STR("[\"old\"]"), [RUN_DOTTED_ORDER] = STR("\"d\""),
                         [RUN_EXTRA] = STR("{\"metadata\":{\"a\":1,\"thread_id\":\"t\"}}")));
    struct text patch =
        facts_from(RUN_PATCH, FIELDS([RUN_INPUTS] = STR("{\"b\":1}"), [RUN_TAGS] = STR("[\"new\"]"),
                                     [RUN_OUTPUTS] = STR("{\"usage\":{\"total_tokens\":3}}"),
                                     [RUN_DOTTED_ORDER] = STR("\"e\"")));
    /* It takes extra too, though it says nothing of metadata. */
    struct text row = merged(&post, 1u << RUN_OUTPUTS | 1u << RUN_TAGS | 1u << RUN_EXTRA, &patch);
    struct arena *arena = arena_new(256);
    struct facts facts;

    CHECK(facts_read(text_str(&row), arena, &facts, NULL) == 0);
    CHECK(is(facts.inputs_preview, "{\"a\":1}") && is(facts.dotted_order, "d"));
    CHECK(facts.tag_count == 1 && is(facts.tags[0], "new"));
    CHECK(number(&facts, FACTS_TOTAL_TOKENS) == 3);
    CHECK(facts.metadata_count == 0 && !facts.thread.at);

    struct text none = {0}, same = merged(&row, 0, &post), first = merged(&none, UINT32_MAX, &post);
    struct text gone = merged(&row, UINT32_MAX, &none);
    CHECK(str_eq(text_str(&same), text_str(&row)) && str_eq(text_str(&first), text_str(&post)));
    CHECK(gone.len == 0);
    text_free(&same);
    text_free(&first);
    text_free(&gone);
    text_free(&row);
    text_free(&patch);
    text_free(&post);
    arena_free(arena);
}

TEST(who_takes_metadata_or_extra_takes_the_facts_of_both)
{
    struct text beside = facts_from(RUN_WHOLE, FIELDS([RUN_METADATA] = STR("{\"a\":1}")));
    struct text inside =
        facts_from(RUN_PATCH, FIELDS([RUN_EXTRA] = STR("{\"metadata\":{\"b\":1}}")));
    static const uint32_t taken[] = {1u << RUN_METADATA, 1u << RUN_EXTRA,
                                     1u << RUN_METADATA | 1u << RUN_EXTRA};
    for (int i = 0; i < 3; i++) {
        struct text there = merged(&beside, taken[i], &inside);
        struct text back = merged(&inside, taken[i], &beside);
        CHECK(str_eq(text_str(&there), text_str(&inside)));
        CHECK(str_eq(text_str(&back), text_str(&beside)));
        text_free(&there);
        text_free(&back);
    }
    text_free(&beside);
    text_free(&inside);
}

TEST(facts_of_a_later_program_stay_with_their_field)
{
    /* Kind 200 of outputs, of a field 40, and of the run. */
    static const char later[] = "\1\4\xc8\1\0x\x28\xc8\0\0\x3f\xc8\2\0yz";
    struct text old = {0};
    text_add(&old, (struct str){later, sizeof later - 1});
    struct text fresh = facts_from(RUN_PATCH, FIELDS([RUN_OUTPUTS] = STR("{}")));
    struct text kept = merged(&old, 1u << RUN_INPUTS, &fresh);
    struct text taken = merged(&old, 1u << RUN_OUTPUTS, &fresh);
    struct arena *arena = arena_new(256);
    struct facts facts;

    CHECK(str_eq(text_str(&kept), text_str(&old)));
    CHECK(taken.len == old.len - 5 + fresh.len - 1);
    CHECK(facts_read(text_str(&taken), arena, &facts, NULL) == 0);
    CHECK(is(facts.outputs_preview, "{}"));
    CHECK(facts_read(STR("\2"), arena, &facts, NULL) == ERR_CORRUPT);
    CHECK(facts_read((struct str){0}, arena, &facts, NULL) == 0 && !facts.outputs_preview.at);
    text_free(&old);
    text_free(&fresh);
    text_free(&kept);
    text_free(&taken);
    arena_free(arena);
}

/* --- attachments ------------------------------------------------------------ */

static void attach(struct text *row, const char *name, const char *type, uint64_t sequence)
{
    struct bare_layer layer;
    struct text after = {0};
    char bytes[8];
    snprintf(bytes, sizeof bytes, "%05u", (unsigned)sequence % 100000);
    bare_layer(&layer, RUN_ATTACHMENT,
               FIELDS([RUN_NAME] = {name, strlen(name)}, [RUN_RUN_TYPE] = {type, strlen(type)},
                      [RUN_INPUTS] = {bytes, strlen(bytes)}));
    bool news =
        facts_attach(text_str(row), &layer.run, (struct place){sequence + 1, 7}, sequence, &after);
    CHECK(news || after.len == 0);
    layer_free(&layer);
    text_free(news ? row : &after);
    *row = news ? after : *row;
}

TEST(of_attachments_with_one_name_the_later_stays)
{
    struct text row = facts_from(RUN_POST, FIELDS([RUN_INPUTS] = STR("{\"a\":1}")));
    struct arena *arena = arena_new(256);
    struct facts facts;
    attach(&row, "pic", "image/png", 5);
    attach(&row, "doc", "text/plain", 6);
    attach(&row, "pic", "image/gif", 4);
    attach(&row, "doc", "text/html", 9);
    attach(&row, "pic\xff", "x/y", 9);
    attach(&row, "", "x/y", 9);
    attach(&row, "odd", "\xff", 9);

    CHECK(facts_read(text_str(&row), arena, &facts, NULL) == 0);
    CHECK(facts.attachment_count == 3 && is(facts.inputs_preview, "{\"a\":1}"));
    CHECK(is(facts.attachments[0].name, "doc") && is(facts.attachments[0].type, "text/html"));
    CHECK(facts.attachments[0].sequence == 9 && facts.attachments[0].place.container == 10);
    CHECK(facts.attachments[0].place.ordinal == 7 && facts.attachments[0].size == 20);
    CHECK(is(facts.attachments[1].name, "odd") && facts.attachments[1].type.len == 0);
    CHECK(is(facts.attachments[2].name, "pic") && is(facts.attachments[2].type, "image/png"));

    /* Layers come and go beside them. */
    struct text none = {0}, left = merged(&row, UINT32_MAX, &none);
    CHECK(facts_read(text_str(&left), arena, &facts, NULL) == 0);
    CHECK(facts.attachment_count == 3 && !facts.inputs_preview.at);
    text_free(&left);
    text_free(&row);
    arena_free(arena);
}

/* As a string, from malloc. */
static char *text_of(struct str s)
{
    char *copy = malloc(s.len + 1);
    if (!copy)
        abort();
    memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

TEST(a_row_of_all_that_fits_is_within_its_bound)
{
    struct text name = repeated("n00", "x", FACTS_ATTACHMENT_TEXT - 3, "");
    struct text type = repeated("", "y", FACTS_ATTACHMENT_TEXT, "");
    struct text full = repeated("\"", "z", FACTS_SOURCE, "\"");
    struct text tags = repeated("[\"\"", ",\"\"", FACTS_SOURCE, "]");
    struct text usage =
        repeated("{\"usage_metadata\":{\"total_tokens\":1,\"x\":\"", "z", FACTS_SOURCE - 25, "\"}");
    struct text metadata = {0}, outputs = {0};
    text_addf(&metadata, "%.*s,\"thread_id\":%.*s", STR_FMT(text_str(&usage)),
              STR_FMT(text_str(&full)));
    for (int i = 0; i < FACTS_PAIRS; i++)
        text_addf(&metadata, ",\"k%02d\":\"%.*s\"", i, FACTS_SOURCE / FACTS_PAIRS - 7, full.at + 1);
    text_add_char(&metadata, '}');
    text_addf(&outputs, "%.*s}", STR_FMT(text_str(&usage)));
    struct text row = facts_from(
        RUN_WHOLE,
        FIELDS([RUN_INPUTS] = text_str(&full), [RUN_OUTPUTS] = text_str(&outputs),
               [RUN_METADATA] = text_str(&metadata), [RUN_ERROR_TEXT] = text_str(&full),
               [RUN_TAGS] = text_str(&tags), [RUN_DOTTED_ORDER] = text_str(&full),
               [RUN_EVENTS] = STR("[{\"name\":\"new_token\",\"time\":1}]"),
               [RUN_REFERENCE_EXAMPLE_ID] = STR("\"01a20938cce6731098ac39dc2451cfb3\"")));
    for (int i = 0; i <= FACTS_ATTACHMENTS; i++) {
        char *copy = text_of(text_str(&name)), *kind = text_of(text_str(&type));
        copy[1] = (char)('0' + i / 10);
        copy[2] = (char)('0' + i % 10);
        attach(&row, copy, kind, (uint64_t)i);
        free(copy);
        free(kind);
    }
    struct arena *arena = arena_new(256);
    struct facts facts;

    CHECK(row.len <= FACTS_MAX && row.len > FACTS_MAX - 2048);
    CHECK(facts_read(text_str(&row), arena, &facts, NULL) == 0);
    CHECK(facts.attachment_count == FACTS_ATTACHMENTS && facts.metadata_count == FACTS_PAIRS);
    CHECK(facts.thread.len == FACTS_SOURCE && number(&facts, FACTS_TOTAL_TOKENS) == 1);
    struct text *texts[] = {&name, &type, &full, &tags, &usage, &metadata, &outputs, &row};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text_free(texts[i]);
    arena_free(arena);
}

/* Layers and attachments in 50 orders, with more names than can be listed. */
TEST(a_row_has_the_same_facts_in_whatever_order_its_parts_came)
{
    enum { PARTS = 3 * FACTS_ATTACHMENTS };
    struct text inputs = facts_from(RUN_POST, FIELDS([RUN_INPUTS] = STR("{\"a\":1}")));
    struct text extra =
        facts_from(RUN_PATCH, FIELDS([RUN_EXTRA] = STR("{\"metadata\":{\"b\":1}}"),
                                     [RUN_REFERENCE_EXAMPLE_ID] =
                                         STR("\"01a20938-cce6-7310-98ac-39dc2451cfb3\"")));
    struct text expected = {0};
    struct make_random random = {1};
    for (int round = 0; round < 50; round++) {
        int order[PARTS];
        struct text row = {0};
        for (int i = 0; i < PARTS; i++) {
            int j = (int)(make_random(&random) % (unsigned)(i + 1));
            order[i] = order[j];
            order[j] = i;
        }
        for (int i = 0; i < PARTS; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", order[i] * 7 % (PARTS / 2));
            attach(&row, name, "a/b", (uint64_t)order[i]);
            const struct text *part = order[i] == 5 ? &inputs : order[i] == 9 ? &extra : NULL;
            if (!part)
                continue;
            struct text with = merged(&row,
                                      order[i] == 5 ? 1u << RUN_INPUTS
                                                    : 1u << RUN_EXTRA | 1u << RUN_METADATA |
                                                          1u << RUN_REFERENCE_EXAMPLE_ID,
                                      part);
            text_free(&row);
            row = with;
        }
        if (round == 0)
            text_add(&expected, text_str(&row));
        CHECK(str_eq(text_str(&row), text_str(&expected)));
        text_free(&row);
    }
    struct arena *arena = arena_new(256);
    struct facts facts;
    CHECK(facts_read(text_str(&expected), arena, &facts, NULL) == 0);
    CHECK(facts.attachment_count == FACTS_ATTACHMENTS && facts.has_reference_example);
    text_free(&expected);
    text_free(&inputs);
    text_free(&extra);
    arena_free(arena);
}

/* --- reading what is damaged ------------------------------------------------ */

static void check_inside(struct str view, struct str bytes)
{
    CHECK(view.len == 0 || (view.at >= bytes.at && view.at + view.len <= bytes.at + bytes.len));
}

TEST(damaged_facts_are_refused_or_lie_inside_of_their_bytes)
{
    struct text row = facts_from(
        RUN_WHOLE,
        FIELDS([RUN_INPUTS] = STR("{\"a\":1}"), [RUN_ERROR_TEXT] = STR("\"e\""),
               [RUN_OUTPUTS] =
                   STR("{\"usage\":{\"total_tokens\":3,\"input_token_details\":{\"a\":1}}}"),
               [RUN_EXTRA] = STR("{\"metadata\":{\"a\":null,\"thread_id\":\"t\"}}"),
               [RUN_EVENTS] = STR("[{\"name\":\"new_token\",\"time\":1}]"),
               [RUN_TAGS] = STR("[\"a\",\"b\"]"), [RUN_DOTTED_ORDER] = STR("\"d\""),
               [RUN_REFERENCE_EXAMPLE_ID] = STR("\"01a20938cce6731098ac39dc2451cfb3\"")));
    attach(&row, "pic", "image/png", 5);
    size_t refused = 0;
    for (size_t i = 0; i < row.len; i++)
        for (int bit = -1; bit < 8; bit++) {
            size_t len = bit < 0 ? i : row.len; /* cut there, or a bit turned there */
            char *copy = malloc(len + 1);
            struct arena *arena = arena_new(256);
            struct facts facts;
            struct str bytes = {copy, len};
            if (len)
                memcpy(copy, row.at, len);
            if (bit >= 0)
                copy[i] = (char)(copy[i] ^ 1 << bit);
            if (facts_read(bytes, arena, &facts, NULL) == 0) {
                check_inside(facts.inputs_preview, bytes);
                check_inside(facts.usage.prompt_token_details, bytes);
                for (size_t k = 0; k < facts.metadata_count; k++)
                    check_inside(facts.metadata[k].value.value.text, bytes);
                for (size_t k = 0; k < facts.attachment_count; k++)
                    check_inside(facts.attachments[k].type, bytes);
            } else {
                refused++;
            }
            arena_free(arena);
            free(copy);
        }
    CHECK(refused > row.len);
    text_free(&row);
}

/* --- filters ---------------------------------------------------------------- */

static bool contains(struct str text, struct str sought)
{
    return memmem(text.at, text.len, sought.at, sought.len) != NULL;
}

static bool matches(const struct facts *facts, const char *text)
{
    struct arena *arena = arena_new(256);
    const struct filter *filter = NULL;
    struct filter_subject subject = {.contains = contains};
    struct err err = {0};
    int r = filter_parse((struct str){text, strlen(text)}, arena, &filter, &err);
    CHECK(r == 0);
    facts_subject(facts, &subject);
    bool match = false;
    CHECK(r != 0 || filter_match(filter, &subject, &match, &err) == 0);
    arena_free(arena);
    return match;
}

TEST(filters_see_the_facts)
{
    struct taken t;
    take(&t, RUN_WHOLE,
         FIELDS([RUN_INPUTS] = STR("{\"question\":\"caf\\u00e9\"}"),
                [RUN_OUTPUTS] = STR("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,"
                                    "\"total_cost\":\"0.5\"}}"),
                [RUN_EXTRA] = STR("{\"metadata\":{\"k\":\"v\",\"o\":{ \"n\": [1, 2] },"
                                  "\"thread_id\":\"t\"}}"),
                [RUN_ERROR_TEXT] = STR("\"boom\""), [RUN_TAGS] = STR("[\"beta\"]"),
                [RUN_EVENTS] = STR("[{\"name\":\"new_token\",\"time\":1795451047177}]"),
                [RUN_DOTTED_ORDER] = STR("\"20261123T\""),
                [RUN_REFERENCE_EXAMPLE_ID] = STR("\"01a20938-cce6-7310-98ac-39dc2451cfb3\"")));
    static const char *yes[] = {
        "eq(error, \"boom\")",
        "neq(inputs, null)",
        "search(inputs, \"caf\xc3\xa9\")",
        "search(outputs, \"usage\")",
        "and(eq(prompt_tokens, 3), eq(completion_tokens, 4), eq(total_tokens, 7))",
        "and(eq(total_cost, 0.5), eq(prompt_cost, null))",
        "has(tags, \"beta\")",
        "has(metadata, '{\"k\":\"v\",\"o\":{\"n\":[1,2]}}')",
        "eq(thread_id, \"t\")",
        "eq(reference_example_id, \"01a20938-cce6-7310-98ac-39dc2451cfb3\")",
        "eq(dotted_order, \"20261123T\")",
        "eq(first_token_time, \"2026-11-23T16:24:07.177Z\")",
    };
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        CHECK(matches(&t.facts, yes[i]));
    let_go(&t);

    take(&t, RUN_WHOLE, FIELDS([RUN_NAME] = STR("\"a\"")));
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        CHECK(!matches(&t.facts, yes[i]));
    let_go(&t);
}
