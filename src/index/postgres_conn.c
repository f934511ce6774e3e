/* postgres_conn.c - see postgres_conn.h.
 *
 * A connection's life:
 *
 *   start()      look up the hosts, one after the other; libpq would block
 *   dial()       PQconnectStart with their addresses
 *   dialled()    PQconnectPoll, whenever the socket is ready
 *   set_up()     is it a server we can use?  settings and statements, as a call
 *   turned()     ready: answers come, calls are sent
 *   drop()       it failed, hangs, or is not needed: what was under way fails
 *
 * `done` of a call may ask for the next one, so calls are sent and connections
 * dropped only from the loop: by a socket, the timer, or the pool's own wake-up.
 *
 * What may go wrong: a server that says nothing.  The timer looks at everything
 * that waits, every TICK_MS while something does; a call that was sent and not
 * answered GRACE_MS after its deadline takes its connection with it, since the
 * server should have given up by itself before.
 */
#include "index/postgres_conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/library.h"
#include "loop/resolve.h"
#include "loop/watch.h"

enum {
    HOSTS_MAX = 8,
    OPTIONS_MAX = 64,
    DEPTH_MAX = 16, /* brief calls under way on one connection */
    TICK_MS = 50,
    GRACE_MS = 250,
    PAUSE_MIN_MS = 50, /* after a connection could not be made */
    PAUSE_MAX_MS = 1000,
    VERSION_MIN = 130000
};

struct pg_server {
    struct libpq pq;
    PQconninfoOption *options;
    const char *keys[OPTIONS_MAX], *values[OPTIONS_MAX]; /* all but hosts and their ports */
    size_t count;
    char *lists; /* holds the next three */
    const char *hosts[HOSTS_MAX], *addresses[HOSTS_MAX], *ports[HOSTS_MAX]; /* "": not said */
    size_t host_count;
};

enum conn_state { CONN_NONE, CONN_LOOKING_UP, CONN_DIALLING, CONN_SETTING_UP, CONN_READY };

/* By itself, since it cannot be taken back when the connection is closed. */
struct lookup {
    struct resolve resolve;
    struct pg_conn *conn; /* NULL: nobody waits any more */
    size_t host;
};

struct pg_conn {
    struct pg_pool *pool;
    enum conn_state state;
    PGconn *pg;
    int fd; /* a dup() of its socket */
    struct watch *watch;
    struct lookup *lookup;
    size_t next_host;
    char addresses[HOSTS_MAX][RESOLVE_ADDRESS]; /* of hosts given by name; "": has none */
    struct err unknown;                         /* why */
    int64_t give_up_us;                         /* while it is being made */
    struct pg_call set_up;
    struct pg_call *sent, **sent_end; /* under way, oldest first */
    unsigned depth;
    bool all_brief, failed; /* `failed`: libpq would not take what was sent */
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
    struct err why; /* the last one could not be made */
    uint64_t sessions;
    uint64_t session; /* of a pool of one */
    struct pg_conn conns[];
};

/* --- who is asked ----------------------------------------------------------------- */

/* Cut a list at its commas, in place. */
static size_t split(char *list, const char **items)
{
    size_t count = 0;
    for (char *at = list; at && count < HOSTS_MAX; count++) {
        items[count] = at;
        at = strchr(at, ',');
        if (at)
            *at++ = 0;
    }
    return count;
}

static const char *option(const struct pg_server *server, const char *key)
{
    for (const PQconninfoOption *o = server->options; o->keyword; o++)
        if (strcmp(o->keyword, key) == 0)
            return o->val && o->val[0] ? o->val : NULL;
    return NULL;
}

static void set_default(struct pg_server *server, const char *key, const char *value)
{
    if (!option(server, key) && server->count < OPTIONS_MAX) {
        server->keys[server->count] = key;
        server->values[server->count++] = value;
    }
}

static int read_hosts(struct pg_server *server, struct err *err)
{
    const char *host = option(server, "host"), *address = option(server, "hostaddr");
    const char *port = option(server, "port");
    if (!host && !address)
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL names no host: postgres://user:password@host/name, or "
                       "postgres:///name?host=/directory/of/its/socket");
    size_t size =
        (host ? strlen(host) : 0) + (address ? strlen(address) : 0) + (port ? strlen(port) : 0) + 3;
    char *at = server->lists = calloc(1, size);
    if (!at)
        abort();
    const char *const given[] = {host, address, port};
    const char **const lists[] = {server->hosts, server->addresses, server->ports};
    size_t counts[3] = {0};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < HOSTS_MAX; k++)
            lists[i][k] = "";
        if (!given[i])
            continue;
        memcpy(at, given[i], strlen(given[i]) + 1);
        counts[i] = split(at, lists[i]);
        at += strlen(given[i]) + 1;
    }
    server->host_count = host ? counts[0] : counts[1];
    if ((host && address && counts[0] != counts[1]) ||
        (counts[2] > 1 && counts[2] != server->host_count))
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL has not as many hosts as addresses or ports");
    for (size_t k = 1; counts[2] == 1 && k < server->host_count; k++)
        server->ports[k] = server->ports[0];
    return 0;
}

