/* metric.h - what is counted and measured, in one table (metric.def).
 *
 * The table gives the enum, the Prometheus text and the page for people.  The
 * registry is one of the program's two globals (the other is the log's level):
 * a count belongs to the process, and counting must not need an argument.
 *
 * Shape    a counter only grows; a gauge is either set or added to, never both;
 *          a time is a histogram, in buckets from 50 us to 10 s
 * Threads  any; threads count in stripes of their own, summed when read
 * Memory   static
 * Sources  https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#pragma once

#include <stdint.h>

struct text;

enum metric {
#define COUNTER(id, name, labels, help) METRIC_##id,
#define GAUGE(id, name, labels, help) METRIC_##id,
#define TIME(id, name, labels, help) METRIC_##id,
#include "base/metric.def"
    METRICS /* how many there are */
};

/* Once, at start: what build_info says, a static string of plain characters.
 * uptime_seconds counts from here. */
void metric_setup(const char *version);

void metric_add(enum metric metric, int64_t n); /* a counter (n >= 0) or a gauge that is added to */
void metric_set(enum metric metric, int64_t n); /* a gauge that is set, by one thread at a time */
void metric_time(enum metric metric, uint64_t us); /* a time: one more that took this long */

int64_t metric_value(enum metric metric); /* of a time: how many there were */

/* The row of an answer's status: 100..599; others count as 5xx. */
enum metric metric_of_status(int status);

void metric_write(struct text *out);      /* all, as Prometheus text 0.0.4 */
void metric_write_docs(struct text *out); /* the table, as Markdown */
