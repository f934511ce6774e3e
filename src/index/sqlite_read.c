/* sqlite_read.c - see sqlite_read.h.  Searching is in sqlite_search.c, asking in
 * sqlite_query.c, listing entities in sqlite_list.c. */
#include "index/sqlite_read.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/sqlite_db.h"

#define ENTITY_COLUMNS "number, id, parent, name, made_us, version" /* sqlite_list.c knows them */
#define ENTITIES_AFTER " AND removed = 0 AND (made_us, id) < (?, ?) ORDER BY made_us DESC, id DESC"

enum { PROGRESS_STEPS = 10000 }; /* of SQLite's machine between two looks at the clock */

static int passed(void *context)
{
    const struct reader *reader = context;
    return clock_mono_us() >= reader->keys.deadline_us;
}

int reader_open(const char *path, uint64_t seed, struct reader **result, struct err *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return err_set(err, ERR_BUSY, "no memory for a reader");
    reader->seed = seed;
    reader->catalog = -1;
    int r = db_open(path, DB_READ, 0, &reader->db, err);
    if (r)
        goto fail;
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } statements[] = {
        {&reader->begin, "BEGIN"},
        {&reader->end, "ROLLBACK"},
        {&reader->meta, "SELECT layout, catalog FROM meta"},
        {&reader->row.from, "SELECT " ROW_COLUMNS " FROM run WHERE row >= ?1 ORDER BY row"},
        {&reader->facts.from, "SELECT row, bytes FROM facts WHERE row >= ?1 ORDER BY row"},
        {&reader->name, "SELECT folded FROM name WHERE name = ?1"},
        {&reader->names, "SELECT name, folded FROM name"},
        {&reader->project, "SELECT id, name, removed, version FROM entity WHERE number = ?1"},
        {&reader->has, "SELECT 1 FROM entity WHERE kind = ?1 AND id = ?2 AND removed = 0"},
        {&reader->feedback, "SELECT name, json FROM entity WHERE kind = 1 AND parent = ?1"
                            " AND removed = 0"},
        /* Not `kind IN (1, 2)`, for which SQLite makes a table each time. */
        {&reader->said, "SELECT EXISTS (SELECT 1 FROM entity WHERE kind = 1 AND parent = ?1"
                        " AND removed = 0) OR EXISTS (SELECT 1 FROM entity WHERE kind = 2"
                        " AND parent = ?1 AND removed = 0)"},
        {&reader->feedback_runs, "SELECT parent FROM entity WHERE kind = 1 AND name = ?1"
                                 " AND removed = 0 LIMIT ?2"},
        {&reader->entity, "SELECT " ENTITY_COLUMNS ", json FROM entity WHERE number = ?1"},
        {&reader->entity_by_id,
         "SELECT " ENTITY_COLUMNS " FROM entity WHERE kind = ?1 AND id = ?2" ENTITIES_AFTER},
        {&reader->entities_by_name,
         "SELECT " ENTITY_COLUMNS " FROM entity WHERE kind = ?1 AND name = ?2" ENTITIES_AFTER},
        {&reader->entities_by_parent,
         "SELECT " ENTITY_COLUMNS " FROM entity WHERE kind = ?1 AND parent = ?2" ENTITIES_AFTER},
        {&reader->entities_by_time,
         "SELECT " ENTITY_COLUMNS " FROM entity WHERE kind = ?1" ENTITIES_AFTER},
        {&reader->entity_number, "SELECT number FROM entity WHERE kind = ?1 AND id = ?2"},
    };
    for (size_t i = 0; !r && i < sizeof statements / sizeof *statements; i++)
        r = db_prepare(reader->db, statements[i].sql, statements[i].statement, err);
    if (!r)
        r = keys_reader_open(&reader->keys, reader->db, err);
    if (r)
        goto fail;
    *result = reader;
    return 0;

fail:
    reader_close(reader);
    return r;
}

