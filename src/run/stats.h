/* stats.h - many runs in a few numbers.
 *
 * Sums are exact.  Percentiles are of a sample: all values while there are at most
 * STATS_SAMPLE of them, then as many, each with the same chance, drawn in a way that is
 * the same for the same runs in the same order.
 *
 * Usage    of a model's run it counts.  Of any other it may say again what runs below it
 *          said; so it counts only where it is asked for alone (`usage`)
 * Threads  pure
 * Memory   grows in the arena of each call, up to some 60 KiB
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "run/facts.h"

struct arena;
struct feedback_tally;
struct text;
struct view;

enum { STATS_SAMPLE = 2000, STATS_DETAILS = 32 };

struct stats_sample {
    double *at;
    size_t count, cap;
    uint64_t seen;
};

/* Sums by category: cache_read, reasoning, ... */
struct stats_details {
    struct str name[STATS_DETAILS];
    double sum[STATS_DETAILS];
    size_t count;
};

/* All zero: of no runs. */
struct stats {
    uint64_t runs, errors, streamed;
    int64_t first_start_us, last_start_us; /* of any runs */
    int64_t last_end_us;                   /* 0: none ended */
    int64_t first_token_us;                /* the earliest, of those that streamed */
    bool has[FACTS_NUMBERS];
    double sum[FACTS_NUMBERS];
    struct stats_details *prompt_tokens, *completion_tokens, *prompt_cost, *completion_cost;
    struct stats_sample latency, first_token; /* seconds */
    struct stats_sample tokens;               /* of a run */
};

void stats_add(struct stats *stats, const struct view *run, bool usage, struct arena *arena);

/* Only what it used. */
void stats_add_usage(struct stats *stats, const struct view *run, struct arena *arena);

/* Is this the run of a model? */
bool stats_is_model(const struct view *run);

/* `part` of the values are not above it, 0..1; between two values in proportion.  False:
 * there are no values. */
bool stats_percentile(const struct stats_sample *sample, double part, double *value);

/* The members that the API has of a project or of a query, without braces around them. */
void stats_write(const struct stats *stats, const struct feedback_tally *feedback,
                 struct text *text);

/* "name":number, or null. */
void stats_write_number(struct text *text, const char *name, bool is, double number);
