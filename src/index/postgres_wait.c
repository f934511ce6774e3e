/* postgres_wait.c - runs that guess their trace, until the one they belong under says it; see
 * postgres_writer.h.
 *
 * Both may come by two nodes at once, and then neither sees the other.  So who makes a run
 * wait takes a lock alone, and sees whether the other one is still as it was judged; all
 * others share the lock, and see whether more runs wait for theirs than those they know: for
 * those that came, and for those from under which all that waited moved on (guess.h).
 */
#include <stdlib.h>

#include "index/postgres_writer.h"

/* Does it wait for another one than before? */
static bool begins_to_wait(const struct pg_slot *slot)
{
    return pg_row_waits(slot->now) &&
           !(pg_row_waits(slot->was) &&
             uuid_compare(slot->was->run.trace, slot->now->run.trace) == 0);
}

static bool stops_to_wait(const struct pg_slot *slot)
{
    return pg_row_waits(slot->was) &&
           !(pg_row_waits(slot->now) &&
             uuid_compare(slot->was->run.trace, slot->now->run.trace) == 0);
}

/* May somebody wait for it that we know nothing of? */
static bool is_news(const struct pg_slot *slot)
{
    return slot->now->run.count > 0 &&
           (slot->swept || !slot->was || slot->was->run.count == 0 ||
            uuid_compare(slot->was->run.trace, slot->now->run.trace) != 0);
}

typedef bool choose_fn(const struct pg_slot *slot);

static size_t how_many(const struct pg_changes *c, choose_fn *is)
{
    size_t count = 0;
    for (size_t i = 0; i < c->added_count; i++)
        count += is(c->added[i]);
    for (size_t i = 0; i < c->changed_count; i++)
        count += is(c->changed[i]);
    return count;
}

typedef void put_fn(struct pg_args *args, const struct pg_slot *slot);

static void add_column(struct pg_args *args, const struct pg_changes *c, choose_fn *is,
                       enum pg_type type, put_fn *put)
{
    pg_begin_array(args, type, how_many(c, is));
    for (size_t i = 0; i < c->added_count; i++)
        if (is(c->added[i]))
            put(args, c->added[i]);
    for (size_t i = 0; i < c->changed_count; i++)
        if (is(c->changed[i]))
            put(args, c->changed[i]);
    pg_end_array(args);
}

static void put_id(struct pg_args *args, const struct pg_slot *slot)
{
    pg_put_bytes(args, (struct str){(const char *)slot->id.byte, sizeof slot->id.byte});
}

static void put_part(struct pg_args *args, const struct pg_slot *slot)
{
    pg_put_int(args, slot->part);
}

static void put_awaited(struct pg_args *args, const struct pg_slot *slot)
{
    pg_put_bytes(args, (struct str){(const char *)slot->now->run.trace.byte, 16});
}

static void put_awaited_before(struct pg_args *args, const struct pg_slot *slot)
{
    pg_put_bytes(args, (struct str){(const char *)slot->was->run.trace.byte, 16});
}

void pg_wait_lock(const struct pg_changes *c, struct pg_conn *conn)
{
    if (how_many(c, begins_to_wait) > 0)
        pg_send(conn, &pg_writer_statements[PG_TAKE_LOCK], NULL);
    else if (how_many(c, is_news) > 0)
        pg_send(conn, &pg_writer_statements[PG_SHARE_LOCK], NULL);
}

void pg_wait_send(const struct pg_changes *c, struct pg_conn *conn)
{
    struct pg_args args = {0};
    if (how_many(c, stops_to_wait) > 0) {
        add_column(&args, c, stops_to_wait, PG_UUID, put_awaited_before);
        add_column(&args, c, stops_to_wait, PG_UUID, put_id);
        pg_send(conn, &pg_writer_statements[PG_DROP_WAITING], &args);
        pg_args_free(&args);
    }
    if (how_many(c, begins_to_wait) > 0) {
        add_column(&args, c, begins_to_wait, PG_UUID, put_awaited);
        add_column(&args, c, begins_to_wait, PG_UUID, put_id);
        add_column(&args, c, begins_to_wait, PG_INT, put_part);
        pg_send(conn, &pg_writer_statements[PG_ADD_WAITING], &args);
        pg_args_free(&args);
    }
}

/* Those that somebody begins to wait for, if we do not change them ourselves. */
static void add_awaited(struct pg_args *args, const struct pg_ledger *l)
{
    struct pg_slot **awaited = pg_room(l->slots.count, sizeof *awaited);
    size_t count = 0;
    for (size_t i = 0; i < l->slots.count; i++) {
        struct pg_slot *slot = l->slots.at[i];
        struct pg_waiter *at = NULL;
        for (struct pg_slot *w; slot->now == slot->was && (w = pg_ledger_next_waiter(slot, &at));)
            if (begins_to_wait(w)) {
                awaited[count++] = slot;
                break;
            }
    }
    pg_begin_array(args, PG_INT, count);
    for (size_t i = 0; i < count; i++)
        pg_put_int(args, awaited[i]->part);
    pg_end_array(args);
    pg_begin_array(args, PG_UUID, count);
    for (size_t i = 0; i < count; i++)
        put_id(args, awaited[i]);
    pg_end_array(args);
    pg_begin_array(args, PG_LONG, count);
    for (size_t i = 0; i < count; i++)
        pg_put_long(args, awaited[i]->was ? awaited[i]->change : 0);
    pg_end_array(args);
    free(awaited);
}

static uint64_t known_waiters(const struct pg_changes *c)
{
    struct pg_slot *const *lists[] = {c->added, c->changed};
    const size_t counts[] = {c->added_count, c->changed_count};
    uint64_t known = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < counts[k]; i++) {
            struct pg_waiter *at = NULL;
            while (is_news(lists[k][i]) && pg_ledger_next_waiter(lists[k][i], &at))
                known++;
        }
    return known;
}

void pg_wait_see(const struct pg_ledger *l, const struct pg_changes *c, struct pg_conn *conn)
{
    struct pg_args args = {0};
    if (how_many(c, begins_to_wait) > 0) {
        add_awaited(&args, l);
        pg_send(conn, &pg_writer_statements[PG_SEE_AWAITED], &args);
        pg_args_free(&args);
    }
    if (how_many(c, is_news) > 0) {
        add_column(&args, c, is_news, PG_UUID, put_id);
        pg_add_long(&args, known_waiters(c));
        pg_send(conn, &pg_writer_statements[PG_SEE_WAITING], &args);
        pg_args_free(&args);
    }
}
