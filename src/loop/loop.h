/* loop.h - one thread, one libuv loop, and the operations that come home to it.
 *
 * A loop owns the connections it was handed and runs every callback of theirs;
 * nothing on a loop may block - except on the commit loop (ingest/commit.h),
 * which owns no connections and exists so that one writer may.  Loops share
 * nothing: work reaches another thread through a lane (lane.h) or another
 * loop's mailbox and returns through op_finish() (op.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct op;
struct uv_loop_s;

/* `index` in 0..loops-1; back ends use it to find their per-loop client. */
int loop_open(unsigned index, const char *name, struct loop **result, struct err *err);
void loop_close(struct loop *loop); /* after it ended; all handles closed; NULL is fine */

int loop_run(struct loop *loop,
             struct err *err); /* on this thread, until loop_stop(); again and again */
int loop_start(struct loop *loop, struct err *err); /* the same on a thread of its own */
void loop_join(struct loop *loop);                  /* wait for that thread */
void loop_stop(struct loop *loop); /* from any thread; what is in the mailbox still runs */

/* For who may block, and turns a loop that nobody else does: an operation whose `done`
 * is loop_wake() is waited for here.  What became of it; `err` may be NULL. */
void loop_wake(struct op *op);
int loop_wait(const struct op *op, struct err *err);

unsigned loop_index(const struct loop *loop);
bool loop_here(const struct loop *loop); /* is this the loop's own thread? */
struct uv_loop_s *loop_uv(struct loop *loop);
