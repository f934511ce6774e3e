/* base64.h - bytes as text.
 *
 * Sources  RFC 4648 section 4
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct text;

void base64_write(struct text *text, struct str bytes); /* with padding */

/* With padding or without; false when it is no base64.  `out` has room for 3 bytes of
 * every 4. */
bool base64_read(struct str text, char *out, size_t *len);
