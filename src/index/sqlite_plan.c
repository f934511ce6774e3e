/* sqlite_plan.c - see sqlite_plan.h.
 *
 * In this order, the first that is asked:
 *
 *   ids; a trace; a parent; examples       the runs of these
 *   a project, and a thread, a pair of     the runs of the project that have it; of several
 *   metadata or a tag                      that are asked, the rarest of late
 *   the key of a feedback                  the runs with such a feedback, if they are not many
 *   projects                               their runs
 *   else                                   all runs
 */
#include "index/sqlite_plan.h"

#include <stdlib.h>

#include "base/arena.h"
#include "index/sqlite_db.h"
#include "index/sqlite_read.h"
#include "run/filter.h"

enum {
    FEEDBACK_RUNS = 4096, /* more with one key are not gone through one by one */
    PROBES = 64           /* keys by which it is seen how rare something is */
};

struct planner {
    struct reader *reader;
    const struct run_query *query;
    struct arena *arena;
    struct plan *plan;
    uint64_t *projects; /* numbers of those that are asked for */
    size_t project_count;
    bool any_project; /* none is asked for, or too many */
};

/* --- what the filter must have ------------------------------------------------------ */

/* The conditions that all must hold, one after the other. */
static const struct filter *first_of(const struct filter *filter)
{
    return filter && filter->kind == FILTER_AND ? filter->first : filter;
}

static const struct filter *next_of(const struct filter *filter, const struct filter *condition)
{
    return filter->kind == FILTER_AND ? condition->next : NULL;
}

/* Is it that the attribute has this one value? */
static bool is_equal(const struct filter *condition, enum filter_attribute attribute)
{
    return condition->kind == FILTER_TEST && condition->attribute == attribute &&
           (condition->op == FILTER_EQ || condition->op == FILTER_IN) &&
           condition->value_count == 1;
}

static const struct filter_value *must_be(const struct filter *filter,
                                          enum filter_attribute attribute)
{
    for (const struct filter *f = first_of(filter); f; f = next_of(filter, f))
        if (is_equal(f, attribute))
            return &f->values[0];
    return NULL;
}

/* The same of one half of an entry. */
static const struct filter_value *entry_must_be(const struct filter *entry,
                                                enum filter_attribute half)
{
    for (const struct filter *f = entry->first; f; f = f->next)
        if (is_equal(f, half))
            return &f->values[0];
    return NULL;
}

static void narrow_start(const struct filter *filter, struct plan *plan)
{
    for (const struct filter *f = first_of(filter); f; f = next_of(filter, f)) {
        if (f->kind != FILTER_TEST || f->attribute != FILTER_START_TIME || f->value_count != 1)
            continue;
        int64_t at = f->values[0].number;
        bool from = f->op == FILTER_GT || f->op == FILTER_GTE || f->op == FILTER_EQ;
        bool to = f->op == FILTER_LT || f->op == FILTER_LTE || f->op == FILTER_EQ;
        if (from && at > plan->start_min_us)
            plan->start_min_us = at;
        if (to && at < plan->start_max_us)
            plan->start_max_us = at;
    }
}

/* --- ranges --------------------------------------------------------------------------- */

static struct walk_range number_range(enum keys_kind kind, uint64_t number)
{
    struct key key = {0};
    key_add_number(&key, number);
    struct walk_range range = {.kind = kind, .len = key.len};
    memcpy(range.prefix, key.at, key.len);
    return range;
}

static struct walk_range attribute_range(uint64_t hash)
{
    struct key key = {0};
    key_add_u64(&key, hash);
    struct walk_range range = {.kind = KEYS_ATTRIBUTE, .len = key.len};
    memcpy(range.prefix, key.at, key.len);
    return range;
}

struct walk_range plan_children(const struct reader *reader, struct uuid parent)
{
    return attribute_range(row_attribute_uuid(reader->seed, ATTRIBUTE_PARENT, parent));
}

struct walk_range plan_trace(struct uuid trace)
{
    struct walk_range range = {.kind = KEYS_TRACE, .len = sizeof trace.byte};
    memcpy(range.prefix, trace.byte, sizeof trace.byte);
    return range;
}

