/* call_entity.h - the entity whose id is the first {} of the path: got, patched, removed.
 *
 * Each is the last step but one of a call (call.h).  Where there is no such entity, `none`
 * answers that.
 */
#pragma once

#include "api/call.h"

/* `show` finds it in call->entities. */
void call_get(struct call *call, enum entity_kind kind, call_step *show, call_step *none);

/* Append the object it becomes; may be asked several times. */
typedef void call_over(struct call *call, const struct entity *there, struct text *text);

/* `show` finds it in call->change.now.  Its name is the object's member `name`; where another
 * has that, the answer is a 409. */
void call_patch(struct call *call, enum entity_kind kind, const char *name, call_over *over,
                call_step *show, call_step *none);

/* `status` and {}. */
void call_remove(struct call *call, enum entity_kind kind, int status, call_step *none);
