/* postgres_conn.c - see postgres_conn.h.
 *
 * A connection's life:
 *
 *   step()       look up the hosts, one after the other; libpq would block
 *   dial()       PQconnectStart with one of their addresses, in turn
 *   dialled()    PQconnectPoll, whenever the socket is ready
 *   set_up()     is it a server we can use?  settings and statements, as a call
 *   not_made()   it was not: step() to the next address, or no connection
 *   turned()     ready: answers come, calls are sent
 *   drop()       it failed, hangs, or is not needed: what was under way fails
 *
 * `done` of a call may ask for the next one, so calls are sent and connections
 * dropped only from the loop: by a socket, the timer, or the pool's own wake-up.
 *
 * What may go wrong: a server that says nothing.  The timer looks at everything
 * that waits, every TICK_MS while something does; a call that was sent and not
 * answered GRACE_MS after its deadline takes its connection with it, since the
 * server should have given up by itself before.  Of the time to make a connection
 * each address has a share, so that the next one is tried as well.
 */
#include "index/postgres_conn.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "index/postgres_server.h"
#include "loop/resolve.h"
#include "loop/watch.h"

enum {
    TARGETS_MAX = 16,
    DEPTH_MAX = 16, /* brief calls under way on one connection */
    TICK_MS = 50,
    GRACE_MS = 250,
    PAUSE_MIN_MS = 50, /* after a connection could not be made */
    PAUSE_MAX_MS = 1000,
    VERSION_MIN = 130000
};

enum conn_state { CONN_NONE, CONN_LOOKING_UP, CONN_DIALLING, CONN_SETTING_UP, CONN_READY };

/* By itself, since it cannot be taken back when the connection is closed. */
struct lookup {
    struct resolve resolve;
    struct pg_conn *conn; /* NULL: nobody waits any more */
    size_t host;
};

/* An address to connect to. */
struct target {
    size_t host;
    char address[RESOLVE_ADDRESS]; /* "": as the URL says */
};

struct pg_conn {
    struct pg_pool *pool;
    enum conn_state state;
    PGconn *pg;
    int fd; /* a dup() of its socket */
    struct watch *watch;
    struct lookup *lookup;
    size_t next_host; /* to be looked up, counted from the pool's first */
    struct target targets[TARGETS_MAX];
    size_t target_count, next_target;
    struct err why;                               /* those tried so far were not good */
    int64_t began_us, give_up_us, give_all_up_us; /* this step; all of it */
    struct pg_call set_up;
    struct pg_call *sent, **sent_end; /* under way, oldest first */
    unsigned depth;
    bool all_brief, failed; /* `failed`: libpq would not take what was sent */
    bool too_big;           /* since it is */
};

struct pg_pool {
    struct pg_pool_config config;
    struct timer *timer;
    struct op wake;
    bool woken, ticking, dropping;
    struct pg_call *waiting, **waiting_end; /* oldest first */
    size_t waiting_count;
    int64_t retry_us; /* no connection is made before */
    unsigned pause_ms;
    size_t first_host; /* of the last connection that was made */
    struct err why;    /* the last one could not be made */
    uint64_t sessions;
    uint64_t session; /* of a pool of one */
    struct pg_conn conns[];
};

/* --- what the server says --------------------------------------------------------- */

