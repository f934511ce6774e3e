/* json_object.h - the members of one JSON object that is there as a whole.
 *
 * For bodies of calls and for what is stored of entities: small things.  A key that is
 * given twice counts the last time.
 *
 * Threads  pure
 * Memory   keys and values are views of the text; the list is in the caller's arena
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "base/uuid.h"
#include "wire/json_scan.h"

struct arena;

struct json_member {
    struct str key;   /* between the quotes, escapes as sent */
    struct str value; /* as sent, quotes included */
    enum json_type type;
};

struct json_object {
    struct str text; /* the object itself, without blanks around it */
    const struct json_member *members;
    size_t count;
};

enum json_object_fault {
    JSON_OBJECT_READ,
    JSON_OBJECT_NO_JSON, /* `scan` says where and why */
    JSON_OBJECT_OTHER    /* JSON, and no object */
};

/* `scan` is the caller's room, which is large; read only after a fault. */
enum json_object_fault json_object_read(struct str text, struct arena *arena,
                                        struct json_object *result, struct json_scan *scan);

/* The member of that name; NULL: there is none. */
const struct json_member *json_object_get(const struct json_object *object, struct str name);

/* What it says; each is "not there" when it is absent, null, or of another type. */
struct str json_object_json(const struct json_object *object, struct str name); /* any type */
struct str json_object_text(const struct json_object *object, struct str name,
                            struct arena *arena); /* decoded */
bool json_object_id(const struct json_object *object, struct str name, struct uuid *id);
bool json_object_time(const struct json_object *object, struct str name, int64_t *us);

/* The text of a member that is a string, decoded. */
struct str json_member_text(const struct json_member *member, struct arena *arena);

/* A time: an RFC 3339 string, or whole milliseconds since 1970.  False: neither. */
bool json_member_time(const struct json_member *member, int64_t *us);

/* A whole number of at most 18 digits. */
bool json_member_whole(const struct json_member *member, int64_t *value);

/* The items of a JSON list that is valid, in the arena: keys are empty. */
const struct json_member *json_list_read(struct str text, struct arena *arena, size_t *count);
