/* postgres_commit.c - a writer's transaction, and what became of it; see postgres_writer.h.
 *
 * A commit is one transaction in one go: containers, rows, entities, mark, count,
 * COMMIT.  What somebody else wrote meanwhile makes it fail as a whole.  If the
 * answer is lost, find_out().
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "index/postgres_writer.h"

enum {
    TRIES = 3, /* of a commit that deadlocked */
    FIND_OUT_MS = 5000
};

static const struct pg_statement begin_it = {NULL, "begin"};
static const struct pg_statement commit_it = {NULL, "commit"};
static const struct pg_statement roll_back = {NULL, "rollback"};
static const struct pg_statement wait_longer = {NULL,
                                                "select set_config('statement_timeout', $1, true)"};
static const struct pg_statement give_up = {
    NULL, "insert into rundlet_containers (number, node, live) values ($1, $2, false)"
          " on conflict do nothing"};
static const struct pg_statement is_live = {
    NULL, "select (witness = $2::int8)::int4 from rundlet_containers where number = $1 and live"};
static const struct pg_statement read_mark = {NULL, "select mark from rundlet_store"};

static int64_t in_ms(unsigned ms)
{
    return clock_mono_us() + (int64_t)ms * 1000;
}

static void find_out(struct pg_writer *writer);
static void send_it(struct pg_writer *writer);

static void send_containers(const struct pg_writer *writer, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_LONG, writer->container_count);
    for (size_t i = 0; i < writer->container_count; i++)
        pg_put_long(&args, writer->containers[i]);
    pg_end_array(&args);
    pg_add_long(&args, atomic_load(writer->write->config.node));
    pg_add_long(&args, writer->witness);
    pg_send(conn, &pg_writer_statements[PG_ADD_CONTAINERS], &args);
    pg_args_free(&args);
}

/* Last, so that the count is locked for as short as can be. */
static void send_count(const struct pg_writer *writer, struct pg_conn *conn, uint64_t runs)
{
    struct pg_args args = {0};
    pg_add_long(&args, atomic_load(writer->write->config.node));
    pg_add_int(&args, (int32_t)writer->number);
    pg_add_long(&args, runs);
    pg_send(conn, &pg_writer_statements[PG_COUNT_UP], &args);
    pg_args_free(&args);
}

static void send_mark(const struct pg_writer *writer, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_add_long(&args, writer->commit->sequence);
    pg_add_long(&args, pg_write_mark(writer->write));
    pg_add_long(&args, writer->write->lost_mark);
    pg_send(conn, &pg_writer_statements[PG_SET_MARK], &args);
    pg_args_free(&args);
}

static void send_commit(struct pg_call *call, struct pg_conn *conn)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    writer->stale = pg_writer_has_staged(writer) && !pg_writer_same_session(writer);
    if (writer->stale)
        return;
    pg_send(conn, &begin_it, NULL);
    if (writer->write->config.bucket && writer->container_count > 0)
        send_containers(writer, conn);
    writer->added = 0;
    if (pg_writer_has_staged(writer))
        writer->added = pg_put(&writer->ledger, writer->write->config.bucket, conn);
    if (!writer->write->config.bucket)
        send_mark(writer, conn);
    send_count(writer, conn, writer->added);
    pg_send(conn, &commit_it, NULL);
    writer->commit_sent = true;
}

/* A COMMIT of what has failed is answered ROLLBACK. */
static void take_commit(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    (void)nth;
    if (strcmp(pg_write_libpq(writer->write)->PQcmdStatus(result), "COMMIT") == 0)
        writer->commit_good = true;
}

static void commit_end(struct pg_writer *writer, const struct err *err)
{
    struct index_commit *commit = writer->commit;
    struct pg_write *w = writer->write;
    writer->commit = NULL;
    if (err) {
        commit->op.err = *err;
        writer->failed = true;
        writer->doubted = writer->doubted || err->code == ERR_CONFLICT;
    } else {
        if (!w->config.bucket) {
            atomic_store_explicit(&w->mark, commit->sequence, memory_order_release);
            w->lost_mark = commit->sequence;
        }
        atomic_fetch_add_explicit(&w->runs, writer->added, memory_order_relaxed);
        pg_writer_forget(writer);
    }
    op_finish(&commit->op);
}

static bool said(const struct pg_writer *writer, const char *state)
{
    return strcmp(writer->call.state, state) == 0;
}

static void send_rollback(struct pg_call *call, struct pg_conn *conn)
{
    pg_send(conn, &roll_back, NULL);
    if (op_owner(call, struct pg_writer, call)->mark_moved)
        pg_send(conn, &read_mark, NULL);
}

/* The log is replayed from here. */
static void take_mark(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_write *w = op_owner(call, struct pg_writer, call)->write;
    const struct libpq *pq = pg_write_libpq(w);
    if (nth == 1 && pq->PQntuples(result) == 1) {
        w->lost_mark = pg_long(pq, result, 0, 0);
        atomic_store_explicit(&w->mark, w->lost_mark, memory_order_release);
    }
}

/* If it did not get through, the end of the connection is the end of the transaction. */
static void rolled_back(struct pg_call *call)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    struct err err = writer->why;
    if (call->err.code)
        pg_pool_drop(writer->pool);
    if (err.code == ERR_BUSY && writer->tries < TRIES)
        send_it(writer);
    else
        commit_end(writer, &err);
}

/* The server said no: nothing of it is there, but the transaction is open still.
 * Of a deadlock (40P01) and what cannot be serialized (40001) the code is ERR_BUSY. */