static void use_range(struct planner *p, struct walk_range range)
{
    struct walk_range *ranges = arena_make(p->arena, struct walk_range, 1);
    *ranges = range;
    p->plan->ranges = ranges;
    p->plan->range_count = 1;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* Sorted, each once. */
static struct uuid *distinct(const struct uuid *ids, size_t *count, struct arena *arena)
{
    struct uuid *list = arena_make(arena, struct uuid, *count + 1);
    size_t kept = 0;
    if (*count > 0)
        memcpy(list, ids, *count * sizeof *list);
    qsort(list, *count, sizeof *list, by_bytes);
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || uuid_compare(list[kept - 1], list[i]) != 0)
            list[kept++] = list[i];
    *count = kept;
    return list;
}

static void use_ids(struct planner *p, const struct uuid *ids, size_t count)
{
    p->plan->by_ids = true;
    p->plan->id_count = count;
    p->plan->ids = distinct(ids, &p->plan->id_count, p->arena);
}

/* --- what is asked of one place -------------------------------------------------------- */

static bool by_examples(struct planner *p)
{
    const struct filter_value *one = must_be(p->query->filter, FILTER_REFERENCE_EXAMPLE_ID);
    size_t count = one ? 1 : p->query->example_count;
    if (count == 0 || count > WALK_RANGES)
        return false;
    const struct uuid *examples = distinct(one ? &one->uuid : p->query->examples, &count, p->arena);
    struct walk_range *ranges = arena_make(p->arena, struct walk_range, count);
    for (size_t i = 0; i < count; i++)
        ranges[i] =
            attribute_range(row_attribute_uuid(p->reader->seed, ATTRIBUTE_EXAMPLE, examples[i]));
    p->plan->ranges = ranges;
    p->plan->range_count = count;
    return true;
}

static bool by_place(struct planner *p)
{
    const struct run_query *query = p->query;
    const struct filter_value *value;
    if (query->id_count > 0)
        use_ids(p, query->ids, query->id_count);
    else if ((value = must_be(query->filter, FILTER_ID)))
        use_ids(p, &value->uuid, 1);
    else if (query->by_trace)
        use_range(p, plan_trace(query->trace));
    else if ((value = must_be(query->filter, FILTER_TRACE_ID)))
        use_range(p, plan_trace(value->uuid));
    else if (query->by_parent && !uuid_is_zero(query->parent))
        use_range(p, plan_children(p->reader, query->parent));
    else if ((value = must_be(query->filter, FILTER_PARENT_RUN_ID)) && !uuid_is_zero(value->uuid))
        use_range(p, plan_children(p->reader, value->uuid));
    else
        return by_examples(p);
    return true;
}

/* --- projects ----------------------------------------------------------------------------- */

static int find_projects(struct planner *p, struct err *err)
{
    const struct filter_value *one = must_be(p->query->filter, FILTER_SESSION_ID);
    size_t count = p->query->project_count ? p->query->project_count : one != NULL;
    p->any_project = count == 0 || count > WALK_RANGES;
    if (p->any_project)
        return 0;
    const struct uuid *ids =
        distinct(p->query->project_count ? p->query->projects : &one->uuid, &count, p->arena);
    p->projects = arena_make(p->arena, uint64_t, count);
    int r = 0;
    for (size_t i = 0; !r && i < count; i++) {
        uint64_t number = 0;
        r = reader_project_number(p->reader, ids[i], &number, err);
        if (number)
            p->projects[p->project_count++] = number;
    }
    return r;
}

static void use_projects(struct planner *p)
{
    struct walk_range *ranges = arena_make(p->arena, struct walk_range, p->project_count);
    for (size_t i = 0; i < p->project_count; i++)
        ranges[i] = number_range(KEYS_PROJECT, p->projects[i]);
    p->plan->ranges = ranges;
    p->plan->range_count = p->project_count;
}

/* --- attributes ------------------------------------------------------------------------------ */

/* Which attribute of a project does the condition ask for? */
static bool attribute_of(const struct filter *condition, enum row_attribute *attribute,
                         struct str *key, struct str *value)
{
    *value = (struct str){0};
    if (is_equal(condition, FILTER_THREAD_ID) || is_equal(condition, FILTER_TAGS)) {
        *attribute = condition->attribute == FILTER_TAGS ? ATTRIBUTE_TAG : ATTRIBUTE_THREAD;
        *key = condition->values[0].text;
        return true;
    }
    if (condition->kind != FILTER_ENTRY || condition->attribute != FILTER_METADATA_KEY)
        return false;
    const struct filter_value *k = entry_must_be(condition, FILTER_METADATA_KEY);
    const struct filter_value *v = entry_must_be(condition, FILTER_METADATA_VALUE);
    if (!k || !v || !filter_seen_whole(v->text))
        return false;
    *attribute = ATTRIBUTE_METADATA;
    *key = k->text;
    *value = v->text;
    return true;
}

