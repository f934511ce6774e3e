/* feedback_object.c - see feedback_object.h. */
#include "api/feedback_object.h"

#include "base/text.h"
#include "index/index.h"

static const struct shape_member members[] = {
    {"score", "null", SHAPE_SCORE},
    {"value", "null", SHAPE_ANY},
    {"comment", "null", SHAPE_TEXT},
    {"correction", "null", SHAPE_ANY},
    {"start_time", "null", SHAPE_TIME},
    {"feedback_source", "{\"type\":\"api\",\"metadata\":{},\"user_id\":null,\"user_name\":null}",
     SHAPE_OBJECT},
    {"feedback_group_id", "null", SHAPE_ID},
    {"comparative_experiment_id", "null", SHAPE_ID},
    {"extra", "null", SHAPE_OBJECT},
    {"error", "null", SHAPE_ANY},
};

const struct shape feedback_shape = {members, sizeof members / sizeof *members};

/* Of which run, trace and project: as it is said, else as the run's row has it. */
static void write_ids(struct text *text, struct uuid run, const struct json_object *said,
                      const struct index_row *row)
{
    struct uuid trace = {0}, project = {0};
    if (!json_object_id(said, STR("trace_id"), &trace) && row)
        trace = row->trace;
    if (!json_object_id(said, STR("session_id"), &project) && row)
        project = row->project;
    shape_id(text, "run_id", run);
    shape_id(text, "trace_id", trace);
    shape_id(text, "session_id", project);
}

void feedback_object_new(struct text *text, const struct feedback_new *feedback)
{
    text_add_char(text, '{');
    shape_id(text, "id", feedback->id);
    shape_time(text, "created_at", feedback->made_us);
    shape_time(text, "modified_at", feedback->changed_us);
    shape_text(text, "key", feedback->key);
    write_ids(text, feedback->run, feedback->said, feedback->row);
    shape_write(&feedback_shape, feedback->said, false, NULL, text);
    text_add_char(text, '}');
}

void feedback_object_over(struct text *text, const struct entity *there,
                          const struct json_object *said, int64_t changed_us, struct arena *arena)
{
    struct json_object was = shape_object(there, arena);
    text_add_char(text, '{');
    shape_id(text, "id", there->id);
    shape_time(text, "created_at", there->made_us);
    shape_time(text, "modified_at", changed_us);
    shape_text(text, "key", there->name.at ? there->name : STR(""));
    write_ids(text, there->parent, &was, NULL);
    shape_write(&feedback_shape, said, true, &was, text);
    text_add_char(text, '}');
}

void feedback_object_show(struct text *text, const struct entity *feedback, struct arena *arena)
{
    struct json_object was = shape_object(feedback, arena);
    int64_t changed_us = feedback->made_us;
    (void)json_object_time(&was, STR("modified_at"), &changed_us);
    feedback_object_over(text, feedback, NULL, changed_us, arena);
}
