/* pack_walk.h - the records of a pack, in the order in which they arrived.
 *
 * Sorting took the records apart, so the whole stream is unpacked first: it
 * needs as much memory as the segment had bytes.
 *
 * Threads  one
 * Errors   ERR_BUSY no memory, ERR_IO, ERR_CORRUPT nothing can be read
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "run/record.h"
#include "run/run.h"
#include "store/pack_file.h"

struct pack_walk;

/* Takes over `file`, also when it fails. */
int pack_walk_start(struct pack_file *file, struct pack_walk **result, struct err *err);
void pack_walk_end(struct pack_walk *walk); /* NULL is fine */

const struct pack *pack_walk_pack(const struct pack_walk *walk);

/* What is damaged, from `*from` on (begin with 0): where in the file, why, and
 * whether runs may be lost by it.  False: nothing more. */
bool pack_walk_damage(const struct pack_walk *walk, uint32_t *from, uint64_t *at, const char **why,
                      bool *lost);

/* The next record after `sequence`; false at the end.  Its runs are views that
 * live as long as the walk; those that lay in damaged blocks are lost. */
bool pack_walk_next(struct pack_walk *walk, uint64_t sequence, struct record *record,
                    struct place *first, uint64_t *record_sequence);
