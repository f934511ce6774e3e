/* postgres_session.h - a connection of one's own, asked and waited for.
 *
 * For opening, migrations and tests: each call turns a loop of the session's own
 * until it is answered.
 *
 * Threads  one
 * Errors   as postgres_conn.h
 */
#pragma once

#include "index/postgres_conn.h"

struct pg_session;

typedef void pg_rows_fn(void *context, const struct libpq *pq, PGresult *result);

int pg_session_open(const struct pg_server *server, unsigned connect_ms, struct pg_session **result,
                    struct err *err);
void pg_session_close(struct pg_session *session); /* NULL is fine */

/* One statement; `rows` and `args` may be NULL. */
int pg_session_ask(struct pg_session *session, const char *sql, const struct pg_args *args,
                   pg_rows_fn *rows, void *context, unsigned timeout_ms, struct err *err);
/* Any number of statements, as they stand. */
int pg_session_run(struct pg_session *session, const char *script, unsigned timeout_ms,
                   struct err *err);
