/* sqlite_query.c - a page of what a run_query asks.
 *
 * The runs of the narrowest range of keys (sqlite_plan.h) are gone through in the order
 * of the page.  What the key or the row says is tested first; facts are read of runs that
 * may still be on the page, and feedback and children when a filter asks for them.
 *
 * A step ends when its page is full; when it has looked at as many rows as it may, or for as
 * long; and at the deadline, if it came any further.  It ends between two runs, never among
 * the rows of one: the one that counts may be behind one that it replaced.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/sqlite_db.h"
#include "index/sqlite_plan.h"
#include "index/sqlite_read.h"
#include "index/subject.h"
#include "run/filter.h"

enum {
    SCRATCH = 4096,
    VERDICTS = 512,   /* traces whose test is remembered */
    LOOKED_ON = 2048, /* rows behind a full page that are looked at for another */
    SHARE_US = 100000 /* for which a step has a reader to itself */
};

/* Do the filters of its trace hold? */
struct verdict {
    struct uuid trace; /* all zero: empty */
    bool holds;
};

struct asking {
    struct reader *reader;
    const struct run_query *query;
    struct index_query *asked;
    struct plan plan;
    struct verdict *verdicts;
    bool needs_facts; /* to be tested */

    /* How far it came. */
    uint64_t looked, look;      /* rows; of so many */
    int64_t until_us;           /* the share of time ends */
    struct query_cursor stands; /* the last run that is done with, */
    bool stood;                 /* if there is one; */
    size_t shown;               /* rows of the page up to there */
    struct query_cursor now;    /* the run that is looked at, */
    bool began;                 /* if one is */
};

/* --- what a filter asks of other rows -------------------------------------------------- */

static int add_feedback(struct asking *a, struct uuid run, struct arena *arena,
                        struct filter_subject *subject, struct err *err)
{
    sqlite3_stmt *s = a->reader->feedback;
    struct filter_pair *pairs = NULL;
    size_t cap = 0, count = 0;
    bool row = false;
    int r;
    (void)sqlite3_bind_blob(s, 1, run.byte, sizeof run.byte, SQLITE_STATIC); /* cannot fail */
    while (!(r = db_step(s, &row, "read feedback", err)) && row) {
        if (count == cap) {
            struct filter_pair *more = arena_make(arena, struct filter_pair, cap ? 2 * cap : 8);
            if (count > 0)
                memcpy(more, pairs, count * sizeof *pairs);
            pairs = more;
            cap = cap ? 2 * cap : 8;
        }
        struct str name = {sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)};
        const struct entity feedback = {
            .kind = ENTITY_FEEDBACK,
            .json = {sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)}};
        pairs[count].key = arena_copy(arena, name);
        entity_score(&feedback, &pairs[count].value);
        count++;
    }
    subject->feedback = pairs;
    subject->feedback_count = count;
    return r;
}

/* A row as a subject, but for what other rows say. */
static int read_subject(struct asking *a, const struct row *row, struct arena *arena,
                        struct filter_subject *subject, struct err *err)
{
    struct index_row outline;
    int r = reader_outline(a->reader, row, &outline, err);
    if (!r)
        r = reader_facts(a->reader, row->number, arena, &outline.facts, err);
    return r ? r : subject_of(&outline, arena, subject, err);
}

/* Of its facts, which may be much of many rows, only the name is kept. */
static int name_of(struct asking *a, const struct row *row, struct arena *arena, struct str *name,
                   struct err *err)
{
    struct arena *scratch = arena_new(SCRATCH);
    struct filter_subject subject;
    int r = read_subject(a, row, scratch, &subject, err);
    if (!r && subject.cells[FILTER_NAME].present)
        *name = arena_copy(arena, subject.cells[FILTER_NAME].value.text);
    arena_free(scratch);
    return r;
}

