/* range.h - the Range header: one range of bytes.
 *
 * Sources  RFC 9110 section 14
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

enum range_kind {
    RANGE_NONE,   /* not understood, or several ranges: answer whole, as the RFC allows */
    RANGE_PART,   /* [from, from + len) */
    RANGE_OUTSIDE /* 416 */
};

/* `size` is that of the whole; *from and *len are written for RANGE_PART only. */
enum range_kind range_parse(struct str header, size_t size, size_t *from, size_t *len);
