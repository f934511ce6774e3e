/* examples_store.c - see examples_store.h. */
#include "api/examples_store.h"

#include <stdlib.h>

#include "api/examples_source.h"
#include "base/arena.h"
#include "base/clock.h"

struct example_item *examples_add(struct examples *examples, size_t *cap, struct arena *arena)
{
    if (examples->count == EXAMPLES_MAX)
        return NULL;
    if (examples->count == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        struct example_item *at = arena_make(arena, struct example_item, *cap);
        if (examples->count > 0)
            memcpy(at, examples->items, examples->count * sizeof *at);
        examples->items = at;
    }
    return &examples->items[examples->count++];
}

static int by_id(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

static int by_entity_id(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    return uuid_compare(x->id, y->id);
}

/* --- stored --------------------------------------------------------------------------------- */

static void stored(struct call *call)
{
    struct examples *examples = call->own;
    if (call->batch.verdict == INDEX_CONFLICT)
        call_fail(call, 409, "One of the examples is another dataset's");
    else
        examples->done(call);
}

static struct run *add_file(struct example_file *file, const struct example_item *item,
                            struct call *call, struct run *run)
{
    struct text text = {0};
    struct entity entity = {
        .kind = ENTITY_FILE, .id = file->id, .parent = item->id, .made_us = clock_now_us()};
    example_file_write(&text, file);
    entity.json = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    struct json_object object = shape_object(&entity, call->arena);
    *run = entity_run(&entity, json_object_json(&object, STR("name")),
                      arena_alloc(call->arena, ENTITY_SPANS));
    return run + 1;
}

/* The example and its files; where the next goes. */
static struct run *add_item(struct example_item *item, const struct entity *there,
                            struct call *call, struct run *run)
{
    struct text text = {0};
    int64_t now = clock_now_us(), made_us = now;
    struct json_object was = shape_object(there, call->arena);
    for (struct example_file *file = item->said.files; file; file = file->next) {
        file->id = uuid_v7(&(struct uuid_source){0}, now);
        run = add_file(file, item, call, run);
    }
    if (there)
        made_us = there->made_us;
    else
        (void)json_object_time(&item->said.object, STR("created_at"), &made_us);
    item->entity = (struct entity){.kind = ENTITY_EXAMPLE,
                                   .id = item->id,
                                   .parent = there ? there->parent : item->dataset,
                                   .made_us = made_us};
    example_write(&text, item->id, item->entity.parent, made_us, now, &item->said,
                  there ? &was : NULL, call->arena);
    item->entity.json = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    *run = entity_run(&item->entity, (struct str){0}, NULL);
    return run + 1;
}

/* False: it was answered. */
static bool fits(struct call *call, const struct example_item *item, const struct entity *there)
{
    const struct examples *examples = call->own;
    if (item->said.operations.len > EXAMPLE_OPERATIONS_MAX) {
        call_fail(call, 422, "attachments_operations has at most %d bytes", EXAMPLE_OPERATIONS_MAX);
        return false;
    }
    if (examples->update && !there) {
        call_fail(call, 404, "Example not found");
        return false;
    }
    if (there && !uuid_is_zero(item->dataset) && uuid_compare(there->parent, item->dataset) != 0) {
        call_fail(call, 409, "An example with this id is in another dataset");
        return false;
    }
    return true;
}

static size_t entities_of(const struct examples *examples)
{
    size_t count = examples->count;
    for (size_t i = 0; i < examples->count; i++)
        for (const struct example_file *f = examples->items[i].said.files; f; f = f->next)
            count++;
    return count;
}

static void found(struct call *call)
{
    struct examples *examples = call->own;
    struct entity *there = call->entities.entities;
    size_t count = call->entities.count, size = 0;
    struct run *runs = arena_make(call->arena, struct run, entities_of(examples)), *end = runs;
    if (count > 1)
        qsort(there, count, sizeof *there, by_entity_id);
    for (size_t i = 0; i < examples->count; i++) {
        struct example_item *item = &examples->items[i];
        const struct entity *old = count ? bsearch(&(struct entity){.id = item->id}, there, count,
                                                   sizeof *there, by_entity_id)
                                         : NULL;
        if (!fits(call, item, old))
            return;
        end = add_item(item, old, call, end);
        if (item->entity.json.len > EXAMPLE_SIZE) {
            call_fail(call, 413, "An example is larger than %d MiB, its files not counted",
                      EXAMPLE_SIZE >> 20);
            return;
        }
    }
    for (const struct run *run = runs; run < end; run++)
        size += run->raw.len;
    /* As they are here, and as they will be in the record. */
    if (call_charge(call, 2 * size))
        call_commit(call, runs, (size_t)(end - runs), stored);
}

/* --- before ------------------------------------------------------------------------------------ */

static void look_for_examples(struct call *call)
{
    struct examples *examples = call->own;
    for (size_t i = 0; i < examples->count; i++)
        examples->ids[i] = examples->items[i].id;
    call_entities(call,
                  &(struct index_entities){.kind = ENTITY_EXAMPLE,
                                           .ids = examples->ids,
                                           .id_count = examples->count,
                                           .limit = (uint32_t)examples->count},
                  found);
}

static void datasets_found(struct call *call)
{
    if (call->entities.count < call->entities.id_count)
        call_fail(call, 404, "Dataset not found");
    else
        look_for_examples(call);
}

static void look_for_datasets(struct call *call)
{
    struct examples *examples = call->own;
    size_t count = 0, kept = 0;
    struct uuid *ids = arena_make(call->arena, struct uuid, examples->count);
    examples->ids = arena_make(call->arena, struct uuid, examples->count);
    for (size_t i = 0; i < examples->count; i++) {
        struct example_item *item = &examples->items[i];
        if (uuid_is_zero(item->id))
            item->id = uuid_v7(&(struct uuid_source){0}, clock_now_us());
        if (!uuid_is_zero(item->dataset))
            ids[count++] = item->dataset;
    }
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || uuid_compare(ids[i], ids[kept - 1]) != 0)
            ids[kept++] = ids[i];
    if (kept > 0)
        call_entities(
            call,
            &(struct index_entities){
                .kind = ENTITY_DATASET, .ids = ids, .id_count = kept, .limit = (uint32_t)kept},
            datasets_found);
    else
        look_for_examples(call);
}

void examples_store(struct call *call, struct examples *examples)
{
    call->own = examples;
    if (examples->count > 0)
        examples_source(call, examples, look_for_datasets);
    else
        examples->done(call);
}