static int read_url(struct pg_server *server, const char *url, struct err *err)
{
    char *why = NULL;
    server->options = server->pq.PQconninfoParse(url, &why);
    if (why)
        server->pq.PQfreemem(why); /* it may hold the password */
    if (!server->options)
        return err_set(err, ERR_INVALID,
                       "the PostgreSQL URL cannot be read: it should be "
                       "postgres://user:password@host:port/name");
    static const char *const ours[] = {"host", "hostaddr", "port", "client_encoding"};
    for (const PQconninfoOption *o = server->options; o->keyword; o++) {
        bool skip = !o->val || !o->val[0];
        /* What stands behind an `@` of the password is taken for these, and may be told. */
        bool told = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "dbname") == 0;
        if (!skip && told && strchr(o->val, '@'))
            return err_set(err, ERR_INVALID,
                           "the PostgreSQL URL has one @ too many: in a user's name or a password "
                           "write it as %%40, and / as %%2F");
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            skip = skip || strcmp(o->keyword, ours[i]) == 0;
        if (skip)
            continue;
        assert(server->count < OPTIONS_MAX - 8);
        server->keys[server->count] = o->keyword;
        server->values[server->count++] = o->val;
    }
    set_default(server, "gssencmode", "disable"); /* asking for it may block */
    set_default(server, "target_session_attrs", "read-write");
    set_default(server, "fallback_application_name", "rundlet");
    server->keys[server->count] = "client_encoding";
    server->values[server->count++] = "UTF8";
    return read_hosts(server, err);
}

int pg_server_open(const char *url, struct pg_server **result, struct err *err)
{
#define NAME(function) #function,
    static const char *const names[] = {LIBPQ_FUNCTIONS(NAME)};
#undef NAME
    struct pg_server *server = calloc(1, sizeof *server);
    if (!server)
        abort();
    int r =
        library_load("libpq.so.5", "libpq5", names, sizeof names / sizeof *names, &server->pq, err);
    if (!r)
        r = read_url(server, url, err);
    if (r) {
        pg_server_close(server);
        return r;
    }
    *result = server;
    return 0;
}

void pg_server_close(struct pg_server *server)
{
    if (!server)
        return;
    if (server->options)
        server->pq.PQconninfoFree(server->options);
    free(server->lists);
    free(server);
}

const struct libpq *pg_server_libpq(const struct pg_server *server)
{
    return &server->pq;
}

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
        {"XX002", ERR_CORRUPT},
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
}

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* --- making and losing a connection ------------------------------------------------- */

static void wake(struct pg_pool *pool);
static void pump(struct pg_pool *pool);
static void dial(struct pg_conn *c);
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
    if (c->lookup)
        c->lookup->conn = NULL;
    c->lookup = NULL;
    unwatch(c);
    if (c->pg)
        pq_of(c)->PQfinish(c->pg);
    c->pg = NULL;
    c->state = CONN_NONE;
    c->failed = false;
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

static void drop(struct pg_conn *c, const struct err *reason)
{
    struct pg_pool *pool = c->pool;
    struct err copy = *reason, *err = &copy; /* it may lie in what is dropped */
    bool made = c->state == CONN_READY;
    struct pg_call *call = forget_sent(c);
    pool->session = 0;
    close_conn(c);

    if (!made) {
        err->code = ERR_UNAVAILABLE; /* whatever is wrong, nobody can be asked */
        pool->why = *err;
        pool->pause_ms = pool->pause_ms ? 2 * pool->pause_ms : PAUSE_MIN_MS;
        if (pool->pause_ms > PAUSE_MAX_MS)
            pool->pause_ms = PAUSE_MAX_MS;
        pool->retry_us = clock_mono_us() + (int64_t)pool->pause_ms * 1000;
    }
    for (struct pg_call *next; call; call = next) {
        next = call->next;
        if (call == &c->set_up)
            continue;
        call->lost = true;
        if (!call->err.code)
            call->err = *err;
        call->done(call);
    }
    if (!made && !any_ready(pool))
        fail_waiting(pool, err);
    if (pool->waiting)
        wake(pool);
}

