/* batch_test.c - what batch.h promises, whole and in pieces. */
#include "run/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/spare.h"
#include "base/text.h"
#include "lib/check.h"

static const struct batch_limits roomy = {
    .body_max = 1 << 20, .run_max = 1 << 20, .runs_max = 1000, .name_max = 64};

enum { RECEIVED_US = 1700000000 };

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define TRACE "\"trace_id\":\"11111111-2222-3333-4444-555555555555\""
#define GOOD "{\"id\":\"" ID "\"," TRACE ",\"name\":\"n\"}"

struct fed {
    struct budget budget;
    struct batch *batch;
    enum batch_state state;
};

/* Feed `body` in pieces of `size`; the last piece may be empty. */
static void feed(struct fed *fed, bool lines, const struct batch_limits *limits, const char *body,
                 size_t len, size_t size)
{
    if (fed->budget.limit == 0)
        fed->budget.limit = SIZE_MAX / 2;
    fed->batch = batch_new(lines, limits, &fed->budget, NULL, (int64_t)RECEIVED_US * 1000000, 0);
    fed->state = BATCH_READING;
    for (size_t at = 0; at < len && fed->state == BATCH_READING; at += size) {
        /* A block of its own size, so that reading past it is seen. */
        size_t n = len - at < size ? len - at : size;
        char *piece = malloc(n);
        memcpy(piece, body + at, n);
        fed->state = batch_feed(fed->batch, (struct str){piece, n}, false);
        free(piece);
    }
    if (fed->state == BATCH_READING)
        fed->state = batch_feed(fed->batch, (struct str){0}, true);
}

static enum batch_state state_of(bool lines, const char *body)
{
    struct fed fed = {0};
    feed(&fed, lines, &roomy, body, strlen(body), 7);
    enum batch_state state = fed.state;
    batch_free(fed.batch);
    CHECK(atomic_load(&fed.budget.used) == 0);
    return state;
}

static bool field_is(const struct run *run, enum run_field field, const char *json)
{
    return str_eq(run_field(run, field), (struct str){json, strlen(json)});
}

TEST(the_shape_of_the_body_is_judged_by_its_first_byte)
{
    CHECK(state_of(false, "") == BATCH_NO_BODY);
    CHECK(state_of(false, " \n ") == BATCH_NO_BODY);
    CHECK(state_of(false, "[]") == BATCH_EMPTY);
    CHECK(state_of(false, " [ ] ") == BATCH_EMPTY);
    CHECK(state_of(false, "5") == BATCH_NOT_A_LIST);
    CHECK(state_of(false, "\"x\"") == BATCH_NOT_A_LIST);
    CHECK(state_of(false, "5 x") == BATCH_NOT_JSON);
    CHECK(state_of(false, "{\"a\":1}") == BATCH_AN_OBJECT);
    CHECK(state_of(false, "[" GOOD) == BATCH_NOT_JSON);
    CHECK(state_of(false, "[" GOOD "] x") == BATCH_NOT_JSON);
    CHECK(state_of(true, GOOD "\n" GOOD "\n") == BATCH_READY);
    CHECK(state_of(true, GOOD) == BATCH_READY);
    CHECK(state_of(true, "") == BATCH_NO_BODY);
}

static const char two_runs[] =
    " [ {\"name\" : \"first\", \"id\":\"" ID "\", " TRACE ", \"inputs\":{\"a\": [1, 1e2]},\n"
    "\"unknown\":[{}], \"outputs\":{},\"metadata\":{\"k\":\"\\ud800\"}},"
    "{\"n\\u0061me\":\"second\"," TRACE ",\"run_type\":\"llm\",\"error\":\"bad\","
    "\"start_time\":\"2026-01-02T03:04:05.000006Z\",\"end_time\":null,"
    "\"extra\":{\"runtime\":{},\"metadata\":{\"deep\":1}}} ] ";

static void check_two_runs(const struct fed *fed)
{
    struct run run;
    const struct record *record = batch_record(fed->batch);
    CHECK(record->count == 2);
    CHECK(record_run(record, 0, &run, NULL) == 0);
    CHECK(field_is(&run, RUN_NAME, "\"first\""));
    CHECK(field_is(&run, RUN_INPUTS, "{\"a\": [1, 1e2]}"));
    CHECK(field_is(&run, RUN_METADATA, "{\"k\":\"\\ud800\"}"));
    CHECK(run.type == RUN_CHAIN && run.status == RUN_SUCCESS);
    CHECK(run.start_us == (int64_t)RECEIVED_US * 1000000 && run.end_us == run.start_us);
    char id[UUID_TEXT];
    uuid_write(batch_run_id(fed->batch, 0), id);
    CHECK(memcmp(id, ID, UUID_TEXT) == 0);

    CHECK(record_run(record, 1, &run, NULL) == 0);
    CHECK(field_is(&run, RUN_NAME, "\"second\""));
    CHECK(field_is(&run, RUN_METADATA, "{\"deep\":1}"));
    CHECK(run.type == RUN_LLM && run.status == RUN_ERROR);
    CHECK(run.start_us == INT64_C(1767323045000006) && run.end_us == RUN_RUNNING);
    CHECK(run.raw.at[0] == '{' && run.raw.at[run.raw.len - 1] == '}');
    CHECK(!uuid_is_zero(run.id) && run.id.byte[6] >> 4 == 7);
}

