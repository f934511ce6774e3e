/* threads.c - see threads.h.
 *
 *   serve_threads()  ask for rows ⇢ sorted(), each to its thread, and again
 */
#include "serve/threads.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/buf.h"
#include "run/facts.h"
#include "run/filter.h"
#include "run/view.h"
#include "serve/fetch.h"
#include "serve/serve.h"

enum {
    ROOM = 32768,      /* of the table: a power of two, over 2 * THREADS_MAX */
    CHARGE_STEP = 128, /* threads that are charged at once, ... */
    THREAD_COST = 4096 /* ... each with its texts and its samples */
};

static void sorted(struct op *op);

static void ask(struct serve_threads *threads)
{
    threads->page = arena_new(4096);
    threads->rows.arena = threads->page;
    serve_query(&threads->rows);
}

void serve_threads(struct serve_threads *threads)
{
    struct run_query *query = &threads->query;
    query->trace_filter = filter_both(query->filter, query->trace_filter, threads->arena);
    query->filter = filter_thread(threads->only, threads->arena);
    query->limit = QUERY_LIMIT_MAX;
    threads->room = threads->only.at ? 2 : ROOM;
    threads->table = arena_make(threads->arena, struct thread *, threads->room);
    threads->rows = (struct serve_query){
        .op = {.loop = threads->op.loop, .done = sorted},
        .serve = threads->serve,
        .query = *query,
        .left = threads->left,
    };
    ask(threads);
}

static void end(struct serve_threads *threads, const struct err *err)
{
    arena_free(threads->page);
    threads->page = NULL;
    threads->op.err = *err;
    op_finish(&threads->op);
}

static int charge(struct serve_threads *threads, struct err *err)
{
    if (threads->seen % CHARGE_STEP != 0)
        return 0;
    struct buf *buf = buf_new(0);
    if (!buf || !buf_charge(buf, threads->serve->budget, CHARGE_STEP * THREAD_COST)) {
        buf_unref(buf);
        return err_set(err, ERR_BUSY, "Too many answers are in memory; try again in a moment");
    }
    arena_keep(threads->arena, buf);
    return 0;
}

/* The thread of this id; NULL: there are too many. */
static struct thread *thread_of(struct serve_threads *threads, struct str id, struct err *err)
{
    size_t at = XXH3_64bits(id.at, id.len) & (threads->room - 1);
    for (; threads->table[at]; at = (at + 1) & (threads->room - 1))
        if (str_eq(threads->table[at]->id, id))
            return threads->table[at];
    if (threads->seen == THREADS_MAX) {
        err_set(err, ERR_TOO_BIG,
                "There are more than %d threads: ask for less time with min_start_time",
                THREADS_MAX);
        return NULL;
    }
    if (charge(threads, err))
        return NULL;
    struct thread *thread = arena_make(threads->arena, struct thread, 1);
    thread->id = arena_copy(threads->arena, id);
    threads->table[at] = thread;
    threads->seen++;
    return thread;
}

static struct str keep(struct serve_threads *threads, struct str text)
{
    size_t len = text.len;
    if (len > FACTS_PREVIEW) {
        len = FACTS_PREVIEW;
        while (len > 0 && ((unsigned char)text.at[len] & 0xc0) == 0x80)
            len--;
    }
    return text.at ? arena_copy(threads->arena, (struct str){text.at, len}) : text;
}

static void add_turn(struct serve_threads *threads, struct thread *thread, const struct view *top)
{
    bool first = thread->turns.runs == 0 || top->start_us < thread->turns.first_start_us;
    bool last = thread->turns.runs == 0 || top->start_us > thread->turns.last_start_us;
    if (first) {
        thread->first = top->trace;
        thread->first_inputs = keep(threads, top->facts->inputs_preview);
    }
    if (last) {
        thread->last = top->trace;
        thread->last_outputs = keep(threads, top->facts->outputs_preview);
    }
    if (top->status == RUN_ERROR && (!thread->last_error.at || top->start_us > thread->error_us)) {
        thread->last_error = keep(threads, top->facts->error);
        thread->error_us = top->start_us;
    }
    stats_add(&thread->turns, top, true, threads->arena);
    stats_add(&threads->turns, top, true, threads->arena);
}

static int add_row(struct serve_threads *threads, const struct index_row *row, struct err *err)
{
    struct view view;
    int r = fetch_row(row, threads->page, &view, err);
    if (r || !view.facts || !view.facts->thread.at)
        return r;
    struct thread *thread = thread_of(threads, view.facts->thread, err);
    if (!thread)
        return (int)err->code;
    if (uuid_is_zero(view.parent))
        add_turn(threads, thread, &view);
    if (stats_is_model(&view)) {
        stats_add_usage(&thread->models, &view, threads->arena);
        stats_add_usage(&threads->models, &view, threads->arena);
    }
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct thread *x = *(struct thread *const *)a, *y = *(struct thread *const *)b;
    if (x->turns.last_start_us != y->turns.last_start_us)
        return x->turns.last_start_us > y->turns.last_start_us ? -1 : 1;
    return -uuid_compare(x->last, y->last);
}

static void put_in_order(struct serve_threads *threads)
{
    threads->threads = arena_make(threads->arena, struct thread *, threads->seen + 1);
    for (size_t i = 0; i < threads->room; i++)
        if (threads->table[i] && threads->table[i]->turns.runs > 0)
            threads->threads[threads->count++] = threads->table[i];
    qsort(threads->threads, threads->count, sizeof(struct thread *), newest_first);
}

static void sorted(struct op *op)
{
    struct serve_threads *threads = op_owner(op, struct serve_threads, rows.op);
    struct err err = op->err;
    for (size_t i = 0; !err.code && i < threads->rows.count; i++)
        (void)add_row(threads, &threads->rows.rows[i], &err);
    if (err.code || threads->rows.last) {
        if (!err.code)
            put_in_order(threads);
        end(threads, &err);
    } else if (serve_query_is_late(&threads->rows, &err)) {
        end(threads, &err);
    } else {
        arena_free(threads->page);
        ask(threads);
    }
}

const struct stats *thread_usage(const struct thread *thread)
{
    for (unsigned i = 0; i < FACTS_NUMBERS; i++)
        if (thread->models.has[i])
            return &thread->models;
    return &thread->turns;
}
