/* project.h - the project that a run, or a layer of one, names.
 *
 * An id (session_id) wins over a name (session_name), and that over an address
 * ("lrn:agents/<agent>/environments/<environment>", which stands for the project named
 * "<agent>/<environment>").  What is null, "" or no such address names none.  Which project
 * a run is in is the index's to say: the one that was named first, of whichever layer, and
 * "default" as long as none was.  That a name came as an address, it finds by looking at
 * RUN_ADDRESS of the layer that named it.
 *
 * Threads  pure
 */
#pragma once

#include "base/str.h"
#include "base/uuid.h"
#include "run/run.h"

struct text;

enum run_project_by { RUN_PROJECT_NONE, RUN_PROJECT_ID, RUN_PROJECT_NAME, RUN_PROJECT_ADDRESS };

struct run_project {
    enum run_project_by by;
    struct uuid id;  /* RUN_PROJECT_ID */
    struct str name; /* RUN_PROJECT_NAME, RUN_PROJECT_ADDRESS: as text, in `room` */
};

/* What is in `room` is lost. */
struct run_project run_project_name(const struct run *run, struct text *room);
