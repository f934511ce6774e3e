/* postgres_write.c - see postgres_write.h.
 *
 * A stage asks and judges; nothing of it is in the database yet:
 *
 *   pg_write_stage()  see that the writer has a session
 *   take_in()         decode every run; sort them by (part, id)
 *   pg_aside_learn()  numbers for names, partitions for days (postgres_aside.h)
 *   look_up()         the hashes of all ids, unless we made them
 *   looked_up()       judge batch after batch, as memory.c does; keep the rows
 *
 * A commit is one transaction in one go: containers, rows, mark, count, COMMIT.
 * A run that somebody else stored meanwhile makes it fail as a whole.  If the
 * answer is lost, find_out().
 *
 * A new session may be one of another server, which took over without the last
 * commits.  What is remembered of names and partitions was therefore always
 * learned aside after the writer's session had begun, and is committed in that
 * session or not at all.
 */
#include "index/postgres_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "index/postgres_aside.h"
#include "index/postgres_part.h"

enum {
    QUEUE = 4, /* calls of a writer: it has one at a time */
    TRIES = 3, /* of a commit that deadlocked */
    FIND_OUT_MS = 5000
};

/* --- statements --------------------------------------------------------------------- */

/* Planning must not depend on statistics that a new partition does not have. */
#define SETTINGS                                                                                   \
    "select set_config('statement_timeout', $1, false),"                                           \
    " set_config('default_transaction_isolation', 'read committed', false),"                       \
    " set_config('idle_in_transaction_session_timeout', '120000', false),"                         \
    " " PG_KEEPALIVES ","                                                                          \
    " set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),"                \
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),"  \
    " case current_setting('synchronous_commit') when 'off'"                                       \
    " then set_config('synchronous_commit', 'on', false) end"

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

enum { ADD_CONTAINERS, ADD_RUNS, GET_HASHES, COUNT_UP, SET_MARK, WRITER_STATEMENTS };

static const struct pg_statement writer_statements[WRITER_STATEMENTS] = {
    /* One that was given up has its node set to null then, which is an error; one that
     * is live already is there when an index is made anew. */
    [ADD_CONTAINERS] =
        {"add_containers",
         "insert into rundlet_containers as c (number, node, live, witness)"
         " select n, $2, true, $3::int8 from unnest($1::int8[]) n order by n"
         " on conflict (number) do update set node = case when c.live then c.node end"},
    [ADD_RUNS] = {"add_runs",
                  "insert into rundlet_runs (part, id, trace, start_us, name, version, container,"
                  " ordinal, size, hash_low, hash_high)"
                  " select * from unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int8[],"
                  " $5::int8[], $6::int8[], $7::int8[], $8::int4[], $9::int4[], $10::int8[],"
                  " $11::int8[])"},
    [GET_HASHES] = {"get_hashes",
                    "select w.n, r.hash_low, r.hash_high"
                    " from unnest($1::int4[], $2::uuid[]) with ordinality as w (part, id, n)"
                    " join rundlet_runs r on r.part = w.part and r.id = w.id"},
    [COUNT_UP] = {"count_up", "insert into rundlet_nodes as n (node, writer, commits, runs)"
                              " values ($1, $2::int4, 1, $3) on conflict (node, writer) do update"
                              " set commits = n.commits + 1, runs = n.runs + excluded.runs"},
    /* The mark of a server that took over without the last commits stays where it is:
     * a division by zero. */
    [SET_MARK] = {"set_mark", "with u as (update rundlet_store set mark = $1"
                              " where mark in ($2::int8, $3::int8) returning 1)"
                              " select 1 / count(*) from u"},
};

static const struct pg_role writer_role = {SETTINGS, writer_statements, WRITER_STATEMENTS};

/* --- what there is -------------------------------------------------------------------- */

