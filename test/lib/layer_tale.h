/* layer_tale.h - batches of layers of a few runs, and what an index makes of them.
 *
 * The batches are about the same runs again and again: they change them in place, or so
 * that their keys are others, give them attachments and feedback, and delete a few.  What
 * comes of those that are in a log an index in memory knows, taking them in as they lie
 * there; an index over that log must say the same.
 *
 *     struct tale tale;
 *     tale_begin(&tale);
 *     ... tale_add() for every record of the log, oldest first ...
 *     r = tale_compare(&tale, index, loop, &err);
 *     tale_end(&tale);
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/index_calls.h"
#include "lib/make_layer.h"

struct tale {
    struct calls memory;
    uint64_t sequence; /* of the last record */
};

/* No two batches of different numbers have a layer in common. */
struct made_record *tale_batch(uint64_t number, struct make_random *random);

/* Which batch is it?  False: none of these. */
bool tale_number(const struct record *record, uint64_t *number);

void tale_begin(struct tale *tale);
void tale_end(struct tale *tale);

int tale_add(struct tale *tale, const struct record *record, struct place first, uint64_t sequence,
             struct err *err);

/* ERR_CORRUPT: they differ.  The index is attached to the loop, on which nothing else runs. */
int tale_compare(struct tale *tale, struct index *index, struct loop *loop, struct err *err);
