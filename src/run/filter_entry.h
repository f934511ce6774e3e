/* filter_entry.h - which conditions of an `and` are about one entry of metadata or feedback.
 *
 * The rule is in filter.h, Entries.
 */
#pragma once

struct arena;
struct filter;

/* Put together what belongs together among the nodes directly inside a FILTER_AND that
 * are `loose`.  Afterwards nothing in it is. */
void filter_entry_join(struct filter *all, struct arena *arena);
