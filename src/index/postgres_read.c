/* postgres_read.c - see postgres_read.h.
 *
 * A search by name is done in one of these ways, the first that can answer:
 *
 *   NAMES_FEW    at most 64 names match: the newest runs of each, merged
 *   WALK         the newest 2048 runs, their names tested, fill the page
 *   NAMES_FEW    the same with 4096 names
 *   SCAN         walk on to the end, as far as the deadline goes
 *
 * Each is one statement, so it sees whole commits; one that cannot answer says
 * so (how many names there were, how many runs it tested), and what it saw is
 * forgotten.
 */
#include "index/postgres_read.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "index/fold.h"
#include "index/postgres_part.h"

enum {
    TRIGRAM = 3, /* code points: a shorter text has none */
    FEW = 64,
    MANY = 4096,
    WALK_RUNS = 2048,
    LOSE_MS = 600000 /* every partition is read through */
};

#define SETTINGS                                                                                   \
    "select set_config('statement_timeout', $1, false),"                                           \
    " set_config('default_transaction_isolation', 'read committed', false),"                       \
    " " PG_KEEPALIVES ","                                                                          \
    " set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),"                \
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)"

#define COLUMNS "r.id, r.trace, r.start_us, r.version, r.container, r.ordinal, r.size, r.hash_low"
#define BELOW "(r.start_us, r.id) < ($1, $2)"
#define NEWEST "order by r.start_us desc, r.id desc"
#define NAME_MATCHES "(select n.folded like $4 from rundlet_names n where n.id = r.name)"

/* $1, $2 the cursor, $3 rows, $4 the text, $5 names. */
#define NAMES(test)                                                                                \
    "with m as materialized (select id from rundlet_names where " test " limit $5::int8 + 1),"     \
    " c as materialized (select count(*) as n from m)"                                             \
    " select " COLUMNS ", c.n from c left join lateral ("                                          \
    "  select r.* from m cross join lateral ("                                                     \
    "   select r.* from rundlet_runs r where r.name = m.id and " BELOW " " NEWEST " limit $3) r"   \
    "  where (select n from c) <= $5 " NEWEST " limit $3) r on true " NEWEST

enum {
    FIND_ONE,
    FIND_MANY,
    TRACE,
    TRACE_NAME,
    ALL,
    ANY_NAME,
    NAMES_LIKE,
    NAMES_WITH,
    WALK,
    SCAN,
    FOLLOW,
    KNOWN,
    GIVE_UP,
    IS_LIVE,
    CONTAINERS,
    TAKE_TIME,
    LOSE,
    STATEMENTS
};

