/* memory.c - an index in plain arrays: what the others are compared with.
 *
 * Every page is a linear scan and a sort, so that one can see that it is right;
 * only a run is found by its id through a table.  It forgets everything at close; its only use besides the
 * conform tests is a server that keeps no index.
 *
 * What a stage changes is written down as a whole new row or entity behind those
 * before it; a look-up takes the newest.  A commit puts them in the place of the
 * visible ones, a batch that is refused is cut off.
 *
 * Reads are done where they are asked for, under a lock that is held for a
 * whole scan: this is not for many runs.
 */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "index/alone.h"
#include "index/fold.h"
#include "index/guess.h"
#include "index/hash.h"
#include "index/index.h"
#include "index/subject.h"
#include "run/facts.h"
#include "run/filter.h"
#include "run/project.h"
#include "wire/json_string.h"

enum { SCRATCH = 4096 };

/* What a row or an entity points to is never changed or freed before close. */
struct row {
    struct merged run;
    struct uuid project;
    bool by_default; /* nobody named the project */
    bool named;
    struct str name; /* folded */
    struct str facts;
    size_t before; /* 1 + position of the row before it in its chain; 0: none */
};

struct thing {
    struct entity entity;
    bool removed;
};

/* In order of arrival, and in chains by id, the newest first. */
struct rows {
    struct row *at;
    size_t *chain; /* 1 + position of the first; as many as there is room for rows */
    size_t count, cap;
};

struct things {
    struct thing *at;
    size_t count, cap;
};

struct memory {
    struct index index;
    atomic_flag lock;
    struct rows visible, staged;
    struct things there, news;
    struct arena *kept; /* what rows and things point to */
    bool guesses;       /* there was a run that did not say its trace */
    uint64_t mark;
};

static struct memory *memory_of(struct index *index)
{
    return (struct memory *)(void *)index;
}

static void lock(struct memory *m)
{
    while (atomic_flag_test_and_set_explicit(&m->lock, memory_order_acquire))
        sched_yield();
}

static void unlock(struct memory *m)
{
    atomic_flag_clear_explicit(&m->lock, memory_order_release);
}

static void *grown(void *at, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return at;
    *cap = *cap ? *cap * 2 : 64;
    at = realloc(at, *cap * size);
    if (!at)
        abort();
    return at;
}

static size_t *chain_of(const struct rows *rows, struct uuid id)
{
    return &rows->chain[hash_bytes(0, id.byte, sizeof id.byte) & (rows->cap - 1)];
}

static void link_row(struct rows *rows, size_t i)
{
    size_t *chain = chain_of(rows, rows->at[i].run.id);
    rows->at[i].before = *chain;
    *chain = i + 1;
}

static void rows_add(struct rows *rows, const struct row *row)
{
    size_t cap = rows->cap;
    rows->at = grown(rows->at, rows->count, &rows->cap, sizeof *rows->at);
    if (rows->cap != cap) {
        free(rows->chain);
        rows->chain = calloc(rows->cap, sizeof *rows->chain);
        if (!rows->chain)
            abort();
        for (size_t i = 0; i < rows->count; i++)
            link_row(rows, i);
    }
    rows->at[rows->count] = *row;
    link_row(rows, rows->count++);
}

/* The last ones in are the first of their chains. */
static void rows_cut(struct rows *rows, size_t count)
{
    while (rows->count > count) {
        const struct row *last = &rows->at[--rows->count];
        *chain_of(rows, last->run.id) = last->before;
    }
}

static void things_add(struct things *things, const struct thing *thing)
{
    things->at = grown(things->at, things->count, &things->cap, sizeof *things->at);
    things->at[things->count++] = *thing;
}

static struct row *rows_find(const struct rows *rows, struct uuid id)
{
    for (size_t i = rows->count ? *chain_of(rows, id) : 0; i > 0; i = rows->at[i - 1].before)
        if (uuid_compare(rows->at[i - 1].run.id, id) == 0)
            return &rows->at[i - 1];
    return NULL;
}

