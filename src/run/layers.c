/* layers.c - see layers.h. */
#include "run/layers.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/buf.h"
#include "run/facts.h"
#include "wire/json_plain.h"
#include "wire/json_scan.h"

int layers_open(struct layers *layers, const struct batch_limits *limits, size_t cost,
                struct budget *budget, struct spare *spare, size_t size_hint, struct err *err)
{
    assert(limits->body_max <= INT32_MAX);
    layers->limits = *limits;
    layers->hash = XXH3_createState();
    if (!layers->hash)
        abort();
    bool open = intake_open(&layers->in, limits->body_max, cost, budget, spare, size_hint);
    return open ? 0 : layers_busy(err);
}

void layers_close(struct layers *layers)
{
    intake_close(&layers->in);
    XXH3_freeState(layers->hash);
    text_free(&layers->facts);
    text_free(&layers->entries);
    text_free(&layers->spans);
    free(layers->facts_list);
    free(layers->slots);
    free(layers->layer);
}

static const char *body_of(const struct layers *layers)
{
    return layers->in.body->at;
}

/* ---- errors ---- */

int layers_busy(struct err *err)
{
    return err_set(err, ERR_BUSY, "too many bytes are in flight; try again in a moment");
}

int layers_at(const struct layers *layers, uint32_t i, struct err *err)
{
    static const char *const words[RUN_KINDS] = {[RUN_POST] = "post",
                                                 [RUN_PATCH] = "patch",
                                                 [RUN_ATTACHMENT] = "attachment",
                                                 [RUN_ENTITY] = "feedback"};
    const struct layer *layer = &layers->layer[i];
    char id[UUID_TEXT];
    switch (layers->place) {
    case PLACE_ONLY:
        break;
    case PLACE_PART:
        uuid_write(layer->run.id, id);
        return err_wrap(err, "part %s.%.*s", words[layer->kind], UUID_TEXT, id);
    case PLACE_ELEMENT:
        return err_wrap(err, "%s[%zu]", words[layer->kind], layer->index);
    }
    return err->code;
}

/* ---- many ---- */

static uint32_t *slot_of(const struct layers *layers, enum run_kind kind, struct uuid id)
{
    uint64_t seed = (uint64_t)(uintptr_t)layers ^ (uint64_t)layers->received_us ^ kind;
    uint64_t hash = XXH3_64bits_withSeed(id.byte, sizeof id.byte, seed);
    return &layers->slots[hash & (layers->slot_count - 1)];
}

static void link_layer(struct layers *layers, uint32_t i)
{
    struct layer *layer = &layers->layer[i];
    uint32_t *slot = slot_of(layers, layer->kind, layer->run.id);
    layer->next = *slot;
    *slot = i;
}

uint32_t layers_find(const struct layers *layers, enum run_kind kind, struct uuid id)
{
    if (layers->slot_count == 0)
        return LAYERS_NONE;
    uint32_t i = *slot_of(layers, kind, id);
    while (i != LAYERS_NONE &&
           (layers->layer[i].kind != kind || uuid_compare(layers->layer[i].run.id, id) != 0))
        i = layers->layer[i].next;
    return i;
}

static void grow(struct layers *layers)
{
    layers->cap = layers->cap ? 2 * layers->cap : 16;
    layers->slot_count = 2 * layers->cap;
    layers->layer = realloc(layers->layer, layers->cap * sizeof *layers->layer);
    layers->slots = realloc(layers->slots, layers->slot_count * sizeof *layers->slots);
    if (!layers->layer || !layers->slots)
        abort();
    for (size_t i = 0; i < layers->slot_count; i++)
        layers->slots[i] = LAYERS_NONE;
    for (uint32_t i = 0; i < layers->count; i++)
        if (layers->layer[i].has_id)
            link_layer(layers, i);
}

int layers_add(struct layers *layers, enum run_kind kind, const struct uuid *id, size_t cost,
               struct err *err)
{
    if (layers->count == layers->limits.runs_max)
        return err_set(err, ERR_TOO_BIG, "too many runs: the limit is %zu of one request",
                       layers->limits.runs_max);
    if (!intake_take(&layers->in, cost))
        return layers_busy(err);
    if (layers->count == layers->cap)
        grow(layers);
    struct layer *layer = &layers->layer[layers->count];
    *layer = (struct layer){.kind = kind, .next = LAYERS_NONE, .has_id = id != NULL};
    layers->count++;
    if (!id)
        return 0;
    layer->run.id = *id;
    link_layer(layers, (uint32_t)layers->count - 1);
    return 0;
}

