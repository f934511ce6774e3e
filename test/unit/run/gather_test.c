/* gather_test.c - what gather.h promises, whole and in pieces. */
#include "run/gather.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/entity.h"
#include "run/facts.h"

static const struct batch_limits roomy = {
    .body_max = 1 << 20, .run_max = 1 << 18, .runs_max = 100, .name_max = 64};

enum { RECEIVED_US = 1700000000 };

#define ROOT "01a20937-8729-7000-8000-0350d55ee658"
#define KID "01a20937-8748-7000-8000-0360231557fd"
#define OTHER "11111111-2222-3333-4444-555555555555"
#define ROOT_ORDER "20261123T162243753001Z" ROOT
#define KID_ORDER ROOT_ORDER ".20261123T162243784002Z" KID
#define OF_ROOT "\"trace_id\":\"" ROOT "\",\"dotted_order\":\"" ROOT_ORDER "\""
#define OF_KID                                                                                     \
    "\"trace_id\":\"" ROOT "\",\"parent_run_id\":\"" ROOT "\",\"dotted_order\":\"" KID_ORDER "\""

/* ---- feeding ---- */

struct fed {
    struct budget budget;
    struct gather *gather;
    enum gather_state state;
};

static void feed(struct fed *fed, enum gather_kind kind, const struct batch_limits *limits,
                 struct str body, size_t size)
{
    struct gather_config config = {.kind = kind,
                                   .boundary = STR("B"),
                                   .limits = limits,
                                   .budget = &fed->budget,
                                   .received_us = (int64_t)RECEIVED_US * 1000000};
    uuid_parse(STR(KID), &config.id);
    if (fed->budget.limit == 0)
        fed->budget.limit = SIZE_MAX / 2;
    fed->gather = gather_new(&config);
    fed->state = GATHER_READING;
    for (size_t at = 0; at < body.len && fed->state == GATHER_READING; at += size) {
        /* A block of its own size, so that reading past it is seen. */
        size_t n = body.len - at < size ? body.len - at : size;
        char *piece = malloc(n);
        memcpy(piece, body.at + at, n);
        fed->state = gather_feed(fed->gather, (struct str){piece, n}, false);
        free(piece);
    }
    if (fed->state == GATHER_READING)
        fed->state = gather_feed(fed->gather, (struct str){0}, true);
}

static void end(struct fed *fed)
{
    gather_free(fed->gather);
    CHECK(atomic_load(&fed->budget.used) == 0);
    *fed = (struct fed){.gather = NULL};
}

static struct str of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static void part_of(struct text *body, const char *name, const char *type, struct str bytes)
{
    text_addf(body, "--B\r\nContent-Disposition: form-data; name=\"%s\"\r\n", name);
    if (type)
        text_addf(body, "Content-Type: %s\r\n", type);
    text_addf(body, "Content-Length: %zu\r\n\r\n", bytes.len);
    text_add(body, bytes);
    text_add(body, STR("\r\n"));
}

static void part(struct text *body, const char *name, const char *json)
{
    part_of(body, name, "application/json", of(json));
}

static void feed_text(struct fed *fed, struct text *body)
{
    text_add(body, STR("--B--\r\n"));
    feed(fed, GATHER_MULTIPART, &roomy, text_str(body), 7);
    if (fed->state == GATHER_REFUSED)
        fprintf(stderr, "  refused: %s\n", gather_refusal(fed->gather)->text);
}

static struct run run_at(const struct fed *fed, uint32_t i)
{
    struct run run = {.present = 0};
    struct err err;
    const struct record *record = gather_record(fed->gather);
    CHECK(i < record->count);
    if (i < record->count)
        CHECK(record_run(record, i, &run, &err) == 0);
    return run;
}

static bool is(const struct run *run, enum run_field field, const char *json)
{
    struct str found = run_field(run, field);
    bool good = json ? str_eq(found, of(json)) : found.at == NULL;
    if (!good)
        fprintf(stderr, "  %.*s: %.*s\n", STR_FMT(run_field_name(field)), STR_FMT(found));
    return good;
}

static bool has_id(struct uuid id, const char *text)
{
    struct uuid expected = {{0}};
    return uuid_parse(of(text), &expected) && uuid_compare(id, expected) == 0;
}