static struct thing *things_find(const struct things *things, enum entity_kind kind, struct uuid id)
{
    for (size_t i = things->count; i-- > 0;)
        if (things->at[i].entity.kind == kind && uuid_compare(things->at[i].entity.id, id) == 0)
            return &things->at[i];
    return NULL;
}

static const struct row *find_row(const struct memory *m, struct uuid id)
{
    const struct row *row = rows_find(&m->staged, id);
    return row ? row : rows_find(&m->visible, id);
}

static const struct thing *find_thing(const struct memory *m, enum entity_kind kind, struct uuid id)
{
    const struct thing *thing = things_find(&m->news, kind, id);
    return thing ? thing : things_find(&m->there, kind, id);
}

/* The one that has this name now. */
static const struct thing *find_named(const struct memory *m, enum entity_kind kind,
                                      struct str name)
{
    const struct things *both[] = {&m->news, &m->there};
    for (int k = 0; k < 2; k++)
        for (size_t i = both[k]->count; i-- > 0;) {
            const struct entity *e = &both[k]->at[i].entity;
            if (e->kind != kind || !e->name.at || !str_eq(e->name, name))
                continue;
            const struct thing *now = find_thing(m, kind, e->id);
            if (!now->removed && now->entity.name.at && str_eq(now->entity.name, name))
                return now;
        }
    return NULL;
}

static struct str keep(struct memory *m, const struct text *text)
{
    return text->len ? arena_copy(m->kept, text_str(text)) : (struct str){0};
}

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    (void)index;
    (void)loop;
    (void)err;
    return 0;
}

/* --- stage: runs ------------------------------------------------------------------ */

/* The project of a name, made if there is none. */
static struct uuid project_named(struct memory *m, struct str name, const struct run *run,
                                 uint64_t sequence)
{
    const struct thing *there = find_named(m, ENTITY_PROJECT, name);
    if (there)
        return there->entity.id;
    unsigned nth = 0;
    struct uuid id = entity_project_id(name, nth);
    while (find_thing(m, ENTITY_PROJECT, id))
        id = entity_project_id(name, ++nth);
    things_add(&m->news, &(struct thing){.entity = {.kind = ENTITY_PROJECT,
                                                    .id = id,
                                                    .name = arena_copy(m->kept, name),
                                                    .made_us = run->start_us,
                                                    .version = sequence}});
    return id;
}

static void set_project(struct memory *m, struct row *row, const struct run *run, bool first,
                        uint64_t sequence)
{
    struct text name = {0};
    struct uuid id;
    enum project_said said = project_said(run, &name, &id);
    if (!first && (!row->by_default || said == PROJECT_UNSAID)) {
        text_free(&name);
        return;
    }
    if (said == PROJECT_UNSAID)
        text_add(&name, STR("default"));
    if (said == PROJECT_BY_ID && !find_thing(m, ENTITY_PROJECT, id)) {
        char text[UUID_TEXT];
        uuid_write(id, text);
        things_add(&m->news,
                   &(struct thing){.entity = {.kind = ENTITY_PROJECT,
                                              .id = id,
                                              .name = arena_copy(m->kept, (struct str){text, 36}),
                                              .made_us = run->start_us,
                                              .version = sequence}});
    }
    row->project = said == PROJECT_BY_ID ? id : project_named(m, text_str(&name), run, sequence);
    row->by_default = said == PROJECT_UNSAID;
    text_free(&name);
}

/* The trace of a run that does not say it: its parent's, the parent, or itself.  Of a
 * parent that said its own it is known from then on. */
static void guess_trace(const struct memory *m, struct row *row)
{
    if (!row->run.guessed)
        return;
    const struct row *parent = find_row(m, row->run.parent);
    if (uuid_is_zero(row->run.parent)) {
        row->run.trace = row->run.id;
    } else if (parent && parent->run.count > 0) {
        row->run.trace = parent->run.trace;
        row->run.guessed = parent->run.guessed;
    } else {
        row->run.trace = row->run.parent;
    }
}

