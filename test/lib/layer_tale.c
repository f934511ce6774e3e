/* layer_tale.c - see layer_tale.h. */
#include "lib/layer_tale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum {
    RUNS = 40,
    TRACES = 5,
    LAYERS_MAX = 12,
    TEXT = 2000, /* bytes of a payload at most */
    PAGE = 50,
    FEEDBACK = 20,   /* different ones */
    IDS_TRACE = 100, /* ids of traces and feedback begin here */
    IDS_FEEDBACK = 200
};

/* --- batches ------------------------------------------------------------------------- */

struct texts {
    char inputs[80 + TEXT], start[24], name[24], extra[64];
};

static bool chance(struct make_random *random, unsigned percent)
{
    return make_random(random) % 100 < percent;
}

static void say(struct make_layer *layer, struct make_random *random, struct texts *texts)
{
    static const char *const projects[] = {"\"p\"", "\"q\""};
    uint64_t run = make_random(random) % RUNS;
    layer->kind = chance(random, 50) ? RUN_POST : RUN_PATCH;
    layer->id = make_id(run);
    if (run % 7) /* else it is guessed, of a parent that may be there */
        layer->trace = make_id(IDS_TRACE + run % TRACES);
    else
        layer->parent = make_id(run + 1);
    layer->type = (enum run_type)(make_random(random) % RUN_TYPES);
    if (chance(random, 40)) {
        layer->start_us = (int64_t)(make_random(random) % 1000);
        snprintf(texts->start, sizeof texts->start, "%d", (int)layer->start_us);
        layer->field[RUN_START_TIME] = texts->start;
    }
    if (layer->kind == RUN_PATCH && chance(random, 80)) {
        layer->end_us = 1000;
        layer->field[RUN_END_TIME] = "1000";
    }
    if (chance(random, 30)) {
        snprintf(texts->name, sizeof texts->name, "\"name %u\"", (unsigned)make_random(random) % 9);
        layer->field[RUN_NAME] = texts->name;
    }
    if (chance(random, 30)) {
        snprintf(texts->extra, sizeof texts->extra, "{\"metadata\":{\"k\":%u}}",
                 (unsigned)make_random(random) % 9);
        layer->field[RUN_EXTRA] = texts->extra;
    }
    if (chance(random, 20))
        layer->field[RUN_SESSION_NAME] = projects[make_random(random) % 2];
    if (chance(random, 30))
        layer->field[RUN_OUTPUTS] = chance(random, 50) ? "{}" : "{\"answer\":1}";
}

static void attach(struct make_layer *layer, struct make_random *random)
{
    layer->kind = RUN_ATTACHMENT;
    layer->id = make_id(make_random(random) % RUNS);
    layer->field[RUN_NAME] = chance(random, 50) ? "picture" : "text";
    layer->field[RUN_RUN_TYPE] = "text/plain";
}

static void say_beside(struct make_layer *layer, struct make_random *random)
{
    layer->kind = RUN_ENTITY;
    layer->id = layer->parent = make_id(make_random(random) % RUNS);
    layer->entity = ENTITY_GONE_RUN;
    layer->json = "\"by\":\"the test\"";
    if (chance(random, 4))
        return;
    layer->entity = ENTITY_FEEDBACK;
    layer->id = make_id(IDS_FEEDBACK + make_random(random) % FEEDBACK);
    layer->json = chance(random, 70) ? "\"score\":0.5" : NULL;
    layer->field[RUN_NAME] = layer->json ? "\"good\"" : NULL;
}

struct made_record *tale_batch(uint64_t number, struct make_random *random)
{
    struct make_layer layers[LAYERS_MAX] = {0};
    struct texts *texts = calloc(LAYERS_MAX, sizeof *texts);
    size_t count = 1 + make_random(random) % (chance(random, 70) ? 3 : LAYERS_MAX);
    if (!texts)
        abort();
    for (size_t i = 0; i < count; i++) {
        uint64_t kind = make_random(random) % 100;
        if (kind < 12 && i > 0) { /* the first one says which batch it is */
            say_beside(&layers[i], random);
            continue;
        }
        if (kind < 24)
            attach(&layers[i], random);
        else
            say(&layers[i], random, &texts[i]);
        snprintf(texts[i].inputs, sizeof texts[i].inputs,
                 "{\"batch\":%" PRIu64 ",\"layer\":%zu,\"text\":\"%0*u\"}", number, i,
                 1 + (int)(make_random(random) % TEXT), 0U);
        layers[i].field[RUN_INPUTS] = texts[i].inputs;
    }
    struct made_record *made = make_layers(layers, count);
    free(texts);
    return made;
}

bool tale_number(const struct record *record, uint64_t *number)
{
    struct run run;
    if (record->count == 0 || record_run(record, 0, &run, NULL) || run.kind == RUN_WHOLE)
        return false;
    struct str inputs = run_field(&run, RUN_INPUTS);
    char text[40] = "";
    if (inputs.at)
        memcpy(text, inputs.at, inputs.len < sizeof text - 1 ? inputs.len : sizeof text - 1);
    return sscanf(text, "{\"batch\":%" SCNu64, number) == 1;
}

/* --- in memory ------------------------------------------------------------------------ */

void tale_begin(struct tale *tale)
{
    struct index *memory = NULL;
    *tale = (struct tale){0};
    if (index_memory_open(&memory, NULL))
        abort();
    calls_open(&tale->memory, memory);
}

void tale_end(struct tale *tale)
{
    tale->memory.index->ops->close(tale->memory.index);
    calls_close(&tale->memory);
}

