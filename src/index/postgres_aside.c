/* postgres_aside.c - see postgres_aside.h.
 *
 *   pg_aside_name()   what is remembered; else keep the folded name
 *   name_them()       the numbers of names that are not known
 *   cover_them()      partitions for days that may have none
 *
 * Numbers that were remembered go with those that are learned only if both are of
 * one session.
 */
#include "index/postgres_aside.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "index/fold.h"
#include "index/hash.h"
#include "index/intern.h"
#include "loop/op.h"

enum {
    QUEUE = 4,            /* calls: there is one at a time */
    INTERNED_MAX = 16384, /* names remembered, ... */
    INTERNED_BYTES_MAX = 4 << 20
};

enum { ADD_NAMES, GET_NAMES, COVER, ASIDE_STATEMENTS };

static const struct pg_statement aside_statements[ASIDE_STATEMENTS] = {
    [ADD_NAMES] = {"add_names",
                   "insert into rundlet_names (hash, folded)"
                   " select sha256(w), convert_from(w, 'UTF8') from unnest($1::bytea[]) w"
                   " where not exists (select 1 from rundlet_names k where k.hash = sha256(w))"
                   " order by 1 on conflict (hash) do nothing"},
    [GET_NAMES] = {"get_names",
                   "select w.n, k.id from unnest($1::bytea[]) with ordinality as w (name, n)"
                   " join rundlet_names k on k.hash = sha256(w.name)"},
    [COVER] = {"cover", "select low, high from rundlet_cover($1)"},
};

struct unknown_name {
    size_t at, len; /* in the group's text */
    uint64_t number;
};

/* Values of `part` that have a partition. */
struct span {
    int32_t low, high;
};

/* What the one stage that is under way asks. */
struct group {
    uint64_t names_session; /* of those that were known; 0: none was */
    struct text text;       /* folded names, one behind the other */
    struct intern unknown;
    struct unknown_name *names;
    size_t count, cap;
    struct pg_learn *learn;
    struct pg_call call;
};

struct pg_aside {
    struct pg_aside_config config;
    struct pg_role role;
    struct pg_pool *pool;
    uint64_t seed;
    struct intern names;    /* folded name -> number, ... */
    uint64_t names_session; /* as learned in this session */
    struct span *spans;     /* sorted */
    size_t span_count;
    struct group group;
};

struct pg_aside *pg_aside_new(const struct pg_aside_config *config)
{
    struct pg_aside *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->config = *config;
    if (getrandom(&a->seed, sizeof a->seed, 0) != (ssize_t)sizeof a->seed)
        abort(); /* at most 256 bytes come whole */
    a->role = (struct pg_role){config->settings, aside_statements, ASIDE_STATEMENTS};
    a->pool = pg_pool_new(&(struct pg_pool_config){
        .server = config->server,
        .loop = config->loop,
        .role = &a->role,
        .connections = 1,
        .queue = QUEUE,
        .timeout_ms = config->timeout_ms,
        .connect_ms = config->connect_ms,
    });
    return a;
}

void pg_aside_free(struct pg_aside *a)
{
    if (!a)
        return;
    pg_pool_free(a->pool);
    pg_aside_end(a);
    intern_clear(&a->names);
    free(a->spans);
    free(a);
}

void pg_aside_forget(struct pg_aside *a)
{
    intern_clear(&a->names);
    pg_aside_forget_parts(a);
    pg_pool_drop(a->pool);
}

void pg_aside_forget_parts(struct pg_aside *a)
{
    a->span_count = 0;
}

void pg_aside_begin(struct pg_aside *a)
{
    if (a->names_session != pg_pool_session(a->pool) || a->names.count > INTERNED_MAX ||
        a->names.bytes > INTERNED_BYTES_MAX)
        intern_clear(&a->names);
    a->group.names_session = a->names.count > 0 ? a->names_session : 0;
}

void pg_aside_end(struct pg_aside *a)
{
    struct group *g = &a->group;
    text_free(&g->text);
    intern_clear(&g->unknown);
    free(g->names);
    *g = (struct group){0};
}

/* --- names: what is asked ----------------------------------------------------------- */

/* Which number has the name; of one that is not known, which of those it is. */
static uint64_t number_of(struct pg_aside *a, struct str folded, uint32_t *unknown)
{
    struct group *g = &a->group;
    uint64_t hash = hash_bytes(a->seed, folded.at, folded.len);
    uint64_t number = intern_get(&a->names, hash, folded);
    if (number)
        return number;
    *unknown = (uint32_t)intern_get(&g->unknown, hash, folded);
    if (*unknown)
        return 0;
    if (g->count == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 64;
        g->names = realloc(g->names, g->cap * sizeof *g->names);
        if (!g->names)
            abort();
    }
    g->names[g->count++] =
        (struct unknown_name){.at = (size_t)(folded.at - g->text.at), .len = folded.len};
    *unknown = (uint32_t)g->count;
    intern_put(&g->unknown, hash, folded, *unknown);
    return 0;
}

uint64_t pg_aside_name(struct pg_aside *a, const struct run *run, uint32_t *unknown)
{
    struct group *g = &a->group;
    size_t at = g->text.len, count = g->count;
    uint64_t number = 0;
    *unknown = 0;
    if (fold_run_name(run, &g->text))
        number = number_of(a, (struct str){g->text.at + at, g->text.len - at}, unknown);
    if (g->count == count)
        g->text.len = at; /* only those that have to be sent are kept */
    return number;
}

