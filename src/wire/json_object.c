/* json_object.c - see json_object.h. */
#include "wire/json_object.h"

#include <assert.h>

#include "base/arena.h"
#include "wire/json_string.h"
#include "wire/rfc3339.h"

struct members {
    struct arena *arena;
    struct json_member *at;
    size_t count, cap;
};

static void add(struct members *members, struct json_member member)
{
    if (members->count == members->cap) {
        size_t cap = members->cap ? members->cap * 2 : 16;
        struct json_member *at = arena_make(members->arena, struct json_member, cap);
        if (members->count)
            memcpy(at, members->at, members->count * sizeof *at);
        members->at = at;
        members->cap = cap;
    }
    members->at[members->count++] = member;
}

static struct str view(struct str text, struct json_span span)
{
    return (struct str){text.at + span.at, span.len};
}

enum json_object_fault json_object_read(struct str text, struct arena *arena,
                                        struct json_object *result, struct json_scan *scan)
{
    struct members members = {.arena = arena};
    enum json_type type = JSON_NULL;
    struct str whole = {0};
    json_scan_start(scan, JSON_VALUE);
    for (;;) {
        enum json_event event = json_scan_next(scan, text.at, text.len, true);
        if (event == JSON_FIELD) {
            add(&members,
                (struct json_member){view(text, scan->key), view(text, scan->value), scan->type});
        } else if (event == JSON_ITEM) {
            type = scan->type;
            whole = view(text, scan->value);
        } else if (event != JSON_END) {
            return JSON_OBJECT_NO_JSON;
        } else {
            break;
        }
    }
    if (type != JSON_OBJECT)
        return JSON_OBJECT_OTHER;
    *result = (struct json_object){whole, members.at, members.count};
    return JSON_OBJECT_READ;
}

const struct json_member *json_object_get(const struct json_object *object, struct str name)
{
    for (size_t i = object->count; i-- > 0;)
        if (json_string_is(object->members[i].key, name))
            return &object->members[i];
    return NULL;
}

struct str json_object_json(const struct json_object *object, struct str name)
{
    const struct json_member *member = json_object_get(object, name);
    return member && member->type != JSON_NULL ? member->value : (struct str){0};
}

struct str json_object_text(const struct json_object *object, struct str name, struct arena *arena)
{
    const struct json_member *member = json_object_get(object, name);
    return member && member->type == JSON_STRING ? json_member_text(member, arena)
                                                 : (struct str){0};
}

static struct str inside(const struct json_member *member)
{
    assert(member->type == JSON_STRING);
    return (struct str){member->value.at + 1, member->value.len - 2};
}

bool json_object_id(const struct json_object *object, struct str name, struct uuid *id)
{
    const struct json_member *member = json_object_get(object, name);
    return member && member->type == JSON_STRING && uuid_parse(inside(member), id);
}

bool json_object_time(const struct json_object *object, struct str name, int64_t *us)
{
    const struct json_member *member = json_object_get(object, name);
    return member && json_member_time(member, us);
}

struct str json_member_text(const struct json_member *member, struct arena *arena)
{
    struct str raw = inside(member);
    char *out = arena_alloc(arena, raw.len + 1); /* also of "": a text that is there */
    return (struct str){out, json_string_decode(raw, out)};
}

bool json_member_whole(const struct json_member *member, int64_t *value)
{
    enum { DIGITS_MAX = 18 };
    struct str digits = member->value;
    if (member->type != JSON_NUMBER)
        return false;
    bool negative = digits.at[0] == '-';
    int64_t sum = 0;
    if (digits.len - negative > DIGITS_MAX)
        return false;
    for (size_t i = negative; i < digits.len; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        sum = sum * 10 + (digits.at[i] - '0');
    }
    *value = negative ? -sum : sum;
    return true;
}

bool json_member_time(const struct json_member *member, int64_t *us)
{
    const int64_t ms_max = INT64_C(253402300799999); /* the end of the year 9999, ... */
    const int64_t ms_min = INT64_C(-62135596800000); /* ... and the begin of the year 1 */
    int64_t ms;
    if (member->type == JSON_STRING)
        return rfc3339_parse(inside(member), us);
    if (!json_member_whole(member, &ms) || ms < ms_min || ms > ms_max)
        return false;
    *us = ms * 1000;
    return true;
}

const struct json_member *json_list_read(struct str text, struct arena *arena, size_t *count)
{
    struct members members = {.arena = arena};
    struct json_scan scan;
    json_scan_start(&scan, JSON_ARRAY);
    for (;;) {
        enum json_event event = json_scan_next(&scan, text.at, text.len, true);
        if (event == JSON_ITEM)
            add(&members, (struct json_member){.value = view(text, scan.value), .type = scan.type});
        else if (event != JSON_FIELD)
            break;
    }
    *count = members.count;
    return members.at;
}
