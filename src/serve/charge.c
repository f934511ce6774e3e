/* charge.c - see charge.h. */
#include "serve/charge.h"

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/err.h"

int charge_answer(struct arena *arena, struct budget *budget, size_t size, struct err *err)
{
    struct buf *charge = buf_new(0);
    if (size > budget->limit / 2)
        size = budget->limit / 2;
    if (!charge || !buf_charge(charge, budget, size)) {
        buf_unref(charge);
        return err_set(err, ERR_BUSY, "Too many answers are in memory; try again in a moment");
    }
    arena_keep(arena, charge);
    return 0;
}
