/* render_test.c - a run as the API shows it. */
#include "run/render.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "lib/check.h"
#include "run/batch.h"
#include "run/view.h"
#include "wire/splice.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define TRACE "11111111-2222-3333-4444-555555555555"
#define HEAD "\"id\":\"" ID "\",\"trace_id\":\"" TRACE "\",\"name\":\"n\""

static const struct batch_limits roomy = {
    .body_max = 1 << 20, .run_max = 1 << 20, .runs_max = 10, .name_max = 64};

/* As it is shown where nothing was added to it. */
static struct view view_of(const struct run *run)
{
    struct view view = {.id = run->id,
                        .trace = run->trace,
                        .parent = run->parent,
                        .project_name = STR("default"),
                        .start_us = run->start_us,
                        .end_us = run->end_us,
                        .type = run->type,
                        .status = run->status,
                        .whole = true};
    const struct holder holder = {.fields = UINT32_MAX};
    view_fill(&view, &holder, run, 1);
    return view;
}

/* Does the run that `sent` is show as `shown`, with those fields? */
static bool shows(const char *sent, uint64_t fields, const char *shown)
{
    struct budget budget = {.limit = SIZE_MAX / 2};
    struct batch *batch = batch_new(false, &roomy, &budget, NULL, 0, 0);
    struct arena *arena = arena_new(1024);
    struct splice splice = {.arena = arena};
    struct run run;
    char body[4096];
    int len = snprintf(body, sizeof body, "[%s]", sent);

    bool ready = batch_feed(batch, (struct str){body, (size_t)len}, true) == BATCH_READY;
    CHECK(ready && record_run(batch_record(batch), 0, &run, NULL) == 0);
    bool equal = false;
    if (ready) {
        struct view view = view_of(&run);
        render_run(&splice, &view, fields);
        struct buf *joined = splice_join(&splice);
        CHECK(joined->len == splice.size);
        equal = str_eq((struct str){joined->at, joined->len}, (struct str){shown, strlen(shown)});
        if (!equal)
            fprintf(stderr, "shown: %.*s\n", (int)joined->len, joined->at);
        buf_unref(joined);
    }
    batch_free(batch);
    arena_free(arena);
    return equal;
}

static uint64_t only(enum show field)
{
    return SHOW(field);
}

TEST(the_native_fields_come_first_and_as_they_were_sent)
{
    uint64_t native = only(SHOW_ID) | only(SHOW_TRACE_ID) | only(SHOW_NAME) | only(SHOW_INPUTS) |
                      only(SHOW_OUTPUTS) | only(SHOW_METADATA);
    CHECK(shows("{\"metadata\":{\"z\": 1e2 },\"name\":\"\\u006e\",\"trace_id\":\"{" TRACE
                "}\",\"inputs\":{\"a\":1,\"a\":2},\"id\":\"01890A5DAC96774BBCCEB302099A8057\"}",
                native,
                "{\"id\":\"" ID "\",\"trace_id\":\"" TRACE
                "\",\"name\":\"\\u006e\",\"inputs\":{\"a\":1,\"a\":2},\"outputs\":{},"
                "\"metadata\":{\"z\": 1e2 }}"));
}

TEST(what_was_not_sent_has_its_default)
{
    CHECK(shows("{" HEAD "}", SHOW(SHOW_APP_PATH) - 1,
                "{" HEAD ",\"inputs\":{},\"outputs\":{},\"metadata\":{},\"run_type\":\"chain\","
                "\"status\":\"success\",\"start_time\":\"1970-01-01T00:00:00.000000Z\","
                "\"end_time\":\"1970-01-01T00:00:00.000000Z\",\"error\":null,\"extra\":null,"
                "\"events\":null,\"tags\":null,\"serialized\":null,\"parent_run_id\":null,"
                "\"parent_run_ids\":[],\"dotted_order\":\"19700101T000000000000Z" ID "\","
                "\"session_name\":\"default\",\"session_id\":null,"
                "\"reference_example_id\":null}"));
}

TEST(metadata_and_extra_are_two_views_of_one_thing)
{
    uint64_t both = only(SHOW_METADATA) | only(SHOW_EXTRA);
    CHECK(shows("{" HEAD ",\"metadata\":{\"a\":1}}", both,
                "{\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1}}}"));
    CHECK(shows("{" HEAD ",\"extra\":{\"metadata\":{\"a\":1}, \"r\":2}}", both,
                "{\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1}, \"r\":2}}"));
    CHECK(shows("{" HEAD ",\"metadata\":{\"a\":1},\"extra\":{ \"r\":2}}", both,
                "{\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1}, \"r\":2}}"));
    CHECK(shows("{" HEAD ",\"metadata\":{\"a\":1},\"extra\":{ }}", both,
                "{\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1} }}"));
    CHECK(shows("{" HEAD ",\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1},\"r\":2}}",
                both, "{\"metadata\":{\"a\":1},\"extra\":{\"metadata\":{\"a\":1},\"r\":2}}"));
    CHECK(shows("{" HEAD ",\"extra\":{\"metadata\":5}}", both,
                "{\"metadata\":{},\"extra\":{\"metadata\":5}}"));
    CHECK(shows("{" HEAD ",\"metadata\":{},\"extra\":null}", both,
                "{\"metadata\":{},\"extra\":{\"metadata\":{}}}"));
}

TEST(the_status_is_derived)
{
    CHECK(shows("{" HEAD ",\"end_time\":null}", only(SHOW_STATUS), "{\"status\":\"pending\"}"));
    CHECK(shows("{" HEAD ",\"end_time\":5}", only(SHOW_STATUS), "{\"status\":\"success\"}"));
    CHECK(shows("{" HEAD ",\"end_time\":null,\"error\":\"x\"}", only(SHOW_STATUS),
                "{\"status\":\"error\"}"));
    CHECK(shows("{" HEAD ",\"error\":\"\"}", only(SHOW_STATUS), "{\"status\":\"success\"}"));
}

TEST(the_ancestors_are_those_of_the_dotted_order)
{
    uint64_t parents = only(SHOW_PARENT_RUN_IDS);
    CHECK(shows("{" HEAD ",\"parent_run_id\":\"" TRACE "\"}", parents,
                "{\"parent_run_ids\":[\"" TRACE "\"]}"));
    CHECK(shows("{" HEAD ",\"dotted_order\":\"20260101T000000000000Z" TRACE
                ".20260101T000000000001Z" ID "\"}",
                parents, "{\"parent_run_ids\":[\"" TRACE "\"]}"));
    CHECK(shows("{" HEAD ",\"dotted_order\":\"a.b\"}", parents, "{\"parent_run_ids\":[]}"));
}

TEST(long_values_are_viewed_and_short_ones_copied_together)
{
    char sent[3000], *p = sent + sprintf(sent, "{" HEAD ",\"inputs\":{\"k\":\"");
    memset(p, 'x', 2000);
    strcpy(p + 2000, "\"}}");
    char shown[3000], *q = shown + sprintf(shown, "{\"inputs\":{\"k\":\"");
    memset(q, 'x', 2000);
    strcpy(q + 2000, "\"},\"outputs\":{}}");
    CHECK(shows(sent, only(SHOW_INPUTS) | only(SHOW_OUTPUTS), shown));
}

TEST(field_names_are_known)
{
    CHECK(show_named(STR("inputs")) == SHOW_INPUTS);
    CHECK(show_named(STR("input")) == SHOWS);
    CHECK(show_named(STR("")) == SHOWS);
}
