/* datasets.c - /datasets: lists of examples, to try programs with.
 *
 *   show_all   how many experiments each has, of all projects at once ⇢ how many examples,
 *              one dataset after another ⇢ the answer
 */
#include "api/dataset.h"

#include "api/api.h"
#include "api/body.h"
#include "api/call_entity.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/clock.h"

enum { LIST_LIMIT = 100, NAME_MAX_BYTES = 8192 };

struct shown {
    const struct entity *datasets;
    struct dataset_counts *counts;
    size_t count, next;
    int64_t began_us;
    bool list;
};

static void no_such(struct call *call)
{
    call_fail(call, 404, "Dataset not found");
}

/* --- showing -------------------------------------------------------------------------------- */

static void reply_all(struct call *call)
{
    struct shown *shown = call->own;
    struct text text = {0};
    if (shown->list)
        text_add_char(&text, '[');
    for (size_t i = 0; i < shown->count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        dataset_show(&text, &shown->datasets[i], &shown->counts[i], call->arena);
    }
    if (shown->list)
        text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static bool count_example(const struct listing *listing, const struct entity *example)
{
    struct dataset_counts *counts = listing->own;
    (void)example;
    counts->examples++;
    return false;
}

static void count_examples(struct call *call);

static void examples_counted(struct call *call)
{
    struct shown *shown = call->own;
    if (call->listing.op.err.code)
        shown->counts[shown->next].examples = -1;
    shown->next++;
    count_examples(call);
}

/* When time is up, the others are shown without. */
static void count_examples(struct call *call)
{
    struct shown *shown = call->own;
    if (clock_mono_us() - shown->began_us > call->api->serve.query_ms * INT64_C(1000))
        while (shown->next < shown->count)
            shown->counts[shown->next++].examples = -1;
    if (shown->next == shown->count) {
        reply_all(call);
        return;
    }
    struct listing ask = {
        .asked = {.kind = ENTITY_EXAMPLE,
                  .parents = &shown->datasets[shown->next].id,
                  .parent_count = 1,
                  .bare = true},
        .takes = count_example,
        .own = &shown->counts[shown->next],
        .limit = 1,
    };
    call_wants(call, ERR_TIMEOUT);
    call_list(call, &ask, examples_counted);
}

static bool count_session(const struct listing *listing, const struct entity *project)
{
    struct shown *shown = listing->own;
    struct json_object object = shape_object(project, listing->step);
    struct uuid dataset;
    if (!json_object_id(&object, STR("reference_dataset_id"), &dataset))
        return false;
    for (size_t i = 0; i < shown->count; i++) {
        struct dataset_counts *counts = &shown->counts[i];
        if (uuid_compare(shown->datasets[i].id, dataset) != 0)
            continue;
        if (counts->sessions++ == 0 || project->made_us > counts->last_session_us)
            counts->last_session_us = project->made_us;
    }
    return false;
}

static void sessions_counted(struct call *call)
{
    struct shown *shown = call->own;
    if (call->listing.op.err.code)
        for (size_t i = 0; i < shown->count; i++)
            shown->counts[i].sessions = -1;
    count_examples(call);
}

static void show_all(struct call *call, const struct entity *datasets, size_t count, bool list)
{
    struct shown *shown = arena_make(call->arena, struct shown, 1);
    call->own = shown;
    *shown = (struct shown){
        .datasets = datasets,
        .counts = arena_make(call->arena, struct dataset_counts, count + 1),
        .count = count,
        .began_us = clock_mono_us(),
        .list = list,
    };
    if (count == 0) {
        reply_all(call);
        return;
    }
    struct listing ask = {
        .asked = {.kind = ENTITY_PROJECT}, .takes = count_session, .own = shown, .limit = 1};
    call_wants(call, ERR_TIMEOUT);
    call_list(call, &ask, sessions_counted);
}

static void show_changed(struct call *call)
{
    show_all(call, &call->change.now, 1, false);
}

/* --- POST, PATCH ----------------------------------------------------------------------------- */

struct post {
    struct body body;
    struct uuid id;
    struct str name;
};

static bool read_post(struct call *call, struct post *post, bool needs_name)
{
    struct body *body = &post->body;
    if (!call_json(call, body))
        return false;
    post->name = body_text(body, "name");
    if (needs_name)
        body_needs(body, "name");
    if (post->name.len > NAME_MAX_BYTES)
        body_fault(body, "name", "string_too_long", "A name has at most 8192 bytes");
    if (post->name.at && post->name.len == 0)
        body_fault(body, "name", "string_too_short", "A name has at least one character");
    shape_check(&dataset_shape, body);
    return call_good(call, body);
}

static enum change_to make_post(struct change *change)
{
    struct post *post = change->own;
    struct text text = {0};
    if (change->there)
        return CHANGE_NOTHING;
    int64_t now = clock_now_us();
    change->now.made_us = now;
    (void)json_object_time(&post->body.object, STR("created_at"), &change->now.made_us);
    dataset_write(&text, change->now.id, post->name, change->now.made_us, now, &post->body.object,
                  NULL);
    change_json(change, &text, "name");
    return CHANGE_WRITE;
}

static void posted(struct call *call)
{
    if (call->change.op.err.code == ERR_CONFLICT || call->change.to == CHANGE_NOTHING)
        call_fail(call, 409, "Dataset already exists: one with this name or id is there");
    else
        show_changed(call);
}

static void post(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    if (!read_post(call, post, true))
        return;
    if (!body_id(&post->body, "id", &post->id))
        post->id = uuid_v7(&(struct uuid_source){0}, clock_now_us());
    if (!call_good(call, &post->body))
        return;
    call_wants(call, ERR_CONFLICT);
    call_change(call,
                &(struct change){.now = {.kind = ENTITY_DATASET, .id = post->id},
                                 .make = make_post,
                                 .own = post},
                posted);
}

CALL(post_dataset, post, CALL_BODY)

static void write_over(struct call *call, const struct entity *there, struct text *text)
{
    struct post *post = call->own;
    struct json_object was = shape_object(there, call->arena);
    dataset_write(text, there->id, post->name.at ? post->name : there->name, there->made_us,
                  clock_now_us(), &post->body.object, &was);
}

static void patch(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    call->own = post;
    if (read_post(call, post, false))
        call_patch(call, ENTITY_DATASET, "name", write_over, show_changed, no_such);
}

CALL(patch_dataset, patch, CALL_BODY)

/* --- DELETE, GET ------------------------------------------------------------------------------ */

static void remove_dataset(struct call *call)
{
    call_remove(call, ENTITY_DATASET, 200, no_such);
}

CALL(delete_dataset, remove_dataset, 0)

static void got(struct call *call)
{
    show_all(call, call->entities.entities, 1, false);
}

static void get(struct call *call)
{
    call_get(call, ENTITY_DATASET, got, no_such);
}

CALL(get_dataset, get, 0)

static bool takes(const struct listing *listing, const struct entity *dataset)
{
    struct json_object object = shape_object(dataset, listing->step);
    return shape_has_all(dataset_metadata(&object, listing->step), listing->own, listing->step);
}

static void listed(struct call *call)
{
    show_all(call, call->listing.entities, call->listing.count, true);
}

static void list(struct call *call)
{
    struct json_object *metadata = arena_make(call->arena, struct json_object, 1);
    struct listing ask = {.asked = {.kind = ENTITY_DATASET}, .own = metadata};
    if (!call_ask_page(call, LIST_LIMIT, &ask.limit, &ask.offset) ||
        !call_ask_ids(call, "id", &ask.asked.ids, &ask.asked.id_count) ||
        !call_ask_object(call, "metadata", metadata))
        return;
    ask.asked.name = call_ask(call, "name");
    ask.asked.name_contains = call_ask(call, "name_contains");
    if (!ask.asked.name_contains.len)
        ask.asked.name_contains = (struct str){0};
    if (metadata->count > 0)
        ask.takes = takes;
    call_list(call, &ask, listed);
}

CALL(list_datasets, list, 0)