static enum err_code code_of(const char *state)
{
    static const struct {
        const char *state; /* or the class it begins with */
        enum err_code code;
    } codes[] = {
        {"55P03", ERR_TIMEOUT},     {"57014", ERR_TIMEOUT},     {"40001", ERR_BUSY},
        {"40P01", ERR_BUSY},        {"53100", ERR_FULL},        {"53", ERR_UNAVAILABLE},
        {"08", ERR_UNAVAILABLE},    {"25006", ERR_UNAVAILABLE}, {"28", ERR_UNAVAILABLE},
        {"42501", ERR_UNAVAILABLE}, {"57", ERR_UNAVAILABLE},    {"XX001", ERR_CORRUPT},
        {"XX002", ERR_CORRUPT},     {"42P01", ERR_UNAVAILABLE}, {"42703", ERR_UNAVAILABLE},
        {"42883", ERR_UNAVAILABLE}, {"3F000", ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strncmp(state, codes[i].state, strlen(codes[i].state)) == 0)
            return codes[i].code;
    return ERR_IO;
}

/* The first line of what libpq says; it never has the password. */
static void set_first_line(struct err *err, enum err_code code, const char *text)
{
    int len = (int)strcspn(text, "\r\n");
    err_set(err, code, "PostgreSQL: %.*s", len < 170 ? len : 170, text);
}

/* A table, column, function or schema is not there. */
static bool is_other_schema(const char *state)
{
    return strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0 ||
           strcmp(state, "42883") == 0 || strcmp(state, "3F000") == 0;
}

static void note_error(const struct libpq *pq, struct pg_call *call, const PGresult *result)
{
    const char *state = pq->PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = pq->PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (call->err.code)
        return;
    if (!state) { /* libpq made it: the connection is gone, or out of memory */
        set_first_line(&call->err, ERR_UNAVAILABLE, "the connection was lost");
        return;
    }
    snprintf(call->state, sizeof call->state, "%.5s", state);
    set_first_line(&call->err, code_of(state), text ? text : "an error without words");
    if (is_other_schema(call->state))
        (void)err_wrap(&call->err, "the schema is missing, or another: run `rundlet migrate up`");
}

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* --- making and losing a connection ------------------------------------------------- */

static void wake(struct pg_pool *pool);
static void pump(struct pg_pool *pool);
static void step(struct pg_conn *c);
static void dialled(void *context, bool readable, bool writable);
static void turned(void *context, bool readable, bool writable);

static const struct libpq *pq_of(const struct pg_conn *c)
{
    return &c->pool->config.server->pq;
}

static void unwatch(struct pg_conn *c)
{
    watch_free(c->watch);
    c->watch = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void close_conn(struct pg_conn *c)
{
    if (c->lookup && resolve_cancel(&c->lookup->resolve))
        free(c->lookup);
    else if (c->lookup)
        c->lookup->conn = NULL;
    c->lookup = NULL;
    unwatch(c);
    if (c->pg)
        pq_of(c)->PQfinish(c->pg);
    c->pg = NULL;
    c->state = CONN_NONE;
    c->failed = c->too_big = false;
}

static struct pg_call *forget_sent(struct pg_conn *c)
{
    struct pg_call *sent = c->sent;
    c->sent = NULL;
    c->sent_end = &c->sent;
    c->depth = 0;
    return sent;
}

/* Nobody else can be asked: fail what does not want to wait. */
static void fail_waiting(struct pg_pool *pool, const struct err *err)
{
    struct pg_call *call = pool->waiting, *patient = NULL, **end = &patient;
    size_t count = 0;
    pool->waiting = NULL;
    pool->waiting_end = &pool->waiting;
    pool->waiting_count = 0;
    struct pg_call *failed = NULL, **failed_end = &failed;
    for (struct pg_call *next; call; call = next) {
        next = call->next;
        call->next = NULL;
        if (call->patient) {
            *end = call;
            end = &call->next;
            count++;
        } else {
            *failed_end = call;
            failed_end = &call->next;
        }
    }
    if (patient) {
        pool->waiting = patient;
        pool->waiting_end = end;
        pool->waiting_count = count;
    }
    while (failed) {
        call = failed;
        failed = call->next;
        call->err = *err;
        call->done(call);
    }
}

static bool any_ready(const struct pg_pool *pool)
{
    for (unsigned i = 0; i < pool->config.connections; i++)
        if (pool->conns[i].state == CONN_READY)
            return true;
    return false;
}

/* Nobody was good. */
static void no_connection(struct pg_conn *c)
{
    struct pg_pool *pool = c->pool;
    struct err err = c->why;
    close_conn(c);
    err.code = ERR_UNAVAILABLE; /* whatever is wrong, nobody can be asked */
    pool->why = err;
    pool->pause_ms = pool->pause_ms ? 2 * pool->pause_ms : PAUSE_MIN_MS;
    if (pool->pause_ms > PAUSE_MAX_MS)
        pool->pause_ms = PAUSE_MAX_MS;
    pool->retry_us = clock_mono_us() + (int64_t)pool->pause_ms * 1000;
    if (!any_ready(pool))
        fail_waiting(pool, &err);
    if (pool->waiting)
        wake(pool);
}

static void note_why(struct pg_conn *c, const struct err *reason)
{
    struct err before = c->why;
    if (before.code)
        err_set(&c->why, reason->code, "%.93s; %.93s", before.text, reason->text);
    else
        c->why = *reason;
}

/* This one was not good: the next. */
static void not_made(struct pg_conn *c, const struct err *reason)
{
    note_why(c, reason);
    (void)forget_sent(c); /* at most the call that sets it up */
    close_conn(c);
    step(c);
}

static void drop(struct pg_conn *c, const struct err *reason)
{
    struct pg_pool *pool = c->pool;
    struct err err = *reason; /* it may lie in what is dropped */
    if (c->state != CONN_READY) {
        not_made(c, &err);
        return;
    }
    struct pg_call *call = forget_sent(c);
    pool->session = 0;
    close_conn(c);
    for (struct pg_call *next; call; call = next) {
        next = call->next;
        call->lost = true;
        if (!call->err.code)
            call->err = err;
        call->done(call);
    }
    if (pool->waiting)
        wake(pool);
}

/* The server closed it, or libpq says that it is of no use any more. */
static void lost(struct pg_conn *c)
{
    struct err err = {0};
    const char *text = pq_of(c)->PQerrorMessage(c->pg);
    /* What the server said last is better than that it hung up. */
    if (c->too_big)
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL takes no value of more than 2 GiB at once");
    else if (c->sent && c->sent->err.code)
        err = c->sent->err;
    else
        set_first_line(&err, ERR_UNAVAILABLE, text && text[0] ? text : "the connection was lost");
    err.code = ERR_UNAVAILABLE;
    drop(c, &err);
}

/* libpq owns the socket, and another one for each host that it tries. */
static void watch_socket(struct pg_conn *c, watch_ready_fn *ready, bool read, bool write)
{
    unwatch(c);
    c->fd = fcntl(pq_of(c)->PQsocket(c->pg), F_DUPFD_CLOEXEC, 0);
    if (c->fd < 0) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: no descriptor is left for a connection");
        drop(c, &err);
        return;
    }
    c->watch = watch_new(c->pool->config.loop, c->fd, ready, c);
    watch_set(c->watch, read, write);
}

static void add_target(struct pg_conn *c, size_t host, const char *address)
{
    if (c->target_count == TARGETS_MAX)
        return;
    struct target *target = &c->targets[c->target_count++];
    target->host = host;
    snprintf(target->address, sizeof target->address, "%s", address);
}

static void looked_up(struct op *op)
{
    struct lookup *lookup = op_owner(op, struct lookup, resolve.op);
    struct pg_conn *c = lookup->conn;
    if (c) {
        c->lookup = NULL;
        for (unsigned i = 0; !op->err.code && i < lookup->resolve.count; i++)
            add_target(c, lookup->host, lookup->resolve.addresses[i]);
        if (op->err.code)
            note_why(c, &op->err);
    }
    free(lookup);
    if (c)
        step(c);
}

/* A share of the time that is left. */
static void take_time(struct pg_conn *c, size_t shares)
{
    c->began_us = clock_mono_us();
    c->give_up_us = c->began_us + (c->give_all_up_us - c->began_us) / (int64_t)shares;
}

static void look_up(struct pg_conn *c, size_t host)
{
    const struct pg_server *server = c->pool->config.server;
    struct lookup *lookup = c->lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        abort();
    c->state = CONN_LOOKING_UP;
    take_time(c, server->host_count == 1 ? 1 : server->host_count - c->next_host + 2);
    lookup->conn = c;
    lookup->host = host;
    lookup->resolve.op = (struct op){.loop = c->pool->config.loop, .done = looked_up};
    snprintf(lookup->resolve.host, sizeof lookup->resolve.host, "%s", server->hosts[host]);
    resolve(&lookup->resolve);
}

static void start(struct pg_conn *c)
{
    c->give_all_up_us = clock_mono_us() + (int64_t)c->pool->config.connect_ms * 1000;
    c->next_host = c->target_count = c->next_target = 0;
    c->why = (struct err){0};
    step(c);
}

/* One at a time: libpq would wait for a silent one, and never come to the next. */
static void dial(struct pg_conn *c)
{
    const struct pg_server *server = c->pool->config.server;
    const struct target *target = &c->targets[c->next_target];
    const char *keys[PG_OPTIONS_MAX + 4], *values[PG_OPTIONS_MAX + 4];
    const char *const items[3] = {server->hosts[target->host], target->address,
                                  server->ports[target->host]};
    static const char *const names[3] = {"host", "hostaddr", "port"};
    size_t n = server->count;
    memcpy(keys, server->keys, n * sizeof *keys);
    memcpy(values, server->values, n * sizeof *values);
    for (int k = 0; k < 3; k++)
        if (items[k][0]) {
            keys[n] = names[k];
            values[n++] = items[k];
        }
    keys[n] = values[n] = NULL;
    take_time(c, c->target_count - c->next_target);
    int64_t most_us = server->connect_timeout_us;
    if (most_us && c->give_up_us > c->began_us + most_us)
        c->give_up_us = c->began_us + most_us;
    c->next_target++;
    c->pg = server->pq.PQconnectStartParams(keys, values, 0);
    if (!c->pg)
        abort(); /* no memory */
    c->state = CONN_DIALLING;
    server->pq.PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    if (server->pq.PQstatus(c->pg) == CONNECTION_BAD)
        lost(c);
    else
        watch_socket(c, dialled, false, true);
}

/* Ask for the next address; when all were asked for, connect to the next. */
static void step(struct pg_conn *c)
{
    const struct pg_server *server = c->pool->config.server;
    while (c->next_host < server->host_count) {
        size_t host = (c->pool->first_host + c->next_host++) % server->host_count;
        if (pg_server_has_name(server, host)) {
            look_up(c, host);
            return;
        }
        add_target(c, host, server->addresses[host]);
    }
    if (c->next_target < c->target_count &&
        (c->next_target == 0 || clock_mono_us() < c->give_all_up_us))
        dial(c);
    else
        no_connection(c);
}

/* It said nothing for so long. */
static void too_late(struct pg_conn *c)
{
    const struct pg_server *server = c->pool->config.server;
    unsigned ms = (unsigned)((c->give_up_us - c->began_us) / 1000);
    struct err err;
    if (c->state == CONN_LOOKING_UP) {
        err_set(&err, ERR_UNAVAILABLE, "look up %.100s: no answer within %u ms",
                server->hosts[c->lookup->host], ms);
    } else {
        const struct target *target = &c->targets[c->next_target - 1];
        const char *host = server->hosts[target->host], *port = server->ports[target->host];
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: no connection to %.80s:%.10s within %u ms",
                host[0] ? host : target->address, port[0] ? port : "5432", ms);
    }
    not_made(c, &err);
}

