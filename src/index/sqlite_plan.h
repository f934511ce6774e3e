/* sqlite_plan.h - where to look for what a run_query asks: the narrowest range of keys.
 *
 * It only says which runs are looked at: all that is asked is tested of each.
 *
 * Threads  a reader's
 * Errors   as sqlite_scan.h
 * Sources  docs/design/index-schema.md, Queries; docs/decisions/0022
 */
#pragma once

#include "index/sqlite_walk.h"

struct arena;
struct reader;

struct plan {
    bool by_ids; /* these runs; else those of the ranges */
    const struct uuid *ids;
    size_t id_count;
    const struct walk_range *ranges;
    size_t range_count;
    int64_t start_min_us, start_max_us; /* no other start is asked for */
};

int plan_query(struct reader *reader, const struct run_query *query, struct arena *arena,
               struct plan *plan, struct err *err);

/* The runs whose parent this is, and those of a trace. */
struct walk_range plan_children(const struct reader *reader, struct uuid parent);
struct walk_range plan_trace(struct uuid trace);
