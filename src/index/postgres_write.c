/* postgres_write.c - see postgres_write.h: the writers, and what they say to the server.
 *
 * A new session may be one of another server, which took over without the last
 * commits.  What is remembered of names and partitions was therefore always
 * learned aside after the writer's session had begun, and is committed in that
 * session or not at all.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "index/postgres_writer.h"

enum { QUEUE = 4 /* calls of a writer: it has one at a time */ };

/* --- statements --------------------------------------------------------------------- */

/* Planning must not depend on statistics that a new partition does not have. */
#define SETTINGS                                                                                   \
    "select set_config('statement_timeout', $1, false),"                                           \
    " set_config('default_transaction_isolation', 'read committed', false),"                       \
    " set_config('idle_in_transaction_session_timeout', '120000', false),"                         \
    " " PG_KEEPALIVES ","                                                                          \
    " set_config('plan_cache_mode', 'force_generic_plan', false),"                                 \
    " set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),"                \
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),"  \
    " case current_setting('synchronous_commit') when 'off'"                                       \
    " then set_config('synchronous_commit', 'on', false) end"

/* Columns of a row, in the order of postgres_look_up.c and (from the second on) of
 * postgres_put.c. */
#define GET_ROW                                                                                    \
    "r.id, r.trace, r.parent, r.project, r.start_us, r.end_us, r.name, r.version, r.post_low,"     \
    " r.post_high, r.type, r.status, r.flags, r.holders, r.facts, r.change"
/* Taken apart in a select list, row by row: from a function they would all be written down first,
 * column by column. */
#define ROWS                                                                                       \
    "(select unnest($1::int4[]) as part, unnest($2::uuid[]) as id, unnest($3::uuid[]) as trace,"   \
    " unnest($4::uuid[]) as parent, unnest($5::uuid[]) as project,"                                \
    " unnest($6::int8[]) as start_us, unnest($7::int8[]) as end_us, unnest($8::int8[]) as name,"   \
    " unnest($9::int8[]) as version, unnest($10::int8[]) as post_low,"                             \
    " unnest($11::int8[]) as post_high, unnest($12::int4[]) as type,"                              \
    " unnest($13::int4[]) as status, unnest($14::int4[]) as flags,"                                \
    " unnest($15::bytea[]) as holders, unnest($16::bytea[]) as facts,"                             \
    " unnest($17::text[]) as containers, unnest($18::text[]) as terms,"                            \
    " unnest($19::int8[]) as change) as u"

#define GET_ITEM                                                                                   \
    "e.kind, e.id, e.parent, e.made_us, e.version, e.removed::int4,"                               \
    " (e.taken is null)::int4, e.name, e.json"
#define ITEMS                                                                                      \
    "unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[], $6::int4[], $7::bytea[],"  \
    " $8::bytea[], $9::text[], $10::bytea[], $11::int8[], $12::int4[])"                            \
    " as u (kind, id, parent, made_us, version, removed, name, taken, folded, json, before,"       \
    " part)"

/* A division by zero when these are not all of them: somebody else wrote meanwhile. */
#define ALL_OF(count) " returning 1) select 1 / (count(*) = " count "::int8)::int4 from u"

