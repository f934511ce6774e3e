/* memory_read.c - what is read of index/memory.c: all is looked at, what is asked for is sorted. */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/fold.h"
#include "index/memory.h"
#include "index/subject.h"
#include "run/filter.h"

enum {
    SCRATCH = 4096,
    SHARE_US = 100000 /* for which a query has the loop to itself */
};

/* --- runs ------------------------------------------------------------------------------- */

static bool is_gone(const struct memory *m, enum entity_kind kind, struct uuid id)
{
    const struct thing *thing = memory_things_find(&m->there, kind, id);
    return thing && !thing->removed;
}

static bool is_hidden(const struct memory *m, const struct row *row)
{
    const struct thing *project = memory_things_find(&m->there, ENTITY_PROJECT, row->project);
    return row->run.count == 0 || !project || project->removed ||
           is_gone(m, ENTITY_GONE_RUN, row->run.id) ||
           is_gone(m, ENTITY_GONE_TRACE, row->run.trace);
}

static struct index_row show(const struct memory *m, const struct row *row, bool facts,
                             struct arena *arena)
{
    const struct entity *project =
        &memory_things_find(&m->there, ENTITY_PROJECT, row->project)->entity;
    struct holder *holders = arena_make(arena, struct holder, row->run.count);
    memcpy(holders, row->run.holder, row->run.count * sizeof *holders);
    return (struct index_row){
        .found = true,
        .id = row->run.id,
        .trace = row->run.trace,
        .parent = row->run.parent,
        .project = row->project,
        .project_name = arena_copy(arena, project->name),
        .start_us = row->run.start_us,
        .end_us = row->run.end_us,
        .type = row->run.type,
        .status = row->run.status,
        .version = row->run.version,
        .project_version = project->version,
        .holders = holders,
        .holder_count = row->run.count,
        .size = merge_size(row->run.holder, row->run.count),
        .facts = facts && row->facts.len ? arena_copy(arena, row->facts) : (struct str){0},
    };
}

void memory_find(struct index *index, struct index_find *find)
{
    struct memory *m = memory_of(index);
    find->rows = arena_make(find->arena, struct index_row, find->count);
    memory_lock(m);
    for (size_t i = 0; i < find->count; i++) {
        const struct row *there = memory_rows_find(&m->visible, find->ids[i]);
        if (there && !is_hidden(m, there))
            find->rows[i] = show(m, there, find->facts, find->arena);
        else
            find->rows[i] =
                (struct index_row){.hidden = there && there->run.count > 0, .id = find->ids[i]};
    }
    memory_unlock(m);
    op_finish(&find->op);
}

/* Newest first: -1 when (start, id) of `a` comes before that of `b`. */
static int newest_first(int64_t a_start, struct uuid a_id, int64_t b_start, struct uuid b_id)
{
    if (a_start != b_start)
        return a_start > b_start ? -1 : 1;
    return -uuid_compare(a_id, b_id);
}

static int row_order(const void *a, const void *b)
{
    const struct index_row *x = a, *y = b;
    return newest_first(x->start_us, x->id, y->start_us, y->id);
}

static bool matches(const struct row *row, const struct query *query, struct str wanted)
{
    if (query->by_trace && uuid_compare(row->run.trace, query->trace) != 0)
        return false;
    if (query->by_name && !(row->named && fold_contains(row->name, wanted)))
        return false;
    return !query->after || newest_first(query->cursor.start_us, query->cursor.id,
                                         row->run.start_us, row->run.id) < 0;
}

void memory_search(struct index *index, struct index_search *search)
{
    struct memory *m = memory_of(index);
    const struct query *query = search->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct str wanted = {0};
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        wanted = (struct str){folded, fold(query->name, folded)};
    }

    memory_lock(m);
    search->rows = arena_make(search->arena, struct index_row, m->visible.count + 1);
    search->count = 0;
    for (size_t i = 0; i < m->visible.count; i++)
        if (matches(&m->visible.at[i], query, wanted) && !is_hidden(m, &m->visible.at[i]))
            search->rows[search->count++] =
                show(m, &m->visible.at[i], search->facts, search->arena);
    memory_unlock(m);

    qsort(search->rows, search->count, sizeof *search->rows, row_order);
    search->more = search->count > query->limit;
    if (search->more)
        search->count = query->limit;
    op_finish(&search->op);
}

static bool among(struct uuid id, const struct uuid *ids, size_t count)
{
    for (size_t i = 0; ids && i < count; i++)
        if (uuid_compare(id, ids[i]) == 0)
            return true;
    return ids == NULL;
}

