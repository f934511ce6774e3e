/* postgres_containers.c - which containers there are, and what others commit; see
 * postgres_question.h. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "index/postgres_question.h"

enum { LOSE_MS = 600000 /* every partition is read through */ };

enum { FOLLOW, KNOWN, GIVE_UP, IS_LIVE, CONTAINERS, TAKE_TIME, LOSE, STATEMENTS };
_Static_assert((int)STATEMENTS == (int)PG_CONTAINER_STATEMENTS, "all are prepared");

const struct pg_statement pg_container_statements[STATEMENTS] = {
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
    [LOSE] = {"lose", "with gone as (delete from rundlet_runs"
                      "  where containers @> array[$1::int8] returning id),"
                      " free as (delete from rundlet_waiting w using gone where w.id = gone.id),"
                      " dead as (update rundlet_containers set live = false where number = $1),"
                      " told as (insert into rundlet_nodes as n (node, writer, commits, runs)"
                      "  select $2, 0, 1, -count(*) from gone on conflict (node, writer) do update"
                      "  set commits = n.commits + 1, runs = n.runs + excluded.runs)"
                      " select count(*) from gone"},
};

struct question {
    struct pg_question q;
    struct index_follow *follow; /* one of these */
    struct index_known *known;
    struct index_condemn *condemn;
    struct index_containers *containers;
    struct index_lose *lose;
};

static struct question *question_of(struct pg_call *call)
{
    return op_owner(pg_question_of(call), struct question, q);
}

static struct question *new_question(void (*send)(struct pg_call *, struct pg_conn *),
                                     void (*answer)(struct pg_call *, unsigned, PGresult *))
{
    struct question *q = pg_question_new(sizeof *q);
    q->q.call.send = send;
    q->q.call.answer = answer;
    q->q.call.done = pg_question_done;
    return q;
}

/* --- follow ----------------------------------------------------------------------------- */

static void send_follow(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    struct pg_args args = {0};
    pg_add_long(&args, atomic_load(q->q.read->config.node));
    pg_send(conn, &pg_container_statements[FOLLOW], &args);
    pg_args_free(&args);
}

static void take_follow(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    (void)nth;
    q->follow->commits = pg_long(q->q.read->pq, result, 0, 0);
    atomic_store_explicit(q->q.read->config.others, pg_long(q->q.read->pq, result, 0, 1),
                          memory_order_relaxed);
}

void pg_read_follow(struct pg_read *read, struct index_follow *follow)
{
    struct question *q = new_question(send_follow, take_follow);
    q->follow = follow;
    q->q.call.brief = true;
    pg_question_begin(&q->q, read, &follow->op);
}

/* --- containers --------------------------------------------------------------------------- */

static void send_known(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    struct pg_args args = {0};
    pg_begin_array(&args, PG_LONG, q->known->count);
    for (size_t i = 0; i < q->known->count; i++)
        pg_put_long(&args, q->known->containers[i]);
    pg_end_array(&args);
    pg_send(conn, &pg_container_statements[KNOWN], &args);
    pg_args_free(&args);
}

static void take_known(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    const struct libpq *pq = q->q.read->pq;
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
    memset(known->known, 0, known->count * sizeof *known->known);
    if (known->condemned)
        memset(known->condemned, 0, known->count * sizeof *known->condemned);
    struct question *q = new_question(send_known, take_known);
    q->known = known;
    pg_question_begin(&q->q, read, &known->op);
}

/* Both in one transaction; the insert waits for whoever is about to commit it. */
static void send_condemn(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    struct pg_args args = {0};
    pg_add_long(&args, q->condemn->container);
    pg_add_long(&args, atomic_load(q->q.read->config.node));
    pg_send(conn, &pg_container_statements[GIVE_UP], &args);
    pg_args_free(&args);
    pg_add_long(&args, q->condemn->container);
    pg_send(conn, &pg_container_statements[IS_LIVE], &args);
    pg_args_free(&args);
}

static void take_condemn(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    if (nth == 1)
        q->condemn->live = q->q.read->pq->PQntuples(result) == 1;
}

void pg_read_condemn(struct pg_read *read, struct index_condemn *condemn)
{
    condemn->live = true;
    struct question *q = new_question(send_condemn, take_condemn);
    q->condemn = condemn;
    pg_question_begin(&q->q, read, &condemn->op);
}

static void send_containers(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    struct pg_args args = {0};
    pg_add_long(&args, q->containers->after);
    pg_add_long(&args, q->containers->max);
    pg_send(conn, &pg_container_statements[CONTAINERS], &args);
    pg_args_free(&args);
}

static void take_containers(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    const struct libpq *pq = q->q.read->pq;
    struct index_containers *asked = q->containers;
    (void)nth;
    for (int row = 0; row < pq->PQntuples(result) && asked->count < asked->max; row++)
        asked->numbers[asked->count++] = pg_long(pq, result, row, 0);
}

void pg_read_containers(struct pg_read *read, struct index_containers *containers)
{
    containers->count = 0;
    struct question *q = new_question(send_containers, take_containers);
    q->containers = containers;
    pg_question_begin(&q->q, read, &containers->op);
}

static void send_lose(struct pg_call *call, struct pg_conn *conn)
{
    const struct question *q = question_of(call);
    struct pg_args args = {0};
    pg_add_text(&args, STR("600000")); /* LOSE_MS */
    pg_send(conn, &pg_container_statements[TAKE_TIME], &args);
    pg_args_free(&args);
    pg_add_long(&args, q->lose->container);
    pg_add_long(&args, atomic_load(q->q.read->config.node));
    pg_send(conn, &pg_container_statements[LOSE], &args);
    pg_args_free(&args);
}

static void take_lose(struct pg_call *call, unsigned nth, PGresult *result)
{
    struct question *q = question_of(call);
    if (nth == 1)
        q->lose->runs = pg_long(q->q.read->pq, result, 0, 0);
}

void pg_read_lose(struct pg_read *read, struct index_lose *lose)
{
    lose->runs = 0;
    struct question *q = new_question(send_lose, take_lose);
    q->lose = lose;
    q->q.deadline_us = clock_mono_us() + (int64_t)LOSE_MS * 1000;
    pg_question_begin(&q->q, read, &lose->op);
}