const struct pg_statement pg_writer_statements[PG_WRITER_STATEMENTS] = {
    /* One that was given up has its node set to null then, which is an error; one that
     * is live already is there when an index is made anew. */
    [PG_ADD_CONTAINERS] =
        {"add_containers",
         "insert into rundlet_containers as c (number, node, live, witness)"
         " select n, $2, true, $3::int8 from unnest($1::int8[]) n order by n"
         " on conflict (number) do update set node = case when c.live then c.node end"},
    [PG_GET_ROWS] = {"get_rows", "select " GET_ROW " from unnest($1::int4[], $2::uuid[]) as w"
                                 " (part, id) join rundlet_runs r"
                                 " on r.part = w.part and r.id = w.id"},
    [PG_GET_WAITING] = {"get_waiting", "select " GET_ROW " from unnest($1::uuid[]) as w (id)"
                                       " join rundlet_waiting g on g.awaited = w.id"
                                       " join rundlet_runs r on r.part = g.part and r.id = g.id"},
    [PG_GET_BELOW] = {"get_below", "with recursive b (id, part) as (select g.id, g.part"
                                   " from unnest($1::uuid[]) as w (id) join rundlet_waiting g"
                                   " on g.awaited = w.id union select g.id, g.part from b"
                                   " join rundlet_waiting g on g.awaited = b.id)"
                                   " select " GET_ROW " from b join rundlet_runs r"
                                   " on r.part = b.part and r.id = b.id"},
    [PG_GET_ITEMS] = {"get_items", "select " GET_ITEM " from unnest($1::int4[], $2::uuid[]) as w"
                                   " (kind, id) join rundlet_entities e"
                                   " on e.kind = w.kind and e.id = w.id"},
    [PG_GET_TITLES] = {"get_titles",
                       "select " GET_ITEM " from unnest($1::int4[], $2::bytea[]) as w (kind, name)"
                       " join rundlet_entities e"
                       " on e.kind = w.kind and e.taken = sha256(w.name)"},
    [PG_SHARE_LOCK] = {"share_lock", "select pg_advisory_xact_lock_shared(8247343709)"},
    [PG_TAKE_LOCK] = {"take_lock", "select pg_advisory_xact_lock(8247343709)"},
    [PG_ADD_ROWS] = {"add_rows",
                     "insert into rundlet_runs (part, id, trace, parent, project, start_us, end_us,"
                     " name, version, post_low, post_high, type, status, flags, holders, facts,"
                     " containers, terms, change) select u.part, u.id, u.trace, u.parent,"
                     " u.project, u.start_us, u.end_us, u.name, u.version, u.post_low, u.post_high,"
                     " u.type, u.status, u.flags, u.holders, u.facts, u.containers::int8[],"
                     " u.terms::int8[], 1 from " ROWS},
    [PG_SET_ROWS] =
        {"set_rows",
         "with u as (update rundlet_runs r set trace = u.trace, parent = u.parent,"
         " project = u.project, start_us = u.start_us, end_us = u.end_us, name = u.name,"
         " version = u.version, post_low = u.post_low, post_high = u.post_high, type = u.type,"
         " status = u.status, flags = u.flags, holders = u.holders, facts = u.facts,"
         " containers = u.containers::int8[], terms = u.terms::int8[], change = r.change + 1"
         " from " ROWS
         " where r.part = u.part and r.id = u.id and r.change = u.change" ALL_OF("$20")},
    [PG_LET_TITLES_GO] = {"let_titles_go", "update rundlet_entities e set taken = null"
                                           " from unnest($1::int4[], $2::uuid[]) as u (kind, id)"
                                           " where e.kind = u.kind and e.id = u.id"},
    [PG_SET_ITEMS] =
        {"set_items",
         "with u as (update rundlet_entities e set parent = u.parent,"
         " made_us = u.made_us, version = u.version, removed = u.removed <> 0,"
         " name = u.name, taken = sha256(u.taken), folded = u.folded, json = u.json, part = u.part"
         " from " ITEMS
         " where e.kind = u.kind and e.id = u.id and e.version = u.before" ALL_OF("$13")},
    [PG_ADD_ITEMS] =
        {"add_items",
         "insert into rundlet_entities (kind, id, parent, made_us, version, removed,"
         " name, taken, folded, json, part) select u.kind, u.id, u.parent, u.made_us,"
         " u.version, u.removed <> 0, u.name, sha256(u.taken), u.folded, u.json, u.part"
         " from " ITEMS},
    [PG_DROP_WAITING] = {"drop_waiting",
                         "delete from rundlet_waiting g using unnest($1::uuid[], $2::uuid[])"
                         " as u (awaited, id) where g.awaited = u.awaited and g.id = u.id"},
    [PG_ADD_WAITING] = {"add_waiting", "insert into rundlet_waiting (awaited, id, part)"
                                       " select * from unnest($1::uuid[], $2::uuid[], $3::int4[])"
                                       " on conflict do nothing"},
    [PG_SEE_AWAITED] = {"see_awaited",
                        "select 1 / (count(*) = 0)::int4"
                        " from unnest($1::int4[], $2::uuid[], $3::int8[]) as u (part, id, change)"
                        " left join rundlet_runs r on r.part = u.part and r.id = u.id"
                        " where coalesce(r.change, 0) <> u.change"},
    [PG_SEE_WAITING] = {"see_waiting",
                        "select 1 / (count(*) = $2::int8)::int4 from unnest($1::uuid[]) as u (id)"
                        " join rundlet_waiting g on g.awaited = u.id"},
    [PG_COUNT_UP] = {"count_up", "insert into rundlet_nodes as n (node, writer, commits, runs)"
                                 " values ($1, $2::int4, 1, $3) on conflict (node, writer) do"
                                 " update set commits = n.commits + 1,"
                                 " runs = n.runs + excluded.runs"},
    /* The mark of a server that took over without the last commits stays where it is:
     * a division by zero. */
    [PG_SET_MARK] = {"set_mark", "with u as (update rundlet_store set mark = $1"
                                 " where mark in ($2::int8, $3::int8) returning 1)"
                                 " select 1 / count(*) from u"},
};