struct staged_run {
    struct uuid id, trace;
    int64_t start_us;
    uint64_t hash[2];
    uint64_t name;    /* its number; 0: none, or not known yet */
    uint64_t version; /* the record's sequence */
    struct place place;
    uint32_t unknown; /* of pg_aside_name() */
    uint32_t size;
    uint32_t slot; /* runs with the same id have the same */
    int32_t part;
    bool accepted;
};

/* What is there, as far as the group goes: one for each id. */
struct slot {
    uint64_t hash[2];
    bool there;
};

struct writer {
    struct pg_write *write;
    unsigned number;
    struct pg_pool *pool;
    struct pg_call call;
    uint64_t session; /* in which what it stages was judged */
    bool failed;      /* what is staged cannot be committed */
    bool doubted;     /* a commit met rows of somebody else: ask for new ids too */

    /* What is staged: rows by (part, id), and the containers they lie in. */
    struct staged_run *rows;
    size_t count, cap;
    uint64_t *containers; /* each once */
    size_t container_count, container_cap;

    struct index_commit *commit;
    uint64_t witness; /* in the rows of containers that only this commit makes */
    bool commit_sent, commit_good, found_live, found_ours;
    bool stale;      /* the session is another one: nothing was sent */
    bool mark_moved; /* read it again */
    unsigned tries;
    struct err why; /* the answer to COMMIT did not come */
    int64_t find_out_until_us;
};

/* The one stage that is under way. */
struct stage {
    struct index_stage *asked;
    struct writer *writer;
    struct staged_run *runs; /* in order of arrival */
    uint32_t *sorted;        /* their positions, by (part, id) */
    struct slot *slots;
    int32_t *parts; /* in which they lie, each once */
    size_t count, slot_count, part_count, accepted;
    struct pg_learn learn;
};

struct pg_write {
    struct pg_write_config config;
    struct loop *loop;
    struct writer writers[PG_WRITERS];
    struct pg_aside *aside;
    uint64_t witness;
    struct stage stage;
    _Atomic uint64_t mark, runs;
    uint64_t lost_mark; /* or this, of a commit whose answer was lost */
};