/* Its checksums hold, and the facts are those of the run. */
static void check_sound(const struct fed *fed)
{
    struct record record = *gather_record(fed->gather);
    record.fresh = false;
    for (uint32_t i = 0; i < record.count; i++) {
        struct run run;
        struct text facts = {0};
        CHECK(record_run(&record, i, &run, NULL) == 0);
        if (run.kind == RUN_POST || run.kind == RUN_PATCH)
            facts_of(&run, &facts);
        CHECK(str_eq(text_str(&facts), record.facts[i]));
        text_free(&facts);
    }
}

/* ---- one run ---- */

TEST(a_single_run_is_a_post)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_POST, &roomy,
         STR(" {\"id\":\"" KID "\",\"name\":\"single\",\"run_type\":\"tool\",\"inputs\":{\"x\":1},"
             "\"parent_run_id\":null,\"start_time\":1795450963859,"
             "\"extra\":{\"runtime\":{},\"metadata\":{\"a\":1}},\"whatever\":[]} "),
         3);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 1);
    CHECK(gather_record(fed.gather)->expect == RECORD_ANY && !gather_record(fed.gather)->new_ids);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_POST && run.type == RUN_TOOL && run.status == RUN_PENDING);
    CHECK(has_id(run.id, KID) && uuid_is_zero(run.trace) && uuid_is_zero(run.parent));
    CHECK(run.start_us == INT64_C(1795450963859000) && run.end_us == RUN_RUNNING);
    CHECK(is(&run, RUN_NAME, "\"single\"") && is(&run, RUN_METADATA, "{\"a\":1}"));
    CHECK(!(run.present & UINT32_C(1) << RUN_PARENT_RUN_ID));
    CHECK(run.raw.at[0] == '{' && run.raw.at[run.raw.len - 1] == '}');
    check_sound(&fed);
    end(&fed);
}

TEST(a_patch_has_the_id_of_its_path_and_nulls_say_nothing)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_PATCH, &roomy,
         STR("{\"id\":\"" KID "\",\"name\":null,\"run_type\":null,\"trace_id\":null,\"tags\":null,"
             "\"session_id\":null,\"end_time\":\"2026-11-23T16:24:04.850347\","
             "\"error\":\"bad\",\"outputs\":[1]}"),
         100);

    CHECK(fed.state == GATHER_READY);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_PATCH && has_id(run.id, KID) && run.status == RUN_ERROR);
    CHECK(run.present == (UINT32_C(1) << RUN_ID | UINT32_C(1) << RUN_END_TIME |
                          UINT32_C(1) << RUN_ERROR_TEXT | UINT32_C(1) << RUN_OUTPUTS));
    CHECK(run.start_us == (int64_t)RECEIVED_US * 1000000);
    CHECK(run.end_us == INT64_C(1795451044850347));
    CHECK(is(&run, RUN_OUTPUTS, "[1]"));
    end(&fed);
}

TEST(a_run_without_an_id_gets_one)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_POST, &roomy, STR("{\"name\":\"n\"}"), 1);
    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->new_ids);
    CHECK(run_at(&fed, 0).id.byte[6] >> 4 == 7);
    end(&fed);
}

TEST(of_equal_keys_the_last_one_counts)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_PATCH, &roomy,
         STR("{\"name\":\"a\",\"n\\u0061me\":\"b\",\"outputs\":{},\"outputs\":null}"), 5);
    CHECK(fed.state == GATHER_READY);
    struct run run = run_at(&fed, 0);
    CHECK(is(&run, RUN_NAME, "\"b\"") && is(&run, RUN_OUTPUTS, NULL));
    end(&fed);
}

TEST(odd_json_is_taken)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_PATCH, &roomy,
         STR("{\"outputs\":{\"a\":\"\\ud800\",\"a\":123456789012345678901234567890}}"), 5);
    CHECK(fed.state == GATHER_READY);
    struct run run = run_at(&fed, 0);
    CHECK(is(&run, RUN_OUTPUTS, "{\"a\":\"\\ud800\",\"a\":123456789012345678901234567890}"));
    end(&fed);
}

TEST(ids_that_are_not_said_come_from_the_dotted_order)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_PATCH, &roomy, STR("{\"dotted_order\":\"" KID_ORDER "\"}"), 5);
    CHECK(fed.state == GATHER_READY);
    struct run run = run_at(&fed, 0);
    CHECK(has_id(run.trace, ROOT) && has_id(run.parent, ROOT));
    CHECK(is(&run, RUN_TRACE_ID, NULL) && is(&run, RUN_PARENT_RUN_ID, NULL));
    end(&fed);
}

