/* postgres_read.h - one loop's questions to the index: runs, entities, follow,
 * and what containers there are.
 *
 * Threads  its loop
 * Errors   as index.h
 * Sources  docs/design/index-postgres.md, Reading
 */
#pragma once

#include <stdatomic.h>

#include "index/index.h"
#include "index/postgres_conn.h"

struct pg_read;

struct pg_read_config {
    const struct pg_server *server;
    struct loop *loop;
    unsigned readers, deadline_ms, connect_ms;
    size_t queue;
    const _Atomic uint64_t *node; /* of this process, at the moment */
    _Atomic uint64_t *others;     /* what follow learns on the way: the runs of other nodes */
};

struct pg_read *pg_read_new(const struct pg_read_config *config);
void pg_read_free(struct pg_read *read); /* NULL is fine */

void pg_read_find(struct pg_read *read, struct index_find *find);
void pg_read_search(struct pg_read *read, struct index_search *search);
void pg_read_query(struct pg_read *read, struct index_query *query);
void pg_read_entities(struct pg_read *read, struct index_entities *entities);
void pg_read_follow(struct pg_read *read, struct index_follow *follow);
void pg_read_known(struct pg_read *read, struct index_known *known);
void pg_read_condemn(struct pg_read *read, struct index_condemn *condemn);
void pg_read_containers(struct pg_read *read, struct index_containers *containers);
void pg_read_lose(struct pg_read *read, struct index_lose *lose);
