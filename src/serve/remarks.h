/* remarks.h - what others said of runs: their feedback, counted, and their shares.
 *
 * Threads  begun and done on op.loop
 * Memory   tallies and what was found are in `arena`; of any amount of feedback only
 *          REMARKS_BYTES are there at once, which the caller has charged (serve/charge.h).
 *          A single one that has more is charged here
 * Errors   ERR_BUSY answers hold too much; those of the index
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/feedback.h"

enum { REMARKS_PAGE = 1000, REMARKS_BYTES = 256 << 10, REMARKS_RUNS = 1000 };

struct budget;
struct view;

struct remarks {
    struct op op;
    struct index *index;
    struct budget *budget;
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
    size_t turn;     /* 0: all runs at once; n: the n-th alone, from `from` on */
    struct entity_cursor from;
    struct arena *page;
    struct index_entities ask;
};

void remarks_gather(struct remarks *remarks);

/* Once that is done: put what was said of the i-th run into its view. */
void remarks_show(const struct remarks *remarks, size_t i, struct view *view);
