/* experiments.c - see experiments.h.
 *
 *   experiments_find()  ask for projects ⇢ listed(), page after page
 */
#include "serve/experiments.h"

#include "base/arena.h"
#include "wire/json_object.h"

static void listed(struct op *op);

static void ask(struct experiments *experiments, uint32_t offset)
{
    experiments->page = arena_new(4096);
    experiments->ask = (struct index_entities){
        .op = {.loop = experiments->op.loop, .done = listed},
        .kind = ENTITY_PROJECT,
        .limit = EXPERIMENTS_PAGE,
        .offset = offset,
        .arena = experiments->page,
    };
    experiments->index->ops->entities(experiments->index, &experiments->ask);
}

void experiments_find(struct experiments *experiments)
{
    experiments->count = 0;
    experiments->projects = arena_make(experiments->arena, struct uuid, EXPERIMENTS_MAX);
    ask(experiments, 0);
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

static void listed(struct op *op)
{
    struct experiments *experiments = op_owner(op, struct experiments, ask.op);
    const struct index_entities *page = &experiments->ask;
    struct err err = op->err;
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
    if (err.code || page->count < EXPERIMENTS_PAGE) {
        end(experiments, &err);
        return;
    }
    uint32_t offset = page->offset + EXPERIMENTS_PAGE;
    arena_free(experiments->page);
    ask(experiments, offset);
}
