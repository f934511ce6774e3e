/* sqlite_list.c - entities of a kind, newest first.
 *
 * From the ids, the name or the parents that are asked for, else all in the order of the
 * page, as far as it goes.  All that is asked is tested of each.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "index/fold.h"
#include "index/sqlite_db.h"
#include "index/sqlite_read.h"

/* An entity that is on the list. */
struct listed {
    int64_t made_us;
    struct uuid id;
    uint64_t number;
};

struct list {
    struct reader *reader;
    struct index_entities *asked;
    struct str wanted;  /* folded; at == NULL: any */
    struct uuid parent; /* whose children were looked at last, and whether they are orphans */
    bool has_parent, orphan;
    struct listed *at;
    size_t count, cap;
};

/* --- is it asked for? ------------------------------------------------------------- */

static bool is_among(struct uuid id, const struct uuid *ids, size_t count)
{
    for (size_t i = 0; ids && i < count; i++)
        if (uuid_compare(id, ids[i]) == 0)
            return true;
    return ids == NULL;
}

static bool name_contains(const struct list *list, struct str name)
{
    if (!list->wanted.at)
        return true;
    struct arena *arena = arena_new(256 + FOLD_GROWTH * name.len);
    char *room = arena_alloc(arena, FOLD_GROWTH * name.len + 1);
    bool is = fold_contains((struct str){room, fold(name, room)}, list->wanted);
    arena_free(arena);
    return is;
}

/* Is the run or the dataset that it belongs to gone? */
static int look_for_parent(struct list *list, struct uuid parent, bool *orphan, struct err *err)
{
    struct reader *reader = list->reader;
    enum entity_kind kind = list->asked->kind;
    bool there = false, shown = true;
    *orphan = false;
    if (kind == ENTITY_EXAMPLE) {
        int r = reader_has_entity(reader, ENTITY_DATASET, parent, &there, err);
        *orphan = !there;
        return r;
    }
    if (kind != ENTITY_FEEDBACK && kind != ENTITY_SHARE && kind != ENTITY_TOKEN)
        return 0;
    struct row row;
    int r = reader_row_of(reader, parent, &row, &there, err);
    if (!r && there && row.run.count > 0)
        r = reader_is_shown(reader, &row, &shown, err);
    *orphan = !shown;
    return r;
}

/* The same; those of one parent often follow each other. */
static int is_orphan(struct list *list, struct uuid parent, bool *orphan, struct err *err)
{
    int r = 0;
    if (!list->has_parent || uuid_compare(list->parent, parent) != 0) {
        r = look_for_parent(list, parent, &list->orphan, err);
        list->parent = parent;
        list->has_parent = r == 0;
    }
    *orphan = list->orphan;
    return r;
}

/* Columns of what is listed; the JSON stands behind them where it is read. */
enum { AT_NUMBER, AT_ID, AT_PARENT, AT_NAME, AT_MADE, AT_VERSION, AT_JSON };

static struct uuid uuid_at(sqlite3_stmt *s, int column)
{
    struct uuid id = {0};
    if (sqlite3_column_bytes(s, column) == sizeof id.byte)
        memcpy(id.byte, sqlite3_column_blob(s, column), sizeof id.byte);
    return id;
}

static void add(struct list *list, struct listed listed)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 64;
        list->at = realloc(list->at, list->cap * sizeof *list->at);
        if (!list->at)
            abort();
    }
    list->at[list->count++] = listed;
}

/* Add the entity at hand if it is asked for. */
static int consider(struct list *list, sqlite3_stmt *s, struct err *err)
{
    const struct index_entities *asked = list->asked;
    struct str name = {sqlite3_column_blob(s, AT_NAME), (size_t)sqlite3_column_bytes(s, AT_NAME)};
    bool named = sqlite3_column_type(s, AT_NAME) != SQLITE_NULL, orphan = false;
    struct uuid parent = uuid_at(s, AT_PARENT);
    const struct listed listed = {
        .made_us = sqlite3_column_int64(s, AT_MADE),
        .id = uuid_at(s, AT_ID),
        .number = (uint64_t)sqlite3_column_int64(s, AT_NUMBER),
    };
    if (!is_among(listed.id, asked->ids, asked->id_count) ||
        !is_among(parent, asked->parents, asked->parent_count) ||
        (asked->name.at && !(named && str_eq(name, asked->name))) || !name_contains(list, name))
        return 0;
    int r = is_orphan(list, parent, &orphan, err);
    if (!r && !orphan)
        add(list, listed);
    return r;
}

