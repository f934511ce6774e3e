/* sqlite_staged.h - the keys of an open transaction, which wait for its commit.
 *
 * Threads  the writer's
 * Errors   as sqlite_db.h
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "index/sqlite_keys.h"

struct parts;

/* Of one kind, in no order. */
struct staged_keys {
    unsigned char *at;
    size_t count, cap;
    uint64_t added; /* with those that were spilled */
    bool spilled;   /* a part holds some of them already */
};

struct staged {
    struct staged_keys kind[KEYS_KINDS];
    struct parts *parts;
    bool spills; /* those that are too many to wait may go into a part */
};

int staged_add(struct staged *staged, enum keys_kind kind, const struct key *key, struct err *err);

/* Take what there is of a kind as a run; NULL when there is nothing. */
struct keys_run *staged_take(struct staged *staged, enum keys_kind kind);
void staged_forget(struct staged *staged);
void staged_free(struct staged *staged);
