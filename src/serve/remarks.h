/* remarks.h - what others said of runs: their feedback, counted, and their shares.
 *
 * Threads  begun and done on op.loop
 * Memory   tallies and what was found are in `arena`; of any amount of feedback only
 *          REMARKS_PAGE are there at once
 * Errors   those of the index
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/feedback.h"

struct view;

enum { REMARKS_PAGE = 500, REMARKS_RUNS = 1000 };

struct remarks {
    struct op op;
    struct index *index;
    const struct uuid *ids; /* in: of runs, borrowed until done; at most REMARKS_RUNS */
    size_t count;
    bool feedback, shares;      /* in: which are wanted */
    struct feedback_tally *sum; /* in: all feedback is added here, and not told apart; or NULL */
    struct arena *sum_arena;    /* in: of that */
    struct arena *arena;

    struct feedback_tally *tallies; /* out: `count` */
    struct uuid *tokens;            /* out: likewise; all zero: not shared */

    /* The journey's own. */
    uint32_t *order; /* of the ids, ascending */
    uint32_t offset;
    struct arena *page;
    struct index_entities ask;
};

void remarks_gather(struct remarks *remarks);

/* Once that is done: put what was said of the i-th run into its view. */
void remarks_show(const struct remarks *remarks, size_t i, struct view *view);
