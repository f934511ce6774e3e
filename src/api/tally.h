/* tally.h - what became of a batch, counted. */
#pragma once

#include <stddef.h>

#include "base/metric.h"

/* Every entry that was `seen` is counted once more as what became of it: those that were
 * neither stored nor there already were refused.  `result`: of the batch. */
void tally(size_t seen, size_t stored, size_t duplicate, enum metric result);
