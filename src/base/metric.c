/* metric.c - see metric.h.
 *
 * Each thread counts in one of a few stripes, cache lines apart, so that loops
 * do not fight over a line; more threads than stripes share, which is why the
 * counts are atomic even so.  Reading adds the stripes up.  Everything is
 * relaxed: a scrape is no snapshot, and no count orders other memory.
 */
#include "base/metric.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { STRIPES = 8, LINE = 64 };

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_TIME };

static const struct row {
    enum kind kind;
    const char *name, *labels, *help;
} rows[METRICS] = {
#define COUNTER(id, name, labels, help) {KIND_COUNTER, name, labels, help},
#define GAUGE(id, name, labels, help) {KIND_GAUGE, name, labels, help},
#define TIME(id, name, labels, help) {KIND_TIME, name, labels, help},
#include "base/metric.def"
};

/* The times have numbers of their own, for only they have buckets. */
enum {
#define TIME(id, name, labels, help) TIME_##id,
#include "base/metric.def"
    TIMES
};

static const unsigned char time_of[METRICS] = {
#define TIME(id, name, labels, help) [METRIC_##id] = TIME_##id,
#include "base/metric.def"
};

static const struct {
    uint64_t us;
    const char *le; /* in seconds */
} limits[] = {{50, "0.00005"},  {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},
              {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},
              {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"},
              {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
              {10000000, "10"}};

enum { LIMITS = sizeof limits / sizeof limits[0] };

struct histogram {
    _Atomic uint64_t sum_us;
    _Atomic uint64_t bucket[LIMITS + 1]; /* the last: longer than all limits */
};

struct stripe {
    alignas(LINE) _Atomic int64_t value[METRICS];
    struct histogram time[TIMES];
};

static struct {
    struct stripe stripe[STRIPES];
    atomic_uint threads; /* that have counted something */
    const char *version;
    int64_t start_us;
} registry;

static struct stripe *mine(void)
{
    static _Thread_local struct stripe *stripe;
    if (!stripe) {
        unsigned n = atomic_fetch_add_explicit(&registry.threads, 1, memory_order_relaxed);
        stripe = &registry.stripe[n % STRIPES];
    }
    return stripe;
}

void metric_setup(const char *version)
{
    registry.version = version;
    registry.start_us = clock_mono_us();
}

void metric_add(enum metric metric, int64_t n)
{
    assert(metric < METRICS && rows[metric].kind != KIND_TIME);
    atomic_fetch_add_explicit(&mine()->value[metric], n, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t n)
{
    assert(metric < METRICS && rows[metric].kind == KIND_GAUGE);
    atomic_store_explicit(&registry.stripe[0].value[metric], n, memory_order_relaxed);
}

void metric_time(enum metric metric, uint64_t us)
{
    assert(metric < METRICS && rows[metric].kind == KIND_TIME);
    struct histogram *h = &mine()->time[time_of[metric]];
    size_t i = 0;
    while (i < LIMITS && us > limits[i].us)
        i++;
    atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

/* How many there were up to and including bucket `last`. */
static uint64_t count_upto(enum metric metric, size_t last)
{
    uint64_t sum = 0;
    for (int s = 0; s < STRIPES; s++) {
        const struct histogram *h = &registry.stripe[s].time[time_of[metric]];
        for (size_t i = 0; i <= last; i++)
            sum += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
    }
    return sum;
}

int64_t metric_value(enum metric metric)
{
    assert(metric < METRICS);
    if (rows[metric].kind == KIND_TIME)
        return (int64_t)count_upto(metric, LIMITS);
    int64_t sum = 0;
    for (int s = 0; s < STRIPES; s++)
        sum += atomic_load_explicit(&registry.stripe[s].value[metric], memory_order_relaxed);
    return sum;
}

enum metric metric_of_status(int status)
{
    int class = status / 100;
    if (class < 1 || class > 5)
        class = 5;
    static const enum metric by_class[] = {METRIC_HTTP_REQUESTS_1XX, METRIC_HTTP_REQUESTS_2XX,
                                           METRIC_HTTP_REQUESTS_3XX, METRIC_HTTP_REQUESTS_4XX,
                                           METRIC_HTTP_REQUESTS_5XX};
    return by_class[class - 1];
}

/* The second number of /proc/self/statm; 0 where there is no such file. */
static int64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoll(second, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static void write_time(struct text *out, enum metric metric)
{
    const struct row *row = &rows[metric];
    const char *comma = row->labels[0] ? "," : "";
    /* Buckets only grow and are read upwards, so a later sum is never smaller;
     * the count is that of the last one, as the format demands. */
    uint64_t count = 0;
    for (size_t i = 0; i <= LIMITS; i++) {
        uint64_t upto = count_upto(metric, i);
        count = upto > count ? upto : count;
        text_addf(out, "rundlet_%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", row->name, row->labels,
                  comma, i < LIMITS ? limits[i].le : "+Inf", count);
    }
    uint64_t sum_us = 0;
    for (int s = 0; s < STRIPES; s++)
        sum_us += atomic_load_explicit(&registry.stripe[s].time[time_of[metric]].sum_us,
                                       memory_order_relaxed);
    const char *open = row->labels[0] ? "{" : "", *shut = row->labels[0] ? "}" : "";
    text_addf(out, "rundlet_%s_sum%s%s%s %" PRIu64 ".%06u\n", row->name, open, row->labels, shut,
              sum_us / 1000000, (unsigned)(sum_us % 1000000));
    text_addf(out, "rundlet_%s_count%s%s%s %" PRIu64 "\n", row->name, open, row->labels, shut,
              count);
}

static void write_value(struct text *out, enum metric metric)
{
    const struct row *row = &rows[metric];
    text_addf(out, "rundlet_%s", row->name);
    if (metric == METRIC_BUILD_INFO)
        text_addf(out, "{version=\"%s\"}", registry.version ? registry.version : "");
    else if (row->labels[0])
        text_addf(out, "{%s}", row->labels);
    text_addf(out, " %" PRId64 "\n", metric_value(metric));
}

static bool begins_family(size_t metric)
{
    return metric == 0 || strcmp(rows[metric].name, rows[metric - 1].name) != 0;
}

static const char *kind_word(enum kind kind)
{
    return kind == KIND_COUNTER ? "counter" : kind == KIND_GAUGE ? "gauge" : "histogram";
}

void metric_write(struct text *out)
{
    metric_set(METRIC_BUILD_INFO, 1);
    metric_set(METRIC_PROCESS_RESIDENT_BYTES, resident_bytes());
    metric_set(METRIC_UPTIME_SECONDS, (clock_mono_us() - registry.start_us) / 1000000);

    for (size_t i = 0; i < METRICS; i++) {
        const struct row *row = &rows[i];
        if (begins_family(i))
            text_addf(out, "# HELP rundlet_%s %s\n# TYPE rundlet_%s %s\n", row->name, row->help,
                      row->name, kind_word(row->kind));
        if (row->kind == KIND_TIME)
            write_time(out, (enum metric)i);
        else
            write_value(out, (enum metric)i);
    }
}

void metric_write_docs(struct text *out)
{
    text_add(out, STR("| Metric | Kind | Labels | What it says |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < METRICS; i++) {
        if (!begins_family(i))
            continue;
        text_addf(out, "| `rundlet_%s` | %s |", rows[i].name, kind_word(rows[i].kind));
        for (size_t j = i; j < METRICS && (j == i || !begins_family(j)); j++)
            if (rows[j].labels[0])
                text_addf(out, " `%s`", rows[j].labels);
        text_addf(out, " | %s |\n", rows[i].help);
    }
}
