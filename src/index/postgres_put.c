/* postgres_put.c - what a ledger changes, as statements of a transaction; see postgres_writer.h.
 *
 * Everybody makes the same changes in the same order: new rows, rows that change, entities,
 * who waits for whom; rows by (part, id), entities by (kind, id).  So nobody waits for
 * somebody who waits for them.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "index/fold.h"
#include "index/postgres_part.h"
#include "index/postgres_terms.h"
#include "index/postgres_writer.h"
#include "run/facts.h"
#include "run/filter.h"

enum {
    KEPT_PLACES = MERGE_HOLDERS + FACTS_ATTACHMENTS,
    PIECE = 500 /* rows of a statement */
};

/* --- which ---------------------------------------------------------------------------- */

static int by_part_and_id(const void *a, const void *b)
{
    const struct pg_slot *x = *(struct pg_slot *const *)a, *y = *(struct pg_slot *const *)b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return uuid_compare(x->id, y->id);
}

static int by_kind_and_id(const void *a, const void *b)
{
    const struct pg_item *x = *(struct pg_item *const *)a, *y = *(struct pg_item *const *)b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return uuid_compare(x->id, y->id);
}

static void find_changes(const struct pg_ledger *l, struct pg_changes *c)
{
    *c = (struct pg_changes){
        .added = pg_room(l->slots.count, sizeof *c->added),
        .changed = pg_room(l->slots.count, sizeof *c->changed),
        .made = pg_room(l->items.count, sizeof *c->made),
        .said = pg_room(l->items.count, sizeof *c->said),
    };
    for (size_t i = 0; i < l->slots.count; i++) {
        struct pg_slot *slot = l->slots.at[i];
        if (slot->now != slot->was && slot->was)
            c->changed[c->changed_count++] = slot;
        else if (slot->now != slot->was)
            c->added[c->added_count++] = slot;
    }
    for (size_t i = 0; i < l->items.count; i++) {
        struct pg_item *item = l->items.at[i];
        if (item->now != item->was && item->was)
            c->said[c->said_count++] = item;
        else if (item->now != item->was)
            c->made[c->made_count++] = item;
    }
    qsort(c->added, c->added_count, sizeof *c->added, by_part_and_id);
    qsort(c->changed, c->changed_count, sizeof *c->changed, by_part_and_id);
    qsort(c->made, c->made_count, sizeof *c->made, by_kind_and_id);
    qsort(c->said, c->said_count, sizeof *c->said, by_kind_and_id);
}

static void free_changes(struct pg_changes *c)
{
    free(c->added);
    free(c->changed);
    free(c->made);
    free(c->said);
}

/* --- rows ------------------------------------------------------------------------------ */

static void add_number(struct text *text, uint64_t number)
{
    text_addf(text, "%s%lld", text->at[text->len - 1] == '{' ? "" : ",", (long long)number);
}

/* '{1,2}': an array in an array cannot be taken apart. */
static void put_numbers(struct pg_args *args, const uint64_t *numbers, size_t count)
{
    struct text text = {0};
    text_add_char(&text, '{');
    for (size_t i = 0; i < count; i++)
        add_number(&text, numbers[i]);
    text_add_char(&text, '}');
    pg_put_bytes(args, text_str(&text));
    text_free(&text);
}

static void add_once(uint64_t *numbers, size_t *count, uint64_t number)
{
    for (size_t i = 0; i < *count; i++)
        if (numbers[i] == number)
            return;
    numbers[(*count)++] = number;
}

/* Facts that cannot be read are an error of whoever reads the row; here they say nothing. */
static struct facts facts_in(const struct pg_row *row, struct arena *arena)
{
    struct facts facts;
    if (row->facts.len == 0 || facts_read(row->facts, arena, &facts, NULL))
        facts = (struct facts){0};
    return facts;
}

static void put_containers(struct pg_args *args, const struct pg_row *row)
{
    uint64_t numbers[KEPT_PLACES];
    size_t count = 0;
    struct arena *arena = arena_new(1024);
    struct facts facts = facts_in(row, arena);
    for (unsigned i = 0; i < row->run.count; i++)
        add_once(numbers, &count, row->run.holder[i].place.container);
    for (size_t i = 0; i < facts.attachment_count && count < KEPT_PLACES; i++)
        add_once(numbers, &count, facts.attachments[i].place.container);
    put_numbers(args, numbers, count);
    arena_free(arena);
}