static const struct pg_role writer_role = {SETTINGS, pg_writer_statements, PG_WRITER_STATEMENTS};

/* --- writers ------------------------------------------------------------------------- */

struct pg_write *pg_write_new(const struct pg_write_config *config)
{
    struct pg_write *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->config = *config;
    atomic_init(&w->mark, config->mark);
    w->lost_mark = config->mark;
    if (getrandom(&w->witness, sizeof w->witness, 0) != (ssize_t)sizeof w->witness ||
        getrandom(&w->seed, sizeof w->seed, 0) != (ssize_t)sizeof w->seed)
        abort(); /* at most 256 bytes come whole */
    for (unsigned i = 0; i < PG_WRITERS; i++)
        w->writers[i] = (struct pg_writer){.write = w, .number = i};
    for (unsigned i = 0; i < PG_WRITERS; i++)
        pg_ledger_open(&w->writers[i].ledger, w->seed);
    return w;
}

static struct pg_pool *make_pool(struct pg_write *w)
{
    return pg_pool_new(&(struct pg_pool_config){
        .server = w->config.server,
        .loop = w->loop,
        .role = &writer_role,
        .connections = 1,
        .queue = QUEUE,
        .timeout_ms = w->config.commit_ms,
        .connect_ms = w->config.connect_ms,
    });
}

/* The commit loop is whichever comes first. */
struct pg_writer *pg_writer_of(struct pg_write *w, unsigned number, struct loop *loop)
{
    assert(number < PG_WRITERS && (!w->loop || w->loop == loop));
    if (!w->loop) {
        w->loop = loop;
        w->aside = pg_aside_new(&(struct pg_aside_config){
            .server = w->config.server,
            .loop = loop,
            .settings = SETTINGS,
            .timeout_ms = w->config.commit_ms,
            .connect_ms = w->config.connect_ms,
        });
        for (unsigned i = 0; i < PG_WRITERS; i++)
            w->writers[i].pool = make_pool(w);
    }
    return &w->writers[number];
}

void pg_stage_clear(struct pg_stage *s)
{
    free(s->entries);
    free(s->unknown);
    free(s->parts);
    *s = (struct pg_stage){0};
}

void pg_write_free(struct pg_write *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < PG_WRITERS; i++) {
        pg_pool_free(w->writers[i].pool);
        pg_ledger_clear(&w->writers[i].ledger);
        free(w->writers[i].containers);
    }
    pg_aside_free(w->aside);
    pg_stage_clear(&w->stage);
    free(w);
}

uint64_t pg_write_mark(struct pg_write *w)
{
    return atomic_load_explicit(&w->mark, memory_order_acquire);
}

uint64_t pg_write_runs(struct pg_write *w)
{
    return atomic_load_explicit(&w->runs, memory_order_relaxed);
}

const struct libpq *pg_write_libpq(const struct pg_write *w)
{
    return pg_server_libpq(w->config.server);
}

void pg_writer_ask(struct pg_writer *writer, void (*send)(struct pg_call *, struct pg_conn *),
                   void (*answer)(struct pg_call *, unsigned, PGresult *),
                   void (*done)(struct pg_call *))
{
    writer->call = (struct pg_call){
        .send = send,
        .answer = answer,
        .done = done,
        .deadline_us = clock_mono_us() + (int64_t)writer->write->config.commit_ms * 1000,
    };
    bool taken = pg_pool_ask(writer->pool, &writer->call);
    assert(taken); /* one at a time */
    (void)taken;
}

void *pg_room(size_t count, size_t size)
{
    void *at = calloc(count + 1, size);
    if (!at)
        abort();
    return at;
}

bool pg_writer_same_session(const struct pg_writer *writer)
{
    return writer->session > 0 && pg_pool_session(writer->pool) == writer->session;
}

bool pg_writer_has_staged(const struct pg_writer *writer)
{
    return pg_ledger_point(&writer->ledger) > 0;
}

void pg_writer_forget(struct pg_writer *writer)
{
    pg_ledger_clear(&writer->ledger);
    pg_ledger_open(&writer->ledger, writer->write->seed);
    writer->failed = false;
    writer->container_count = 0;
}

void pg_write_rollback(struct pg_write *w, struct index_rollback *rollback)
{
    struct pg_writer *writer = pg_writer_of(w, rollback->writer, rollback->op.loop);
    assert(!writer->commit);
    pg_writer_forget(writer);
    op_finish(&rollback->op);
}
