/* numbered.h - the files of containers: a number in 16 lower-case hex digits,
 * and an ending that says what it is.
 *
 * Threads  any
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { NUMBERED_PATH = 4096 /* most bytes of a path, with its NUL */ };

/* "<dir>/<number><ending>"; `path` has room for NUMBERED_PATH. */
int numbered_path(struct str dir, uint64_t number, const char *ending, char *path, struct err *err);

/* Is it a name of that form?  No container has the number 0. */
bool numbered_name(const char *name, const char *ending, uint64_t *number);
