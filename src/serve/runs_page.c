/* runs_page.c - see runs.h: pages of a query.
 *
 *   serve_page()  ask which projects are of the dataset ⇢ tried()
 *                 ask whose trace is shared ⇢ shared() ⇢ led()
 *                 ask for rows ⇢ queried(), until there are enough, or time is up: then the
 *                 page ends, or waits: serve_more() goes on asking
 */
#include <assert.h>

#include "base/arena.h"
#include "base/text.h"
#include "serve/charge.h"
#include "serve/runs_step.h"
#include "wire/splice.h"

static void tried(struct op *op);
static void shared(struct op *op);
static void led(struct op *op);
static void queried(struct op *op);

/* Rows and their facts are ours until the answer was sent, and a client can ask for many. */
static int charge_rows(struct serve_runs *runs, const struct index_row *rows, size_t count,
                       struct err *err)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += sizeof *rows + rows[i].facts.len + rows[i].holder_count * sizeof(struct holder);
    return charge_answer(runs->arena, runs->serve->budget, size, err);
}

static void add_rows(struct serve_runs *runs, const struct index_row *rows, size_t count)
{
    if (!runs->rows || runs->count + count > runs->room) { /* a list, if of none */
        size_t room = runs->count + count > 2 * runs->room ? runs->count + count : 2 * runs->room;
        struct index_row *all = arena_make(runs->arena, struct index_row, room);
        if (runs->count)
            memcpy(all, runs->rows, runs->count * sizeof *all);
        runs->rows = all;
        runs->room = room;
    }
    for (size_t i = 0; i < count; i++) {
        runs->rows[runs->count] = rows[i];
        runs->rows[runs->count++].size = fetch_size(&rows[i], runs->fields);
    }
}

static void ask_rows(struct serve_runs *runs)
{
    size_t left = runs->most - runs->count;
    runs->query_rows.query.limit = (uint32_t)(left < QUERY_LIMIT_MAX ? left : QUERY_LIMIT_MAX);
    serve_query(&runs->query_rows);
}

static void begin(struct serve_runs *runs)
{
    runs->query_rows = (struct serve_query){
        .op = {.loop = runs->op.loop, .done = queried},
        .serve = runs->serve,
        .query = runs->asked,
        .arena = runs->arena,
        .left = runs->left,
    };
    ask_rows(runs);
}

static void ask_dataset(struct serve_runs *runs)
{
    runs->experiments = (struct experiments){
        .op = {.loop = runs->op.loop, .done = tried},
        .index = runs->serve->index,
        .budget = runs->serve->budget,
        .dataset = runs->dataset,
        .arena = runs->arena,
    };
    experiments_find(&runs->experiments);
}

static void ask_token(struct serve_runs *runs)
{
    runs->share = (struct index_entities){
        .op = {.loop = runs->op.loop, .done = shared},
        .kind = ENTITY_SHARE,
        .ids = &runs->token,
        .id_count = 1,
        .limit = 1,
        .arena = runs->arena,
    };
    runs->serve->index->ops->entities(runs->serve->index, &runs->share);
}

void serve_page(struct serve_runs *runs)
{
    assert(runs->most > 0 && runs->most <= RUNS_ROWS);
    runs->by_facts = true;
    if (runs->by_dataset)
        ask_dataset(runs);
    else if (runs->by_token)
        ask_token(runs);
    else
        begin(runs);
}

/* Where there are none, one that nobody has stands for them. */
static void tried(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, experiments.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
        return;
    }
    runs->asked.projects = runs->experiments.projects;
    runs->asked.project_count = runs->experiments.count ? runs->experiments.count : 1;
    begin(runs);
}

static void fail_not_found(struct serve_runs *runs, const char *sentence)
{
    struct err err;
    err_set(&err, ERR_NOT_FOUND, "%s", sentence);
    runs_fail(runs, &err);
}

/* The run that is shared; its whole trace is. */
static void shared(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, share.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
    } else if (runs->share.count == 0) {
        fail_not_found(runs, "Nothing is shared by this token");
    } else {
        runs->find = (struct index_find){
            .op = {.loop = runs->op.loop, .done = led},
            .ids = &runs->share.entities[0].parent,
            .count = 1,
            .arena = runs->arena,
        };
        runs->serve->index->ops->find(runs->serve->index, &runs->find);
    }
}

static void led(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, find.op);
    if (op->err.code) {
        runs_fail(runs, &op->err);
    } else if (!runs->find.rows[0].found) {
        fail_not_found(runs, "The run that was shared is not there");
    } else {
        runs->asked.by_trace = true;
        runs->asked.trace = runs->find.rows[0].trace;
        begin(runs);
    }
}

/* --- the page ------------------------------------------------------------------------------ */

static void end_page(struct serve_runs *runs)
{
    const struct serve_query *rows = &runs->query_rows;
    struct query_cursor next = rows->query.cursor;
    bool more = !rows->last;
    size_t count = runs_fit(runs->rows, runs->count);
    if (count < runs->count) {
        next = (struct query_cursor){runs->rows[count - 1].start_us, runs->rows[count - 1].id};
        more = true;
    }
    runs->count = count;
    runs->more = more;
    runs->behind = next;
    struct text suffix = {0};
    runs->style->end(&suffix, more ? &next : NULL);
    runs->suffix = arena_copy(runs->arena, text_str(&suffix));
    text_free(&suffix);
    runs_step(runs);
}

/* Nothing can be said yet but that the answer comes: so that neither the client nor what is
 * between gives up. */
static void begin_and_wait(struct serve_runs *runs)
{
    struct arena *arena = arena_new(256);
    struct splice splice = {.arena = arena};
    if (!runs->begun)
        splice_add(&splice, runs->style->begin);
    splice_add(&splice, runs->style->wait);
    runs->coding = CODING_IDENTITY; /* an encoder would keep it back */
    runs->begun = runs->waits = true;
    runs->step = splice_join(&splice);
    arena_free(arena);
    if (runs->step)
        op_finish(&runs->op);
    else
        runs_fail(runs,
                  &(struct err){.code = ERR_BUSY, .text = "no memory; try again in a moment"});
}

void runs_ask_on(struct serve_runs *runs)
{
    runs->waits = false;
    runs->query_rows.began_us = 0;
    ask_rows(runs);
}

static bool may_end(const struct serve_runs *runs)
{
    return !runs->all && (runs->count > 0 || runs->may_be_empty);
}

static void queried(struct op *op)
{
    struct serve_runs *runs = op_owner(op, struct serve_runs, query_rows.op);
    const struct serve_query *rows = &runs->query_rows;
    if (op->err.code) {
        runs_fail(runs, &op->err);
        return;
    }
    struct err err;
    if (rows->count > 0 && charge_rows(runs, rows->rows, rows->count, &err)) {
        runs_fail(runs, &err);
        return;
    }
    add_rows(runs, rows->rows, rows->count);
    bool enough = rows->last || runs->count == runs->most;
    if (runs->one && runs->count == 0 && rows->last)
        fail_not_found(runs, "Run not found");
    else if (enough || (rows->late && may_end(runs)))
        end_page(runs);
    else if (!rows->late)
        ask_rows(runs);
    else if (runs->one && serve_query_is_late(rows, &err))
        runs_fail(runs, &err);
    else
        begin_and_wait(runs);
}