static void ask_set_up(struct pg_call *call, struct pg_conn *c)
{
    (void)call;
    const struct pg_role *role = c->pool->config.role;
    const struct libpq *pq = pq_of(c);
    char timeout[16];
    int len = snprintf(timeout, sizeof timeout, "%u", c->pool->config.timeout_ms);
    struct pg_args args = {0};
    pg_add_text(&args, (struct str){timeout, (size_t)len});
    pg_send(c, &(struct pg_statement){.sql = role->settings}, &args);
    pg_args_free(&args);
    for (size_t i = 0; i < role->count && !c->failed; i++) {
        const struct pg_statement *s = &role->statements[i];
        c->failed = !pq->PQsendPrepare(c->pg, s->name, s->sql, 0, NULL);
    }
}

static void set_up_done(struct pg_call *call)
{
    struct pg_conn *c = op_owner(call, struct pg_conn, set_up);
    if (call->err.code) {
        drop(c, &call->err);
        return;
    }
    c->state = CONN_READY;
    c->pool->pause_ms = 0;
    c->pool->first_host = c->targets[c->next_target - 1].host;
    c->pool->session = ++c->pool->sessions;
}

static void send_call(struct pg_conn *c, struct pg_call *call);

/* Is it a server that we can use?  Then make it ready. */
static void set_up(struct pg_conn *c)
{
    const struct libpq *pq = pq_of(c);
    struct err err = {0};
    int version = pq->PQserverVersion(c->pg);
    const char *encoding = pq->PQparameterStatus(c->pg, "server_encoding");
    if (version < VERSION_MIN)
        err_set(&err, ERR_INVALID, "PostgreSQL %d is too old: version 13 or newer is needed",
                version / 10000);
    else if (!encoding || strcmp(encoding, "UTF8") != 0)
        err_set(&err, ERR_INVALID,
                "the database's encoding is %.20s, names need UTF8: create another one with "
                "\"create database NAME encoding 'UTF8' template template0\"",
                encoding ? encoding : "unknown");
    else if (pq->PQsetnonblocking(c->pg, 1) != 0 || !pq->PQenterPipelineMode(c->pg))
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: no pipeline on this connection");
    if (err.code) {
        drop(c, &err);
        return;
    }
    c->state = CONN_SETTING_UP;
    watch_socket(c, turned, true, false);
    if (c->state != CONN_SETTING_UP)
        return;
    c->set_up =
        (struct pg_call){.send = ask_set_up, .done = set_up_done, .deadline_us = c->give_up_us};
    send_call(c, &c->set_up);
}

