/* etag.h - the tag of an answer, and whether the client has that answer.
 *
 * Threads  pure
 * Sources  RFC 9110 section 8.8.3
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { ETAG = 34 }; /* 32 hex digits in quotes */

/* Strong; writes ETAG bytes, no NUL. */
void etag_write(const uint64_t hash[2], char out[ETAG]);

/* Does the value of If-None-Match name it?  A list of tags, weak or strong, or `*`;
 * at == NULL: there is none. */
bool etag_is_known(struct str none_match, struct str etag);
