/* object_desk.h - objects for who may block: each call waits for its answer.
 *
 * Threads  one at a time; on a loop of its own, which nobody else turns
 * Errors   those of the objects
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { OBJECT_DESK_PUT = 256 };

struct arena;
struct buf;
struct object_desk;
struct objects;

/* `loop_index`: one that no other loop has.  The objects stay the caller's. */
int object_desk_open(struct objects *objects, unsigned loop_index, struct object_desk **result,
                     struct err *err);
void object_desk_close(struct object_desk *desk); /* after the objects; NULL is fine */

/* The whole of an object; one reference, the caller's.  ERR_CORRUPT: it is said to have
 * more than `most` bytes. */
int object_desk_get(struct object_desk *desk, struct str name, size_t most, struct buf **result,
                    struct err *err);
/* Create-only, of at most OBJECT_DESK_PUT bytes. */
int object_desk_put(struct object_desk *desk, struct str name, struct str bytes, struct err *err);
int object_desk_remove(struct object_desk *desk, struct str name, struct err *err);

/* A page of names; see struct object_list. */
int object_desk_list(struct object_desk *desk, struct str prefix, struct str after, size_t limit,
                     struct arena *arena, struct str **names, size_t *count, struct err *err);
