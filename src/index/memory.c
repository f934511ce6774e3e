/* memory.c - an index in plain arrays: what the others are compared with.
 *
 * Every page (memory_read.c) is a linear scan and a sort, so that one can see that it is
 * right; only a run is found by its id through a table.  It forgets everything at close; its
 * only use besides the conform tests is a server that keeps no index.
 *
 * What a stage changes is written down as a whole new row or entity behind those
 * before it; a look-up takes the newest.  A commit puts them in the place of the
 * visible ones, a batch that is refused is cut off.
 *
 * Reads are done where they are asked for, under a lock that is held for a
 * whole scan: this is not for many runs.
 */
#include "index/memory.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "index/alone.h"
#include "index/fold.h"
#include "index/guess.h"
#include "index/hash.h"
#include "run/facts.h"
#include "run/project.h"
#include "wire/json_string.h"

void memory_lock(struct memory *m)
{
    while (atomic_flag_test_and_set_explicit(&m->lock, memory_order_acquire))
        sched_yield();
}

void memory_unlock(struct memory *m)
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

struct row *memory_rows_find(const struct rows *rows, struct uuid id)
{
    for (size_t i = rows->count ? *chain_of(rows, id) : 0; i > 0; i = rows->at[i - 1].before)
        if (uuid_compare(rows->at[i - 1].run.id, id) == 0)
            return &rows->at[i - 1];
    return NULL;
}

struct thing *memory_things_find(const struct things *things, enum entity_kind kind, struct uuid id)
{
    for (size_t i = things->count; i-- > 0;)
        if (things->at[i].entity.kind == kind && uuid_compare(things->at[i].entity.id, id) == 0)
            return &things->at[i];
    return NULL;
}

static const struct row *find_row(const struct memory *m, struct uuid id)
{
    const struct row *row = memory_rows_find(&m->staged, id);
    return row ? row : memory_rows_find(&m->visible, id);
}

static const struct thing *find_thing(const struct memory *m, enum entity_kind kind, struct uuid id)
{
    const struct thing *thing = memory_things_find(&m->news, kind, id);
    return thing ? thing : memory_things_find(&m->there, kind, id);
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

/* Did it just come, and is its project gone? */
static bool is_of_gone(const struct memory *m, const struct record *record, const struct run *run)
{
    struct uuid id;
    if (!record->fresh || !project_is_by_id(run, &id))
        return false;
    const struct thing *project = find_thing(m, ENTITY_PROJECT, id);
    return project && project->removed;
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
        batch->gone = !r && is_of_gone(m, batch->record, &run);
        enum index_verdict verdict =
            r || batch->gone ? INDEX_CONFLICT : add_run(m, &run, place, batch->sequence, expect);
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
    memory_lock(m); /* what is kept may move */
    for (size_t i = 0; i < stage->count; i++)
        if (stage_batch(m, &stage->batches[i], &stage->op.err))
            break;
    memory_unlock(m);
    op_finish(&stage->op);
}

static void commit(struct index *index, struct index_commit *commit)
{
    struct memory *m = memory_of(index);
    memory_lock(m);
    for (size_t i = 0; i < m->staged.count; i++) {
        struct row *there = memory_rows_find(&m->visible, m->staged.at[i].run.id);
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
        struct thing *there = memory_things_find(&m->there, news->entity.kind, news->entity.id);
        if (there)
            *there = *news;
        else
            things_add(&m->there, news);
    }
    m->mark = commit->sequence;
    rows_cut(&m->staged, 0);
    m->news.count = 0;
    memory_unlock(m);
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
    memory_lock(m);
    durable->sequence = m->mark;
    memory_unlock(m);
    op_finish(&durable->op);
}

/* --- the index --------------------------------------------------------------------------------- */

static uint64_t runs(struct index *index)
{
    struct memory *m = memory_of(index);
    memory_lock(m);
    uint64_t count = m->visible.count;
    memory_unlock(m);
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
    .find = memory_find,
    .search = memory_search,
    .query = memory_query,
    .entities = memory_entities,
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
