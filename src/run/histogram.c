/* histogram.c - see histogram.h. */
#include "run/histogram.h"

#include <assert.h>
#include <string.h>

enum { FINEST_US = 1000 };

/* Year 1, before which no time can be said: were there runs on both sides of where buckets are
 * counted from, they would be in two, however wide those are. */
static const int64_t ORIGIN_US = INT64_C(-62135596800000000);

void histogram_of_range(struct histogram *h, int64_t min_us, int64_t max_us, unsigned most)
{
    assert(min_us <= max_us && most >= 1 && most <= HISTOGRAM_BUCKETS);
    /* The ends may be as far apart as numbers are. */
    uint64_t span = (uint64_t)max_us - (uint64_t)min_us;
    int64_t width = (int64_t)(span / most) + 1;
    *h = (struct histogram){.from_us = min_us, .width_us = width, .most = most};
    h->used = (unsigned)(span / (uint64_t)width) + 1;
}

void histogram_of_runs(struct histogram *h, unsigned most)
{
    assert(most >= 1 && most <= HISTOGRAM_BUCKETS);
    *h = (struct histogram){.width_us = FINEST_US, .most = most, .grows = true};
}

/* The beginning of the bucket that `us` is in. */
static int64_t floor_to(int64_t us, int64_t width)
{
    assert(us >= ORIGIN_US);
    return us - (us - ORIGIN_US) % width;
}

/* Twice as wide: each bucket takes in one or two of before, none of which lies below it. */
static void widen(struct histogram *h)
{
    int64_t width = 2 * h->width_us, from = floor_to(h->from_us, width);
    unsigned shift = from < h->from_us;
    for (unsigned i = 0; i < h->used; i++) {
        uint64_t count = h->count[i], errors = h->errors[i];
        h->count[i] = h->errors[i] = 0;
        h->count[(i + shift) / 2] += count;
        h->errors[(i + shift) / 2] += errors;
    }
    h->used = (h->used + shift + 1) / 2;
    h->from_us = from;
    h->width_us = width;
}

/* Make room for earlier runs. */
static void move_up(struct histogram *h, unsigned by)
{
    memmove(h->count + by, h->count, h->used * sizeof *h->count);
    memmove(h->errors + by, h->errors, h->used * sizeof *h->errors);
    memset(h->count, 0, by * sizeof *h->count);
    memset(h->errors, 0, by * sizeof *h->errors);
    h->used += by;
    h->from_us -= by * h->width_us;
}

/* Reach to where it began. */
static void reach(struct histogram *h, int64_t start_us)
{
    if (h->used == 0) {
        h->from_us = floor_to(start_us, h->width_us);
        h->used = 1;
    }
    for (;; widen(h)) {
        int64_t bucket = floor_to(start_us, h->width_us);
        int64_t before = (h->from_us - bucket) / h->width_us;
        int64_t buckets = before > 0 ? before + h->used : 1 - before;
        if (buckets > h->most)
            continue;
        if (before > 0)
            move_up(h, (unsigned)before);
        else if (buckets > h->used)
            h->used = (unsigned)buckets;
        return;
    }
}

void histogram_add(struct histogram *h, int64_t start_us, bool error)
{
    if (h->grows)
        reach(h, start_us);
    uint64_t i = ((uint64_t)start_us - (uint64_t)h->from_us) / (uint64_t)h->width_us;
    assert(i < h->used);
    h->count[i]++;
    h->errors[i] += error;
}
