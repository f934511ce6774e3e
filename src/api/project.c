/* project.c - see project.h. */
#include "api/project.h"

#include "base/text.h"
#include "run/entity.h"
#include "run/render.h"
#include "serve/stats.h"

static const struct shape_member members[] = {
    {"end_time", "null", SHAPE_TIME},         {"description", "null", SHAPE_TEXT},
    {"extra", "null", SHAPE_EXTRA},           {"reference_dataset_id", "null", SHAPE_ID},
    {"default_dataset_id", "null", SHAPE_ID},
};

const struct shape project_shape = {members, sizeof members / sizeof *members};

void project_write(struct text *text, struct uuid id, struct str name, int64_t start_us,
                   const struct json_object *said, const struct json_object *was)
{
    text_add_char(text, '{');
    shape_id(text, "id", id);
    shape_text(text, "name", name);
    shape_time(text, "start_time", start_us);
    shape_write(&project_shape, said, false, was, text);
    text_add_char(text, '}');
}

void project_show(struct text *text, const struct entity *project, const struct serve_stats *stats,
                  struct arena *arena)
{
    struct json_object was = shape_object(project, arena);
    project_write(text, project->id, project->name, project->made_us, NULL, &was);
    text->len--; /* there is more to say */
    shape_json(text, "tenant_id", STR("\"" RENDER_TENANT "\""));
    shape_json(text, "trace_tier", STR("null"));
    if (stats) {
        text_add_char(text, ',');
        stats_write(&stats->stats, &stats->tally, text);
    }
    text_add_char(text, '}');
}
