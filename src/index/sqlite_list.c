/* sqlite_list.c - a page of entities of a kind, newest first.
 *
 * Looked at are the ids that are asked for; else those of each parent, else of the name, else
 * all, in the order of the page and after its cursor.  What is asked is tested of each; a heap
 * keeps the newest, and when it is full an older one ends the walk.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/fold.h"
#include "index/sqlite_db.h"
#include "index/sqlite_read.h"

/* An entity that may be on the page. */
struct listed {
    struct entity_cursor at;
    uint64_t number;
};

/* Ids in ascending order, each once. */
struct ids {
    struct uuid *at; /* NULL: any */
    size_t count;
};

struct list {
    struct reader *reader;
    const struct index_entities *asked;
    struct ids ids, parents;
    struct str wanted;  /* folded; at == NULL: any */
    struct uuid parent; /* whose children were looked at last, and whether they are orphans */
    bool has_parent, orphan;
    struct listed *heap; /* the oldest on top */
    size_t count, most, cap;
};

/* --- the newest ------------------------------------------------------------------------- */

/* Newest first: -1 when `a` comes before `b`. */
static int order(struct entity_cursor a, struct entity_cursor b)
{
    if (a.made_us != b.made_us)
        return a.made_us > b.made_us ? -1 : 1;
    return -uuid_compare(a.id, b.id);
}

static int by_order(const void *a, const void *b)
{
    return order(((const struct listed *)a)->at, ((const struct listed *)b)->at);
}

/* Nothing older is wanted than what is there. */
static bool is_enough(const struct list *list, struct entity_cursor at)
{
    return list->count == list->most && order(at, list->heap[0].at) >= 0;
}

static void swap(struct listed *a, struct listed *b)
{
    struct listed other = *a;
    *a = *b;
    *b = other;
}

static void sink(struct list *list)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < list->count; i = child) {
        if (child + 1 < list->count && by_order(&list->heap[child + 1], &list->heap[child]) > 0)
            child++;
        if (by_order(&list->heap[i], &list->heap[child]) >= 0)
            return;
        swap(&list->heap[i], &list->heap[child]);
    }
}