/* ---- lists ---- */

TEST(posts_come_before_patches)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_BATCH, &roomy,
         STR("{\"patch\":[{\"id\":\"" KID "\",\"end_time\":5},{\"id\":\"" ROOT "\"}],\"x\":[1],"
             "\"post\":[{\"id\":\"" KID "\"," OF_KID ",\"name\":\"kid\"}]}"),
         9);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 3);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_POST && is(&run, RUN_NAME, "\"kid\"") && has_id(run.trace, ROOT));
    run = run_at(&fed, 1);
    CHECK(run.kind == RUN_PATCH && has_id(run.id, KID) && run.end_us == 5000);
    CHECK(has_id(run_at(&fed, 2).id, ROOT));
    check_sound(&fed);
    end(&fed);
}

TEST(lists_may_be_empty)
{
    static const char *const bodies[] = {"{\"post\":[],\"patch\":[]}", "{\"post\":[]}",
                                         "{\"patch\":null}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct fed fed = {.gather = NULL};
        feed(&fed, GATHER_BATCH, &roomy, of(bodies[i]), 4);
        CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 0);
        end(&fed);
    }
}

/* ---- parts ---- */

TEST(field_parts_belong_to_their_run)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    part(&body, "post." ROOT,
         "{\"id\":\"" ROOT "\"," OF_ROOT ",\"inputs\":{\"old\":1},\"outputs\":{\"own\":1}}");
    part(&body, "post." ROOT ".inputs", " {\"new\":1} ");
    part(&body, "post." ROOT ".outputs", "null");
    part(&body, "post." ROOT ".extra", "{\"metadata\":{\"k\":\"v\"}}");
    part(&body, "patch." ROOT, "{\"end_time\":7}");
    part(&body, "patch." ROOT ".error", "\"TypeError\"");
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 2);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_POST && is(&run, RUN_INPUTS, "{\"new\":1}"));
    CHECK(is(&run, RUN_OUTPUTS, "{\"own\":1}") && is(&run, RUN_METADATA, "{\"k\":\"v\"}"));
    CHECK(run.raw.at[0] == '{' && memcmp(run.raw.at + run.raw.len - 5, "\"v\"}}", 5) == 0);
    run = run_at(&fed, 1);
    CHECK(run.kind == RUN_PATCH && run.status == RUN_ERROR && run.end_us == 7000);
    check_sound(&fed);
    end(&fed);
    text_free(&body);
}

TEST(the_same_operation_twice_is_two_layers)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    part(&body, "patch." ROOT, "{\"name\":\"a\"}");
    part(&body, "patch." ROOT, "{\"name\":\"b\"}");
    part(&body, "patch." ROOT ".outputs", "{}");
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 2);
    struct run first = run_at(&fed, 0), second = run_at(&fed, 1);
    CHECK(is(&first, RUN_NAME, "\"a\"") && is(&first, RUN_OUTPUTS, NULL));
    CHECK(is(&second, RUN_NAME, "\"b\"") && is(&second, RUN_OUTPUTS, "{}"));
    end(&fed);
    text_free(&body);
}

TEST(parts_that_do_not_follow_each_other_are_brought_together)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    part(&body, "post." ROOT, "{" OF_ROOT ",\"name\":\"root\"}");
    part(&body, "post." ROOT ".extra", "{\"metadata\":{\"k\":1}}");
    part(&body, "post." KID, "{" OF_KID ",\"name\":\"kid\"}");
    part(&body, "post." ROOT ".inputs", "{\"r\":1}");
    part(&body, "post." KID ".inputs", "{\"k\":1}");
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 2);
    struct run root = run_at(&fed, 0), kid = run_at(&fed, 1);
    CHECK(is(&root, RUN_NAME, "\"root\"") && is(&root, RUN_INPUTS, "{\"r\":1}"));
    CHECK(is(&root, RUN_METADATA, "{\"k\":1}") && !memmem(root.raw.at, root.raw.len, "kid", 3));
    CHECK(is(&kid, RUN_NAME, "\"kid\"") && is(&kid, RUN_INPUTS, "{\"k\":1}"));
    check_sound(&fed);
    end(&fed);
    text_free(&body);
}