static int add_child_names(struct asking *a, struct uuid parent, struct arena *arena,
                           struct filter_subject *subject, struct err *err)
{
    struct walk *walk = arena_make(arena, struct walk, 1);
    const struct walk_range range = plan_children(a->reader, parent);
    struct walk_step step;
    struct str *names = NULL;
    size_t cap = 0, count = 0;
    bool more = true;
    int r =
        walk_start(walk, a->reader, &range, 1, KEYS_DOWN, (struct walk_from){INT64_MAX, NULL}, err);
    while (!r && !(r = walk_next(walk, &step, &more, err)) && more) {
        struct row row;
        struct str name = {0};
        bool shown;
        r = reader_row(a->reader, step.row, &row, &shown, err);
        if (r || !shown || uuid_compare(row.run.parent, parent) != 0)
            continue;
        r = name_of(a, &row, arena, &name, err);
        if (r || !name.at)
            continue;
        if (count == cap) {
            struct str *longer = arena_make(arena, struct str, cap ? 2 * cap : 16);
            if (count > 0)
                memcpy(longer, names, count * sizeof *names);
            names = longer;
            cap = cap ? 2 * cap : 16;
        }
        names[count++] = name;
    }
    walk_end(walk);
    subject->child_names = names;
    subject->child_count = count;
    return r;
}

/* --- does a run match? -------------------------------------------------------------------- */

/* With what the filter asks of others; the subject is that of the row. */
static int matches(struct asking *a, const struct row *row, const struct filter *filter,
                   struct arena *arena, struct filter_subject *subject, bool *is, struct err *err)
{
    int r = 0;
    if (filter_asks(filter, FILTER_FEEDBACK_KEY) || filter_asks(filter, FILTER_FEEDBACK_SCORE))
        r = add_feedback(a, row->run.id, arena, subject, err);
    if (!r && filter_asks(filter, FILTER_CHILD_RUN_NAME))
        r = add_child_names(a, row->run.id, arena, subject, err);
    *is = false;
    return r ? r : filter_match(filter, subject, is, err);
}

static int row_matches(struct asking *a, const struct row *row, const struct filter *filter,
                       bool *is, struct err *err)
{
    struct arena *arena = arena_new(SCRATCH);
    struct filter_subject subject;
    int r = read_subject(a, row, arena, &subject, err);
    *is = false;
    if (!r)
        r = matches(a, row, filter, arena, &subject, is, err);
    arena_free(arena);
    return r;
}

/* The top of a trace. */
static int top_matches(struct asking *a, struct uuid trace, bool *is, struct err *err)
{
    struct row row;
    bool found = false, shown = false;
    int r = reader_row_of(a->reader, trace, &row, &found, err);
    *is = false;
    if (r || !found || uuid_compare(row.run.trace, trace) != 0)
        return r;
    r = reader_is_shown(a->reader, &row, &shown, err);
    return r || !shown ? r : row_matches(a, &row, a->query->trace_filter, is, err);
}

/* Of many runs that are tested, few are asked of SQLite, which looks at the clock itself. */
static int in_time(const struct asking *a, struct err *err)
{
    int64_t deadline_us = a->reader->keys.deadline_us;
    if (deadline_us == 0 || clock_mono_us() < deadline_us)
        return 0;
    return err_set(err, ERR_TIMEOUT, "index: the deadline of a read passed");
}

/* Any run of a trace. */
static int tree_matches(struct asking *a, struct uuid trace, bool *is, struct err *err)
{
    struct arena *arena = arena_new(sizeof(struct walk) + SCRATCH);
    struct walk *walk = arena_make(arena, struct walk, 1);
    const struct walk_range range = plan_trace(trace);
    struct walk_step step;
    bool more = true;
    int r =
        walk_start(walk, a->reader, &range, 1, KEYS_DOWN, (struct walk_from){INT64_MAX, NULL}, err);
    *is = false;
    while (!r && !*is && !(r = walk_next(walk, &step, &more, err)) && more) {
        struct row row;
        bool shown;
        r = reader_row(a->reader, step.row, &row, &shown, err);
        if (!r && shown)
            r = row_matches(a, &row, a->query->tree_filter, is, err);
        if (!r && !*is)
            r = in_time(a, err);
    }
    walk_end(walk);
    arena_free(arena);
    return r;
}

static int trace_matches(struct asking *a, struct uuid trace, bool *is, struct err *err)
{
    *is = true;
    if (!a->query->trace_filter && !a->query->tree_filter)
        return 0;
    struct verdict *verdict = &a->verdicts[get_u64(trace.byte + 8) % VERDICTS];
    if (!uuid_is_zero(verdict->trace) && uuid_compare(verdict->trace, trace) == 0) {
        *is = verdict->holds;
        return 0;
    }
    int r = a->query->trace_filter ? top_matches(a, trace, is, err) : 0;
    if (!r && *is && a->query->tree_filter)
        r = tree_matches(a, trace, is, err);
    if (!r)
        *verdict = (struct verdict){trace, *is};
    return r;
}

