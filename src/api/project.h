/* project.h - a project as the API takes and shows it: LangSmith's "session".
 *
 * Sources  docs/langsmith.md
 */
#pragma once

#include "api/shape.h"

struct entity;
struct serve_stats;

extern const struct shape project_shape;

/* Append the object that is stored: `said` over what it was; each may be NULL. */
void project_write(struct text *text, struct uuid id, struct str name, int64_t start_us,
                   const struct json_object *said, const struct json_object *was);

/* Append the object that is shown, with the numbers of its runs, unless `stats` is NULL. */
void project_show(struct text *text, const struct entity *project, const struct serve_stats *stats,
                  struct arena *arena);
