/* postgres_write.h - how rows get into PostgreSQL: stage, commit, roll back.
 *
 * Threads  the commit loop, which is the one of the first operation; the
 *          counters from any
 * Errors   as index.h
 * Sources  docs/design/index-postgres.md, Writing
 */
#pragma once

#include "index/index.h"
#include "index/postgres_conn.h"

enum { PG_WRITERS = 4 };

struct pg_write;

struct pg_write_config {
    const struct pg_server *server;
    unsigned commit_ms, connect_ms;
    _Atomic uint64_t *node; /* of this process; counted up when a commit's end is unknown */
    bool bucket;            /* else a log, which replays what was not committed */
    uint64_t mark;          /* of the log, as of now */
};

struct pg_write *pg_write_new(const struct pg_write_config *config);
void pg_write_free(struct pg_write *w); /* NULL is fine */

void pg_write_stage(struct pg_write *w, struct index_stage *asked);
void pg_write_commit(struct pg_write *w, struct index_commit *commit);
void pg_write_rollback(struct pg_write *w, struct index_rollback *rollback);

uint64_t pg_write_mark(struct pg_write *w); /* of the last commit whose answer came */
uint64_t pg_write_runs(struct pg_write *w); /* committed by this process */
