/* gc.h - objects that no row leads to, removed.
 *
 * An object is put before its rows are committed; where the commit failed, or the
 * node died, it stays behind.  What is old enough and has no row is condemned
 * first - so that a commit which is late beyond all measure fails - and then
 * removed.
 *
 * Threads  one, which blocks; on a loop of its own that the index is attached to
 * Errors   ERR_CONFLICT more than a quarter has no row: it is the rows that are
 *          missing, and nothing is removed; or more than a moment before: then
 *          nothing more; those of the store and the index
 * Sources  docs/design/production.md, Orphans
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct index;
struct loop;
struct store;

struct gc {
    struct store *store; /* a bucket */
    struct index *index;
    struct loop *loop;
    int64_t before_us; /* only what was put before, by the clock */
    bool look_only;    /* remove nothing */
    /* Asked before each page of names and each object without a row: go on?  NULL: yes. */
    bool (*going)(void *context);
    void *context;

    uint64_t objects, orphans, removed; /* out */
    bool stopped;                       /* out: it is `going` that said no (ERR_UNAVAILABLE) */
};

int gc(struct gc *gc, struct err *err);