/* --- query --------------------------------------------------------------------------------- */

/* What of the subject other rows and entities say. */
static void add_others(const struct memory *m, const struct row *row, struct arena *arena,
                       struct filter_subject *subject)
{
    struct filter_pair *feedback = arena_make(arena, struct filter_pair, m->there.count + 1);
    struct str *children = arena_make(arena, struct str, m->visible.count + 1);
    for (size_t i = 0; i < m->there.count; i++) {
        const struct entity *e = &m->there.at[i].entity;
        if (e->kind != ENTITY_FEEDBACK || m->there.at[i].removed ||
            uuid_compare(e->parent, row->run.id) != 0)
            continue;
        feedback[subject->feedback_count].key = e->name;
        entity_score(e, &feedback[subject->feedback_count].value);
        subject->feedback_count++;
    }
    for (size_t i = 0; i < m->visible.count; i++) {
        const struct row *child = &m->visible.at[i];
        struct filter_subject its;
        if (uuid_compare(child->run.parent, row->run.id) != 0 || is_hidden(m, child))
            continue;
        struct index_row shown = show(m, child, true, arena);
        if (subject_of(&shown, arena, &its, NULL) == 0 && its.cells[FILTER_NAME].present)
            children[subject->child_count++] = its.cells[FILTER_NAME].value.text;
    }
    subject->feedback = feedback;
    subject->child_names = children;
}

/* These set `err` when it cannot be said. */
static bool row_matches(const struct memory *m, const struct row *row, const struct filter *filter,
                        struct arena *arena, struct err *err)
{
    struct filter_subject subject;
    struct index_row shown = show(m, row, true, arena);
    if (subject_of(&shown, arena, &subject, NULL))
        return false;
    add_others(m, row, arena, &subject);
    bool is = false;
    return filter_match(filter, &subject, &is, err) == 0 && is;
}

/* Its top, or any run of it. */
static bool trace_matches(const struct memory *m, struct uuid trace, const struct filter *filter,
                          bool top, struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < m->visible.count && !err->code; i++) {
        const struct row *row = &m->visible.at[i];
        if (uuid_compare(row->run.trace, trace) == 0 &&
            (!top || uuid_compare(row->run.id, trace) == 0) && !is_hidden(m, row) &&
            row_matches(m, row, filter, arena, err))
            return true;
    }
    return false;
}

/* All but the ids and the cursor. */
static bool is_asked(const struct memory *m, const struct row *row, const struct run_query *query,
                     struct arena *arena, struct err *err)
{
    if (is_hidden(m, row))
        return false;
    struct index_row shown = show(m, row, true, arena);
    if (!query_takes(query, &shown))
        return false;
    struct filter_subject subject;
    bool example = query->example_count == 0;
    if (subject_of(&shown, arena, &subject, NULL))
        return false;
    for (size_t i = 0; i < query->example_count && !example; i++)
        example = subject.cells[FILTER_REFERENCE_EXAMPLE_ID].present &&
                  uuid_compare(subject.cells[FILTER_REFERENCE_EXAMPLE_ID].value.uuid,
                               query->examples[i]) == 0;
    return example && (!query->filter || row_matches(m, row, query->filter, arena, err)) &&
           (!query->trace_filter ||
            trace_matches(m, row->run.trace, query->trace_filter, true, arena, err)) &&
           (!query->tree_filter ||
            trace_matches(m, row->run.trace, query->tree_filter, false, arena, err));
}

static int asked_order(const void *a, const void *b, void *query)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    return query_order(query, &(struct index_row){.id = x->run.id, .start_us = x->run.start_us},
                       &(struct index_row){.id = y->run.id, .start_us = y->run.start_us});
}

/* All that are behind the cursor, of the ids that are asked for, in the order of the page. */
static const struct row **in_order(const struct memory *m, struct run_query *query,
                                   struct arena *arena, size_t *count)
{
    const struct row **rows = arena_make(arena, const struct row *, m->visible.count + 1);
    *count = 0;
    for (size_t i = 0; i < m->visible.count; i++) {
        const struct row *row = &m->visible.at[i];
        const struct index_row at = {.id = row->run.id, .start_us = row->run.start_us};
        if (query_is_after(query, &at) &&
            (query->id_count == 0 || among(at.id, query->ids, query->id_count)))
            rows[(*count)++] = row;
    }
    qsort_r(rows, *count, sizeof *rows, asked_order, query);
    return rows;
}

