/* change.h - an entity becomes another one, or is removed.
 *
 *   change_begin()  read what it is now
 *   read            `make` says what it shall be; that is committed, if it still is what
 *                   was read
 *   committed       it was not, somebody was faster: read again, a few times
 *
 * Threads  begun and done on op.loop
 * Memory   everything is in `arena`
 * Errors   ERR_CONFLICT another entity has the name; ERR_BUSY others change it all the
 *          time; those of the index and of a commit
 */
#pragma once

#include "ingest/commit.h"
#include "run/entity.h"
#include "run/record.h"

struct arena;
struct change;
struct text;

enum change_to {
    CHANGE_NOTHING, /* it stays what it is */
    CHANGE_WRITE,   /* `now` and `name` say what it is from now on */
    CHANGE_REMOVE
};

typedef enum change_to change_make(struct change *change);

struct change {
    struct op op;
    struct index *index;
    struct commit *commit;
    struct arena *arena;
    struct entity now; /* in: kind and id; parent, made_us, name, json: by `make` */
    struct str name;   /* by `make`: its name's JSON, a view into now.json, or at == NULL */
    change_make *make; /* in; may be asked several times */
    bool blind;        /* in: whatever is there, and it is not read */
    void *own;         /* in: for `make` */

    const struct entity *there; /* out: what it was; NULL: nothing */
    enum change_to to;          /* out: what was done */

    /* The journey's own. */
    struct index_entities asked;
    struct record record;
    struct commit_batch batch;
    unsigned tries;
    uint64_t version; /* read before: 0: nothing was there */
};

void change_begin(struct change *change);

/* For `make`: the object, which is taken from `json`; its member `name`, unless NULL, is
 * the entity's name. */
void change_json(struct change *change, struct text *json, const char *name);

/* A record of entities that is ready for a commit, in the arena. */
struct record change_record(const struct run *runs, uint32_t count, struct arena *arena);