static void dialled(void *context, bool readable, bool writable)
{
    struct pg_conn *c = context;
    (void)readable;
    (void)writable;
    switch (pq_of(c)->PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        watch_socket(c, dialled, true, false);
        break;
    case PGRES_POLLING_WRITING:
        watch_socket(c, dialled, false, true);
        break;
    case PGRES_POLLING_OK:
        set_up(c);
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
    default:
        lost(c);
        break;
    }
}

/* --- calls on a connection ------------------------------------------------------------ */

void pg_send(struct pg_conn *c, const struct pg_statement *statement, const struct pg_args *args)
{
    const struct libpq *pq = pq_of(c);
    const char *values[PG_ARGS];
    int lengths[PG_ARGS], formats[PG_ARGS];
    int count = args ? (int)args->count : 0;
    for (int i = 0; i < count; i++) {
        if (args->len[i] > INT32_MAX) {
            c->failed = c->too_big = true;
            return;
        }
        /* An empty value is a value: it needs an address. */
        values[i] = args->null[i] ? NULL : args->len[i] ? args->bytes.at + args->at[i] : "";
        lengths[i] = (int)args->len[i];
        formats[i] = 1;
    }
    if (c->failed)
        return;
    c->failed = statement->name ? !pq->PQsendQueryPrepared(c->pg, statement->name, count, values,
                                                           lengths, formats, 1)
                                : !pq->PQsendQueryParams(c->pg, statement->sql, count, NULL, values,
                                                         lengths, formats, 1);
}

