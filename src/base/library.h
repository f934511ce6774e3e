/* library.h - a shared library that is loaded when it is needed.
 *
 * What a node needs only to reach other services is not there when it keeps
 * everything itself: the program starts without it, and may be installed so.
 *
 * Threads  at start, on one
 * Errors   ERR_UNAVAILABLE it cannot be loaded, with the package that has it
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

/* Fill `functions`, pointers one behind the other, with what `names` are called
 * in `file` ("libpq.so.5").  It stays loaded. */
int library_load(const char *file, const char *package, const char *const *names, size_t count,
                 void *functions, struct err *err);
