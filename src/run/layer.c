/* layer.c - see layer.h.
 *
 * A feedback is read through the fields of a run that say the same: its key is its name,
 * run_id the parent, created_at the start.
 */
#include "run/layer.h"

#include "run/entity.h"
#include "run/order.h"
#include "run/project.h"
#include "wire/json_string.h"

static const struct {
    const char *name;
    enum run_field field;
} feedback_members[] = {
    {"id", RUN_ID},    {"run_id", RUN_PARENT_RUN_ID},  {"trace_id", RUN_TRACE_ID},
    {"key", RUN_NAME}, {"created_at", RUN_START_TIME}, {"score", RUN_OUTPUTS},
};

static enum run_field feedback_key(struct str key)
{
    for (size_t i = 0; i < sizeof feedback_members / sizeof *feedback_members; i++) {
        const char *name = feedback_members[i].name;
        if (json_string_is(key, (struct str){name, strlen(name)}))
            return feedback_members[i].field;
    }
    return RUN_FIELDS;
}

void layer_member(struct layer *layer, struct str key, bool escaped, struct json_span value,
                  enum json_type type)
{
    enum run_field field = layer->kind == RUN_ENTITY ? feedback_key(key) : draft_key(key, escaped);
    if (field == RUN_FIELDS || field == RUN_METADATA)
        return;
    if (type == JSON_NULL)
        layer->draft.sent &= ~(UINT32_C(1) << field); /* of equal keys the last one counts */
    else
        draft_add(&layer->draft, field, value, type);
}

void layer_part(struct layer *layer, enum run_field field, struct json_span value,
                enum json_type type)
{
    if (type != JSON_NULL)
        draft_add(&layer->draft, field, value, type);
}

void layer_reopen(struct layer *layer)
{
    layer->scattered = true;
    layer->judged = false;
    layer->draft.sent &= ~(UINT32_C(1) << RUN_METADATA); /* it is found again */
}

static struct str given(const struct layer *layer, const char *body, enum run_field field)
{
    return draft_given(&layer->draft, body, field);
}

static int wrong(struct err *err, const char *field, const char *what)
{
    return err_set(err, ERR_INVALID, "%s: %s", field, what);
}

static const char *name_of(enum run_field field)
{
    return run_field_name(field).at; /* a literal */
}

static int check_uuid(const struct layer *layer, const char *body, enum run_field field,
                      bool required, struct uuid *id, struct err *err)
{
    if (!given(layer, body, field).at)
        return required ? wrong(err, name_of(field), "is required") : 0;
    if (!draft_uuid(&layer->draft, body, field, id))
        return wrong(err, name_of(field), "should be a UUID");
    return 0;
}

static int check_type(const struct layer *layer, const char *body, enum run_field field,
                      enum json_type type, struct err *err)
{
    if (!given(layer, body, field).at || layer->draft.type[field] == type)
        return 0;
    return wrong(err, name_of(field),
                 type == JSON_LIST ? "should be a list" : "should be a string");
}

/* Of a name that were cut, others would be the same. */
static int check_project(const struct layer *layer, const char *body, enum run_field field,
                         struct err *err)
{
    int r = check_type(layer, body, field, JSON_STRING, err);
    if (r || draft_fits(&layer->draft, body, field, PROJECT_NAME_MAX))
        return r;
    return err_set(err, ERR_INVALID, "%s: should have at most %d bytes", name_of(field),
                   PROJECT_NAME_MAX);
}

static int check_time(const struct layer *layer, const char *body, enum run_field field,
                      int64_t *us, struct err *err)
{
    if (!given(layer, body, field).at || draft_time(&layer->draft, body, field, us))
        return 0;
    return wrong(err, name_of(field), "should be an RFC 3339 time or whole milliseconds");
}

/* Said in two places, it must be the same. */
static int check_id(struct layer *layer, const char *body, struct err *err)
{
    struct uuid id = layer->run.id;
    int r = check_uuid(layer, body, RUN_ID, !layer->has_id, &id, err);
    if (r)
        return r;
    if (layer->has_id && uuid_compare(id, layer->run.id) != 0)
        return wrong(err, "id", "is not the id that this is sent for");
    layer->run.id = id;
    return 0;
}

/* Nobody writes one with escapes; a short one with them is read all the same. */
static bool read_order(struct str json, struct order *order)
{
    struct str text = {json.at + 1, json.len - 2};
    char room[1024];
    if (text.len && memchr(text.at, '\\', text.len) && !draft_text(json, room, sizeof room, &text))
        return false;
    return order_read(text, order);
}

/* Ids that only the dotted order says are taken from there. */
static int check_order(struct layer *layer, const char *body, bool required, struct err *err)
{
    struct run *run = &layer->run;
    struct order order;
    struct str json = given(layer, body, RUN_DOTTED_ORDER);
    if (!json.at)
        return required ? wrong(err, "dotted_order", "is required") : 0;
    if (layer->draft.type[RUN_DOTTED_ORDER] != JSON_STRING || !read_order(json, &order))
        return wrong(err, "dotted_order",
                     "should be YYYYMMDDTHHMMSSffffffZ and a UUID for each run from the root "
                     "down, with dots between");
    if (uuid_compare(order.own, run->id) != 0)
        return wrong(err, "dotted_order", "its last id is not the run's");
    if (given(layer, body, RUN_TRACE_ID).at && uuid_compare(order.root, run->trace) != 0)
        return wrong(err, "dotted_order", "its first id is not the trace_id");
    if (given(layer, body, RUN_PARENT_RUN_ID).at && order.segments == 1)
        return wrong(err, "dotted_order", "is a root's, but there is a parent_run_id");
    if (given(layer, body, RUN_PARENT_RUN_ID).at && uuid_compare(order.parent, run->parent) != 0)
        return wrong(err, "dotted_order", "the id before its last is not the parent_run_id");
    run->trace = order.root;
    run->parent = order.parent;
    return 0;
}

