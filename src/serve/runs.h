/* runs.h - several runs: a page of a search, of a query, or those of a list of ids.
 *
 * The rows are found first, all of them; the runs are then read and rendered
 * in steps of at most RUNS_STEP, so that a page of any size needs little memory
 * and is on its way before its end is read:
 *
 *     serve_search(), _batch() or _page()   done: `step` is the first step
 *     while !last: serve_more()         done: `step` is the next one
 *     serve_end()
 *
 * A page that fits one step is encoded, unless it is of lines, and, for a search, comes
 * from and goes to the cache.
 *
 * The rows of a query are found in steps too (serve/query.h).  When its time is up, the page
 * ends with those that there are, and its cursor says where to go on.  One that cannot end
 * then (it is of all runs; or it has none, and who asks would take it for the last) begins
 * nevertheless: a step says nothing but style->wait, and the next ones go on looking, as long
 * as somebody waits (docs/decisions/0026).
 *
 * Threads  begun and done on op.loop
 * Memory   a step is a counted buffer; what a page needs at its largest is charged
 *          to the budget from its first step for as long as `arena` lives
 * Errors   ERR_BUSY, ERR_CORRUPT, and those of the index and the store
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/str.h"
#include "base/uuid.h"
#include "cache/cache.h"
#include "index/index.h"
#include "loop/op.h"
#include "run/query.h"
#include "serve/experiments.h"
#include "serve/fetch.h"
#include "serve/follow.h"
#include "serve/query.h"
#include "serve/remarks.h"
#include "serve/serve.h"
#include "serve/style.h"
#include "serve/totals.h"

struct arena;
struct buf;

enum {
    RUNS_STEP = 1 << 20,  /* bytes of runs in a step, unless one run is larger */
    RUNS_PAGE = 64 << 20, /* bytes of runs on a page; a page has at least one run */
    RUNS_ROWS = 10000,    /* rows of a page, of serve_page() */
    RUNS_AHEAD = 4 << 20  /* bytes that may wait for the client (HTTP_WINDOW) */
};

struct serve_runs {
    struct op op;
    const struct serve *serve;
    struct arena *arena;    /* in: lives until the answer was sent */
    uint64_t fields;        /* in: which to show of each run; of serve_page(), which are needed */
    enum coding coding;     /* in: for a page of one step */
    struct query query;     /* in, of serve_search() */
    bool strong;            /* in, likewise: what any node acknowledged before is found */
    const struct uuid *ids; /* in, of serve_batch(): borrowed until serve_end() */
    size_t id_count;

    /* In, of serve_page(): borrowed likewise, with what it points to. */
    struct run_query asked;
    size_t most;               /* rows of the page, RUNS_ROWS at most */
    const struct style *style; /* how it is written; */
    uint64_t shown;            /* what that makes of a run */
    struct str origin;         /* of links to us */
    const bool *left;          /* becomes true when nobody waits any more: no other step is begun */
    struct uuid token, dataset;
    bool by_token;     /* only of the trace that `token` shares */
    bool by_dataset;   /* only of projects that are experiments on `dataset` */
    bool all;          /* `style` has no cursor: there is no other page */
    bool one;          /* it is one run, or ERR_NOT_FOUND */
    bool may_be_empty; /* who asks follows the cursor of a page without runs */
    bool totals;       /* the runs are tops: what their traces used, too */

    bool hit;  /* out: the page came from the cache */
    bool last; /* out: this was the last step */
    bool more; /* out, of serve_page(): there may be rows behind those of the page, */
    struct query_cursor behind; /* which begin here */
    bool whole;                 /* out: the page is this one step, and encoded (serve/encode.h) */
    struct buf *step;           /* out: one reference, the caller's */

    /* The journey's own. */
    bool search;
    bool by_facts; /* of serve_page(): fields are JSON, not bytes as they were sent */
    bool begun;    /* likewise: the answer has, though it has no run yet, */
    bool waits;    /* and the step only said so */
    struct follow_look look;
    struct cache_get cached;
    struct index_search found;
    struct index_find find;
    struct index_entities share;
    struct experiments experiments;
    struct serve_query query_rows;
    struct fetch fetch;
    struct remarks remarks;
    struct view **said; /* whose those are */
    struct totals totaled;
    struct index_row *rows; /* those of the page */
    size_t count, next, step_count;
    struct arena *step_arena;
    struct buf *charge; /* empty: it only carries what was taken from the budget */
    size_t room;        /* of `rows`, of serve_page() */
    struct str suffix;
    char key[CACHE_KEY_MAX];
};

void serve_search(struct serve_runs *runs);
void serve_batch(struct serve_runs *runs);
void serve_page(struct serve_runs *runs);
void serve_more(struct serve_runs *runs); /* after a step that was not the last */
void serve_end(struct serve_runs *runs);  /* exactly once; nothing may be under way */
