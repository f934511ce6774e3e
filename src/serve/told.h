/* told.h - which versions of runs somebody was told of lately.
 *
 * Shape    two tables; when one is half full it takes the place of the older, which is
 *          forgotten.  So the last TOLD_KEPT are known for sure
 * Threads  one
 * Memory   some 200 KiB
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

enum { TOLD_KEPT = 2048 };

struct told;

struct told *told_new(void);
void told_free(struct told *told); /* NULL is fine */

void told_add(struct told *told, struct uuid id, uint64_t version);
/* Of this version, or a later one?  Then it is kept for longer. */
bool told_has(struct told *told, struct uuid id, uint64_t version);
