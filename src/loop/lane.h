/* lane.h - threads on which blocking is allowed.
 *
 * A lane has a bounded queue and one or more threads.  Each thread takes what
 * has gathered - up to `batch_max` operations - and hands it to `work` as one
 * chain.  A lane with one thread and a large batch is a group commit: while a
 * batch is being synced, the next one gathers behind it.
 *
 * Errors   ERR_IO a thread cannot be started
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct lane;
struct op;

/* Do every operation of the chain (linked by op->next) and finish each one
 * with op_finish().  Take op->next before finishing op.
 * Several threads may be in it at once when the lane has several. */
typedef void lane_work_fn(void *context, struct op *chain);

struct lane_config {
    const char *name; /* also the thread's name; at most 15 bytes */
    unsigned threads; /* 1 for a writer */
    size_t queue_max; /* operations waiting before lane_submit() refuses */
    size_t batch_max; /* operations handed to one call of `work` */
    lane_work_fn *work;
    void *context;
};

int lane_open(const struct lane_config *config, struct lane **result, struct err *err);

/* Queue `op`, from any thread.  False when the queue is full; the operation was
 * not taken, and nothing but its `next` was touched. */
bool lane_submit(struct lane *lane, struct op *op);

/* How many operations wait for a thread; from any thread, true for a moment. */
size_t lane_waiting(struct lane *lane);

/* Finish what is queued, then stop the threads and free the lane.  Nobody may
 * submit any more.  NULL is fine. */
void lane_close(struct lane *lane);
