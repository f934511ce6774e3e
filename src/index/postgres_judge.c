/* postgres_judge.c - see postgres_judge.h. */
#include "index/postgres_judge.h"

#include <assert.h>

#include "base/text.h"
#include "index/guess.h"
#include "run/facts.h"
#include "run/project.h"
#include "wire/json_string.h"

enum { PROJECT_IDS = 2 /* that a name may have, and that are asked for in advance */ };

static void touch(struct merged *run, uint64_t sequence)
{
    run->version = sequence > run->version ? sequence : run->version + 1;
}

static bool has_layers(const struct pg_row *row)
{
    return row && row->run.count > 0;
}

/* --- projects ---------------------------------------------------------------------- */

static struct uuid make_project(struct pg_ledger *l, struct uuid id, struct str name, bool apart,
                                const struct pg_entry *entry)
{
    pg_ledger_set_thing(l, &(struct pg_thing){
                               .entity = {.kind = ENTITY_PROJECT,
                                          .id = id,
                                          .name = arena_copy(l->arena, name),
                                          .made_us = entry->run.start_us,
                                          .version = entry->sequence},
                               .apart = apart,
                           });
    return id;
}

/* The project of a name, made if there is none. */
static struct uuid project_named(struct pg_ledger *l, struct str name, const struct pg_entry *entry)
{
    const struct pg_thing *there = pg_ledger_named(l, ENTITY_PROJECT, name);
    if (there)
        return there->entity.id;
    unsigned nth = 0;
    struct uuid id = entity_project_id(name, nth);
    while (pg_ledger_thing(l, ENTITY_PROJECT, id))
        id = entity_project_id(name, ++nth);
    for (unsigned next = nth + 1; l->missing && next <= 2 * nth; next++) /* in few questions */
        (void)pg_ledger_item(l, ENTITY_PROJECT, entity_project_id(name, next));
    return make_project(l, id, name, false, entry);
}

/* The project of an id; its name is the id, though another one may be called that. */
static struct uuid project_of_id(struct pg_ledger *l, struct uuid id, const struct pg_entry *entry)
{
    if (pg_ledger_thing(l, ENTITY_PROJECT, id))
        return id;
    char text[UUID_TEXT];
    uuid_write(id, text);
    struct str name = {text, sizeof text};
    bool apart = pg_ledger_named(l, ENTITY_PROJECT, name) != NULL;
    return make_project(l, id, name, apart, entry);
}

static void set_project(struct pg_ledger *l, struct pg_row *row, const struct pg_entry *entry,
                        bool first)
{
    struct text name = {0};
    struct uuid id;
    enum project_said said = project_said(&entry->run, &name, &id);
    if (!first && (!row->by_default || said == PROJECT_UNSAID)) {
        text_free(&name);
        return;
    }
    if (said == PROJECT_UNSAID)
        text_add(&name, STR("default"));
    row->project = said == PROJECT_BY_ID ? project_of_id(l, id, entry)
                                         : project_named(l, text_str(&name), entry);
    row->by_default = said == PROJECT_UNSAID;
    text_free(&name);
}

/* --- traces -------------------------------------------------------------------------- */

/* The trace of a run that does not say it. */
static void guess_trace(struct pg_ledger *l, struct pg_row *row)
{
    if (!row->run.guessed)
        return;
    if (uuid_is_zero(row->run.parent)) {
        row->run.trace = row->run.id;
        return;
    }
    const struct pg_row *parent = pg_ledger_row(l, row->run.parent);
    if (has_layers(parent)) {
        row->run.trace = parent->run.trace;
        row->run.guessed = parent->run.guessed;
    } else {
        row->run.trace = row->run.parent;
    }
    if (pg_row_waits(row)) /* the commit sees whether that one is still as it was */
        (void)pg_ledger_row(l, row->run.trace);
}

/* --- those that wait for a run (guess.h) -------------------------------------------------- */

static bool is_settled(struct pg_ledger *l, const struct pg_row *row)
{
    if (!pg_row_waits(row))
        return true;
    const struct pg_row *awaited = pg_ledger_row(l, row->run.trace);
    return has_layers(awaited) && !pg_row_waits(awaited);
}