struct pg_write *pg_write_new(const struct pg_write_config *config)
{
    struct pg_write *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->config = *config;
    atomic_init(&w->mark, config->mark);
    w->lost_mark = config->mark;
    if (getrandom(&w->witness, sizeof w->witness, 0) != (ssize_t)sizeof w->witness)
        abort(); /* at most 256 bytes come whole */
    for (unsigned i = 0; i < PG_WRITERS; i++)
        w->writers[i] = (struct writer){.write = w, .number = i};
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
static struct writer *writer_of(struct pg_write *w, unsigned number, struct loop *loop)
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

static void stage_clear(struct stage *s)
{
    free(s->runs);
    free(s->sorted);
    free(s->slots);
    free(s->parts);
    *s = (struct stage){0};
}

void pg_write_free(struct pg_write *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < PG_WRITERS; i++) {
        pg_pool_free(w->writers[i].pool);
        free(w->writers[i].rows);
        free(w->writers[i].containers);
    }
    pg_aside_free(w->aside);
    stage_clear(&w->stage);
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

static const struct libpq *pq_of(const struct pg_write *w)
{
    return pg_server_libpq(w->config.server);
}

static int64_t in_ms(unsigned ms)
{
    return clock_mono_us() + (int64_t)ms * 1000;
}

/* Ask in the writer's connection. */
static void ask(struct writer *writer, void (*send)(struct pg_call *, struct pg_conn *),
                void (*answer)(struct pg_call *, unsigned, PGresult *),
                void (*done)(struct pg_call *))
{
    writer->call = (struct pg_call){
        .send = send,
        .answer = answer,
        .done = done,
        .deadline_us = in_ms(writer->write->config.commit_ms),
    };
    bool taken = pg_pool_ask(writer->pool, &writer->call);
    assert(taken); /* one at a time */
    (void)taken;
}

/* --- stage: what is asked ---------------------------------------------------------------- */

static struct stage *stage_of_call(struct pg_call *call)
{
    return &op_owner(call, struct writer, call)->write->stage;
}

static void stage_end(struct stage *s, const struct err *err)
{
    struct index_stage *asked = s->asked;
    struct writer *writer = s->writer;
    if (err) {
        asked->op.err = *err;
        writer->failed = true;
    }
    pg_aside_end(writer->write->aside);
    stage_clear(s);
    op_finish(&asked->op);
}

static int order_of(const struct staged_run *a, const struct staged_run *b)
{
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return uuid_compare(a->id, b->id);
}

static int by_part_and_id(const void *a, const void *b, void *runs)
{
    const struct staged_run *all = runs;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = order_of(&all[x], &all[y]);
    return order ? order : (x > y) - (x < y);
}

static void sort(struct stage *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->sorted[i] = (uint32_t)i;
    qsort_r(s->sorted, s->count, sizeof *s->sorted, by_part_and_id, s->runs);
    for (size_t i = 0; i < s->count; i++) {
        struct staged_run *run = &s->runs[s->sorted[i]];
        if (i == 0 || uuid_compare(run->id, s->runs[s->sorted[i - 1]].id) != 0)
            s->slot_count++;
        run->slot = (uint32_t)s->slot_count - 1;
        if (i == 0 || run->part != s->parts[s->part_count - 1])
            s->parts[s->part_count++] = run->part;
    }
}

static int decode(struct pg_write *w, uint32_t batch, struct err *err)
{
    struct stage *s = &w->stage;
    const struct index_batch *asked = &s->asked->batches[batch];
    const struct record *record = asked->record;
    for (uint32_t i = 0; i < record->count; i++) {
        struct run run;
        int r = record_run(record, i, &run, err);
        if (r)
            return r;
        struct staged_run *staged = &s->runs[s->count++];
        *staged = (struct staged_run){
            .id = run.id,
            .trace = run.trace,
            .start_us = run.start_us,
            .hash = {run.hash[0], run.hash[1]},
            .version = asked->sequence,
            .place = {asked->first.container, asked->first.ordinal + i},
            .size = (uint32_t)run.raw.len,
            .part = part_of(run.id),
        };
        staged->name = pg_aside_name(w->aside, &run, &staged->unknown);
    }
    return 0;
}

static void look_up(struct stage *s);

/* Is the writer still in the session in which it staged? */
static bool same_session(const struct writer *writer)
{
    return writer->session > 0 && pg_pool_session(writer->pool) == writer->session;
}

/* Of a server that was replaced meanwhile, nothing is known. */
static int begin_session(struct writer *writer, struct err *err)
{
    struct pg_write *w = writer->write;
    if (same_session(writer))
        return 0;
    if (writer->count > 0)
        return err_set(err, ERR_UNAVAILABLE,
                       "the connection was lost, and what was staged with it: roll it back first");
    writer->session = pg_pool_session(writer->pool);
    pg_aside_forget(w->aside);
    return 0;
}

/* Names have their numbers now, and all parts are there. */
static void learned(struct pg_learn *learn)
{
    struct stage *s = op_owner(learn, struct stage, learn);
    if (learn->err.code) {
        struct err err = learn->err;
        stage_end(s, &err);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->runs[i].unknown)
            s->runs[i].name = pg_aside_number(s->writer->write->aside, s->runs[i].unknown);
    look_up(s);
}

static void take_in(struct pg_write *w)
{
    struct stage *s = &w->stage;
    struct err err = {0};
    (void)begin_session(s->writer, &err); /* the code is in it */
    pg_aside_begin(w->aside);
    for (uint32_t i = 0; i < s->asked->count && !err.code; i++)
        (void)decode(w, i, &err);
    if (err.code) {
        stage_end(s, &err);
        return;
    }
    sort(s);
    s->learn = (struct pg_learn){.parts = s->parts, .part_count = s->part_count, .done = learned};
    pg_aside_learn(w->aside, &s->learn);
}

static void send_nothing(struct pg_call *call, struct pg_conn *conn)
{
    (void)call;
    (void)conn;
}

static void connected(struct pg_call *call)
{
    struct stage *s = stage_of_call(call);
    if (call->err.code) {
        struct err err = call->err;
        stage_end(s, &err);
        return;
    }
    take_in(s->writer->write);
}

void pg_write_stage(struct pg_write *w, struct index_stage *asked)
{
    struct stage *s = &w->stage;
    size_t total = 0;
    assert(!s->asked);
    for (size_t i = 0; i < asked->count; i++)
        total += asked->batches[i].record->count;
    s->asked = asked;
    s->writer = writer_of(w, asked->writer, asked->op.loop);
    s->runs = calloc(total + 1, sizeof *s->runs);
    s->sorted = calloc(total + 1, sizeof *s->sorted);
    s->slots = calloc(total + 1, sizeof *s->slots);
    s->parts = calloc(total + 1, sizeof *s->parts);
    if (!s->runs || !s->sorted || !s->slots || !s->parts)
        abort();
    if (s->writer->failed) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "what was staged has failed: roll it back first");
        stage_end(s, &err);
    } else if (pg_pool_session(s->writer->pool) > 0) {
        take_in(w);
    } else {
        ask(s->writer, send_nothing, NULL, connected);
    }
}

