/* stats_test.c - many runs in a few numbers. */
#include "run/stats.h"

#include <math.h>

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/feedback.h"
#include "run/view.h"

static struct facts used(double prompt, double completion)
{
    return (struct facts){.usage = {.has = {[FACTS_PROMPT_TOKENS] = true,
                                            [FACTS_COMPLETION_TOKENS] = true,
                                            [FACTS_TOTAL_TOKENS] = true},
                                    .value = {[FACTS_PROMPT_TOKENS] = prompt,
                                              [FACTS_COMPLETION_TOKENS] = completion,
                                              [FACTS_TOTAL_TOKENS] = prompt + completion}}};
}

static struct view run_of(enum run_type type, int64_t start_us, int64_t end_us,
                          const struct facts *facts)
{
    return (struct view){.type = type,
                         .status = RUN_SUCCESS,
                         .start_us = start_us,
                         .end_us = end_us,
                         .facts = facts};
}

static bool has(const struct stats *stats, const char *member)
{
    struct text text = {0};
    struct feedback_tally none = {0};
    stats_write(stats, &none, &text);
    bool is = memmem(text.at, text.len, member, strlen(member)) != NULL;
    if (!is)
        fprintf(stderr, "%s is not in %.*s\n", member, STR_FMT(text_str(&text)));
    text_free(&text);
    return is;
}

TEST(of_no_runs_nothing_is_known)
{
    struct stats stats = {0};

    CHECK(has(&stats,
              "\"run_count\":0,\"latency_p50\":null,\"latency_p99\":null,\"latency_p95\":null,"));
    CHECK(has(&stats, "\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0,"
                      "\"prompt_cost\":null,"));
    CHECK(has(&stats, "\"error_rate\":null,\"streaming_rate\":null,\"last_run_start_time\":null,"
                      "\"feedback_stats\":{},\"run_facets\":[]"));
}

TEST(a_percentile_lies_between_two_values)
{
    struct arena *arena = arena_new(256);
    struct stats stats = {0};
    double value = 0;
    for (int64_t s = 4; s >= 1; s--) {
        struct view run = run_of(RUN_CHAIN, 0, s * 1000000, NULL);
        stats_add(&stats, &run, false, arena);
    }
    struct view running = run_of(RUN_CHAIN, 7000000, RUN_RUNNING, NULL);
    stats_add(&stats, &running, false, arena);

    CHECK(stats_percentile(&stats.latency, 0.5, &value) && fabs(value - 2.5) < 1e-9);
    CHECK(stats_percentile(&stats.latency, 0, &value) && fabs(value - 1) < 1e-9);
    CHECK(stats_percentile(&stats.latency, 1, &value) && fabs(value - 4) < 1e-9);
    CHECK(has(&stats, "\"run_count\":5,\"latency_p50\":2.5,"));
    CHECK(has(&stats, "\"last_run_start_time\":\"1970-01-01T00:00:07.000000Z\""));
    arena_free(arena);
}

TEST(what_a_model_used_counts_once)
{
    struct arena *arena = arena_new(256);
    struct facts inner = used(3, 4), outer = used(30, 40);
    struct view model = run_of(RUN_LLM, 0, 1, &inner), chain = run_of(RUN_CHAIN, 0, 1, &outer);
    struct stats all = {0}, alone = {0};

    stats_add(&all, &model, false, arena);
    stats_add(&all, &chain, false, arena);
    stats_add(&alone, &chain, true, arena);

    CHECK(has(&all, "\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7,"));
    CHECK(has(&all, "\"median_tokens\":7,"));
    CHECK(has(&alone, "\"total_tokens\":70,"));
    arena_free(arena);
}

TEST(rates_are_parts_of_all_runs)
{
    struct arena *arena = arena_new(256);
    struct facts streamed = {.has_first_token = true, .first_token_us = 500000};
    struct view good = run_of(RUN_LLM, 0, 1, &streamed), bad = run_of(RUN_LLM, 0, 1, NULL);
    struct stats stats = {0};
    bad.status = RUN_ERROR;

    stats_add(&stats, &good, false, arena);
    for (int i = 0; i < 3; i++)
        stats_add(&stats, &bad, false, arena);

    CHECK(has(&stats, "\"error_rate\":0.75,\"streaming_rate\":0.25,"));
    CHECK(has(&stats, "\"first_token_p50\":0.5,"));
    arena_free(arena);
}

TEST(details_are_summed_by_category)
{
    struct arena *arena = arena_new(256);
    struct facts facts = used(1, 1);
    facts.usage.prompt_token_details = STR("{\"cache_read\": 5, \"note\":\"x\", \"audio\":2.5}");
    struct view run = run_of(RUN_LLM, 0, 1, &facts);
    struct stats stats = {0};

    stats_add(&stats, &run, false, arena);
    stats_add(&stats, &run, false, arena);

    CHECK(stats.prompt_tokens && stats.prompt_tokens->count == 2);
    CHECK(str_eq(stats.prompt_tokens->name[0], STR("cache_read")));
    CHECK(fabs(stats.prompt_tokens->sum[0] - 10) < 1e-9);
    CHECK(fabs(stats.prompt_tokens->sum[1] - 5) < 1e-9);
    CHECK(stats.completion_tokens == NULL);
    arena_free(arena);
}

TEST(of_many_runs_a_sample_is_near_enough_and_bounded)
{
    struct arena *arena = arena_new(256);
    struct stats stats = {0};
    double half = 0, most = 0;
    for (int64_t i = 0; i < 100000; i++) {
        struct view run = run_of(RUN_CHAIN, 0, (i * 7919 % 100000) * 1000, NULL);
        stats_add(&stats, &run, false, arena);
    }

    CHECK(stats.latency.count == STATS_SAMPLE && stats.latency.seen == 100000);
    CHECK(stats_percentile(&stats.latency, 0.5, &half) && half > 46 && half < 54);
    CHECK(stats_percentile(&stats.latency, 0.99, &most) && most > 98 && most < 100);
    CHECK(has(&stats, "\"run_count\":100000,"));
    arena_free(arena);
}
