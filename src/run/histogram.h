/* histogram.h - when many runs began, counted in buckets of one width.
 *
 * The range of time is given, or that of the runs: then the width doubles whenever a run
 * is outside of what the buckets reach, so that no run needs to be remembered.
 *
 * Threads  pure
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 500 };

struct histogram {
    int64_t from_us, width_us; /* of the first bucket, of each */
    unsigned most;             /* buckets: 1..HISTOGRAM_BUCKETS */
    unsigned used;             /* of those; of a range that is given, all */
    bool grows;
    uint64_t count[HISTOGRAM_BUCKETS], errors[HISTOGRAM_BUCKETS];
};

/* Of this range, both ends included; in at most so many buckets. */
void histogram_of_range(struct histogram *histogram, int64_t min_us, int64_t max_us, unsigned most);

/* Of whatever comes. */
void histogram_of_runs(struct histogram *histogram, unsigned most);

/* A run that began at `start_us`; of a range that is given, in it. */
void histogram_add(struct histogram *histogram, int64_t start_us, bool error);
