/* fetch.c - see fetch.h. */
#include "serve/fetch.h"

#include "base/arena.h"
#include "base/metric.h"
#include "base/text.h"
#include "run/facts.h"
#include "run/render.h"
#include "serve/links.h"
#include "wire/json_string.h"

static void got(struct op *op);

int fetch_row(const struct index_row *row, struct arena *arena, struct view *view, struct err *err)
{
    struct facts *facts = NULL;
    if (row->facts.at) {
        facts = arena_make(arena, struct facts, 1);
        int r = facts_read(row->facts, arena, facts, err);
        if (r)
            return r;
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
        .facts = facts,
    };
    return 0;
}

/* Fields that facts say too, when they were not too long for that. */
static uint32_t said_by(const struct facts *facts)
{
    uint32_t said = 0;
    if (facts->name.at)
        said |= UINT32_C(1) << RUN_NAME;
    if (facts->error.at)
        said |= UINT32_C(1) << RUN_ERROR_TEXT;
    if (facts->dotted_order.at)
        said |= UINT32_C(1) << RUN_DOTTED_ORDER;
    if (facts->has_reference_example)
        said |= UINT32_C(1) << RUN_REFERENCE_EXAMPLE_ID;
    return said & ~facts->cut;
}

/* `facts` NULL: there are none. */
static bool must_read(const struct index_row *row, const struct facts *facts, uint64_t fields)
{
    uint32_t held = 0;
    for (unsigned i = 0; i < row->holder_count; i++)
        held |= row->holders[i].fields;
    return (render_reads(fields) & held & ~(facts ? said_by(facts) : 0)) != 0;
}

uint64_t fetch_size(const struct index_row *row, uint64_t fields)
{
    static const struct facts all = {
        .name = {"", 0}, .error = {"", 0}, .dotted_order = {"", 0}, .has_reference_example = true};
    if (!must_read(row, NULL, fields))
        return 0;
    if (!row->facts.at || must_read(row, &all, fields))
        return row->size;
    struct arena *arena = arena_new(4096);
    struct facts facts;
    bool reads = facts_read(row->facts, arena, &facts, NULL) || must_read(row, &facts, fields);
    arena_free(arena);
    return reads ? row->size : 0;
}

static void add_places(const struct index_row *row, struct place *places, size_t *total)
{
    for (unsigned k = 0; k < row->holder_count; k++)
        places[(*total)++] = row->holders[k].place;
}

void fetch_runs(struct fetch *fetch)
{
    size_t total = 0;
    for (size_t i = 0; i < fetch->count; i++)
        total += fetch->rows[i].holder_count;
    struct place *places = arena_make(fetch->arena, struct place, total + 1);
    fetch->reads = arena_make(fetch->arena, bool, fetch->count + 1);
    fetch->views = arena_make(fetch->arena, struct view, fetch->count + 1);
    total = 0;
    for (size_t i = 0; i < fetch->count; i++) {
        const struct index_row *row = &fetch->rows[i];
        if (fetch_row(row, fetch->arena, &fetch->views[i], &fetch->op.err)) {
            op_finish(&fetch->op);
            return;
        }
        fetch->reads[i] =
            must_read(row, fetch->by_facts ? fetch->views[i].facts : NULL, fetch->fields);
        if (fetch->reads[i])
            add_places(row, places, &total);
    }
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

static int put_together(struct view *view, const struct index_row *row, const struct run *runs,
                        struct err *err)
{
    if (!are_of(row, runs)) {
        metric_add(METRIC_STORE_CORRUPT, 1);
        return err_set(err, ERR_CORRUPT,
                       "another run is where the index says: run `rundlet verify`");
    }
    if (view->whole) {
        view->parent = runs[0].parent;
        view->end_us = runs[0].end_us;
        view->type = runs[0].type;
        view->status = runs[0].status;
    }
    view_fill(view, row->holders, runs, row->holder_count);
    return 0;
}

static struct str as_json(struct str plain, struct arena *arena)
{
    struct text text = {0};
    json_string_write(&text, plain);
    struct str json = arena_copy(arena, text_str(&text));
    text_free(&text);
    return json;
}

static void fill_from_facts(struct view *view, struct arena *arena)
{
    const struct facts *facts = view->facts;
    if (!facts)
        return;
    if (facts->name.at)
        view->field[RUN_NAME] = as_json(facts->name, arena);
    if (facts->error.at)
        view->field[RUN_ERROR_TEXT] = as_json(facts->error, arena);
    if (facts->dotted_order.at)
        view->field[RUN_DOTTED_ORDER] = as_json(facts->dotted_order, arena);
    if (facts->has_reference_example) {
        char id[UUID_TEXT];
        uuid_write(facts->reference_example, id);
        view->field[RUN_REFERENCE_EXAMPLE_ID] = as_json((struct str){id, sizeof id}, arena);
    }
}

static void add_links(struct fetch *fetch, struct view *view)
{
    if (!fetch->links || !(fetch->fields & SHOW(SHOW_S3_URLS)) || !view->facts ||
        view->facts->attachment_count == 0)
        return;
    struct text text = {0};
    links_show(fetch->links, view->id, view->facts, &text);
    view->s3_urls = arena_copy(fetch->arena, text_str(&text));
    text_free(&text);
}

static void got(struct op *op)
{
    struct fetch *fetch = op_owner(op, struct fetch, read.op);
    if (op->err.code == ERR_NOT_FOUND)
        op->err.code = ERR_CORRUPT; /* there is a row: that its bytes are missing is no 404 */
    fetch->op.err = op->err;
    const struct run *runs = fetch->read.runs;
    for (size_t i = 0; i < fetch->count && !fetch->op.err.code; i++) {
        const struct index_row *row = &fetch->rows[i];
        if (fetch->reads[i]) {
            (void)put_together(&fetch->views[i], row, runs, &fetch->op.err);
            runs += row->holder_count;
        } else {
            fill_from_facts(&fetch->views[i], fetch->arena);
        }
        add_links(fetch, &fetch->views[i]);
    }
    op_finish(&fetch->op);
}