TEST(runs_come_out_equal_however_the_body_is_cut)
{
    for (size_t size = 1; size <= sizeof two_runs; size++) {
        struct fed fed = {0};
        feed(&fed, false, &roomy, two_runs, sizeof two_runs - 1, size);
        CHECK(fed.state == BATCH_READY);
        if (fed.state == BATCH_READY)
            check_two_runs(&fed);
        batch_free(fed.batch);
    }
}

static void hash_of(const char *run_json, uint64_t hash[2])
{
    struct fed fed = {0};
    char body[1024];
    int len = snprintf(body, sizeof body, "[%s]", run_json);
    feed(&fed, false, &roomy, body, (size_t)len, 64);
    CHECK(fed.state == BATCH_READY);
    struct run run = {0};
    if (fed.state == BATCH_READY)
        CHECK(record_run(batch_record(fed.batch), 0, &run, NULL) == 0);
    hash[0] = run.hash[0];
    hash[1] = run.hash[1];
    batch_free(fed.batch);
}

TEST(content_is_the_known_fields_as_sent_in_any_order)
{
    uint64_t a[2], b[2], c[2], d[2], e[2];
    hash_of("{\"id\":\"" ID "\"," TRACE ",\"name\":\"n\",\"inputs\":{\"x\":1}}", a);
    hash_of("{\"inputs\":{\"x\":1}, \"other\":9,\"name\":\"n\"," TRACE " , \"id\":\"" ID "\"}", b);
    hash_of("{\"id\":\"" ID "\"," TRACE ",\"name\":\"n\",\"inputs\":{\"x\":1.0}}", c);
    hash_of("{\"id\":\"" ID "\"," TRACE ",\"name\":\"n\",\"outputs\":{\"x\":1}}", d);
    hash_of("{\"id\":\"" ID "\"," TRACE ",\"name\":\"n\",\"inputs\":{\"x\":1},\"outputs\":{}}", e);
    CHECK(a[0] == b[0] && a[1] == b[1]);
    CHECK(a[0] != c[0] && a[0] != d[0] && a[0] != e[0]);
}

struct expected {
    const char *run;
    enum fault_kind kind;
    enum run_field field;
};

static const struct expected faults[] = {
    {"{\"name\":\"n\"}", FAULT_MISSING, RUN_TRACE_ID},
    {"{" TRACE "}", FAULT_MISSING, RUN_NAME},
    {"{" TRACE ",\"name\":null}", FAULT_STRING_TYPE, RUN_NAME},
    {"{" TRACE ",\"name\":5}", FAULT_STRING_TYPE, RUN_NAME},
    {"{\"trace_id\":null,\"name\":\"n\"}", FAULT_UUID_TYPE, RUN_TRACE_ID},
    {"{\"trace_id\":7,\"name\":\"n\"}", FAULT_UUID_TYPE, RUN_TRACE_ID},
    {"{\"trace_id\":\"7\",\"name\":\"n\"}", FAULT_UUID_PARSING, RUN_TRACE_ID},
    {"{\"id\":\"\"," TRACE ",\"name\":\"n\"}", FAULT_UUID_PARSING, RUN_ID},
    {"{" TRACE ",\"name\":\"n\",\"inputs\":null}", FAULT_DICT_TYPE, RUN_INPUTS},
    {"{" TRACE ",\"name\":\"n\",\"outputs\":[]}", FAULT_DICT_TYPE, RUN_OUTPUTS},
    {"{" TRACE ",\"name\":\"n\",\"metadata\":\"x\"}", FAULT_DICT_TYPE, RUN_METADATA},
    {"{" TRACE ",\"name\":\"n\",\"start_time\":\"soon\"}", FAULT_DATETIME_PARSING, RUN_START_TIME},
    {"{" TRACE ",\"name\":\"n\",\"end_time\":1.5}", FAULT_DATETIME_PARSING, RUN_END_TIME},
    {"{" TRACE ",\"name\":\"n\",\"end_time\":99999999999999999}", FAULT_DATETIME_PARSING,
     RUN_END_TIME},
    {"{" TRACE ",\"name\":\"n\",\"tags\":{}}", FAULT_LIST_TYPE, RUN_TAGS},
    {"{" TRACE ",\"name\":\"n\",\"run_type\":\"dance\"}", FAULT_ENUM, RUN_RUN_TYPE},
    {"{" TRACE ",\"name\":\"n\",\"name\":\"n\"}", FAULT_DUPLICATE_FIELD, RUN_NAME},
    {"{" TRACE ",\"name\":\"n\",\"n\\u0061me\":\"n\"}", FAULT_DUPLICATE_FIELD, RUN_NAME},
    {"{" TRACE ",\"name\":\"n\",\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":2}}}",
     FAULT_DUPLICATE_FIELD, RUN_METADATA},
    {"7", FAULT_DICT_TYPE, RUN_FIELDS},
    {"null", FAULT_DICT_TYPE, RUN_FIELDS},
};

