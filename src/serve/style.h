/* style.h - how an answer of runs is written.
 *
 * Threads  pure
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct query_cursor;
struct splice;
struct text;
struct view;

struct style {
    struct str begin;                       /* of a page */
    struct str wait;                        /* behind it: says nothing, but that more comes */
    struct str run_begin, between, run_end; /* of each run of it; between two */
    void (*run)(struct splice *splice, const struct view *run, uint64_t shown);
    /* What follows the last run; `next` is where the next page begins, or NULL. */
    void (*end)(struct text *text, const struct query_cursor *next);
    bool one_line; /* there must be no line ends in a run */
};