static void forget_projects(struct reader *reader)
{
    for (size_t i = 0; i < READER_PROJECTS; i++) {
        free((void *)(uintptr_t)reader->projects[i].name.at);
        reader->projects[i] = (struct reader_project){0};
    }
}

void reader_close(struct reader *reader)
{
    if (!reader)
        return;
    keys_reader_close(&reader->keys);
    sqlite3_stmt *statements[] = {reader->begin,
                                  reader->end,
                                  reader->meta,
                                  reader->row.from,
                                  reader->facts.from,
                                  reader->name,
                                  reader->names,
                                  reader->project,
                                  reader->has,
                                  reader->feedback,
                                  reader->said,
                                  reader->feedback_runs,
                                  reader->entity_number,
                                  reader->entity,
                                  reader->entity_by_id,
                                  reader->entities_by_name,
                                  reader->entities_by_parent,
                                  reader->entities_by_time};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        sqlite3_finalize(statements[i]);
    forget_projects(reader);
    db_close(reader->db);
    free(reader);
}

/* What is remembered of the entities is of this catalog. */
static int load_catalog(struct reader *reader, int64_t catalog, struct err *err)
{
    if (reader->catalog == catalog)
        return 0;
    int64_t gone = 0;
    forget_projects(reader);
    reader->catalog = -1;
    int r = db_ask(reader->db,
                   "SELECT EXISTS (SELECT 1 FROM entity WHERE kind = 6 AND removed = 0)"
                   " OR EXISTS (SELECT 1 FROM entity WHERE kind = 7 AND removed = 0)",
                   &gone, err);
    _Static_assert(ENTITY_FEEDBACK == 1 && ENTITY_SHARE == 2 && ENTITY_GONE_RUN == 6 &&
                       ENTITY_GONE_TRACE == 7,
                   "the numbers in statements");
    if (r)
        return r;
    reader->any_gone = gone != 0;
    reader->catalog = catalog;
    return 0;
}

int reader_begin(struct reader *reader, const struct keys_view *view, int64_t deadline_us,
                 struct err *err)
{
    reader->view = view;
    reader->keys.deadline_us = deadline_us;
    if (clock_mono_us() >= deadline_us)
        return err_set(err, ERR_TIMEOUT, "index: the deadline of a read passed while it waited");
    sqlite3_progress_handler(reader->db, PROGRESS_STEPS, passed, reader);
    int r = db_run(reader->begin, "begin a read", err);
    bool row = false;
    if (!r)
        r = db_step(reader->meta, &row, "begin a read", err);
    if (r)
        return r;
    int64_t layout = row ? sqlite3_column_int64(reader->meta, 0) : -1;
    int64_t catalog = row ? sqlite3_column_int64(reader->meta, 1) : -1;
    if (row)
        (void)sqlite3_reset(reader->meta); /* no step failed */
    r = keys_reader_load(&reader->keys, layout, err);
    return r ? r : load_catalog(reader, catalog, err);
}

static void leave(struct reader_steps *steps)
{
    (void)sqlite3_reset(steps->from); /* no step failed */
    steps->next = 0;
}

void reader_end(struct reader *reader)
{
    leave(&reader->row);
    leave(&reader->facts);
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
    if (!sqlite3_get_autocommit(reader->db)) {
        (void)sqlite3_step(reader->end); /* ending a read changes nothing, so it cannot fail */
        (void)sqlite3_reset(reader->end);
    }
    reader->view = NULL;
}

/* --- projects, and what was deleted -------------------------------------------------- */

/* From a row of `project`. */
static void take_project(sqlite3_stmt *s, struct reader_project *project)
{
    struct str name = {sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)};
    char *copy = malloc(name.len + 1);
    if (!copy)
        abort();
    if (name.len > 0)
        memcpy(copy, name.at, name.len);
    if (sqlite3_column_bytes(s, 0) == sizeof project->id.byte)
        memcpy(project->id.byte, sqlite3_column_blob(s, 0), sizeof project->id.byte);
    project->name = (struct str){copy, name.len};
    project->version = (uint64_t)sqlite3_column_int64(s, 3);
    project->removed = sqlite3_column_int(s, 2) != 0;
}

