/* identity.h - the id of a data directory: random, made once, kept in the file `id`.
 *
 * What others keep for it (a bucket, a database) remembers it, so that another
 * directory's is not taken for this one's.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum { IDENTITY = 32 /* hex digits */ };

/* Empty when there is none and `make` does not say to make it. */
int identity_read(const char *dir, bool make, char id[IDENTITY + 1], struct err *err);