TEST(the_same_layer_has_the_same_hash_wherever_its_fields_stand)
{
    struct fed whole = {.gather = NULL}, parts = {.gather = NULL};
    struct text body = {0};
    feed(&whole, GATHER_PATCH, &roomy, STR("{\"outputs\":{\"a\":1},\"name\":\"n\"}"), 5);
    part(&body, "patch." KID, "{\"name\":\"n\"}");
    part(&body, "patch." KID ".outputs", "{\"a\":1}");
    feed_text(&parts, &body);

    struct run a = run_at(&whole, 0), b = run_at(&parts, 0);
    CHECK(memcmp(a.hash, b.hash, sizeof a.hash) == 0);
    end(&whole);
    end(&parts);
    text_free(&body);
}

TEST(numbers_that_are_none_become_null)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    part(&body, "patch." ROOT, "{\"name\":\"N I NaN \\\" -Infinity\"}");
    part(&body, "patch." ROOT ".outputs", "{\"a\":[NaN, Infinity ,-Infinity,1.50],\"b\":\"NaN\"}");
    part(&body, "patch." ROOT ".extra", "{\"metadata\":{\"loss\":NaN}}");
    part(&body, "patch." ROOT ".inputs", "-Infinity");
    part(&body, "patch." KID, "{\"name\":\"I\"}");
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY && gather_strange(fed.gather) == 5);
    struct run run = run_at(&fed, 0);
    CHECK(is(&run, RUN_OUTPUTS, "{\"a\":[null, null ,null,1.50],\"b\":\"NaN\"}"));
    CHECK(is(&run, RUN_NAME, "\"N I NaN \\\" -Infinity\""));
    CHECK(is(&run, RUN_METADATA, "{\"loss\":null}") && is(&run, RUN_INPUTS, NULL));
    run = run_at(&fed, 1);
    CHECK(is(&run, RUN_NAME, "\"I\""));
    check_sound(&fed);
    end(&fed);

    feed(&fed, GATHER_BATCH, &roomy,
         STR("{\"patch\":[{\"id\":\"" KID "\",\"outputs\":NaN,\"inputs\":[-Infinity]},"
             "{\"id\":\"" ROOT "\",\"inputs\":[1]}]}"),
         1);
    CHECK(fed.state == GATHER_READY && gather_strange(fed.gather) == 2);
    run = run_at(&fed, 0);
    CHECK(is(&run, RUN_OUTPUTS, NULL) && is(&run, RUN_INPUTS, "[null]"));
    run = run_at(&fed, 1);
    CHECK(is(&run, RUN_INPUTS, "[1]") && run.raw.at[0] == '{');
    check_sound(&fed);
    end(&fed);
    text_free(&body);
}

TEST(a_layer_may_say_nothing)
{
    static const char *const bodies[] = {"{}", "{\"what\":NaN}", "{\"name\":null,\"x\":{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct fed fed = {.gather = NULL};
        feed(&fed, GATHER_PATCH, &roomy, of(bodies[i]), 4);
        CHECK(fed.state == GATHER_READY);
        struct run run = run_at(&fed, 0);
        CHECK(run.present == 0 && has_id(run.id, KID) && run.raw.len >= 2);
        check_sound(&fed);
        end(&fed);
    }
}

/* ---- attachments, feedback ---- */

TEST(an_attachment_has_name_type_and_any_bytes)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    struct str bytes = STR("\0\r\n--B--\r\n\377");
    part_of(&body, "attachment." ROOT ".pic", "image/png; length=11", bytes);
    part(&body, "post." ROOT, "{" OF_ROOT ",\"start_time\":3}");
    part_of(&body, "attachment." ROOT ".a \\\"b\\\".c", NULL, STR(""));
    part_of(&body, "attachment." OTHER ".x", "text/plain", STR("t"));
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY && gather_record(fed.gather)->count == 4);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_ATTACHMENT && has_id(run.id, ROOT) && has_id(run.trace, ROOT));
    CHECK(run.start_us == 3000);
    CHECK(is(&run, RUN_NAME, "pic") && is(&run, RUN_RUN_TYPE, "image/png"));
    CHECK(str_eq(run_field(&run, RUN_INPUTS), bytes));
    run = run_at(&fed, 2);
    CHECK(is(&run, RUN_NAME, "a \"b\".c") && is(&run, RUN_RUN_TYPE, NULL));
    CHECK(is(&run, RUN_INPUTS, ""));
    run = run_at(&fed, 3);
    CHECK(uuid_is_zero(run.trace) && run.start_us == (int64_t)RECEIVED_US * 1000000);
    check_sound(&fed);
    end(&fed);
    text_free(&body);
}

