/* postgres.c - the index in PostgreSQL: who asks what from where.
 *
 *   commit loop   stage, commit, rollback: the writers (postgres_write.h)
 *   every loop    find, search, query, entities, follow: its own readers (postgres_read.h)
 *   any thread    mark, durable, runs: numbers that are kept here
 *
 * docs/design/index-postgres.md says how each promise is kept.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/log.h"
#include "index/index.h"
#include "index/postgres_migrate.h"
#include "index/postgres_read.h"
#include "index/postgres_write.h"

enum { CONNECT_MS_MAX = 5000 };

/* A loop's readers; a list that only grows. */
struct attached {
    struct attached *next;
    struct loop *loop;
    struct pg_read *read;
};

struct postgres_index {
    struct index index;
    struct pg_server *server;
    struct index_postgres_config config; /* its strings are not kept */
    unsigned connect_ms;
    _Atomic uint64_t node;
    struct pg_write *write;
    _Atomic(struct attached *) attached;
    _Atomic uint64_t others; /* runs of other nodes */
};

static struct postgres_index *postgres_of(struct index *index)
{
    return (struct postgres_index *)(void *)index;
}

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    struct postgres_index *p = postgres_of(index);
    struct attached *a = calloc(1, sizeof *a);
    (void)err;
    if (!a)
        abort();
    a->loop = loop;
    a->read = pg_read_new(&(struct pg_read_config){
        .server = p->server,
        .loop = loop,
        .readers = p->config.readers,
        .deadline_ms = p->config.deadline_ms,
        .connect_ms = p->connect_ms,
        .queue = p->config.queue,
        .node = &p->node,
        .others = &p->others,
    });
    a->next = atomic_load(&p->attached);
    while (!atomic_compare_exchange_weak(&p->attached, &a->next, a))
        ;
    return 0;
}

static struct pg_read *read_of(struct postgres_index *p, const struct loop *loop)
{
    const struct attached *a = atomic_load_explicit(&p->attached, memory_order_acquire);
    while (a && a->loop != loop)
        a = a->next;
    assert(a); /* only attached loops ask */
    return a->read;
}

static void stage(struct index *index, struct index_stage *stage)
{
    pg_write_stage(postgres_of(index)->write, stage);
}

static void commit(struct index *index, struct index_commit *commit)
{
    pg_write_commit(postgres_of(index)->write, commit);
}

static void rollback(struct index *index, struct index_rollback *rollback)
{
    pg_write_rollback(postgres_of(index)->write, rollback);
}

static void mark(struct index *index, struct index_mark *mark)
{
    mark->sequence = pg_write_mark(postgres_of(index)->write);
    op_finish(&mark->op);
}

/* PostgreSQL syncs when it commits. */
static void durable(struct index *index, struct index_durable *durable)
{
    durable->sequence = pg_write_mark(postgres_of(index)->write);
    op_finish(&durable->op);
}

static void find(struct index *index, struct index_find *find)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_find(read_of(p, find->op.loop), find);
}

static void search(struct index *index, struct index_search *search)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_search(read_of(p, search->op.loop), search);
}

static void query(struct index *index, struct index_query *query)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_query(read_of(p, query->op.loop), query);
}

static void entities(struct index *index, struct index_entities *entities)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_entities(read_of(p, entities->op.loop), entities);
}

static void follow(struct index *index, struct index_follow *follow)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_follow(read_of(p, follow->op.loop), follow);
}

static void known(struct index *index, struct index_known *known)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_known(read_of(p, known->op.loop), known);
}

static void condemn(struct index *index, struct index_condemn *condemn)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_condemn(read_of(p, condemn->op.loop), condemn);
}

static void containers(struct index *index, struct index_containers *containers)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_containers(read_of(p, containers->op.loop), containers);
}

static void lose(struct index *index, struct index_lose *lose)
{
    struct postgres_index *p = postgres_of(index);
    pg_read_lose(read_of(p, lose->op.loop), lose);
}

static uint64_t runs(struct index *index)
{
    struct postgres_index *p = postgres_of(index);
    return atomic_load_explicit(&p->others, memory_order_relaxed) + pg_write_runs(p->write);
}

static void close_postgres(struct index *index)
{
    if (!index)
        return;
    struct postgres_index *p = postgres_of(index);
    for (struct attached *a = atomic_load(&p->attached), *next; a; a = next) {
        next = a->next;
        pg_read_free(a->read);
        free(a);
    }
    pg_write_free(p->write);
    pg_server_close(p->server);
    free(p);
}

static const struct index_ops postgres_ops = {
    .name = "postgres",
    .attach = attach,
    .stage = stage,
    .commit = commit,
    .rollback = rollback,
    .mark = mark,
    .durable = durable,
    .find = find,
    .search = search,
    .query = query,
    .entities = entities,
    .follow = follow,
    .known = known,
    .condemn = condemn,
    .containers = containers,
    .lose = lose,
    .runs = runs,
    .close = close_postgres,
};

/* --- opening ------------------------------------------------------------------------ */

