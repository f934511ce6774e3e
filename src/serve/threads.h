/* threads.h - the threads of a project: runs with the same thread id, in numbers.
 *
 * The tops of its traces are the turns of a thread.  What it used is what the models of it
 * used; where no run of a model says that it is of the thread, what its turns say.
 *
 * Threads  begun and done on op.loop
 * Memory   results are in `arena`; a page of rows is there at a time; some KiB for each
 *          thread are charged to the budget for as long as the arena lives
 * Errors   ERR_TIMEOUT when the time of a query is up (serve/query.h), ERR_TOO_BIG more than THREADS_MAX of them, ERR_BUSY,
 *          and those of the index
 */
#pragma once

#include <stddef.h>

#include "index/index.h"
#include "loop/op.h"
#include "run/stats.h"
#include "serve/query.h"

enum { THREADS_MAX = 10000 };

struct thread {
    struct str id;
    struct stats turns, models;
    struct uuid first, last;                           /* traces */
    struct str first_inputs, last_outputs, last_error; /* previews; at == NULL: none */
    int64_t error_us;                                  /* when the turn of that began */
};

/* Those of `turns` or `models` that say what it used. */
const struct stats *thread_usage(const struct thread *thread);

struct serve_threads {
    struct op op;
    const struct serve *serve;
    const bool *left;       /* in: as of a serve_query */
    struct run_query query; /* in: filters are of tops of traces; no limit */
    struct str only;        /* in: this one; at == NULL: all */
    struct arena *arena;

    struct thread **threads; /* out: those that have turns, the last turn's newest first */
    size_t count;
    struct stats turns, models; /* out: of all of them */

    /* The journey's own. */
    struct thread **table;
    size_t room, seen;
    struct arena *page;
    struct serve_query rows;
};

void serve_threads(struct serve_threads *threads);
