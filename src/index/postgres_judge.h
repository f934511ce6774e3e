/* postgres_judge.h - what becomes of each entry of a batch, and what it changes.
 *
 * The same as in memory.c, over what the ledger knows.  Pure: where something is
 * missing, nothing that came out counts; ask for it, and judge again.
 *
 * Memory   what is kept of an entry is copied into the ledger
 * Threads  one
 */
#pragma once

#include "index/index.h"
#include "index/postgres_ledger.h"

/* One of the entries of a group, decoded. */
struct pg_entry {
    struct run run;
    struct place place;
    uint64_t sequence;
    uint64_t expect; /* of an entity, as in struct record */
    bool stored;     /* it is replayed: what is there may be younger */
    uint64_t name;   /* number of its folded name; 0: has none */
    struct str facts;
    bool has_facts; /* else they are taken out of the run when they are needed */
};

/* What judging these will look up, as far as one can tell before. */
void pg_judge_expect(struct pg_ledger *ledger, const struct pg_entry *entry);

/* One batch of `count` entries, atomically; fills verdict, added, conflict. */
void pg_judge(struct pg_ledger *ledger, const struct pg_entry *entries, size_t count,
              struct index_batch *batch);
