/* runs_step.c - see runs_step.h. */
#include "serve/runs_step.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "run/render.h"
#include "serve/encode.h"
#include "wire/splice.h"

enum { RUN_COST = 512 /* bytes of a run's entry and spans, and of ours for it */ };

static void fetched(struct op *op);
static void remarked(struct op *op);
static void totaled(struct op *op);

void runs_fail(struct serve_runs *runs, const struct err *err)
{
    runs->op.err = *err;
    op_finish(&runs->op);
}

void runs_fail_busy(struct serve_runs *runs)
{
    struct err err;
    err_set(&err, ERR_BUSY, "Too many answers are in memory; try again in a moment");
    runs_fail(runs, &err);
}

/* Cut the page where it would pass its size. */
size_t runs_fit(const struct index_row *rows, size_t count)
{
    uint64_t size = 0;
    size_t n = 0;
    while (n < count && (n == 0 || size + rows[n].size <= RUNS_PAGE))
        size += rows[n++].size;
    return n;
}

/* How many runs the step from `next` on has, and their bytes. */
static size_t step_of(const struct serve_runs *runs, size_t next, uint64_t *size)
{
    size_t n = 0;
    *size = 0;
    while (next + n < runs->count && n < REMARKS_RUNS &&
           (n == 0 || *size + runs->rows[next + n].size <= RUNS_STEP))
        *size += runs->rows[next + n++].size;
    return n;
}

/* Runs that lie side by side are read together; each stretch of them has its cost. */
static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->container != y->container)
        return x->container < y->container ? -1 : 1;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static size_t stretches(const struct serve_runs *runs, size_t next, size_t n)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        total += runs->rows[next + i].holder_count;
    struct place *places = arena_make(runs->arena, struct place, total + 1);
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < runs->rows[next + i].holder_count; k++)
            places[at++] = runs->rows[next + i].holders[k].place;
    qsort(places, total, sizeof *places, by_place);
    size_t count = total > 0;
    for (size_t i = 1; i < total; i++)
        count += places[i].container != places[i - 1].container ||
                 places[i].ordinal > places[i - 1].ordinal + 1;
    return count;
}

/* What a page may come to hold at once is taken before its first step, since in
 * the middle of an answer there is no way to say no: its largest step as read
 * and as rendered, and what waits for the client.  One that is more than
 * half of the budget gets that half, or it would never find enough free. */
static bool charge_page(struct serve_runs *runs)
{
    uint64_t total = 0, most = 0, size;
    for (size_t next = 0; next < runs->count;) {
        size_t n = step_of(runs, next, &size);
        total += size;
        size = 2 * size + n * RUN_COST + stretches(runs, next, n) * STORE_READ_COST;
        most = size > most ? size : most;
        next += n;
    }
    most += total < RUNS_AHEAD ? total : RUNS_AHEAD;
    runs->charge = buf_new(0);
    if (!runs->charge)
        return false;
    arena_keep(runs->arena, runs->charge); /* until the answer was sent */
    return buf_charge(runs->charge, runs->serve->budget,
                      most < runs->serve->budget->limit / 2 ? most
                                                            : runs->serve->budget->limit / 2);
}

void runs_step(struct serve_runs *runs)
{
    uint64_t size;
    if (!runs->charge && !charge_page(runs)) {
        runs_fail_busy(runs);
        return;
    }
    size_t n = runs->step_count = step_of(runs, runs->next, &size);
    runs->step_arena = arena_new(4096);
    runs->fetch = (struct fetch){
        .op = {.loop = runs->op.loop, .done = fetched},
        .store = runs->serve->store,
        .rows = runs->rows + runs->next,
        .count = n,
        .fields = runs->fields,
        .by_facts = runs->by_facts,
        .links = &runs->serve->links,
        .arena = runs->step_arena,
    };
    fetch_runs(&runs->fetch);
}

static void keep(struct serve_runs *runs)
{
    if (!runs->search || !runs->cached.key.at)
        return;
    struct cache *cache = runs->serve->cache;
    if (runs->whole)
        cache->ops->put(cache, runs->op.loop, runs->cached.key, runs->cached.version,
                        runs->cached.generation, runs->step, runs->serve->search_ttl_ms);
    else if (runs->cached.lead)
        cache->ops->abandon(cache, runs->op.loop, runs->cached.key, runs->cached.generation);
    runs->cached.lead = false;
    runs->cached.key = (struct str){0};
}

static void ask_remarks(struct serve_runs *runs);
static void ask_totals(struct serve_runs *runs);
static void render_step(struct serve_runs *runs);

