/* postgres_look_up.c - what the database has of what a ledger lacks; see postgres_writer.h.
 *
 * One round trip: the rows of runs, runs that wait for those, entities by their ids, and
 * by names that one alone may have.
 */
#include <stdlib.h>

#include "index/postgres_writer.h"

/* Of GET_ROWS and GET_WAITING, postgres_write.c. */
enum {
    ROW_ID,
    ROW_TRACE,
    ROW_PARENT,
    ROW_PROJECT,
    ROW_START,
    ROW_END,
    ROW_NAME,
    ROW_VERSION,
    ROW_POST_LOW,
    ROW_POST_HIGH,
    ROW_TYPE,
    ROW_STATUS,
    ROW_FLAGS,
    ROW_HOLDERS,
    ROW_FACTS,
    ROW_CHANGE
};

/* Of GET_ITEMS and GET_TITLES. */
enum {
    ITEM_KIND,
    ITEM_ID,
    ITEM_PARENT,
    ITEM_MADE,
    ITEM_VERSION,
    ITEM_REMOVED,
    ITEM_APART,
    ITEM_NAME,
    ITEM_JSON
};

bool pg_look_up_begin(struct pg_asked *asked, const struct pg_ledger *l)
{
    *asked = (struct pg_asked){
        .slot = pg_room(l->slots.count, sizeof *asked->slot),
        .below = pg_room(l->slots.count, sizeof *asked->below),
        .item = pg_room(l->items.count, sizeof *asked->item),
        .title = pg_room(l->titles.count, sizeof *asked->title),
    };
    for (size_t i = 0; i < l->slots.count; i++) {
        struct pg_slot *slot = l->slots.at[i];
        if (!slot->known)
            asked->slot[asked->slot_count++] = slot;
        if (slot->below_wanted && !slot->below_known)
            asked->below[asked->below_count++] = slot;
    }
    for (size_t i = 0; i < l->items.count; i++)
        if (!l->items.at[i]->known)
            asked->item[asked->item_count++] = l->items.at[i];
    for (size_t i = 0; i < l->titles.count; i++)
        if (!l->titles.at[i]->known)
            asked->title[asked->title_count++] = l->titles.at[i];
    return asked->slot_count + asked->below_count + asked->item_count + asked->title_count > 0;
}

/* --- asking ------------------------------------------------------------------------ */

static void add_ids(struct pg_args *args, struct pg_slot *const *slots, size_t count)
{
    pg_begin_array(args, PG_UUID, count);
    for (size_t i = 0; i < count; i++)
        pg_put_bytes(args, (struct str){(const char *)slots[i]->id.byte, 16});
    pg_end_array(args);
}

static void send_rows(const struct pg_asked *asked, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_INT, asked->slot_count);
    for (size_t i = 0; i < asked->slot_count; i++)
        pg_put_int(&args, asked->slot[i]->part);
    pg_end_array(&args);
    add_ids(&args, asked->slot, asked->slot_count);
    pg_send(conn, &pg_writer_statements[PG_GET_ROWS], &args);
    pg_args_free(&args);
    add_ids(&args, asked->slot, asked->slot_count);
    pg_send(conn, &pg_writer_statements[PG_GET_WAITING], &args);
    pg_args_free(&args);
}

static void send_below(const struct pg_asked *asked, struct pg_conn *conn)
{
    struct pg_args args = {0};
    add_ids(&args, asked->below, asked->below_count);
    pg_send(conn, &pg_writer_statements[PG_GET_BELOW], &args);
    pg_args_free(&args);
}

static void send_items(const struct pg_asked *asked, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_INT, asked->item_count);
    for (size_t i = 0; i < asked->item_count; i++)
        pg_put_int(&args, (int32_t)asked->item[i]->kind);
    pg_end_array(&args);
    pg_begin_array(&args, PG_UUID, asked->item_count);
    for (size_t i = 0; i < asked->item_count; i++)
        pg_put_bytes(&args, (struct str){(const char *)asked->item[i]->id.byte, 16});
    pg_end_array(&args);
    pg_send(conn, &pg_writer_statements[PG_GET_ITEMS], &args);
    pg_args_free(&args);
}

static void send_titles(const struct pg_asked *asked, struct pg_conn *conn)
{
    struct pg_args args = {0};
    pg_begin_array(&args, PG_INT, asked->title_count);
    for (size_t i = 0; i < asked->title_count; i++)
        pg_put_int(&args, (int32_t)asked->title[i]->kind);
    pg_end_array(&args);
    pg_begin_array(&args, PG_BYTEA, asked->title_count);
    for (size_t i = 0; i < asked->title_count; i++)
        pg_put_bytes(&args, asked->title[i]->name);
    pg_end_array(&args);
    pg_send(conn, &pg_writer_statements[PG_GET_TITLES], &args);
    pg_args_free(&args);
}

void pg_look_up_send(const struct pg_asked *asked, struct pg_conn *conn)
{
    if (asked->slot_count > 0)
        send_rows(asked, conn);
    if (asked->below_count > 0)
        send_below(asked, conn);
    if (asked->item_count > 0)
        send_items(asked, conn);
    if (asked->title_count > 0)
        send_titles(asked, conn);
}

