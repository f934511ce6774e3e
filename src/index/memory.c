/* memory.c - an index in plain arrays: what the others are compared with.
 *
 * Every look-up is a linear scan and every page is a sort, so that one can see
 * that it is right.  It forgets everything at close; its only use besides the
 * conform tests is a server that keeps no index.
 *
 * Reads are done where they are asked for, under a lock that is held for a
 * whole scan: this is not for many runs.
 */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "index/alone.h"
#include "index/fold.h"
#include "index/index.h"

struct row {
    struct index_row row;
    uint64_t hash[2];
    bool named;
    struct str name; /* folded; from malloc */
};

struct rows {
    struct row *at;
    size_t count, cap;
};

struct memory {
    struct index index;
    atomic_flag lock;
    struct rows visible, staged;
    uint64_t mark;
};

static struct memory *memory_of(struct index *index)
{
    return (struct memory *)(void *)index;
}

static void lock(struct memory *m)
{
    while (atomic_flag_test_and_set_explicit(&m->lock, memory_order_acquire))
        sched_yield();
}

static void unlock(struct memory *m)
{
    atomic_flag_clear_explicit(&m->lock, memory_order_release);
}

static void rows_add(struct rows *rows, const struct row *row)
{
    if (rows->count == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 64;
        rows->at = realloc(rows->at, rows->cap * sizeof *rows->at);
        if (!rows->at)
            abort();
    }
    rows->at[rows->count++] = *row;
}

static void rows_cut(struct rows *rows, size_t count)
{
    while (rows->count > count) {
        struct row *last = &rows->at[--rows->count];
        free((void *)(uintptr_t)last->name.at);
    }
}

static const struct row *rows_find(const struct rows *rows, struct uuid id)
{
    for (size_t i = 0; i < rows->count; i++)
        if (uuid_compare(rows->at[i].row.id, id) == 0)
            return &rows->at[i];
    return NULL;
}

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    (void)index;
    (void)loop;
    (void)err;
    return 0;
}

/* Stage the new runs of one batch, or none of them. */
static int stage_batch(struct memory *m, struct index_batch *batch, struct err *err)
{
    size_t before = m->staged.count;
    for (uint32_t i = 0; i < batch->record->count; i++) {
        struct run run;
        int r = record_run(batch->record, i, &run, err);
        if (r) {
            rows_cut(&m->staged, before);
            return r;
        }
        const struct row *there = rows_find(&m->visible, run.id);
        if (!there)
            there = rows_find(&m->staged, run.id);
        if (there && (there->hash[0] != run.hash[0] || there->hash[1] != run.hash[1])) {
            rows_cut(&m->staged, before);
            batch->verdict = INDEX_CONFLICT;
            batch->added = 0;
            batch->conflict = i;
            return 0;
        }
        if (there)
            continue;
        struct row row = {
            .row = {.found = true,
                    .id = run.id,
                    .trace = run.trace,
                    .start_us = run.start_us,
                    .version = batch->sequence,
                    .place = {batch->first.container, batch->first.ordinal + i},
                    .size = (uint32_t)run.raw.len},
            .hash = {run.hash[0], run.hash[1]},
        };
        struct text name = {0};
        row.named = fold_run_name(&run, &name);
        row.name = text_str(&name);
        rows_add(&m->staged, &row);
    }
    batch->added = (uint32_t)(m->staged.count - before);
    batch->verdict = batch->added ? INDEX_ADDED : INDEX_DUPLICATE;
    return 0;
}

static void stage(struct index *index, struct index_stage *stage)
{
    struct memory *m = memory_of(index);
    for (size_t i = 0; i < stage->count; i++)
        if (stage_batch(m, &stage->batches[i], &stage->op.err))
            break;
    op_finish(&stage->op);
}

static void commit(struct index *index, struct index_commit *commit)
{
    struct memory *m = memory_of(index);
    lock(m);
    for (size_t i = 0; i < m->staged.count; i++)
        rows_add(&m->visible, &m->staged.at[i]);
    m->mark = commit->sequence;
    unlock(m);
    m->staged.count = 0; /* the names have moved */
    op_finish(&commit->op);
}

