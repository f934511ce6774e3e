/* postgres_conn.h - questions to a PostgreSQL server, from a loop.
 *
 * A call is what is sent in one go: statements in libpq's pipeline mode, with one
 * sync behind them.  Calls wait in a pool, which has up to so many connections,
 * makes them when they are needed, and makes them again when they were lost.
 *
 * Shape    statements are prepared when a connection is made; values are binary
 * Threads  a pool belongs to its loop; `done` and the rest run there, never
 *          inside pg_pool_ask().  A server is read by all
 * Errors   of a call: ERR_TIMEOUT, ERR_UNAVAILABLE no connection, or it was
 *          lost; what the server said, as the nearest code
 * Sources  PostgreSQL 15, 34.5 Pipeline Mode; docs/design/index-postgres.md
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "base/uuid.h"
#include "index/libpq.h"

struct loop;
struct pg_conn;
struct pg_pool;
struct pg_server;

/* --- who is asked ------------------------------------------------------------ */

/* Loads libpq, reads the URL.  Connects to nobody. */
int pg_server_open(const char *url, struct pg_server **result, struct err *err);
void pg_server_close(struct pg_server *server); /* after its pools; NULL is fine */
const struct libpq *pg_server_libpq(const struct pg_server *server);

/* --- values ------------------------------------------------------------------ */

enum { PG_ARGS = 24 };

/* What is bound to $1, $2, ...  All zero: none. */
struct pg_args {
    struct text bytes;
    unsigned count;
    size_t at[PG_ARGS], len[PG_ARGS];
    bool null[PG_ARGS];
};

void pg_add_int(struct pg_args *args, int32_t value);
void pg_add_long(struct pg_args *args, uint64_t value); /* the same bits */
void pg_add_uuid(struct pg_args *args, struct uuid id);
void pg_add_text(struct pg_args *args, struct str text); /* or bytea; at == NULL: null */
void pg_add_null(struct pg_args *args);

/* An array is one argument: begin, elements, end. */
enum pg_type { PG_BYTEA = 17, PG_LONG = 20, PG_INT = 23, PG_TEXT = 25, PG_UUID = 2950 };
void pg_begin_array(struct pg_args *args, enum pg_type type, size_t count);
void pg_put_int(struct pg_args *args, int32_t value);
void pg_put_long(struct pg_args *args, uint64_t value);
void pg_put_bytes(struct pg_args *args, struct str bytes); /* a uuid, bytea or text */
void pg_put_uuid(struct pg_args *args, struct uuid id);    /* all zero: null */
void pg_put_null(struct pg_args *args);
void pg_end_array(struct pg_args *args);
void pg_args_free(struct pg_args *args);

/* A column of a result; zero, and empty, when it is null or of another type. */
int32_t pg_int(const struct libpq *pq, const PGresult *result, int row, int column);
uint64_t pg_long(const struct libpq *pq, const PGresult *result, int row, int column);
struct uuid pg_uuid(const struct libpq *pq, const PGresult *result, int row, int column);
/* Also of bytea; a view of the result. */
struct str pg_text(const struct libpq *pq, const PGresult *result, int row, int column);
bool pg_null(const struct libpq *pq, const PGresult *result, int row, int column);
uint64_t pg_changed(const struct libpq *pq, PGresult *result); /* rows, by INSERT or UPDATE */

/* --- calls -------------------------------------------------------------------- */

struct pg_statement {
    const char *name; /* NULL: not prepared */
    const char *sql;
};

struct pg_call {
    /* In. */
    void (*send)(struct pg_call *call, struct pg_conn *conn);             /* only pg_send() */
    void (*answer)(struct pg_call *call, unsigned nth, PGresult *result); /* may be NULL */
    void (*done)(struct pg_call *call);
    const char *script;  /* instead of `send`: any number of statements, as they stand */
    int64_t deadline_us; /* on the monotonic clock */
    bool brief;          /* others as brief may be sent behind it before it is answered */
    bool patient;        /* wait for a connection until the deadline */

    /* Out, for `done`. */
    struct err err;
    char state[6]; /* what the server said it was, SQLSTATE; "" */
    bool sent;     /* the server may have got it */
    bool lost;     /* and the connection went before all was answered */

    /* The pool's. */
    struct pg_call *next;
    unsigned answered;
};

/* One statement with its values, which are copied; in call->send. */
void pg_send(struct pg_conn *conn, const struct pg_statement *statement,
             const struct pg_args *args);

/* --- pools ---------------------------------------------------------------------- */

/* So that the server forgets us, and what we locked, 25 s after we vanished. */
#define PG_KEEPALIVES                                                                              \
    "set_config('tcp_keepalives_idle', '10', false),"                                              \
    " set_config('tcp_keepalives_interval', '5', false),"                                          \
    " set_config('tcp_keepalives_count', '3', false)"

/* What a connection is for. */
struct pg_role {
    const char *settings; /* a SELECT, with the timeout in milliseconds as $1 (text) */
    const struct pg_statement *statements;
    size_t count;
};

struct pg_pool_config {
    const struct pg_server *server;
    struct loop *loop;
    const struct pg_role *role;
    unsigned connections; /* at most */
    size_t queue;         /* calls waiting before they are refused */
    unsigned timeout_ms;  /* of a statement, in the server */
    unsigned connect_ms;
};

/* Nothing is on the loop until the first call. */
struct pg_pool *pg_pool_new(const struct pg_pool_config *config);
void pg_pool_free(struct pg_pool *pool); /* nothing is waiting any more; NULL is fine */

/* False when too many wait: the call was not taken. */
bool pg_pool_ask(struct pg_pool *pool, struct pg_call *call);

/* Of a pool of one: which session it has, 1, 2, ...; 0: none at the moment. */
uint64_t pg_pool_session(const struct pg_pool *pool);

/* Close the connections soon; what is under way in them is lost. */
void pg_pool_drop(struct pg_pool *pool);
