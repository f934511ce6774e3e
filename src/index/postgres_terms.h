/* postgres_terms.h - what of a run's facts is found by an index: 64-bit hashes of an attribute
 * and its value, in the column `terms`.
 *
 * A run that matches a condition has its term; one that has the term may not match, since
 * hashes may be the same.  So terms only narrow, and filter_match() decides.
 *
 * The hashes are stored: they may never change.  The name is no term: runs are found by it
 * through an index of its own, in order.
 *
 * Threads  pure
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "run/query.h"

struct arena;
struct filter_subject;

enum { PG_TERMS_ASKED = 16 /* at most so many conditions narrow */ };

/* All of the facts of a run, in the arena; how many. */
size_t pg_terms_of(const struct filter_subject *facts, struct arena *arena, uint64_t **terms);

/* What a query asks in a form that SQL knows: each condition is implied by the query. */
struct pg_narrow {
    struct run_query query;       /* with plain conditions from the filter, which is still there */
    uint64_t all[PG_TERMS_ASKED]; /* a run has each of these, ... */
    size_t all_count;
    const uint64_t *any; /* ... and one of these; NULL: that is not asked */
    size_t any_count;
    struct str name; /* its folded name; at == NULL: any */
};

void pg_narrow(const struct run_query *query, struct arena *arena, struct pg_narrow *narrow);
