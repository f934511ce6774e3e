/* experiments.c - see experiments.h.
 *
 *   experiments_find()  ask for projects ⇢ listed(), page after page
 */
#include "serve/experiments.h"

#include "base/arena.h"
#include "serve/charge.h"
#include "wire/json_object.h"

static void listed(struct op *op);

static void ask(struct experiments *experiments)
{
    experiments->page = arena_new(4096);
    experiments->ask.op = (struct op){.loop = experiments->op.loop, .done = listed};
    experiments->ask.arena = experiments->page;
    experiments->index->ops->entities(experiments->index, &experiments->ask);
}

void experiments_find(struct experiments *experiments)
{
    experiments->count = 0;
    experiments->projects = arena_make(experiments->arena, struct uuid, EXPERIMENTS_MAX);
    experiments->ask = (struct index_entities){
        .kind = ENTITY_PROJECT, .limit = EXPERIMENTS_PAGE, .bytes = EXPERIMENTS_BYTES};
    ask(experiments);
}

static bool is_of(const struct experiments *experiments, const struct entity *project)
{
    struct json_object object;
    struct json_scan scan;
    struct uuid dataset;
    return project->json.at &&
           json_object_read(project->json, experiments->page, &object, &scan) == JSON_OBJECT_READ &&
           json_object_id(&object, STR("reference_dataset_id"), &dataset) &&
           uuid_compare(dataset, experiments->dataset) == 0;
}

static void end(struct experiments *experiments, const struct err *err)
{
    arena_free(experiments->page);
    experiments->page = NULL;
    experiments->op.err = *err;
    op_finish(&experiments->op);
}

static int charge(const struct experiments *experiments, struct err *err)
{
    size_t size = 0;
    for (size_t i = 0; i < experiments->ask.count; i++)
        size += experiments->ask.entities[i].json.len;
    return charge_answer(experiments->page, experiments->budget, size, err);
}

static void listed(struct op *op)
{
    struct experiments *experiments = op_owner(op, struct experiments, ask.op);
    const struct index_entities *page = &experiments->ask;
    struct err err = op->err;
    if (!err.code)
        (void)charge(experiments, &err); /* then err says so */
    for (size_t i = 0; !err.code && i < page->count; i++) {
        if (!is_of(experiments, &page->entities[i]))
            continue;
        if (experiments->count == EXPERIMENTS_MAX)
            err_set(&err, ERR_TOO_BIG,
                    "More than %d projects are experiments on this dataset: name them instead",
                    EXPERIMENTS_MAX);
        else
            experiments->projects[experiments->count++] = page->entities[i].id;
    }
    if (err.code || !page->more) {
        end(experiments, &err);
        return;
    }
    arena_free(experiments->page);
    experiments->ask.after = true;
    ask(experiments);
}
