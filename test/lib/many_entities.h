/* many_entities.h - an index of as many entities as a test wants, none of which is stored.
 *
 * The i-th is of make_id(i), was made `count` - i microseconds after 1970, and belongs to
 * make_id(i % parents).  Its name is "even" or "odd", as i is; its object says a score of 1, and
 * is filled up to `size`.
 */
#pragma once

#include <stddef.h>

#include "index/index.h"

struct budget;

struct many_entities {
    struct index index;
    size_t count, parents, size;
    const struct budget *budget; /* looked at with each page */
    size_t pages, given;         /* out: entities on all pages */
    size_t held;                 /* out: of the budget, at most, when a page was asked for */
};

void many_entities(struct many_entities *many, size_t count, size_t parents, size_t size);
