/* dataset.c - see dataset.h. */
#include "api/dataset.h"

#include <inttypes.h>

#include "base/text.h"
#include "run/render.h"

static const struct shape_member members[] = {
    {"description", "null", SHAPE_TEXT},
    {"data_type", "\"kv\"", SHAPE_TEXT},
    {"extra", "null", SHAPE_OBJECT},
    {"inputs_schema_definition", "null", SHAPE_OBJECT},
    {"outputs_schema_definition", "null", SHAPE_OBJECT},
    {"externally_managed", "false", SHAPE_ANY},
    {"transformations", "null", SHAPE_ANY},
    {"metadata", "null", SHAPE_OBJECT},
};

const struct shape dataset_shape = {members, sizeof members / sizeof *members};

void dataset_write(struct text *text, struct uuid id, struct str name, int64_t made_us,
                   int64_t changed_us, const struct json_object *said,
                   const struct json_object *was)
{
    text_add_char(text, '{');
    shape_id(text, "id", id);
    shape_text(text, "name", name);
    shape_time(text, "created_at", made_us);
    shape_time(text, "modified_at", changed_us);
    shape_write(&dataset_shape, said, false, was, text);
    text_add_char(text, '}');
}

struct str dataset_metadata(const struct json_object *dataset, struct arena *arena)
{
    struct str metadata = json_object_json(dataset, STR("metadata"));
    struct str extra = json_object_json(dataset, STR("extra"));
    struct json_object inside = {0};
    struct json_scan scan;
    if (!metadata.at && extra.at &&
        json_object_read(extra, arena, &inside, &scan) == JSON_OBJECT_READ)
        metadata = json_object_json(&inside, STR("metadata"));
    return metadata;
}

static void add_count(struct text *text, const char *name, int64_t count)
{
    if (count < 0)
        shape_json(text, name, STR("null"));
    else
        text_addf(text, ",\"%s\":%" PRId64, name, count);
}

void dataset_show(struct text *text, const struct entity *dataset,
                  const struct dataset_counts *counts, struct arena *arena)
{
    struct json_object was = shape_object(dataset, arena);
    struct str metadata = dataset_metadata(&was, arena);
    int64_t changed_us = dataset->made_us;
    (void)json_object_time(&was, STR("modified_at"), &changed_us);
    const struct json_member more[] = {{STR("metadata"), metadata, JSON_OBJECT}};
    const struct json_object said = {.members = more, .count = metadata.at ? 1 : 0};
    dataset_write(text, dataset->id, dataset->name, dataset->made_us, changed_us, &said, &was);
    text->len--; /* there is more to say */
    shape_json(text, "tenant_id", STR("\"" RENDER_TENANT "\""));
    add_count(text, "example_count", counts->examples);
    add_count(text, "session_count", counts->sessions);
    if (counts->sessions > 0)
        shape_time(text, "last_session_start_time", counts->last_session_us);
    else
        shape_json(text, "last_session_start_time", STR("null"));
    text_add_char(text, '}');
}