static void put_terms(struct pg_args *args, const struct pg_row *row)
{
    uint64_t *terms = NULL;
    struct arena *arena = arena_new(1024);
    struct facts facts = facts_in(row, arena);
    struct filter_subject subject = {0};
    facts_subject(&facts, &subject);
    size_t count = pg_terms_of(&subject, arena, &terms);
    put_numbers(args, terms, count);
    arena_free(arena);
}

static void put_holders(struct pg_args *args, const struct pg_row *row)
{
    struct text text = {0};
    merge_write(row->run.holder, row->run.count, &text);
    pg_put_bytes(args, text_str(&text));
    text_free(&text);
}

static void put_long_or_null(struct pg_args *args, bool there, uint64_t number)
{
    if (there)
        pg_put_long(args, number);
    else
        pg_put_null(args);
}

/* Columns of ADD_ROWS and SET_ROWS, postgres_write.c. */
static const enum pg_type row_types[] = {
    PG_INT,  PG_UUID, PG_UUID, PG_UUID, PG_UUID,  PG_LONG,  PG_LONG, PG_LONG, PG_LONG, PG_LONG,
    PG_LONG, PG_INT,  PG_INT,  PG_INT,  PG_BYTEA, PG_BYTEA, PG_TEXT, PG_TEXT, PG_LONG};
enum { ROW_COLUMNS = sizeof row_types / sizeof *row_types };

static void put_cell(struct pg_args *args, const struct pg_slot *slot, size_t column)
{
    const struct pg_row *row = slot->now;
    const struct merged *run = &row->run;
    switch (column) {
    case 0:
        pg_put_int(args, slot->part);
        break;
    case 1:
        pg_put_bytes(args, (struct str){(const char *)slot->id.byte, sizeof slot->id.byte});
        break;
    case 2: /* of one with attachments only, all zero */
        pg_put_bytes(args, (struct str){(const char *)run->trace.byte, sizeof run->trace.byte});
        break;
    case 3:
        pg_put_uuid(args, run->parent);
        break;
    case 4:
        pg_put_uuid(args, row->project);
        break;
    case 5:
        pg_put_long(args, (uint64_t)run->start_us);
        break;
    case 6:
        put_long_or_null(args, run->end_us != RUN_RUNNING, (uint64_t)run->end_us);
        break;
    case 7:
        put_long_or_null(args, row->name != 0, row->name);
        break;
    case 8:
        pg_put_long(args, run->version);
        break;
    case 9:
    case 10:
        put_long_or_null(args, run->posted, run->post_hash[column - 9]);
        break;
    case 11:
        pg_put_int(args, (int32_t)run->type);
        break;
    case 12:
        pg_put_int(args, (int32_t)run->status);
        break;
    case 13:
        pg_put_int(args, (run->guessed ? PG_GUESSED : 0) | (row->by_default ? PG_BY_DEFAULT : 0));
        break;
    case 14:
        put_holders(args, row);
        break;
    case 15:
        pg_put_bytes(args, row->facts);
        break;
    case 16:
        put_containers(args, row);
        break;
    case 17:
        put_terms(args, row);
        break;
    default:
        pg_put_long(args, slot->change);
        break;
    }
}

static void add_rows(struct pg_args *args, struct pg_slot *const *slots, size_t count)
{
    for (size_t column = 0; column < ROW_COLUMNS; column++) {
        pg_begin_array(args, row_types[column], count);
        for (size_t i = 0; i < count; i++)
            put_cell(args, slots[i], column);
        pg_end_array(args);
    }
}

/* In pieces: the server writes one while we make the next. */
static void send_changed(struct pg_slot *const *slots, size_t count, bool are_new,
                         struct pg_conn *conn)
{
    for (size_t piece; count > 0; slots += piece, count -= piece) {
        struct pg_args args = {0};
        piece = count < PIECE ? count : PIECE;
        add_rows(&args, slots, piece);
        if (!are_new)
            pg_add_long(&args, piece);
        pg_send(conn, &pg_writer_statements[are_new ? PG_ADD_ROWS : PG_SET_ROWS], &args);
        pg_args_free(&args);
    }
}

static void send_rows(const struct pg_changes *c, struct pg_conn *conn)
{
    send_changed(c->added, c->added_count, true, conn);
    send_changed(c->changed, c->changed_count, false, conn);
}

/* --- entities ---------------------------------------------------------------------------- */

/* The name that no other may have while this one is there; at == NULL: none. */
static struct str taken_by(const struct pg_thing *thing)
{
    bool has =
        thing && !thing->removed && !thing->apart && entity_has_unique_name(thing->entity.kind);
    return has ? thing->entity.name : (struct str){0};
}