static const struct pg_statement statements[STATEMENTS] = {
    [FIND_ONE] = {"find_one",
                  "select " COLUMNS " from rundlet_runs r where r.part = $1 and r.id = $2"},
    [FIND_MANY] = {"find_many",
                   "select " COLUMNS ", w.n"
                   " from unnest($1::int4[], $2::uuid[]) with ordinality as w (part, id, n)"
                   " join rundlet_runs r on r.part = w.part and r.id = w.id"},
    [TRACE] = {"trace", "select " COLUMNS " from rundlet_runs r where r.trace = $4 and " BELOW
                        " " NEWEST " limit $3"},
    [TRACE_NAME] = {"trace_name",
                    "select " COLUMNS " from rundlet_runs r where r.trace = $5 and " BELOW
                    " and " NAME_MATCHES " " NEWEST " limit $3"},
    [ALL] = {"all", "select " COLUMNS " from rundlet_runs r where " BELOW " " NEWEST " limit $3"},
    [ANY_NAME] = {"any_name",
                  "select " COLUMNS " from rundlet_runs r where r.name is not null and " BELOW
                  " " NEWEST " limit $3"},
    [NAMES_LIKE] = {"names_like", NAMES("folded like $4")},
    [NAMES_WITH] = {"names_with", NAMES("strpos(folded, $4) > 0")},
    [WALK] = {"walk", "with w as materialized (select r.* from rundlet_runs r where " BELOW
                      " " NEWEST " limit $5), c as (select count(*) as n from w)"
                      " select " COLUMNS ", c.n from c left join lateral ("
                      "  select r.* from w r where " NAME_MATCHES " " NEWEST
                      " limit $3) r on true " NEWEST},
    [SCAN] = {"scan", "select " COLUMNS " from rundlet_runs r where " BELOW " and " NAME_MATCHES
                      " " NEWEST " limit $3"},
    [FOLLOW] = {"follow", "select coalesce(sum(commits), 0)::int8, coalesce(sum(runs), 0)::int8"
                          " from rundlet_nodes where node <> $1"},
    [KNOWN] = {"known", "select w.n, c.live::int4"
                        " from unnest($1::int8[]) with ordinality as w (number, n)"
                        " join rundlet_containers c on c.number = w.number"},
    [GIVE_UP] = {"give_up", "insert into rundlet_containers (number, node, live)"
                            " values ($1, $2, false) on conflict do nothing"},
    [IS_LIVE] = {"is_live", "select live from rundlet_containers where number = $1 and live"},
    [CONTAINERS] = {"containers", "select number from rundlet_containers"
                                  " where number > $1 and live order by number limit $2"},
    [TAKE_TIME] = {"take_time", "select set_config('statement_timeout', $1, true)"},
    /* The count tells the other nodes. */
    [LOSE] = {"lose", "with gone as (delete from rundlet_runs where container = $1 returning 1),"
                      " dead as (update rundlet_containers set live = false where number = $1),"
                      " told as (insert into rundlet_nodes as n (node, writer, commits, runs)"
                      "  select $2, 0, 1, -count(*) from gone on conflict (node, writer) do update"
                      "  set commits = n.commits + 1, runs = n.runs + excluded.runs)"
                      " select count(*) from gone"},
};

static const struct pg_role reader_role = {SETTINGS, statements, STATEMENTS};

struct pg_read {
    struct pg_read_config config;
    const struct libpq *pq;
    struct pg_pool *pool;
};

/* A question under way; in the arena of what was asked, or from malloc (what needs no arena). */
struct question {
    struct pg_call call;
    struct pg_read *read;
    struct op *asked;
    struct index_find *find; /* one of these */
    struct index_search *search;
    struct index_follow *follow;
    struct index_known *known;
    struct index_condemn *condemn;
    struct index_containers *containers;
    struct index_lose *lose;
    int64_t began_us;
    int statement; /* of a search */
    struct str like, wanted;
    uint64_t names;  /* that may match: FEW, MANY */
    uint64_t looked; /* at so many names or runs; of NAMES_... and WALK */
};

struct pg_read *pg_read_new(const struct pg_read_config *config)
{
    struct pg_read *read = calloc(1, sizeof *read);
    if (!read)
        abort();
    read->config = *config;
    read->pq = pg_server_libpq(config->server);
    read->pool = pg_pool_new(&(struct pg_pool_config){
        .server = config->server,
        .loop = config->loop,
        .role = &reader_role,
        .connections = config->readers,
        .queue = config->queue,
        .timeout_ms = config->deadline_ms,
        .connect_ms = config->connect_ms,
    });
    return read;
}

void pg_read_free(struct pg_read *read)
{
    if (!read)
        return;
    pg_pool_free(read->pool);
    free(read);
}

/* The others are what nodes ask for themselves, some of them ten times a second: no metric
 * of reads has them, or it would tell of little else. */
static bool is_read(const struct question *q)
{
    return q->find || q->search;
}

static void end(struct question *q, const struct err *err)
{
    struct op *asked = q->asked;
    bool read = is_read(q);
    if (read) {
        metric_add(METRIC_INDEX_QUEUE_DEPTH, -1);
        metric_time(METRIC_INDEX_READ_SECONDS, (uint64_t)(clock_mono_us() - q->began_us));
        if (err->code == ERR_TIMEOUT)
            metric_add(METRIC_INDEX_READS_TIMEOUT, 1);
    }
    asked->err = *err; /* which may lie in `q` */
    if (!read)
        free(q); /* the arena of who asked has the others */
    op_finish(asked);
}