int layers_cover(struct layers *layers, uint32_t i, size_t at, size_t end, struct err *err)
{
    struct layer *layer = &layers->layer[i];
    if (layer->size == 0)
        layer->first = at;
    layer->after = end;
    layer->size += end - at;
    if (layer->size <= layers->limits.run_max)
        return 0;
    err_set(err, ERR_TOO_BIG, "is too large: the limit is %zu bytes", layers->limits.run_max);
    return layers_at(layers, i, err);
}

/* ---- copies ---- */

/* An entity's object is what counts: it is copied whole, and read anew. */
static size_t copy_object(const struct layers *layers, struct layer *layer, char *room)
{
    struct str object = {body_of(layers) + layer->first, layer->size};
    size_t at = layers->in.body->len, len = json_plain(object, room);
    struct json_scan scan;
    json_scan_start(&scan, JSON_VALUE);
    layer->draft.sent = 0;
    for (;;) {
        enum json_event event = json_scan_next(&scan, room, len, true);
        if (event == JSON_END)
            return len;
        assert(event == JSON_FIELD || event == JSON_ITEM); /* it was valid as it came */
        struct json_span value = {at + scan.value.at, scan.value.len};
        if (event == JSON_FIELD)
            layer_member(layer, (struct str){room + scan.key.at, scan.key.len}, scan.key_escaped,
                         value, scan.type);
    }
}

/* The fields one after another; of none, an empty object. */
static size_t copy_fields(const struct layers *layers, struct layer *layer, char *room)
{
    struct draft *d = &layer->draft;
    size_t at = layers->in.body->len, len = 0;
    if (d->sent == 0) {
        memcpy(room, "{}", 2);
        return 2;
    }
    for (unsigned f = 0; f < RUN_FIELDS; f++) {
        if (!draft_sent(d, (enum run_field)f))
            continue;
        struct str from = {body_of(layers) + d->value[f].at, d->value[f].len};
        d->value[f] = (struct json_span){at + len, json_plain(from, room + len)};
        len += d->value[f].len;
    }
    return len;
}

/* Once more behind the body, as JSON and together. */
static int copy(struct layers *layers, uint32_t i, struct err *err)
{
    struct layer *layer = &layers->layer[i];
    size_t most = layer->size + layer->strange; /* an object is in it, so it is not empty */
    if (most > UINT32_MAX - layers->in.body->len) {
        err_set(err, ERR_TOO_BIG, "too much of the body must be copied");
        return layers_at(layers, i, err);
    }
    char *room = intake_room(&layers->in, most);
    if (!room)
        return layers_busy(err);
    size_t len = layer->kind == RUN_ENTITY ? copy_object(layers, layer, room)
                                           : copy_fields(layers, layer, room);
    layer->first = layers->in.body->len;
    layer->after = layer->first + len;
    layers->in.body->len += len;
    layer->strange = 0;
    layer->scattered = false;
    return 0;
}

/* ---- one ---- */

/* What is known of it as a run, with views of the body and of `spans`. */
static struct run run_of(const struct layers *layers, const struct layer *layer,
                         char spans[RUN_FIELDS * RECORD_SPAN], size_t *spans_len)
{
    struct run run = layer->run;
    *spans_len = draft_spans(&layer->draft, layer->first, spans);
    run.present = layer->draft.sent;
    run.spans = spans;
    run.raw = (struct str){body_of(layers) + layer->first, layer->after - layer->first};
    return run;
}

static void hash(struct layers *layers, struct layer *layer)
{
    const char *body = body_of(layers);
    if (layer->kind == RUN_ENTITY) {
        XXH128_hash_t digest = XXH3_128bits(body + layer->first, layer->after - layer->first);
        layer->run.hash[0] = digest.low64;
        layer->run.hash[1] = digest.high64;
        return;
    }
    uint32_t sent = layer->draft.sent & ~(UINT32_C(1) << RUN_METADATA); /* it is in extra */
    draft_hash(&layer->draft, body, sent, layers->hash, layer->run.hash);
}

static int take_facts(struct layers *layers, struct layer *layer, struct err *err)
{
    char spans[RUN_FIELDS * RECORD_SPAN];
    size_t spans_len;
    struct run run = run_of(layers, layer, spans, &spans_len);
    layer->facts_at = layers->facts.len;
    facts_of(&run, &layers->facts);
    layer->facts_len = layers->facts.len - layer->facts_at;
    return intake_take(&layers->in, layer->facts_len) ? 0 : layers_busy(err);
}