static void send_call(struct pg_conn *c, struct pg_call *call)
{
    const struct libpq *pq = pq_of(c);
    call->next = NULL;
    call->sent = true;
    call->answered = 0;
    c->all_brief = c->sent ? c->all_brief && call->brief : call->brief;
    *c->sent_end = call;
    c->sent_end = &call->next;
    c->depth++;
    if (call->script) { /* several statements in one: not in a pipeline */
        assert(c->depth == 1);
        c->failed = !pq->PQexitPipelineMode(c->pg) || !pq->PQsendQuery(c->pg, call->script);
    } else {
        call->send(call, c);
        c->failed = c->failed || !pq->PQpipelineSync(c->pg);
    }
    int rest = c->failed ? -1 : pq->PQflush(c->pg);
    if (rest < 0)
        lost(c);
    else
        watch_set(c->watch, true, rest > 0);
}

static void answered(struct pg_conn *c)
{
    struct pg_call *call = c->sent;
    c->sent = call->next;
    if (!c->sent)
        c->sent_end = &c->sent;
    c->depth--;
    /* It is read only: not the server that can be written any more. */
    if (strcmp(call->state, "25006") == 0)
        pg_pool_drop(c->pool);
    if (call->script && !pq_of(c)->PQenterPipelineMode(c->pg))
        c->failed = true;
    call->done(call);
}

