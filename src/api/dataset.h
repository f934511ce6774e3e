/* dataset.h - a dataset as the API takes and shows it.
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include "api/shape.h"
#include "run/entity.h"

extern const struct shape dataset_shape;

/* Append the object that is stored: `said` over what it was; each may be NULL. */
void dataset_write(struct text *text, struct uuid id, struct str name, int64_t made_us,
                   int64_t changed_us, const struct json_object *said,
                   const struct json_object *was);

/* What is counted of it; < 0: not known. */
struct dataset_counts {
    int64_t examples, sessions;
    int64_t last_session_us;
};

void dataset_show(struct text *text, const struct entity *dataset,
                  const struct dataset_counts *counts, struct arena *arena);

/* The JSON of its metadata: its own, else that of `extra`; at == NULL: none. */
struct str dataset_metadata(const struct json_object *dataset, struct arena *arena);