static bool has_example(const struct run_query *query, const struct filter_subject *subject)
{
    const struct filter_cell *example = &subject->cells[FILTER_REFERENCE_EXAMPLE_ID];
    bool has = query->example_count == 0;
    for (size_t i = 0; i < query->example_count && !has; i++)
        has = example->present && uuid_compare(example->value.uuid, query->examples[i]) == 0;
    return has;
}

/* What needs its facts. */
static int facts_match(struct asking *a, const struct row *row, struct index_row *outline, bool *is,
                       struct err *err)
{
    if (!a->needs_facts)
        return 0;
    struct arena *arena = arena_new(SCRATCH);
    struct filter_subject subject;
    int r = reader_facts(a->reader, row->number, arena, &outline->facts, err);
    if (!r)
        r = subject_of(outline, arena, &subject, err);
    *is = !r && has_example(a->query, &subject);
    if (*is && a->query->filter)
        r = matches(a, row, a->query->filter, arena, &subject, is, err);
    outline->facts = (struct str){0};
    arena_free(arena);
    return r;
}

/* Is the run of this row, which is shown, asked for?  All but the ids is tested. */
static int is_asked(struct asking *a, const struct row *row, bool *is, struct err *err)
{
    struct index_row outline;
    int r = reader_outline(a->reader, row, &outline, err);
    *is = !r && query_takes(a->query, &outline) && query_is_after(a->query, &outline);
    if (*is)
        r = facts_match(a, row, &outline, is, err);
    if (!r && *is)
        r = trace_matches(a, row->run.trace, is, err);
    return r;
}

/* --- the page ---------------------------------------------------------------------------- */

static bool is_full(const struct asking *a)
{
    return a->asked->count == a->query->limit;
}

static int show(struct asking *a, const struct row *row, struct err *err)
{
    struct index_query *asked = a->asked;
    struct index_row *shown = &asked->rows[asked->count];
    int r = a->query->bare ? reader_show_bare(a->reader, row, shown, err)
                           : reader_show(a->reader, row, true, asked->arena, shown, err);
    asked->count += r == 0;
    if (is_full(a) && a->look > a->looked + LOOKED_ON)
        a->look = a->looked + LOOKED_ON;
    return r;
}

static void end_page(struct asking *a, struct query_cursor at)
{
    a->asked->more = true;
    a->asked->next = at;
}

static struct query_cursor last_shown(const struct asking *a)
{
    const struct index_row *last = &a->asked->rows[a->asked->count - 1];
    return (struct query_cursor){last->start_us, last->id};
}

/* The next row is of the run at `at`; true: it is another one than before. */
static bool come_to(struct asking *a, const struct query_cursor *at)
{
    a->looked++;
    if (a->began && a->now.start_us == at->start_us && uuid_compare(a->now.id, at->id) == 0)
        return false;
    if (a->began) {
        a->stands = a->now;
        a->stood = true;
        a->shown = a->asked->count;
    }
    a->now = *at;
    a->began = true;
    return true;
}

static bool had_its_share(const struct asking *a)
{
    return a->looked > a->look || clock_mono_us() >= a->until_us;
}

/* What was done up to the deadline is not done again. */
static int keep_step(struct asking *a, int r, struct err *err)
{
    if (r != ERR_TIMEOUT || !a->stood)
        return r;
    *err = (struct err){0};
    a->asked->count = a->shown;
    end_page(a, a->stands);
    return 0;
}

/* Can a run of this sort be asked for? */
static bool sort_may_be(const struct run_query *query, int sort)
{
    if (sort < 0)
        return true;
    bool top = sort & 1;
    return (query->root == QUERY_EITHER || (query->root == QUERY_YES) == top) &&
           (!query->by_type || (int)query->type == sort >> 1);
}

static struct walk_from begin_at(const struct asking *a)
{
    const struct run_query *query = a->query;
    int64_t start = query->oldest_first ? a->plan.start_min_us : a->plan.start_max_us;
    bool inside =
        query->oldest_first ? query->cursor.start_us >= start : query->cursor.start_us <= start;
    if (query->after && inside)
        return (struct walk_from){query->cursor.start_us, &query->cursor.id};
    return (struct walk_from){start, NULL};
}

static bool is_over(const struct asking *a, const struct walk_step *step)
{
    return a->query->oldest_first ? step->at.start_us > a->plan.start_max_us
                                  : step->at.start_us < a->plan.start_min_us;
}

