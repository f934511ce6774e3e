/* facts_text.h - texts out of JSON, cut to a size.
 *
 * For values of any size of which only so much is wanted: what is behind that is not
 * looked at.  Whole characters only; a NUL becomes U+FFFD.
 *
 *     struct facts_out out = {.text = text, .left = FACTS_SOURCE, .whole = true};
 *     facts_add_value(&out, json);
 *
 * Memory   appended to the text
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct text;

struct facts_out {
    struct text *text;
    size_t left; /* bytes that may still be added */
    bool whole;  /* nothing was left out; false: nothing more is added */
};

/* What stands between the quotes of a valid JSON string, decoded. */
void facts_add_string(struct facts_out *out, struct str inside);

/* A valid JSON value as filters compare it: of a string its text; of anything else the
 * JSON without white space. */
void facts_add_value(struct facts_out *out, struct str json);

/* A valid JSON value to be read and searched: likewise, but strings in it are decoded. */
void facts_add_preview(struct facts_out *out, struct str json);
