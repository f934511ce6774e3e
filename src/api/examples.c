/* examples.c - /examples: one, or a list in JSON.  (In parts: examples_parts.c.) */
#include "api/api.h"
#include "api/body.h"
#include "api/call_entity.h"
#include "api/examples_store.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "run/facts.h"
#include "run/filter.h"
#include "run/run.h"

enum { LIST_LIMIT = 100, SPLITS_MAX = 64, DELETES_MAX = 1000 };

static void no_such(struct call *call)
{
    call_fail(call, 404, "Example not found");
}

static void show(struct call *call, const struct entity *example)
{
    struct text text = {0};
    example_show(&text, example, &call->api->serve.links, call->arena);
    call_reply(call, 200, &text);
}

/* --- POST /examples, /examples/bulk; PATCH /examples/{id}, /examples/bulk ---------------------- */

static void show_one(struct call *call)
{
    struct examples *examples = call->own;
    show(call, &examples->items[0].entity);
}

static void show_items(struct call *call)
{
    struct examples *examples = call->own;
    struct text text = {0};
    text_add_char(&text, '[');
    for (size_t i = 0; i < examples->count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        example_show(&text, &examples->items[i].entity, &call->api->serve.links, call->arena);
    }
    text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

/* What call->body says of one; false: it was answered. */
static bool read_one(struct call *call, struct example_item *item, bool update)
{
    struct body body;
    if (!call_json(call, &body))
        return false;
    *item = (struct example_item){0};
    (void)body_id(&body, "id", &item->id);
    (void)body_id(&body, "dataset_id", &item->dataset);
    if (!update)
        body_needs(&body, "dataset_id");
    shape_check(&example_shape, &body);
    (void)body_object(&body, "metadata");
    item->said.object = body.object;
    item->said.operations = body_object(&body, "attachments_operations");
    return call_good(call, &body);
}

static struct examples *examples_new(struct call *call, bool update, call_step *done)
{
    struct examples *examples = arena_make(call->arena, struct examples, 1);
    examples->update = update;
    examples->done = done;
    return examples;
}

static void post(struct call *call)
{
    struct examples *examples = examples_new(call, false, show_one);
    size_t cap = 0;
    if (read_one(call, examples_add(examples, &cap, call->arena), false))
        examples_store(call, examples);
}

CALL(post_example, post, EXAMPLES_BODY)

static void patch(struct call *call)
{
    struct examples *examples = examples_new(call, true, show_one);
    size_t cap = 0;
    struct example_item *item = examples_add(examples, &cap, call->arena);
    struct uuid id;
    if (!call_id(call, 0, &id) || !read_one(call, item, true))
        return;
    item->id = id;
    examples_store(call, examples);
}

CALL(patch_example, patch, EXAMPLES_BODY)

static void store_items(struct call *call, bool update)
{
    struct examples *examples = examples_new(call, update, show_items);
    size_t cap = 0, count = 0;
    const struct json_member *list;
    if (!call_json_list(call, &list, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        struct example_item *item = examples_add(examples, &cap, call->arena);
        if (!item) {
            call_fail(call, 422, "At most %d examples can be stored at once", EXAMPLES_MAX);
            return;
        }
        call->body = list[i].value;
        if (!read_one(call, item, update))
            return;
    }
    examples_store(call, examples);
}

static void post_list(struct call *call)
{
    store_items(call, false);
}

static void patch_list(struct call *call)
{
    store_items(call, true);
}

CALL(post_examples, post_list, EXAMPLES_BODY)
CALL(patch_examples, patch_list, EXAMPLES_BODY)

/* --- DELETE ------------------------------------------------------------------------------------ */

static void remove_one(struct call *call)
{
    call_remove(call, ENTITY_EXAMPLE, 200, no_such);
}

CALL(delete_example, remove_one, 0)

static void all_removed(struct call *call)
{
    call_reply_empty(call, 200);
}

static void remove_ids(struct call *call, const struct uuid *ids, size_t count)
{
    struct run *runs = arena_make(call->arena, struct run, count + 1);
    if (count == 0) {
        all_removed(call);
        return;
    }
    for (size_t i = 0; i < count; i++)
        runs[i] = entity_run(&(struct entity){.kind = ENTITY_EXAMPLE, .id = ids[i]},
                             (struct str){0}, NULL);
    call_commit(call, runs, count, all_removed);
}

static void remove_by_query(struct call *call)
{
    const struct uuid *ids;
    size_t count;
    if (!call_ask_ids(call, "example_ids", &ids, &count))
        return;
    if (ids)
        remove_ids(call, ids, count);
    else
        call_fail(call, 422, "example_ids: it has to say which examples");
}

CALL(delete_examples, remove_by_query, 0)

static void remove_by_body(struct call *call)
{
    struct body body;
    size_t count;
    if (!call_json(call, &body))
        return;
    const struct uuid *ids = body_ids(&body, "example_ids", &count);
    body_needs(&body, "example_ids");
    if (count > DELETES_MAX)
        body_fault(&body, "example_ids", "too_long", "At most 1000 can be deleted at once");
    if (call_good(call, &body))
        remove_ids(call, ids, count);
}

CALL(delete_examples_of, remove_by_body, CALL_BODY)

/* --- GET --------------------------------------------------------------------------------------- */

static void got(struct call *call)
{
    show(call, call->entities.entities);
}

static void get(struct call *call)
{
    call_get(call, ENTITY_EXAMPLE, got, no_such);
}

CALL(get_example, get, 0)

/* What the index does not know of an example. */
struct conditions {
    struct json_object metadata;
    struct str splits[SPLITS_MAX];
    size_t split_count;
    const struct filter *filter;
};

/* A filter asks of metadata; to it the example is a run that has nothing else. */
static bool matches(const struct filter *filter, struct str metadata, struct arena *arena)
{
    char spans[8];
    struct text bytes = {0};
    struct facts facts = {0};
    struct filter_subject subject = {0};
    put_u32(spans, 0);
    put_u32(spans + 4, (uint32_t)metadata.len);
    const struct run run = {
        .present = metadata.at ? UINT32_C(1) << RUN_METADATA : 0, .spans = spans, .raw = metadata};
    facts_of(&run, &bytes);
    struct str kept = arena_copy(arena, text_str(&bytes));
    text_free(&bytes);
    if (kept.len && facts_read(kept, arena, &facts, NULL) == 0)
        facts_subject(&facts, &subject);
    bool is = false;
    (void)filter_match(filter, &subject, &is, NULL); /* it searches in nothing, so it is known */
    return is;
}

static bool takes(const struct listing *listing, const struct entity *example)
{
    const struct conditions *wanted = listing->own;
    struct json_object object = shape_object(example, listing->step);
    struct str metadata = json_object_json(&object, STR("metadata"));
    return shape_has_all(metadata, &wanted->metadata, listing->step) &&
           (wanted->split_count == 0 ||
            example_in_split(&object, wanted->splits, wanted->split_count, listing->step)) &&
           (!wanted->filter || matches(wanted->filter, metadata, listing->step));
}

static void listed(struct call *call)
{
    struct text text = {0};
    text_add_char(&text, '[');
    for (size_t i = 0; i < call->listing.count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        example_show(&text, &call->listing.entities[i], &call->api->serve.links, call->arena);
    }
    text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static bool read_conditions(struct call *call, struct conditions *wanted)
{
    struct err err = {0};
    struct str filter = call_ask(call, "filter");
    for (size_t i = 0; i < call->form.count && wanted->split_count < SPLITS_MAX; i++)
        if (str_eq(call->form.fields[i].name, STR("splits")))
            wanted->splits[wanted->split_count++] = call->form.fields[i].value;
    if (!call_ask_object(call, "metadata", &wanted->metadata))
        return false;
    if (!filter.len)
        return true;
    if (filter_parse(filter, call->arena, &wanted->filter, &err))
        call_fail(call, 400, "%s", err.text);
    else if (filter_searches(wanted->filter))
        call_fail(call, 400, "filter: of examples, search and matches are not there");
    else
        return true;
    return false;
}

static void list(struct call *call)
{
    struct conditions *wanted = arena_make(call->arena, struct conditions, 1);
    struct listing ask = {.asked = {.kind = ENTITY_EXAMPLE}, .own = wanted};
    if (!call_ask_page(call, LIST_LIMIT, &ask.limit, &ask.offset) ||
        !call_ask_ids(call, "dataset", &ask.asked.parents, &ask.asked.parent_count) ||
        !call_ask_ids(call, "id", &ask.asked.ids, &ask.asked.id_count) ||
        !read_conditions(call, wanted))
        return;
    if (wanted->metadata.count > 0 || wanted->split_count > 0 || wanted->filter)
        ask.takes = takes;
    if (ask.asked.parents || ask.asked.ids)
        call_list(call, &ask, listed);
    else
        call_fail(call, 400, "Which examples? Ask for those of a dataset, or by id");
}

CALL(list_examples, list, 0)
