/* index_calls.h - an index, asked and waited for.
 *
 * Each call submits one operation and turns the caller's loop until it is
 * done; what comes back is its error code.
 *
 * Threads  one `struct calls` for each thread that asks
 */
#pragma once

#include "index/index.h"
#include "loop/loop.h"

struct calls {
    struct index *index;
    struct loop *loop; /* its own; nothing else runs on it */
    struct err err;    /* of the last call */
    bool done;         /* the last call is */
    uint32_t look;     /* rows that a step of a query looks at; 0: as many as a server's */
};

void calls_open(struct calls *calls, struct index *index);
void calls_use(struct calls *calls, struct index *index); /* another one, from now on */
void calls_close(struct calls *calls); /* not the index, which is closed before */

int calls_stage(struct calls *calls, struct index_batch *batches, size_t count);
int calls_commit(struct calls *calls, uint64_t sequence);
int calls_rollback(struct calls *calls);
uint64_t calls_mark(struct calls *calls);
int calls_durable(struct calls *calls, uint64_t *sequence);
int calls_follow(struct calls *calls, uint64_t *commits);
int calls_find(struct calls *calls, const struct uuid *ids, size_t count, struct arena *arena,
               struct index_row **rows);
int calls_query(struct calls *calls, const struct run_query *query, struct arena *arena,
                struct index_query *result);
/* `asked` but for its op. */
int calls_entities(struct calls *calls, struct index_entities *asked);
int calls_search(struct calls *calls, const struct query *query, struct arena *arena,
                 struct index_search *result);