static void ask(struct question *q)
{
    struct err err;
    int64_t deadline_ms = q->lose ? LOSE_MS : (int64_t)q->read->config.deadline_ms;
    q->call.deadline_us = q->began_us + deadline_ms * 1000;
    if (pg_pool_ask(q->read->pool, &q->call))
        return;
    if (is_read(q))
        metric_add(METRIC_INDEX_READS_REFUSED, 1);
    err_set(&err, ERR_BUSY, "too many reads are waiting for the index");
    end(q, &err);
}

static void begin(struct question *q, struct pg_read *read)
{
    q->read = read;
    q->began_us = clock_mono_us();
    if (is_read(q)) {
        metric_add(METRIC_INDEX_READS, 1);
        metric_add(METRIC_INDEX_QUEUE_DEPTH, 1);
    }
    ask(q);
}

static struct index_row take_row(const struct libpq *pq, const PGresult *result, int row,
                                 struct arena *arena)
{
    struct holder *holder = arena_make(arena, struct holder, 1);
    *holder = (struct holder){
        .place = {pg_long(pq, result, row, 4), (uint32_t)pg_int(pq, result, row, 5)},
        .sequence = pg_long(pq, result, row, 3),
        .hash = pg_long(pq, result, row, 7),
        .size = (uint32_t)pg_int(pq, result, row, 6),
        .fields = UINT32_MAX,
        .kind = RUN_WHOLE,
    };
    return (struct index_row){
        .found = true,
        .id = pg_uuid(pq, result, row, 0),
        .trace = pg_uuid(pq, result, row, 1),
        .start_us = (int64_t)pg_long(pq, result, row, 2),
        .version = pg_long(pq, result, row, 3),
        .size = holder->size,
        .holders = holder,
        .holder_count = 1,
    };
}

/* --- find ----------------------------------------------------------------------------- */

static void send_find(struct pg_call *call, struct pg_conn *conn)
{
    const struct index_find *find = op_owner(call, struct question, call)->find;
    struct pg_args args = {0};
    if (find->count == 1) {
        pg_add_int(&args, part_of(find->ids[0]));
        pg_add_uuid(&args, find->ids[0]);
        pg_send(conn, &statements[FIND_ONE], &args);
    } else {
        pg_begin_array(&args, PG_INT, find->count);
        for (size_t i = 0; i < find->count; i++)
            pg_put_int(&args, part_of(find->ids[i]));
        pg_end_array(&args);
        pg_begin_array(&args, PG_UUID, find->count);
        for (size_t i = 0; i < find->count; i++)
            pg_put_bytes(&args, (struct str){(const char *)find->ids[i].byte, 16});
        pg_end_array(&args);
        pg_send(conn, &statements[FIND_MANY], &args);
    }
    pg_args_free(&args);
}

static void take_found(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    struct index_find *find = q->find;
    const struct libpq *pq = q->read->pq;
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        uint64_t n = find->count == 1 ? 1 : pg_long(pq, result, row, 8);
        if (n >= 1 && n <= find->count)
            find->rows[n - 1] = take_row(pq, result, row, find->arena);
    }
}

static void found(struct pg_call *call)
{
    struct question *q = op_owner(call, struct question, call);
    end(q, &call->err);
}

void pg_read_find(struct pg_read *read, struct index_find *find)
{
    struct question *q = arena_make(find->arena, struct question, 1);
    *q = (struct question){
        .call = {.send = send_find, .answer = take_found, .done = found, .brief = true},
        .asked = &find->op,
        .find = find,
    };
    find->rows = arena_make(find->arena, struct index_row, find->count);
    for (size_t i = 0; i < find->count; i++)
        find->rows[i].id = find->ids[i];
    begin(q, read);
}

/* --- search --------------------------------------------------------------------------- */

/* For LIKE: any text with this in it. */
static struct str like_of(struct arena *arena, struct str wanted)
{
    char *out = arena_alloc(arena, 2 * wanted.len + 3), *end = out;
    *end++ = '%';
    for (size_t i = 0; i < wanted.len; i++) {
        if (wanted.at[i] == '%' || wanted.at[i] == '_' || wanted.at[i] == '\\')
            *end++ = '\\';
        *end++ = wanted.at[i];
    }
    *end++ = '%';
    return (struct str){out, (size_t)(end - out)};
}

