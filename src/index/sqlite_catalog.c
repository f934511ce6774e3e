/* sqlite_catalog.c - see sqlite_catalog.h. */
#include "index/sqlite_catalog.h"

#include "index/hash.h"
#include "index/sqlite_db.h"
#include "run/project.h"
#include "wire/json_string.h"

enum { REMEMBERED_MAX = 16384, REMEMBERED_BYTES_MAX = 4 << 20 };

int catalog_open(struct catalog *catalog, sqlite3 *db, struct err *err)
{
    *catalog = (struct catalog){.db = db};
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&catalog->get, "SELECT number, removed, version, made_us, json, parent FROM entity"
                        " WHERE kind = ?1 AND id = ?2"},
        {&catalog->named, "SELECT number, id FROM entity WHERE kind = ?1 AND name = ?2"
                          " AND removed = 0 ORDER BY number DESC LIMIT 1"},
        {&catalog->add, "INSERT INTO entity VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
        {&catalog->set, "UPDATE entity SET kind = ?2, id = ?3, parent = ?4, name = ?5,"
                        " made_us = ?6, version = ?7, removed = ?8, json = ?9 WHERE number = ?1"},
        {&catalog->cut, "DELETE FROM entity WHERE number > ?1"},
    };
    int r = 0;
    for (size_t i = 0; !r && i < sizeof statements / sizeof *statements; i++)
        r = db_prepare(db, statements[i].sql, statements[i].statement, err);
    return r;
}

void catalog_close(struct catalog *catalog)
{
    sqlite3_finalize(catalog->get);
    sqlite3_finalize(catalog->named);
    sqlite3_finalize(catalog->add);
    sqlite3_finalize(catalog->set);
    sqlite3_finalize(catalog->cut);
    catalog_forget(catalog);
    text_free(&catalog->text);
    *catalog = (struct catalog){0};
}

void catalog_forget(struct catalog *catalog)
{
    intern_clear(&catalog->names);
    intern_clear(&catalog->ids);
}

int catalog_load(struct catalog *catalog, struct err *err)
{
    int64_t count = 0;
    int r = db_ask(catalog->db, "SELECT max(number) FROM entity", &count, err);
    catalog->count = (uint64_t)count;
    catalog_forget(catalog);
    return r;
}

int catalog_cut(struct catalog *catalog, uint64_t count, struct err *err)
{
    if (count == catalog->count)
        return 0;
    (void)sqlite3_bind_int64(catalog->cut, 1, (int64_t)count); /* cannot fail */
    catalog->count = count;
    catalog_forget(catalog);
    return db_run(catalog->cut, "take entities out again", err);
}

/* --- one entity ------------------------------------------------------------------ */

/* Of one that is there, or was. */
struct known {
    uint64_t number; /* 0: there never was one */
    bool removed, same_json;
    uint64_t version;
    int64_t made_us;
    struct uuid parent;
};

static int get(struct catalog *catalog, enum entity_kind kind, struct uuid id, struct str json,
               struct known *known, struct err *err)
{
    sqlite3_stmt *s = catalog->get;
    bool row = false;
    *known = (struct known){0};
    (void)sqlite3_bind_int(s, 1, (int)kind); /* these binds cannot fail */
    (void)sqlite3_bind_blob(s, 2, id.byte, sizeof id.byte, SQLITE_STATIC);
    int r = db_step(s, &row, "look an entity up", err);
    if (r || !row)
        return r;
    struct str there = {sqlite3_column_blob(s, 4), (size_t)sqlite3_column_bytes(s, 4)};
    *known = (struct known){
        .number = (uint64_t)sqlite3_column_int64(s, 0),
        .removed = sqlite3_column_int(s, 1) != 0,
        .same_json = there.len > 0 && str_eq(there, json),
        .version = (uint64_t)sqlite3_column_int64(s, 2),
        .made_us = sqlite3_column_int64(s, 3),
    };
    if (sqlite3_column_bytes(s, 5) == sizeof known->parent.byte)
        memcpy(known->parent.byte, sqlite3_column_blob(s, 5), sizeof known->parent.byte);
    (void)sqlite3_reset(s); /* no step failed */
    return 0;
}