/* All rows of a statement, or as many as there are to be listed. */
static int consider_all(struct list *list, sqlite3_stmt *s, size_t most, struct err *err)
{
    bool row = false;
    int r = 0;
    while (!r && list->count < most && !(r = db_step(s, &row, "list entities", err)) && row)
        r = consider(list, s, err);
    (void)sqlite3_reset(s); /* of one that ended, nothing */
    return r;
}

/* --- where they come from ------------------------------------------------------------- */

static int by_uuids(struct list *list, sqlite3_stmt *s, const struct uuid *ids, size_t count,
                    struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        (void)sqlite3_bind_int(s, 1, (int)list->asked->kind); /* these binds cannot fail */
        (void)sqlite3_bind_blob(s, 2, ids[i].byte, sizeof ids[i].byte, SQLITE_STATIC);
        r = consider_all(list, s, SIZE_MAX, err);
    }
    return r;
}

static int collect(struct list *list, struct err *err)
{
    const struct index_entities *asked = list->asked;
    struct reader *reader = list->reader;
    if (asked->ids)
        return by_uuids(list, reader->entity_by_id, asked->ids, asked->id_count, err);
    if (asked->name.at) {
        sqlite3_stmt *s = reader->entities_by_name;
        (void)sqlite3_bind_int(s, 1, (int)asked->kind); /* these binds cannot fail */
        (void)sqlite3_bind_blob64(s, 2, asked->name.at, asked->name.len, SQLITE_STATIC);
        return consider_all(list, s, SIZE_MAX, err);
    }
    if (asked->parents)
        return by_uuids(list, reader->entities_by_parent, asked->parents, asked->parent_count, err);
    (void)sqlite3_bind_int(reader->entities_by_time, 1, (int)asked->kind); /* cannot fail */
    return consider_all(list, reader->entities_by_time, (size_t)asked->offset + asked->limit, err);
}

/* --- the page ------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->made_us != y->made_us)
        return x->made_us > y->made_us ? -1 : 1;
    return -uuid_compare(x->id, y->id);
}

/* Ids and parents may be asked for twice. */
static void drop_doubles(struct list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || list->at[kept - 1].number != list->at[i].number)
            list->at[kept++] = list->at[i];
    list->count = kept;
}

static int read_one(struct list *list, uint64_t number, struct entity *entity, struct err *err)
{
    sqlite3_stmt *s = list->reader->entity;
    struct arena *arena = list->asked->arena;
    bool row = false;
    (void)sqlite3_bind_int64(s, 1, (int64_t)number); /* cannot fail */
    int r = db_step(s, &row, "read an entity", err);
    if (r || !row)
        return r;
    struct str name = {sqlite3_column_blob(s, AT_NAME), (size_t)sqlite3_column_bytes(s, AT_NAME)};
    struct str json = {sqlite3_column_blob(s, AT_JSON), (size_t)sqlite3_column_bytes(s, AT_JSON)};
    *entity = (struct entity){
        .kind = list->asked->kind,
        .id = uuid_at(s, AT_ID),
        .parent = uuid_at(s, AT_PARENT),
        .made_us = sqlite3_column_int64(s, AT_MADE),
        .version = (uint64_t)sqlite3_column_int64(s, AT_VERSION),
    };
    if (sqlite3_column_type(s, AT_NAME) != SQLITE_NULL)
        entity->name = arena_copy(arena, name);
    if (json.len > 0)
        entity->json = arena_copy(arena, json);
    (void)sqlite3_reset(s); /* no step failed */
    return 0;
}

int reader_entities(struct reader *reader, struct index_entities *asked, struct err *err)
{
    struct list list = {.reader = reader, .asked = asked};
    asked->count = 0;
    if (asked->name_contains.at) {
        char *room = arena_alloc(asked->arena, FOLD_GROWTH * asked->name_contains.len + 1);
        list.wanted = (struct str){room, fold(asked->name_contains, room)};
    }
    int r = collect(&list, err);
    if (!r && list.count > 0)
        qsort(list.at, list.count, sizeof *list.at, newest_first);
    drop_doubles(&list);
    size_t from = asked->offset < list.count ? asked->offset : list.count;
    size_t count = list.count - from < asked->limit ? list.count - from : asked->limit;
    asked->entities = arena_make(asked->arena, struct entity, count);
    for (size_t i = 0; !r && i < count; i++)
        r = read_one(&list, list.at[from + i].number, &asked->entities[i], err);
    asked->count = r ? 0 : count;
    free(list.at);
    return r;
}
