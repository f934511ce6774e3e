/* query.h - what may be asked of an index, and the cursor between two pages.
 *
 * Shape    conditions are and-ed; newest first: start, then id, both descending;
 *          a run_query may ask for the oldest first, both ascending
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"
#include "run/run.h"

struct filter;

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

enum query_truth { QUERY_EITHER, QUERY_NO, QUERY_YES };

/* What POST /runs/query asks, and what it is for the other ways in.  A list that is
 * empty is no condition. */
struct run_query {
    const struct uuid *ids, *projects, *examples; /* any of these */
    size_t id_count, project_count, example_count;
    bool by_trace, by_parent, by_type, after;
    struct uuid trace, parent;
    enum run_type type;
    enum query_truth root, error;
    int64_t start_min_us, start_max_us; /* of start_us, both included; INT64_MIN, INT64_MAX: all */
    const struct filter *filter;        /* of the run; NULL: none */
    const struct filter *trace_filter;  /* of the top of its trace */
    const struct filter *tree_filter;   /* of any run of its trace */
    bool oldest_first;
    struct query_cursor cursor;
    uint32_t limit; /* 1..QUERY_LIMIT_MAX */
    bool bare;      /* of the rows only ids, times, type, status and version are wanted */
};

/* URL-safe text of QUERY_CURSOR_TEXT bytes, no NUL; and back (false: not one of ours). */
void query_cursor_write(const struct query_cursor *cursor, char out[QUERY_CURSOR_TEXT]);
bool query_cursor_parse(struct str text, struct query_cursor *result);