/* The one that has this name now; number 0: none. */
static int find_named(struct catalog *catalog, enum entity_kind kind, struct str name,
                      uint64_t *number, struct uuid *id, struct err *err)
{
    sqlite3_stmt *s = catalog->named;
    bool row = false;
    *number = 0;
    (void)sqlite3_bind_int(s, 1, (int)kind); /* these binds cannot fail */
    (void)sqlite3_bind_blob64(s, 2, name.len ? name.at : "", name.len, SQLITE_STATIC);
    int r = db_step(s, &row, "look a name up", err);
    if (r || !row)
        return r;
    *number = (uint64_t)sqlite3_column_int64(s, 0);
    if (sqlite3_column_bytes(s, 1) == sizeof id->byte)
        memcpy(id->byte, sqlite3_column_blob(s, 1), sizeof id->byte);
    (void)sqlite3_reset(s); /* no step failed */
    return 0;
}

/* Write it, at a new number when `number` is 0. */
static int write(struct catalog *catalog, uint64_t *number, const struct entity *entity,
                 bool removed, struct err *err)
{
    bool fresh = *number == 0;
    sqlite3_stmt *s = fresh ? catalog->add : catalog->set;
    if (fresh)
        *number = ++catalog->count;
    (void)sqlite3_bind_int64(s, 1, (int64_t)*number); /* these binds cannot fail */
    (void)sqlite3_bind_int(s, 2, (int)entity->kind);
    (void)sqlite3_bind_blob(s, 3, entity->id.byte, sizeof entity->id.byte, SQLITE_STATIC);
    (void)sqlite3_bind_blob(s, 4, entity->parent.byte, sizeof entity->parent.byte, SQLITE_STATIC);
    if (entity->name.at)
        (void)sqlite3_bind_blob64(s, 5, entity->name.at, entity->name.len, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, 5);
    (void)sqlite3_bind_int64(s, 6, entity->made_us);
    (void)sqlite3_bind_int64(s, 7, (int64_t)entity->version);
    (void)sqlite3_bind_int(s, 8, removed);
    (void)sqlite3_bind_blob64(s, 9, entity->json.len ? entity->json.at : "", entity->json.len,
                              SQLITE_STATIC);
    return db_run(s, "write an entity", err);
}

/* --- projects of runs ------------------------------------------------------------- */

static int make_project(struct catalog *catalog, struct uuid id, struct str name,
                        const struct run *run, uint64_t sequence, uint64_t *number, struct err *err)
{
    const struct entity project = {
        .kind = ENTITY_PROJECT,
        .id = id,
        .name = name,
        .made_us = run->start_us,
        .version = sequence,
    };
    *number = 0;
    return write(catalog, number, &project, false, err);
}

static int project_named(struct catalog *catalog, struct str name, const struct run *run,
                         uint64_t sequence, uint64_t *number, struct err *err)
{
    struct uuid id = {0};
    int r = find_named(catalog, ENTITY_PROJECT, name, number, &id, err);
    if (r || *number)
        return r;
    struct known known;
    unsigned nth = 0;
    do {
        id = entity_project_id(name, nth++);
        r = get(catalog, ENTITY_PROJECT, id, (struct str){0}, &known, err);
    } while (!r && known.number);
    return r ? r : make_project(catalog, id, name, run, sequence, number, err);
}

static int project_of_id(struct catalog *catalog, struct uuid id, const struct run *run,
                         uint64_t sequence, uint64_t *number, bool *removed, struct err *err)
{
    struct known known;
    char text[UUID_TEXT];
    int r = get(catalog, ENTITY_PROJECT, id, (struct str){0}, &known, err);
    *number = known.number;
    *removed = known.removed;
    if (r || known.number)
        return r;
    uuid_write(id, text);
    return make_project(catalog, id, (struct str){text, sizeof text}, run, sequence, number, err);
}

static void make_room(struct intern *intern)
{
    if (intern->count > REMEMBERED_MAX || intern->bytes > REMEMBERED_BYTES_MAX)
        intern_clear(intern);
}

bool catalog_is_named(struct catalog *catalog, const struct run *run)
{
    struct uuid id;
    catalog->text.len = 0;
    return project_said(run, &catalog->text, &id) != PROJECT_UNSAID;
}

