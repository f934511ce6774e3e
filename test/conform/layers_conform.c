/* layers_conform.c - runs in layers, attachments, entities and queries: every index does with
 * them what memory does, which is the reference and has its own tests below.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "index/index.h"
#include "lib/check.h"
#include "lib/index_bed.h"
#include "lib/make_layer.h"
#include "run/facts.h"
#include "run/filter.h"

enum { LAYERS_MAX = 24, IDS = 120, TRACES = 9 };

static int stage_made(struct bed *bed, struct made_record *made, struct index_batch *batch)
{
    uint32_t count = made->record.count;
    *batch = (struct index_batch){
        .record = &made->record,
        .first = {1, bed->ordinal},
        .sequence = ++bed->sequence,
    };
    int r = calls_stage(&bed->calls, batch, 1);
    batch->record = NULL;
    bed->ordinal += count;
    made_free(made);
    return r;
}

static int stage(struct bed *bed, const struct make_layer *layers, size_t count, uint64_t expect,
                 struct index_batch *batch)
{
    struct made_record *made = make_layers(layers, count);
    made->record.expect = expect;
    return stage_made(bed, made, batch);
}

/* As if it came out of the log. */
static int stage_stored(struct bed *bed, const struct make_layer *layers, size_t count,
                        struct index_batch *batch)
{
    struct made_record *made = make_layers(layers, count);
    made->record.fresh = false;
    return stage_made(bed, made, batch);
}

/* One batch, committed; its verdict. */
static enum index_verdict add(struct bed *bed, const struct make_layer *layers, size_t count)
{
    struct index_batch batch;
    CHECK(stage(bed, layers, count, RECORD_ANY, &batch) == 0);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    return batch.verdict;
}

/* --- each of them --------------------------------------------------------------- */

static void on(void (*start)(struct bed *bed), void (*test)(struct bed *bed))
{
    struct bed bed;
    start(&bed);
    test(&bed);
    bed_stop(&bed);
}