static void fetched(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, fetch.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
        return;
    }
    for (size_t i = 0; i < runs->step_count; i++)
        runs->fetch.views[i].origin = runs->origin;
    if (runs->fields & SHOW_OF_ENTITIES)
        ask_remarks(runs);
    else
        ask_totals(runs);
}

/* Of those of which there may be any. */
static void ask_remarks(struct serve_runs *runs)
{
    const struct index_row *rows = runs->rows + runs->next;
    struct uuid *ids = arena_make(runs->step_arena, struct uuid, runs->step_count + 1);
    size_t count = 0;
    runs->said = arena_make(runs->step_arena, struct view *, runs->step_count + 1);
    for (size_t i = 0; i < runs->step_count; i++)
        if (!rows[i].silent) {
            ids[count] = rows[i].id;
            runs->said[count++] = &runs->fetch.views[i];
        }
    if (count == 0) {
        ask_totals(runs);
        return;
    }
    runs->remarks = (struct remarks){
        .op = {.loop = runs->op.loop, .done = remarked},
        .index = runs->serve->index,
        .ids = ids,
        .count = count,
        .feedback = runs->fields & SHOW(SHOW_FEEDBACK_STATS),
        .shares = runs->fields & SHOW(SHOW_SHARE_TOKEN),
        .arena = runs->step_arena,
    };
    remarks_gather(&runs->remarks);
}

static void remarked(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, remarks.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
        return;
    }
    for (size_t i = 0; i < runs->remarks.count; i++)
        remarks_show(&runs->remarks, i, runs->said[i]);
    ask_totals(runs);
}

static void ask_totals(struct serve_runs *runs)
{
    if (!runs->totals) {
        render_step(runs);
        return;
    }
    runs->totaled = (struct totals){
        .op = {.loop = runs->op.loop, .done = totaled},
        .serve = runs->serve,
        .left = runs->left,
        .views = runs->fetch.views,
        .count = runs->step_count,
        .arena = runs->step_arena,
    };
    totals_gather(&runs->totaled);
}

static void totaled(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, totaled.op);
    if (op->err.code)
        runs_fail(runs, &op->err);
    else
        render_step(runs);
}

/* Every line end in valid JSON is white space between two of its words. */
static void add_one_line(struct splice *splice, const struct splice *of)
{
    for (size_t i = 0; i < of->count; i++) {
        struct str part = of->parts[i];
        if (!memchr(part.at, '\n', part.len) && !memchr(part.at, '\r', part.len)) {
            splice_view(splice, part);
            continue;
        }
        char *line = arena_alloc(splice->arena, part.len);
        memcpy(line, part.at, part.len);
        for (size_t k = 0; k < part.len; k++)
            if (line[k] == '\n' || line[k] == '\r')
                line[k] = ' ';
        splice_view(splice, (struct str){line, part.len});
    }
}

static void add_run(struct serve_runs *runs, struct splice *splice, const struct view *view)
{
    const struct style *style = runs->style;
    splice_add(splice, style->run_begin);
    if (style->one_line) {
        struct splice run = {.arena = splice->arena};
        style->run(&run, view, runs->shown);
        add_one_line(splice, &run);
    } else {
        style->run(splice, view, runs->shown);
    }
    splice_add(splice, style->run_end);
}

static void render_step(struct serve_runs *runs)
{
    bool first = runs->next == 0;
    struct splice splice = {.arena = runs->step_arena};
    if (first && !runs->begun)
        splice_add(&splice, runs->style->begin);
    for (size_t i = 0; i < runs->step_count; i++) {
        if (runs->next + i > 0)
            splice_add(&splice, runs->style->between);
        add_run(runs, &splice, &runs->fetch.views[i]);
    }
    runs->next += runs->step_count;
    runs->last = runs->next == runs->count;
    if (runs->last)
        splice_add(&splice, runs->suffix);

    runs->whole = first && !runs->begun && runs->last && splice.size < CACHE_VALUE_MAX &&
                  !runs->style->one_line;
    runs->step = runs->whole ? encode_answer(&splice, runs->coding) : splice_join(&splice);
    if (!runs->step) {
        struct err err;
        err_set(&err, ERR_BUSY, "no memory for a page of %zu bytes", splice.size);
        runs_fail(runs, &err);
        return;
    }
    if (first)
        keep(runs);
    arena_free(runs->step_arena);
    runs->step_arena = NULL;
    op_finish(&runs->op);
}

void serve_more(struct serve_runs *runs)
{
    assert(!runs->last);
    runs->op.err = (struct err){0};
    if (runs->waits)
        runs_ask_on(runs);
    else
        runs_step(runs);
}

void serve_end(struct serve_runs *runs)
{
    runs->whole = false;
    keep(runs); /* a flight that was begun and failed ends here */
    arena_free(runs->step_arena);
}