static void move(struct pg_ledger *l, struct pg_slot *slot, const struct pg_row *to,
                 uint64_t sequence)
{
    struct pg_row moved = *slot->now;
    moved.run.trace = to->run.trace;
    moved.run.guessed = to->run.guessed;
    touch(&moved.run, sequence);
    pg_ledger_set_row(l, slot, &moved);
}

struct queue {
    struct pg_slot *first, *last;
};

/* Those that wait for it, at the end of the queue; false: there are none, or not all are known. */
static bool add_waiters(struct pg_ledger *l, struct pg_slot *awaited, struct queue *queue)
{
    struct pg_waiter *at = NULL;
    bool any = false;
    if (!awaited->below_known) {
        awaited->below_wanted = l->missing = true;
        return false;
    }
    for (struct pg_slot *slot; (slot = pg_ledger_next_waiter(awaited, &at));) {
        any = true;
        if (slot->queued)
            continue;
        slot->queued = true;
        slot->next = NULL;
        if (queue->last)
            queue->last->next = slot;
        else
            queue->first = slot;
        queue->last = slot;
    }
    awaited->swept |= any;
    return any;
}

/* All that wait for `to`, which is settled, and all that wait for those, to its trace. */
static void settle(struct pg_ledger *l, struct pg_slot *to, uint64_t sequence)
{
    const struct pg_row *row = to->now;
    bool stay = row->run.guessed && uuid_compare(row->run.trace, to->id) == 0; /* they have it */
    struct pg_waiter *at = NULL;
    struct queue queue = {0};
    if (!pg_ledger_next_waiter(to, &at) || !add_waiters(l, to, &queue))
        return;
    const struct pg_slot *level = queue.last;
    for (struct pg_slot *slot = queue.first; slot; slot = slot->next) {
        bool any = add_waiters(l, slot, &queue);
        slot->queued = false;
        if (any || !stay)
            move(l, slot, row, sequence);
        stay = stay && slot != level;
    }
}

/* Those that wait for this run, whose trace is another one than it was. */
static void move_waiters(struct pg_ledger *l, struct pg_slot *to, uint64_t sequence)
{
    struct pg_waiter *at = NULL;
    size_t count = 0;
    if (is_settled(l, to->now)) {
        settle(l, to, sequence);
        return;
    }
    while (count <= GUESS_MOVED && pg_ledger_next_waiter(to, &at))
        count++;
    at = NULL;
    for (struct pg_slot *slot; count <= GUESS_MOVED && (slot = pg_ledger_next_waiter(to, &at));)
        move(l, slot, to->now, sequence);
}

/* --- runs ----------------------------------------------------------------------------- */

static struct str facts_after(struct pg_ledger *l, struct str old, uint32_t taken,
                              const struct pg_entry *entry)
{
    struct text fresh = {0}, facts = {0};
    if (!entry->has_facts)
        facts_of(&entry->run, &fresh);
    facts_merge(old, taken, entry->has_facts ? entry->facts : text_str(&fresh), &facts);
    struct str kept = facts.len ? arena_copy(l->arena, text_str(&facts)) : (struct str){0};
    text_free(&fresh);
    text_free(&facts);
    return kept;
}

static enum index_verdict add_layer(struct pg_ledger *l, const struct pg_entry *entry)
{
    struct pg_slot *slot = pg_ledger_slot(l, entry->run.id);
    struct pg_row row = slot->now ? *slot->now : (struct pg_row){0};
    bool first = row.run.count == 0, guessed = row.run.guessed;
    struct uuid trace = row.run.trace;
    uint32_t taken = merge_add(&row.run, &entry->run, entry->place, entry->sequence);
    if (taken & UINT32_C(1) << RUN_NAME || first)
        row.name = entry->name;
    row.facts = facts_after(l, row.facts, taken, entry);
    set_project(l, &row, entry, first);
    guess_trace(l, &row);
    pg_ledger_set_row(l, slot, &row);
    if (first || guessed != row.run.guessed || uuid_compare(trace, row.run.trace) != 0)
        move_waiters(l, slot, entry->sequence);
    return INDEX_ADDED;
}

