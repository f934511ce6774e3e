/* feedback_object.h - a feedback as the API takes and shows it.
 *
 * Clients send it in two ways, by POST /feedback and among the parts of runs, where its
 * object is stored as it came; so what is stored may lack anything and hold any JSON.
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include "api/shape.h"
#include "run/entity.h"

struct index_row;

extern const struct shape feedback_shape;

/* What is stored of one that comes by itself.  `row`: that of its run, for what it does not
 * say of it; or NULL. */
struct feedback_new {
    struct uuid id, run;
    struct str key; /* as text */
    const struct json_object *said;
    const struct index_row *row;
    int64_t made_us, changed_us;
};
void feedback_object_new(struct text *text, const struct feedback_new *feedback);

/* What is stored once `said` was put over it; null takes away. */
void feedback_object_over(struct text *text, const struct entity *there,
                          const struct json_object *said, int64_t changed_us, struct arena *arena);

void feedback_object_show(struct text *text, const struct entity *feedback, struct arena *arena);
