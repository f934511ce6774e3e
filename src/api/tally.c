/* tally.c - see tally.h. */
#include "api/tally.h"

void tally(size_t seen, size_t stored, size_t duplicate, enum metric result)
{
    metric_add(METRIC_RUNS_RECEIVED, (int64_t)seen);
    metric_add(METRIC_RUNS_STORED, (int64_t)stored);
    metric_add(METRIC_RUNS_DUPLICATE, (int64_t)duplicate);
    metric_add(METRIC_RUNS_REFUSED, (int64_t)(seen - stored - duplicate));
    metric_add(result, 1);
}
