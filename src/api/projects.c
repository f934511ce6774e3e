/* projects.c - /sessions: the projects that runs are in.
 *
 *   post    look for the name; there: 409, or with upsert that one is changed.  Else it is
 *           made; who is second at that looks for the name again
 *   list    a page; when there is no project at all, "default" is made first
 */
#include "api/project.h"

#include "api/api.h"
#include "api/body.h"
#include "api/call.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/clock.h"
#include "run/project.h"

enum { AGAIN_MAX = 8, LIST_LIMIT = 100 };

/* What a body says. */
struct post {
    struct body body;
    struct uuid id;
    struct str name;
    bool has_id, upsert;
    unsigned tries;
};

static bool read_post(struct call *call, struct post *post)
{
    struct body *body = &post->body;
    if (!call_json(call, body))
        return false;
    post->has_id = body_id(body, "id", &post->id);
    post->name = body_text(body, "name");
    if (post->name.len > PROJECT_NAME_MAX)
        body_fault(body, "name", "string_too_long", "A name has at most 8192 bytes");
    if (post->name.at && post->name.len == 0)
        body_fault(body, "name", "string_too_short", "A name has at least one character");
    shape_check(&project_shape, body);
    return true;
}

static void show_changed(struct call *call)
{
    struct text text = {0};
    struct change *change = &call->change;
    struct entity project = change->now;
    struct json_object object = shape_object(&project, call->arena);
    project.name = json_object_text(&object, STR("name"), call->arena);
    if (change->there)
        project.made_us = change->there->made_us;
    project_show(&text, &project, NULL, call->arena);
    call_reply(call, 200, &text);
}

/* --- POST /sessions -------------------------------------------------------------------- */

static void look_for_name(struct call *call);

static enum change_to make_post(struct change *change)
{
    struct post *post = change->own;
    struct text text = {0};
    const struct entity *there = change->there;
    if (there && !post->upsert)
        return CHANGE_NOTHING;
    int64_t start_us = clock_now_us();
    if (there)
        start_us = there->made_us;
    else
        (void)json_object_time(&post->body.object, STR("start_time"), &start_us);
    struct json_object was = shape_object(there, change->arena);
    project_write(&text, change->now.id, post->name, start_us, &post->body.object, &was);
    change->now.made_us = start_us;
    change_json(change, &text, "name");
    return CHANGE_WRITE;
}

static void posted(struct call *call)
{
    struct post *post = call->own;
    bool taken = call->change.op.err.code == ERR_CONFLICT;
    if (taken && post->upsert && !post->has_id && ++post->tries < AGAIN_MAX)
        look_for_name(call);
    else if (taken || call->change.to == CHANGE_NOTHING)
        call_fail(call, 409, "Session already exists: a project with this name or id is there");
    else
        show_changed(call);
}

static void name_looked_for(struct call *call)
{
    struct post *post = call->own;
    bool there = call->entities.count > 0;
    if (there && !post->upsert) {
        call_fail(call, 409, "Session already exists: there is a project %.100s",
                  arena_copy(call->arena, post->name).at);
        return;
    }
    struct uuid id = there          ? call->entities.entities[0].id
                     : post->has_id ? post->id
                                    : uuid_v7(&(struct uuid_source){0}, clock_now_us());
    call_wants(call, ERR_CONFLICT);
    call_change(
        call,
        &(struct change){.now = {.kind = ENTITY_PROJECT, .id = id}, .make = make_post, .own = post},
        posted);
}

static void look_for_name(struct call *call)
{
    struct post *post = call->own;
    call_entities(call,
                  &(struct index_entities){.kind = ENTITY_PROJECT, .name = post->name, .limit = 1},
                  name_looked_for);
}

static void post(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    call->own = post;
    if (!read_post(call, post))
        return;
    post->upsert = call_asks(call, "upsert", false);
    body_needs(&post->body, "name");
    if (call_good(call, &post->body))
        look_for_name(call);
}

CALL(post_project, post, CALL_BODY)

/* --- GET, PATCH, DELETE /sessions/{id} ------------------------------------------------------ */

static void no_such(struct call *call)
{
    call_fail(call, 404, "Project not found");
}

static enum change_to make_patch(struct change *change)
{
    struct post *post = change->own;
    struct text text = {0};
    const struct entity *there = change->there;
    if (!there)
        return CHANGE_NOTHING;
    struct json_object was = shape_object(there, change->arena);
    project_write(&text, there->id, post->name.at ? post->name : there->name, there->made_us,
                  &post->body.object, &was);
    change->now.made_us = there->made_us;
    change_json(change, &text, "name");
    return CHANGE_WRITE;
}