/* One result.  True: it was the last of its call. */
static bool take(struct pg_conn *c, struct pg_call *call, PGresult *result)
{
    const struct libpq *pq = pq_of(c);
    ExecStatusType status = pq->PQresultStatus(result);
    bool last = status == PGRES_PIPELINE_SYNC;
    bool good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    /* PIPELINE_ABORTED: skipped, since one before it failed. */
    if (good && call->answer && !call->err.code)
        call->answer(call, call->answered, result);
    else if (!good && !last && status != PGRES_PIPELINE_ABORTED)
        note_error(pq, call, result);
    if (!last)
        call->answered++;
    pq->PQclear(result);
    return last;
}

/* What has come.  A NULL stands between the results of two statements. */
static void collect(struct pg_conn *c)
{
    const struct libpq *pq = pq_of(c);
    int nulls = 0;
    while (c->sent && nulls < 2 && !pq->PQisBusy(c->pg)) {
        struct pg_call *call = c->sent;
        PGresult *result = pq->PQgetResult(c->pg);
        nulls = result ? 0 : nulls + 1;
        if (result ? take(c, call, result) : call->script != NULL) {
            answered(c);
            nulls = 0;
        }
    }
}

static void turned(void *context, bool readable, bool writable)
{
    struct pg_conn *c = context;
    const struct libpq *pq = pq_of(c);
    (void)writable;
    bool good = !readable || pq->PQconsumeInput(c->pg);
    collect(c);
    if (c->state != CONN_SETTING_UP && c->state != CONN_READY)
        return; /* it was dropped by what came */
    if (!c->sent)
        (void)pq->PQisBusy(c->pg); /* take in what the server says unasked */
    int rest = good && !c->failed && pq->PQstatus(c->pg) == CONNECTION_OK ? pq->PQflush(c->pg) : -1;
    if (rest < 0) {
        lost(c);
        return;
    }
    watch_set(c->watch, true, rest > 0);
    pump(c->pool);
}

/* --- pools ------------------------------------------------------------------------------ */

/* An idle connection; or, for a brief call, the one with the fewest of them. */
static struct pg_conn *pick(struct pg_pool *pool, const struct pg_call *call)
{
    struct pg_conn *best = NULL;
    if (pool->dropping)
        return NULL; /* what is asked now is not lost with them */
    for (unsigned i = 0; i < pool->config.connections; i++) {
        struct pg_conn *c = &pool->conns[i];
        if (c->state != CONN_READY)
            continue;
        bool fits = c->depth == 0 || (call->brief && c->all_brief && c->depth < DEPTH_MAX);
        if (fits && (!best || c->depth < best->depth))
            best = c;
    }
    return best;
}

/* Make one more connection, if there may be one and none is being made. */
static void grow(struct pg_pool *pool)
{
    struct pg_conn *none = NULL;
    for (unsigned i = 0; i < pool->config.connections; i++) {
        struct pg_conn *c = &pool->conns[i];
        if (c->state != CONN_NONE && c->state != CONN_READY)
            return;
        if (c->state == CONN_NONE)
            none = c;
    }
    if (none && (!pool->pause_ms || clock_mono_us() >= pool->retry_us))
        start(none);
    else if (none && !any_ready(pool)) {
        struct err why = pool->why;
        fail_waiting(pool, &why);
    }
}

/* Send what can be sent. */
static void pump(struct pg_pool *pool)
{
    bool waits = false; /* something is behind what is under way */
    while (pool->waiting) {
        struct pg_call *call = pool->waiting;
        struct pg_conn *c = pick(pool, call);
        if (!c)
            break;
        waits = waits || c->depth > 0;
        pool->waiting = call->next;
        if (!pool->waiting)
            pool->waiting_end = &pool->waiting;
        pool->waiting_count--;
        send_call(c, call);
    }
    if ((pool->waiting || waits) && !pool->dropping)
        grow(pool);
}

static void end_late_waiting(struct pg_pool *pool, int64_t now_us)
{
    struct pg_call *late = NULL, **late_end = &late;
    struct pg_call **at = &pool->waiting;
    while (*at) {
        struct pg_call *call = *at;
        if (now_us < call->deadline_us) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        pool->waiting_count--;
        call->next = NULL;
        *late_end = call;
        late_end = &call->next;
    }
    pool->waiting_end = at;
    while (late) {
        struct pg_call *call = late;
        late = call->next;
        if (pool->pause_ms)
            err_set(&call->err, ERR_TIMEOUT, "no connection in time: %.150s", pool->why.text);
        else
            err_set(&call->err, ERR_TIMEOUT, "PostgreSQL: no connection was free in time");
        call->done(call);
    }
}

