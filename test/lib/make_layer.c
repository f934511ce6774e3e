/* make_layer.c - see make_layer.h. */
#include "lib/make_layer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/text.h"

struct layer {
    struct text raw;
    char spans[RUN_FIELDS * RECORD_SPAN];
};

static void add_field(struct layer *layer, struct run *run, enum run_field field, const char *value)
{
    struct str name = run_field_name(field);
    if (run->kind != RUN_ATTACHMENT)
        text_addf(&layer->raw, "%s\"%.*s\":", run->present ? "," : "", STR_FMT(name));
    char *span = layer->spans + RECORD_SPAN * __builtin_popcount(run->present);
    put_u32(span, (uint32_t)layer->raw.len);
    put_u32(span + 4, (uint32_t)strlen(value));
    run->present |= UINT32_C(1) << field;
    text_add(&layer->raw, (struct str){value, strlen(value)});
}

static uint64_t hash(struct str s, uint64_t seed)
{
    uint64_t h = seed;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 31;
}

/* The layer is filled in. */
static struct run make_one(const struct make_layer *spec, struct layer *layer)
{
    struct run run = {
        .id = spec->id,
        .trace = spec->kind == RUN_ENTITY ? spec->id : spec->trace,
        .parent = spec->parent,
        .start_us = spec->start_us,
        .end_us = spec->end_us ? spec->end_us : RUN_RUNNING,
        .type = spec->type,
        .kind = spec->kind,
        .entity = (uint8_t)spec->entity,
    };
    bool object = spec->kind != RUN_ATTACHMENT && (spec->kind != RUN_ENTITY || spec->json);
    if (object)
        text_add_char(&layer->raw, '{');
    for (unsigned f = 0; f < RUN_FIELDS; f++)
        if (spec->field[f])
            add_field(layer, &run, (enum run_field)f, spec->field[f]);
    if (spec->kind == RUN_ENTITY && spec->json)
        text_addf(&layer->raw, "%s%s", run.present ? "," : "", spec->json);
    if (object)
        text_add_char(&layer->raw, '}');
    run.raw = text_str(&layer->raw);
    run.hash[0] = hash(run.raw, 1 + spec->kind);
    run.hash[1] = hash(run.raw, 2);
    run.spans = layer->spans;
    return run;
}

struct made_record *make_layers(const struct make_layer *layers, size_t count)
{
    struct made_record *made = calloc(1, sizeof *made);
    struct layer *all = calloc(count + 1, sizeof *all);
    struct run *runs = calloc(count + 1, sizeof *runs);
    assert(made && all && runs);
    for (size_t i = 0; i < count; i++)
        runs[i] = make_one(&layers[i], &all[i]);

    struct arena *arena = arena_new(1024);
    struct record record = record_make(runs, (uint32_t)count, 1, arena);
    made->bytes = malloc(record.table.len + record.body.len + 1);
    assert(made->bytes);
    memcpy(made->bytes, record.table.at, record.table.len);
    memcpy(made->bytes + record.table.len, record.body.at, record.body.len);
    made->record = record;
    made->record.table.at = made->bytes;
    made->record.body.at = made->bytes + record.table.len;
    arena_free(arena);
    for (size_t i = 0; i < count; i++)
        text_free(&all[i].raw);
    free(all);
    free(runs);
    return made;
}
