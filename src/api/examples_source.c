/* examples_source.c - see examples_source.h. */
#include "api/examples_source.h"

#include <stdlib.h>

#include "base/arena.h"
#include "run/render.h"

/* --- which runs ------------------------------------------------------------------------------ */

/* False: it was answered. */
static bool ask(struct call *call, struct example_item *item)
{
    const struct json_object *said = &item->said.object;
    struct str io = json_object_json(said, STR("use_source_run_io"));
    struct str files = json_object_json(said, STR("use_source_run_attachments"));
    item->sourced = str_eq(io, STR("true"));
    if (io.at && !item->sourced && !str_eq(io, STR("false")))
        call_fail(call, 422, "use_source_run_io should be true or false");
    else if (files.at && !str_eq(files, STR("[]")) && !str_eq(files, STR("false")))
        call_fail(call, 422,
                  "use_source_run_attachments is not supported: send the attachments themselves");
    else if (item->sourced && !json_object_id(said, STR("source_run_id"), &item->source))
        call_fail(call, 422, "use_source_run_io needs a source_run_id");
    else
        return true;
    return false;
}

static int by_id(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

/* The runs that examples ask for, each once, in order. */
static const struct uuid *sources(const struct examples *examples, struct arena *arena,
                                  size_t *count)
{
    struct uuid *ids = arena_make(arena, struct uuid, examples->count);
    size_t asked = 0, kept = 0;
    for (size_t i = 0; i < examples->count; i++)
        if (examples->items[i].sourced)
            ids[asked++] = examples->items[i].source;
    qsort(ids, asked, sizeof *ids, by_id);
    for (size_t i = 0; i < asked; i++)
        if (i == 0 || uuid_compare(ids[i], ids[kept - 1]) != 0)
            ids[kept++] = ids[i];
    *count = kept;
    return ids;
}

/* --- what they say ----------------------------------------------------------------------------- */

/* A field as an object, as runs are shown. */
static struct str object_of(struct str json, const char *name, struct arena *arena)
{
    struct text text = {0};
    if (!json.at || json.at[0] == '{')
        return json;
    text_addf(&text, "{\"%s\":", name);
    text_add(&text, json);
    text_add_char(&text, '}');
    struct str object = arena_copy(arena, text_str(&text));
    text_free(&text);
    return object;
}

/* Runs may be nested as deeply as any JSON may be; an example is one level deeper. */
static bool is_too_deep(struct str json, struct arena *arena)
{
    struct json_object object;
    struct json_scan scan;
    struct text text = {0};
    text_add(&text, STR("{\"inputs\":"));
    text_add(&text, json);
    text_add_char(&text, '}');
    bool good = json_object_read(text_str(&text), arena, &object, &scan) == JSON_OBJECT_READ;
    text_free(&text);
    return !good;
}

/* False: it was answered. */
static bool take(struct call *call, struct example_item *item, const char *name, struct str of_run,
                 struct str *field)
{
    struct str key = {name, strlen(name)};
    struct str said = field->at ? *field : json_object_json(&item->said.object, key);
    if (!of_run.at || (said.at && !shape_is_empty(said)))
        return true;
    if (of_run.len > EXAMPLE_SIZE)
        call_fail(call, 413, "The %s of the source run are larger than %d MiB", name,
                  EXAMPLE_SIZE >> 20);
    else if (is_too_deep(of_run, call->arena))
        call_fail(call, 422, "The %s of the source run are nested too deep for an example", name);
    else {
        *field = of_run;
        return true;
    }
    return false;
}

static void runs_read(struct call *call)
{
    struct examples *examples = call->own;
    size_t size = 0;
    for (size_t i = 0; i < examples->count; i++) {
        struct example_item *item = &examples->items[i];
        if (!item->sourced)
            continue;
        const struct uuid *id =
            bsearch(&item->source, call->find.ids, call->find.count, sizeof *id, by_id);
        const struct view *view = &call->fetch.views[id - call->find.ids];
        struct str inputs = object_of(view->field[RUN_INPUTS], "input", call->arena);
        struct str outputs = object_of(view->field[RUN_OUTPUTS], "output", call->arena);
        if (!take(call, item, "inputs", inputs, &item->said.inputs) ||
            !take(call, item, "outputs", outputs, &item->said.outputs))
            return;
        size += inputs.len + outputs.len;
        if (size > EXAMPLES_BODY) { /* one run may be the source of many */
            call_fail(call, 413,
                      "What the source runs say is over %d MiB: send fewer examples "
                      "at once",
                      EXAMPLES_BODY >> 20);
            return;
        }
    }
    if (call_charge(call, size))
        examples->next(call);
}

static void runs_found(struct call *call)
{
    const struct index_row *rows = call->find.rows;
    for (size_t i = 0; i < call->find.count; i++)
        if (!rows[i].found) {
            char id[UUID_TEXT];
            uuid_write(call->find.ids[i], id);
            call_fail(call, 404, "source_run_id: Run with ID %.*s not found", UUID_TEXT, id);
            return;
        }
    call_fetch(call,
               &(struct fetch){.rows = rows,
                               .count = call->find.count,
                               .fields = SHOW(SHOW_INPUTS) | SHOW(SHOW_OUTPUTS)},
               runs_read);
}

void examples_source(struct call *call, struct examples *examples, call_step *next)
{
    size_t count;
    for (size_t i = 0; i < examples->count; i++)
        if (!ask(call, &examples->items[i]))
            return;
    const struct uuid *ids = sources(examples, call->arena, &count);
    examples->next = next;
    if (count > 0)
        call_find(call, ids, count, runs_found);
    else
        next(call);
}