/* What the database was used for, and how far. */
struct use {
    const struct index_postgres_config *config;
    bool same, shared;
    uint64_t mark, runs;
};

static void take_use(void *context, const struct libpq *pq, PGresult *result)
{
    struct use *use = context;
    const char *deployment = use->config->deployment;
    if (pq->PQntuples(result) != 1)
        return;
    use->shared = pg_int(pq, result, 0, 1) != 0;
    use->same = str_eq(pg_text(pq, result, 0, 0), (struct str){deployment, strlen(deployment)}) &&
                use->shared == use->config->shared;
    use->mark = pg_long(pq, result, 0, 2);
    use->runs = pg_long(pq, result, 0, 3);
}

/* The database is one deployment's: who comes first decides. */
static int claim(struct pg_session *session, const struct index_postgres_config *config,
                 struct use *use, struct err *err)
{
    struct pg_args args = {0};
    use->config = config;
    pg_add_text(&args, (struct str){config->deployment, strlen(config->deployment)});
    pg_add_int(&args, config->shared);
    int r = pg_session_ask(session,
                           "insert into rundlet_store (deployment, shared, mark)"
                           " values ($1, $2::int4 <> 0, 0) on conflict do nothing",
                           &args, NULL, NULL, config->deadline_ms, err);
    pg_args_free(&args);
    if (!r)
        r = pg_session_ask(session,
                           "select deployment, shared::int4, mark,"
                           " (select coalesce(sum(runs), 0)::int8 from rundlet_nodes)"
                           " from rundlet_store",
                           NULL, take_use, use, config->deadline_ms, err);
    if (r || use->same)
        return r;
    return err_set(err, ERR_CONFLICT,
                   "this database is the index of another %s: give this %s another database",
                   use->shared ? "bucket" : "data directory",
                   config->shared ? "bucket" : "directory");
}

static void log_step(void *context, const char *line)
{
    (void)context;
    log_event(LOG_INFO, "schema_changed", LOG_C("step", line));
}

static int open_database(struct postgres_index *p, const struct index_postgres_config *config,
                         struct use *use, struct err *err)
{
    struct pg_session *session = NULL;
    int r = pg_session_open(p->server, config->deadline_ms, &session, err);
    if (!r) {
        r = pg_schema_check(session, config->deadline_ms, err);
        if (r == ERR_CONFLICT && config->migrate)
            r = pg_schema_migrate(session, -1, log_step, NULL, err);
    }
    if (!r)
        r = claim(session, config, use, err);
    pg_session_close(session);
    return r;
}

int index_postgres_open(const struct index_postgres_config *config, struct index **result,
                        struct err *err)
{
    struct use use = {0};
    struct postgres_index *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_BUSY, "no memory for an index");
    p->index = (struct index){
        .ops = &postgres_ops, .writers = config->shared ? PG_WRITERS : 1, .shared = config->shared};
    p->config = *config;
    p->config.url = p->config.deployment = NULL;
    p->connect_ms = config->deadline_ms < CONNECT_MS_MAX ? config->deadline_ms : CONNECT_MS_MAX;
    uint64_t node;
    if (getrandom(&node, sizeof node, 0) != (ssize_t)sizeof node)
        abort();                      /* at most 256 bytes come whole */
    atomic_init(&p->node, node >> 2); /* it may be counted up, and stays a bigint */
    int r = pg_server_open(config->url, &p->server, err);
    if (!r)
        r = open_database(p, config, &use, err);
    if (r) {
        (void)err_wrap(err, "index"); /* the setting */
        close_postgres(&p->index);
        return r;
    }
    atomic_store(&p->others, use.runs);
    p->write = pg_write_new(&(struct pg_write_config){
        .server = p->server,
        .commit_ms = config->commit_ms,
        .connect_ms = p->connect_ms,
        .node = &p->node,
        .bucket = config->shared,
        .mark = use.mark,
    });
    *result = &p->index;
    return 0;
}

/* --- the command line ------------------------------------------------------------------ */

static int with_session(const char *url, int to, bool status, index_say_fn *say, void *context,
                        struct err *err)
{
    enum { PATIENCE_MS = 10000 };
    struct pg_server *server = NULL;
    struct pg_session *session = NULL;
    int r = pg_server_open(url, &server, err);
    if (!r)
        r = pg_session_open(server, PATIENCE_MS, &session, err);
    if (r)
        (void)err_wrap(err, "index"); /* the setting */
    if (!r)
        r = status ? pg_schema_status(session, say, context, err)
                   : pg_schema_migrate(session, to, say, context, err);
    pg_session_close(session);
    pg_server_close(server);
    return r;
}

int index_postgres_migrate(const char *url, int to, index_say_fn *say, void *context,
                           struct err *err)
{
    return with_session(url, to, false, say, context, err);
}

int index_postgres_status(const char *url, index_say_fn *say, void *context, struct err *err)
{
    return with_session(url, 0, true, say, context, err);
}

void index_postgres_sql(index_say_fn *say, void *context)
{
    pg_schema_sql(say, context);
}
