/* feedback.c - /feedback: what was said of runs.
 *
 *   post    its run's row, for what it does not say ⇢ stored, whatever had its id before
 *   list    by run, key, kind of source, project; the last needs the rows of runs whose
 *           feedback came among their parts: some feedback ⇢ their rows, until the page is full
 */
#include <stdlib.h>

#include "api/api.h"
#include "api/body.h"
#include "api/call_entity.h"
#include "api/feedback_object.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/clock.h"

enum { LIST_LIMIT = 100, KEY_MAX = 1024, BY_PROJECT_STEP = 1000 };

static void no_such(struct call *call)
{
    call_fail(call, 404, "Feedback not found");
}

static void show(struct call *call, const struct entity *feedback)
{
    struct text text = {0};
    feedback_object_show(&text, feedback, call->arena);
    call_reply(call, 200, &text);
}

static void show_changed(struct call *call)
{
    show(call, &call->change.now);
}

/* --- POST /feedback -------------------------------------------------------------------- */

struct post {
    struct body body;
    struct feedback_new feedback;
};

static enum change_to make_post(struct change *change)
{
    struct post *post = change->own;
    struct text text = {0};
    if (change->there)
        post->feedback.made_us = change->there->made_us;
    feedback_object_new(&text, &post->feedback);
    change->now.made_us = post->feedback.made_us;
    change->now.parent = post->feedback.run;
    change_json(change, &text, "key");
    return CHANGE_WRITE;
}

static void posted(struct call *call)
{
    if (call->change.op.err.code == ERR_CONFLICT)
        call_fail(call, 409, "This id is that of feedback to a run that was deleted");
    else
        show_changed(call);
}

static void store_post(struct call *call)
{
    struct post *post = call->own;
    call_wants(call, ERR_CONFLICT);
    call_change(call,
                &(struct change){.now = {.kind = ENTITY_FEEDBACK, .id = post->feedback.id},
                                 .make = make_post,
                                 .own = post},
                posted);
}

static void run_found(struct call *call)
{
    struct post *post = call->own;
    if (call->find.rows[0].found)
        post->feedback.row = &call->find.rows[0];
    store_post(call);
}

static bool read_post(struct call *call, struct post *post)
{
    struct body *body = &post->body;
    struct feedback_new *feedback = &post->feedback;
    if (!call_json(call, body))
        return false;
    int64_t now = clock_now_us();
    *feedback = (struct feedback_new){.said = &body->object, .made_us = now, .changed_us = now};
    body_needs(body, "key");
    feedback->key = body_text(body, "key");
    if (feedback->key.len > KEY_MAX)
        body_fault(body, "key", "string_too_long", "A key has at most 1024 bytes");
    if (!body_id(body, "id", &feedback->id))
        feedback->id = uuid_v7(&(struct uuid_source){0}, now);
    (void)body_id(body, "run_id", &feedback->run);
    (void)body_time(body, "created_at", &feedback->made_us);
    struct uuid id;
    (void)body_id(body, "trace_id", &id);
    (void)body_id(body, "session_id", &id);
    shape_check(&feedback_shape, body);
    return call_good(call, body);
}

static void post(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    call->own = post;
    if (!read_post(call, post))
        return;
    bool whole = body_json(&post->body, "session_id").at && body_json(&post->body, "trace_id").at;
    if (uuid_is_zero(post->feedback.run) || whole)
        store_post(call);
    else
        call_find(call, &post->feedback.run, 1, run_found);
}

CALL(post_feedback, post, CALL_BODY)

/* --- GET, PATCH, DELETE /feedback/{id} -------------------------------------------------------- */

static void got(struct call *call)
{
    show(call, call->entities.entities);
}

static void get(struct call *call)
{
    call_get(call, ENTITY_FEEDBACK, got, no_such);
}

CALL(get_feedback, get, 0)

static void write_over(struct call *call, const struct entity *there, struct text *text)
{
    const struct body *body = call->own;
    feedback_object_over(text, there, &body->object, clock_now_us(), call->arena);
}

static void patch(struct call *call)
{
    struct body *body = arena_make(call->arena, struct body, 1);
    call->own = body;
    if (!call_json(call, body))
        return;
    shape_check(&feedback_shape, body);
    if (call_good(call, body))
        call_patch(call, ENTITY_FEEDBACK, "key", write_over, show_changed, no_such);
}

CALL(patch_feedback, patch, CALL_BODY)

static void remove_feedback(struct call *call)
{
    call_remove(call, ENTITY_FEEDBACK, 200, no_such);
}

CALL(delete_feedback, remove_feedback, 0)

/* --- GET /feedback ------------------------------------------------------------------------------ */

/* What the index does not know of feedback. */
struct conditions {
    const struct form *form; /* key=, source= */
    bool by_key, by_source, by_project;
    const struct uuid *projects;
    size_t project_count;
    uint32_t limit, offset; /* with projects: of those that are theirs, which are: */
    struct entity *theirs;
    size_t count, passed;
    int64_t began_us;
};

static bool is_asked(const struct form *form, struct str name, struct str value)
{
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->fields[i].name, name) && str_eq(form->fields[i].value, value))
            return true;
    return false;
}

static bool is_among(struct uuid id, const struct uuid *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_compare(ids[i], id) == 0)
            return true;
    return false;
}

