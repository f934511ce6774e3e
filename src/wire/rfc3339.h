/* rfc3339.h - timestamps as people write them, and as microseconds since 1970 UTC.
 *
 * Accepted: RFC 3339 with Z or an offset, the same without a zone (UTC), 'T',
 * 't' or one space between date and time, no fraction or 1 to 9 digits of it
 * (cut to microseconds), seconds 60 (a leap second, taken as the next second),
 * years 0001 to 9999.  Days are checked against the calendar.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { RFC3339_SIZE = 28 }; /* "2026-11-23T16:22:43.784002Z" and a NUL */

bool rfc3339_parse(struct str text, int64_t *us);

/* The same instants as some clients count them: whole milliseconds since 1970 UTC, as a
 * JSON number. */
bool rfc3339_parse_ms(struct str number, int64_t *us);

/* Always six digits of fraction and a Z.  `us` within years 0001 to 9999. */
struct str rfc3339_write(int64_t us, char out[RFC3339_SIZE]);