static int check_run_type(struct layer *layer, const char *body, struct err *err)
{
    if (!given(layer, body, RUN_RUN_TYPE).at || draft_type(&layer->draft, body, &layer->run.type))
        return 0;
    return wrong(err, "run_type",
                 "should be tool, chain, llm, retriever, embedding, prompt or parser");
}

/* Metadata is a part of extra; its span points there. */
static void find_metadata(struct layer *layer, const char *body)
{
    struct json_span inner;
    enum json_type type;
    if (draft_metadata(&layer->draft, body, &inner, &type) && type == JSON_OBJECT)
        draft_add(&layer->draft, RUN_METADATA, inner, type);
}

static int check_run(struct layer *layer, const char *body, const struct layer_rules *rules,
                     struct err *err)
{
    struct run *run = &layer->run;
    struct uuid ignored;
    int r = check_id(layer, body, err);
    r = r ? r : check_uuid(layer, body, RUN_TRACE_ID, rules->strict, &run->trace, err);
    r = r ? r : check_uuid(layer, body, RUN_PARENT_RUN_ID, false, &run->parent, err);
    r = r ? r : check_order(layer, body, rules->strict, err);
    r = r ? r : check_type(layer, body, RUN_NAME, JSON_STRING, err);
    r = r ? r : check_run_type(layer, body, err);
    r = r ? r : check_time(layer, body, RUN_START_TIME, &run->start_us, err);
    r = r ? r : check_time(layer, body, RUN_END_TIME, &run->end_us, err);
    r = r ? r : check_type(layer, body, RUN_ERROR_TEXT, JSON_STRING, err);
    r = r ? r : check_type(layer, body, RUN_TAGS, JSON_LIST, err);
    r = r ? r : check_project(layer, body, RUN_SESSION_NAME, err);
    r = r ? r : check_uuid(layer, body, RUN_SESSION_ID, false, &ignored, err);
    r = r ? r : check_uuid(layer, body, RUN_REFERENCE_EXAMPLE_ID, false, &ignored, err);
    r = r ? r : check_project(layer, body, RUN_ADDRESS, err);
    if (r)
        return r;
    if (!draft_fits(&layer->draft, body, RUN_NAME, rules->name_max))
        return err_set(err, ERR_TOO_BIG, "name: the limit is %zu bytes", rules->name_max);
    bool failed = given(layer, body, RUN_ERROR_TEXT).len > 2; /* more than its quotes */
    run->status = failed ? RUN_ERROR : run->end_us == RUN_RUNNING ? RUN_PENDING : RUN_SUCCESS;
    find_metadata(layer, body);
    return 0;
}

static int check_feedback(struct layer *layer, const char *body, const struct layer_rules *rules,
                          struct err *err)
{
    struct run *run = &layer->run;
    const struct draft *d = &layer->draft;
    int r = check_id(layer, body, err);
    if (r)
        return r;
    struct str key = given(layer, body, RUN_NAME);
    if (!key.at || d->type[RUN_NAME] != JSON_STRING || key.len == 2)
        return wrong(err, "key", "is required, as a string");
    if (!draft_fits(d, body, RUN_NAME, rules->name_max))
        return err_set(err, ERR_TOO_BIG, "key: the limit is %zu bytes", rules->name_max);
    enum json_type score = given(layer, body, RUN_OUTPUTS).at ? d->type[RUN_OUTPUTS] : JSON_NULL;
    if (score == JSON_OBJECT || score == JSON_LIST || score == JSON_STRING)
        return wrong(err, "score", "should be a number, true, false or null");
    enum run_field of = given(layer, body, RUN_PARENT_RUN_ID).at ? RUN_PARENT_RUN_ID : RUN_TRACE_ID;
    if (!given(layer, body, of).at)
        return wrong(err, "run_id", "is required, or a trace_id");
    if (!draft_uuid(d, body, of, &run->parent))
        return wrong(err, of == RUN_TRACE_ID ? "trace_id" : "run_id", "should be a UUID");
    if (given(layer, body, RUN_START_TIME).at &&
        !draft_time(d, body, RUN_START_TIME, &run->start_us))
        return wrong(err, "created_at", "should be an RFC 3339 time or whole milliseconds");
    run->entity = ENTITY_FEEDBACK;
    run->trace = run->id;
    layer->draft.sent = UINT32_C(1) << RUN_NAME; /* all else is its object's */
    return 0;
}

int layer_check(struct layer *layer, const char *body, const struct layer_rules *rules,
                struct err *err)
{
    layer->run = (struct run){.id = layer->run.id,
                              .kind = layer->kind,
                              .start_us = rules->received_us,
                              .end_us = RUN_RUNNING};
    if (layer->kind == RUN_ENTITY)
        return check_feedback(layer, body, rules, err);
    return layer->kind == RUN_ATTACHMENT ? 0 : check_run(layer, body, rules, err);
}
