/* subject.c - see subject.h. */
#include "index/subject.h"

#include "base/arena.h"
#include "index/fold.h"
#include "index/index.h"
#include "run/facts.h"

static bool is_among(struct uuid id, const struct uuid *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_compare(ids[i], id) == 0)
            return true;
    return false;
}

static bool truth_is(enum query_truth wanted, bool is)
{
    return wanted == QUERY_EITHER || (wanted == QUERY_YES) == is;
}

bool query_takes(const struct run_query *query, const struct index_row *row)
{
    if (query->by_trace && uuid_compare(query->trace, row->trace) != 0)
        return false;
    if (query->by_parent && uuid_compare(query->parent, row->parent) != 0)
        return false;
    if (query->by_type && query->type != row->type)
        return false;
    if (query->project_count > 0 && !is_among(row->project, query->projects, query->project_count))
        return false;
    return truth_is(query->root, uuid_is_zero(row->parent)) &&
           truth_is(query->error, row->status == RUN_ERROR) &&
           row->start_us >= query->start_min_us && row->start_us <= query->start_max_us;
}

static int by_time(int64_t a_start, struct uuid a_id, int64_t b_start, struct uuid b_id)
{
    if (a_start != b_start)
        return a_start < b_start ? -1 : 1;
    return uuid_compare(a_id, b_id);
}

bool query_is_after(const struct run_query *query, const struct index_row *row)
{
    if (!query->after)
        return true;
    int order = by_time(query->cursor.start_us, query->cursor.id, row->start_us, row->id);
    return query->oldest_first ? order < 0 : order > 0;
}

int query_order(const struct run_query *query, const struct index_row *a, const struct index_row *b)
{
    int order = by_time(a->start_us, a->id, b->start_us, b->id);
    return query->oldest_first ? order : -order;
}

static bool contains(struct str text, struct str sought)
{
    struct arena *arena = arena_new(256 + FOLD_GROWTH * (text.len + sought.len));
    char *a = arena_alloc(arena, FOLD_GROWTH * text.len + 1);
    char *b = arena_alloc(arena, FOLD_GROWTH * sought.len + 1);
    struct str folded = {a, fold(text, a)}, wanted = {b, fold(sought, b)};
    bool is = fold_contains(folded, wanted);
    arena_free(arena);
    return is;
}

static void set_number(struct filter_subject *s, enum filter_attribute attribute, int64_t number)
{
    s->cells[attribute] = (struct filter_cell){true, {.number = number}};
}

static void set_text(struct filter_subject *s, enum filter_attribute attribute, struct str text)
{
    s->cells[attribute] = (struct filter_cell){true, {.text = text}};
}

static void set_uuid(struct filter_subject *s, enum filter_attribute attribute, struct uuid id)
{
    s->cells[attribute] = (struct filter_cell){!uuid_is_zero(id), {.uuid = id}};
}

int subject_of(const struct index_row *row, struct arena *arena, struct filter_subject *subject,
               struct err *err)
{
    *subject = (struct filter_subject){.contains = contains};
    struct facts *facts = arena_make(arena, struct facts, 1);
    if (row->facts.len > 0) {
        int r = facts_read(row->facts, arena, facts, err);
        if (r)
            return r;
        facts_subject(facts, subject);
    }
    bool root = uuid_is_zero(row->parent), ended = row->end_us != RUN_RUNNING;
    set_uuid(subject, FILTER_ID, row->id);
    set_uuid(subject, FILTER_TRACE_ID, row->trace);
    set_uuid(subject, FILTER_PARENT_RUN_ID, row->parent);
    set_uuid(subject, FILTER_SESSION_ID, row->project);
    set_text(subject, FILTER_RUN_TYPE, run_type_name(row->type));
    set_text(subject, FILTER_STATUS, run_status_name(row->status));
    set_number(subject, FILTER_START_TIME, row->start_us);
    if (ended) {
        set_number(subject, FILTER_END_TIME, row->end_us);
        set_number(subject, FILTER_LATENCY, row->end_us - row->start_us);
    }
    subject->cells[FILTER_IS_ROOT] = (struct filter_cell){true, {.truth = root}};
    if (root)
        set_number(subject, FILTER_EXECUTION_ORDER, 1);
    return 0;
}

bool filter_asks(const struct filter *filter, enum filter_attribute attribute)
{
    if (!filter)
        return false;
    if (filter->kind >= FILTER_TEST && filter->attribute == attribute)
        return true;
    for (const struct filter *f = filter->first; f; f = f->next)
        if (filter_asks(f, attribute))
            return true;
    return false;
}
