/* v2_lists.c - GET /v2/sessions, /v2/datasets: as v2 of the LangSmith API lists them.
 *
 * A cursor is how many come before the page.
 */
#include "api/call.h"
#include "api/dataset.h"
#include "api/handlers.h"
#include "api/project.h"
#include "api/v2.h"
#include "base/arena.h"
#include "run/entity.h"

enum { DIGITS_MAX = 9 };

static bool read_count(struct str text, uint32_t *count)
{
    *count = 0;
    if (text.len > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *count = *count * 10 + (uint32_t)(text.at[i] - '0');
    }
    return true;
}

/* One more than the page has, to see whether there is another page. */
static bool ask_page(struct call *call, struct listing *ask)
{
    uint32_t size = V2_PAGE;
    struct str asked = call_ask(call, "page_size");
    if (asked.len && (!read_count(asked, &size) || size < 1 || size > V2_PAGE_MAX)) {
        call_fail(call, 422, "page_size should be between 1 and %d", V2_PAGE_MAX);
        return false;
    }
    if (!read_count(call_ask(call, "cursor"), &ask->offset)) {
        call_fail(call, 422, "cursor should be a next_cursor of an earlier answer");
        return false;
    }
    ask->limit = size + 1;
    return true;
}

static void add_project(struct call *call, const struct entity *project, struct text *text)
{
    struct json_object object = shape_object(project, call->arena);
    bool experiment = json_object_json(&object, STR("reference_dataset_id")).at != NULL;
    project_show(text, project, NULL, call->arena);
    text->len--; /* its last brace */
    text_addf(text, ",\"type\":\"%s\"}", experiment ? "EXPERIMENT" : "PROJECT");
}

static void add_item(struct call *call, const struct entity *entity, struct text *text)
{
    static const struct dataset_counts unknown = {-1, -1, 0};
    if (entity->kind == ENTITY_DATASET)
        dataset_show(text, entity, &unknown, call->arena);
    else
        add_project(call, entity, text);
}

static void listed(struct call *call)
{
    const struct listing *list = &call->listing;
    size_t count = list->count < list->limit ? list->count : list->limit - 1;
    struct text text = {0};
    text_add(&text, STR("{\"items\":["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        add_item(call, &list->entities[i], &text);
    }
    if (count < list->count)
        text_addf(&text, "],\"next_cursor\":\"%zu\"}", list->offset + count);
    else
        text_add(&text, STR("],\"next_cursor\":null}"));
    call_reply(call, 200, &text);
}

/* What the index does not know of a project. */
static bool takes(const struct listing *listing, const struct entity *project)
{
    const struct uuid *dataset = listing->own;
    struct uuid its;
    struct json_object object = shape_object(project, listing->step);
    return json_object_id(&object, STR("reference_dataset_id"), &its) &&
           uuid_compare(its, *dataset) == 0;
}

/* What both lists are asked by.  False: answered. */
static bool ask_names(struct call *call, struct listing *ask)
{
    if (!ask_page(call, ask) || !call_ask_ids(call, "id", &ask->asked.ids, &ask->asked.id_count))
        return false;
    ask->asked.name = call_ask(call, "name");
    ask->asked.name_contains = call_ask(call, "name_contains");
    if (!ask->asked.name_contains.len)
        ask->asked.name_contains = (struct str){0};
    return true;
}

static void list(struct call *call)
{
    struct listing ask = {.asked = {.kind = ENTITY_PROJECT}};
    struct uuid *dataset = arena_make(call->arena, struct uuid, 1);
    bool by_dataset = false;
    if (!ask_names(call, &ask) || !call_ask_id(call, "reference_dataset_id", dataset, &by_dataset))
        return;
    ask.own = dataset;
    ask.takes = by_dataset ? takes : NULL;
    call_list(call, &ask, listed);
}

CALL(v2_list_projects, list, 0)

static void list_datasets_of(struct call *call)
{
    struct listing ask = {.asked = {.kind = ENTITY_DATASET}};
    if (ask_names(call, &ask))
        call_list(call, &ask, listed);
}

CALL(v2_list_datasets, list_datasets_of, 0)
