/* shares.c - /runs/{id}/share: whether a run, with its trace, is shown without a key; and
 * /v2/runs/{id}/share, which is about the top of the run's trace.
 *
 *   put     the row ⇢ a token that is there ⇢ else a new one, or the one that is asked for
 *   delete  every token of the run is removed; two may be there if two asked at once
 */
#include "api/body.h"
#include "api/call.h"
#include "api/handlers.h"
#include "api/shape.h"
#include "base/arena.h"
#include "base/clock.h"

enum { TOKENS_MAX = 100 };

struct share {
    struct uuid run, token;
    bool v2;
};

static void reply(struct call *call, struct uuid run, struct uuid token)
{
    struct text text = {0};
    text_add_char(&text, '{');
    shape_id(&text, "run_id", run);
    shape_id(&text, "share_token", token);
    text_add_char(&text, '}');
    call_reply(call, 200, &text);
}

static void look_for_tokens(struct call *call, call_step *next)
{
    struct share *share = call->own;
    call_entities(
        call,
        &(struct index_entities){
            .kind = ENTITY_SHARE, .parents = &share->run, .parent_count = 1, .limit = TOKENS_MAX},
        next);
}

static bool begin(struct call *call)
{
    struct share *share = arena_make(call->arena, struct share, 1);
    call->own = share;
    return call_id(call, 0, &share->run);
}

/* --- PUT ------------------------------------------------------------------------------ */

static enum change_to make_share(struct change *change)
{
    struct share *share = change->own;
    struct text text = {0};
    if (change->there)
        return CHANGE_NOTHING;
    text_add_char(&text, '{');
    shape_id(&text, "id", share->token);
    shape_id(&text, "run_id", share->run);
    text_add_char(&text, '}');
    change->now.made_us = clock_now_us();
    change->now.parent = share->run;
    change_json(change, &text, NULL);
    return CHANGE_WRITE;
}

static void shared(struct call *call)
{
    struct share *share = call->own;
    const struct entity *there = call->change.there;
    bool others = there && uuid_compare(there->parent, share->run) != 0;
    if (others || call->change.op.err.code == ERR_CONFLICT)
        call_fail(call, 409, "This token is another run's");
    else
        reply(call, share->run, share->token);
}

static void tokens_found(struct call *call)
{
    struct share *share = call->own;
    if (call->entities.count > 0) {
        reply(call, share->run, call->entities.entities[0].id);
        return;
    }
    call_wants(call, ERR_CONFLICT);
    call_change(call,
                &(struct change){.now = {.kind = ENTITY_SHARE, .id = share->token},
                                 .make = make_share,
                                 .own = share},
                shared);
}

static void run_found(struct call *call)
{
    if (call->find.rows[0].found)
        look_for_tokens(call, tokens_found);
    else
        call_fail(call, 404, "Run not found");
}

static void put(struct call *call)
{
    if (!begin(call))
        return;
    struct share *share = call->own;
    struct body body;
    share->token = uuid_v4();
    if (call->body.len > 0) {
        if (!call_json(call, &body))
            return;
        (void)body_id(&body, "share_token", &share->token);
        if (!call_good(call, &body))
            return;
    }
    call_find(call, &share->run, 1, run_found);
}

CALL(put_share, put, CALL_BODY)

static void v2_run_found(struct call *call)
{
    struct share *share = call->own;
    if (call->find.rows[0].found)
        share->run = call->find.rows[0].trace;
    call_find(call, &share->run, 1, run_found);
}

/* What the body says of the run is what its row says. */
static void v2_post(struct call *call)
{
    if (!begin(call))
        return;
    struct share *share = call->own;
    share->token = uuid_v4();
    call_find(call, &share->run, 1, v2_run_found);
}

CALL(v2_post_share, v2_post, CALL_BODY)

/* --- GET ------------------------------------------------------------------------------ */

static void got(struct call *call)
{
    struct share *share = call->own;
    if (call->entities.count > 0) {
        reply(call, share->run, call->entities.entities[0].id);
        return;
    }
    struct text text = {0};
    text_add(&text, STR("null"));
    call_reply(call, 200, &text);
}

static void get(struct call *call)
{
    if (begin(call))
        look_for_tokens(call, got);
}

CALL(get_share, get, 0)

/* --- DELETE --------------------------------------------------------------------------- */

static void removed(struct call *call)
{
    const struct share *share = call->own;
    call_reply_empty(call, share->v2 ? 204 : 200);
}

static void remove_found(struct call *call)
{
    size_t count = call->entities.count;
    struct run *runs = arena_make(call->arena, struct run, count + 1);
    if (count == 0) {
        removed(call);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct entity gone = call->entities.entities[i];
        gone.json = (struct str){0};
        runs[i] = entity_run(&gone, (struct str){0}, NULL);
    }
    call_commit(call, runs, count, removed);
}

static void remove_share(struct call *call)
{
    if (begin(call))
        look_for_tokens(call, remove_found);
}

CALL(delete_share, remove_share, 0)

static void v2_remove(struct call *call)
{
    if (!begin(call))
        return;
    struct share *share = call->own;
    share->v2 = true;
    look_for_tokens(call, remove_found);
}

CALL(v2_delete_share, v2_remove, CALL_BODY)
