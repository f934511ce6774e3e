/* resolve.h - the address of a host name, without blocking the loop.
 *
 * For libraries that would look it up themselves and block (libpq, hiredis).
 *
 * Errors   ERR_UNAVAILABLE the name has no address, or nobody could be asked
 */
#pragma once

#include "loop/op.h"

enum { RESOLVE_HOST = 256, RESOLVE_ADDRESS = 64 };

struct resolve {
    struct op op;
    char host[RESOLVE_HOST];       /* in: a name, or a literal, which is its own answer */
    char address[RESOLVE_ADDRESS]; /* out: the first, as a literal */
};

/* Begun and done on op.loop. */
void resolve(struct resolve *resolve);
