/* filter_make.c - filters that are not parsed but put together. */
#include "base/arena.h"
#include "run/filter.h"

/* Add `filter`, or of an `and` what it is made of, behind *last.  Nodes are copied, since a
 * node is beside others in one tree only. */
static struct filter **add(struct filter **last, const struct filter *filter, struct arena *arena)
{
    bool flat = filter->kind == FILTER_AND;
    for (const struct filter *f = flat ? filter->first : filter; f; f = flat ? f->next : NULL) {
        *last = arena_make(arena, struct filter, 1);
        **last = *f;
        (*last)->next = NULL;
        last = &(*last)->next;
    }
    return last;
}

const struct filter *filter_both(const struct filter *a, const struct filter *b,
                                 struct arena *arena)
{
    if (!a || !b)
        return a ? a : b;
    struct filter *both = arena_make(arena, struct filter, 1);
    both->kind = FILTER_AND;
    add(add(&both->first, a, arena), b, arena);
    return both;
}

const struct filter *filter_search(struct str text, struct arena *arena)
{
    struct filter_value *value = arena_make(arena, struct filter_value, 1);
    struct filter *search = arena_make(arena, struct filter, 1);
    value->text = text;
    *search = (struct filter){
        .kind = FILTER_SEARCH, .attribute = FILTER_ATTRIBUTES, .values = value, .value_count = 1};
    return search;
}

const struct filter *filter_thread(struct str thread, struct arena *arena)
{
    struct filter_value *value = arena_make(arena, struct filter_value, 1);
    struct filter *test = arena_make(arena, struct filter, 1);
    value->text = thread;
    *test = (struct filter){.kind = FILTER_TEST,
                            .attribute = FILTER_THREAD_ID,
                            .op = thread.at ? FILTER_EQ : FILTER_NOT_NULL,
                            .values = value,
                            .value_count = thread.at ? 1 : 0};
    return test;
}

bool filter_searches(const struct filter *filter)
{
    if (!filter)
        return false;
    if (filter->kind == FILTER_SEARCH || filter->kind == FILTER_MATCHES)
        return true;
    for (const struct filter *f = filter->first; f; f = f->next)
        if (filter_searches(f))
            return true;
    return false;
}
