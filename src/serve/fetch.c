/* fetch.c - see fetch.h. */
#include "serve/fetch.h"

#include "base/arena.h"
#include "base/metric.h"
#include "run/facts.h"

static void got(struct op *op);

void fetch_runs(struct fetch *fetch)
{
    size_t total = 0;
    for (size_t i = 0; i < fetch->count; i++)
        total += fetch->rows[i].holder_count;
    struct place *places = arena_make(fetch->arena, struct place, total + 1);
    total = 0;
    for (size_t i = 0; i < fetch->count; i++)
        for (unsigned k = 0; k < fetch->rows[i].holder_count; k++)
            places[total++] = fetch->rows[i].holders[k].place;
    fetch->read = (struct store_read){
        .op = {.loop = fetch->op.loop, .done = got},
        .places = places,
        .count = total,
        .arena = fetch->arena,
    };
    if (total > 0)
        store_read(fetch->store, &fetch->read);
    else
        op_finish(&fetch->read.op);
}

/* Are these what the row's holders are of? */
static bool are_of(const struct index_row *row, const struct run *runs)
{
    for (unsigned i = 0; i < row->holder_count; i++)
        if (uuid_compare(runs[i].id, row->id) != 0 || runs[i].hash[0] != row->holders[i].hash)
            return false;
    return true;
}

static int put_together(struct fetch *fetch, struct view *view, const struct index_row *row,
                        const struct run *runs, struct err *err)
{
    if (!are_of(row, runs)) {
        metric_add(METRIC_STORE_CORRUPT, 1);
        return err_set(err, ERR_CORRUPT,
                       "another run is where the index says: run `rundlet verify`");
    }
    *view = (struct view){
        .id = row->id,
        .trace = row->trace,
        .parent = row->parent,
        .project = row->project,
        .project_name = row->project_name,
        .start_us = row->start_us,
        .end_us = row->end_us,
        .type = row->type,
        .status = row->status,
        .version = row->version,
        .whole = row->holder_count == 1 && row->holders[0].kind == RUN_WHOLE,
    };
    if (view->whole) {
        view->parent = runs[0].parent;
        view->end_us = runs[0].end_us;
        view->type = runs[0].type;
        view->status = runs[0].status;
    }
    view_fill(view, row->holders, runs, row->holder_count);
    if (!row->facts.at)
        return 0;
    struct facts *facts = arena_make(fetch->arena, struct facts, 1);
    view->facts = facts;
    return facts_read(row->facts, fetch->arena, facts, err);
}

static void got(struct op *op)
{
    struct fetch *fetch = op_owner(op, struct fetch, read.op);
    if (op->err.code == ERR_NOT_FOUND)
        op->err.code = ERR_CORRUPT; /* there is a row: that its bytes are missing is no 404 */
    fetch->op.err = op->err;
    fetch->views = arena_make(fetch->arena, struct view, fetch->count + 1);
    const struct run *runs = fetch->read.runs;
    for (size_t i = 0; i < fetch->count && !fetch->op.err.code; i++) {
        (void)put_together(fetch, &fetch->views[i], &fetch->rows[i], runs, &fetch->op.err);
        runs += fetch->rows[i].holder_count;
    }
    op_finish(&fetch->op);
}