static bool lets_go(const struct pg_item *item)
{
    struct str was = taken_by(item->was), now = taken_by(item->now);
    return was.at && !(now.at && str_eq(was, now));
}

/* Names are let go of before others take them. */
static void send_let_go(const struct pg_changes *c, struct pg_conn *conn)
{
    struct pg_args args = {0};
    size_t count = 0;
    for (size_t i = 0; i < c->said_count; i++)
        count += lets_go(c->said[i]);
    if (count == 0)
        return;
    for (int column = 0; column < 2; column++) {
        pg_begin_array(&args, column ? PG_UUID : PG_INT, count);
        for (size_t i = 0; i < c->said_count; i++) {
            if (!lets_go(c->said[i]))
                continue;
            if (column)
                pg_put_uuid(&args, c->said[i]->id);
            else
                pg_put_int(&args, (int32_t)c->said[i]->kind);
        }
        pg_end_array(&args);
    }
    pg_send(conn, &pg_writer_statements[PG_LET_TITLES_GO], &args);
    pg_args_free(&args);
}

static void put_str(struct pg_args *args, struct str bytes)
{
    if (bytes.at)
        pg_put_bytes(args, bytes);
    else
        pg_put_null(args);
}

static void put_folded(struct pg_args *args, struct str name)
{
    struct text text = {0};
    if (name.at)
        text.len = fold(name, text_room(&text, FOLD_GROWTH * name.len + 1));
    if (name.at)
        pg_put_bytes(args, text_str(&text));
    else
        pg_put_null(args);
    text_free(&text);
}

/* Columns of ADD_ITEMS and SET_ITEMS, postgres_write.c. */
static const enum pg_type item_types[] = {PG_INT,   PG_UUID,  PG_UUID, PG_LONG,  PG_LONG, PG_INT,
                                          PG_BYTEA, PG_BYTEA, PG_TEXT, PG_BYTEA, PG_LONG, PG_INT};
enum { ITEM_COLUMNS = sizeof item_types / sizeof *item_types };

static void put_item_cell(struct pg_args *args, const struct pg_item *item, size_t column)
{
    const struct entity *e = &item->now->entity;
    switch (column) {
    case 0:
        pg_put_int(args, (int32_t)item->kind);
        break;
    case 1:
        pg_put_bytes(args, (struct str){(const char *)item->id.byte, sizeof item->id.byte});
        break;
    case 2:
        pg_put_uuid(args, e->parent);
        break;
    case 3:
        pg_put_long(args, (uint64_t)e->made_us);
        break;
    case 4:
        pg_put_long(args, e->version);
        break;
    case 5:
        pg_put_int(args, item->now->removed);
        break;
    case 6:
        put_str(args, e->name);
        break;
    case 7:
        put_str(args, taken_by(item->now));
        break;
    case 8:
        put_folded(args, e->name);
        break;
    case 9:
        pg_put_bytes(args, e->json);
        break;
    case 10:
        put_long_or_null(args, item->was, item->was ? item->was->entity.version : 0);
        break;
    default:
        pg_put_int(args, part_of(e->parent));
        break;
    }
}

static void add_items(struct pg_args *args, struct pg_item *const *items, size_t count)
{
    for (size_t column = 0; column < ITEM_COLUMNS; column++) {
        pg_begin_array(args, item_types[column], count);
        for (size_t i = 0; i < count; i++)
            put_item_cell(args, items[i], column);
        pg_end_array(args);
    }
}

static void send_items(const struct pg_changes *c, struct pg_conn *conn)
{
    struct pg_args args = {0};
    send_let_go(c, conn);
    if (c->said_count > 0) {
        add_items(&args, c->said, c->said_count);
        pg_add_long(&args, c->said_count);
        pg_send(conn, &pg_writer_statements[PG_SET_ITEMS], &args);
        pg_args_free(&args);
    }
    if (c->made_count > 0) {
        add_items(&args, c->made, c->made_count);
        pg_send(conn, &pg_writer_statements[PG_ADD_ITEMS], &args);
        pg_args_free(&args);
    }
}

/* --- all of it --------------------------------------------------------------------------------- */

uint64_t pg_put(const struct pg_ledger *ledger, bool others, struct pg_conn *conn)
{
    struct pg_changes c;
    find_changes(ledger, &c);
    if (others)
        pg_wait_lock(&c, conn);
    send_rows(&c, conn);
    send_items(&c, conn);
    pg_wait_send(&c, conn);
    if (others)
        pg_wait_see(ledger, &c, conn);
    uint64_t added = c.added_count;
    free_changes(&c);
    return added;
}