static void send_search(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    const struct query *query = q->search->query;
    /* No run starts at the end of time. */
    struct query_cursor cursor = {.start_us = INT64_MAX};
    if (query->after)
        cursor = query->cursor;
    struct pg_args args = {0};
    pg_add_long(&args, (uint64_t)cursor.start_us);
    pg_add_uuid(&args, cursor.id);
    pg_add_long(&args, (uint64_t)query->limit + 1);
    if (q->statement == TRACE)
        pg_add_uuid(&args, query->trace);
    else if (q->statement != ALL && q->statement != ANY_NAME)
        pg_add_text(&args, q->statement == NAMES_WITH ? q->wanted : q->like);
    if (q->statement == TRACE_NAME)
        pg_add_uuid(&args, query->trace);
    else if (q->statement == NAMES_LIKE || q->statement == NAMES_WITH)
        pg_add_long(&args, q->names);
    else if (q->statement == WALK)
        pg_add_long(&args, WALK_RUNS);
    pg_send(conn, &statements[q->statement], &args);
    pg_args_free(&args);
}

static bool tells_how_many(int statement)
{
    return statement == NAMES_LIKE || statement == NAMES_WITH || statement == WALK;
}

static void take_page(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    struct index_search *search = q->search;
    const struct libpq *pq = q->read->pq;
    int count = pq->PQntuples(result);
    (void)nth;
    if (tells_how_many(q->statement) && count > 0) {
        q->looked = pg_long(pq, result, 0, 8);
        if (pq->PQgetisnull(result, 0, 0)) /* no run, just the number */
            count = 0;
    }
    search->more = (uint32_t)count > search->query->limit;
    if (search->more)
        count = (int)search->query->limit;
    search->count = (size_t)count;
    search->rows = arena_make(search->arena, struct index_row, (size_t)count + 1);
    for (int row = 0; row < count; row++)
        search->rows[row] = take_row(pq, result, row, search->arena);
}

/* What may be able to answer when this was not; the same: it has answered. */
static int next_way(struct question *q)
{
    switch (q->statement) {
    case NAMES_LIKE:
    case NAMES_WITH:
        if (q->looked <= q->names)
            return q->statement;
        return q->names == FEW ? WALK : SCAN;
    case WALK:
        if (q->search->more || q->looked < WALK_RUNS)
            return WALK;
        q->names = MANY;
        return fold_points(q->wanted) < TRIGRAM ? NAMES_WITH : NAMES_LIKE;
    default:
        return q->statement;
    }
}

static void searched(struct pg_call *call)
{
    struct question *q = op_owner(call, struct question, call);
    int before = q->statement;
    uint64_t names = q->names;
    if (!call->err.code)
        q->statement = next_way(q);
    if (call->err.code || (q->statement == before && q->names == names))
        end(q, &call->err);
    else
        ask(q);
}

void pg_read_search(struct pg_read *read, struct index_search *search)
{
    const struct query *query = search->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct question *q = arena_make(search->arena, struct question, 1);
    *q = (struct question){
        .call = {.send = send_search, .answer = take_page, .done = searched},
        .asked = &search->op,
        .search = search,
        .names = FEW,
    };
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        q->wanted = (struct str){folded, fold(query->name, folded)};
        q->like = like_of(search->arena, q->wanted);
    }
    if (query->by_trace)
        q->statement = query->by_name ? TRACE_NAME : TRACE;
    else if (!query->by_name)
        q->statement = ALL;
    else if (q->wanted.len == 0)
        q->statement = ANY_NAME;
    else
        q->statement = fold_points(q->wanted) < TRIGRAM ? NAMES_WITH : NAMES_LIKE;
    begin(q, read);
}

/* --- follow ----------------------------------------------------------------------------- */

static void send_follow(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    struct pg_args args = {0};
    pg_add_long(&args, atomic_load(q->read->config.node));
    pg_send(conn, &statements[FOLLOW], &args);
    pg_args_free(&args);
}

static void take_follow(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    (void)nth;
    q->follow->commits = pg_long(q->read->pq, result, 0, 0);
    atomic_store_explicit(q->read->config.others, pg_long(q->read->pq, result, 0, 1),
                          memory_order_relaxed);
}