TEST(each_fault_of_a_run_is_named_with_its_place)
{
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct fed fed = {0};
        char body[1024];
        int len = snprintf(body, sizeof body, "[" GOOD ",%s," GOOD "]", faults[i].run);
        feed(&fed, false, &roomy, body, (size_t)len, 11);
        const struct batch_refusal *refusal = batch_refusal(fed.batch);
        CHECK(fed.state == BATCH_FAULTY);
        bool expected = refusal->fault_count == 1 && refusal->faults[0].kind == faults[i].kind &&
                        refusal->faults[0].field == faults[i].field &&
                        refusal->faults[0].index == 1;
        CHECK(expected);
        if (!expected)
            fprintf(stderr, "run %s\n", faults[i].run);
        CHECK(batch_count(fed.batch) == 3);
        batch_free(fed.batch);
    }
}

TEST(the_name_of_a_project_is_never_cut)
{
    static const struct batch_limits vast = {
        .body_max = 1 << 20, .run_max = 1 << 20, .runs_max = 2, .name_max = 100};
    for (int escaped = 0; escaped < 2; escaped++)
        for (int len = 8191; len < 8194; len++) {
            struct fed fed = {0};
            struct text body = {0};
            text_add(&body, STR("[{" TRACE ",\"name\":\"n\",\"session_name\":\""));
            for (int i = 0; i < len; i++)
                text_add(&body, escaped ? STR("\\u0061") : STR("a"));
            text_add(&body, STR("\"}]"));
            feed(&fed, false, &vast, body.at, body.len, 10000);
            CHECK((fed.state == BATCH_READY) == (len <= 8192));
            if (fed.state == BATCH_FAULTY)
                CHECK(batch_refusal(fed.batch)->faults[0].kind == FAULT_STRING_TOO_LONG &&
                      batch_refusal(fed.batch)->faults[0].field == RUN_SESSION_NAME);
            batch_free(fed.batch);
            text_free(&body);
        }
}

TEST(metadata_may_stand_in_both_places_when_it_is_the_same)
{
    CHECK(state_of(false, "[{" TRACE ",\"name\":\"n\",\"metadata\":{\"a\":1},"
                          "\"extra\":{\"x\":0,\"metadata\":{\"a\":1}}}]") == BATCH_READY);
}

TEST(the_first_hundred_faults_are_kept)
{
    struct fed fed = {0};
    char *body = malloc(4096);
    size_t len = 0;
    body[len++] = '[';
    for (int i = 0; i < 300; i++)
        len += (size_t)sprintf(body + len, "%s%d", i ? "," : "", i);
    body[len++] = ']';
    feed(&fed, false, &roomy, body, len, 100);
    CHECK(fed.state == BATCH_FAULTY);
    CHECK(batch_refusal(fed.batch)->fault_count == BATCH_FAULTS_MAX);
    batch_free(fed.batch);
    free(body);
}

