/* filter_same.h - are two filters the same, node for node? */
#pragma once

#include <stdbool.h>

struct filter;

bool filter_same(const struct filter *a, const struct filter *b);
