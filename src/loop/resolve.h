/* resolve.h - the addresses of a host name, without blocking the loop.
 *
 * For libraries that would look it up themselves and block (libpq, hiredis).
 *
 * Errors   ERR_UNAVAILABLE the name has no address, or nobody could be asked
 */
#pragma once

#include <stdbool.h>

#include "loop/op.h"

enum { RESOLVE_HOST = 256, RESOLVE_ADDRESS = 64, RESOLVE_MAX = 8 };

struct resolve_request;

struct resolve {
    struct op op;
    char host[RESOLVE_HOST]; /* in: a name, or a literal, which is its own answer */
    char addresses[RESOLVE_MAX][RESOLVE_ADDRESS]; /* out: as literals, the best first */
    unsigned count;                               /* out: at least one */

    /* Its own. */
    struct op home;
    struct resolve_request *request; /* under way */
};

/* Begun and done on op.loop. */
void resolve(struct resolve *resolve);

/* Nobody wants it any more, perhaps because the loop has ended.  True: `done` will not be
 * called, and the memory is the caller's.  False: `done` is on its way. */
bool resolve_cancel(struct resolve *resolve);
