/* change.c - see change.h. */
#include "api/change.h"

#include <stddef.h>

#include "api/shape.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"

enum { TRIES_MAX = 16 };

static void asked(struct op *op);
static void committed(struct op *op);

struct record change_record(const struct run *runs, uint32_t count, struct arena *arena)
{
    return record_make(runs, count, clock_now_us(), arena);
}

void change_json(struct change *change, struct text *json, const char *name)
{
    change->now.json = arena_copy(change->arena, text_str(json));
    change->name = (struct str){0};
    text_free(json);
    if (name) {
        struct json_object object = shape_object(&change->now, change->arena);
        change->name = json_object_json(&object, (struct str){name, strlen(name)});
        change->now.name =
            json_object_text(&object, (struct str){name, strlen(name)}, change->arena);
    }
}

static void ask(struct change *change)
{
    change->asked = (struct index_entities){
        .op = {.loop = change->op.loop, .done = asked},
        .kind = change->now.kind,
        .ids = &change->now.id,
        .id_count = 1,
        .limit = 1,
        .arena = change->arena,
    };
    if (change->blind)
        op_finish(&change->asked.op);
    else
        change->index->ops->entities(change->index, &change->asked);
}

void change_begin(struct change *change)
{
    change->tries = 0;
    ask(change);
}

static void finish(struct change *change, const struct err *err)
{
    change->op.err = *err;
    op_finish(&change->op);
}

static void submit(struct change *change, uint64_t version)
{
    char *spans = arena_alloc(change->arena, ENTITY_SPANS);
    if (change->to == CHANGE_REMOVE) {
        change->now.json = (struct str){0};
        change->name = (struct str){0};
    }
    struct run run = entity_run(&change->now, change->name, spans);
    change->record = change_record(&run, 1, change->arena);
    change->record.expect = change->blind ? RECORD_ANY : version;
    change->batch = (struct commit_batch){
        .op = {.loop = change->op.loop, .done = committed},
        .record = &change->record,
    };
    commit_submit(change->commit, &change->batch);
}

static void asked(struct op *op)
{
    struct change *change = op_owner(op, struct change, asked.op);
    if (op->err.code) {
        finish(change, &op->err);
        return;
    }
    change->there = change->asked.count ? &change->asked.entities[0] : NULL;
    uint64_t version = change->there ? change->there->version : 0;
    /* It is what it was, and yet it was refused: then it is the name. */
    if (change->tries > 0 && version == change->version) {
        finish(change, &(struct err){.code = ERR_CONFLICT, .text = "the name is taken"});
        return;
    }
    change->version = version;
    change->to = change->make(change);
    if (change->to == CHANGE_NOTHING)
        op_finish(&change->op);
    else
        submit(change, version);
}

static void committed(struct op *op)
{
    struct change *change = op_owner(op, struct change, batch.op);
    if (op->err.code) {
        finish(change, &op->err);
    } else if (change->batch.verdict != INDEX_CONFLICT) {
        op_finish(&change->op);
    } else if (++change->tries == TRIES_MAX) {
        struct err err;
        err_set(&err, ERR_BUSY, "Others change the same at the same time; try again in a moment");
        finish(change, &err);
    } else {
        ask(change);
    }
}