static enum index_verdict add_attachment(struct pg_ledger *l, const struct pg_entry *entry)
{
    struct pg_slot *slot = pg_ledger_slot(l, entry->run.id);
    struct pg_row row = slot->now ? *slot->now : (struct pg_row){.run.id = entry->run.id};
    struct text facts = {0};
    bool news = facts_attach(row.facts, &entry->run, entry->place, entry->sequence, &facts);
    if (news) {
        row.facts = arena_copy(l->arena, text_str(&facts));
        if (has_layers(&row))
            touch(&row.run, entry->sequence);
        pg_ledger_set_row(l, slot, &row);
    }
    text_free(&facts);
    return news ? INDEX_ADDED : INDEX_DUPLICATE;
}

/* --- entities ---------------------------------------------------------------------------- */

static bool is_of_run(enum entity_kind kind)
{
    return kind == ENTITY_FEEDBACK || kind == ENTITY_SHARE;
}

/* The run that an entity is about shows it, so it is another one now. */
static void touch_run(struct pg_ledger *l, const struct entity *entity, uint64_t sequence)
{
    if (!is_of_run(entity->kind))
        return;
    const struct pg_row *there = pg_ledger_row(l, entity->parent);
    if (!has_layers(there))
        return;
    struct pg_row row = *there;
    touch(&row.run, sequence);
    pg_ledger_set_row(l, pg_ledger_slot(l, entity->parent), &row);
}

static bool is_refused(struct pg_ledger *l, const struct pg_thing *there,
                       const struct entity *entity, uint64_t expect)
{
    uint64_t version = there && !there->removed ? there->entity.version : 0;
    if (expect != RECORD_ANY && expect != version)
        return true;
    if (there && there->removed && entity_stays_removed(entity->kind))
        return true;
    if (!entity->name.at || !entity_has_unique_name(entity->kind))
        return false;
    const struct pg_thing *other = pg_ledger_named(l, entity->kind, entity->name);
    return other && uuid_compare(other->entity.id, entity->id) != 0;
}

/* As text, appended; empty when it has none. */
static struct str name_of(const struct run *run, struct text *text)
{
    struct str name = run_field(run, RUN_NAME);
    if (name.len < 2 || name.at[0] != '"')
        return (struct str){0};
    size_t at = text->len;
    text->len +=
        json_string_decode((struct str){name.at + 1, name.len - 2}, text_room(text, name.len));
    return (struct str){text->at + at, text->len - at};
}

static struct pg_thing thing_of(struct pg_ledger *l, const struct pg_entry *entry)
{
    const struct run *run = &entry->run;
    struct text text = {0};
    struct str name = name_of(run, &text);
    struct pg_thing thing = {
        .entity = {.kind = (enum entity_kind)run->entity,
                   .id = run->id,
                   .parent = run->parent,
                   .name = name.at ? arena_copy(l->arena, name) : name,
                   .made_us = run->start_us,
                   .version = entry->sequence,
                   .json = run->raw.len ? arena_copy(l->arena, run->raw) : (struct str){0}},
        .removed = run->raw.len == 0,
    };
    text_free(&text);
    return thing;
}

static bool is_same(const struct pg_thing *a, const struct pg_thing *b)
{
    return a->removed == b->removed && a->entity.json.len > 0 &&
           str_eq(a->entity.json, b->entity.json) &&
           uuid_compare(a->entity.parent, b->entity.parent) == 0;
}