/* --- stage: what is there, and what becomes of each batch -------------------------------------- */

static void send_look_up(struct pg_call *call, struct pg_conn *conn)
{
    struct stage *s = stage_of_call(call);
    struct pg_args args = {0};
    for (int column = 0; column < 2; column++) {
        pg_begin_array(&args, column ? PG_UUID : PG_INT, s->slot_count);
        for (size_t i = 0; i < s->count; i++) {
            const struct staged_run *run = &s->runs[s->sorted[i]];
            if (i > 0 && run->slot == s->runs[s->sorted[i - 1]].slot)
                continue;
            if (column)
                pg_put_bytes(&args, (struct str){(const char *)run->id.byte, 16});
            else
                pg_put_int(&args, run->part);
        }
        pg_end_array(&args);
    }
    pg_send(conn, &writer_statements[GET_HASHES], &args);
    pg_args_free(&args);
}

static void take_hashes(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct stage *s = stage_of_call(call);
    const struct libpq *pq = pq_of(s->writer->write);
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        uint64_t n = pg_long(pq, result, row, 0);
        if (n >= 1 && n <= s->slot_count)
            s->slots[n - 1] = (struct slot){
                .there = true, .hash = {pg_long(pq, result, row, 1), pg_long(pq, result, row, 2)}};
    }
}

static int by_order(const void *a, const void *b)
{
    return order_of(a, b);
}

/* What earlier stages of this writer added is there for this one. */
static void take_staged(struct stage *s)
{
    const struct writer *writer = s->writer;
    for (size_t i = 0; i < s->count && writer->count > 0; i++) {
        const struct staged_run *run = &s->runs[i];
        const struct staged_run *same =
            bsearch(run, writer->rows, writer->count, sizeof *run, by_order);
        if (same)
            s->slots[run->slot] = (struct slot){{same->hash[0], same->hash[1]}, true};
    }
}

/* One batch, against what is there and what those before it added. */
static void judge(struct stage *s, size_t first, struct index_batch *batch)
{
    struct staged_run *runs = &s->runs[first];
    batch->added = 0;
    for (uint32_t i = 0; i < batch->record->count; i++) {
        struct slot *slot = &s->slots[runs[i].slot];
        if (!slot->there) {
            *slot = (struct slot){{runs[i].hash[0], runs[i].hash[1]}, true};
            runs[i].accepted = true;
            batch->added++;
            continue;
        }
        if (slot->hash[0] == runs[i].hash[0] && slot->hash[1] == runs[i].hash[1])
            continue;
        for (uint32_t k = 0; k < i; k++) { /* nothing of it was */
            if (runs[k].accepted)
                s->slots[runs[k].slot].there = false;
            runs[k].accepted = false;
        }
        batch->verdict = INDEX_CONFLICT;
        batch->added = 0;
        batch->conflict = i;
        return;
    }
    batch->verdict = batch->added ? INDEX_ADDED : INDEX_DUPLICATE;
    s->accepted += batch->added;
}

