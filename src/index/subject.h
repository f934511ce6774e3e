/* subject.h - a row as a query sees it.
 *
 * What a run_query asks is tested here, row by row, by all indexes that do not leave it to
 * a database: the plain conditions by query_takes(), filters by filter_match() on what
 * subject_of() makes of the row and its facts.
 *
 * Threads  pure
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "run/filter.h"
#include "run/query.h"

struct arena;
struct index_row;

/* All that is asked but for ids, filters and the cursor. */
bool query_takes(const struct run_query *query, const struct index_row *row);

/* Does the row come behind the cursor, in the order that is asked? */
bool query_is_after(const struct run_query *query, const struct index_row *row);

/* -1: `a` comes before `b` on the page. */
int query_order(const struct run_query *query, const struct index_row *a,
                const struct index_row *b);

/* All of the subject but its feedback and the names of its children, which are other rows'.
 * Views of the row, its facts and the arena. */
int subject_of(const struct index_row *row, struct arena *arena, struct filter_subject *subject,
               struct err *err);

/* Does the filter ask for those? */
bool filter_asks(const struct filter *filter, enum filter_attribute attribute);
