/* project.h - which project a run names.
 *
 * session_id wins over session_name, that over the address of an agent
 * (`lrn:agents/<agent>/environments/<environment>` is the project `<agent>/<environment>`).
 * "default" is what a run is in that names none, so it is not a name that was said.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "base/uuid.h"

struct run;
struct text;

enum { PROJECT_NAME_MAX = 8192 /* bytes; longer ones are refused on the way in */ };

enum project_said { PROJECT_UNSAID, PROJECT_BY_NAME, PROJECT_BY_ID };

/* Is this a run, or a layer of one, that names its project by the id? */
bool project_is_by_id(const struct run *run, struct uuid *id);

/* The name is appended to `text`, decoded. */
enum project_said project_said(const struct run *run, struct text *name, struct uuid *id);