static bool takes(const struct listing *listing, const struct entity *feedback)
{
    const struct conditions *wanted = listing->own;
    if (wanted->by_key &&
        !is_asked(wanted->form, STR("key"), feedback->name.at ? feedback->name : STR("")))
        return false;
    if (!wanted->by_source && !wanted->by_project)
        return true;
    struct json_object object = shape_object(feedback, listing->step), source = {0};
    struct uuid project;
    if (wanted->by_project && json_object_id(&object, STR("session_id"), &project) &&
        !is_among(project, wanted->projects, wanted->project_count))
        return false;
    if (!wanted->by_source)
        return true;
    struct str json = json_object_json(&object, STR("feedback_source"));
    struct json_scan scan;
    if (json.at)
        (void)json_object_read(json, listing->step, &source, &scan);
    struct str type = json_object_text(&source, STR("type"), listing->step);
    return is_asked(wanted->form, STR("source"), type.at ? type : STR("api"));
}

static void show_list(struct call *call, const struct entity *feedback, size_t count)
{
    struct text text = {0};
    text_add_char(&text, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text_add_char(&text, ',');
        feedback_object_show(&text, &feedback[i], call->arena);
    }
    text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static void listed_by_project(struct call *call);

static void go_on(struct call *call)
{
    struct conditions *wanted = call->listing.own;
    unsigned most_ms = call->api->serve.query_ms;
    if (clock_mono_us() - wanted->began_us > most_ms * INT64_C(1000)) {
        call_fail(call, 503, "Not found in %u s; ask for the feedback of runs", most_ms / 1000);
        return;
    }
    const struct listing *before = &call->listing;
    const struct entity *last = &before->entities[before->count - 1];
    struct listing ask = {
        .asked = before->asked, .takes = before->takes, .own = wanted, .limit = BY_PROJECT_STEP};
    ask.asked.after = true;
    ask.asked.cursor = (struct entity_cursor){.made_us = last->made_us, .id = last->id};
    call_step_begin(call);
    call_list(call, &ask, listed_by_project);
}

/* Now that the rows say which projects their runs are in. */
static void rows_found(struct call *call)
{
    struct conditions *wanted = call->listing.own;
    const struct listing *listing = &call->listing;
    size_t bytes = 0;
    for (size_t i = 0, row = 0; i < listing->count && wanted->count < wanted->limit; i++) {
        struct json_object object = shape_object(&listing->entities[i], call->step);
        struct uuid project;
        bool known = json_object_id(&object, STR("session_id"), &project);
        const struct index_row *its = known ? NULL : &call->find.rows[row++];
        if (!known &&
            !(its->found && is_among(its->project, wanted->projects, wanted->project_count)))
            continue;
        if (wanted->passed++ < wanted->offset)
            continue;
        wanted->theirs[wanted->count++] = listing_copy(&listing->entities[i], call->arena);
        bytes += listing->entities[i].json.len;
    }
    if (bytes > 0 && !call_charge(call, bytes))
        return;
    if (wanted->count == wanted->limit || listing->count < listing->limit)
        show_list(call, wanted->theirs, wanted->count);
    else
        go_on(call);
}

/* Of feedback that does not say its project the run is asked. */
static void listed_by_project(struct call *call)
{
    struct uuid *runs = arena_make(call->step, struct uuid, call->listing.count + 1), project;
    size_t count = 0;
    for (size_t i = 0; i < call->listing.count; i++) {
        struct json_object object = shape_object(&call->listing.entities[i], call->step);
        if (!json_object_id(&object, STR("session_id"), &project))
            runs[count++] = call->listing.entities[i].parent;
    }
    if (count > 0)
        call_find(call, runs, count, rows_found);
    else
        rows_found(call);
}

static void listed(struct call *call)
{
    show_list(call, call->listing.entities, call->listing.count);
}

static size_t times_asked(const struct call *call, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < call->form.count; i++)
        count += str_eq(call->form.fields[i].name, name);
    return count;
}

static void list(struct call *call)
{
    struct conditions *wanted = arena_make(call->arena, struct conditions, 1);
    struct listing ask = {.asked = {.kind = ENTITY_FEEDBACK}, .own = wanted};
    if (!call_ask_page(call, LIST_LIMIT, &ask.limit, &ask.offset) ||
        !call_ask_ids(call, "run", &ask.asked.parents, &ask.asked.parent_count) ||
        !call_ask_ids(call, "session", &wanted->projects, &wanted->project_count))
        return;
    wanted->form = &call->form;
    wanted->by_key = times_asked(call, STR("key")) > 1;
    wanted->by_source = times_asked(call, STR("source")) > 0;
    wanted->by_project = wanted->project_count > 0;
    if (times_asked(call, STR("key")) == 1)
        ask.asked.name = call_ask(call, "key");
    if (wanted->by_key || wanted->by_source || wanted->by_project)
        ask.takes = takes;
    wanted->limit = ask.limit;
    wanted->offset = ask.offset;
    if (wanted->by_project) {
        ask.limit = BY_PROJECT_STEP;
        ask.offset = 0;
        wanted->theirs = arena_make(call->arena, struct entity, wanted->limit);
        wanted->began_us = clock_mono_us();
        call_step_begin(call);
    }
    call_list(call, &ask, wanted->by_project ? listed_by_project : listed);
}

CALL(list_feedback, list, 0)
