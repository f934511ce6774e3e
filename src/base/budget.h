/* budget.h - bytes that clients make us hold, counted and bounded.
 *
 * Taken as bytes arrive, given back when they are let go.  Refusing costs one
 * compare.  Any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
    atomic_size_t used;
    size_t limit;
};

static inline bool budget_take(struct budget *budget, size_t size)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do {
        if (size > budget->limit || used > budget->limit - size)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static inline void budget_give(struct budget *budget, size_t size)
{
    atomic_fetch_sub_explicit(&budget->used, size, memory_order_relaxed);
}
