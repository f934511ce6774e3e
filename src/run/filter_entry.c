/* filter_entry.c - see filter_entry.h.
 *
 * First every loose condition goes into a group, in place of the group's first; then
 * groups that turn out to be none are taken apart, where they stand.
 */
#include "run/filter_entry.h"

#include <assert.h>
#include <stdbool.h>

#include "base/arena.h"
#include "run/filter.h"

/* eq and in say which entry is meant. */
static bool is_pick(const struct filter *test)
{
    return test->op == FILTER_EQ || test->op == FILTER_IN;
}

static bool is_range(const struct filter *test)
{
    return test->op == FILTER_GT || test->op == FILTER_GTE || test->op == FILTER_LT ||
           test->op == FILTER_LTE;
}

static bool begins_another(const struct filter *group, const struct filter *test)
{
    if (!group)
        return true;
    if (is_pick(test))
        for (const struct filter *t = group->first; t; t = t->next)
            if (t->attribute == test->attribute && is_pick(t))
                return true;
    return false;
}

/* The link behind the last of the group. */
static struct filter **end_of(struct filter *group)
{
    struct filter **end = &group->first;
    while (*end)
        end = &(*end)->next;
    return end;
}

static void group_loose(struct filter *all, enum filter_attribute entry, struct arena *arena)
{
    struct filter *group = NULL;
    for (struct filter **link = &all->first; *link;) {
        struct filter *test = *link;
        if (!test->loose || filter_attribute_entry(test->attribute) != entry) {
            link = &test->next;
            continue;
        }
        assert(test->kind == FILTER_TEST);
        test->loose = false;
        if (begins_another(group, test)) {
            group = arena_make(arena, struct filter, 1);
            group->kind = FILTER_ENTRY;
            group->attribute = entry;
            group->loose = true; /* it is not sure yet */
            group->next = test->next;
            *link = group;
            link = &group->next;
        } else {
            *link = test->next;
        }
        test->next = NULL;
        *end_of(group) = test;
    }
}

static bool belongs_together(const struct filter *group)
{
    bool key = false, value = false, range = false;
    for (const struct filter *t = group->first; t; t = t->next) {
        key = key || t->attribute == group->attribute;
        value = value || t->attribute != group->attribute;
        range = range || is_range(t);
    }
    return (key && value) || (range && group->first->next);
}

void filter_entry_join(struct filter *all, struct arena *arena)
{
    assert(all->kind == FILTER_AND);
    group_loose(all, FILTER_METADATA_KEY, arena);
    group_loose(all, FILTER_FEEDBACK_KEY, arena);
    for (struct filter **link = &all->first; *link; link = &(*link)->next) {
        struct filter *group = *link;
        if (!group->loose)
            continue;
        group->loose = false;
        if (!belongs_together(group)) {
            *end_of(group) = group->next;
            *link = group->first;
        }
    }
}
