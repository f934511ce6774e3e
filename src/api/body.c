/* body.c - see body.h. */
#include "api/body.h"

#include "api/fail.h"
#include "base/arena.h"

bool body_read(struct http_request *request, struct str json, struct body *body)
{
    struct json_scan scan;
    size_t blank = 0;
    *body = (struct body){.arena = http_arena(request), .item = SIZE_MAX};
    while (blank < json.len && json.at[blank] && strchr(" \t\r\n", json.at[blank]))
        blank++;
    if (blank == json.len) {
        fail_value(request, "missing", "body", NULL, "Field required");
        return false;
    }
    switch (json_object_read(json, body->arena, &body->object, &scan)) {
    case JSON_OBJECT_READ:
        return true;
    case JSON_OBJECT_NO_JSON:
        fail_json(request, scan.offset, scan.fault ? scan.fault : "cut short");
        return false;
    case JSON_OBJECT_OTHER:
        break;
    }
    fail_value(request, "dict_type", "body", NULL, "Input should be a valid dictionary");
    return false;
}

bool body_read_list(struct http_request *request, struct str json, struct body *body)
{
    struct json_scan scan;
    *body = (struct body){.arena = http_arena(request), .item = SIZE_MAX};
    json_scan_start(&scan, JSON_VALUE);
    enum json_event event;
    enum json_type type = JSON_NULL;
    struct str list = {0};
    do {
        event = json_scan_next(&scan, json.at, json.len, true);
        if (event == JSON_ITEM) {
            type = scan.type;
            list = (struct str){json.at + scan.value.at, scan.value.len};
        }
    } while (event == JSON_FIELD || event == JSON_ITEM);
    if (event != JSON_END) {
        fail_json(request, scan.offset, scan.fault ? scan.fault : "cut short");
        return false;
    }
    if (type != JSON_LIST) {
        fail_value(request, "list_type", "body", NULL, "Input should be a valid list");
        return false;
    }
    body->object.members = json_list_read(list, body->arena, &body->object.count);
    return true;
}

static struct str str_of(const char *name)
{
    return (struct str){name, strlen(name)};
}

static void fault_at(struct body *body, const char *name, size_t item, const char *type,
                     const char *message)
{
    if (body->fault)
        return;
    body->fault = type;
    body->message = message;
    body->name = name;
    body->item = item;
}

void body_fault(struct body *body, const char *name, const char *type, const char *message)
{
    fault_at(body, name, SIZE_MAX, type, message);
}

/* The member, unless it is null or not of this type: then that is what is wrong. */
static const struct json_member *typed(struct body *body, const char *name, enum json_type type,
                                       const char *word, const char *message)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    if (!member || member->type == JSON_NULL)
        return NULL;
    if (member->type == type)
        return member;
    body_fault(body, name, word, message);
    return NULL;
}

bool body_has(const struct body *body, const char *name)
{
    return json_object_get(&body->object, str_of(name)) != NULL;
}

struct str body_json(const struct body *body, const char *name)
{
    return json_object_json(&body->object, str_of(name));
}

void body_needs(struct body *body, const char *name)
{
    if (!body_json(body, name).at)
        body_fault(body, name, "missing", "Field required");
}

struct str body_object(struct body *body, const char *name)
{
    const struct json_member *member =
        typed(body, name, JSON_OBJECT, "dict_type", "Input should be a valid dictionary");
    return member ? member->value : (struct str){0};
}

struct str body_text(struct body *body, const char *name)
{
    const struct json_member *member =
        typed(body, name, JSON_STRING, "string_type", "Input should be a valid string");
    return member ? json_member_text(member, body->arena) : (struct str){0};
}

bool body_flag(struct body *body, const char *name, bool otherwise)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    if (!member || member->type == JSON_NULL)
        return otherwise;
    if (member->type == JSON_TRUE || member->type == JSON_FALSE)
        return member->type == JSON_TRUE;
    body_fault(body, name, "bool_type", "Input should be a valid boolean");
    return otherwise;
}

/* The id that a member or an item says. */
static bool id_of(struct body *body, const char *name, size_t item,
                  const struct json_member *member, struct uuid *id)
{
    if (member->type != JSON_STRING)
        fault_at(body, name, item, "uuid_type", "UUID input should be a string");
    else if (!uuid_parse((struct str){member->value.at + 1, member->value.len - 2}, id))
        fault_at(body, name, item, "uuid_parsing", "Input should be a valid UUID");
    else
        return true;
    return false;
}

bool body_id(struct body *body, const char *name, struct uuid *value)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    return member && member->type != JSON_NULL && id_of(body, name, SIZE_MAX, member, value);
}

bool body_whole(struct body *body, const char *name, int64_t *value)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    if (!member || member->type == JSON_NULL)
        return false;
    if (json_member_whole(member, value))
        return true;
    body_fault(body, name, "int_type", "Input should be a valid integer");
    return false;
}

bool body_time(struct body *body, const char *name, int64_t *us)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    if (!member || member->type == JSON_NULL)
        return false;
    if (json_member_time(member, us))
        return true;
    body_fault(body, name, "datetime_parsing",
               "Input should be an RFC 3339 time or whole milliseconds");
    return false;
}

/* The items of a list, or the one value that stands for it. */
static const struct json_member *items(struct body *body, const char *name, size_t *count)
{
    const struct json_member *member = json_object_get(&body->object, str_of(name));
    *count = 0;
    if (!member || member->type == JSON_NULL)
        return NULL;
    if (member->type == JSON_LIST) {
        static const struct json_member none;
        const struct json_member *list = json_list_read(member->value, body->arena, count);
        return list ? list : &none;
    }
    *count = 1;
    return member;
}

const struct uuid *body_ids(struct body *body, const char *name, size_t *count)
{
    const struct json_member *list = items(body, name, count);
    if (!list)
        return NULL;
    struct uuid *ids = arena_make(body->arena, struct uuid, *count + 1);
    for (size_t i = 0; i < *count; i++)
        (void)id_of(body, name, i, &list[i], &ids[i]);
    return ids;
}

const struct str *body_texts(struct body *body, const char *name, size_t *count)
{
    const struct json_member *list = items(body, name, count);
    if (!list)
        return NULL;
    struct str *texts = arena_make(body->arena, struct str, *count + 1);
    for (size_t i = 0; i < *count; i++)
        if (list[i].type == JSON_STRING)
            texts[i] = json_member_text(&list[i], body->arena);
        else
            fault_at(body, name, i, "string_type", "Input should be a valid string");
    return texts;
}

bool body_good(struct http_request *request, const struct body *body)
{
    if (!body->fault)
        return true;
    if (body->item == SIZE_MAX)
        fail_value(request, body->fault, "body", body->name, body->message);
    else
        fail_item(request, body->fault, body->name, body->item, body->message);
    return false;
}
