/* json_string.h - the text inside a JSON string, in and out.
 *
 * Sources  RFC 8259 section 7
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct text;

/* Decode what stands between the quotes of a *valid* JSON string (the scanner
 * saw it) to UTF-8.  `out` needs room for raw.len bytes.  A lone surrogate
 * escape becomes U+FFFD; \u0000 becomes a NUL byte.  Returns the length. */
size_t json_string_decode(struct str raw, char *out);

/* Does a valid JSON string's inside decode to exactly `plain`?  No memory. */
bool json_string_is(struct str raw, struct str plain);

/* Write `plain` as a JSON string, quotes included.  Bytes that are not UTF-8
 * become U+FFFD; only what must be escaped is. */
void json_string_write(struct text *text, struct str plain);
