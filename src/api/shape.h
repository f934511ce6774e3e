/* shape.h - the JSON objects of entities: which members they have, in which order.
 *
 * An entity's object is stored with all members of its shape, and shown through the shape
 * again, so that one which came by another way, or is of an older version, looks the same.
 *
 * Threads  pure, but for shape_check()
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"
#include "wire/json_object.h"

struct arena;
struct body;
struct entity;
struct text;

enum shape_type {
    SHAPE_ANY,
    SHAPE_TEXT,
    SHAPE_OBJECT,
    SHAPE_EXTRA, /* an object; an empty one does not replace what is there */
    SHAPE_ID,
    SHAPE_TIME, /* written as RFC 3339 in UTC */
    SHAPE_SCORE /* a number, or true and false, which are 1 and 0 */
};

struct shape_member {
    const char *name;
    const char *otherwise; /* JSON, when nobody said it */
    enum shape_type type;
};

struct shape {
    const struct shape_member *members;
    size_t count;
};

/* Are the members that the body has of their types?  Else that is its fault. */
void shape_check(const struct shape *shape, struct body *body);

/* Append `,"name":value` of each member: as `said` has it, else as it `was`.  Both may be
 * NULL.  A null that is said says nothing, unless `nulls`: then it takes the value away. */
void shape_write(const struct shape *shape, const struct json_object *said, bool nulls,
                 const struct json_object *was, struct text *text);

/* The object of an entity; of one that has none, no members. */
struct json_object shape_object(const struct entity *entity, struct arena *arena);

/* Pieces of objects: `name` with a comma before it unless it follows a `{` or `[`. */
void shape_id(struct text *text, const char *name, struct uuid id);     /* zero: null */
void shape_text(struct text *text, const char *name, struct str value); /* at == NULL: null */
void shape_time(struct text *text, const char *name, int64_t us);
void shape_json(struct text *text, const char *name, struct str json); /* likewise */

bool shape_is_empty(struct str object); /* valid JSON: {} */

/* Do all members of `wanted`, an object, stand in the object `json` too, as texts or as
 * the same JSON? */
bool shape_has_all(struct str json, const struct json_object *wanted, struct arena *arena);
