/* filter_value.h - from what stands in a filter's text to what an attribute is compared with.
 *
 * Memory   in the arena of the lexer
 * Errors   ERR_INVALID with the column, the attribute and what it takes
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "run/filter.h"

struct arena;
struct filter_lex;

/* The token at hand as a value of that attribute, which is no FILTER_JSON. */
int filter_value_take(const struct filter_lex *lex, enum filter_attribute attribute,
                      struct filter_value *result);

/* "a text in quotes", ... */
const char *filter_value_words(enum filter_type type);

/* The members of a JSON object as entries of metadata, in their order, each key once: the
 * last of those with that key.  False: it is no object, or has over FILTER_VALUES_MAX. */
bool filter_value_members(struct str json, struct arena *arena, struct filter_pair **result,
                          size_t *count);
