/* postgres_ledger.c - see postgres_ledger.h. */
#include "index/postgres_ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/hash.h"
#include "index/postgres_part.h"

enum { KEY_RUN = 'r', KEY_ENTITY = 'e', KEY_NAME = 'n', KEY_HEAD = 2, FIRST_BLOCK = 4096 };

void pg_ledger_open(struct pg_ledger *ledger, uint64_t seed)
{
    *ledger = (struct pg_ledger){.seed = seed, .arena = arena_new(FIRST_BLOCK)};
}

void pg_ledger_clear(struct pg_ledger *ledger)
{
    arena_free(ledger->arena);
    intern_clear(&ledger->index);
    free(ledger->slots.at);
    free(ledger->items.at);
    free(ledger->titles.at);
    free(ledger->undo.at);
    *ledger = (struct pg_ledger){0};
}

static void *grown(void *at, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return at;
    *cap = *cap ? 2 * *cap : 64;
    at = realloc(at, *cap * size);
    if (!at)
        abort();
    return at;
}

#define APPEND(list, value)                                                                        \
    ((list)->at = grown((list)->at, (list)->count, &(list)->cap, sizeof *(list)->at),              \
     (list)->at[(list)->count++] = (value))

/* --- keys ---------------------------------------------------------------------------- */

/* Its position among its like, from 1; `next` when the key is new. */
static uint64_t position(struct pg_ledger *l, char what, int kind, struct str rest, uint64_t next)
{
    char few[KEY_HEAD + sizeof(struct uuid)];
    char *key = rest.len <= sizeof(struct uuid) ? few : malloc(KEY_HEAD + rest.len);
    if (!key)
        abort();
    key[0] = what;
    key[1] = (char)kind;
    if (rest.len > 0)
        memcpy(key + KEY_HEAD, rest.at, rest.len);
    struct str whole = {key, KEY_HEAD + rest.len};
    uint64_t hash = hash_bytes(l->seed, whole.at, whole.len);
    uint64_t found = intern_get(&l->index, hash, whole);
    if (!found)
        intern_put(&l->index, hash, whole, next);
    if (key != few)
        free(key);
    return found ? found : next;
}

static struct str bytes_of(const struct uuid *id)
{
    return (struct str){(const char *)id->byte, sizeof id->byte};
}

struct pg_slot *pg_ledger_slot(struct pg_ledger *l, struct uuid id)
{
    uint64_t n = position(l, KEY_RUN, 0, bytes_of(&id), l->slots.count + 1);
    if (n > l->slots.count) {
        struct pg_slot *slot = arena_make(l->arena, struct pg_slot, 1);
        slot->id = id;
        slot->part = part_of(id);
        APPEND(&l->slots, slot);
    }
    return l->slots.at[n - 1];
}

struct pg_item *pg_ledger_item(struct pg_ledger *l, enum entity_kind kind, struct uuid id)
{
    uint64_t n = position(l, KEY_ENTITY, (int)kind, bytes_of(&id), l->items.count + 1);
    if (n > l->items.count) {
        struct pg_item *item = arena_make(l->arena, struct pg_item, 1);
        item->kind = kind;
        item->id = id;
        APPEND(&l->items, item);
    }
    return l->items.at[n - 1];
}

struct pg_title *pg_ledger_title(struct pg_ledger *l, enum entity_kind kind, struct str name)
{
    uint64_t n = position(l, KEY_NAME, (int)kind, name, l->titles.count + 1);
    if (n > l->titles.count) {
        struct pg_title *title = arena_make(l->arena, struct pg_title, 1);
        title->kind = kind;
        title->name = arena_copy(l->arena, name);
        APPEND(&l->titles, title);
    }
    return l->titles.at[n - 1];
}

/* --- what there is --------------------------------------------------------------------- */

const struct pg_row *pg_ledger_row(struct pg_ledger *l, struct uuid id)
{
    const struct pg_slot *slot = pg_ledger_slot(l, id);
    if (!slot->known)
        l->missing = true;
    return slot->now;
}

const struct pg_thing *pg_ledger_thing(struct pg_ledger *l, enum entity_kind kind, struct uuid id)
{
    const struct pg_item *item = pg_ledger_item(l, kind, id);
    if (!item->known)
        l->missing = true;
    return item->now;
}