static void touch(struct merged *run, uint64_t sequence)
{
    run->version = sequence > run->version ? sequence : run->version + 1;
}

/* Does it await another run? */
static bool awaits(const struct row *row)
{
    return row->run.guessed && uuid_compare(row->run.trace, row->run.id) != 0;
}

static bool is_settled(const struct memory *m, const struct row *row)
{
    const struct row *awaited = awaits(row) ? find_row(m, row->run.trace) : NULL;
    return !awaits(row) || (awaited && awaited->run.count > 0 && !awaits(awaited));
}

struct ids {
    struct uuid *at;
    size_t count, cap;
};

/* Those that await a run, behind those that are there. */
static size_t add_waiters(const struct memory *m, struct uuid id, struct ids *ids)
{
    const struct rows *both[] = {&m->staged, &m->visible};
    size_t before = ids->count;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < both[k]->count; i++) {
            const struct row *row = &both[k]->at[i];
            if (!awaits(row) || uuid_compare(row->run.trace, id) != 0 ||
                find_row(m, row->run.id) != row) /* as it was before */
                continue;
            ids->at = grown(ids->at, ids->count, &ids->cap, sizeof *ids->at);
            ids->at[ids->count++] = row->run.id;
        }
    return ids->count - before;
}

static void move(struct memory *m, struct uuid id, struct uuid trace, bool guessed,
                 uint64_t sequence)
{
    struct row row = *find_row(m, id);
    row.run.trace = trace;
    row.run.guessed = guessed;
    touch(&row.run, sequence);
    rows_add(&m->staged, &row);
}

/* All that await `to`, which is settled, and all that await those, to its trace. */
static void settle(struct memory *m, const struct merged *to, uint64_t sequence)
{
    bool stay = to->guessed && uuid_compare(to->id, to->trace) == 0; /* they have it */
    struct ids ids = {0};
    size_t first = add_waiters(m, to->id, &ids);
    for (size_t i = 0; i < ids.count; i++) {
        struct uuid id = ids.at[i];
        if (add_waiters(m, id, &ids) > 0 || !stay || i >= first)
            move(m, id, to->trace, to->guessed, sequence);
    }
    free(ids.at);
}

/* Those that await this run, whose trace is another one than it was. */
static void move_waiters(struct memory *m, const struct row *to, uint64_t sequence)
{
    const struct merged run = to->run; /* rows move */
    if (!m->guesses)
        return;
    if (is_settled(m, to)) {
        settle(m, &run, sequence);
        return;
    }
    struct ids ids = {0};
    size_t count = add_waiters(m, run.id, &ids);
    for (size_t i = 0; i < count && count <= GUESS_MOVED; i++)
        move(m, ids.at[i], run.trace, true, sequence);
    free(ids.at);
}

static void add_layer(struct memory *m, const struct run *run, struct place place,
                      uint64_t sequence)
{
    const struct row *there = find_row(m, run->id);
    struct row row = there ? *there : (struct row){0};
    bool first = row.run.count == 0;
    bool guessed = row.run.guessed;
    struct uuid trace = row.run.trace;
    uint32_t taken = merge_add(&row.run, run, place, sequence);
    if (taken & UINT32_C(1) << RUN_NAME || first) {
        struct text name = {0};
        row.named = fold_run_name(run, &name);
        row.name = keep(m, &name);
        text_free(&name);
    }
    struct text fresh = {0}, facts = {0};
    facts_of(run, &fresh);
    facts_merge(row.facts, taken, text_str(&fresh), &facts);
    row.facts = keep(m, &facts);
    text_free(&fresh);
    text_free(&facts);
    set_project(m, &row, run, first, sequence);
    m->guesses |= row.run.guessed;
    guess_trace(m, &row);
    rows_add(&m->staged, &row);
    if (first || guessed != row.run.guessed || uuid_compare(trace, row.run.trace) != 0)
        move_waiters(m, &row, sequence);
}

