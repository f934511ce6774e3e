/* change_test.c - an entity is changed as it was read, or read again. */
#include "api/change.h"

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "lib/hand_loop.h"

/* An index with one entity, which somebody changes `others` times before a commit, and a
 * writer that refuses what was not made of the last version. */
struct world {
    uint64_t version; /* 0: it is not there */
    unsigned others, reads, commits, makes;
    bool name_taken;
    uint64_t expected; /* by the last commit */
    size_t bytes;      /* of its entity */
};
static struct world world;

static void entities(struct index *index, struct index_entities *asked)
{
    (void)index;
    world.reads++;
    CHECK(asked->kind == ENTITY_PROJECT && asked->id_count == 1);
    asked->count = world.version > 0;
    asked->entities = arena_make(asked->arena, struct entity, 1);
    asked->entities[0] = (struct entity){.version = world.version, .json = STR("{}")};
    op_finish(&asked->op);
}

/* In place of the one in ingest/commit.c. */
void commit_submit(struct commit *commit, struct commit_batch *batch)
{
    (void)commit;
    struct run run;
    world.commits++;
    CHECK(batch->record->count == 1 && batch->record->fresh);
    CHECK(record_run(batch->record, 0, &run, NULL) == 0 && run.kind == RUN_ENTITY);
    if (world.others > 0) {
        world.others--;
        world.version++;
    }
    world.expected = batch->record->expect;
    world.bytes = run.raw.len;
    bool fits = world.expected == RECORD_ANY || world.expected == world.version;
    batch->verdict = fits && !world.name_taken ? INDEX_ADDED : INDEX_CONFLICT;
    op_finish(&batch->op);
}

static enum change_to make(struct change *change)
{
    struct text text = {0};
    world.makes++;
    CHECK((change->there != NULL) == (world.version > 0) || change->blind);
    text_add(&text, STR("{\"name\":\"n\"}"));
    change_json(change, &text, "name");
    CHECK(str_eq(change->name, STR("\"n\"")));
    return CHANGE_WRITE;
}

static enum change_to make_none(struct change *change)
{
    return change->there ? CHANGE_REMOVE : CHANGE_NOTHING;
}

static bool done;

static void changed(struct op *op)
{
    (void)op;
    done = true;
}

static struct change run_it(change_make *how, bool blind)
{
    static const struct index_ops ops = {.entities = entities};
    struct index index = {.ops = &ops};
    struct loop *loop = hand_loop_open();
    struct change change = {
        .op = {.loop = loop, .done = changed},
        .index = &index,
        .arena = arena_new(1024),
        .now = {.kind = ENTITY_PROJECT, .id = {{1}}},
        .make = how,
        .blind = blind,
    };
    done = false;
    change_begin(&change);
    CHECK(!done && hand_loop_until(loop, &done));
    hand_loop_close(loop);
    arena_free(change.arena);
    return change;
}

TEST(what_was_read_is_what_must_be_there)
{
    world = (struct world){.version = 7};
    struct change change = run_it(make, false);
    CHECK(change.op.err.code == ERR_OK && world.expected == 7 && world.commits == 1);
    world = (struct world){.version = 0};
    change = run_it(make, false);
    CHECK(change.op.err.code == ERR_OK && world.expected == 0);
}

TEST(who_was_slower_reads_again)
{
    world = (struct world){.version = 7, .others = 2};
    struct change change = run_it(make, false);
    CHECK(change.op.err.code == ERR_OK);
    CHECK(world.reads == 3 && world.makes == 3 && world.expected == 9);
}

TEST(a_name_that_is_taken_is_told_from_that)
{
    world = (struct world){.version = 7, .name_taken = true};
    struct change change = run_it(make, false);
    CHECK(change.op.err.code == ERR_CONFLICT && world.commits == 1 && world.reads == 2);
}

TEST(it_is_not_tried_for_ever)
{
    world = (struct world){.version = 7, .others = 1000000};
    struct change change = run_it(make, false);
    CHECK(change.op.err.code == ERR_BUSY && world.commits < 100);
}

TEST(what_is_removed_has_no_bytes_and_what_is_not_there_is_left)
{
    world = (struct world){.version = 7, .bytes = 1};
    struct change change = run_it(make_none, false);
    CHECK(change.to == CHANGE_REMOVE && world.bytes == 0 && world.commits == 1);
    world = (struct world){.version = 0};
    change = run_it(make_none, false);
    CHECK(change.to == CHANGE_NOTHING && world.commits == 0);
}

TEST(who_does_not_care_reads_nothing)
{
    world = (struct world){.version = 7};
    struct change change = run_it(make, true);
    CHECK(change.op.err.code == ERR_OK && world.reads == 0 && world.expected == RECORD_ANY);
}