static void refused(struct pg_writer *writer)
{
    struct err err = writer->call.err;
    bool was_other = said(writer, "22012"); /* see ALL_OF in postgres_write.c */
    writer->mark_moved = was_other && !writer->write->config.bucket;
    if (writer->mark_moved) {
        err_set(&err, ERR_UNAVAILABLE,
                "PostgreSQL has not the last commits, or others: the log is read again");
    } else if (was_other || said(writer, "23505")) {
        err_set(&err, ERR_CONFLICT, "another node wrote one of these runs or entities meanwhile");
    } else if (said(writer, "23514")) { /* a partition went: it is made again */
        pg_aside_forget_parts(writer->write->aside);
        err.code = ERR_CONFLICT;
    } else if (said(writer, "23502")) {
        err_set(&err, ERR_CONFLICT, "the container was given up meanwhile");
    } else if (err.code == ERR_TIMEOUT) {
        err.code = ERR_UNAVAILABLE; /* the server's: it is known not to be there */
    }
    writer->why = err;
    if (writer->call.sent)
        pg_writer_ask(writer, send_rollback, take_mark, rolled_back);
    else
        commit_end(writer, &err);
}

/* What was staged is worth nothing in another session: see above. */
static void end_stale(struct pg_writer *writer)
{
    struct err err;
    err_set(&err, ERR_CONFLICT, "the connection to PostgreSQL was made anew meanwhile");
    commit_end(writer, &err);
}

static void committed(struct pg_call *call)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    struct err err = call->err;
    if (!err.code && writer->stale) {
        end_stale(writer);
    } else if (!err.code && writer->commit_good) {
        commit_end(writer, NULL);
    } else if (!err.code) {
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL rolled the transaction back");
        commit_end(writer, &err);
    } else if (!call->lost || !writer->commit_sent) {
        refused(writer);
    } else if (writer->write->config.bucket && writer->container_count > 0) {
        writer->why = err;
        writer->find_out_until_us = in_ms(FIND_OUT_MS);
        find_out(writer);
    } else { /* a log replays it */
        writer->write->lost_mark = writer->commit->sequence;
        err.code = ERR_UNAVAILABLE;
        commit_end(writer, &err);
    }
}

static void send_it(struct pg_writer *writer)
{
    writer->commit_sent = writer->commit_good = writer->stale = false;
    writer->tries++;
    pg_writer_ask(writer, send_commit, take_commit, committed);
}

void pg_write_commit(struct pg_write *w, struct index_commit *commit)
{
    struct pg_writer *writer = pg_writer_of(w, commit->writer, commit->op.loop);
    assert(!writer->commit);
    writer->commit = commit;
    writer->tries = 0;
    if (writer->failed) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "what was staged has failed: roll it back first");
        commit_end(writer, &err);
        return;
    }
    if (pg_writer_has_staged(writer) && !pg_writer_same_session(writer)) {
        end_stale(writer);
        return;
    }
    writer->witness = ++w->witness;
    send_it(writer);
}

/* --- a commit whose answer was lost ---------------------------------------------------------------- */

static void send_find_out(struct pg_call *call, struct pg_conn *conn)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    struct pg_args args = {0};
    writer->found_live = writer->found_ours = false;
    pg_send(conn, &begin_it, NULL);
    pg_add_text(&args, STR("5000"));
    pg_send(conn, &wait_longer, &args);
    pg_args_free(&args);
    pg_add_long(&args, writer->containers[0]);
    pg_add_long(&args, atomic_load(writer->write->config.node));
    pg_send(conn, &give_up, &args);
    pg_args_free(&args);
    pg_add_long(&args, writer->containers[0]);
    pg_add_long(&args, writer->witness);
    pg_send(conn, &is_live, &args);
    pg_args_free(&args);
    send_count(writer, conn, 0); /* something is written, so COMMIT waits for all before it */
    pg_send(conn, &commit_it, NULL);
}

static void take_find_out(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    const struct libpq *pq = pg_write_libpq(writer->write);
    if (nth == 3 && pq->PQntuples(result) == 1) {
        writer->found_live = true;
        writer->found_ours = pg_int(pq, result, 0, 0) != 0;
    }
    take_commit(call, nth, result);
}

/* If it appears after all it is news to us: from now on we are another node. */
static void end_unknown(struct pg_writer *writer, const char *why)
{
    struct err err;
    err_set(&err, ERR_TIMEOUT, "whether it was committed is unknown: %.140s", why);
    pg_pool_drop(writer->pool);
    atomic_fetch_add(writer->write->config.node, 1);
    commit_end(writer, &err);
}

static void found_out(struct pg_call *call)
{
    struct pg_writer *writer = op_owner(call, struct pg_writer, call);
    struct err err = writer->why;
    if (call->err.code == ERR_UNAVAILABLE && clock_mono_us() < writer->find_out_until_us) {
        find_out(writer);
    } else if (call->err.code || !writer->commit_good) {
        end_unknown(writer, call->err.text);
    } else if (writer->found_ours) {
        commit_end(writer, NULL);
    } else if (writer->found_live) {
        end_unknown(writer, "another commit brought rows of this container");
    } else {
        err.code = ERR_UNAVAILABLE;
        (void)err_wrap(&err, "it was not committed");
        commit_end(writer, &err);
    }
}

/* The old transaction has the container's row while it is undecided, so this
 * waits for its end; afterwards the row says what became of it, and if it came to
 * nothing, that it never will.  Unless an earlier commit made the row (a rebuild
 * brings a container in parts): the witness tells. */
static void find_out(struct pg_writer *writer)
{
    writer->commit_good = false;
    pg_writer_ask(writer, send_find_out, take_find_out, found_out);
    writer->call.patient = true;
    writer->call.deadline_us = writer->find_out_until_us;
}