static void rollback(struct index *index, struct index_rollback *rollback)
{
    rows_cut(&memory_of(index)->staged, 0);
    op_finish(&rollback->op);
}

static void mark(struct index *index, struct index_mark *mark)
{
    mark->sequence = memory_of(index)->mark;
    op_finish(&mark->op);
}

/* As durable as the process. */
static void durable(struct index *index, struct index_durable *durable)
{
    struct memory *m = memory_of(index);
    lock(m);
    durable->sequence = m->mark;
    unlock(m);
    op_finish(&durable->op);
}

static void find(struct index *index, struct index_find *find)
{
    struct memory *m = memory_of(index);
    find->rows = arena_make(find->arena, struct index_row, find->count);
    lock(m);
    for (size_t i = 0; i < find->count; i++) {
        const struct row *there = rows_find(&m->visible, find->ids[i]);
        find->rows[i] = there ? there->row : (struct index_row){.id = find->ids[i]};
    }
    unlock(m);
    op_finish(&find->op);
}

/* Newest first: -1 when (start, id) of `a` comes before that of `b`. */
static int newest_first(int64_t a_start, struct uuid a_id, int64_t b_start, struct uuid b_id)
{
    if (a_start != b_start)
        return a_start > b_start ? -1 : 1;
    return -uuid_compare(a_id, b_id);
}

static int row_order(const void *a, const void *b)
{
    const struct index_row *x = a, *y = b;
    return newest_first(x->start_us, x->id, y->start_us, y->id);
}

static bool matches(const struct row *row, const struct query *query, struct str wanted)
{
    if (query->by_trace && uuid_compare(row->row.trace, query->trace) != 0)
        return false;
    if (query->by_name && !(row->named && fold_contains(row->name, wanted)))
        return false;
    return !query->after || newest_first(query->cursor.start_us, query->cursor.id,
                                         row->row.start_us, row->row.id) < 0;
}

static void search(struct index *index, struct index_search *search)
{
    struct memory *m = memory_of(index);
    const struct query *query = search->query;
    assert(query->limit >= 1 && query->limit <= QUERY_LIMIT_MAX);
    struct str wanted = {0};
    if (query->by_name) {
        char *folded = arena_alloc(search->arena, FOLD_GROWTH * query->name.len + 1);
        wanted = (struct str){folded, fold(query->name, folded)};
    }

    lock(m);
    search->rows = arena_make(search->arena, struct index_row, m->visible.count + 1);
    search->count = 0;
    for (size_t i = 0; i < m->visible.count; i++)
        if (matches(&m->visible.at[i], query, wanted))
            search->rows[search->count++] = m->visible.at[i].row;
    unlock(m);

    qsort(search->rows, search->count, sizeof *search->rows, row_order);
    search->more = search->count > query->limit;
    if (search->more)
        search->count = query->limit;
    op_finish(&search->op);
}

static uint64_t runs(struct index *index)
{
    struct memory *m = memory_of(index);
    lock(m);
    uint64_t count = m->visible.count;
    unlock(m);
    return count;
}

static void close_memory(struct index *index)
{
    if (!index)
        return;
    struct memory *m = memory_of(index);
    rows_cut(&m->visible, 0);
    rows_cut(&m->staged, 0);
    free(m->visible.at);
    free(m->staged.at);
    free(m);
}

static const struct index_ops memory_ops = {
    .name = "memory",
    .attach = attach,
    .stage = stage,
    .commit = commit,
    .rollback = rollback,
    .mark = mark,
    .durable = durable,
    .find = find,
    .search = search,
    .follow = index_alone_follow,
    .known = index_alone_known,
    .condemn = index_alone_condemn,
    .containers = index_alone_containers,
    .lose = index_alone_lose,
    .runs = runs,
    .close = close_memory,
};

int index_memory_open(struct index **result, struct err *err)
{
    struct memory *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ERR_BUSY, "no memory for an index");
    m->index = (struct index){.ops = &memory_ops, .writers = 1};
    atomic_flag_clear(&m->lock);
    *result = &m->index;
    return 0;
}