static bool is_late(const struct pg_conn *c, int64_t now_us)
{
    if (c->state == CONN_LOOKING_UP || c->state == CONN_DIALLING || c->state == CONN_SETTING_UP)
        return now_us >= c->give_up_us;
    for (const struct pg_call *call = c->sent; call; call = call->next)
        if (now_us >= call->deadline_us + GRACE_MS * 1000)
            return true;
    return false;
}

static bool is_idle(const struct pg_pool *pool)
{
    for (unsigned i = 0; i < pool->config.connections; i++)
        if (pool->conns[i].sent ||
            (pool->conns[i].state != CONN_NONE && pool->conns[i].state != CONN_READY))
            return false;
    return !pool->waiting;
}

/* Look again in a while, as long as there is something to look at. */
static void keep_ticking(struct pg_pool *pool)
{
    if (pool->ticking || is_idle(pool))
        return;
    pool->ticking = true;
    timer_start(pool->timer, TICK_MS);
}

static void tick(void *context)
{
    struct pg_pool *pool = context;
    int64_t now_us = clock_mono_us();
    pool->ticking = false;
    for (unsigned i = 0; i < pool->config.connections; i++) {
        struct pg_conn *c = &pool->conns[i];
        if (!is_late(c, now_us))
            continue;
        if (c->state != CONN_READY) {
            too_late(c);
            continue;
        }
        struct err err;
        err_set(&err, ERR_TIMEOUT, "PostgreSQL did not answer in time");
        drop(c, &err);
    }
    end_late_waiting(pool, now_us);
    pump(pool);
    keep_ticking(pool);
}

/* One that is being made may be to a server that nobody wants any more either. */
static void give_up(struct pg_conn *c)
{
    if (c->state == CONN_READY) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: the connection was given up");
        drop(c, &err);
    } else if (c->state != CONN_NONE) {
        forget_sent(c);
        close_conn(c);
    }
}

static void woken(struct op *op)
{
    struct pg_pool *pool = op_owner(op, struct pg_pool, wake);
    pool->woken = false;
    if (!pool->timer)
        pool->timer = timer_new(pool->config.loop, tick, pool);
    for (unsigned i = 0; pool->dropping && i < pool->config.connections; i++)
        give_up(&pool->conns[i]);
    pool->dropping = false;
    pump(pool);
    keep_ticking(pool);
}

static void wake(struct pg_pool *pool)
{
    if (pool->woken)
        return;
    pool->woken = true;
    op_finish(&pool->wake);
}

struct pg_pool *pg_pool_new(const struct pg_pool_config *config)
{
    struct pg_pool *pool = calloc(1, sizeof *pool + config->connections * sizeof(struct pg_conn));
    if (!pool)
        abort();
    pool->config = *config;
    pool->waiting_end = &pool->waiting;
    pool->wake = (struct op){.loop = config->loop, .done = woken};
    for (unsigned i = 0; i < config->connections; i++) {
        struct pg_conn *c = &pool->conns[i];
        c->pool = pool;
        c->fd = -1;
        c->sent_end = &c->sent;
    }
    return pool;
}

void pg_pool_free(struct pg_pool *pool)
{
    if (!pool)
        return;
    for (unsigned i = 0; i < pool->config.connections; i++)
        close_conn(&pool->conns[i]);
    timer_free(pool->timer);
    free(pool);
}

bool pg_pool_ask(struct pg_pool *pool, struct pg_call *call)
{
    if (pool->waiting_count >= pool->config.queue)
        return false;
    call->next = NULL;
    call->err = (struct err){0};
    call->state[0] = 0;
    call->sent = call->lost = false;
    *pool->waiting_end = call;
    pool->waiting_end = &call->next;
    pool->waiting_count++;
    wake(pool);
    return true;
}

uint64_t pg_pool_session(const struct pg_pool *pool)
{
    return pool->session;
}

void pg_pool_drop(struct pg_pool *pool)
{
    pool->dropping = true;
    pool->session = 0;
    wake(pool);
}
