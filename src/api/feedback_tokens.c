/* feedback_tokens.c - /feedback/tokens: addresses at which feedback may be given to one run
 * under one key, by whoever has them; until they expire.
 *
 *   post    one, or a list of them: stored, all or none
 *   use     GET or POST of the address: the token ⇢ its run's row ⇢ a new feedback
 */
#include <stdio.h>

#include "api/body.h"
#include "api/call_entity.h"
#include "api/feedback_object.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/clock.h"
#include "wire/json_string.h"

enum {
    LIST_LIMIT = 100,
    TOKENS_MAX = 100,
    KEY_MAX = 1024,
    EXPIRES_HOURS = 3,
    USE_BODY = 64 << 10 /* whoever has the address says this much at once, and no more */
};

struct token {
    struct entity entity; /* json: as stored */
    struct str key;       /* as text */
    int64_t expires_us;
};

/* --- showing -------------------------------------------------------------------------------- */

/* The address is the one the client came by, since it is to be given to others. */
static void add_url(struct text *text, struct call *call, struct uuid id)
{
    struct str host = http_header(call->request, STR("host"));
    struct str scheme = http_header(call->request, STR("x-forwarded-proto"));
    char room[UUID_TEXT];
    struct text url = {0};
    uuid_write(id, room);
    if (host.len)
        text_addf(&url, "%s://%.*s", str_eq(scheme, STR("https")) ? "https" : "http",
                  STR_FMT(host));
    text_addf(&url, "/feedback/tokens/%.*s", UUID_TEXT, room);
    shape_text(text, "url", text_str(&url));
    text_free(&url);
}

static void show(struct text *text, struct call *call, struct uuid id, struct str key,
                 int64_t expires_us)
{
    text_add_char(text, '{');
    shape_id(text, "id", id);
    add_url(text, call, id);
    shape_time(text, "expires_at", expires_us);
    shape_text(text, "feedback_key", key);
    text_add_char(text, '}');
}

static int64_t expiry_of(const struct entity *token, struct arena *arena)
{
    struct json_object object = shape_object(token, arena);
    int64_t us = INT64_MIN;
    (void)json_object_time(&object, STR("expires_at"), &us);
    return us;
}

/* --- POST /feedback/tokens -------------------------------------------------------------------- */

struct post {
    bool list;
    size_t count;
    struct token tokens[TOKENS_MAX];
};

static int64_t expires_in(struct call *call, struct body *body)
{
    struct str in = body_object(body, "expires_in");
    struct json_object object = {0};
    struct json_scan scan;
    int64_t minutes = EXPIRES_HOURS * 60, sum = 0;
    static const struct {
        const char *name;
        int64_t minutes;
    } units[] = {{"days", 1440}, {"hours", 60}, {"minutes", 1}};
    if (in.at && json_object_read(in, call->arena, &object, &scan) == JSON_OBJECT_READ) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            const struct json_member *member =
                json_object_get(&object, (struct str){units[i].name, strlen(units[i].name)});
            int64_t n = 0;
            if (!member || member->type == JSON_NULL)
                continue;
            if (!json_member_whole(member, &n) || n < 0 || n > 1000000)
                body_fault(body, "expires_in", "int_type", "Input should be a valid integer");
            else
                sum += n * units[i].minutes;
        }
        minutes = sum;
    }
    return clock_now_us() + minutes * 60 * 1000000;
}

/* One token that is asked for; false: it makes no sense, and was answered. */
static bool read_token(struct call *call, struct body *body, struct token *token)
{
    struct entity *entity = &token->entity;
    *entity = (struct entity){.kind = ENTITY_TOKEN, .id = uuid_v4(), .made_us = clock_now_us()};
    body_needs(body, "run_id");
    body_needs(body, "feedback_key");
    (void)body_id(body, "run_id", &entity->parent);
    token->key = body_text(body, "feedback_key");
    if (token->key.len > KEY_MAX)
        body_fault(body, "feedback_key", "string_too_long", "A key has at most 1024 bytes");
    if (!body_time(body, "expires_at", &token->expires_us))
        token->expires_us = expires_in(call, body);
    struct str config = body_object(body, "feedback_config");
    if (!call_good(call, body))
        return false;
    struct text text = {0};
    text_add_char(&text, '{');
    shape_id(&text, "id", entity->id);
    shape_text(&text, "feedback_key", token->key);
    shape_id(&text, "run_id", entity->parent);
    shape_time(&text, "expires_at", token->expires_us);
    shape_json(&text, "feedback_config", config);
    text_add_char(&text, '}');
    entity->json = arena_copy(call->arena, text_str(&text));
    text_free(&text);
    return true;
}