static bool add_attachment(struct memory *m, const struct run *run, struct place place,
                           uint64_t sequence)
{
    const struct row *there = find_row(m, run->id);
    struct row row = there ? *there : (struct row){.run.id = run->id};
    struct text facts = {0};
    bool news = facts_attach(row.facts, run, place, sequence, &facts);
    if (news) {
        row.facts = keep(m, &facts);
        if (row.run.count > 0)
            touch(&row.run, sequence);
        rows_add(&m->staged, &row);
    }
    text_free(&facts);
    return news;
}

/* --- stage: entities ---------------------------------------------------------------- */

/* The run that an entity is about shows it, so it is another one now. */
static void touch_run(struct memory *m, const struct entity *entity, uint64_t sequence)
{
    if (entity->kind != ENTITY_FEEDBACK && entity->kind != ENTITY_SHARE)
        return;
    const struct row *there = find_row(m, entity->parent);
    if (!there || there->run.count == 0)
        return;
    struct row row = *there;
    touch(&row.run, sequence);
    rows_add(&m->staged, &row);
}

static bool is_refused(struct memory *m, const struct thing *there, const struct entity *entity,
                       uint64_t expect)
{
    uint64_t version = there && !there->removed ? there->entity.version : 0;
    if (expect != RECORD_ANY && expect != version)
        return true;
    if (there && there->removed && entity_stays_removed(entity->kind))
        return true;
    if (!entity->name.at || !entity_has_unique_name(entity->kind))
        return false;
    const struct thing *other = find_named(m, entity->kind, entity->name);
    return other && uuid_compare(other->entity.id, entity->id) != 0;
}

static void set_entity(struct memory *m, const struct run *run, uint64_t sequence,
                       struct entity *entity)
{
    *entity = (struct entity){
        .kind = (enum entity_kind)run->entity,
        .id = run->id,
        .parent = run->parent,
        .made_us = run->start_us,
        .version = sequence,
        .json = run->raw.len ? arena_copy(m->kept, run->raw) : (struct str){0},
    };
    struct str name = run_field(run, RUN_NAME);
    if (name.len < 2 || name.at[0] != '"')
        return;
    struct text text = {0};
    text.len =
        json_string_decode((struct str){name.at + 1, name.len - 2}, text_room(&text, name.len));
    entity->name = arena_copy(m->kept, text_str(&text));
    text_free(&text);
}

/* INDEX_ADDED, _DUPLICATE or _CONFLICT. */
static enum index_verdict add_entity(struct memory *m, const struct run *run, uint64_t sequence,
                                     uint64_t expect)
{
    struct thing thing = {.removed = run->raw.len == 0};
    set_entity(m, run, sequence, &thing.entity);
    const struct thing *there = find_thing(m, thing.entity.kind, run->id);
    if (there && there->removed == thing.removed && there->entity.json.len > 0 &&
        str_eq(there->entity.json, thing.entity.json) &&
        uuid_compare(there->entity.parent, thing.entity.parent) == 0)
        return INDEX_DUPLICATE;
    if (thing.removed && (!there || there->removed))
        return INDEX_DUPLICATE;
    if (!thing.removed && is_refused(m, there, &thing.entity, expect))
        return INDEX_CONFLICT;
    if (there) {
        thing.entity.made_us = there->entity.made_us;
        if (thing.removed)
            thing.entity.parent = there->entity.parent;
        if (!there->removed && uuid_compare(there->entity.parent, thing.entity.parent) != 0)
            touch_run(m, &there->entity, sequence);
    }
    things_add(&m->news, &thing);
    touch_run(m, &thing.entity, sequence);
    return INDEX_ADDED;
}

/* --- stage --------------------------------------------------------------------------- */

