/* stats.c - see stats.h. */
#include "run/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "run/feedback.h"
#include "run/view.h"
#include "wire/json_string.h"
#include "wire/json_walk.h"
#include "wire/rfc3339.h"

enum { DIGITS_MAX = 64, FIRST_ROOM = 16 };

/* A number that looks like chance and is the same each time (splitmix64). */
static uint64_t scatter(uint64_t n)
{
    n += UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static void sample_add(struct stats_sample *sample, double value, struct arena *arena)
{
    sample->seen++;
    if (sample->count == STATS_SAMPLE) { /* it takes the place of another, or none */
        uint64_t at = scatter(sample->seen) % sample->seen;
        if (at < STATS_SAMPLE)
            sample->at[at] = value;
        return;
    }
    if (sample->count == sample->cap) {
        size_t cap = sample->cap ? sample->cap * 2 : FIRST_ROOM;
        double *at = arena_make(arena, double, cap);
        if (sample->count)
            memcpy(at, sample->at, sample->count * sizeof *at);
        sample->at = at;
        sample->cap = cap;
    }
    sample->at[sample->count++] = value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool stats_percentile(const struct stats_sample *sample, double part, double *value)
{
    if (sample->count == 0)
        return false;
    qsort(sample->at, sample->count, sizeof *sample->at, ascending);
    double place = part * (double)(sample->count - 1);
    size_t below = (size_t)place;
    double share = place - (double)below;
    double first = sample->at[below];
    *value = share > 0 ? first + share * (sample->at[below + 1] - first) : first;
    return true;
}

/* --- adding ------------------------------------------------------------------- */

static void add_detail(struct stats_details *details, struct str key, double number,
                       struct arena *arena)
{
    size_t i = 0;
    while (i < details->count && !str_eq(details->name[i], key))
        i++;
    if (i == STATS_DETAILS)
        return;
    if (i == details->count)
        details->name[details->count++] = arena_copy(arena, key);
    details->sum[i] += number;
}

/* The numbers of a flat object; keys stay as they stand between their quotes. */
static void add_details(struct stats_details **details, struct str json, struct arena *arena)
{
    struct json_walk walk = json_walk(json);
    struct str key;
    char digits[DIGITS_MAX + 1];
    if (!json.at || !json_walk_object(&walk))
        return;
    if (!*details)
        *details = arena_make(arena, struct stats_details, 1);
    while (json_walk_member(&walk, &key)) {
        struct str value = json_walk_value(&walk);
        if (value.len == 0 || value.len > DIGITS_MAX || key.len > DIGITS_MAX ||
            !(value.at[0] == '-' || (value.at[0] >= '0' && value.at[0] <= '9')))
            continue;
        memcpy(digits, value.at, value.len);
        digits[value.len] = '\0';
        add_detail(*details, key, strtod(digits, NULL), arena);
    }
}

void stats_add_usage(struct stats *stats, const struct view *run, struct arena *arena)
{
    if (!run->facts)
        return;
    const struct facts_usage *usage = &run->facts->usage;
    for (unsigned i = 0; i < FACTS_NUMBERS; i++)
        if (usage->has[i]) {
            stats->has[i] = true;
            stats->sum[i] += usage->value[i];
        }
    if (usage->has[FACTS_TOTAL_TOKENS])
        sample_add(&stats->tokens, usage->value[FACTS_TOTAL_TOKENS], arena);
    add_details(&stats->prompt_tokens, usage->prompt_token_details, arena);
    add_details(&stats->completion_tokens, usage->completion_token_details, arena);
    add_details(&stats->prompt_cost, usage->prompt_cost_details, arena);
    add_details(&stats->completion_cost, usage->completion_cost_details, arena);
}

bool stats_is_model(const struct view *run)
{
    return run->type == RUN_LLM || run->type == RUN_EMBEDDING;
}

static double seconds(int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (double)(to_us - from_us) / 1e6 : 0;
}

void stats_add(struct stats *stats, const struct view *run, bool usage, struct arena *arena)
{
    if (stats->runs == 0 || run->start_us < stats->first_start_us)
        stats->first_start_us = run->start_us;
    if (stats->runs == 0 || run->start_us > stats->last_start_us)
        stats->last_start_us = run->start_us;
    stats->runs++;
    stats->errors += run->status == RUN_ERROR;
    if (run->end_us != RUN_RUNNING) {
        sample_add(&stats->latency, seconds(run->start_us, run->end_us), arena);
        stats->last_end_us = run->end_us > stats->last_end_us ? run->end_us : stats->last_end_us;
    }
    if (run->facts && run->facts->has_first_token) {
        if (stats->streamed == 0 || run->facts->first_token_us < stats->first_token_us)
            stats->first_token_us = run->facts->first_token_us;
        stats->streamed++;
        sample_add(&stats->first_token, seconds(run->start_us, run->facts->first_token_us), arena);
    }
    if (usage || stats_is_model(run))
        stats_add_usage(stats, run, arena);
}

/* --- as JSON ------------------------------------------------------------------ */

void stats_write_number(struct text *text, const char *name, bool is, double number)
{
    text_addf(text, "\"%s\":", name);
    if (is && isfinite(number))
        text_addf(text, "%.15g", number);
    else
        text_add(text, STR("null"));
}

static void write_percentile(struct text *text, const char *name, const struct stats_sample *sample,
                             double part)
{
    double value = 0;
    bool is = stats_percentile(sample, part, &value);
    stats_write_number(text, name, is, value);
    text_add_char(text, ',');
}

/* Tokens of none are none, their cost is not known. */
static void write_sums(const struct stats *stats, struct text *text)
{
    static const char *const names[FACTS_NUMBERS] = {"prompt_tokens",   "completion_tokens",
                                                     "total_tokens",    "prompt_cost",
                                                     "completion_cost", "total_cost"};
    for (unsigned i = 0; i < FACTS_NUMBERS; i++) {
        stats_write_number(text, names[i], i < FACTS_PROMPT_COST || stats->has[i], stats->sum[i]);
        text_add_char(text, ',');
    }
}

void stats_write(const struct stats *stats, const struct feedback_tally *feedback,
                 struct text *text)
{
    double runs = (double)stats->runs;
    text_addf(text, "\"run_count\":%llu,", (unsigned long long)stats->runs);
    write_percentile(text, "latency_p50", &stats->latency, 0.5);
    write_percentile(text, "latency_p99", &stats->latency, 0.99);
    write_percentile(text, "latency_p95", &stats->latency, 0.95);
    write_percentile(text, "first_token_p50", &stats->first_token, 0.5);
    write_percentile(text, "first_token_p99", &stats->first_token, 0.99);
    write_sums(stats, text);
    write_percentile(text, "median_tokens", &stats->tokens, 0.5);
    stats_write_number(text, "error_rate", runs > 0, (double)stats->errors / runs);
    text_add_char(text, ',');
    stats_write_number(text, "streaming_rate", runs > 0, (double)stats->streamed / runs);
    text_add(text, STR(",\"last_run_start_time\":"));
    if (stats->runs > 0) {
        char time[RFC3339_SIZE];
        text_addf(text, "\"%.*s\"", STR_FMT(rfc3339_write(stats->last_start_us, time)));
    } else {
        text_add(text, STR("null"));
    }
    text_add(text, STR(",\"feedback_stats\":"));
    feedback_write(feedback, text);
    text_add(text, STR(",\"run_facets\":[]"));
}
