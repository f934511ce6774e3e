/* entity.h - what is kept beside runs: projects, feedback, what was deleted, ...
 *
 * An entity is a JSON object with an id.  It is stored as runs are, as an entry of a
 * record, so it is as durable and comes back with a rebuild; the last entry of an id is
 * what it is, and one without bytes says that it was removed.  Of its object an index
 * knows what is in struct entity, all else is the API's.
 *
 * As a run (run/run.h): kind RUN_ENTITY; `entity`, id, parent; `trace` is its own id;
 * start_us is when it was made; RUN_NAME spans its name (JSON), if it has one.
 *
 * Sources  docs/design/langsmith.md, The catalog
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/uuid.h"

/* The numbers are stored: append only. */
enum entity_kind {
    ENTITY_PROJECT,    /* name: no two that are there have the same */
    ENTITY_FEEDBACK,   /* parent: the run; name: its key */
    ENTITY_SHARE,      /* id: the token; parent: the run */
    ENTITY_TOKEN,      /* of feedback; parent: the run; name: its key */
    ENTITY_DATASET,    /* name: likewise */
    ENTITY_EXAMPLE,    /* parent: the dataset */
    ENTITY_GONE_RUN,   /* the run of this id was deleted: it is hidden, whatever comes later */
    ENTITY_GONE_TRACE, /* likewise all runs of the trace */
    ENTITY_FILE,       /* bytes that belong to an example; parent: the example; name: theirs */
    ENTITY_KINDS
};

struct entity {
    enum entity_kind kind;
    struct uuid id, parent;
    struct str name; /* as text; at == NULL: none */
    int64_t made_us;
    uint64_t version; /* sequence of the record that last said it */
    struct str json;  /* the object as stored */
};

/* "project", ... */
const char *entity_kind_name(enum entity_kind kind);

/* Is a name of this kind taken by one only? */
static inline bool entity_has_unique_name(enum entity_kind kind)
{
    return kind == ENTITY_PROJECT || kind == ENTITY_DATASET;
}

/* What was removed of this kind took others along, which must not come back with its id. */
static inline bool entity_stays_removed(enum entity_kind kind)
{
    return kind == ENTITY_PROJECT || kind == ENTITY_DATASET;
}

struct filter_cell;
struct run;

enum { ENTITY_SPANS = 8 /* bytes of the spans of an entity's run */ };

/* The entity as it is stored.  `name` is its name's JSON, a view into entity->json, or
 * at == NULL (entity->name says nothing here); without json it is removed.  The run views
 * the entity's JSON and `spans`. */
struct run entity_run(const struct entity *entity, struct str name, char spans[ENTITY_SPANS]);

/* The score of a feedback, as filters compare it: a number, or of true and false 1 and 0. */
void entity_score(const struct entity *feedback, struct filter_cell *score);

/* The id of a project that nobody made and a run names: always the same for a name.  `nth`
 * counts up while another project has it: one that was renamed, or deleted. */
struct uuid entity_project_id(struct str name, unsigned nth);
