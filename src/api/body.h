/* body.h - a JSON body that is an object, and what its members must be.
 *
 * Members are asked for one after another, without looking whether each is right; what is
 * wrong first is kept, and body_good() answers with it:
 *
 *     if (!body_read(request, json, &body))
 *         return;                                  // answered: it is no object
 *     struct str name = body_text(&body, "name");
 *     bool by_id = body_id(&body, "id", &id);
 *     if (!body_good(request, &body))
 *         return;                                  // answered: 422, and which member it is
 *
 * A member that is null is as one that is absent, except to body_has().  Unknown members
 * are nobody's concern.
 *
 * Memory   views of the body, and the request's arena
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"
#include "http/http.h"
#include "wire/json_object.h"

struct body {
    struct json_object object;
    struct arena *arena;
    const char *fault, *message, *name; /* the first thing that is wrong; NULL: nothing is */
    size_t item;                        /* of which item of a list, or SIZE_MAX */
};

bool body_read(struct http_request *request, struct str json, struct body *body);

/* The same for a body that is a list: its items are the members, without names. */
bool body_read_list(struct http_request *request, struct str json, struct body *body);

bool body_has(const struct body *body, const char *name);            /* null included */
struct str body_json(const struct body *body, const char *name);     /* of any type, as sent */
struct str body_object(struct body *body, const char *name);         /* JSON as sent */
struct str body_text(struct body *body, const char *name);           /* decoded */
bool body_flag(struct body *body, const char *name, bool otherwise); /* true or false */
/* False when it is not there; `value` is then as it was. */
bool body_id(struct body *body, const char *name, struct uuid *value);
bool body_whole(struct body *body, const char *name, int64_t *value);
bool body_time(struct body *body, const char *name, int64_t *us);
/* Lists; a single value stands for a list of it.  NULL when it is not there. */
const struct uuid *body_ids(struct body *body, const char *name, size_t *count);
const struct str *body_texts(struct body *body, const char *name, size_t *count);

/* Something is wrong that only the caller knows; `type` is a word for programs
 * ("missing", "value_error"). */
void body_fault(struct body *body, const char *name, const char *type, const char *message);
void body_needs(struct body *body, const char *name); /* and it is not there, or null */

bool body_good(struct http_request *request, const struct body *body);