static bool bears(const struct pg_thing *thing, struct str name)
{
    return thing && !thing->removed && !thing->apart && thing->entity.name.at &&
           str_eq(thing->entity.name, name);
}

const struct pg_thing *pg_ledger_named(struct pg_ledger *l, enum entity_kind kind, struct str name)
{
    const struct pg_title *title = pg_ledger_title(l, kind, name);
    if (!title->known)
        l->missing = true;
    for (const struct pg_bearer *b = title->bearers; b; b = b->next)
        if (bears(b->item->now, name))
            return b->item->now;
    return NULL;
}

/* --- what changes ------------------------------------------------------------------------ */

/* Whoever it waits for knows of it, once. */
static void list_waiter(struct pg_ledger *l, struct pg_slot *slot)
{
    const struct pg_row *row = slot->now;
    if (!pg_row_waits(row) || uuid_compare(slot->listed, row->run.trace) == 0)
        return;
    struct pg_slot *awaited = pg_ledger_slot(l, row->run.trace);
    struct pg_waiter *waiter = arena_make(l->arena, struct pg_waiter, 1);
    *waiter = (struct pg_waiter){slot, awaited->waiters};
    awaited->waiters = waiter;
    slot->listed = row->run.trace;
}

static void list_bearer(struct pg_ledger *l, struct pg_item *item)
{
    const struct pg_thing *thing = item->now;
    if (!thing || !thing->entity.name.at || !entity_has_unique_name(item->kind))
        return;
    struct pg_title *title = pg_ledger_title(l, item->kind, thing->entity.name);
    struct pg_bearer *bearer = arena_make(l->arena, struct pg_bearer, 1);
    *bearer = (struct pg_bearer){item, title->bearers};
    title->bearers = bearer;
}

void pg_ledger_set_row(struct pg_ledger *l, struct pg_slot *slot, const struct pg_row *row)
{
    struct pg_row *copy = arena_make(l->arena, struct pg_row, 1);
    *copy = *row;
    APPEND(&l->undo, ((struct pg_undo){.slot = slot, .before = slot->now}));
    slot->now = copy;
    list_waiter(l, slot);
}

void pg_ledger_set_thing(struct pg_ledger *l, const struct pg_thing *thing)
{
    struct pg_item *item = pg_ledger_item(l, thing->entity.kind, thing->entity.id);
    struct pg_thing *copy = arena_make(l->arena, struct pg_thing, 1);
    *copy = *thing;
    APPEND(&l->undo, ((struct pg_undo){.item = item, .before = item->now}));
    item->now = copy;
    list_bearer(l, item);
}

void pg_ledger_has_row(struct pg_ledger *l, struct pg_slot *slot, const struct pg_row *row,
                       uint64_t change)
{
    if (slot->known) /* before: if it is another one now, the commit will see */
        return;
    assert(!slot->now);
    struct pg_row *copy = arena_make(l->arena, struct pg_row, 1);
    *copy = *row;
    slot->known = true;
    slot->change = change;
    slot->was = slot->now = copy;
    list_waiter(l, slot);
}

void pg_ledger_has_thing(struct pg_ledger *l, const struct pg_thing *thing)
{
    struct pg_item *item = pg_ledger_item(l, thing->entity.kind, thing->entity.id);
    if (item->known)
        return;
    assert(!item->now);
    struct pg_thing *copy = arena_make(l->arena, struct pg_thing, 1);
    *copy = *thing;
    item->known = true;
    item->was = item->now = copy;
    list_bearer(l, item);
}

struct pg_slot *pg_ledger_next_waiter(const struct pg_slot *awaited, struct pg_waiter **at)
{
    for (*at = *at ? (*at)->next : awaited->waiters; *at; *at = (*at)->next) {
        const struct pg_row *row = (*at)->slot->now;
        if (pg_row_waits(row) && uuid_compare(row->run.trace, awaited->id) == 0)
            return (*at)->slot;
    }
    return NULL;
}

size_t pg_ledger_point(const struct pg_ledger *l)
{
    return l->undo.count;
}

void pg_ledger_back(struct pg_ledger *l, size_t point)
{
    while (l->undo.count > point) {
        const struct pg_undo *undo = &l->undo.at[--l->undo.count];
        if (undo->slot)
            undo->slot->now = undo->before;
        else
            undo->item->now = undo->before;
    }
}