#define FEEDBACK "feedback." OTHER

TEST(a_feedback_is_an_entity_of_its_run)
{
    struct text body = {0};
    struct fed fed = {.gather = NULL};
    const char *json = "{\"id\":\"" OTHER "\",\"created_at\":\"2026-11-23T16:24:04.838619+00:00\","
                       "\"run_id\":\"" KID "\",\"trace_id\":\"" ROOT "\",\"key\":\"correct\","
                       "\"score\":0.8765,\"value\":null,\"start_time\":\"odd\"}";
    part(&body, FEEDBACK, json);
    part(&body, "feedback." KID,
         "{\"key\":\"k\",\"run_id\":null,\"trace_id\":\"" ROOT
         "\",\"score\":NaN,\"comment\":\"NaN\"}");
    feed_text(&fed, &body);

    CHECK(fed.state == GATHER_READY);
    struct run run = run_at(&fed, 0);
    CHECK(run.kind == RUN_ENTITY && run.entity == ENTITY_FEEDBACK && has_id(run.id, OTHER));
    CHECK(has_id(run.trace, OTHER) && has_id(run.parent, KID));
    CHECK(run.start_us == INT64_C(1795451044838619));
    CHECK(run.present == UINT32_C(1) << RUN_NAME && is(&run, RUN_NAME, "\"correct\""));
    CHECK(str_eq(run.raw, of(json)));
    run = run_at(&fed, 1);
    CHECK(has_id(run.parent, ROOT) && is(&run, RUN_NAME, "\"k\""));
    CHECK(str_eq(run.raw, STR("{\"key\":\"k\",\"run_id\":null,\"trace_id\":\"" ROOT
                              "\",\"score\":null,\"comment\":\"NaN\"}")));
    CHECK(run.start_us == (int64_t)RECEIVED_US * 1000000);
    check_sound(&fed);
    end(&fed);
    text_free(&body);
}

/* ---- what real clients sent ---- */

static struct str body_file(const char *name, char room[1 << 16])
{
    char path[256];
    const char *data = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/multipart/%s", data ? data : "test/data", name);
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(room, 1, 1 << 16, file) : 0;
    if (file)
        fclose(file);
    CHECK(len > 0);
    return (struct str){room, len};
}

static void feed_file(struct fed *fed, const char *name, const char *room, struct str body,
                      size_t size)
{
    const char *line = memchr(room, '\r', body.len);
    struct gather_config config = {.kind = GATHER_MULTIPART,
                                   .boundary = {room + 2, (size_t)(line - room) - 2},
                                   .limits = &roomy,
                                   .budget = &fed->budget,
                                   .received_us = RECEIVED_US};
    fed->budget.limit = SIZE_MAX / 2;
    fed->gather = gather_new(&config);
    fed->state = GATHER_READING;
    for (size_t at = 0; at < body.len && fed->state == GATHER_READING; at += size) {
        size_t n = body.len - at < size ? body.len - at : size;
        fed->state = gather_feed(fed->gather, (struct str){body.at + at, n}, at + n == body.len);
    }
    if (fed->state != GATHER_READY)
        fprintf(stderr, "  %s: %s\n", name, gather_refusal(fed->gather)->text);
}

TEST(what_the_sdks_send_is_the_same_however_it_is_cut)
{
    static const char *const names[] = {"js_post.body", "python_post.body"};
    static char room[1 << 16];
    for (size_t i = 0; i < 2; i++) {
        struct fed whole = {.gather = NULL};
        struct str body = body_file(names[i], room);
        feed_file(&whole, names[i], room, body, body.len);
        CHECK(whole.state == GATHER_READY);
        const struct record *a = gather_record(whole.gather);
        CHECK(a->count > 0);
        check_sound(&whole);
        for (size_t size = 1; size < body.len; size += size < 64 ? 1 : 97) {
            struct fed cut = {.gather = NULL};
            feed_file(&cut, names[i], room, body, size);
            CHECK(cut.state == GATHER_READY);
            const struct record *b = gather_record(cut.gather);
            CHECK(str_eq(a->table, b->table) && str_eq(a->body, b->body));
            end(&cut);
        }
        end(&whole);
    }
}

