/* scratch.h - a directory of the test's own, below $TMPDIR or /tmp. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum { SCRATCH_PATH = 256 };

struct scratch {
    char path[SCRATCH_PATH];
};

struct scratch scratch_new(void);               /* ends the test program when it cannot */
void scratch_remove(const struct scratch *dir); /* with everything in it */
struct str scratch_str(const struct scratch *dir);

/* "<dir>/<name>", in a buffer that the next call overwrites. */
const char *scratch_at(const struct scratch *dir, const char *name);

/* Whole files, to damage them; both end the test program when they cannot. */
char *scratch_read(const char *path, size_t *size); /* malloc'ed */
void scratch_write(const char *path, const void *bytes, size_t size);
bool scratch_exists(const char *path);
