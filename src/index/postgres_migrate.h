/* postgres_migrate.h - the schema of the index in PostgreSQL, step by step.
 *
 * Errors   ERR_CONFLICT the database has a schema that this program does not know,
 *          or (pg_schema_check) not the newest one; those of postgres_conn.h
 * Sources  docs/design/index-postgres.md, Migrations
 */
#pragma once

#include "index/index.h"
#include "index/postgres_session.h"

/* Is it the newest schema? */
int pg_schema_check(struct pg_session *session, unsigned timeout_ms, struct err *err);

/* As index_postgres_migrate(); `say` may be NULL. */
int pg_schema_migrate(struct pg_session *session, int to, index_say_fn *say, void *context,
                      struct err *err);
int pg_schema_status(struct pg_session *session, index_say_fn *say, void *context, struct err *err);
void pg_schema_sql(index_say_fn *say, void *context);