/* ---- refusals ---- */

struct refusal {
    enum gather_kind kind;
    const char *body;
    const char *text; /* stands in the sentence */
};

static const struct refusal refusals[] = {
    {GATHER_POST, "", "the body is empty"},
    {GATHER_POST, "[]", "should be an object"},
    {GATHER_POST, "{\"a\":}", "not JSON at byte 5"},
    {GATHER_POST, "{\"a\":1", "not JSON at byte 6: cut short"},
    {GATHER_POST, "{} {}", "not JSON at byte 3"},
    {GATHER_POST, "{\"id\":5}", "id: should be a UUID"},
    {GATHER_POST, "{\"trace_id\":\"x\"}", "trace_id: should be a UUID"},
    {GATHER_POST, "{\"parent_run_id\":{}}", "parent_run_id: should be a UUID"},
    {GATHER_POST, "{\"session_id\":\"\"}", "session_id: should be a UUID"},
    {GATHER_POST, "{\"reference_example_id\":1}", "reference_example_id: should be a UUID"},
    {GATHER_POST, "{\"name\":1}", "name: should be a string"},
    {GATHER_POST, "{\"error\":{}}", "error: should be a string"},
    {GATHER_POST, "{\"session_name\":[]}", "session_name: should be a string"},
    {GATHER_POST, "{\"address\":true}", "address: should be a string"},
    {GATHER_POST, "{\"tags\":{}}", "tags: should be a list"},
    {GATHER_POST, "{\"run_type\":\"robot\"}", "run_type: should be tool, chain"},
    {GATHER_POST, "{\"start_time\":\"now\"}", "start_time: should be an RFC 3339 time"},
    {GATHER_POST, "{\"start_time\":1.5}", "start_time: should be"},
    {GATHER_POST, "{\"end_time\":[]}", "end_time: should be"},
    {GATHER_POST, "{\"dotted_order\":5}", "dotted_order: should be"},
    {GATHER_POST, "{\"id\":\"" KID "\",\"dotted_order\":\"x\"}", "dotted_order: should be"},
    {GATHER_POST, "{\"id\":\"" ROOT "\",\"dotted_order\":\"" KID_ORDER "\"}", "its last id"},
    {GATHER_PATCH, "{\"id\":\"" ROOT "\"}", "id: is not the id"},
    {GATHER_PATCH, "{\"trace_id\":\"" OTHER "\",\"dotted_order\":\"" KID_ORDER "\"}",
     "its first id"},
    {GATHER_PATCH, "{\"parent_run_id\":\"" OTHER "\",\"dotted_order\":\"" KID_ORDER "\"}",
     "the id before its last"},
    {GATHER_POST,
     "{\"id\":\"" ROOT "\",\"parent_run_id\":\"" OTHER "\",\"dotted_order\":\"" ROOT_ORDER "\"}",
     "is a root's"},
    {GATHER_BATCH, "[]", "should be an object"},
    {GATHER_BATCH, "{}", "should have lists of runs"},
    {GATHER_BATCH, "{\"post\":{}}", "post: should be a list"},
    {GATHER_BATCH, "{\"patch\":[{\"id\":\"" KID "\"},5]}", "patch[1]: should be an object"},
    {GATHER_BATCH, "{\"patch\":[{}]}", "patch[0]: id: is required"},
    {GATHER_BATCH, "{\"post\":[{\"id\":\"" ROOT "\"," OF_ROOT "},{\"id\":\"" ROOT "\"}]}",
     "post[1]: trace_id: is required"},
    {GATHER_BATCH, "{\"post\":[{\"id\":\"" ROOT "\",\"trace_id\":\"" ROOT "\"}]}",
     "post[0]: dotted_order: is required"},
    {GATHER_MULTIPART, "", "at byte 0 of the body"},
    {GATHER_MULTIPART, "--B\r\nContent-Disposition: form-data; name=\"post." KID "\"\r\n\r\n{}",
     "of the body: "},
};

TEST(what_is_refused_is_refused_with_the_place)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        for (size_t size = 1; size < 200; size += 50) {
            struct fed fed = {.gather = NULL};
            feed(&fed, r->kind, &roomy, of(r->body), size);
            CHECK(fed.state == GATHER_REFUSED);
            if (fed.state == GATHER_REFUSED) {
                const struct err *why = gather_refusal(fed.gather);
                CHECK(why->code == ERR_INVALID);
                CHECK(strstr(why->text, r->text) != NULL);
                if (!strstr(why->text, r->text))
                    fprintf(stderr, "  %s\n  not: %s\n", why->text, r->text);
            }
            end(&fed);
        }
    }
}