static void patched(struct call *call)
{
    if (call->change.op.err.code == ERR_CONFLICT)
        call_fail(call, 409, "Another project has this name");
    else if (!call->change.there)
        no_such(call);
    else
        show_changed(call);
}

static void patch(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    struct uuid id;
    if (!call_id(call, 0, &id))
        return;
    if (!read_post(call, post) || !call_good(call, &post->body))
        return;
    call_wants(call, ERR_CONFLICT);
    call_change(call,
                &(struct change){
                    .now = {.kind = ENTITY_PROJECT, .id = id}, .make = make_patch, .own = post},
                patched);
}

CALL(patch_project, patch, CALL_BODY)

static void remove_project(struct call *call)
{
    call_remove(call, ENTITY_PROJECT, 202, no_such);
}

CALL(delete_project, remove_project, 0)

/* --- showing, with numbers if they are asked for ---------------------------------------------- */

struct shown {
    const struct entity *projects;
    size_t count, next;
    bool list;
    int64_t began_us;
    struct str *json; /* of each */
};

static void reply_all(struct call *call)
{
    struct shown *shown = call->own;
    struct text text = {0};
    if (shown->list)
        text_add_char(&text, '[');
    for (size_t i = 0; i < shown->count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        text_add(&text, shown->json[i]);
    }
    if (shown->list)
        text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static void show_one(struct call *call, const struct serve_stats *stats)
{
    struct shown *shown = call->own;
    struct text text = {0};
    project_show(&text, &shown->projects[shown->next], stats, call->arena);
    shown->json[shown->next++] = arena_copy(call->arena, text_str(&text));
    text_free(&text);
}

static void counted(struct call *call);

/* The next project's runs are counted; when time is up, the others are shown without. */
static void count_next(struct call *call)
{
    struct shown *shown = call->own;
    if (clock_mono_us() - shown->began_us > call->api->serve.query_ms * INT64_C(1000))
        while (shown->next < shown->count)
            show_one(call, NULL);
    if (shown->next == shown->count) {
        reply_all(call);
        return;
    }
    struct serve_stats ask = {
        .query = {.projects = &shown->projects[shown->next].id,
                  .project_count = 1,
                  .start_min_us = INT64_MIN,
                  .start_max_us = INT64_MAX},
        .feedback = true,
    };
    call_wants(call, ERR_TIMEOUT);
    call_stats(call, &ask, counted);
}

static void counted(struct call *call)
{
    show_one(call, call->stats.op.err.code ? NULL : &call->stats);
    count_next(call);
}

static void show_all(struct call *call)
{
    struct shown *shown = call->own;
    shown->json = arena_make(call->arena, struct str, shown->count + 1);
    shown->began_us = clock_mono_us();
    if (call_asks(call, "include_stats", false)) {
        count_next(call);
        return;
    }
    while (shown->next < shown->count)
        show_one(call, NULL);
    reply_all(call);
}

/* --- GET /sessions ----------------------------------------------------------------------------- */

/* What the index does not know of a project. */
struct conditions {
    const struct uuid *datasets;
    size_t dataset_count;
    bool free; /* of a dataset */
    bool by_freedom;
    struct json_object metadata;
};

static bool takes(const struct listing *listing, const struct entity *project)
{
    const struct conditions *wanted = listing->own;
    struct json_object object = shape_object(project, listing->step);
    struct uuid dataset = {0};
    bool has = json_object_id(&object, STR("reference_dataset_id"), &dataset);
    bool among = !wanted->datasets;
    for (size_t i = 0; i < wanted->dataset_count; i++)
        among = among || (has && uuid_compare(dataset, wanted->datasets[i]) == 0);
    if (!among || (wanted->by_freedom && has == wanted->free))
        return false;
    struct str extra = json_object_json(&object, STR("extra"));
    struct json_object inside = {0};
    struct json_scan scan;
    if (extra.at)
        (void)json_object_read(extra, listing->step, &inside, &scan);
    return shape_has_all(json_object_json(&inside, STR("metadata")), &wanted->metadata,
                         listing->step);
}

static int oldest_first(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    if (x->made_us != y->made_us)
        return x->made_us < y->made_us ? -1 : 1;
    return uuid_compare(x->id, y->id);
}

static int by_name(const void *a, const void *b)
{
    const struct entity *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = len ? memcmp(x->name.at, y->name.at, len) : 0;
    if (order == 0 && x->name.len != y->name.len)
        order = x->name.len < y->name.len ? -1 : 1;
    return order ? order : oldest_first(a, b);
}

static int by_name_down(const void *a, const void *b)
{
    return -by_name(a, b);
}

static listing_order *order_of(const struct call *call)
{
    bool down = call_asks(call, "sort_by_desc", true);
    if (str_eq(call_ask(call, "sort_by"), STR("name")))
        return down ? by_name_down : by_name;
    return down ? NULL : oldest_first;
}

static void list(struct call *call);

static enum change_to make_default(struct change *change)
{
    struct text text = {0};
    change->now.made_us = clock_now_us();
    project_write(&text, change->now.id, STR("default"), change->now.made_us, NULL, NULL);
    change_json(change, &text, "name");
    return CHANGE_WRITE;
}

/* There is always one: clients look for it to learn whose they are.  With an id of its own,
 * since runs of one that was deleted would come back with the old one. */
static void make_first(struct call *call)
{
    struct uuid id = uuid_v7(&(struct uuid_source){0}, clock_now_us());
    call_wants(call, ERR_CONFLICT); /* it is there by now */
    call_change(call,
                &(struct change){.now = {.kind = ENTITY_PROJECT, .id = id}, .make = make_default},
                list);
}

static bool is_first(const struct call *call)
{
    return call->listing.count == 0 && call->listing.offset == 0 && !call->change.op.done &&
           !call->listing.takes && !call->listing.asked.ids &&
           !call->listing.asked.name_contains.at &&
           (!call->listing.asked.name.at || str_eq(call->listing.asked.name, STR("default")));
}

static void listed(struct call *call)
{
    struct shown *shown = arena_make(call->arena, struct shown, 1);
    if (is_first(call)) {
        make_first(call);
        return;
    }
    call->own = shown;
    *shown = (struct shown){
        .projects = call->listing.entities, .count = call->listing.count, .list = true};
    show_all(call);
}

static void list(struct call *call)
{
    struct conditions *wanted = arena_make(call->arena, struct conditions, 1);
    struct listing ask = {.asked = {.kind = ENTITY_PROJECT}, .own = wanted};
    if (!call_ask_page(call, LIST_LIMIT, &ask.limit, &ask.offset) ||
        !call_ask_ids(call, "id", &ask.asked.ids, &ask.asked.id_count) ||
        !call_ask_ids(call, "reference_dataset", &wanted->datasets, &wanted->dataset_count) ||
        !call_ask_object(call, "metadata", &wanted->metadata))
        return;
    ask.asked.name = call_ask(call, "name");
    ask.asked.name_contains = call_ask(call, "name_contains");
    if (!ask.asked.name_contains.len)
        ask.asked.name_contains = (struct str){0};
    wanted->by_freedom = call_ask(call, "reference_free").len > 0;
    wanted->free = call_asks(call, "reference_free", false);
    if (wanted->datasets || wanted->by_freedom || wanted->metadata.count > 0)
        ask.takes = takes;
    ask.order = order_of(call);
    call_list(call, &ask, listed);
}

CALL(list_projects, list, 0)

static void got(struct call *call)
{
    struct shown *shown = arena_make(call->arena, struct shown, 1);
    if (call->entities.count == 0) {
        no_such(call);
        return;
    }
    call->own = shown;
    *shown = (struct shown){.projects = call->entities.entities, .count = 1};
    show_all(call);
}

static void get(struct call *call)
{
    struct uuid *id = arena_make(call->arena, struct uuid, 1);
    if (call_id(call, 0, id))
        call_entities(
            call,
            &(struct index_entities){.kind = ENTITY_PROJECT, .ids = id, .id_count = 1, .limit = 1},
            got);
}

CALL(get_project, get, 0)

/* --- GET /sessions/resolutions: the project of an agent's address ------------------------------- */

static void resolved(struct call *call)
{
    struct text text = {0};
    if (call->entities.count == 0) {
        no_such(call);
        return;
    }
    text_add_char(&text, '{');
    shape_id(&text, "session_id", call->entities.entities[0].id);
    text_add_char(&text, '}');
    call_reply(call, 200, &text);
}

static void resolve(struct call *call)
{
    struct text name = {0};
    struct str environment = call_ask(call, "environment");
    text_add(&name, call_ask(call, "id"));
    text_add_char(&name, '/');
    for (size_t i = 0; i < environment.len; i++) {
        char c = environment.at[i];
        text_add_char(&name, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    struct str kept = arena_copy(call->arena, text_str(&name));
    text_free(&name);
    call_entities(call, &(struct index_entities){.kind = ENTITY_PROJECT, .name = kept, .limit = 1},
                  resolved);
}

CALL(resolve_project, resolve, 0)
