/* bucket_shelf.h - what is kept of packs to find runs in them: their sections.
 *
 * Bounded by bytes; what was not used longest goes first.  Who has one in hand
 * keeps it, also when it has left the shelf.
 *
 * Threads  any; the lock is a leaf
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct pack;
struct shelf;
struct shelved;

struct shelf *shelf_new(size_t bytes);
void shelf_free(struct shelf *shelf); /* nothing is in hand any more; NULL is fine */

struct shelved *shelf_find(struct shelf *shelf, uint64_t number); /* in hand, or NULL */

/* Takes the pack over, its runs loaded; it is in hand then.  One of that number
 * that was there already takes its place. */
struct shelved *shelf_add(struct shelf *shelf, uint64_t number, struct pack *pack);
void shelf_give_back(struct shelf *shelf, struct shelved *shelved); /* NULL is fine */

struct pack *shelved_pack(const struct shelved *shelved);
