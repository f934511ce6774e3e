/* postgres_session.c - see postgres_session.h. */
#include "index/postgres_session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/op.h"

struct pg_session {
    const struct libpq *pq;
    struct loop *loop;
    struct pg_pool *pool;
};

struct question {
    struct pg_call call;
    struct pg_session *session;
    struct pg_statement statement;
    const struct pg_args *args;
    pg_rows_fn *rows;
    void *context;
};

static const struct pg_role any_role = {
    .settings = "select set_config('lock_timeout', $1, false), " PG_KEEPALIVES};

int pg_session_open(const struct pg_server *server, unsigned connect_ms, struct pg_session **result,
                    struct err *err)
{
    struct pg_session *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->pq = pg_server_libpq(server);
    int r = loop_open(0, "postgres", &s->loop, err);
    if (!r) {
        s->pool = pg_pool_new(&(struct pg_pool_config){
            .server = server,
            .loop = s->loop,
            .role = &any_role,
            .connections = 1,
            .queue = 1,
            .connect_ms = connect_ms,
        });
        r = pg_session_ask(s, "select 1", NULL, NULL, NULL, connect_ms, err);
    }
    if (r) {
        pg_session_close(s);
        return r;
    }
    *result = s;
    return 0;
}

void pg_session_close(struct pg_session *session)
{
    if (!session)
        return;
    pg_pool_free(session->pool);
    loop_close(session->loop);
    free(session);
}

static void send_question(struct pg_call *call, struct pg_conn *conn)
{
    struct question *q = op_owner(call, struct question, call);
    pg_send(conn, &q->statement, q->args);
}

static void answered(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    (void)nth;
    if (q->rows)
        q->rows(q->context, q->session->pq, result);
}

static void done(struct pg_call *call)
{
    loop_stop(op_owner(call, struct question, call)->session->loop);
}

static int wait_for(struct question *q, unsigned timeout_ms, struct err *err)
{
    q->call.deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    q->call.done = done;
    if (!pg_pool_ask(q->session->pool, &q->call))
        return err_set(err, ERR_BUSY, "PostgreSQL: one question at a time");
    if (loop_run(q->session->loop, err))
        return ERR_IO;
    if (q->call.err.code && err)
        *err = q->call.err;
    return (int)q->call.err.code;
}

int pg_session_ask(struct pg_session *session, const char *sql, const struct pg_args *args,
                   pg_rows_fn *rows, void *context, unsigned timeout_ms, struct err *err)
{
    struct question q = {
        .call = {.send = send_question, .answer = answered},
        .session = session,
        .statement = {.sql = sql},
        .args = args,
        .rows = rows,
        .context = context,
    };
    return wait_for(&q, timeout_ms, err);
}

int pg_session_run(struct pg_session *session, const char *script, unsigned timeout_ms,
                   struct err *err)
{
    struct question q = {
        .call = {.answer = answered, .script = script},
        .session = session,
    };
    return wait_for(&q, timeout_ms, err);
}
