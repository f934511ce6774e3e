/* commit.h - the one writer: batches become durable and visible, in one order.
 *
 * Batches that wait are taken together: the index stages them and judges each,
 * the store makes the accepted ones durable with one write, the index commits,
 * and only then anyone is answered.  While one group is on its way the next
 * gathers; where each step waits for a network, several may be on their way,
 * and a further one starts when enough has gathered.
 *
 * Threads  commit_submit() from any loop; the work is done on the commit loop,
 *          which may block and serves nothing else
 * Errors   of a batch: ERR_BUSY the queue is full, ERR_FULL the disk is full,
 *          ERR_IO, ERR_UNAVAILABLE the index fell behind and is being repaired, or
 *          a back end cannot be reached, ERR_TIMEOUT likewise, and the batch may
 *          appear later; nothing is acknowledged then
 * Sources  docs/design/durability.md
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"

struct commit;
struct loop;
struct news;
struct record;
struct store;

struct commit_config {
    struct index *index;
    struct store *store;
    struct loop *loop;
    size_t queue_max;  /* batches waiting before ERR_BUSY */
    unsigned groups;   /* on their way at once: what index and store both allow; 0: one */
    size_t gather;     /* with several: bytes for which a further one starts */
    unsigned flush_ms; /* or for so long one that waits is kept waiting */
    /* Counted up with every commit, before anyone hears of it. */
    atomic_uint_fast64_t *generation;
    struct news *news; /* is told of the runs of each; NULL: nobody is */
};

struct commit_batch {
    struct op op;
    const struct record *record; /* in: borrowed until done */
    enum index_verdict verdict;  /* out, with ERR_OK; see index.h */
    uint32_t added, conflict;    /* out */
    bool gone;                   /* out */

    struct op arrival; /* commit's own, like the next */
    struct commit *commit;
};

struct commit *commit_new(const struct commit_config *config);
void commit_free(struct commit *commit); /* after the loops have ended; NULL is fine */

/* Done when the batch is durable and readable, or refused, or failed. */
void commit_submit(struct commit *commit, struct commit_batch *batch);

/* ERR_OK, or why writes are refused at the moment.  Any thread. */
enum err_code commit_trouble(const struct commit *commit);

/* Stop the commit loop once everything that was submitted is done.  Nothing may
 * be submitted after it. */
void commit_end(struct commit *commit);

/* Look whether what was in the way is gone, without waiting for the next batch. */
void commit_retry(struct commit *commit);

size_t commit_waiting(const struct commit *commit); /* batches; any thread */