#define EACH(id)                                                                                   \
    static void id##_on(struct bed *bed);                                                          \
    TEST(id##_in_memory)                                                                           \
    {                                                                                              \
        on(bed_memory, id##_on);                                                                   \
    }                                                                                              \
    TEST(id##_in_sqlite)                                                                           \
    {                                                                                              \
        on(bed_sqlite, id##_on);                                                                   \
    }                                                                                              \
    TEST(id##_in_postgres)                                                                         \
    {                                                                                              \
        if (postgres_bed_possible())                                                               \
            on(bed_postgres, id##_on);                                                             \
        else                                                                                       \
            test_skip(POSTGRES_BED_SKIP);                                                          \
    }                                                                                              \
    static void id##_on(struct bed *bed)

static struct index_row *find(struct bed *bed, uint64_t n, struct arena *arena)
{
    struct index_row *rows = NULL;
    struct uuid id = make_id(n);
    CHECK(calls_find(&bed->calls, &id, 1, arena, &rows) == 0);
    return rows;
}

static bool is_there(struct bed *bed, uint64_t n)
{
    struct arena *arena = arena_new(1024);
    bool found = find(bed, n, arena)->found;
    arena_free(arena);
    return found;
}

static int holder_of(const struct index_row *row, enum run_field field)
{
    for (unsigned i = 0; i < row->holder_count; i++)
        if (row->holders[i].fields & UINT32_C(1) << field)
            return (int)row->holders[i].place.ordinal;
    return -1;
}

static bool is_text(struct str text, const char *wanted)
{
    return str_eq(text, (struct str){wanted, strlen(wanted)});
}

static size_t count_entities(struct bed *bed, enum entity_kind kind, const char *name)
{
    struct arena *arena = arena_new(1024);
    struct index_entities asked = {.kind = kind, .limit = 100, .arena = arena};
    if (name)
        asked.name = (struct str){name, strlen(name)};
    CHECK(calls_entities(&bed->calls, &asked) == 0);
    size_t count = asked.count;
    arena_free(arena);
    return count;
}

/* How many runs a filter finds. */
static size_t finds(struct bed *bed, const char *text)
{
    struct arena *arena = arena_new(1024);
    struct run_query query = {
        .start_min_us = INT64_MIN, .start_max_us = INT64_MAX, .limit = QUERY_LIMIT_MAX};
    struct index_query asked;
    struct err err = {0};
    CHECK(filter_parse((struct str){text, strlen(text)}, arena, &query.filter, &err) == 0);
    CHECK(calls_query(&bed->calls, &query, arena, &asked) == 0);
    size_t count = asked.count;
    arena_free(arena);
    return count;
}

EACH(post_and_patch_are_one_run_whichever_comes_first)
{
    const struct make_layer post = {.kind = RUN_POST,
                                    .id = make_id(1),
                                    .trace = make_id(1),
                                    .start_us = 50,
                                    .field = {[RUN_NAME] = "\"n\"",
                                              [RUN_INPUTS] = "{\"a\":1}",
                                              [RUN_START_TIME] = "50",
                                              [RUN_SESSION_NAME] = "\"p\""}};
    const struct make_layer patch = {.kind = RUN_PATCH,
                                     .id = make_id(1),
                                     .trace = make_id(1),
                                     .end_us = 70,
                                     .field = {[RUN_OUTPUTS] = "{\"b\":2}", [RUN_END_TIME] = "70"}};
    struct arena *arena = arena_new(1024);
    CHECK(add(bed, &patch, 1) == INDEX_ADDED);
    struct index_row *row = find(bed, 1, arena);
    CHECK(row->found && row->status == RUN_SUCCESS && is_text(row->project_name, "default"));
    uint64_t version = row->version;
    CHECK(add(bed, &post, 1) == INDEX_ADDED);
    row = find(bed, 1, arena);
    CHECK(row->found && row->start_us == 50 && row->end_us == 70 && row->version > version);
    CHECK(holder_of(row, RUN_OUTPUTS) == 0 && holder_of(row, RUN_INPUTS) == 1);
    CHECK(is_text(row->project_name, "p") && row->size > 0);
    /* Again: nothing. */
    CHECK(add(bed, &post, 1) == INDEX_DUPLICATE && add(bed, &patch, 1) == INDEX_DUPLICATE);
    struct make_layer both[] = {post, patch, {.kind = RUN_PATCH, .id = make_id(1)}};
    both[2].field[RUN_TAGS] = "[\"t\"]";
    CHECK(add(bed, both, 3) == INDEX_ADDED);
    CHECK(finds(bed, "has(tags, \"t\")") == 1 && finds(bed, "eq(name, \"n\")") == 1);
    CHECK(finds(bed, "eq(latency, 0.00002)") == 1 &&
          finds(bed, "gt(start_time, \"2020-01-01\")") == 0);
    arena_free(arena);
}

EACH(a_run_is_on_one_page_when_its_start_moves)
{
    struct make_layer runs[] = {
        {.kind = RUN_POST, .id = make_id(1), .trace = make_id(9), .start_us = 10},
        {.kind = RUN_POST, .id = make_id(2), .trace = make_id(9), .start_us = 20},
        {.kind = RUN_PATCH, .id = make_id(1), .trace = make_id(9), .start_us = 30},
    };
    for (int i = 0; i < 3; i++)
        runs[i].field[RUN_START_TIME] = "0";
    CHECK(add(bed, runs, 2) == INDEX_ADDED && add(bed, runs + 2, 1) == INDEX_ADDED);
    struct arena *arena = arena_new(1024);
    struct query by_trace = {.by_trace = true, .trace = make_id(9), .limit = 50};
    struct index_search search;
    CHECK(calls_search(&bed->calls, &by_trace, arena, &search) == 0);
    CHECK(search.count == 2 && uuid_compare(search.rows[0].id, make_id(1)) == 0);
    CHECK(search.rows[0].start_us == 30);
    arena_free(arena);
}

EACH(a_whole_run_is_judged_by_what_was_posted)
{
    struct make_layer whole = {.kind = RUN_WHOLE, .id = make_id(1), .trace = make_id(1)};
    whole.field[RUN_NAME] = "\"n\"";
    struct make_layer other = whole;
    other.field[RUN_NAME] = "\"m\"";
    const struct make_layer patch = {
        .kind = RUN_PATCH, .id = make_id(1), .trace = make_id(1), .field = {[RUN_TAGS] = "[1]"}};
    CHECK(add(bed, &patch, 1) == INDEX_ADDED && add(bed, &whole, 1) == INDEX_ADDED);
    CHECK(add(bed, &whole, 1) == INDEX_DUPLICATE && add(bed, &other, 1) == INDEX_CONFLICT);
    const struct make_layer mixed[] = {{.kind = RUN_POST, .id = make_id(2), .trace = make_id(1)},
                                       other};
    CHECK(add(bed, mixed, 2) == INDEX_CONFLICT && !is_there(bed, 2));
}

EACH(the_trace_of_a_child_is_guessed_until_it_is_known)
{
    const struct make_layer child = {.kind = RUN_POST, .id = make_id(3), .parent = make_id(2)};
    const struct make_layer grandchild = {.kind = RUN_POST, .id = make_id(4), .parent = make_id(3)};
    const struct make_layer parent = {.kind = RUN_POST, .id = make_id(2), .parent = make_id(1)};
    const struct make_layer top = {.kind = RUN_POST, .id = make_id(1)};
    struct arena *arena = arena_new(1024);
    CHECK(add(bed, &grandchild, 1) == INDEX_ADDED && add(bed, &child, 1) == INDEX_ADDED);
    CHECK(uuid_compare(find(bed, 4, arena)->trace, make_id(2)) == 0);
    CHECK(add(bed, &parent, 1) == INDEX_ADDED);
    CHECK(uuid_compare(find(bed, 4, arena)->trace, make_id(1)) == 0);
    CHECK(add(bed, &top, 1) == INDEX_ADDED);
    for (uint64_t n = 1; n <= 4; n++)
        CHECK(uuid_compare(find(bed, n, arena)->trace, make_id(1)) == 0);
    arena_free(arena);
}

EACH(a_trace_that_is_said_later_is_the_trace)
{
    struct make_layer patch = {.kind = RUN_PATCH, .id = make_id(1)};
    patch.field[RUN_TAGS] = "[\"t\"]";
    const struct make_layer child = {.kind = RUN_POST, .id = make_id(2), .parent = make_id(1)};
    const struct make_layer post = {.kind = RUN_POST, .id = make_id(1), .trace = make_id(9)};
    struct arena *arena = arena_new(1024);
    CHECK(add(bed, &patch, 1) == INDEX_ADDED && add(bed, &child, 1) == INDEX_ADDED);
    CHECK(uuid_compare(find(bed, 1, arena)->trace, make_id(1)) == 0);
    CHECK(uuid_compare(find(bed, 2, arena)->trace, make_id(1)) == 0);
    CHECK(add(bed, &post, 1) == INDEX_ADDED);
    CHECK(uuid_compare(find(bed, 1, arena)->trace, make_id(9)) == 0);
    CHECK(uuid_compare(find(bed, 2, arena)->trace, make_id(9)) == 0);
    arena_free(arena);
}

EACH(an_attachment_waits_for_its_run)
{
    const struct make_layer attachment = {
        .kind = RUN_ATTACHMENT,
        .id = make_id(1),
        .trace = make_id(1),
        .field = {[RUN_NAME] = "pic", [RUN_RUN_TYPE] = "image/png", [RUN_INPUTS] = "bytes"}};
    const struct make_layer post = {.kind = RUN_POST, .id = make_id(1), .trace = make_id(1)};
    struct arena *arena = arena_new(1024);
    struct facts facts;
    CHECK(add(bed, &attachment, 1) == INDEX_ADDED && !is_there(bed, 1));
    CHECK(add(bed, &post, 1) == INDEX_ADDED);
    CHECK(facts_read(find(bed, 1, arena)->facts, arena, &facts, NULL) == 0);
    CHECK(facts.attachment_count == 1 && facts.attachments[0].place.ordinal == 0);
    CHECK(add(bed, &attachment, 1) == INDEX_DUPLICATE);
    arena_free(arena);
}

EACH(names_of_projects_belong_to_one)
{
    const struct make_layer run = {.kind = RUN_POST,
                                   .id = make_id(1),
                                   .trace = make_id(1),
                                   .field = {[RUN_SESSION_NAME] = "\"p\""}};
    const struct make_layer taken = {.kind = RUN_ENTITY,
                                     .entity = ENTITY_PROJECT,
                                     .id = make_id(50),
                                     .field = {[RUN_NAME] = "\"p\""},
                                     .json = "\"x\":1"};
    CHECK(add(bed, &run, 1) == INDEX_ADDED && count_entities(bed, ENTITY_PROJECT, "p") == 1);
    CHECK(add(bed, &taken, 1) == INDEX_CONFLICT);
    struct arena *arena = arena_new(1024);
    struct make_layer removed = {
        .kind = RUN_ENTITY, .entity = ENTITY_PROJECT, .id = find(bed, 1, arena)->project};
    CHECK(add(bed, &removed, 1) == INDEX_ADDED && !is_there(bed, 1));
    CHECK(count_entities(bed, ENTITY_PROJECT, "p") == 0);
    CHECK(add(bed, &taken, 1) == INDEX_ADDED && !is_there(bed, 1));
    struct make_layer risen = removed; /* it would bring its runs back */
    risen.field[RUN_NAME] = "\"other\"";
    risen.json = "\"x\":2";
    CHECK(add(bed, &risen, 1) == INDEX_CONFLICT && !is_there(bed, 1));
    struct make_layer again = run;
    again.id = make_id(2);
    CHECK(add(bed, &again, 1) == INDEX_ADDED);
    CHECK(uuid_compare(find(bed, 2, arena)->project, make_id(50)) == 0);
    arena_free(arena);
}

EACH(runs_of_a_removed_project_are_refused_by_its_id)
{
    struct make_layer project = {.kind = RUN_ENTITY,
                                 .entity = ENTITY_PROJECT,
                                 .id = make_id(50),
                                 .field = {[RUN_NAME] = "\"p\""},
                                 .json = "\"x\":1"};
    struct make_layer pair[2] = {{.kind = RUN_POST, .id = make_id(1), .trace = make_id(1)},
                                 {.kind = RUN_POST, .id = make_id(2), .trace = make_id(2)}};
    struct index_batch batch;
    struct arena *arena = arena_new(1024);
    char id[UUID_TEXT + 3] = "\"";
    uuid_write(make_id(50), id + 1);
    id[UUID_TEXT + 1] = '"';
    pair[1].field[RUN_SESSION_ID] = id;
    CHECK(add(bed, &project, 1) == INDEX_ADDED && add(bed, pair, 2) == INDEX_ADDED);
    CHECK(is_there(bed, 1) && uuid_compare(find(bed, 2, arena)->project, make_id(50)) == 0);
    project.json = project.field[RUN_NAME] = NULL;
    CHECK(add(bed, &project, 1) == INDEX_ADDED && !is_there(bed, 2));
    pair[0].id = pair[0].trace = make_id(3);
    pair[1].id = pair[1].trace = make_id(4);
    CHECK(stage(bed, pair, 2, RECORD_ANY, &batch) == 0);
    CHECK(batch.verdict == INDEX_CONFLICT && batch.gone && batch.conflict == 1);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0 && !is_there(bed, 3));
    CHECK(stage_stored(bed, pair, 2, &batch) == 0 && batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0 && is_there(bed, 3) && !is_there(bed, 4));
    pair[1].id = pair[1].trace = make_id(5);
    CHECK(stage(bed, pair, 2, RECORD_ANY, &batch) == 0 && batch.gone);
    CHECK(calls_rollback(&bed->calls) == 0);
    arena_free(arena);
}

EACH(an_entity_is_changed_by_who_knows_it)
{
    struct make_layer feedback = {.kind = RUN_ENTITY,
                                  .entity = ENTITY_FEEDBACK,
                                  .id = make_id(60),
                                  .parent = make_id(1),
                                  .field = {[RUN_NAME] = "\"good\""},
                                  .json = "\"score\":0.5"};
    const struct make_layer post = {.kind = RUN_POST, .id = make_id(1), .trace = make_id(1)};
    struct arena *arena = arena_new(1024);
    struct index_batch batch;
    CHECK(add(bed, &post, 1) == INDEX_ADDED);
    uint64_t version = find(bed, 1, arena)->version;
    CHECK(stage(bed, &feedback, 1, 0, &batch) == 0 && batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    uint64_t first = bed->sequence;
    CHECK(find(bed, 1, arena)->version > version);
    CHECK(finds(bed, "and(eq(feedback_key, \"good\"), eq(feedback_score, 0.5))") == 1);
    feedback.json = "\"score\":true";
    CHECK(stage(bed, &feedback, 1, 0, &batch) == 0 && batch.verdict == INDEX_CONFLICT);
    CHECK(stage(bed, &feedback, 1, first, &batch) == 0 && batch.verdict == INDEX_ADDED);
    CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
    CHECK(finds(bed, "eq(feedback_score, 1)") == 1 &&
          count_entities(bed, ENTITY_FEEDBACK, NULL) == 1);
    feedback.json = feedback.field[RUN_NAME] = NULL;
    CHECK(add(bed, &feedback, 1) == INDEX_ADDED && count_entities(bed, ENTITY_FEEDBACK, NULL) == 0);
    CHECK(finds(bed, "eq(feedback_key, \"good\")") == 0);
    arena_free(arena);
}

EACH(feedback_that_moves_changes_both_runs)
{
    const struct make_layer one = {.kind = RUN_POST, .id = make_id(1), .trace = make_id(1)};
    const struct make_layer two = {.kind = RUN_POST, .id = make_id(2), .trace = make_id(2)};
    struct make_layer feedback = {.kind = RUN_ENTITY,
                                  .entity = ENTITY_FEEDBACK,
                                  .id = make_id(60),
                                  .parent = make_id(1),
                                  .field = {[RUN_NAME] = "\"good\""},
                                  .json = "\"score\":1"};
    struct arena *arena = arena_new(1024);
    CHECK(add(bed, &one, 1) == INDEX_ADDED && add(bed, &two, 1) == INDEX_ADDED);
    CHECK(add(bed, &feedback, 1) == INDEX_ADDED);
    uint64_t old = find(bed, 1, arena)->version, new = find(bed, 2, arena)->version;
    feedback.parent = make_id(2);
    CHECK(add(bed, &feedback, 1) == INDEX_ADDED);
    CHECK(find(bed, 1, arena)->version > old && find(bed, 2, arena)->version > new);
    arena_free(arena);
}

enum { LISTED = 60 };

/* Feedback to three runs, some of it made at the same time. */
static void say_much(struct bed *bed)
{
    static const char *const keys[] = {"\"good\"", "\"bad\""};
    struct make_layer feedback[LISTED];
    for (int i = 0; i < LISTED; i++)
        feedback[i] = (struct make_layer){.kind = RUN_ENTITY,
                                          .entity = ENTITY_FEEDBACK,
                                          .id = make_id(100 + (uint64_t)(i * 37 % LISTED)),
                                          .parent = make_id(1 + (uint64_t)i % 3),
                                          .start_us = i / 4,
                                          .field = {[RUN_NAME] = keys[i % 2]},
                                          .json = "\"score\":1"};
    CHECK(add(bed, feedback, LISTED) == INDEX_ADDED);
}

/* All pages of a question, one after the other: how many entities there are. */
static size_t walk(struct bed *bed, struct index_entities asked)
{
    struct entity_cursor last = {INT64_MAX, {{0}}};
    size_t count = 0;
    asked.more = true;
    for (int pages = 0; asked.more && pages <= LISTED; pages++) {
        struct arena *arena = asked.arena = arena_new(1024);
        CHECK(calls_entities(&bed->calls, &asked) == 0);
        CHECK(asked.count <= asked.limit && (asked.count > 0 || !asked.more));
        for (size_t i = 0; i < asked.count; i++) {
            const struct entity *e = &asked.entities[i];
            CHECK(e->made_us < last.made_us ||
                  (e->made_us == last.made_us && uuid_compare(e->id, last.id) < 0));
            last = (struct entity_cursor){e->made_us, e->id};
            CHECK((e->json.len == 0) == asked.bare);
        }
        count += asked.count;
        asked.after = true;
        arena_free(arena);
    }
    return count;
}

EACH(entities_are_walked_page_by_page)
{
    const struct uuid parents[] = {make_id(3), make_id(1), make_id(3), make_id(9)};
    const struct uuid ids[] = {make_id(107), make_id(101), make_id(107)};
    say_much(bed);
    for (uint32_t limit = 1; limit < LISTED + 2; limit += 6) {
        const struct index_entities all = {.kind = ENTITY_FEEDBACK, .limit = limit};
        struct index_entities asked = all;
        CHECK(walk(bed, asked) == LISTED);
        asked.bare = true;
        CHECK(walk(bed, asked) == LISTED);
        asked.name = STR("good");
        CHECK(walk(bed, asked) == LISTED / 2);
        asked = all;
        asked.parents = parents;
        asked.parent_count = 1;
        CHECK(walk(bed, asked) == LISTED / 3);
        asked.parent_count = 4; /* one of them twice, one without any */
        CHECK(walk(bed, asked) == 2 * LISTED / 3);
        asked.name_contains = STR("OO");
        CHECK(walk(bed, asked) == LISTED / 3);
        asked = all;
        asked.ids = ids;
        asked.id_count = 3;
        CHECK(walk(bed, asked) == 2);
    }
}

EACH(a_page_of_entities_ends_before_it_has_too_many_bytes)
{
    struct make_layer large[] = {{.json = "\"score\":3"}, {.json = NULL}, {.json = "\"score\":4"}};
    static char text[5000];
    size_t two = 0; /* bytes of the first two */
    snprintf(text, sizeof text, "\"comment\":\"%04000d\"", 0);
    large[1].json = text;
    for (uint64_t i = 0; i < 3; i++) {
        large[i].kind = RUN_ENTITY;
        large[i].entity = ENTITY_FEEDBACK;
        large[i].id = make_id(60 + i);
        large[i].parent = make_id(1);
        large[i].start_us = 9 - (int64_t)i;
    }
    CHECK(add(bed, large, 3) == INDEX_ADDED);
    struct index_entities asked = {
        .kind = ENTITY_FEEDBACK, .limit = 9, .bytes = 100, .arena = arena_new(1 << 14)};
    for (int i = 0; i < 3; i++) { /* each alone: two would be too many */
        CHECK(calls_entities(&bed->calls, &asked) == 0 && asked.count == 1);
        CHECK(uuid_compare(asked.entities[0].id, large[i].id) == 0 && asked.more == (i < 2));
        two += i < 2 ? asked.entities[0].json.len : 0;
        asked.after = true;
    }
    asked.after = false;
    asked.bytes = two;
    CHECK(calls_entities(&bed->calls, &asked) == 0 && asked.count == 2 && asked.more);
    asked.bytes = two - 1;
    CHECK(calls_entities(&bed->calls, &asked) == 0 && asked.count == 1 && asked.more);
    asked.bare = true;
    asked.bytes = 100;
    CHECK(calls_entities(&bed->calls, &asked) == 0 && asked.count == 3 && !asked.more);
    arena_free(asked.arena);
}

EACH(what_was_deleted_stays_hidden)
{
    const struct make_layer run = {.kind = RUN_POST, .id = make_id(1), .trace = make_id(7)};
    const struct make_layer child = {.kind = RUN_POST, .id = make_id(2), .trace = make_id(7)};
    const struct make_layer gone = {
        .kind = RUN_ENTITY, .entity = ENTITY_GONE_RUN, .id = make_id(1), .json = "\"g\":1"};
    const struct make_layer trace = {
        .kind = RUN_ENTITY, .entity = ENTITY_GONE_TRACE, .id = make_id(7), .json = "\"g\":1"};
    struct make_layer late = {.kind = RUN_PATCH, .id = make_id(1), .trace = make_id(7)};
    late.field[RUN_TAGS] = "[\"late\"]";
    CHECK(add(bed, &run, 1) == INDEX_ADDED && add(bed, &child, 1) == INDEX_ADDED);
    CHECK(add(bed, &gone, 1) == INDEX_ADDED && !is_there(bed, 1) && is_there(bed, 2));
    CHECK(add(bed, &late, 1) == INDEX_ADDED && !is_there(bed, 1));
    CHECK(add(bed, &trace, 1) == INDEX_ADDED && !is_there(bed, 2));
    late.id = make_id(3);
    CHECK(add(bed, &late, 1) == INDEX_ADDED && !is_there(bed, 3));
    CHECK(finds(bed, "eq(is_root, true)") == 0);
}

static bool same_holders(const struct index_row *a, const struct index_row *b)
{
    for (unsigned i = 0; i < a->holder_count; i++) {
        const struct holder *x = &a->holders[i], *y = &b->holders[i];
        if (x->place.ordinal != y->place.ordinal || x->sequence != y->sequence ||
            x->fields != y->fields || x->kind != y->kind || x->hash != y->hash ||
            x->size != y->size || x->empty != y->empty)
            return false;
    }
    return a->holder_count == b->holder_count;
}

static bool same_row(const struct index_row *a, const struct index_row *b)
{
    if (a->found != b->found || uuid_compare(a->id, b->id) != 0)
        return false;
    return !a->found ||
           (uuid_compare(a->trace, b->trace) == 0 && uuid_compare(a->parent, b->parent) == 0 &&
            uuid_compare(a->project, b->project) == 0 && str_eq(a->project_name, b->project_name) &&
            a->start_us == b->start_us && a->end_us == b->end_us && a->type == b->type &&
            a->status == b->status && a->version == b->version && a->size == b->size &&
            str_eq(a->facts, b->facts) && same_holders(a, b));
}

static void compare_rows(const struct index_row *a, const struct index_row *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!same_row(&a[i], &b[i])) {
            fprintf(stderr, "row %zu: found %d %d, version %llu %llu, start %lld %lld\n", i,
                    a[i].found, b[i].found, (unsigned long long)a[i].version,
                    (unsigned long long)b[i].version, (long long)a[i].start_us,
                    (long long)b[i].start_us);
            CHECK(same_row(&a[i], &b[i]));
            return;
        }
}

/* --- traces that nobody says ------------------------------------------------------------ */

enum { TREE_RUNS = 130, TREE_TRACE = 900 };

/* Chains and fans are longer than what is moved before all is there (index/guess.h). */
static uint64_t tree_parent(int shape, uint64_t n, struct make_random *random)
{
    return shape == 0 ? n - 1 : shape == 1 ? 1 + (n - 2) / 43 : 1 + make_random(random) % (n - 1);
}

static void compare_tree(struct bed *bed, struct bed *reference)
{
    struct uuid ids[TREE_RUNS];
    struct index_row *rows[2] = {NULL, NULL};
    struct arena *arena = arena_new(1 << 12);
    for (uint64_t n = 0; n < TREE_RUNS; n++)
        ids[n] = make_id(1 + n);
    CHECK(calls_find(&bed->calls, ids, TREE_RUNS, arena, &rows[0]) == 0);
    CHECK(calls_find(&reference->calls, ids, TREE_RUNS, arena, &rows[1]) == 0);
    compare_rows(rows[0], rows[1], TREE_RUNS);
    arena_free(arena);
}

/* Its runs one by one, as ordered, some of them committed together. */
static void add_tree(struct bed *bed, struct bed *reference, const struct make_layer *runs,
                     const uint64_t *order, struct make_random *random)
{
    for (size_t i = 0; i < TREE_RUNS && !test_failures; i++) {
        struct index_batch batch;
        CHECK(stage(bed, &runs[order[i]], 1, RECORD_ANY, &batch) == 0);
        CHECK(batch.verdict == INDEX_ADDED);
        CHECK(stage(reference, &runs[order[i]], 1, RECORD_ANY, &batch) == 0);
        if (i + 1 < TREE_RUNS && make_random(random) % 3 == 0)
            continue;
        CHECK(calls_commit(&bed->calls, bed->sequence) == 0);
        CHECK(calls_commit(&reference->calls, reference->sequence) == 0);
        if (i % 8 == 0 || i + 1 == TREE_RUNS)
            compare_tree(bed, reference);
    }
}

/* Its runs 1 to TREE_RUNS, 1 the top. */
static void try_tree(struct bed *bed, int shape, int order, bool said)
{
    struct make_random random = {(uint64_t)(1 + 6 * shape + 2 * order + said)};
    struct make_layer runs[TREE_RUNS] = {0};
    uint64_t places[TREE_RUNS];
    struct bed reference;
    bed_memory(&reference);
    reference.sequence = bed->sequence;
    reference.ordinal = bed->ordinal;
    for (uint64_t n = 1; n <= TREE_RUNS; n++) {
        runs[n - 1] = (struct make_layer){.kind = RUN_POST, .id = make_id(n)};
        if (n > 1)
            runs[n - 1].parent = make_id(tree_parent(shape, n, &random));
        places[n - 1] = TREE_RUNS - n;
    }
    if (said)
        runs[0].trace = make_id(TREE_TRACE);
    for (size_t i = 0; order && i < TREE_RUNS; i++) {
        size_t k = i + make_random(&random) % (TREE_RUNS - i);
        uint64_t place = places[i];
        places[i] = places[k];
        places[k] = place;
    }
    add_tree(bed, &reference, runs, places, &random);
    struct arena *arena = arena_new(1 << 12);
    struct query in_trace = {
        .by_trace = true, .trace = make_id(said ? TREE_TRACE : 1), .limit = 1000};
    struct index_search found;
    CHECK(calls_search(&bed->calls, &in_trace, arena, &found) == 0);
    CHECK(found.count == TREE_RUNS);
    arena_free(arena);
    bed_stop(&reference);
}

#define TREE(name, shape, order)                                                                   \
    EACH(name)                                                                                     \
    {                                                                                              \
        try_tree(bed, shape, order, false);                                                        \
    }                                                                                              \
    EACH(name##_and_says_its_trace)                                                                \
    {                                                                                              \
        try_tree(bed, shape, order, true);                                                         \
    }
TREE(a_chain_comes_from_below, 0, 0)
TREE(a_chain_comes_in_any_order, 0, 1)
TREE(a_fan_comes_from_below, 1, 0)
TREE(a_fan_comes_in_any_order, 1, 1)
TREE(a_tree_comes_from_below, 2, 0)
TREE(a_tree_comes_in_any_order, 2, 1)

/* --- steps ---------------------------------------------------------------------------- */

enum { STEP_RUNS = 30 };

static bool is_further(const struct run_query *query, const struct query_cursor *next)
{
    const struct query_cursor *from = &query->cursor;
    int order = from->start_us != next->start_us ? (from->start_us < next->start_us ? -1 : 1)
                                                 : uuid_compare(from->id, next->id);
    return query->oldest_first ? order < 0 : order > 0;
}

/* Runs of one trace, 1 the oldest.  Some are named anew by a patch: an index that writes rows
 * anew then has two of one start and id, of which one counts. */
static void add_steps(struct bed *bed)
{
    for (uint64_t n = 1; n <= STEP_RUNS; n++) {
        struct make_layer run = {
            .kind = RUN_POST,
            .id = make_id(n),
            .trace = make_id(1),
            .start_us = (int64_t)n,
            .field = {
                [RUN_NAME] = "\"plain\"", [RUN_START_TIME] = "0", [RUN_SESSION_NAME] = "\"p\""}};
        CHECK(add(bed, &run, 1) == INDEX_ADDED);
        run.kind = RUN_PATCH;
        run.field[RUN_NAME] = n == 3 ? "\"needle\"" : "\"other\"";
        if (n % 2 == 0 || n == 3)
            CHECK(add(bed, &run, 1) == INDEX_ADDED);
    }
}

struct steps {
    size_t count, empty, runs;
    uint64_t last; /* run */
};

static struct steps go_through(struct bed *bed, struct run_query query)
{
    struct steps steps = {0};
    for (bool more = true; more && !test_failures; steps.count++) {
        struct arena *arena = arena_new(1024);
        struct index_query asked;
        CHECK(calls_query(&bed->calls, &query, arena, &asked) == 0);
        CHECK(!asked.more || !query.after || is_further(&query, &asked.next));
        steps.empty += asked.count == 0;
        steps.runs += asked.count;
        more = asked.more;
        query.after = true;
        query.cursor = asked.next;
        arena_free(arena);
    }
    return steps;
}

EACH(what_is_asked_bare_has_what_was_asked_for)
{
    struct arena *arena = arena_new(1024);
    struct run_query query = {
        .start_min_us = INT64_MIN, .start_max_us = INT64_MAX, .limit = QUERY_LIMIT_MAX};
    struct index_query whole, bare;
    add_steps(bed);
    CHECK(calls_query(&bed->calls, &query, arena, &whole) == 0);
    query.bare = true;
    CHECK(calls_query(&bed->calls, &query, arena, &bare) == 0);
    CHECK(whole.count == STEP_RUNS && bare.count == whole.count && bare.more == whole.more);
    for (size_t i = 0; i < whole.count && i < bare.count; i++) {
        const struct index_row *x = &whole.rows[i], *y = &bare.rows[i];
        CHECK(uuid_compare(x->id, y->id) == 0 && uuid_compare(x->trace, y->trace) == 0);
        CHECK(uuid_compare(x->parent, y->parent) == 0 && uuid_compare(x->project, y->project) == 0);
        CHECK(x->start_us == y->start_us && x->end_us == y->end_us && x->type == y->type);
        CHECK(x->status == y->status && x->version == y->version && y->found);
    }
    arena_free(arena);
}

EACH(a_query_that_finds_nothing_ends_its_step_and_goes_on)
{
    struct uuid project = entity_project_id(STR("p"), 0);
    struct run_query queries[] = {{.projects = &project, .project_count = 1},
                                  {.by_trace = true, .trace = make_id(1)},
                                  {.oldest_first = true}};
    struct arena *arena = arena_new(1024);
    const struct filter *needle, *nothing;
    CHECK(filter_parse(STR("search(name, \"needle\")"), arena, &needle, NULL) == 0);
    CHECK(filter_parse(STR("gt(latency, 5)"), arena, &nothing, NULL) == 0);
    add_steps(bed);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        queries[i].start_min_us = INT64_MIN;
        queries[i].start_max_us = INT64_MAX;
        queries[i].limit = 10;
        for (uint32_t look = 1; look <= 7; look += 3) {
            bed->calls.look = look;
            struct steps all = go_through(bed, queries[i]);
            CHECK(all.runs == STEP_RUNS && all.count >= STEP_RUNS / 10);
            queries[i].filter = nothing;
            struct steps none = go_through(bed, queries[i]);
            CHECK(none.runs == 0 && none.count >= STEP_RUNS / look && none.empty == none.count);
            CHECK(none.count <= 2 * STEP_RUNS / look + 2);
            queries[i].filter = needle;
            struct steps one = go_through(bed, queries[i]);
            CHECK(one.runs == 1 && one.empty == one.count - 1 && one.count >= STEP_RUNS / look);
            queries[i].filter = NULL;
        }
        bed->calls.look = 0;
        queries[i].filter = nothing;
        CHECK(go_through(bed, queries[i]).count == 1);
    }
    arena_free(arena);
}

EACH(a_list_of_ids_is_looked_at_in_steps)
{
    struct uuid ids[STEP_RUNS + 1];
    struct arena *arena = arena_new(1024);
    struct run_query query = {.ids = ids,
                              .id_count = STEP_RUNS + 1,
                              .start_min_us = INT64_MIN,
                              .start_max_us = INT64_MAX,
                              .limit = 100};
    for (uint64_t n = 0; n <= STEP_RUNS; n++)
        ids[n] = make_id(n + 1); /* one of them is not there */
    CHECK(filter_parse(STR("eq(name, \"needle\")"), arena, &query.filter, NULL) == 0);
    add_steps(bed);
    bed->calls.look = 4;
    struct steps steps = go_through(bed, query);
    CHECK(steps.runs == 1 && steps.count >= STEP_RUNS / 4);
    arena_free(arena);
}

/* --- random ------------------------------------------------------------------------ */

static const char *pick(struct make_random *random, const char *const *from, size_t count)
{
    return from[make_random(random) % count];
}
#define PICK(random, list) pick(random, list, sizeof(list) / sizeof *(list))

static const char *const names[] = {NULL, "\"chat\"", "\"Tool ß\"", "\"\"", "\"agent\"", "null"};
static const char *const projects[] = {NULL, "\"p\"", "\"q\"", "\"default\"", "\"r/s\"", "null"};
static const char *const extras[] = {NULL,
                                     "null",
                                     "{}",
                                     "{\"metadata\":{\"a\":\"1\",\"b\":2}}",
                                     "{\"metadata\":{\"a\":\"2\",\"thread_id\":\"t1\"}}",
                                     "{\"metadata\":{\"b\":null,\"c\":[1, 2]},\"x\":1}",
                                     "{\"runtime\":{}}"};
static const char *const tags[] = {NULL, "[]", "[\"x\"]", "[\"x\",\"y\"]", "null"};
static const char *const outputs[] = {
    NULL, "{}", "{\"y\":\"done\"}",
    "{\"usage_metadata\":{\"input_tokens\":3,\"output_tokens\":4,\"total_cost\":0.25}}",
    "{\"usage_metadata\":{\"input_tokens\":30,\"output_tokens\":4,\"total_tokens\":50}}"};
static const char *const errors[] = {NULL, NULL, "null", "\"\"", "\"Boom: ΣΑΣ\""};
static const char *const inputs[] = {NULL, "{}", "{\"q\":\"Where?\"}", "{\"q\":\"was\"}"};
static const char *const events[] = {
    NULL, "[]", "[{\"name\":\"new_token\",\"time\":\"1970-01-01T00:00:00.000090Z\"}]"};

static struct make_layer random_layer(struct make_random *random, enum run_kind kind)
{
    uint64_t n = 1 + make_random(random) % IDS;
    struct make_layer l = {.kind = kind, .id = make_id(n)};
    struct make_random of_id = {n};
    struct make_random *r = kind == RUN_WHOLE ? &of_id : random; /* so that it comes again */
    bool says_trace = n % 11 || kind == RUN_WHOLE;
    if (says_trace)
        l.trace = make_id(1000 + n % TRACES);
    if (n % 3 && !says_trace)
        l.parent = make_id(1 + n / 2);
    else if (n % 3)
        l.parent = make_id(1 + n % 7);
    if (n % TRACES == 1)
        l.id = make_id(1000 + n % TRACES), l.parent = (struct uuid){0}, l.trace = l.id;
    l.type = (enum run_type)(make_random(r) % RUN_TYPES);
    l.field[RUN_RUN_TYPE] = make_random(r) % 2 ? "\"any\"" : NULL;
    l.start_us = (int64_t)(make_random(r) % 200);
    l.field[RUN_START_TIME] = kind == RUN_PATCH && make_random(r) % 2 ? NULL : "0";
    if (make_random(r) % 2) {
        l.end_us = (int64_t)(100 + make_random(r) % 200);
        l.field[RUN_END_TIME] = "0";
    }
    l.field[RUN_NAME] = PICK(r, names);
    l.field[RUN_INPUTS] = PICK(r, inputs);
    l.field[RUN_OUTPUTS] = PICK(r, outputs);
    l.field[RUN_EXTRA] = PICK(r, extras);
    l.field[RUN_ERROR_TEXT] = PICK(r, errors);
    l.field[RUN_EVENTS] = PICK(r, events);
    l.field[RUN_TAGS] = PICK(r, tags);
    l.field[RUN_SESSION_NAME] = PICK(r, projects);
    if (make_random(r) % 5 == 0)
        l.field[RUN_REFERENCE_EXAMPLE_ID] = "\"00000000-0000-4000-8000-000000000042\"";
    if (make_random(r) % 4 == 0)
        l.field[RUN_DOTTED_ORDER] = "\"19700101T000000000000Zx\"";
    return l;
}

static struct make_layer random_entity(struct make_random *random)
{
    static const char *const keys[] = {"\"good\"", "\"bad\"", "\"Correctness\""};
    static const char *const scores[] = {"\"score\":0.5", "\"score\":1", "\"score\":true",
                                         "\"score\":null", NULL};
    static const char *const owners[] = {"\"p\"", "\"q\"", "\"new\""};
    struct make_layer l = {.kind = RUN_ENTITY, .start_us = (int64_t)(make_random(random) % 50)};
    uint64_t dice = make_random(random) % 100;
    l.parent = make_id(1 + make_random(random) % IDS);
    l.json = PICK(random, scores);
    l.id = make_id(5000 + make_random(random) % 40);
    if (dice < 60) {
        l.entity = ENTITY_FEEDBACK;
        l.field[RUN_NAME] = l.json ? PICK(random, keys) : NULL;
    } else if (dice < 75) {
        l.entity = ENTITY_SHARE;
    } else if (dice < 80) {
        l.entity = ENTITY_GONE_RUN;
        l.id = l.parent;
        l.json = "\"x\":1";
    } else if (dice < 82) {
        l.entity = ENTITY_GONE_TRACE;
        l.id = make_id(1000 + make_random(random) % TRACES);
        l.json = "\"x\":1";
    } else {
        l.entity = dice < 92 ? ENTITY_PROJECT : ENTITY_DATASET;
        l.id = dice % 2 ? make_id(6000 + make_random(random) % 4)
                        : entity_project_id(STR("q"), (unsigned)(make_random(random) % 2));
        l.field[RUN_NAME] = l.json ? PICK(random, owners) : NULL;
        l.parent = (struct uuid){0};
    }
    return l;
}

static void random_batch(struct bed *beds, struct make_random *random)
{
    struct make_layer layers[LAYERS_MAX];
    size_t n = 1 + make_random(random) % (make_random(random) % 6 ? 4 : LAYERS_MAX);
    for (size_t i = 0; i < n; i++) {
        uint64_t dice = make_random(random) % 100;
        if (dice < 8)
            layers[i] = random_entity(random);
        else
            layers[i] = random_layer(random, dice < 16   ? RUN_WHOLE
                                             : dice < 57 ? RUN_POST
                                                         : RUN_PATCH);
        if (dice >= 97) {
            layers[i].kind = RUN_ATTACHMENT;
            memset(layers[i].field, 0, sizeof layers[i].field);
            layers[i].field[RUN_NAME] = dice == 98 ? "pic" : "doc";
            layers[i].field[RUN_RUN_TYPE] = "text/plain";
            layers[i].field[RUN_INPUTS] = make_random(random) % 2 ? "bytes" : "others";
        }
        if (i > 0 && make_random(random) % 10 == 0)
            layers[i] = layers[i - 1]; /* again, at once */
    }
    struct index_batch batches[2];
    for (size_t b = 0; b < 2; b++)
        CHECK(stage(&beds[b], layers, n, RECORD_ANY, &batches[b]) == 0);
    CHECK(batches[0].verdict == batches[1].verdict);
    CHECK(batches[0].added == batches[1].added);
    if (batches[0].verdict == INDEX_CONFLICT)
        CHECK(batches[0].conflict == batches[1].conflict);
}

static void random_find(struct bed *beds, struct make_random *random)
{
    struct uuid ids[8];
    for (size_t i = 0; i < 8; i++)
        ids[i] = make_id(make_random(random) % 4 ? 1 + make_random(random) % IDS
                                                 : 1000 + make_random(random) % TRACES);
    struct arena *arena = arena_new(1 << 12);
    struct index_row *rows[2] = {NULL, NULL};
    for (int b = 0; b < 2; b++)
        CHECK(calls_find(&beds[b].calls, ids, 8, arena, &rows[b]) == 0);
    compare_rows(rows[0], rows[1], 8);
    arena_free(arena);
}

static void random_search(struct bed *beds, struct make_random *random)
{
    static const char *const asked[] = {"", "chat", "SS", "ß", "a", "tool", "nothing"};
    const char *name = PICK(random, asked);
    uint64_t which = make_random(random) % 3;
    const struct query query = {
        .by_trace = which != 0,
        .by_name = which != 1,
        .after = make_random(random) % 2,
        .trace = make_id(1000 + make_random(random) % TRACES),
        .name = {name, strlen(name)},
        .cursor = {.start_us = (int64_t)(make_random(random) % 200), .id = make_id(3)},
        .limit = (uint32_t)(1 + make_random(random) % 50),
    };
    struct arena *arena = arena_new(1 << 14);
    struct index_search found[2];
    for (int b = 0; b < 2; b++)
        CHECK(calls_search(&beds[b].calls, &query, arena, &found[b]) == 0);
    CHECK(found[0].count == found[1].count && found[0].more == found[1].more);
    if (found[0].count == found[1].count)
        for (size_t i = 0; i < found[0].count; i++)
            CHECK(uuid_compare(found[0].rows[i].id, found[1].rows[i].id) == 0 &&
                  found[0].rows[i].version == found[1].rows[i].version);
    arena_free(arena);
}

/* A condition, perhaps of others. */
static void random_filter(struct make_random *random, char *out, size_t size, int depth)
{
    static const char *const atoms[] = {
        "eq(name, \"chat\")",
        "neq(name, \"chat\")",
        "in(name, [\"agent\", \"Tool ß\"])",
        "eq(run_type, \"llm\")",
        "nin(run_type, [\"tool\", \"chain\"])",
        "eq(status, \"error\")",
        "neq(error, null)",
        "eq(end_time, null)",
        "gt(latency, \"0.0001s\")",
        "lte(total_tokens, 7)",
        "gt(prompt_tokens, 3)",
        "eq(total_cost, 0.25)",
        "has(tags, \"x\")",
        "neq(tag, \"y\")",
        "and(eq(metadata_key, \"a\"), eq(metadata_value, \"1\"))",
        "and(neq(metadata_key, \"a\"), eq(metadata_value, \"2\"))",
        "eq(metadata_value, \"[1,2]\")",
        "has(metadata, '{\"a\":\"2\"}')",
        "exists(metadata, \"b\")",
        "eq(thread_id, \"t1\")",
        "eq(feedback_key, \"good\")",
        "and(eq(feedback_key, \"bad\"), gte(feedback_score, 0.5))",
        "eq(feedback_score, null)",
        "search(\"boom\")",
        "search(name, \"TOOL\")",
        "search(\"where\")",
        "search(metadata, \"T1\")",
        "matches(\"^BO+m\")",
        "matches(name, \"(?-i)^tool|t$\")",
        "matches(metadata, \"^.1$\")",
        "eq(is_root, true)",
        "neq(parent_run_id, null)",
        "eq(execution_order, 1)",
        "eq(reference_example_id, \"00000000-0000-4000-8000-000000000042\")",
        "gt(first_token_time, \"1970-01-01T00:00:00.00005Z\")",
        "neq(dotted_order, null)",
        "eq(child_run_name, \"agent\")",
        "lt(start_time, \"1970-01-01T00:00:00.0001Z\")",
        "gte(start_time, \"1970-01-01T00:00:00.0001Z\")",
    };
    static const char *const joins[] = {"and", "or"};
    uint64_t dice = make_random(random) % 10;
    if (depth == 0 || dice < 5) {
        snprintf(out, size, "%s", PICK(random, atoms));
    } else if (dice < 6) {
        char inner[600];
        random_filter(random, inner, sizeof inner, depth - 1);
        snprintf(out, size, "not(%s)", inner);
    } else {
        char a[600], b[600];
        random_filter(random, a, sizeof a, depth - 1);
        random_filter(random, b, sizeof b, depth - 1);
        snprintf(out, size, "%s(%s, %s)", PICK(random, joins), a, b);
    }
}

static const struct filter *maybe_filter(struct make_random *random, uint64_t one_in, char *text,
                                         size_t size, struct arena *arena)
{
    const struct filter *filter = NULL;
    struct err err = {0};
    text[0] = '\0';
    if (make_random(random) % one_in)
        return NULL;
    random_filter(random, text, size, 2);
    if (filter_parse((struct str){text, strlen(text)}, arena, &filter, &err))
        fprintf(stderr, "%s: %s\n", text, err.text);
    CHECK(filter);
    return filter;
}

/* All pages of a query, one behind the other. */
static size_t all_of(struct bed *bed, struct run_query query, struct arena *arena,
                     struct index_row *rows, size_t room)
{
    size_t count = 0;
    for (int pages = 0; pages < 1000; pages++) {
        struct index_query asked;
        CHECK(calls_query(&bed->calls, &query, arena, &asked) == 0);
        CHECK(asked.count <= query.limit);
        if (asked.more && query.after)
            CHECK(is_further(&query, &asked.next));
        for (size_t i = 0; i < asked.count && count < room; i++)
            rows[count++] = asked.rows[i];
        if (!asked.more || test_failures)
            return count;
        query.after = true;
        query.cursor = asked.next;
    }
    CHECK(!"a query that ends");
    return count;
}

static void random_query(struct bed *beds, struct make_random *random)
{
    enum { ROOM = 2 * IDS };
    char texts[3][1400];
    struct arena *arena = arena_new(1 << 16);
    struct uuid ids[3], owners[2];
    for (int i = 0; i < 3; i++)
        ids[i] = make_id(1 + make_random(random) % IDS);
    owners[0] = entity_project_id(STR("p"), 0);
    owners[1] = entity_project_id(STR("default"), (unsigned)(make_random(random) % 2));
    struct uuid example = {0};
    CHECK(uuid_parse(STR("00000000-0000-4000-8000-000000000042"), &example));
    struct run_query query = {
        .ids = ids,
        .id_count = make_random(random) % 8 ? 0 : 3,
        .projects = owners,
        .project_count = make_random(random) % 3,
        .examples = &example,
        .example_count = make_random(random) % 10 == 0,
        .by_trace = make_random(random) % 5 == 0,
        .trace = make_id(1000 + make_random(random) % TRACES),
        .by_parent = make_random(random) % 10 == 0,
        .parent = make_id(1 + make_random(random) % 7),
        .by_type = make_random(random) % 10 == 0,
        .type = RUN_LLM,
        .root = make_random(random) % 8 ? QUERY_EITHER : QUERY_YES,
        .error = make_random(random) % 8 ? QUERY_EITHER : QUERY_NO,
        .start_min_us = make_random(random) % 4 ? INT64_MIN : (int64_t)(make_random(random) % 100),
        .start_max_us = make_random(random) % 4 ? INT64_MAX : (int64_t)(make_random(random) % 200),
        .filter = maybe_filter(random, 2, texts[0], sizeof texts[0], arena),
        .trace_filter = maybe_filter(random, 8, texts[1], sizeof texts[1], arena),
        .tree_filter = maybe_filter(random, 8, texts[2], sizeof texts[2], arena),
        .oldest_first = make_random(random) % 2,
        .limit = (uint32_t)(1 + make_random(random) % 40),
    };
    struct index_row *rows[2];
    size_t count[2];
    for (int b = 0; b < 2; b++) {
        beds[b].calls.look = make_random(random) % 2 ? 0 : (uint32_t)(1 + make_random(random) % 9);
        rows[b] = arena_make(arena, struct index_row, ROOM);
        count[b] = all_of(&beds[b], query, arena, rows[b], ROOM);
    }
    CHECK(count[0] == count[1]);
    if (count[0] == count[1])
        compare_rows(rows[0], rows[1], count[0]);
    if (test_failures)
        fprintf(stderr, "%zu and %zu runs\nfilter %s\ntrace %s\ntree %s\n", count[0], count[1],
                texts[0], texts[1], texts[2]);
    arena_free(arena);
}

static void random_entities(struct bed *beds, struct make_random *random)
{
    static const enum entity_kind kinds[] = {ENTITY_FEEDBACK, ENTITY_FEEDBACK, ENTITY_PROJECT,
                                             ENTITY_SHARE, ENTITY_DATASET};
    struct arena *arena = arena_new(1 << 12);
    struct uuid parents[20], ids[10];
    for (int i = 0; i < 20; i++)
        parents[i] = make_id(1 + make_random(random) % IDS);
    for (int i = 0; i < 10; i++)
        ids[i] = make_id(5000 + make_random(random) % 40);
    struct index_entities asked = {
        .kind = kinds[make_random(random) % 5],
        .parents = make_random(random) % 3 ? NULL : parents,
        .parent_count = 20,
        .ids = make_random(random) % 3 ? NULL : ids,
        .id_count = 10,
        .after = make_random(random) % 3 == 0,
        .cursor = {(int64_t)(make_random(random) % 50), make_id(5000 + make_random(random) % 40)},
        .limit = (uint32_t)(1 + make_random(random) % 30),
        .bytes = make_random(random) % 3 ? 0 : 1 + make_random(random) % 200,
        .bare = make_random(random) % 4 == 0,
        .arena = arena,
    };
    if (make_random(random) % 4 == 0)
        asked.name = STR("good");
    else if (make_random(random) % 4 == 0)
        asked.name_contains = STR("O");
    struct index_entities found[2] = {asked, asked};
    for (int b = 0; b < 2; b++)
        CHECK(calls_entities(&beds[b].calls, &found[b]) == 0);
    CHECK(found[0].count == found[1].count && found[0].more == found[1].more);
    if (found[0].count > 0)
        CHECK(found[0].cursor.made_us == found[1].cursor.made_us &&
              uuid_compare(found[0].cursor.id, found[1].cursor.id) == 0);
    for (size_t i = 0; i < found[0].count && found[0].count == found[1].count; i++) {
        const struct entity *a = &found[0].entities[i], *b = &found[1].entities[i];
        CHECK(uuid_compare(a->id, b->id) == 0 && uuid_compare(a->parent, b->parent) == 0);
        CHECK(a->version == b->version && a->made_us == b->made_us && a->kind == b->kind);
        CHECK(str_eq(a->json, b->json) && str_eq(a->name, b->name));
    }
    arena_free(arena);
}

static void random_operations(void (*start)(struct bed *bed))
{
    struct bed beds[2];
    struct make_random random = {20261126};
    bed_memory(&beds[0]);
    start(&beds[1]);
    for (int i = 0; i < 4000 && !test_failures; i++) {
        uint64_t dice = make_random(&random) % 100;
        if (dice < 30)
            random_batch(beds, &random);
        else if (dice < 45)
            for (int b = 0; b < 2; b++)
                CHECK(calls_commit(&beds[b].calls, beds[b].sequence) == 0);
        else if (dice < 47)
            for (int b = 0; b < 2; b++)
                CHECK(calls_rollback(&beds[b].calls) == 0);
        else if (dice < 60)
            random_find(beds, &random);
        else if (dice < 70)
            random_search(beds, &random);
        else if (dice < 80)
            random_entities(beds, &random);
        else
            random_query(beds, &random);
        CHECK(calls_mark(&beds[0].calls) == calls_mark(&beds[1].calls));
        if (test_failures)
            fprintf(stderr, "operation %d\n", i);
        if (i % 1000 == 700) { /* what is open is rolled back by the end of the process */
            for (int b = 0; b < 2; b++)
                CHECK(calls_rollback(&beds[b].calls) == 0);
            bed_reopen(&beds[1]);
        }
    }
    for (int b = 0; b < 2; b++)
        bed_stop(&beds[b]);
}

TEST(random_layers_have_the_same_outcome_in_sqlite)
{
    random_operations(bed_sqlite);
}

TEST(random_layers_have_the_same_outcome_in_postgres)
{
    if (postgres_bed_possible())
        random_operations(bed_postgres);
    else
        test_skip(POSTGRES_BED_SKIP);
}

/* The reference with itself: what is random in the test is so only by its seed. */
TEST(random_layers_have_the_same_outcome_twice)
{
    struct make_random random = {1};
    struct bed beds[2];
    bed_memory(&beds[0]);
    bed_memory(&beds[1]);
    for (int i = 0; i < 300 && !test_failures; i++) {
        random_batch(beds, &random);
        for (int b = 0; b < 2; b++)
            CHECK(calls_commit(&beds[b].calls, beds[b].sequence) == 0);
        random_query(beds, &random);
        random_entities(beds, &random);
    }
    for (int b = 0; b < 2; b++)
        bed_stop(&beds[b]);
}
