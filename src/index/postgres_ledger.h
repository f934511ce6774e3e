/* postgres_ledger.h - the rows and entities that a group touches: as the database has them,
 * and as they are to become.
 *
 * Whoever judges (postgres_judge.h) looks up here; what nobody has asked the database for
 * yet is noted, to be asked for.  Every change is a new value in place of the one before,
 * so a batch that is refused is taken back by its changes.
 *
 * Memory   all of it is the ledger's, until it is cleared
 * Threads  one
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/uuid.h"
#include "index/intern.h"
#include "run/entity.h"
#include "run/merge.h"

/* Never changed once it is in a slot.  run.count == 0: only attachments came so far. */
struct pg_row {
    struct merged run;
    struct uuid project;
    bool by_default; /* nobody named the project */
    uint64_t name;   /* of rundlet_names; 0: has none */
    struct str facts;
};

struct pg_thing {
    struct entity entity;
    bool removed;
    bool apart; /* another one has the name: this one does not count as having it */
};

struct pg_waiter {
    struct pg_slot *slot;
    struct pg_waiter *next;
};

/* A run. */
struct pg_slot {
    struct uuid id;
    int32_t part;
    bool known;                     /* what the database has was asked for */
    const struct pg_row *was, *now; /* in the database; once committed; NULL: none */
    uint64_t change;                /* of what was */
    struct pg_waiter *waiters;      /* runs that may wait for this one, to know their trace */
    struct uuid listed;             /* among whose waiters it is itself */
    bool below_known;               /* so were all that wait for those, and so on */
    bool below_wanted;              /* they have to be */
    bool swept;                     /* all that waited for it moved on: none may be left */
    bool queued;                    /* to move, ... */
    struct pg_slot *next;           /* ... before this one */
};

/* An entity. */
struct pg_item {
    enum entity_kind kind;
    struct uuid id;
    bool known;
    const struct pg_thing *was, *now;
};

struct pg_bearer {
    struct pg_item *item;
    struct pg_bearer *next;
};

/* A name that only one entity of the kind may have. */
struct pg_title {
    enum entity_kind kind;
    struct str name;
    bool known;
    struct pg_bearer *bearers; /* those that have it, or had it */
};

#define PG_LIST(type)                                                                              \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t count, cap;                                                                         \
    }

struct pg_undo {
    struct pg_slot *slot; /* one of these */
    struct pg_item *item;
    const void *before;
};

struct pg_ledger {
    uint64_t seed; /* random, of the process */
    struct arena *arena;
    struct intern index; /* of what is in the lists */
    PG_LIST(struct pg_slot *) slots;
    PG_LIST(struct pg_item *) items;
    PG_LIST(struct pg_title *) titles;
    PG_LIST(struct pg_undo) undo;
    bool missing; /* something was looked up that is not known */
};

void pg_ledger_open(struct pg_ledger *ledger, uint64_t seed);
void pg_ledger_clear(struct pg_ledger *ledger);

/* The one with this key, made when there is none. */
struct pg_slot *pg_ledger_slot(struct pg_ledger *ledger, struct uuid id);
struct pg_item *pg_ledger_item(struct pg_ledger *ledger, enum entity_kind kind, struct uuid id);
struct pg_title *pg_ledger_title(struct pg_ledger *ledger, enum entity_kind kind, struct str name);

/* What there is now; NULL: nothing, or that is not known yet (then `missing`). */
const struct pg_row *pg_ledger_row(struct pg_ledger *ledger, struct uuid id);
const struct pg_thing *pg_ledger_thing(struct pg_ledger *ledger, enum entity_kind kind,
                                       struct uuid id);
const struct pg_thing *pg_ledger_named(struct pg_ledger *ledger, enum entity_kind kind,
                                       struct str name);

/* What is to be there; copied.  What the row or the entity points to must be the ledger's. */
void pg_ledger_set_row(struct pg_ledger *ledger, struct pg_slot *slot, const struct pg_row *row);
void pg_ledger_set_thing(struct pg_ledger *ledger, const struct pg_thing *thing);

/* What the database has. */
void pg_ledger_has_row(struct pg_ledger *ledger, struct pg_slot *slot, const struct pg_row *row,
                       uint64_t change);
void pg_ledger_has_thing(struct pg_ledger *ledger, const struct pg_thing *thing);

/* Does its trace wait for another run? */
static inline bool pg_row_waits(const struct pg_row *row)
{
    return row && row->run.guessed && uuid_compare(row->run.trace, row->run.id) != 0;
}

/* Runs whose trace waits for this one, each once: the next behind `*at` (NULL: the first). */
struct pg_slot *pg_ledger_next_waiter(const struct pg_slot *awaited, struct pg_waiter **at);

/* How far it is changed; and everything since then taken back. */
size_t pg_ledger_point(const struct pg_ledger *ledger);
void pg_ledger_back(struct pg_ledger *ledger, size_t point);