/* Is the run of this step of the walk on the page?  All that needs more than its key. */
static int look_at(struct asking *a, const struct walk_step *step, struct row *row, bool *is,
                   struct err *err)
{
    bool shown = false;
    *is = false;
    int r =
        sort_may_be(a->query, step->sort) ? reader_row(a->reader, step->row, row, &shown, err) : 0;
    return r || !shown ? r : is_asked(a, row, is, err);
}

/* Go on through the walk until the page is full and it is known whether there is more. */
static int fill_page(struct asking *a, struct walk *walk, struct err *err)
{
    struct walk_step step;
    struct row row;
    bool more = true, is;
    int r = 0;
    while (!(r = walk_next(walk, &step, &more, err)) && more && !is_over(a, &step)) {
        if (come_to(a, &step.at) && a->stood && had_its_share(a)) {
            end_page(a, a->stands);
            return 0;
        }
        r = look_at(a, &step, &row, &is, err);
        if (!r && is && is_full(a)) {
            end_page(a, last_shown(a));
            return 0;
        }
        if (!r && is)
            r = show(a, &row, err);
        if (r)
            return r;
    }
    return r;
}

static int query_ranges(struct asking *a, struct err *err)
{
    struct arena *arena = arena_new(sizeof(struct walk) + SCRATCH);
    struct walk *walk = arena_make(arena, struct walk, 1);
    int r = walk_start(walk, a->reader, a->plan.ranges, a->plan.range_count,
                       a->query->oldest_first ? KEYS_UP : KEYS_DOWN, begin_at(a), err);
    if (!r)
        r = fill_page(a, walk, err);
    walk_end(walk);
    arena_free(arena);
    return r;
}

/* --- a list of runs ------------------------------------------------------------------------ */

struct hit {
    struct query_cursor at;
    uint64_t row;
};

static int oldest_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    if (x->at.start_us != y->at.start_us)
        return x->at.start_us < y->at.start_us ? -1 : 1;
    return uuid_compare(x->at.id, y->at.id);
}

static int newest_first(const void *a, const void *b)
{
    return oldest_first(b, a);
}

/* Those that are there, behind the cursor, in order. */
static int find_ids(struct asking *a, struct hit *hits, size_t *count, struct err *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < a->plan.id_count; i++) {
        struct row row;
        bool found = false;
        r = reader_row_of(a->reader, a->plan.ids[i], &row, &found, err);
        if (r || !found)
            continue;
        const struct index_row at = {.id = row.run.id, .start_us = row.run.start_us};
        if (query_is_after(a->query, &at))
            hits[(*count)++] = (struct hit){{at.start_us, at.id}, row.number};
    }
    qsort(hits, *count, sizeof *hits, a->query->oldest_first ? oldest_first : newest_first);
    return r;
}

static int query_ids(struct asking *a, struct err *err)
{
    struct hit *hits = arena_make(a->asked->arena, struct hit, a->plan.id_count + 1);
    size_t count = 0;
    int r = find_ids(a, hits, &count, err);
    for (size_t i = 0; !r && i < count; i++) {
        struct row row;
        bool is = false;
        if (come_to(a, &hits[i].at) && a->stood && had_its_share(a)) {
            end_page(a, a->stands);
            return 0;
        }
        r = reader_row(a->reader, hits[i].row, &row, &is, err);
        if (!r && is)
            r = is_asked(a, &row, &is, err);
        if (!r && is && is_full(a)) {
            end_page(a, last_shown(a));
            return 0;
        }
        if (!r && is)
            r = show(a, &row, err);
    }
    return r;
}

int reader_query(struct reader *reader, struct index_query *asked, struct err *err)
{
    const struct run_query *query = asked->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX && asked->look >= 1);
    struct asking a = {
        .reader = reader,
        .query = query,
        .asked = asked,
        .needs_facts = query->filter || query->example_count > 0,
        .look = asked->look,
        .until_us = clock_mono_us() + SHARE_US,
    };
    if (query->trace_filter || query->tree_filter)
        a.verdicts = arena_make(asked->arena, struct verdict, VERDICTS);
    asked->rows = arena_make(asked->arena, struct index_row, query->limit);
    asked->count = 0;
    asked->more = false;
    int r = plan_query(reader, query, asked->arena, &a.plan, err);
    if (!r)
        r = a.plan.by_ids ? query_ids(&a, err) : query_ranges(&a, err);
    return keep_step(&a, r, err);
}