/* How rare are the runs of these ranges of late?  The time that some of them took, or, when
 * there are fewer, more than any. */
static int rarity_of(struct planner *p, const struct walk_range *ranges, uint64_t *rarity,
                     struct err *err)
{
    struct walk *walk = arena_make(p->arena, struct walk, 1);
    struct walk_step step = {0};
    int64_t first = 0;
    bool more = true;
    size_t seen = 0;
    int r = walk_start(walk, p->reader, ranges, p->project_count, KEYS_DOWN,
                       (struct walk_from){p->plan->start_max_us, NULL}, err);
    while (!r && seen < PROBES && !(r = walk_next(walk, &step, &more, err)) && more)
        if (seen++ == 0)
            first = step.at.start_us;
    walk_end(walk);
    *rarity = more ? (uint64_t)first - (uint64_t)step.at.start_us : UINT64_MAX - seen;
    return r;
}

static int by_attribute(struct planner *p, bool *found, struct err *err)
{
    const struct filter *filter = p->query->filter;
    uint64_t best = 0;
    int r = 0;
    for (const struct filter *f = first_of(filter); !r && f; f = next_of(filter, f)) {
        enum row_attribute attribute;
        struct str key, value;
        uint64_t rarity = 0;
        if (!attribute_of(f, &attribute, &key, &value))
            continue;
        struct walk_range *ranges = arena_make(p->arena, struct walk_range, p->project_count);
        for (size_t i = 0; i < p->project_count; i++)
            ranges[i] = attribute_range(
                row_attribute(p->reader->seed, attribute, p->projects[i], key, value));
        r = rarity_of(p, ranges, &rarity, err);
        if (*found && rarity <= best)
            continue;
        *found = true;
        best = rarity;
        p->plan->ranges = ranges;
        p->plan->range_count = p->project_count;
    }
    return r;
}

/* --- feedback --------------------------------------------------------------------------------- */

static const struct filter_value *feedback_key(const struct filter *filter)
{
    for (const struct filter *f = first_of(filter); f; f = next_of(filter, f)) {
        if (is_equal(f, FILTER_FEEDBACK_KEY))
            return &f->values[0];
        const struct filter_value *key =
            f->kind == FILTER_ENTRY && f->attribute == FILTER_FEEDBACK_KEY
                ? entry_must_be(f, FILTER_FEEDBACK_KEY)
                : NULL;
        if (key)
            return key;
    }
    return NULL;
}

static int by_feedback(struct planner *p, bool *found, struct err *err)
{
    const struct filter_value *key = feedback_key(p->query->filter);
    if (!key)
        return 0;
    sqlite3_stmt *s = p->reader->feedback_runs;
    struct uuid *runs = arena_make(p->arena, struct uuid, FEEDBACK_RUNS + 1);
    size_t count = 0;
    bool row = false;
    int r;
    (void)sqlite3_bind_blob64(s, 1, key->text.len ? key->text.at : "", key->text.len,
                              SQLITE_STATIC); /* these binds cannot fail */
    (void)sqlite3_bind_int(s, 2, FEEDBACK_RUNS + 1);
    while (!(r = db_step(s, &row, "find runs by their feedback", err)) && row)
        if (sqlite3_column_bytes(s, 0) == sizeof *runs)
            memcpy(runs[count++].byte, sqlite3_column_blob(s, 0), sizeof *runs);
    *found = !r && count <= FEEDBACK_RUNS;
    if (*found)
        use_ids(p, runs, count);
    return r;
}

int plan_query(struct reader *reader, const struct run_query *query, struct arena *arena,
               struct plan *plan, struct err *err)
{
    struct planner p = {.reader = reader, .query = query, .arena = arena, .plan = plan};
    bool found = false;
    *plan = (struct plan){.start_min_us = query->start_min_us, .start_max_us = query->start_max_us};
    narrow_start(query->filter, plan);
    if (by_place(&p))
        return 0;
    int r = find_projects(&p, err);
    if (!r && !p.any_project)
        r = by_attribute(&p, &found, err);
    if (!r && !found)
        r = by_feedback(&p, &found, err);
    if (r || found)
        return r;
    if (p.any_project)
        use_range(&p, (struct walk_range){.kind = KEYS_START});
    else
        use_projects(&p);
    return 0;
}
