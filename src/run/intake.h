/* intake.h - a body on its way in: one growing buffer, paid for as it arrives.
 *
 * Threads  one at a time
 * Memory   counted against a budget; offsets into the body stay good while it moves
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct buf;
struct budget;
struct spare;

struct intake {
    struct buf *body; /* what came; NULL: there was no memory */
    size_t max;
    struct budget *budget;
    struct spare *spare; /* where a large body comes from and goes, or NULL */
    size_t taken;        /* of the budget */
    size_t paid;         /* bytes of the body that are in it */
    size_t hint;         /* bytes that were promised; 0: unknown */
    bool asked;          /* for the spare buffer */
};

/* A body of at most `max` bytes, and a `cost` besides.  False: the budget is used up, or
 * there is no memory; close it then too. */
bool intake_open(struct intake *intake, size_t max, size_t cost, struct budget *budget,
                 struct spare *spare, size_t size_hint);
void intake_close(struct intake *intake); /* gives everything back */

/* For what is kept besides the body.  False: the budget is used up. */
bool intake_take(struct intake *intake, size_t size);

/* The next piece.  ERR_TOO_BIG: over `max`; ERR_BUSY: the budget is used up. */
enum err_code intake_add(struct intake *intake, struct str piece);

/* Make room for `size` bytes behind the body, whatever the maximum; the caller adds what it
 * wrote to body->len.  NULL: the budget is used up. */
char *intake_room(struct intake *intake, size_t size);