static enum index_verdict add_run(struct memory *m, const struct run *run, struct place place,
                                  uint64_t sequence, uint64_t expect)
{
    const struct row *there = find_row(m, run->id);
    switch (run->kind) {
    case RUN_WHOLE:
        if (there && there->run.posted)
            return there->run.post_hash[0] == run->hash[0] &&
                           there->run.post_hash[1] == run->hash[1]
                       ? INDEX_DUPLICATE
                       : INDEX_CONFLICT;
        break;
    case RUN_POST:
    case RUN_PATCH:
        if (there && merge_has(&there->run, run))
            return INDEX_DUPLICATE;
        break;
    case RUN_ATTACHMENT:
        return add_attachment(m, run, place, sequence) ? INDEX_ADDED : INDEX_DUPLICATE;
    case RUN_ENTITY:
        return add_entity(m, run, sequence, expect);
    case RUN_KINDS:
        break;
    }
    assert(run->kind <= RUN_PATCH);
    add_layer(m, run, place, sequence);
    return INDEX_ADDED;
}

/* Stage what is new of one batch, or none of it. */
static int stage_batch(struct memory *m, struct index_batch *batch, struct err *err)
{
    size_t rows = m->staged.count, things = m->news.count;
    uint64_t expect = batch->record->fresh ? batch->record->expect : RECORD_ANY;
    batch->added = 0;
    for (uint32_t i = 0; i < batch->record->count; i++) {
        struct run run;
        struct place place = {batch->first.container, batch->first.ordinal + i};
        int r = record_run(batch->record, i, &run, err);
        enum index_verdict verdict =
            r ? INDEX_CONFLICT : add_run(m, &run, place, batch->sequence, expect);
        batch->added += verdict == INDEX_ADDED;
        if (verdict != INDEX_CONFLICT)
            continue;
        rows_cut(&m->staged, rows);
        m->news.count = things;
        batch->verdict = INDEX_CONFLICT;
        batch->added = 0;
        batch->conflict = i;
        return r;
    }
    batch->verdict = batch->added ? INDEX_ADDED : INDEX_DUPLICATE;
    return 0;
}

static void stage(struct index *index, struct index_stage *stage)
{
    struct memory *m = memory_of(index);
    lock(m); /* what is kept may move */
    for (size_t i = 0; i < stage->count; i++)
        if (stage_batch(m, &stage->batches[i], &stage->op.err))
            break;
    unlock(m);
    op_finish(&stage->op);
}

static void commit(struct index *index, struct index_commit *commit)
{
    struct memory *m = memory_of(index);
    lock(m);
    for (size_t i = 0; i < m->staged.count; i++) {
        struct row *there = rows_find(&m->visible, m->staged.at[i].run.id);
        if (there) {
            size_t before = there->before;
            *there = m->staged.at[i];
            there->before = before;
        } else {
            rows_add(&m->visible, &m->staged.at[i]);
        }
    }
    for (size_t i = 0; i < m->news.count; i++) {
        const struct thing *news = &m->news.at[i];
        struct thing *there = things_find(&m->there, news->entity.kind, news->entity.id);
        if (there)
            *there = *news;
        else
            things_add(&m->there, news);
    }
    m->mark = commit->sequence;
    rows_cut(&m->staged, 0);
    m->news.count = 0;
    unlock(m);
    op_finish(&commit->op);
}

static void rollback(struct index *index, struct index_rollback *rollback)
{
    struct memory *m = memory_of(index);
    rows_cut(&m->staged, 0);
    m->news.count = 0;
    op_finish(&rollback->op);
}

static void mark(struct index *index, struct index_mark *mark)
{
    mark->sequence = memory_of(index)->mark;
    op_finish(&mark->op);
}

/* As durable as the process. */
static void durable(struct index *index, struct index_durable *durable)
{
    struct memory *m = memory_of(index);
    lock(m);
    durable->sequence = m->mark;
    unlock(m);
    op_finish(&durable->op);
}

/* --- reading ---------------------------------------------------------------------------- */

static bool is_gone(const struct memory *m, enum entity_kind kind, struct uuid id)
{
    const struct thing *thing = things_find(&m->there, kind, id);
    return thing && !thing->removed;
}