int layers_judge(struct layers *layers, uint32_t i, bool at_end, struct err *err)
{
    struct layer *layer = &layers->layer[i];
    bool run = layer->kind == RUN_POST || layer->kind == RUN_PATCH;
    int r = 0;
    if (layer->judged || (!at_end && layer_must_be_copied(layer)))
        return 0;
    if (layer_must_be_copied(layer))
        r = copy(layers, i, err);
    if (r)
        return r;
    if (layers->place == PLACE_ONLY && !layer->has_id && !draft_sent(&layer->draft, RUN_ID)) {
        layer->run.id = uuid_v7(&layers->ids, layers->received_us);
        layer->has_id = layers->made_id = true;
    }
    bool strict = layers->strict && layer->kind == RUN_POST;
    const struct layer_rules rules = {
        .strict = strict, .name_max = layers->limits.name_max, .received_us = layers->received_us};
    if (layer_check(layer, body_of(layers), &rules, err))
        return layers_at(layers, i, err);
    hash(layers, layer);
    layer->judged = true;
    return run ? take_facts(layers, layer, err) : 0;
}

/* ---- all ---- */

/* An attachment goes where its run goes. */
static void join_run(struct layers *layers, struct layer *attachment)
{
    uint32_t i = layers_find(layers, RUN_POST, attachment->run.id);
    if (i == LAYERS_NONE)
        i = layers_find(layers, RUN_PATCH, attachment->run.id);
    if (i == LAYERS_NONE)
        return;
    attachment->run.trace = layers->layer[i].run.trace;
    attachment->run.start_us = layers->layer[i].run.start_us;
}

static void write_entry(struct layers *layers, const struct layer *layer, size_t first)
{
    char spans[RUN_FIELDS * RECORD_SPAN];
    size_t spans_len;
    struct run run = run_of(layers, layer, spans, &spans_len);
    record_write_entry(text_room(&layers->entries, RECORD_ENTRY), &run, (uint32_t)layers->spans.len,
                       (uint32_t)(layer->first - first));
    layers->entries.len += RECORD_ENTRY;
    text_add(&layers->spans, (struct str){spans, spans_len});
}

/* As in a batch: spans follow all entries, so where they begin is known last. */
static void write_table(struct layers *layers, size_t first)
{
    text_room(&layers->spans, 1); /* there may be none, but they are somewhere */
    for (size_t i = 0; i < layers->count; i++)
        write_entry(layers, &layers->layer[i], first);
    for (size_t i = 0; i < layers->count; i++)
        record_move_spans(layers->entries.at + i * RECORD_ENTRY, layers->spans.at,
                          (uint32_t)layers->entries.len);
    text_add(&layers->entries, text_str(&layers->spans));
    text_free(&layers->spans);
}

static const struct str *list_facts(struct layers *layers)
{
    layers->facts_list = calloc(layers->count, sizeof *layers->facts_list);
    if (!layers->facts_list)
        abort();
    for (size_t i = 0; i < layers->count; i++) {
        const struct layer *layer = &layers->layer[i];
        if (layer->facts_len)
            layers->facts_list[i] =
                (struct str){layers->facts.at + layer->facts_at, layer->facts_len};
    }
    return layers->facts_list;
}

int layers_finish(struct layers *layers, struct err *err)
{
    int r = 0;
    for (uint32_t i = 0; i < layers->count && !r; i++)
        r = layers_judge(layers, i, true, err);
    if (r || layers->count == 0)
        return r;
    size_t first = SIZE_MAX, after = 0;
    for (size_t i = 0; i < layers->count; i++) {
        struct layer *layer = &layers->layer[i];
        if (layer->kind == RUN_ATTACHMENT)
            join_run(layers, layer);
        first = layer->first < first ? layer->first : first;
        after = layer->after > after ? layer->after : after;
    }
    write_table(layers, first);
    layers->record = (struct record){
        .count = (uint32_t)layers->count,
        .received_us = layers->received_us,
        .fresh = true,
        .new_ids = layers->made_id,
        .facts = list_facts(layers),
        .expect = RECORD_ANY,
        .table = text_str(&layers->entries),
        .body = {body_of(layers) + first, after - first},
    };
    return 0;
}