uint64_t pg_aside_number(const struct pg_aside *a, uint32_t unknown)
{
    assert(unknown >= 1 && unknown <= a->group.count);
    return a->group.names[unknown - 1].number;
}

/* --- learning ------------------------------------------------------------------------ */

static void ask(struct pg_aside *a, void (*send)(struct pg_call *, struct pg_conn *),
                void (*answer)(struct pg_call *, unsigned, PGresult *),
                void (*done)(struct pg_call *))
{
    a->group.call = (struct pg_call){
        .send = send,
        .answer = answer,
        .done = done,
        .deadline_us = clock_mono_us() + (int64_t)a->config.timeout_ms * 1000,
    };
    bool taken = pg_pool_ask(a->pool, &a->group.call);
    assert(taken); /* one stage at a time */
    (void)taken;
}

static struct pg_aside *aside_of(struct pg_call *call)
{
    return op_owner(call, struct pg_aside, group.call);
}

static const struct libpq *pq_of(const struct pg_aside *a)
{
    return pg_server_libpq(a->config.server);
}

static void learned(struct pg_aside *a, const struct err *err)
{
    struct pg_learn *learn = a->group.learn;
    if (err)
        learn->err = *err;
    learn->done(learn);
}

static void cover_them(struct pg_aside *a);

/* --- learning: names ------------------------------------------------------------------- */

static void send_names(struct pg_call *call, struct pg_conn *conn)
{
    const struct group *g = &aside_of(call)->group;
    struct pg_args args = {0};
    pg_begin_array(&args, PG_BYTEA, g->count);
    for (size_t i = 0; i < g->count; i++)
        pg_put_bytes(&args, (struct str){g->text.at + g->names[i].at, g->names[i].len});
    pg_end_array(&args);
    pg_send(conn, &aside_statements[ADD_NAMES], &args);
    pg_send(conn, &aside_statements[GET_NAMES], &args);
    pg_args_free(&args);
}

static void take_names(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_aside *a = aside_of(call);
    struct group *g = &a->group;
    const struct libpq *pq = pq_of(a);
    for (int row = 0; nth == 1 && row < pq->PQntuples(result); row++) {
        uint64_t n = pg_long(pq, result, row, 0);
        if (n >= 1 && n <= g->count)
            g->names[n - 1].number = pg_long(pq, result, row, 1);
    }
}

static void named(struct pg_call *call)
{
    struct pg_aside *a = aside_of(call);
    const struct group *g = &a->group;
    struct err err = call->err;
    if (!err.code && g->names_session && g->names_session != pg_pool_session(a->pool))
        err_set(&err, ERR_UNAVAILABLE, "PostgreSQL: the connection was made anew meanwhile");
    for (size_t i = 0; i < g->count && !err.code; i++) {
        const struct unknown_name *name = &g->names[i];
        struct str folded = {g->text.at + name->at, name->len};
        if (name->number)
            intern_put(&a->names, hash_bytes(a->seed, folded.at, folded.len), folded, name->number);
        else
            err_set(&err, ERR_CORRUPT, "PostgreSQL: a name that was added is not there");
    }
    if (err.code) {
        learned(a, &err);
        return;
    }
    a->names_session = pg_pool_session(a->pool);
    cover_them(a);
}

static void name_them(struct pg_aside *a)
{
    if (a->group.count > 0)
        ask(a, send_names, take_names, named);
    else
        cover_them(a);
}

/* --- learning: partitions ---------------------------------------------------------------- */

static bool is_covered(const struct pg_aside *a, int32_t part)
{
    size_t low = 0, high = a->span_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->spans[middle].high <= part)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->span_count && a->spans[low].low <= part;
}

/* The days of the group that may have no partition. */
static size_t uncovered(const struct pg_aside *a, struct pg_args *args)
{
    const struct pg_learn *learn = a->group.learn;
    size_t count = 0;
    for (int pass = 0; pass < (args ? 2 : 1); pass++) {
        if (pass == 1)
            pg_begin_array(args, PG_INT, count);
        for (size_t i = 0; i < learn->part_count; i++) {
            if (is_covered(a, learn->parts[i]))
                continue;
            if (pass == 1)
                pg_put_int(args, learn->parts[i]);
            else
                count++;
        }
    }
    if (args)
        pg_end_array(args);
    return count;
}

static void send_cover(struct pg_call *call, struct pg_conn *conn)
{
    struct pg_args args = {0};
    (void)uncovered(aside_of(call), &args);
    pg_send(conn, &aside_statements[COVER], &args);
    pg_args_free(&args);
}

static int by_low(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

static void take_cover(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct pg_aside *a = aside_of(call);
    const struct libpq *pq = pq_of(a);
    (void)nth;
    free(a->spans);
    a->span_count = (size_t)pq->PQntuples(result);
    a->spans = calloc(a->span_count + 1, sizeof *a->spans);
    if (!a->spans)
        abort();
    for (size_t i = 0; i < a->span_count; i++)
        a->spans[i] = (struct span){pg_int(pq, result, (int)i, 0), pg_int(pq, result, (int)i, 1)};
    qsort(a->spans, a->span_count, sizeof *a->spans, by_low);
}

static void covered(struct pg_call *call)
{
    struct err err = call->err;
    learned(aside_of(call), err.code ? &err : NULL);
}

static void cover_them(struct pg_aside *a)
{
    if (uncovered(a, NULL) > 0)
        ask(a, send_cover, take_cover, covered);
    else
        learned(a, NULL);
}

void pg_aside_learn(struct pg_aside *a, struct pg_learn *learn)
{
    assert(!a->group.learn);
    a->group.learn = learn;
    name_them(a);
}