struct bad_part {
    const char *name, *json;
    const char *text;
};

static const struct bad_part bad_parts[] = {
    {"run." KID, "{}", "part \"run." KID "\": its name should begin with"},
    {"", "{}", "its name should begin with"},
    {"post", "{}", "should have a UUID"},
    {"post.x", "{}", "should have a UUID"},
    {"post." KID ".tags", "[]", "its field should be inputs"},
    {"post." KID ".inputs.x", "[]", "its field should be inputs"},
    {"patch." KID ".inputs", "{}", "should come before its fields"},
    {"patch." ROOT, "5", "part patch." ROOT ": should be an object"},
    {"patch." ROOT, "", "part patch." ROOT ": not JSON at byte 0"},
    {"patch." ROOT, "{\"a\":tru}", "part patch." ROOT ": not JSON at byte 8"},
    {"patch." ROOT, "{\"id\":\"" KID "\"}", "part patch." ROOT ": id: is not"},
    {"patch." ROOT, "{\"run_type\":\"x\"}", "part patch." ROOT ": run_type: should be"},
    {"post." ROOT, "{}", "part post." ROOT ": trace_id: is required"},
    {"post." KID ".outputs", "{", "part post." KID ": outputs: not JSON at byte 1"},
    {"attachment." KID, "x", "an attachment has a name"},
    {"attachment.x.y", "x", "should have a UUID"},
    {"feedback.x", "{}", "should have a UUID"},
    {"feedback." KID ".x", "{}", "has no fields"},
    {FEEDBACK, "[]", "part " FEEDBACK ": should be an object"},
    {FEEDBACK, "{\"run_id\":\"" KID "\"}", "part " FEEDBACK ": key: is required"},
    {FEEDBACK, "{\"run_id\":\"" KID "\",\"key\":\"\"}", "key: is required"},
    {FEEDBACK, "{\"key\":\"k\"}", "run_id: is required"},
    {FEEDBACK, "{\"key\":\"k\",\"run_id\":1}", "run_id: should be a UUID"},
    {FEEDBACK, "{\"key\":\"k\",\"trace_id\":1}", "trace_id: should be a UUID"},
    {FEEDBACK, "{\"key\":\"k\",\"id\":\"" KID "\"}", "id: is not the id"},
    {FEEDBACK, "{\"key\":\"k\",\"trace_id\":\"" KID "\",\"score\":\"1\"}", "score: should be"},
    {FEEDBACK, "{\"key\":\"k\",\"trace_id\":\"" KID "\",\"created_at\":\"\"}", "created_at: "},
};

TEST(one_bad_part_refuses_all)
{
    for (size_t i = 0; i < sizeof bad_parts / sizeof *bad_parts; i++) {
        struct text body = {0};
        struct fed fed = {.gather = NULL};
        part(&body, "post." KID, "{" OF_KID "}");
        part(&body, bad_parts[i].name, bad_parts[i].json);
        text_add(&body, STR("--B--\r\n"));
        feed(&fed, GATHER_MULTIPART, &roomy, text_str(&body), 11);
        CHECK(fed.state == GATHER_REFUSED);
        if (fed.state == GATHER_REFUSED) {
            const struct err *why = gather_refusal(fed.gather);
            CHECK(why->code == ERR_INVALID && strstr(why->text, bad_parts[i].text) != NULL);
            if (!strstr(why->text, bad_parts[i].text))
                fprintf(stderr, "  %s\n  not: %s\n", why->text, bad_parts[i].text);
        }
        end(&fed);
        text_free(&body);
    }
}

TEST(a_part_has_no_coding_of_its_own)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, GATHER_MULTIPART, &roomy,
         STR("--B\r\nContent-Disposition: form-data; name=\"patch." KID "\"\r\n"
             "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}\r\n--B--"),
         9);
    CHECK(fed.state == GATHER_REFUSED);
    CHECK(strstr(gather_refusal(fed.gather)->text, "Content-Encoding") != NULL);
    end(&fed);
}

/* ---- limits ---- */

