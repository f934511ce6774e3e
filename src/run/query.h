/* query.h - what may be asked of an index, and the cursor between two pages.
 *
 * Shape    filters are and-ed; newest first: start, then id, both descending
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

enum { QUERY_LIMIT_MAX = 1000, QUERY_CURSOR_TEXT = 36 };

/* The last run of the page before; the next page starts below it. */
struct query_cursor {
    int64_t start_us;
    struct uuid id;
};

struct query {
    bool by_trace, by_name, after; /* which of the following are set */
    struct uuid trace;
    struct str name; /* UTF-8 as asked; matched as a substring, without regard to case */
    struct query_cursor cursor;
    uint32_t limit; /* 1..QUERY_LIMIT_MAX */
};

/* URL-safe text of QUERY_CURSOR_TEXT bytes, no NUL; and back (false: not one of ours). */
void query_cursor_write(const struct query_cursor *cursor, char out[QUERY_CURSOR_TEXT]);
bool query_cursor_parse(struct str text, struct query_cursor *result);