int catalog_project(struct catalog *catalog, const struct run *run, uint64_t sequence,
                    uint64_t *number, bool *by_default, struct err *err)
{
    struct uuid id;
    catalog->text.len = 0;
    enum project_said said = project_said(run, &catalog->text, &id);
    bool by_id = said == PROJECT_BY_ID;
    *by_default = said == PROJECT_UNSAID;
    struct str key = by_id         ? (struct str){(const char *)id.byte, sizeof id.byte}
                     : *by_default ? STR("default")
                                   : text_str(&catalog->text);
    struct intern *known = by_id ? &catalog->ids : &catalog->names;
    uint64_t hash = hash_bytes(catalog->seed, key.at, key.len);
    *number = intern_get(known, hash, key);
    if (*number)
        return 0;
    bool removed = false;
    int r = by_id ? project_of_id(catalog, id, run, sequence, number, &removed, err)
                  : project_named(catalog, key, run, sequence, number, err);
    if (r || removed)
        return r;
    make_room(known);
    intern_put(known, hash, key, *number);
    return 0;
}

int catalog_is_gone(struct catalog *catalog, const struct run *run, bool *gone, struct err *err)
{
    struct uuid id;
    struct known known;
    *gone = false;
    if (!project_is_by_id(run, &id))
        return 0;
    struct str key = {(const char *)id.byte, sizeof id.byte};
    if (intern_get(&catalog->ids, hash_bytes(catalog->seed, key.at, key.len), key))
        return 0;
    int r = get(catalog, ENTITY_PROJECT, id, (struct str){0}, &known, err);
    *gone = !r && known.removed;
    return r;
}

/* --- entities that are sent --------------------------------------------------------- */

static struct entity entity_of(struct catalog *catalog, const struct run *run, uint64_t sequence)
{
    struct entity entity = {
        .kind = (enum entity_kind)run->entity,
        .id = run->id,
        .parent = run->parent,
        .made_us = run->start_us,
        .version = sequence,
        .json = run->raw,
    };
    struct str name = run_field(run, RUN_NAME);
    if (name.len < 2 || name.at[0] != '"')
        return entity;
    catalog->text.len = 0;
    char *room = text_room(&catalog->text, name.len);
    entity.name.len = json_string_decode((struct str){name.at + 1, name.len - 2}, room);
    entity.name.at = room;
    return entity;
}

static int is_refused(struct catalog *catalog, const struct known *known,
                      const struct entity *entity, uint64_t expect, bool *refused, struct err *err)
{
    uint64_t version = known->number && !known->removed ? known->version : 0, number = 0;
    struct uuid other = {0};
    *refused = (expect != RECORD_ANY && expect != version) ||
               (known->number && known->removed && entity_stays_removed(entity->kind));
    if (*refused || !entity->name.at || !entity_has_unique_name(entity->kind))
        return 0;
    int r = find_named(catalog, entity->kind, entity->name, &number, &other, err);
    *refused = number != 0 && uuid_compare(other, entity->id) != 0;
    return r;
}

/* Readers remember projects, and whether anything was deleted. */
static void note_change(struct catalog *catalog, enum entity_kind kind)
{
    if (kind == ENTITY_PROJECT)
        catalog_forget(catalog);
    if (kind == ENTITY_PROJECT || kind == ENTITY_GONE_RUN || kind == ENTITY_GONE_TRACE)
        catalog->changes++;
}

int catalog_put(struct catalog *catalog, const struct run *run, uint64_t sequence, uint64_t expect,
                enum index_verdict *verdict, struct uuid about[2], struct err *err)
{
    struct entity entity = entity_of(catalog, run, sequence);
    bool removed = run->raw.len == 0, refused = false;
    struct known known;
    int r = get(catalog, entity.kind, entity.id, entity.json, &known, err);
    if (r)
        return r;
    bool there = known.number != 0;
    *verdict = INDEX_DUPLICATE;
    if (there && known.removed == removed && known.same_json &&
        uuid_compare(known.parent, entity.parent) == 0)
        return 0;
    if (removed && (!there || known.removed))
        return 0;
    if (!removed)
        r = is_refused(catalog, &known, &entity, expect, &refused, err);
    if (r || refused) {
        *verdict = INDEX_CONFLICT;
        return r;
    }
    if (there)
        entity.made_us = known.made_us;
    if (removed)
        entity.parent = known.parent;
    *verdict = INDEX_ADDED;
    if (entity.kind == ENTITY_FEEDBACK || entity.kind == ENTITY_SHARE) {
        about[0] = entity.parent;
        if (there && !known.removed && uuid_compare(known.parent, entity.parent) != 0)
            about[1] = known.parent;
    }
    note_change(catalog, entity.kind);
    return write(catalog, &known.number, &entity, removed, err);
}
