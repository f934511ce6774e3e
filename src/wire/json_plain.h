/* json_plain.h - JSON of what a lax scanner took: null for NaN, Infinity, -Infinity.
 *
 * Sources  RFC 8259 section 6; what Python's json.dumps() writes
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

/* Copy a value that a lax scanner (json_scan.h) found valid.  `out` has room for
 * lax.len + scan->strange bytes.  Returns the length. */
size_t json_plain(struct str lax, char *out);
