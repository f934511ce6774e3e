/* tail.h - the runs of a query as they come, live: told when they are added, and again when
 * they changed.
 *
 *     if (serve_tail_begin(&tail))
 *         do serve_tail_next(&tail)   done: `what`
 *         while (what != TAIL_ENDS)
 *     serve_tail_end(&tail)
 *
 * Nothing is queued for who follows: it knows the number up to which it was told of what is
 * committed here (loop/news.h), and asks for what came since when it has room.  Of other
 * nodes there is no such list: when they committed something (serve/follow.h), the newest
 * runs of the query are looked at, and those of another version than was told are news.
 *
 * Threads  begun and done on op.loop
 * Memory   a batch at a time, charged as a page is (serve/runs.h)
 * Errors   none: what cannot be read is told as lost, after some tries
 * Sources  docs/design/web.md, Tail; docs/decisions/0027
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "index/index.h"
#include "loop/news.h"
#include "loop/op.h"
#include "run/query.h"
#include "serve/query.h"
#include "serve/runs.h"

struct timer;
struct told;

enum {
    TAIL_IDS = 200,          /* of a batch */
    TAIL_QUIET_MS = 15000,   /* then it is said that nothing was said */
    TAIL_GATHER_MS = 50,     /* a run often comes in two layers */
    TAIL_RETRY_MS = 1000,    /* between tries, when the index or the store cannot be read */
    TAIL_TRIES = 5,          /* of a batch */
    TAIL_LOOK_MS = 500,      /* between two looks at what other nodes committed, at least */
    TAIL_LOOK_MAX_MS = 2000, /* for which one takes, and its own runs wait */
    TAIL_LOOK_SHARE = 4,     /* and so many times as long as the last one took */
    TAIL_BACK_MS = 3600000,  /* a look is at runs that began not longer ago */
};

enum tail_what {
    TAIL_RUNS,  /* `step`: a step of a batch */
    TAIL_LOST,  /* `lost` runs, for `reason`; 0: nobody knows how many */
    TAIL_QUIET, /* nothing for TAIL_QUIET_MS */
    TAIL_ENDS   /* the server stops, or serve_tail_stop() was called */
};

struct serve_tail {
    struct op op; /* of serve_tail_next() */
    const struct serve *serve;
    struct run_query asked;    /* in: what it points to is borrowed to the end */
    struct str project;        /* in: of this name, also once there is one; at == NULL: any */
    uint64_t fields;           /* in: which to show; */
    const struct style *style; /* how; may be another one at each call that begins a batch */
    struct str origin;         /* of links to us */

    enum tail_what what; /* out */
    struct buf *step;    /* out: one reference, the caller's */
    bool last;           /* out: the batch ends with this step */
    uint64_t lost;
    const char *reason;
    uint64_t at; /* out: told up to this number; of a batch, once that ended */

    /* The journey's own. */
    struct news_ear ear;
    struct timer *timer;
    enum tail_state {
        TAIL_IDLE,  /* nothing is on its way */
        TAIL_WAITS, /* for news, or for the timer */
        TAIL_RESTS, /* for the timer alone */
        TAIL_ASKS   /* for the index or the store */
    } state;
    bool stopping;
    const char *gap; /* why something is lost, and nobody knows how much */
    int64_t said_us; /* when the last word was said */
    uint64_t taken;  /* the ids are up to this number */
    struct uuid ids[TAIL_IDS];
    size_t count;
    unsigned tries;
    struct arena *arena; /* of the batch */
    struct index_entities named;
    struct serve_runs runs;
    bool going; /* `runs` was begun, and is not at its end */

    /* Of a shared index. */
    struct told *told;
    uint64_t commits;   /* of others, at the last look; */
    uint64_t seen;      /* when the one on its way began */
    int64_t look_us;    /* the next one not before that */
    int64_t began_us;   /* the last one */
    bool looked, looks; /* there was one; one is on its way */
    struct serve_query look;
    size_t looked_at, fresh; /* of its rows, so far */
};

/* From now on; or, where that is kept, from number `from` of `epoch`: else the first thing told
 * is that something was lost.  So it is where there are other nodes: what they stored meanwhile
 * is not kept here.  False: there are too many tails. */
bool serve_tail_begin(struct serve_tail *tail);
void serve_tail_resume(struct serve_tail *tail, uint64_t epoch, uint64_t from); /* after it */

void serve_tail_next(struct serve_tail *tail);

/* End a serve_tail_next() that is on its way: soon, with TAIL_ENDS. */
void serve_tail_stop(struct serve_tail *tail);

void serve_tail_end(struct serve_tail *tail); /* nothing may be on its way */