/* One that is newer than the oldest, or there is room. */
static void keep(struct list *list, struct listed listed)
{
    if (list->count == list->most) {
        list->heap[0] = listed;
        sink(list);
        return;
    }
    if (list->count == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 64;
        list->heap = realloc(list->heap, list->cap * sizeof *list->heap);
        if (!list->heap)
            abort();
    }
    size_t i = list->count++;
    list->heap[i] = listed;
    for (; i > 0 && by_order(&list->heap[i], &list->heap[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        swap(&list->heap[i], &list->heap[(i - 1) / 2]);
}

/* --- is it asked for? ------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

static struct ids sorted(const struct uuid *ids, size_t count, struct arena *arena)
{
    if (!ids)
        return (struct ids){0};
    struct ids result = {.at = arena_make(arena, struct uuid, count + 1)};
    if (count > 0)
        memcpy(result.at, ids, count * sizeof *ids);
    qsort(result.at, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || uuid_compare(result.at[i], result.at[result.count - 1]) != 0)
            result.at[result.count++] = result.at[i];
    return result;
}

static bool is_among(struct uuid id, const struct ids *ids)
{
    return !ids->at || bsearch(&id, ids->at, ids->count, sizeof id, by_id);
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

/* Keep the entity at hand if it is asked for; true in *enough: no older one is. */
static int consider(struct list *list, sqlite3_stmt *s, bool *enough, struct err *err)
{
    const struct index_entities *asked = list->asked;
    struct str name = {sqlite3_column_blob(s, AT_NAME), (size_t)sqlite3_column_bytes(s, AT_NAME)};
    bool named = sqlite3_column_type(s, AT_NAME) != SQLITE_NULL, orphan = false;
    struct uuid parent = uuid_at(s, AT_PARENT);
    const struct listed listed = {
        .at = {sqlite3_column_int64(s, AT_MADE), uuid_at(s, AT_ID)},
        .number = (uint64_t)sqlite3_column_int64(s, AT_NUMBER),
    };
    *enough = is_enough(list, listed.at);
    if (*enough || (asked->after && order(listed.at, asked->cursor) <= 0) ||
        !is_among(listed.at.id, &list->ids) || !is_among(parent, &list->parents) ||
        (asked->name.at && !(named && str_eq(name, asked->name))) || !name_contains(list, name))
        return 0;
    int r = is_orphan(list, parent, &orphan, err);
    if (!r && !orphan)
        keep(list, listed);
    return r;
}

/* --- where they come from ------------------------------------------------------------- */

/* The rows of a statement, which come newest first; ?1 is the kind, ?2 more where `key` is
 * there, the last two where to begin. */
static int walk(struct list *list, sqlite3_stmt *s, const struct str *key, struct err *err)
{
    char last[sizeof(struct uuid) + 1]; /* beyond every id */
    const struct index_entities *asked = list->asked;
    const struct entity_cursor *from = &asked->cursor;
    bool row = false, enough = false;
    int at = 1, r = 0;
    memset(last, 0xff, sizeof last);
    (void)sqlite3_bind_int(s, at++, (int)asked->kind); /* these binds cannot fail */
    if (key)
        (void)sqlite3_bind_blob64(s, at++, key->at, key->len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, at++, asked->after ? from->made_us : INT64_MAX);
    if (asked->after)
        (void)sqlite3_bind_blob(s, at, from->id.byte, sizeof from->id.byte, SQLITE_STATIC);
    else
        (void)sqlite3_bind_blob(s, at, last, sizeof last, SQLITE_STATIC);
    while (!r && !enough && !(r = db_step(s, &row, "list entities", err)) && row)
        r = consider(list, s, &enough, err);
    (void)sqlite3_reset(s); /* of one that ended, nothing */
    return r;
}

static int walk_each(struct list *list, sqlite3_stmt *s, const struct ids *ids, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < ids->count; i++)
        r = walk(list, s, &(struct str){(const char *)ids->at[i].byte, sizeof ids->at[i].byte},
                 err);
    return r;
}

static int collect(struct list *list, struct err *err)
{
    struct reader *reader = list->reader;
    if (list->ids.at)
        return walk_each(list, reader->entity_by_id, &list->ids, err);
    if (list->parents.at)
        return walk_each(list, reader->entities_by_parent, &list->parents, err);
    if (list->asked->name.at)
        return walk(list, reader->entities_by_name, &list->asked->name, err);
    return walk(list, reader->entities_by_time, NULL, err);
}

/* --- the page ------------------------------------------------------------------------- */

/* The entity of this number, behind those on the page; false in *fits: it makes too many
 * bytes. */
static int read_one(struct reader *reader, struct index_entities *asked, uint64_t number,
                    size_t *bytes, bool *fits, struct err *err)
{
    sqlite3_stmt *s = reader->entity;
    bool row = false;
    (void)sqlite3_bind_int64(s, 1, (int64_t)number); /* cannot fail */
    int r = db_step(s, &row, "read an entity", err);
    if (!r && !row)
        r = err_set(err, ERR_CORRUPT, "entity %" PRIu64 " is missing; run `rundlet reindex`",
                    number);
    if (r)
        return r;
    struct str name = {sqlite3_column_blob(s, AT_NAME), (size_t)sqlite3_column_bytes(s, AT_NAME)};
    struct str json = {0};
    if (!asked->bare)
        json =
            (struct str){sqlite3_column_blob(s, AT_JSON), (size_t)sqlite3_column_bytes(s, AT_JSON)};
    *bytes += name.len + json.len;
    *fits = asked->count == 0 || asked->bytes == 0 || *bytes <= asked->bytes;
    if (*fits) {
        struct entity *entity = &asked->entities[asked->count++];
        *entity = (struct entity){
            .kind = asked->kind,
            .id = uuid_at(s, AT_ID),
            .parent = uuid_at(s, AT_PARENT),
            .made_us = sqlite3_column_int64(s, AT_MADE),
            .version = (uint64_t)sqlite3_column_int64(s, AT_VERSION),
        };
        if (sqlite3_column_type(s, AT_NAME) != SQLITE_NULL)
            entity->name = arena_copy(asked->arena, name);
        if (json.len > 0)
            entity->json = arena_copy(asked->arena, json);
    }
    (void)sqlite3_reset(s); /* no step failed */
    return 0;
}

static int read_page(struct list *list, struct index_entities *asked, struct err *err)
{
    size_t bytes = 0, count = list->count < asked->limit ? list->count : asked->limit;
    bool fits = true;
    int r = 0;
    if (list->count > 0)
        qsort(list->heap, list->count, sizeof *list->heap, by_order);
    asked->entities = arena_make(asked->arena, struct entity, count);
    for (size_t i = 0; !r && fits && i < count; i++)
        r = read_one(list->reader, asked, list->heap[i].number, &bytes, &fits, err);
    asked->more = asked->count < list->count;
    if (asked->count > 0)
        asked->cursor = list->heap[asked->count - 1].at;
    return r;
}

int reader_entities(struct reader *reader, struct index_entities *asked, struct err *err)
{
    struct list list = {
        .reader = reader,
        .asked = asked,
        .ids = sorted(asked->ids, asked->id_count, asked->arena),
        .parents = sorted(asked->parents, asked->parent_count, asked->arena),
        .most = (size_t)asked->limit + 1,
    };
    asked->count = 0;
    if (asked->name_contains.at) {
        char *room = arena_alloc(asked->arena, FOLD_GROWTH * asked->name_contains.len + 1);
        list.wanted = (struct str){room, fold(asked->name_contains, room)};
    }
    int r = collect(&list, err);
    if (!r)
        r = read_page(&list, asked, err);
    if (r)
        asked->count = 0;
    free(list.heap);
    return r;
}
