/* entity.c - see entity.h. */
#include "run/entity.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "run/filter.h"
#include "run/run.h"
#include "wire/json_scan.h"
#include "wire/json_string.h"

const char *entity_kind_name(enum entity_kind kind)
{
    static const char *const names[ENTITY_KINDS] = {
        [ENTITY_PROJECT] = "project",
        [ENTITY_FEEDBACK] = "feedback",
        [ENTITY_SHARE] = "share",
        [ENTITY_TOKEN] = "feedback token",
        [ENTITY_DATASET] = "dataset",
        [ENTITY_EXAMPLE] = "example",
        [ENTITY_GONE_RUN] = "deleted run",
        [ENTITY_GONE_TRACE] = "deleted trace",
        [ENTITY_FILE] = "file",
    };
    return names[kind];
}

struct uuid entity_project_id(struct str name, unsigned nth)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(name.at, name.len, nth);
    struct uuid id;
    put_u64(id.byte, hash.low64);
    put_u64(id.byte + 8, hash.high64);
    id.byte[6] = (uint8_t)((id.byte[6] & 0x0f) | 0x80); /* RFC 9562, version 8 */
    id.byte[8] = (uint8_t)((id.byte[8] & 0x3f) | 0x80);
    return id;
}

struct run entity_run(const struct entity *entity, struct str name, char spans[ENTITY_SPANS])
{
    struct str json = entity->json;
    XXH128_hash_t hash = XXH3_128bits(json.at, json.len);
    struct run run = {
        .id = entity->id,
        .trace = entity->id,
        .parent = entity->parent,
        .start_us = entity->made_us,
        .end_us = entity->made_us,
        .kind = RUN_ENTITY,
        .entity = (uint8_t)entity->kind,
        .hash = {hash.low64, hash.high64},
        .spans = spans,
        .raw = json.len ? json : STR(""),
    };
    if (name.at) {
        assert(name.at >= json.at && name.at + name.len <= json.at + json.len);
        run.present = UINT32_C(1) << RUN_NAME;
        put_u32(spans, (uint32_t)(name.at - json.at));
        put_u32(spans + 4, (uint32_t)name.len);
    }
    return run;
}

enum { NUMBER_MAX = 64 /* digits that are looked at */ };

static void read_score(struct str json, enum json_type type, struct filter_cell *score)
{
    char text[NUMBER_MAX + 1];
    *score = (struct filter_cell){0};
    if (type == JSON_TRUE || type == JSON_FALSE) {
        *score = (struct filter_cell){true, {.decimal = type == JSON_TRUE}};
    } else if (type == JSON_NUMBER && json.len <= NUMBER_MAX) {
        memcpy(text, json.at, json.len);
        text[json.len] = '\0';
        *score = (struct filter_cell){true, {.decimal = strtod(text, NULL)}};
    }
}

void entity_score(const struct entity *feedback, struct filter_cell *score)
{
    struct str json = feedback->json;
    struct json_scan scan;
    enum json_event event;
    *score = (struct filter_cell){0};
    json_scan_start(&scan, JSON_VALUE);
    while ((event = json_scan_next(&scan, json.at, json.len, true)) == JSON_FIELD ||
           event == JSON_ITEM)
        if (event == JSON_FIELD &&
            json_string_is((struct str){json.at + scan.key.at, scan.key.len}, STR("score")))
            read_score((struct str){json.at + scan.value.at, scan.value.len}, scan.type, score);
}