int reader_project(struct reader *reader, uint64_t number, const struct reader_project **result,
                   struct err *err)
{
    struct reader_project *project = &reader->projects[number % READER_PROJECTS];
    *result = project;
    if (project->number == number)
        return 0;
    bool row = false;
    (void)sqlite3_bind_int64(reader->project, 1, (int64_t)number); /* cannot fail */
    int r = db_step(reader->project, &row, "read a project", err);
    if (!r && !row)
        r = err_set(err, ERR_CORRUPT, "index: a project is missing; run `rundlet reindex`");
    if (r)
        return r;
    free((void *)(uintptr_t)project->name.at);
    *project = (struct reader_project){.number = number};
    take_project(reader->project, project);
    (void)sqlite3_reset(reader->project); /* no step failed */
    return 0;
}

int reader_project_number(struct reader *reader, struct uuid id, uint64_t *number, struct err *err)
{
    sqlite3_stmt *s = reader->entity_number;
    bool row = false;
    *number = 0;
    (void)sqlite3_bind_int(s, 1, ENTITY_PROJECT); /* these binds cannot fail */
    (void)sqlite3_bind_blob(s, 2, id.byte, sizeof id.byte, SQLITE_STATIC);
    int r = db_step(s, &row, "look a project up", err);
    if (r || !row)
        return r;
    *number = (uint64_t)sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s); /* no step failed */
    return 0;
}

int reader_has_entity(struct reader *reader, enum entity_kind kind, struct uuid id, bool *there,
                      struct err *err)
{
    (void)sqlite3_bind_int(reader->has, 1, (int)kind); /* these binds cannot fail */
    (void)sqlite3_bind_blob(reader->has, 2, id.byte, sizeof id.byte, SQLITE_STATIC);
    int r = db_step(reader->has, there, "look an entity up", err);
    if (!r && *there)
        (void)sqlite3_reset(reader->has); /* no step failed */
    return r;
}

int reader_is_shown(struct reader *reader, const struct row *row, bool *shown, struct err *err)
{
    const struct reader_project *project;
    bool gone = false;
    *shown = false;
    if (row->run.count == 0)
        return 0;
    int r = reader_project(reader, row->project, &project, err);
    if (r || project->removed)
        return r;
    if (reader->any_gone)
        r = reader_has_entity(reader, ENTITY_GONE_RUN, row->run.id, &gone, err);
    if (reader->any_gone && !r && !gone)
        r = reader_has_entity(reader, ENTITY_GONE_TRACE, row->run.trace, &gone, err);
    *shown = !gone;
    return r;
}

/* --- rows ---------------------------------------------------------------------------- */

/* Runs of a trace often lie one behind the other: a step is half the work of a search. */
static int step_to(struct reader_steps *steps, uint64_t number, bool *there, const char *doing,
                   struct err *err)
{
    if (steps->next != number) {
        leave(steps);
        (void)sqlite3_bind_int64(steps->from, 1, (int64_t)number); /* cannot fail */
    }
    steps->next = 0;
    int r = db_step(steps->from, there, doing, err);
    if (r || !*there)
        return r;
    *there = (uint64_t)sqlite3_column_int64(steps->from, 0) == number;
    steps->next = *there ? number + 1 : 0;
    return 0;
}

static int read_row(struct reader *reader, uint64_t number, struct row *row, struct err *err)
{
    bool there = false;
    int r = keys_reader_check(&reader->keys, err);
    if (!r)
        r = step_to(&reader->row, number, &there, "read a row", err);
    if (r)
        return r;
    if (!there)
        return err_set(err, ERR_CORRUPT, "index: a row is missing; run `rundlet reindex`");
    return row_read(reader->row.from, row, err);
}

int reader_row(struct reader *reader, uint64_t number, struct row *row, bool *shown,
               struct err *err)
{
    *shown = false;
    if (number > reader->view->rows)
        return 0;
    int r = read_row(reader, number, row, err);
    return r || !row_is_live(row, reader->view->rows) ? r
                                                      : reader_is_shown(reader, row, shown, err);
}

