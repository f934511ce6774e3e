/* follow.h - what other nodes commit, noticed.
 *
 * Every FOLLOW_MS one loop asks the index; a change counts our generation up, so
 * that nothing made before it is used unseen any more.  That is so of what is in the
 * cache only while the last look that succeeded is younger than FOLLOW_LEASE_MS.
 *
 * Threads  start before the loops run, free after they ended; the others on any loop
 * Sources  docs/design/production.md, Never stale
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"

struct follow;
struct loop;

enum { FOLLOW_MS = 100, FOLLOW_LEASE_MS = 240 };

struct follow *follow_start(struct index *index, struct loop *loop,
                            atomic_uint_fast64_t *generation);
void follow_free(struct follow *follow); /* NULL is fine */

/* Is what we know of other nodes new enough?  Then a generation read after this counts it.
 * `follow` is NULL: there are none. */
bool follow_is_fresh(const struct follow *follow);

/* Look now, for who must not miss what was acknowledged before the call. */
struct follow_look {
    struct op op; /* in: as always; done once the generation is right, or with an error */
    struct follow *follow;
    struct index_follow ask;
    int64_t began_us;
};
void follow_look(struct follow_look *look);

/* Of others, when last looked at: another number than before says that they committed. */
uint64_t follow_commits(const struct follow *follow);
