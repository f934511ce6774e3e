/* shape.c - see shape.h. */
#include "api/shape.h"

#include <math.h>
#include <stdlib.h>

#include "api/body.h"
#include "base/arena.h"
#include "base/text.h"
#include "run/entity.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

static void check_score(struct body *body, const char *name)
{
    struct str json = body_json(body, name);
    if (json.at && !strchr("-0123456789tf", json.at[0]))
        body_fault(body, name, "float_type", "Input should be a valid number");
    else if (json.at && !isfinite(strtod(arena_copy(body->arena, json).at, NULL)))
        body_fault(body, name, "finite_number",
                   "Input should be a finite number, between -1.79e308 and 1.79e308");
}

void shape_check(const struct shape *shape, struct body *body)
{
    for (size_t i = 0; i < shape->count; i++) {
        const char *name = shape->members[i].name;
        struct uuid id;
        int64_t us;
        switch (shape->members[i].type) {
        case SHAPE_TEXT:
            (void)body_text(body, name);
            break;
        case SHAPE_OBJECT:
        case SHAPE_EXTRA:
            (void)body_object(body, name);
            break;
        case SHAPE_ID:
            (void)body_id(body, name, &id);
            break;
        case SHAPE_TIME:
            (void)body_time(body, name, &us);
            break;
        case SHAPE_SCORE:
            check_score(body, name);
            break;
        case SHAPE_ANY:
            break;
        }
    }
}

static void add_name(struct text *text, const char *name)
{
    if (text->len && text->at[text->len - 1] != '{' && text->at[text->len - 1] != '[')
        text_add_char(text, ',');
    text_addf(text, "\"%s\":", name);
}

void shape_time(struct text *text, const char *name, int64_t us)
{
    char time[RFC3339_SIZE];
    add_name(text, name);
    text_addf(text, "\"%.*s\"", STR_FMT(rfc3339_write(us, time)));
}

void shape_id(struct text *text, const char *name, struct uuid id)
{
    char room[UUID_TEXT];
    add_name(text, name);
    if (uuid_is_zero(id)) {
        text_add(text, STR("null"));
        return;
    }
    uuid_write(id, room);
    text_addf(text, "\"%.*s\"", UUID_TEXT, room);
}

void shape_text(struct text *text, const char *name, struct str value)
{
    add_name(text, name);
    if (value.at)
        json_string_write(text, value);
    else
        text_add(text, STR("null"));
}

void shape_json(struct text *text, const char *name, struct str json)
{
    add_name(text, name);
    text_add(text, json.at ? json : STR("null"));
}

static void add_value(struct text *text, const struct shape_member *as,
                      const struct json_member *value)
{
    int64_t us;
    if (as->type == SHAPE_TIME && json_member_time(value, &us))
        shape_time(text, as->name, us);
    else if (as->type == SHAPE_SCORE && value->type == JSON_TRUE)
        shape_json(text, as->name, STR("1"));
    else if (as->type == SHAPE_SCORE && value->type == JSON_FALSE)
        shape_json(text, as->name, STR("0"));
    else
        shape_json(text, as->name, value->value);
}

bool shape_is_empty(struct str object)
{
    for (size_t i = 1; i + 1 < object.len; i++)
        if (!strchr(" \t\r\n", object.at[i]))
            return false;
    return true;
}

void shape_write(const struct shape *shape, const struct json_object *said, bool nulls,
                 const struct json_object *was, struct text *text)
{
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_member *as = &shape->members[i];
        struct str name = {as->name, strlen(as->name)};
        const struct json_member *value = said ? json_object_get(said, name) : NULL;
        bool cleared = value && value->type == JSON_NULL && nulls;
        if (value && value->type == JSON_NULL)
            value = NULL;
        const struct json_member *before = was ? json_object_get(was, name) : NULL;
        bool slight = value && before && as->type == SHAPE_EXTRA && before->type == JSON_OBJECT &&
                      shape_is_empty(value->value);
        if ((!value && !cleared) || slight)
            value = before;
        if (value && value->type != JSON_NULL)
            add_value(text, as, value);
        else
            shape_json(text, as->name, (struct str){as->otherwise, strlen(as->otherwise)});
    }
}

struct json_object shape_object(const struct entity *entity, struct arena *arena)
{
    struct json_object object = {0};
    struct json_scan scan;
    if (!entity || !entity->json.len ||
        json_object_read(entity->json, arena, &object, &scan) != JSON_OBJECT_READ)
        return (struct json_object){0};
    return object;
}

static bool same(const struct json_member *a, const struct json_member *b, struct arena *arena)
{
    if (a->type == JSON_STRING && b->type == JSON_STRING)
        return str_eq(json_member_text(a, arena), json_member_text(b, arena));
    return str_eq(a->value, b->value);
}

bool shape_has_all(struct str json, const struct json_object *wanted, struct arena *arena)
{
    struct json_object object = {0};
    struct json_scan scan;
    if (wanted->count == 0)
        return true;
    if (!json.at || json_object_read(json, arena, &object, &scan) != JSON_OBJECT_READ)
        return false;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct json_member *member = NULL;
        struct str name =
            json_member_text(&(struct json_member){.value = {wanted->members[i].key.at - 1,
                                                             wanted->members[i].key.len + 2},
                                                   .type = JSON_STRING},
                             arena);
        member = json_object_get(&object, name);
        if (!member || !same(member, &wanted->members[i], arena))
            return false;
    }
    return true;
}
