/* bucket_owner.h - whose bucket it is: an object that the first who opens it puts there.
 *
 * It gives the deployment a random id, which the index must know too, and says
 * whether any node may write (with an index they share) or one.  Putting it also
 * shows that the store honours create-only, without which a pack could be lost.
 *
 * Threads  the desk's
 * Errors   ERR_CONFLICT it is somebody else's; ERR_INVALID the store overwrites;
 *          ERR_NOT_FOUND (of a look) nobody has opened it to write; those of the objects
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct object_desk;

enum { BUCKET_ID = 32 /* hex digits */ };

/* `writer`: the id of the one index that may follow the bucket, at most BUCKET_ID
 * characters; empty: any node. */
int bucket_own(struct object_desk *desk, struct str writer, char id[BUCKET_ID + 1],
               struct err *err);

/* The same for who only reads: nothing is put. */
int bucket_find(struct object_desk *desk, struct str writer, char id[BUCKET_ID + 1],
                struct err *err);