TEST(limits_are_said_when_they_are_passed)
{
    static const struct batch_limits tight = {
        .body_max = 400, .run_max = 120, .runs_max = 2, .name_max = 3};
    struct {
        const char *body, *says;
    } cases[] = {
        {"[" GOOD "," GOOD "," GOOD "]", "runs: the limit is 2"},
        {"[{" TRACE ",\"name\":\"four\"}]", "name is too long"},
        {"[{" TRACE ",\"name\":\"n\",\"inputs\":{\"long\":\"0123456789012345678901234567890123456"
         "789\"}}]",
         "run is too large"},
        {"[                                                                                      "
         "                                                                                       "
         "                                                                                       "
         "                                                                                       "
         "                                                                              ]",
         "body is too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fed fed = {0};
        feed(&fed, false, &tight, cases[i].body, strlen(cases[i].body), 50);
        CHECK(fed.state == BATCH_TOO_BIG);
        CHECK(strstr(batch_refusal(fed.batch)->what, cases[i].says));
        batch_free(fed.batch);
    }
}

TEST(a_name_is_measured_decoded)
{
    static const struct batch_limits three = {
        .body_max = 1 << 20, .run_max = 1 << 20, .runs_max = 9, .name_max = 3};
    const char *fits = "[{" TRACE ",\"name\":\"\\u0061\\u0062\\u0063\"}]";
    struct fed fed = {0};
    feed(&fed, false, &three, fits, strlen(fits), 9);
    CHECK(fed.state == BATCH_READY);
    batch_free(fed.batch);
}

TEST(a_budget_that_is_used_up_refuses_and_is_given_back)
{
    struct fed fed = {.budget = {.limit = BATCH_COST + 300}};
    feed(&fed, false, &roomy, two_runs, sizeof two_runs - 1, 20);
    CHECK(fed.state == BATCH_BUSY);
    batch_free(fed.batch);
    CHECK(atomic_load(&fed.budget.used) == 0);
}

TEST(ids_that_we_make_grow)
{
    struct fed fed = {0};
    char body[8192];
    size_t len = 0;
    body[len++] = '[';
    for (int i = 0; i < 50; i++)
        len += (size_t)sprintf(body + len, "%s{" TRACE ",\"name\":\"n\"}", i ? "," : "");
    body[len++] = ']';
    feed(&fed, false, &roomy, body, len, 333);
    CHECK(fed.state == BATCH_READY);
    for (size_t i = 1; fed.state == BATCH_READY && i < 50; i++)
        CHECK(uuid_compare(batch_run_id(fed.batch, i - 1), batch_run_id(fed.batch, i)) < 0);
    batch_free(fed.batch);
}

TEST(the_byte_at_fault_is_named)
{
    struct fed fed = {0};
    const char *body = "[{\"name\":nope}]";
    feed(&fed, false, &roomy, body, strlen(body), 4);
    CHECK(fed.state == BATCH_NOT_JSON);
    CHECK(batch_refusal(fed.batch)->offset == 10);
    CHECK(batch_refusal(fed.batch)->what[0] != '\0');
    batch_free(fed.batch);
}

TEST(white_space_in_front_is_looked_at_once)
{
    /* A piece at a time; were each looked at again with every next one, this
     * would take minutes. */
    static const struct batch_limits large = {
        .body_max = 1 << 26, .run_max = 1 << 20, .runs_max = 9, .name_max = 64};
    struct budget budget = {.limit = SIZE_MAX / 2};
    struct batch *batch = batch_new(false, &large, &budget, NULL, 0, 0);
    char blank[512];
    memset(blank, ' ', sizeof blank);
    enum batch_state state = BATCH_READING;
    for (int i = 0; i < 64 << 10 && state == BATCH_READING; i++)
        state = batch_feed(batch, (struct str){blank, sizeof blank}, false);
    CHECK(state == BATCH_READING);
    CHECK(batch_feed(batch, STR("[]"), true) == BATCH_EMPTY);
    batch_free(batch);
}

TEST(a_large_body_goes_on_in_the_spare_buffer)
{
    static const struct batch_limits large = {
        .body_max = 8 << 20, .run_max = 8 << 20, .runs_max = 9, .name_max = 64};
    struct budget budget = {.limit = SIZE_MAX / 2};
    struct spare spare = {NULL};
    struct buf *warm = buf_new(3 << 20);
    size_t len = 2 << 20;
    char *body = malloc(len);
    int head = sprintf(body, "[{" TRACE ",\"name\":\"n\",\"inputs\":{\"long\":\"");
    memset(body + head, 'x', len - (size_t)head);
    memcpy(body + len - 4, "\"}}]", 4);

    for (int round = 0; round < 2; round++) {
        spare_give(&spare, warm);
        struct batch *batch = batch_new(false, &large, &budget, &spare, 0, len);
        CHECK(batch_feed(batch, (struct str){body, 1}, false) == BATCH_READING);
        CHECK(atomic_load(&budget.used) < 1 << 20); /* what is promised costs nothing */
        enum batch_state state = BATCH_READING;
        for (size_t at = 1; at < len; at += 1 << 16) {
            size_t n = len - at < 1 << 16 ? len - at : 1 << 16;
            state = batch_feed(batch, (struct str){body + at, n}, at + n == len);
        }
        CHECK(state == BATCH_READY);
        struct run run;
        CHECK(record_run(batch_record(batch), 0, &run, NULL) == 0);
        CHECK(run.raw.len == len - 2 && memcmp(run.raw.at, body + 1, len - 2) == 0);
        CHECK(atomic_load(&budget.used) >= 3 << 20); /* all of the spare is */
        batch_free(batch);
        CHECK(atomic_load(&budget.used) == 0);
        warm = spare_take(&spare, 2 << 20);
        CHECK(warm && warm->cap == 3 << 20);
    }
    buf_unref(warm);
    free(body);
}
