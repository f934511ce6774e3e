/* fold.h - a run's name in the form in which names are compared.
 *
 * Both sides of a search go through here, so every index back end finds the
 * same names: decoded from JSON, NUL and what is not text as U+FFFD, cut to
 * FOLD_NAME_MAX bytes, then Unicode simple case folding, one code point for
 * one.  Nothing is normalised: a precomposed letter and a base letter with a
 * combining mark are different names.
 *
 * Threads  pure
 * Sources  docs/design/index-schema.md, Names; Unicode CaseFolding.txt, C + S
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct run;
struct text;

enum {
    FOLD_NAME_MAX = 8192, /* bytes of a name before folding; the rest does not count */
    FOLD_GROWTH = 3       /* folding makes at most this many bytes of one */
};

/* Fold UTF-8; `out` has room for FOLD_GROWTH * plain.len.  Returns the length. */
size_t fold(struct str plain, char *out);

/* The folded name of a run, appended to `text`.  False when the run has none. */
bool fold_run_name(const struct run *run, struct text *text);

/* Is `wanted` a substring of `name`?  Both are folded. */
bool fold_contains(struct str name, struct str wanted);

/* The code point at the start of folded text, and its length in bytes. */
uint32_t fold_point(const char *at, size_t *size);

/* How many code points there are in folded text. */
size_t fold_points(struct str folded);