static bool is_hidden(const struct memory *m, const struct row *row)
{
    const struct thing *project = things_find(&m->there, ENTITY_PROJECT, row->project);
    return row->run.count == 0 || !project || project->removed ||
           is_gone(m, ENTITY_GONE_RUN, row->run.id) ||
           is_gone(m, ENTITY_GONE_TRACE, row->run.trace);
}

static struct index_row show(const struct memory *m, const struct row *row, bool facts,
                             struct arena *arena)
{
    const struct entity *project = &things_find(&m->there, ENTITY_PROJECT, row->project)->entity;
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

static void find(struct index *index, struct index_find *find)
{
    struct memory *m = memory_of(index);
    find->rows = arena_make(find->arena, struct index_row, find->count);
    lock(m);
    for (size_t i = 0; i < find->count; i++) {
        const struct row *there = rows_find(&m->visible, find->ids[i]);
        if (there && !is_hidden(m, there))
            find->rows[i] = show(m, there, find->facts, find->arena);
        else
            find->rows[i] =
                (struct index_row){.hidden = there && there->run.count > 0, .id = find->ids[i]};
    }
    unlock(m);
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

static void search(struct index *index, struct index_search *search)
{
    struct memory *m = memory_of(index);
    const struct query *query = search->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct str wanted = {0};
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        wanted = (struct str){folded, fold(query->name, folded)};
    }

    lock(m);
    search->rows = arena_make(search->arena, struct index_row, m->visible.count + 1);
    search->count = 0;
    for (size_t i = 0; i < m->visible.count; i++)
        if (matches(&m->visible.at[i], query, wanted) && !is_hidden(m, &m->visible.at[i]))
            search->rows[search->count++] =
                show(m, &m->visible.at[i], search->facts, search->arena);
    unlock(m);

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

static bool row_matches(const struct memory *m, const struct row *row, const struct filter *filter,
                        struct arena *arena)
{
    struct filter_subject subject;
    struct index_row shown = show(m, row, true, arena);
    if (subject_of(&shown, arena, &subject, NULL))
        return false;
    add_others(m, row, arena, &subject);
    return filter_match(filter, &subject);
}

/* Its top, or any run of it. */
static bool trace_matches(const struct memory *m, struct uuid trace, const struct filter *filter,
                          bool top, struct arena *arena)
{
    for (size_t i = 0; i < m->visible.count; i++) {
        const struct row *row = &m->visible.at[i];
        if (uuid_compare(row->run.trace, trace) == 0 &&
            (!top || uuid_compare(row->run.id, trace) == 0) && !is_hidden(m, row) &&
            row_matches(m, row, filter, arena))
            return true;
    }
    return false;
}

/* All but the ids and the cursor. */
static bool is_asked(const struct memory *m, const struct row *row, const struct run_query *query,
                     struct arena *arena)
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
    return example && (!query->filter || row_matches(m, row, query->filter, arena)) &&
           (!query->trace_filter ||
            trace_matches(m, row->run.trace, query->trace_filter, true, arena)) &&
           (!query->tree_filter ||
            trace_matches(m, row->run.trace, query->tree_filter, false, arena));
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

static void query(struct index *index, struct index_query *asked)
{
    struct memory *m = memory_of(index);
    struct run_query query = *asked->query;
    assert(query.limit >= 1 && query.limit <= QUERY_LIMIT_MAX && asked->look >= 1);
    asked->rows = arena_make(asked->arena, struct index_row, query.limit);
    asked->count = 0;
    asked->more = false;
    lock(m);
    size_t count;
    const struct row **rows = in_order(m, &query, asked->arena, &count);
    for (size_t i = 0; i < count; i++) {
        struct arena *scratch = arena_new(SCRATCH);
        bool is = i < asked->look && is_asked(m, rows[i], &query, scratch);
        arena_free(scratch);
        asked->more = i == asked->look || (is && asked->count == query.limit);
        if (asked->more)
            break;
        if (is)
            asked->rows[asked->count++] = show(m, rows[i], true, asked->arena);
        asked->next = (struct query_cursor){rows[i]->run.start_us, rows[i]->run.id};
    }
    unlock(m);
    op_finish(&asked->op);
}

/* --- entities -------------------------------------------------------------------------------- */

/* Is what it belongs to gone? */
static bool is_orphan(const struct memory *m, const struct entity *entity)
{
    if (entity->kind == ENTITY_EXAMPLE) {
        const struct thing *dataset = things_find(&m->there, ENTITY_DATASET, entity->parent);
        return !dataset || dataset->removed;
    }
    if (entity->kind != ENTITY_FEEDBACK && entity->kind != ENTITY_SHARE &&
        entity->kind != ENTITY_TOKEN)
        return false;
    const struct row *run = rows_find(&m->visible, entity->parent);
    return run && run->run.count > 0 && is_hidden(m, run);
}

static int newest_entity(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    return newest_first(x->made_us, x->id, y->made_us, y->id);
}

static void entities(struct index *index, struct index_entities *asked)
{
    struct memory *m = memory_of(index);
    struct str wanted = {0};
    if (asked->name_contains.at) {
        char *folded = arena_alloc(asked->arena, FOLD_GROWTH * asked->name_contains.len + 1);
        wanted = (struct str){folded, fold(asked->name_contains, folded)};
    }
    lock(m);
    struct entity *list = arena_make(asked->arena, struct entity, m->there.count + 1);
    size_t count = 0;
    for (size_t i = 0; i < m->there.count; i++) {
        struct entity e = m->there.at[i].entity;
        if (m->there.at[i].removed || e.kind != asked->kind || is_orphan(m, &e) ||
            !among(e.id, asked->ids, asked->id_count) ||
            !among(e.parent, asked->parents, asked->parent_count) ||
            (asked->name.at && !(e.name.at && str_eq(e.name, asked->name))))
            continue;
        if (wanted.at) {
            char *folded = arena_alloc(asked->arena, FOLD_GROWTH * e.name.len + 1);
            if (!fold_contains((struct str){folded, fold(e.name, folded)}, wanted))
                continue;
        }
        e.name = e.name.at ? arena_copy(asked->arena, e.name) : e.name;
        e.json = e.json.at ? arena_copy(asked->arena, e.json) : e.json;
        list[count++] = e;
    }
    unlock(m);
    qsort(list, count, sizeof *list, newest_entity);
    size_t from = asked->offset < count ? asked->offset : count;
    asked->entities = list + from;
    asked->count = count - from < asked->limit ? count - from : asked->limit;
    op_finish(&asked->op);
}

/* --- the index --------------------------------------------------------------------------------- */

static uint64_t runs(struct index *index)
{
    struct memory *m = memory_of(index);
    lock(m);
    uint64_t count = m->visible.count;
    unlock(m);
    return count;
}

static void close_memory(struct index *index)
{
    if (!index)
        return;
    struct memory *m = memory_of(index);
    free(m->visible.at);
    free(m->visible.chain);
    free(m->staged.at);
    free(m->staged.chain);
    free(m->there.at);
    free(m->news.at);
    arena_free(m->kept);
    free(m);
}

static const struct index_ops memory_ops = {
    .name = "memory",
    .attach = attach,
    .stage = stage,
    .commit = commit,
    .rollback = rollback,
    .mark = mark,
    .durable = durable,
    .find = find,
    .search = search,
    .query = query,
    .entities = entities,
    .follow = index_alone_follow,
    .known = index_alone_known,
    .condemn = index_alone_condemn,
    .containers = index_alone_containers,
    .lose = index_alone_lose,
    .runs = runs,
    .close = close_memory,
};

int index_memory_open(struct index **result, struct err *err)
{
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ERR_BUSY, "no memory for an index");
    m->index = (struct index){.ops = &memory_ops, .writers = 1};
    m->kept = arena_new(4096);
    atomic_flag_clear(&m->lock);
    *result = &m->index;
    return 0;
}
