/* remarks.c - see remarks.h.
 *
 *   remarks_gather()  ask for feedback ⇢ heard(), page after page
 *                     ask for shares ⇢ shared()
 */
#include "serve/remarks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text.h"
#include "run/view.h"

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

static void ask(struct remarks *remarks, enum entity_kind kind, op_done_fn *done)
{
    remarks->page = arena_new(4096);
    remarks->ask = (struct index_entities){
        .op = {.loop = remarks->op.loop, .done = done},
        .kind = kind,
        .parents = remarks->ids,
        .parent_count = remarks->count,
        .limit = REMARKS_PAGE,
        .offset = remarks->offset,
        .arena = remarks->page,
    };
    remarks->index->ops->entities(remarks->index, &remarks->ask);
}

static void ask_shares(struct remarks *remarks)
{
    remarks->offset = 0;
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

/* The page was taken in, or failed; false: it failed, and that was said. */
static bool turn_page(struct remarks *remarks)
{
    arena_free(remarks->page);
    remarks->page = NULL;
    if (!remarks->ask.op.err.code)
        return true;
    remarks->op.err = remarks->ask.op.err;
    op_finish(&remarks->op);
    return false;
}

static void heard(struct op *op)
{
    struct remarks *remarks = op_owner(op, struct remarks, ask.op);
    size_t count = op->err.code ? 0 : remarks->ask.count;
    for (size_t i = 0; i < count; i++) {
        const struct entity *feedback = &remarks->ask.entities[i];
        size_t at = place_of(remarks, feedback->parent);
        if (at < remarks->count)
            feedback_add(remarks->sum ? remarks->sum : &remarks->tallies[at], feedback,
                         remarks->sum ? remarks->sum_arena : remarks->arena);
    }
    remarks->offset += (uint32_t)count;
    if (!turn_page(remarks))
        return;
    if (count == REMARKS_PAGE)
        ask(remarks, ENTITY_FEEDBACK, heard);
    else
        ask_shares(remarks);
}

static void shared(struct op *op)
{
    struct remarks *remarks = op_owner(op, struct remarks, ask.op);
    size_t count = op->err.code ? 0 : remarks->ask.count;
    for (size_t i = 0; i < count; i++) {
        size_t at = place_of(remarks, remarks->ask.entities[i].parent);
        if (at < remarks->count)
            remarks->tokens[at] = remarks->ask.entities[i].id;
    }
    remarks->offset += (uint32_t)count;
    if (!turn_page(remarks))
        return;
    if (count == REMARKS_PAGE)
        ask(remarks, ENTITY_SHARE, shared);
    else
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
