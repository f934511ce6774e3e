/* render_v2_test.c - a run as v2 of the LangSmith API shows it. */
#include "run/render_v2.h"

#include "base/arena.h"
#include "base/buf.h"
#include "lib/check.h"
#include "run/facts.h"
#include "run/render.h"
#include "run/stats.h"
#include "run/view.h"
#include "wire/splice.h"

static bool shows_by(void (*render)(struct splice *, const struct view *, uint64_t),
                     const struct view *view, uint64_t selects, const char *want)
{
    struct arena *arena = arena_new(1024);
    struct splice splice = {.arena = arena};
    render(&splice, view, selects);
    struct buf *joined = splice_join(&splice);
    bool is = str_eq((struct str){joined->at, joined->len}, (struct str){want, strlen(want)});
    if (!is)
        fprintf(stderr, "shown: %.*s\n", (int)joined->len, joined->at);
    buf_unref(joined);
    arena_free(arena);
    return is;
}

static bool shows(const struct view *view, uint64_t selects, const char *want)
{
    return shows_by(render_v2, view, selects, want);
}

static const struct facts used = {
    .usage = {.has = {[FACTS_TOTAL_TOKENS] = true, [FACTS_TOTAL_COST] = true},
              .value = {[FACTS_TOTAL_TOKENS] = 7, [FACTS_TOTAL_COST] = 0.25},
              .text = {[FACTS_TOTAL_COST] = {"0.250", 5}},
              .prompt_token_details = {"{\"cache_read\":2}", 16}}};

TEST(names_are_found_in_any_case_and_no_others)
{
    CHECK(select_named(STR("ID")) == SELECT_ID);
    CHECK(select_named(STR("latency_seconds")) == SELECT_LATENCY_SECONDS);
    CHECK(select_named(STR("LS_USER_ID")) == SELECT_LS_USER_ID);
    CHECK(select_named(STR("LATENC")) == SELECTS && select_named(STR("")) == SELECTS);
    CHECK(SELECTS <= 64);
}

TEST(every_member_has_a_name_and_a_value)
{
    struct view view = {.end_us = RUN_RUNNING};
    for (unsigned s = 0; s < SELECTS; s++) {
        struct arena *arena = arena_new(1024);
        struct splice splice = {.arena = arena};
        render_v2(&splice, &view, SELECT(s));
        CHECK(s == SELECT_SHARE_URL ? splice.size == 2 : splice.size > 6);
        arena_free(arena);
    }
}

TEST(words_are_upper_case_and_costs_are_numbers)
{
    struct view view = {.type = RUN_LLM,
                        .status = RUN_ERROR,
                        .start_us = 1000000,
                        .end_us = 3500000,
                        .facts = &used};

    CHECK(shows(&view, SELECT(SELECT_RUN_TYPE) | SELECT(SELECT_STATUS),
                "{\"run_type\":\"LLM\",\"status\":\"ERROR\"}"));
    CHECK(shows(&view, SELECT(SELECT_LATENCY_SECONDS), "{\"latency_seconds\":2.5}"));
    CHECK(shows(&view, SELECT(SELECT_TOTAL_COST) | SELECT(SELECT_TOTAL_TOKENS),
                "{\"total_tokens\":7,\"total_cost\":0.25}"));
    CHECK(shows(&view, SELECT(SELECT_PROMPT_TOKEN_DETAILS) | SELECT(SELECT_PROMPT_COST_DETAILS),
                "{\"prompt_token_details\":{\"raw\":{\"cache_read\":2}},"
                "\"prompt_cost_details\":null}"));
}

TEST(a_preview_of_an_error_ends_with_a_whole_character)
{
    struct view view = {.end_us = 0};
    char error[400], want[400];
    memset(error, 'e', sizeof error);
    error[0] = error[203] = '"';
    memcpy(error + FACTS_PREVIEW, "\xc3\xa9", 2); /* its first byte is the last that fits */
    view.field[RUN_ERROR_TEXT] = (struct str){error, 204};
    snprintf(want, sizeof want, "{\"error_preview\":\"%.*s\"}", FACTS_PREVIEW - 1, error + 1);

    CHECK(shows(&view, SELECT(SELECT_ERROR_PREVIEW), want));
}

TEST(a_share_is_there_only_when_there_is_one)
{
    struct view view = {.origin = STR("http://host")};
    CHECK(shows(&view, SELECT(SELECT_SHARE_URL), "{}"));

    view.share.byte[0] = 1;
    CHECK(shows(&view, SELECT(SELECT_SHARE_URL),
                "{\"share_url\":\"http://host/public/01000000-0000-0000-0000-000000000000/r\"}"));
}

TEST(attachments_are_names_and_addresses)
{
    struct view view = {.origin = STR("http://host")};
    CHECK(shows(&view, SELECT(SELECT_ATTACHMENTS), "{\"attachments\":{}}"));

    view.s3_urls =
        STR("{\"attachment.a b\":{\"presigned_url\":\"/public/download?x=1\","
            "\"mime_type\":\"text/plain\"},\"attachment.c\":{\"presigned_url\":\"/d\"}}");
    CHECK(shows(&view, SELECT(SELECT_ATTACHMENTS),
                "{\"attachments\":{\"a b\":\"http://host/public/download?x=1\","
                "\"c\":\"http://host/d\"}}"));
}

TEST(of_a_trace_is_said_what_all_its_runs_used)
{
    struct stats totals = {.has = {[FACTS_TOTAL_TOKENS] = true},
                           .sum = {[FACTS_TOTAL_TOKENS] = 70},
                           .streamed = 1,
                           .first_token_us = 0};
    struct view view = {.facts = &used, .totals = &totals};

    CHECK(shows_by(render_trace, &view,
                   SELECT(SELECT_STATUS) | SELECT(SELECT_TOTAL_TOKENS) | SELECT(SELECT_TOTAL_COST) |
                       SELECT(SELECT_FIRST_TOKEN_TIME),
                   "{\"root_run\":{\"status\":\"PENDING\"},\"trace_aggregates\":{"
                   "\"first_token_time\":\"1970-01-01T00:00:00.000000Z\",\"total_tokens\":70,"
                   "\"total_cost\":null}}"));
    CHECK(shows_by(render_trace, &view, SELECT(SELECT_STATUS),
                   "{\"root_run\":{\"status\":\"PENDING\"}}"));
}

TEST(what_is_selected_says_what_has_to_be_there)
{
    CHECK(select_needs(SELECT(SELECT_ID)) == SHOW(SHOW_ID));
    CHECK(select_needs(SELECT(SELECT_MANIFEST)) == SHOW(SHOW_SERIALIZED));
    CHECK(select_needs(SELECT(SELECT_SHARE_URL)) & SHOW_OF_ENTITIES);
    CHECK(select_needs(SELECT(SELECT_TOTAL_COST)) & SHOW_OF_FACTS);
    CHECK(render_reads(select_needs(SELECT(SELECT_STATUS) | SELECT(SELECT_IS_ROOT))) == 0);
}
