/* charge.h - what an answer holds counts, until its arena ends (docs/decisions/0014).
 *
 * Threads  any; the budget is shared
 * Errors   ERR_BUSY: answers hold too much already
 */
#pragma once

#include <stddef.h>

struct arena;
struct budget;
struct err;

/* One that is more than half of the budget is charged that half, or it would never find
 * enough free while others come and go. */
int charge_answer(struct arena *arena, struct budget *budget, size_t size, struct err *err);