static bool too_big(enum gather_kind kind, const struct batch_limits *limits, struct str body,
                    const char *text)
{
    struct fed fed = {.gather = NULL};
    feed(&fed, kind, limits, body, 64);
    bool good = fed.state == GATHER_REFUSED && gather_refusal(fed.gather)->code == ERR_TOO_BIG &&
                strstr(gather_refusal(fed.gather)->text, text);
    if (fed.state == GATHER_REFUSED && !good)
        fprintf(stderr, "  %s\n", gather_refusal(fed.gather)->text);
    end(&fed);
    return good;
}

TEST(limits_are_said_when_they_are_passed)
{
    struct batch_limits small = {.body_max = 3000, .run_max = 1000, .runs_max = 2, .name_max = 4};
    struct text body = {0}, parts = {0};
    CHECK(too_big(GATHER_PATCH, &small, STR("{\"name\":\"12345\"}"), "name: the limit is 4"));
    CHECK(
        too_big(GATHER_BATCH, &small,
                STR("{\"patch\":[{\"id\":\"" KID "\"},{\"id\":\"" KID "\"},{\"id\":\"" KID "\"}]}"),
                "too many runs: the limit is 2"));
    text_add(&body, STR("{\"inputs\":\""));
    for (int i = 0; i < 1500; i++)
        text_add_char(&body, 'x');
    text_add(&body, STR("\"}"));
    CHECK(too_big(GATHER_PATCH, &small, text_str(&body), "is too large: the limit is 1000"));
    part_of(&parts, "attachment." KID ".x", NULL, text_str(&body));
    CHECK(too_big(GATHER_MULTIPART, &small, text_str(&parts), "is too large: the limit is 1000"));
    while (body.len <= small.body_max)
        text_add_char(&body, ' ');
    CHECK(too_big(GATHER_BATCH, &small, text_str(&body), "the body is too large"));
    text_free(&body);
    text_free(&parts);
}

TEST(fields_count_for_the_size_of_their_run)
{
    struct batch_limits small = {
        .body_max = 1 << 20, .run_max = 1000, .runs_max = 9, .name_max = 4};
    struct text body = {0}, field = {0};
    text_add_char(&field, '"');
    for (int i = 0; i < 600; i++)
        text_add_char(&field, 'x');
    text_add(&field, STR("\""));
    part(&body, "patch." KID, "{}");
    part_of(&body, "patch." KID ".inputs", NULL, text_str(&field));
    part_of(&body, "patch." KID ".outputs", NULL, text_str(&field));
    CHECK(too_big(GATHER_MULTIPART, &small, text_str(&body), "part patch." KID ": is too large"));
    text_free(&body);
    text_free(&field);
}

TEST(parts_are_counted)
{
    struct text body = {0};
    part(&body, "patch." KID, "{}");
    for (int i = 0; i < GATHER_PARTS_MAX; i++)
        part(&body, "patch." KID ".inputs", "{}");
    struct batch_limits limits = roomy;
    limits.body_max = 16 << 20;
    limits.run_max = 16 << 20;
    CHECK(too_big(GATHER_MULTIPART, &limits, text_str(&body), "too many parts"));
    text_free(&body);
}

/* With each budget there could be: refused, or good; and all of it is given back. */
TEST(a_budget_that_is_used_up_refuses_and_is_given_back)
{
    struct text body = {0};
    part(&body, "post." KID, "{" OF_KID ",\"name\":\"n\",\"tags\":[\"a\"]}");
    part(&body, "patch." ROOT, "{\"name\":\"n\"}");
    part(&body, "post." KID ".inputs", "{\"a\":NaN}");
    part(&body, FEEDBACK, "{\"key\":\"k\",\"trace_id\":\"" KID "\",\"score\":NaN}");
    text_add(&body, STR("--B--\r\n"));
    size_t refused = 0, good = 0;
    for (size_t limit = 0; limit < GATHER_COST + 8 * GATHER_LAYER_COST && !good; limit += 13) {
        struct fed fed = {.budget.limit = limit ? limit : 1};
        feed(&fed, GATHER_MULTIPART, &roomy, text_str(&body), 100);
        if (fed.state == GATHER_REFUSED) {
            CHECK(gather_refusal(fed.gather)->code == ERR_BUSY);
            refused++;
        } else {
            good++;
        }
        end(&fed);
    }
    CHECK(refused > 10 && good == 1);
    text_free(&body);
}