static void posted(struct call *call)
{
    struct post *post = call->own;
    struct text text = {0};
    if (call->batch.verdict == INDEX_CONFLICT) {
        call_fail(call, 409, "The tokens could not be made; try again");
        return;
    }
    if (post->list)
        text_add_char(&text, '[');
    for (size_t i = 0; i < post->count; i++) {
        const struct token *token = &post->tokens[i];
        if (i > 0)
            text_add_char(&text, ',');
        show(&text, call, token->entity.id, token->key, token->expires_us);
    }
    if (post->list)
        text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static void store(struct call *call)
{
    struct post *post = call->own;
    struct run *runs = arena_make(call->arena, struct run, post->count);
    for (size_t i = 0; i < post->count; i++) {
        const struct entity *entity = &post->tokens[i].entity;
        struct json_object object = shape_object(entity, call->arena);
        runs[i] = entity_run(entity, json_object_json(&object, STR("feedback_key")),
                             arena_alloc(call->arena, ENTITY_SPANS));
    }
    call_commit(call, runs, post->count, posted);
}

static bool is_list(struct str json)
{
    size_t blank = 0;
    while (blank < json.len && json.at[blank] && strchr(" \t\r\n", json.at[blank]))
        blank++;
    return blank < json.len && json.at[blank] == '[';
}

static void post_list(struct call *call, struct post *post)
{
    size_t count = 0;
    const struct json_member *items;
    if (!call_json_list(call, &items, &count))
        return;
    if (count > TOKENS_MAX) {
        call_fail(call, 422, "At most %d tokens can be made at once; these are %zu", TOKENS_MAX,
                  count);
        return;
    }
    post->list = true;
    post->count = count;
    for (size_t i = 0; i < count; i++) {
        struct body one;
        call->body = items[i].value;
        if (!call_json(call, &one) || !read_token(call, &one, &post->tokens[i]))
            return;
    }
    store(call);
}

static void post(struct call *call)
{
    struct post *post = arena_make(call->arena, struct post, 1);
    struct body body;
    call->own = post;
    if (is_list(call->body)) {
        post_list(call, post);
        return;
    }
    post->count = 1;
    if (call_json(call, &body) && read_token(call, &body, &post->tokens[0]))
        store(call);
}

CALL(post_tokens, post, CALL_BODY)

/* --- GET /feedback/tokens?run_id= --------------------------------------------------------------- */

static void listed(struct call *call)
{
    struct text text = {0};
    text_add_char(&text, '[');
    for (size_t i = 0; i < call->listing.count; i++) {
        const struct entity *token = &call->listing.entities[i];
        if (i > 0)
            text_add_char(&text, ',');
        show(&text, call, token->id, token->name, expiry_of(token, call->arena));
    }
    text_add_char(&text, ']');
    call_reply(call, 200, &text);
}

static void list(struct call *call)
{
    struct listing ask = {.asked = {.kind = ENTITY_TOKEN}};
    if (!call_ask_page(call, LIST_LIMIT, &ask.limit, &ask.offset) ||
        !call_ask_ids(call, "run_id", &ask.asked.parents, &ask.asked.parent_count))
        return;
    if (ask.asked.parents)
        call_list(call, &ask, listed);
    else
        call_fail(call, 422, "run_id: it has to say which run's tokens");
}

CALL(list_tokens, list, 0)

/* --- GET, POST /feedback/tokens/{token} ------------------------------------------------------------ */

struct use {
    struct feedback_new feedback;
    struct json_object said;
};

static enum change_to make_feedback(struct change *change)
{
    struct use *use = change->own;
    struct text text = {0};
    feedback_object_new(&text, &use->feedback);
    change->now.made_us = use->feedback.made_us;
    change->now.parent = use->feedback.run;
    change_json(change, &text, "key");
    return CHANGE_WRITE;
}

static void given(struct call *call)
{
    call_reply_empty(call, 200);
}

static void run_found(struct call *call)
{
    struct use *use = call->own;
    if (call->find.rows[0].found)
        use->feedback.row = &call->find.rows[0];
    call_change(call,
                &(struct change){.now = {.kind = ENTITY_FEEDBACK, .id = use->feedback.id},
                                 .make = make_feedback,
                                 .blind = true,
                                 .own = use},
                given);
}

static void no_such(struct call *call)
{
    call_fail(call, 404, "No such token");
}

static void token_found(struct call *call)
{
    struct use *use = call->own;
    const struct entity *token = call->entities.entities;
    int64_t now = clock_now_us();
    if (expiry_of(token, call->arena) <= now) {
        call_fail(call, 403, "The token has expired");
        return;
    }
    if (str_eq(http_method(call->request), STR("HEAD"))) { /* it only looks */
        call_reply_empty(call, 200);
        return;
    }
    use->feedback.id = uuid_v7(&(struct uuid_source){0}, now);
    use->feedback.run = token->parent;
    use->feedback.key = token->name;
    use->feedback.made_us = use->feedback.changed_us = now;
    use->feedback.said = &use->said;
    call_find(call, &use->feedback.run, 1, run_found);
}

/* What may be said with a token; whose feedback it is, and under which key, is the token's. */
static const char *const sayable[] = {"score", "value", "comment", "correction"};

enum { SAYABLE = sizeof sayable / sizeof *sayable };

static struct str end_said(struct text *text, struct call *call)
{
    shape_json(text, "feedback_source",
               STR("{\"type\":\"app\",\"metadata\":{},\"user_id\":null,\"user_name\":null}"));
    text_add_char(text, '}');
    struct str json = arena_copy(call->arena, text_str(text));
    text_free(text);
    return json;
}

/* What the query string says, as JSON: a score is a number where it reads as one. */
static struct str said_by_query(struct call *call)
{
    struct text text = {0};
    text_add_char(&text, '{');
    for (size_t i = 0; i < SAYABLE; i++) {
        struct str value = call_ask(call, sayable[i]);
        struct json_scan scan;
        if (!value.at)
            continue;
        json_scan_start(&scan, JSON_VALUE);
        bool number = i == 0 && json_scan_next(&scan, value.at, value.len, true) == JSON_ITEM &&
                      scan.type == JSON_NUMBER &&
                      json_scan_next(&scan, value.at, value.len, true) == JSON_END;
        bool truth = i == 0 && (str_eq(value, STR("true")) || str_eq(value, STR("false")));
        if (number || truth)
            shape_json(&text, sayable[i], value);
        else if (i > 0)
            shape_text(&text, sayable[i], value);
    }
    return end_said(&text, call);
}

static struct str said_by_body(struct call *call, const struct body *body)
{
    struct text text = {0};
    text_add_char(&text, '{');
    for (size_t i = 0; i < SAYABLE; i++) {
        struct str json = body_json(body, sayable[i]);
        if (json.at)
            shape_json(&text, sayable[i], json);
    }
    return end_said(&text, call);
}

static void use_token_for(struct call *call, struct str said)
{
    struct use *use = arena_make(call->arena, struct use, 1);
    struct json_scan scan;
    call->own = use;
    (void)json_object_read(said, call->arena, &use->said, &scan);
    call_get(call, ENTITY_TOKEN, token_found, no_such);
}

static void use_by_query(struct call *call)
{
    use_token_for(call, said_by_query(call));
}

CALL(get_token, use_by_query, 0)

static void use_by_body(struct call *call)
{
    struct body body;
    if (call->body.len == 0) {
        use_by_query(call);
        return;
    }
    if (!call_json(call, &body))
        return;
    shape_check(&feedback_shape, &body);
    if (call_good(call, &body))
        use_token_for(call, said_by_body(call, &body));
}

CALL(use_token, use_by_body, USE_BODY)
