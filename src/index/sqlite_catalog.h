/* sqlite_catalog.h - the writer's half of the entities: projects, feedback, what was deleted.
 *
 * They are few beside runs, and stand in a table with ordinary indexes.  A project has
 * its entity's number in the rows and keys of its runs.
 *
 * Threads  the writer's; everything happens in its open transaction
 * Errors   as sqlite_db.h
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/text.h"
#include "index/index.h"
#include "index/intern.h"

struct catalog {
    sqlite3 *db;
    sqlite3_stmt *get, *named, *add, *set, *cut;
    uint64_t seed;
    uint64_t count;           /* numbers that are given out */
    uint64_t changes;         /* of what readers remember */
    struct intern names, ids; /* projects that are there, by name, by id */
    struct text text;
};

int catalog_open(struct catalog *catalog, sqlite3 *db, struct err *err);
void catalog_close(struct catalog *catalog); /* half-open is fine */

/* Read how many there are; forget what was remembered. */
int catalog_load(struct catalog *catalog, struct err *err);
void catalog_forget(struct catalog *catalog);
/* Take out those above `count`. */
int catalog_cut(struct catalog *catalog, uint64_t count, struct err *err);

/* The project that the run names, made if there is none: its number, and whether it is only
 * there because nobody named one. */
int catalog_project(struct catalog *catalog, const struct run *run, uint64_t sequence,
                    uint64_t *number, bool *by_default, struct err *err);
/* Does the run name a project that was removed, by its id? */
int catalog_is_gone(struct catalog *catalog, const struct run *run, bool *gone, struct err *err);
/* Does the run name a project? */
bool catalog_is_named(struct catalog *catalog, const struct run *run);

/* Take an entity in.  The run that it is about, and the one that it was about before, are in
 * `about` when it was added; all zero: there is none. */
int catalog_put(struct catalog *catalog, const struct run *run, uint64_t sequence, uint64_t expect,
                enum index_verdict *verdict, struct uuid about[2], struct err *err);