void memory_query(struct index *index, struct index_query *asked)
{
    struct memory *m = memory_of(index);
    struct run_query query = *asked->query;
    assert(query.limit >= 1 && query.limit <= QUERY_LIMIT_MAX && asked->look >= 1);
    asked->rows = arena_make(asked->arena, struct index_row, query.limit);
    asked->count = 0;
    asked->more = false;
    int64_t began_us = clock_mono_us();
    memory_lock(m);
    size_t count;
    const struct row **rows = in_order(m, &query, asked->arena, &count);
    for (size_t i = 0; i < count; i++) {
        struct arena *scratch = arena_new(SCRATCH);
        bool had = i >= asked->look || (i > 0 && clock_mono_us() - began_us >= SHARE_US);
        bool is = !had && is_asked(m, rows[i], &query, scratch, &asked->op.err);
        arena_free(scratch);
        asked->more = had || (is && asked->count == query.limit);
        if (asked->more || asked->op.err.code)
            break;
        if (is)
            asked->rows[asked->count++] = show(m, rows[i], true, asked->arena);
        asked->next = (struct query_cursor){rows[i]->run.start_us, rows[i]->run.id};
    }
    memory_unlock(m);
    op_finish(&asked->op);
}

/* --- entities -------------------------------------------------------------------------------- */

/* Is what it belongs to gone? */
static bool is_orphan(const struct memory *m, const struct entity *entity)
{
    if (entity->kind == ENTITY_EXAMPLE) {
        const struct thing *dataset = memory_things_find(&m->there, ENTITY_DATASET, entity->parent);
        return !dataset || dataset->removed;
    }
    if (entity->kind != ENTITY_FEEDBACK && entity->kind != ENTITY_SHARE &&
        entity->kind != ENTITY_TOKEN)
        return false;
    const struct row *run = memory_rows_find(&m->visible, entity->parent);
    return run && run->run.count > 0 && is_hidden(m, run);
}

static int newest_entity(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    return newest_first(x->made_us, x->id, y->made_us, y->id);
}

static bool is_listed(const struct memory *m, const struct thing *thing,
                      const struct index_entities *asked, struct str wanted)
{
    const struct entity *e = &thing->entity;
    const struct entity_cursor *after = &asked->cursor;
    if (thing->removed || e->kind != asked->kind || is_orphan(m, e) ||
        !among(e->id, asked->ids, asked->id_count) ||
        !among(e->parent, asked->parents, asked->parent_count) ||
        (asked->name.at && !(e->name.at && str_eq(e->name, asked->name))) ||
        (asked->after && newest_first(after->made_us, after->id, e->made_us, e->id) >= 0))
        return false;
    if (!wanted.at)
        return true;
    char *folded = arena_alloc(asked->arena, FOLD_GROWTH * e->name.len + 1);
    return fold_contains((struct str){folded, fold(e->name, folded)}, wanted);
}

/* As many as make a page. */
static size_t fit(const struct index_entities *asked, size_t count)
{
    size_t n = 0, bytes = 0;
    for (; n < count && n < asked->limit; n++) {
        const struct entity *e = &asked->entities[n];
        bytes += e->name.len + (asked->bare ? 0 : e->json.len);
        if (n > 0 && asked->bytes > 0 && bytes > asked->bytes)
            break;
    }
    return n;
}

void memory_entities(struct index *index, struct index_entities *asked)
{
    struct memory *m = memory_of(index);
    struct str wanted = {0};
    size_t count = 0;
    if (asked->name_contains.at) {
        char *folded = arena_alloc(asked->arena, FOLD_GROWTH * asked->name_contains.len + 1);
        wanted = (struct str){folded, fold(asked->name_contains, folded)};
    }
    memory_lock(m);
    asked->entities = arena_make(asked->arena, struct entity, m->there.count + 1);
    for (size_t i = 0; i < m->there.count; i++)
        if (is_listed(m, &m->there.at[i], asked, wanted))
            asked->entities[count++] = m->there.at[i].entity;
    memory_unlock(m);
    qsort(asked->entities, count, sizeof *asked->entities, newest_entity);
    asked->count = fit(asked, count);
    asked->more = asked->count < count;
    for (size_t i = 0; i < asked->count; i++) {
        struct entity *e = &asked->entities[i]; /* its name and object are kept until close */
        if (asked->bare)
            e->json = (struct str){0};
        asked->cursor = (struct entity_cursor){e->made_us, e->id};
    }
    op_finish(&asked->op);
}