static void *grow(void *at, size_t *cap, size_t count, size_t size)
{
    if (count <= *cap)
        return at;
    *cap = count + *cap;
    at = realloc(at, *cap * size);
    if (!at)
        abort();
    return at;
}

static void keep_container(struct writer *writer, uint64_t container)
{
    for (size_t i = writer->container_count; i-- > 0;)
        if (writer->containers[i] == container) /* nearly always the last */
            return;
    writer->containers = grow(writer->containers, &writer->container_cap,
                              writer->container_count + 1, sizeof *writer->containers);
    writer->containers[writer->container_count++] = container;
}

/* The rows of what was accepted wait for the commit. */
static void keep_accepted(struct stage *s)
{
    struct writer *writer = s->writer;
    bool first = writer->count == 0;
    writer->rows =
        grow(writer->rows, &writer->cap, writer->count + s->accepted, sizeof *writer->rows);
    for (size_t i = 0; i < s->count; i++) {
        const struct staged_run *run = &s->runs[s->sorted[i]];
        if (!run->accepted)
            continue;
        writer->rows[writer->count++] = *run;
        keep_container(writer, run->place.container);
    }
    if (!first && s->accepted > 0)
        qsort(writer->rows, writer->count, sizeof *writer->rows, by_order);
}

static void judge_all(struct stage *s)
{
    take_staged(s);
    size_t first = 0;
    for (size_t i = 0; i < s->asked->count; i++) {
        judge(s, first, &s->asked->batches[i]);
        first += s->asked->batches[i].record->count;
    }
    keep_accepted(s);
    stage_end(s, NULL);
}

static void looked_up(struct pg_call *call)
{
    struct stage *s = stage_of_call(call);
    struct err err = call->err;
    if (!err.code && !same_session(s->writer))
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: the connection was made anew meanwhile");
    if (err.code) {
        stage_end(s, &err);
        return;
    }
    s->writer->doubted = false;
    judge_all(s);
}

static bool has_new_ids(const struct index_stage *asked)
{
    for (size_t i = 0; i < asked->count; i++)
        if (!asked->batches[i].record->new_ids)
            return false;
    return true;
}

/* Ids that nobody can have are not asked for, as long as the server is there: where it
 * is not, that is better known before anything is stored.  If one is there all the
 * same (a rebuild found it in the store before its commit), the commit fails, as ever,
 * and the next time it is asked for. */
static void look_up(struct stage *s)
{
    if (has_new_ids(s->asked) && same_session(s->writer) && !s->writer->doubted)
        judge_all(s);
    else
        ask(s->writer, send_look_up, take_hashes, looked_up);
}

/* --- commit ------------------------------------------------------------------------------------ */

static void find_out(struct writer *writer);
static void send_it(struct writer *writer);

static void forget_staged(struct writer *writer)
{
    writer->failed = false;
    writer->count = writer->container_count = 0;
}