int tale_add(struct tale *tale, const struct record *record, struct place first, uint64_t sequence,
             struct err *err)
{
    struct index_batch batch = {.record = record, .first = first, .sequence = sequence};
    tale->sequence = sequence;
    int r = calls_stage(&tale->memory, &batch, 1);
    if (!r)
        r = calls_commit(&tale->memory, sequence);
    if (r)
        *err = tale->memory.err;
    else if (batch.verdict == INDEX_CONFLICT)
        r = err_set(err, ERR_CORRUPT, "memory has a conflict with record %" PRIu64, sequence);
    return r;
}

/* --- the two of them ------------------------------------------------------------------ */

static bool same_holders(const struct index_row *a, const struct index_row *b)
{
    for (unsigned i = 0; i < a->holder_count && i < b->holder_count; i++) {
        const struct holder *x = &a->holders[i], *y = &b->holders[i];
        if (x->place.container != y->place.container || x->place.ordinal != y->place.ordinal ||
            x->sequence != y->sequence || x->fields != y->fields || x->empty != y->empty ||
            x->hash != y->hash || x->size != y->size || x->kind != y->kind)
            return false;
    }
    return a->holder_count == b->holder_count;
}

static const char *difference(const struct index_row *a, const struct index_row *b)
{
    if (a->found != b->found || a->hidden != b->hidden)
        return "whether it is shown";
    if (!a->found)
        return NULL;
    if (uuid_compare(a->trace, b->trace) || uuid_compare(a->parent, b->parent))
        return "trace or parent";
    if (uuid_compare(a->project, b->project) || !str_eq(a->project_name, b->project_name))
        return "project";
    if (a->start_us != b->start_us || a->end_us != b->end_us)
        return "start or end";
    if (a->type != b->type || a->status != b->status || a->size != b->size)
        return "type, status or size";
    if (a->version != b->version)
        return "version";
    if (!str_eq(a->facts, b->facts))
        return "facts";
    return same_holders(a, b) ? NULL : "who holds what";
}

static int compare_rows(struct calls *memory, struct calls *other, struct arena *arena,
                        struct err *err)
{
    struct uuid ids[RUNS];
    struct index_row *want = NULL, *rows = NULL;
    for (uint64_t i = 0; i < RUNS; i++)
        ids[i] = make_id(i);
    int r = calls_find(memory, ids, RUNS, arena, &want);
    if (!r)
        r = calls_find(other, ids, RUNS, arena, &rows);
    for (size_t i = 0; !r && i < RUNS; i++) {
        const char *what = difference(&want[i], &rows[i]);
        if (what)
            r = err_set(err, ERR_CORRUPT, "run %zu of layers differs from memory: %s", i, what);
    }
    return r;
}

/* Every trace finds the same runs, each once, in the same order. */
static int compare_trace(struct calls *memory, struct calls *other, struct uuid trace,
                         struct arena *arena, struct err *err)
{
    const struct query query = {.by_trace = true, .trace = trace, .limit = PAGE};
    struct index_search want = {0}, found = {0};
    int r = calls_search(memory, &query, arena, &want);
    if (!r)
        r = calls_search(other, &query, arena, &found);
    if (!r && (want.count != found.count || want.more != found.more))
        r = err_set(err, ERR_CORRUPT, "a trace of layers has %zu runs, in memory %zu", found.count,
                    want.count);
    for (size_t i = 0; !r && i < found.count; i++)
        if (uuid_compare(want.rows[i].id, found.rows[i].id) != 0)
            r = err_set(err, ERR_CORRUPT, "run %zu in a trace of layers is another in memory", i);
    return r;
}

static int compare_feedback(struct calls *memory, struct calls *other, struct arena *arena,
                            struct err *err)
{
    struct index_entities asked[2];
    struct calls *calls[2] = {memory, other};
    int r = 0;
    for (int i = 0; !r && i < 2; i++) {
        asked[i] =
            (struct index_entities){.kind = ENTITY_FEEDBACK, .limit = 2 * FEEDBACK, .arena = arena};
        r = calls_entities(calls[i], &asked[i]);
    }
    if (!r && asked[0].count != asked[1].count)
        r = err_set(err, ERR_CORRUPT, "%zu feedback, in memory %zu", asked[1].count,
                    asked[0].count);
    for (size_t i = 0; !r && i < asked[0].count; i++) {
        const struct entity *a = &asked[0].entities[i], *b = &asked[1].entities[i];
        if (uuid_compare(a->id, b->id) || uuid_compare(a->parent, b->parent) ||
            a->version != b->version || !str_eq(a->json, b->json))
            r = err_set(err, ERR_CORRUPT, "feedback %zu differs from memory", i);
    }
    return r;
}

int tale_compare(struct tale *tale, struct index *index, struct loop *loop, struct err *err)
{
    struct calls other = {.index = index, .loop = loop};
    struct arena *arena = arena_new(1 << 14);
    int r = compare_rows(&tale->memory, &other, arena, err);
    for (uint64_t i = 0; !r && i < TRACES; i++)
        r = compare_trace(&tale->memory, &other, make_id(IDS_TRACE + i), arena, err);
    for (uint64_t i = 0; !r && i < RUNS; i++) /* those that were guessed are there */
        r = compare_trace(&tale->memory, &other, make_id(i), arena, err);
    if (!r)
        r = compare_feedback(&tale->memory, &other, arena, err);
    if (r && !err->code)
        *err = other.err.code ? other.err : tale->memory.err;
    arena_free(arena);
    return r;
}