void pg_read_follow(struct pg_read *read, struct index_follow *follow)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    *q = (struct question){
        .call = {.send = send_follow, .answer = take_follow, .done = found, .brief = true},
        .asked = &follow->op,
        .follow = follow,
    };
    begin(q, read);
}

/* --- containers --------------------------------------------------------------------------- */

static void send_known(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    struct pg_args args = {0};
    pg_begin_array(&args, PG_LONG, q->known->count);
    for (size_t i = 0; i < q->known->count; i++)
        pg_put_long(&args, q->known->containers[i]);
    pg_end_array(&args);
    pg_send(conn, &statements[KNOWN], &args);
    pg_args_free(&args);
}

static void take_known(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    const struct libpq *pq = q->read->pq;
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result); row++) {
        uint64_t n = pg_long(pq, result, row, 0);
        bool live = pg_int(pq, result, row, 1) != 0;
        if (n < 1 || n > q->known->count)
            continue;
        q->known->known[n - 1] = live;
        if (q->known->condemned)
            q->known->condemned[n - 1] = !live;
    }
}

void pg_read_known(struct pg_read *read, struct index_known *known)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    memset(known->known, 0, known->count * sizeof *known->known);
    if (known->condemned)
        memset(known->condemned, 0, known->count * sizeof *known->condemned);
    *q = (struct question){
        .call = {.send = send_known, .answer = take_known, .done = found},
        .asked = &known->op,
        .known = known,
    };
    begin(q, read);
}

/* Both in one transaction; the insert waits for whoever is about to commit it. */
static void send_condemn(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    struct pg_args args = {0};
    pg_add_long(&args, q->condemn->container);
    pg_add_long(&args, atomic_load(q->read->config.node));
    pg_send(conn, &statements[GIVE_UP], &args);
    pg_args_free(&args);
    pg_add_long(&args, q->condemn->container);
    pg_send(conn, &statements[IS_LIVE], &args);
    pg_args_free(&args);
}

static void take_condemn(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    if (nth == 1)
        q->condemn->live = q->read->pq->PQntuples(result) == 1;
}

void pg_read_condemn(struct pg_read *read, struct index_condemn *condemn)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    condemn->live = true;
    *q = (struct question){
        .call = {.send = send_condemn, .answer = take_condemn, .done = found},
        .asked = &condemn->op,
        .condemn = condemn,
    };
    begin(q, read);
}

static void send_containers(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    struct pg_args args = {0};
    pg_add_long(&args, q->containers->after);
    pg_add_long(&args, q->containers->max);
    pg_send(conn, &statements[CONTAINERS], &args);
    pg_args_free(&args);
}

static void take_containers(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    const struct libpq *pq = q->read->pq;
    struct index_containers *asked = q->containers;
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result) && asked->count < asked->max; row++)
        asked->numbers[asked->count++] = pg_long(pq, result, row, 0);
}

void pg_read_containers(struct pg_read *read, struct index_containers *containers)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    containers->count = 0;
    *q = (struct question){
        .call = {.send = send_containers, .answer = take_containers, .done = found},
        .asked = &containers->op,
        .containers = containers,
    };
    begin(q, read);
}

static void send_lose(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = op_owner(call, struct question, call);
    struct pg_args args = {0};
    pg_add_text(&args, STR("600000")); /* LOSE_MS */
    pg_send(conn, &statements[TAKE_TIME], &args);
    pg_args_free(&args);
    pg_add_long(&args, q->lose->container);
    pg_add_long(&args, atomic_load(q->read->config.node));
    pg_send(conn, &statements[LOSE], &args);
    pg_args_free(&args);
}

static void take_lose(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = op_owner(call, struct question, call);
    if (nth == 1)
        q->lose->runs = pg_long(q->read->pq, result, 0, 0);
}

void pg_read_lose(struct pg_read *read, struct index_lose *lose)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        abort();
    lose->runs = 0;
    *q = (struct question){
        .call = {.send = send_lose, .answer = take_lose, .done = found},
        .asked = &lose->op,
        .lose = lose,
    };
    begin(q, read);
}