static void put_cell(struct pg_args *args, const struct staged_run *run, size_t column)
{
    switch (column) {
    case 0:
        pg_put_int(args, run->part);
        break;
    case 1:
        pg_put_bytes(args, (struct str){(const char *)run->id.byte, 16});
        break;
    case 2:
        pg_put_bytes(args, (struct str){(const char *)run->trace.byte, 16});
        break;
    case 3:
        pg_put_long(args, (uint64_t)run->start_us);
        break;
    case 4:
        if (run->name)
            pg_put_long(args, run->name);
        else
            pg_put_null(args);
        break;
    case 5:
        pg_put_long(args, run->version);
        break;
    case 6:
        pg_put_long(args, run->place.container);
        break;
    case 7:
        pg_put_int(args, (int32_t)run->place.ordinal);
        break;
    case 8:
        pg_put_int(args, (int32_t)run->size);
        break;
    default:
        pg_put_long(args, run->hash[column - 9]);
        break;
    }
}

static void send_rows(const struct writer *writer, struct pg_conn *conn)
{
    static const enum pg_type types[] = {PG_INT,  PG_UUID, PG_UUID, PG_LONG, PG_LONG, PG_LONG,
                                         PG_LONG, PG_INT,  PG_INT,  PG_LONG, PG_LONG};
    struct pg_args args = {0};
    for (size_t column = 0; column < sizeof types / sizeof *types; column++) {
        pg_begin_array(&args, types[column], writer->count);
        for (size_t i = 0; i < writer->count; i++)
            put_cell(&args, &writer->rows[i], column);
        pg_end_array(&args);
    }
    pg_send(conn, &writer_statements[ADD_RUNS], &args);
    pg_args_free(&args);
}

static void send_containers(const struct writer *writer, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_LONG, writer->container_count);
    for (size_t i = 0; i < writer->container_count; i++)
        pg_put_long(&args, writer->containers[i]);
    pg_end_array(&args);
    pg_add_long(&args, atomic_load(writer->write->config.node));
    pg_add_long(&args, writer->witness);
    pg_send(conn, &writer_statements[ADD_CONTAINERS], &args);
    pg_args_free(&args);
}

/* Last, so that the count is locked for as short as can be. */
static void send_count(const struct writer *writer, struct pg_conn *conn, uint64_t runs)
{
    struct pg_args args = {0};
    pg_add_long(&args, atomic_load(writer->write->config.node));
    pg_add_int(&args, (int32_t)writer->number);
    pg_add_long(&args, runs);
    pg_send(conn, &writer_statements[COUNT_UP], &args);
    pg_args_free(&args);
}

static void send_mark(const struct writer *writer, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_add_long(&args, writer->commit->sequence);
    pg_add_long(&args, pg_write_mark(writer->write));
    pg_add_long(&args, writer->write->lost_mark);
    pg_send(conn, &writer_statements[SET_MARK], &args);
    pg_args_free(&args);
}

static void send_commit(struct pg_call *call, struct pg_conn *conn)
{
    struct writer *writer = op_owner(call, struct writer, call);
    writer->stale = writer->count > 0 && !same_session(writer);
    if (writer->stale)
        return;
    pg_send(conn, &begin_it, NULL);
    if (writer->write->config.bucket && writer->container_count > 0)
        send_containers(writer, conn);
    if (writer->count > 0)
        send_rows(writer, conn);
    if (!writer->write->config.bucket)
        send_mark(writer, conn);
    send_count(writer, conn, writer->count);
    pg_send(conn, &commit_it, NULL);
    writer->commit_sent = true;
}

/* A COMMIT of what has failed is answered ROLLBACK. */
static void take_commit(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct writer *writer = op_owner(call, struct writer, call);
    (void)nth;
    if (strcmp(pq_of(writer->write)->PQcmdStatus(result), "COMMIT") == 0)
        writer->commit_good = true;
}

static void commit_end(struct writer *writer, const struct err *err)
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
        atomic_fetch_add_explicit(&w->runs, writer->count, memory_order_relaxed);
        forget_staged(writer);
    }
    op_finish(&commit->op);
}

static bool said(const struct writer *writer, const char *state)
{
    return strcmp(writer->call.state, state) == 0;
}

static void send_rollback(struct pg_call *call, struct pg_conn *conn)
{
    pg_send(conn, &roll_back, NULL);
    if (op_owner(call, struct writer, call)->mark_moved)
        pg_send(conn, &read_mark, NULL);
}

