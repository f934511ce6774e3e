/* feedback.h - what was said of runs, counted: `feedback_stats` as the API shows them.
 *
 *     {"<key>": {"n", "avg", "stdev", "min", "max", "values", "comments", "sources", ...}}
 *
 * Shape    at most FEEDBACK_KEYS keys, and of each FEEDBACK_VALUES values and
 *          FEEDBACK_COMMENTS comments; what comes after those is counted in `n` alone
 * Threads  pure
 * Memory   all in the arena of the first call
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct arena;
struct entity;
struct text;

enum { FEEDBACK_KEYS = 200, FEEDBACK_VALUES = 50, FEEDBACK_COMMENTS = 20, FEEDBACK_TEXT = 1000 };

struct feedback_key;

/* All zero: nothing was said. */
struct feedback_tally {
    struct feedback_key *keys, *last; /* in the order in which they came */
    size_t count;
};

void feedback_add(struct feedback_tally *tally, const struct entity *feedback, struct arena *arena);

/* The object, {} of nothing. */
void feedback_write(const struct feedback_tally *tally, struct text *text);