/* The server closed it, or libpq says that it is of no use any more. */
static void lost(struct pg_conn *c)
{
    struct err err = {0};
    const char *text = pq_of(c)->PQerrorMessage(c->pg);
    /* What the server said last is better than that it hung up. */
    if (c->sent && c->sent->err.code)
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

static bool is_literal(const char *host)
{
    struct in6_addr room;
    return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1;
}

/* Is it a name that somebody has to be asked for? */
static bool is_name(const struct pg_server *server, size_t i)
{
    const char *host = server->hosts[i];
    return !server->addresses[i][0] && host[0] != '/' && host[0] != '@' && !is_literal(host);
}

static void looked_up(struct op *op)
{
    struct lookup *lookup = op_owner(op, struct lookup, resolve.op);
    struct pg_conn *c = lookup->conn;
    if (c) {
        c->lookup = NULL;
        if (op->err.code)
            c->unknown = op->err;
        else
            memcpy(c->addresses[lookup->host], lookup->resolve.address, RESOLVE_ADDRESS);
    }
    free(lookup);
    if (c)
        dial(c);
}

static void look_up(struct pg_conn *c, size_t host)
{
    struct lookup *lookup = c->lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        abort();
    lookup->conn = c;
    lookup->host = host;
    lookup->resolve.op = (struct op){.loop = c->pool->config.loop, .done = looked_up};
    snprintf(lookup->resolve.host, sizeof lookup->resolve.host, "%s",
             c->pool->config.server->hosts[host]);
    resolve(&lookup->resolve);
}

static void start(struct pg_conn *c)
{
    c->state = CONN_LOOKING_UP;
    c->give_up_us = clock_mono_us() + (int64_t)c->pool->config.connect_ms * 1000;
    c->next_host = 0;
    memset(c->addresses, 0, sizeof c->addresses);
    c->unknown = (struct err){0};
    dial(c);
}

static void add_item(struct text *list, bool first, const char *item)
{
    if (!first)
        text_add_char(list, ',');
    text_add(list, (struct str){item, strlen(item)});
}

/* Begin to connect to the hosts whose address is known.  False: there are none. */
static bool begin_dialling(struct pg_conn *c)
{
    const struct pg_server *server = c->pool->config.server;
    const char *keys[OPTIONS_MAX + 4], *values[OPTIONS_MAX + 4];
    struct text lists[3] = {0}; /* hosts, addresses, ports */
    static const char *const names[3] = {"host", "hostaddr", "port"};
    bool any[3] = {false};
    size_t n = server->count, hosts = 0;
    memcpy(keys, server->keys, n * sizeof *keys);
    memcpy(values, server->values, n * sizeof *values);
    for (size_t i = 0; i < server->host_count; i++) {
        if (is_name(server, i) && !c->addresses[i][0])
            continue;
        const char *items[3] = {server->hosts[i],
                                is_name(server, i) ? c->addresses[i] : server->addresses[i],
                                server->ports[i]};
        for (int k = 0; k < 3; k++) {
            add_item(&lists[k], hosts == 0, items[k]);
            any[k] = any[k] || items[k][0];
        }
        hosts++;
    }
    for (int k = 0; k < 3; k++) {
        text_add_char(&lists[k], 0);
        if (any[k]) {
            keys[n] = names[k];
            values[n++] = lists[k].at;
        }
    }
    keys[n] = values[n] = NULL;
    if (hosts > 0)
        c->pg = server->pq.PQconnectStartParams(keys, values, 0);
    for (int k = 0; k < 3; k++)
        text_free(&lists[k]);
    return hosts > 0;
}

/* Ask for the next address; when all were asked for, connect. */
static void dial(struct pg_conn *c)
{
    const struct pg_server *server = c->pool->config.server;
    while (c->next_host < server->host_count) {
        size_t host = c->next_host++;
        if (is_name(server, host)) {
            look_up(c, host);
            return;
        }
    }
    if (!begin_dialling(c)) {
        drop(c, &c->unknown);
        return;
    }
    if (!c->pg)
        abort(); /* no memory */
    c->state = CONN_DIALLING;
    server->pq.PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    if (server->pq.PQstatus(c->pg) == CONNECTION_BAD)
        lost(c);
    else
        watch_socket(c, dialled, false, true);
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
        assert(args->len[i] <= INT32_MAX);
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
    if (!c->pg)
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
        struct err err;
        if (c->state == CONN_READY)
            err_set(&err, ERR_TIMEOUT, "PostgreSQL did not answer in time");
        else
            err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: no connection to %.80s within %u ms",
                    pool->config.server->hosts[0], pool->config.connect_ms);
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
