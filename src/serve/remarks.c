/* remarks.c - see remarks.h.
 *
 *   remarks_gather()  ask for feedback ⇢ heard(), page after page
 *                     ask for shares ⇢ shared(), likewise
 */
#include "serve/remarks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "run/view.h"
#include "serve/charge.h"

static void heard(struct op *op);
static void shared(struct op *op);

static int by_id(const void *a, const void *b, void *ids)
{
    const struct uuid *of = ids;
    return uuid_compare(of[*(const uint32_t *)a], of[*(const uint32_t *)b]);
}

/* Where the run of this id is, or `count`. */
static size_t place_of(const struct remarks *remarks, struct uuid id)
{
    size_t from = 0, to = remarks->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = uuid_compare(remarks->ids[remarks->order[middle]], id);
        if (order == 0)
            return remarks->order[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return remarks->count;
}

static void ask_page(struct remarks *remarks)
{
    remarks->ask.op = (struct op){.loop = remarks->op.loop, .done = remarks->ask.op.done};
    remarks->ask.arena = remarks->page = arena_new(4096);
    remarks->index->ops->entities(remarks->index, &remarks->ask);
}

static void ask(struct remarks *remarks, enum entity_kind kind, op_done_fn *done)
{
    remarks->ask = (struct index_entities){
        .op.done = done,
        .kind = kind,
        .parents = remarks->ids,
        .parent_count = remarks->count,
        .limit = REMARKS_PAGE,
        .bytes = REMARKS_BYTES,
        .bare = kind == ENTITY_SHARE,
    };
    remarks->turn = 0;
    ask_page(remarks);
}

static void ask_shares(struct remarks *remarks)
{
    if (remarks->shares && remarks->count > 0)
        ask(remarks, ENTITY_SHARE, shared);
    else
        op_finish(&remarks->op);
}

void remarks_gather(struct remarks *remarks)
{
    assert(remarks->count <= REMARKS_RUNS);
    remarks->tallies = arena_make(remarks->arena, struct feedback_tally, remarks->count + 1);
    remarks->tokens = arena_make(remarks->arena, struct uuid, remarks->count + 1);
    remarks->order = arena_make(remarks->arena, uint32_t, remarks->count + 1);
    for (uint32_t i = 0; i < remarks->count; i++)
        remarks->order[i] = i;
    struct uuid *ids = arena_make(remarks->arena, struct uuid, remarks->count + 1);
    if (remarks->count > 0)
        memcpy(ids, remarks->ids, remarks->count * sizeof *ids);
    remarks->ids = ids;
    qsort_r(remarks->order, remarks->count, sizeof *remarks->order, by_id, ids);
    if (remarks->feedback && remarks->count > 0)
        ask(remarks, ENTITY_FEEDBACK, heard);
    else
        ask_shares(remarks);
}

/* May the page be taken in?  False: it failed, and that was said. */
static bool is_good(struct remarks *remarks)
{
    struct err *err = &remarks->op.err;
    size_t size = 0;
    *err = remarks->ask.op.err;
    for (size_t i = 0; !err->code && i < remarks->ask.count; i++)
        size += remarks->ask.entities[i].json.len;
    if (size > REMARKS_BYTES)
        (void)charge_answer(remarks->page, remarks->budget, size, err); /* then err says so */
    if (!err->code)
        return true;
    arena_free(remarks->page);
    op_finish(&remarks->op);
    return false;
}

/* It was taken in; true: the next one was asked for.  Where all runs have more than a page,
 * each is gone through by itself from there on: a page of many costs a look at each. */
static bool turn_page(struct remarks *remarks)
{
    struct index_entities *ask = &remarks->ask;
    arena_free(remarks->page);
    if (remarks->turn == 0)
        remarks->from = ask->cursor;
    if (!ask->more && (remarks->turn == 0 || remarks->turn == remarks->count))
        return false;
    if (!ask->more || remarks->turn == 0) {
        ask->parents = &remarks->ids[remarks->turn++];
        ask->parent_count = 1;
        ask->cursor = remarks->from;
    }
    ask->after = true;
    ask_page(remarks);
    return true;
}

static void heard(struct op *op)
{
    struct remarks *remarks = op_owner(op, struct remarks, ask.op);
    if (!is_good(remarks))
        return;
    for (size_t i = 0; i < remarks->ask.count; i++) {
        const struct entity *feedback = &remarks->ask.entities[i];
        size_t at = place_of(remarks, feedback->parent);
        if (at < remarks->count)
            feedback_add(remarks->sum ? remarks->sum : &remarks->tallies[at], feedback,
                         remarks->sum ? remarks->sum_arena : remarks->arena);
    }
    if (!turn_page(remarks))
        ask_shares(remarks);
}

static void shared(struct op *op)
{
    struct remarks *remarks = op_owner(op, struct remarks, ask.op);
    if (!is_good(remarks))
        return;
    for (size_t i = 0; i < remarks->ask.count; i++) {
        size_t at = place_of(remarks, remarks->ask.entities[i].parent);
        if (at < remarks->count)
            remarks->tokens[at] = remarks->ask.entities[i].id;
    }
    if (!turn_page(remarks))
        op_finish(&remarks->op);
}

void remarks_show(const struct remarks *remarks, size_t i, struct view *view)
{
    view->share = remarks->tokens[i];
    if (!remarks->feedback || remarks->tallies[i].count == 0)
        return;
    struct text text = {0};
    feedback_write(&remarks->tallies[i], &text);
    view->feedback_stats = arena_copy(remarks->arena, text_str(&text));
    text_free(&text);
}