static enum index_verdict add_entity(struct pg_ledger *l, const struct pg_entry *entry)
{
    struct pg_thing thing = thing_of(l, entry);
    const struct pg_thing *there = pg_ledger_thing(l, thing.entity.kind, thing.entity.id);
    if (there && is_same(there, &thing))
        return INDEX_DUPLICATE;
    if (thing.removed && (!there || there->removed))
        return INDEX_DUPLICATE;
    if (entry->stored && there && entry->sequence < there->entity.version)
        return INDEX_DUPLICATE; /* somebody makes the index anew beside those who write it */
    if (!thing.removed && is_refused(l, there, &thing.entity, entry->expect))
        return INDEX_CONFLICT;
    if (there) {
        thing.entity.made_us = there->entity.made_us;
        if (thing.removed)
            thing.entity.parent = there->entity.parent;
        if (!there->removed && uuid_compare(there->entity.parent, thing.entity.parent) != 0)
            touch_run(l, &there->entity, entry->sequence);
    }
    pg_ledger_set_thing(l, &thing);
    touch_run(l, &thing.entity, entry->sequence);
    return INDEX_ADDED;
}

/* --- a batch -------------------------------------------------------------------------------- */

static enum index_verdict add(struct pg_ledger *l, const struct pg_entry *entry)
{
    const struct run *run = &entry->run;
    if (run->kind == RUN_ENTITY)
        return add_entity(l, entry);
    const struct pg_row *there = pg_ledger_row(l, run->id);
    if (run->kind == RUN_ATTACHMENT)
        return add_attachment(l, entry);
    assert(run->kind <= RUN_PATCH);
    if (run->kind == RUN_WHOLE && there && there->run.posted)
        return there->run.post_hash[0] == run->hash[0] && there->run.post_hash[1] == run->hash[1]
                   ? INDEX_DUPLICATE
                   : INDEX_CONFLICT;
    if (run->kind != RUN_WHOLE && there && merge_has(&there->run, run))
        return INDEX_DUPLICATE;
    return add_layer(l, entry);
}

void pg_judge(struct pg_ledger *ledger, const struct pg_entry *entries, size_t count,
              struct index_batch *batch)
{
    size_t point = pg_ledger_point(ledger);
    batch->added = 0;
    for (size_t i = 0; i < count; i++) {
        enum index_verdict verdict = add(ledger, &entries[i]);
        batch->added += verdict == INDEX_ADDED;
        if (verdict != INDEX_CONFLICT)
            continue;
        pg_ledger_back(ledger, point);
        batch->verdict = INDEX_CONFLICT;
        batch->added = 0;
        batch->conflict = (uint32_t)i;
        return;
    }
    batch->verdict = batch->added ? INDEX_ADDED : INDEX_DUPLICATE;
}

static void expect_project(struct pg_ledger *l, const struct run *run)
{
    struct text name = {0};
    struct uuid id;
    enum project_said said = project_said(run, &name, &id);
    if (said == PROJECT_BY_ID) {
        (void)pg_ledger_item(l, ENTITY_PROJECT, id);
    } else {
        if (said == PROJECT_UNSAID)
            text_add(&name, STR("default"));
        (void)pg_ledger_title(l, ENTITY_PROJECT, text_str(&name));
        for (unsigned nth = 0; nth < PROJECT_IDS; nth++)
            (void)pg_ledger_item(l, ENTITY_PROJECT, entity_project_id(text_str(&name), nth));
    }
    text_free(&name);
}

static void expect_entity(struct pg_ledger *l, const struct run *run)
{
    enum entity_kind kind = (enum entity_kind)run->entity;
    struct text text = {0};
    struct str name = name_of(run, &text);
    (void)pg_ledger_item(l, kind, run->id);
    if (name.at && entity_has_unique_name(kind))
        (void)pg_ledger_title(l, kind, name);
    if (is_of_run(kind) && !uuid_is_zero(run->parent))
        (void)pg_ledger_slot(l, run->parent);
    text_free(&text);
}

void pg_judge_expect(struct pg_ledger *ledger, const struct pg_entry *entry)
{
    const struct run *run = &entry->run;
    if (run->kind == RUN_ENTITY) {
        expect_entity(ledger, run);
        return;
    }
    (void)pg_ledger_slot(ledger, run->id);
    if (run->kind == RUN_ATTACHMENT)
        return;
    expect_project(ledger, run);
    if (uuid_is_zero(run->trace) && !uuid_is_zero(run->parent))
        (void)pg_ledger_slot(ledger, run->parent);
}