int reader_row_of(struct reader *reader, struct uuid id, struct row *row, bool *found,
                  struct err *err)
{
    struct key below = {0};
    unsigned char key[KEYS_WIDTH_MAX];
    key_add_id(&below, id);
    key_add_number(&below, reader->view->rows + 1);
    int r =
        keys_find(&reader->keys, reader->view, KEYS_ID, &below, KEYS_ID_PREFIX, key, found, err);
    return r || !*found ? r : read_row(reader, key_number(KEYS_ID, key), row, err);
}

int reader_facts(struct reader *reader, uint64_t number, struct arena *arena, struct str *facts,
                 struct err *err)
{
    bool there = false;
    int r = step_to(&reader->facts, number, &there, "read facts", err);
    if (r || !there)
        return r;
    struct str bytes = {sqlite3_column_blob(reader->facts.from, 1),
                        (size_t)sqlite3_column_bytes(reader->facts.from, 1)};
    *facts = bytes.len ? arena_copy(arena, bytes) : (struct str){0};
    return 0;
}

int reader_outline(struct reader *reader, const struct row *row, struct index_row *result,
                   struct err *err)
{
    const struct merged *run = &row->run;
    const struct reader_project *project;
    int r = reader_project(reader, row->project, &project, err);
    if (r)
        return r;
    *result = (struct index_row){
        .found = true,
        .id = run->id,
        .trace = run->trace,
        .parent = run->parent,
        .project = project->id,
        .project_name = project->name,
        .project_version = project->version,
        .start_us = run->start_us,
        .end_us = run->end_us,
        .type = run->type,
        .status = run->status,
        .version = run->version,
        .holders = run->holder,
        .holder_count = run->count,
        .size = merge_size(run->holder, run->count),
    };
    return 0;
}

/* Has nobody said anything of it? */
static int look_for_said(struct reader *reader, struct uuid id, bool *silent, struct err *err)
{
    bool row = false;
    (void)sqlite3_bind_blob(reader->said, 1, id.byte, sizeof id.byte, SQLITE_STATIC);
    int r = db_step(reader->said, &row, "look what was said of a run", err);
    *silent = !r && row && sqlite3_column_int(reader->said, 0) == 0;
    (void)sqlite3_reset(reader->said);
    return r;
}

int reader_show(struct reader *reader, const struct row *row, bool facts, struct arena *arena,
                struct index_row *result, struct err *err)
{
    int r = reader_outline(reader, row, result, err);
    if (!r)
        r = look_for_said(reader, row->run.id, &result->silent, err);
    if (r)
        return r;
    struct holder *holders = arena_make(arena, struct holder, row->run.count);
    memcpy(holders, row->run.holder, row->run.count * sizeof *holders);
    result->holders = holders;
    result->project_name = arena_copy(arena, result->project_name);
    return facts ? reader_facts(reader, row->number, arena, &result->facts, err) : 0;
}

int reader_show_bare(struct reader *reader, const struct row *row, struct index_row *result,
                     struct err *err)
{
    int r = reader_outline(reader, row, result, err);
    result->project_name = (struct str){0};
    result->holders = NULL;
    result->holder_count = 0;
    return r;
}

int reader_find(struct reader *reader, struct index_find *find, struct err *err)
{
    struct row row;
    find->rows = arena_make(find->arena, struct index_row, find->count);
    for (size_t i = 0; i < find->count; i++) {
        bool found = false, shown = false;
        find->rows[i].id = find->ids[i];
        int r = reader_row_of(reader, find->ids[i], &row, &found, err);
        if (!r && found)
            r = reader_is_shown(reader, &row, &shown, err);
        if (!r && shown)
            r = reader_show(reader, &row, find->facts, find->arena, &find->rows[i], err);
        else if (!r && found)
            find->rows[i].hidden = row.run.count > 0;
        if (r)
            return r;
    }
    return 0;
}