/* The log is replayed from here. */
static void take_mark(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_write *w = op_owner(call, struct writer, call)->write;
    const struct libpq *pq = pq_of(w);
    if (nth == 1 && pq->PQntuples(result) == 1) {
        w->lost_mark = pg_long(pq, result, 0, 0);
        atomic_store_explicit(&w->mark, w->lost_mark, memory_order_release);
    }
}

/* If it did not get through, the end of the connection is the end of the transaction. */
static void rolled_back(struct pg_call *call)
{
    struct writer *writer = op_owner(call, struct writer, call);
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
static void refused(struct writer *writer)
{
    struct err err = writer->call.err;
    writer->mark_moved = said(writer, "22012");
    if (writer->mark_moved) {
        err_set(&err, ERR_UNAVAILABLE,
                "PostgreSQL has not the last commits, or others: the log is read again");
    } else if (said(writer, "23505")) {
        err_set(&err, ERR_CONFLICT, "another node stored one of these runs meanwhile");
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
        ask(writer, send_rollback, take_mark, rolled_back);
    else
        commit_end(writer, &err);
}

/* What was staged is worth nothing in another session: see above. */
static void end_stale(struct writer *writer)
{
    struct err err;
    err_set(&err, ERR_CONFLICT, "the connection to PostgreSQL was made anew meanwhile");
    commit_end(writer, &err);
}

static void committed(struct pg_call *call)
{
    struct writer *writer = op_owner(call, struct writer, call);
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

static void send_it(struct writer *writer)
{
    writer->commit_sent = writer->commit_good = writer->stale = false;
    writer->tries++;
    ask(writer, send_commit, take_commit, committed);
}

void pg_write_commit(struct pg_write *w, struct index_commit *commit)
{
    struct writer *writer = writer_of(w, commit->writer, commit->op.loop);
    assert(!writer->commit);
    writer->commit = commit;
    writer->tries = 0;
    if (writer->failed) {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "what was staged has failed: roll it back first");
        commit_end(writer, &err);
        return;
    }
    if (writer->count > 0 && !same_session(writer)) {
        end_stale(writer);
        return;
    }
    writer->witness = ++w->witness;
    send_it(writer);
}

/* --- a commit whose answer was lost ---------------------------------------------------------------- */

static void send_find_out(struct pg_call *call, struct pg_conn *conn)
{
    struct writer *writer = op_owner(call, struct writer, call);
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
    struct writer *writer = op_owner(call, struct writer, call);
    const struct libpq *pq = pq_of(writer->write);
    if (nth == 3 && pq->PQntuples(result) == 1) {
        writer->found_live = true;
        writer->found_ours = pg_int(pq, result, 0, 0) != 0;
    }
    take_commit(call, nth, result);
}

/* If it appears after all it is news to us: from now on we are another node. */
static void end_unknown(struct writer *writer, const char *why)
{
    struct err err;
    err_set(&err, ERR_TIMEOUT, "whether it was committed is unknown: %.140s", why);
    pg_pool_drop(writer->pool);
    atomic_fetch_add(writer->write->config.node, 1);
    commit_end(writer, &err);
}

static void found_out(struct pg_call *call)
{
    struct writer *writer = op_owner(call, struct writer, call);
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
static void find_out(struct writer *writer)
{
    writer->commit_good = false;
    ask(writer, send_find_out, take_find_out, found_out);
    writer->call.patient = true;
    writer->call.deadline_us = writer->find_out_until_us;
}

/* --- rollback ------------------------------------------------------------------------------------- */

void pg_write_rollback(struct pg_write *w, struct index_rollback *rollback)
{
    struct writer *writer = writer_of(w, rollback->writer, rollback->op.loop);
    assert(!writer->commit);
    forget_staged(writer);
    op_finish(&rollback->op);
}