/* --- answers ------------------------------------------------------------------------ */

struct answer {
    const struct libpq *pq;
    const PGresult *result;
    int row;
};

static uint64_t number(const struct answer *a, int column)
{
    return pg_long(a->pq, a->result, a->row, column);
}

static int32_t small(const struct answer *a, int column)
{
    return pg_int(a->pq, a->result, a->row, column);
}

static struct uuid id(const struct answer *a, int column)
{
    return pg_uuid(a->pq, a->result, a->row, column);
}

static bool is_null(const struct answer *a, int column)
{
    return pg_null(a->pq, a->result, a->row, column);
}

/* A copy; at == NULL when it is null. */
static struct str bytes(const struct answer *a, int column, struct arena *arena)
{
    struct str text = pg_text(a->pq, a->result, a->row, column);
    return text.at ? arena_copy(arena, text) : text;
}

static int read_row(const struct answer *a, struct arena *arena, struct pg_row *row,
                    struct err *err)
{
    int32_t flags = small(a, ROW_FLAGS);
    *row = (struct pg_row){
        .run = {.id = id(a, ROW_ID),
                .trace = id(a, ROW_TRACE),
                .parent = id(a, ROW_PARENT),
                .start_us = (int64_t)number(a, ROW_START),
                .end_us = is_null(a, ROW_END) ? RUN_RUNNING : (int64_t)number(a, ROW_END),
                .type = (enum run_type)small(a, ROW_TYPE),
                .status = (enum run_status)small(a, ROW_STATUS),
                .version = number(a, ROW_VERSION),
                .guessed = flags & PG_GUESSED,
                .posted = !is_null(a, ROW_POST_LOW),
                .post_hash = {number(a, ROW_POST_LOW), number(a, ROW_POST_HIGH)}},
        .project = id(a, ROW_PROJECT),
        .by_default = flags & PG_BY_DEFAULT,
        .name = number(a, ROW_NAME),
        .facts = bytes(a, ROW_FACTS, arena),
    };
    struct str holders = pg_text(a->pq, a->result, a->row, ROW_HOLDERS);
    return holders.len ? merge_read(holders, row->run.holder, &row->run.count, err) : 0;
}

static void take_rows(struct pg_ledger *l, const struct libpq *pq, const PGresult *result,
                      struct err *err)
{
    struct answer a = {pq, result, 0};
    for (; a.row < pq->PQntuples(result) && !err->code; a.row++) {
        struct pg_row row;
        struct pg_slot *slot = pg_ledger_slot(l, id(&a, ROW_ID));
        if (!slot->known && read_row(&a, l->arena, &row, err) == 0)
            pg_ledger_has_row(l, slot, &row, number(&a, ROW_CHANGE));
    }
}

/* All that wait for one of these are among them. */
static void take_below(struct pg_ledger *l, const struct libpq *pq, const PGresult *result,
                       struct err *err)
{
    struct answer a = {pq, result, 0};
    take_rows(l, pq, result, err);
    for (; a.row < pq->PQntuples(result); a.row++)
        pg_ledger_slot(l, id(&a, ROW_ID))->below_known = true;
}

static void take_items(struct pg_ledger *l, const struct libpq *pq, const PGresult *result)
{
    struct answer a = {pq, result, 0};
    for (; a.row < pq->PQntuples(result); a.row++) {
        int32_t kind = small(&a, ITEM_KIND);
        if (kind < 0 || kind >= ENTITY_KINDS)
            continue; /* of a later program */
        struct pg_thing thing = {
            .entity = {.kind = (enum entity_kind)kind,
                       .id = id(&a, ITEM_ID),
                       .parent = id(&a, ITEM_PARENT),
                       .name = bytes(&a, ITEM_NAME, l->arena),
                       .made_us = (int64_t)number(&a, ITEM_MADE),
                       .version = number(&a, ITEM_VERSION),
                       .json = bytes(&a, ITEM_JSON, l->arena)},
            .removed = small(&a, ITEM_REMOVED) != 0,
            .apart = small(&a, ITEM_APART) != 0,
        };
        pg_ledger_has_thing(l, &thing);
    }
}

void pg_look_up_take(const struct pg_asked *asked, struct pg_ledger *l, unsigned nth,
                     const struct libpq *pq, const PGresult *result, struct err *err)
{
    unsigned of_rows = asked->slot_count > 0 ? 2 : 0, of_below = asked->below_count > 0;
    if (nth < of_rows)
        take_rows(l, pq, result, err);
    else if (nth < of_rows + of_below)
        take_below(l, pq, result, err);
    else
        take_items(l, pq, result);
}

void pg_look_up_end(struct pg_asked *asked, bool good)
{
    for (size_t i = 0; i < asked->slot_count && good; i++)
        asked->slot[i]->known = true;
    for (size_t i = 0; i < asked->below_count && good; i++)
        asked->below[i]->below_known = true;
    for (size_t i = 0; i < asked->item_count && good; i++)
        asked->item[i]->known = true;
    for (size_t i = 0; i < asked->title_count && good; i++)
        asked->title[i]->known = true;
    free(asked->slot);
    free(asked->below);
    free(asked->item);
    free(asked->title);
    *asked = (struct pg_asked){0};
}
