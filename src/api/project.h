/* project.h - a project as the API takes and shows it: LangSmith's "session".
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include "api/shape.h"

struct entity;
struct stats;

extern const struct shape project_shape;

/* Append the object that is stored: `said` over what it was; each may be NULL. */
void project_write(struct text *text, struct uuid id, struct str name, int64_t start_us,
                   const struct json_object *said, const struct json_object *was);

/* Append the object that is shown; `stats`: or NULL. */
void project_show(struct text *text, const struct entity *project, const struct stats *stats,
                  struct arena *arena);
