/* nearest.h - which name somebody may have meant. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { NEAREST_MAX = 24 /* longest name that is compared */ };

/* Is `name` close to what was written, and closer than `*best` (at first
 * SIZE_MAX), which is then set? */
bool nearest_is(const char *written, const char *name, size_t *best);
