/* call_entity.c - see call_entity.h. */
#include "api/call_entity.h"

#include "base/arena.h"

/* What is done with the entity, and who answers. */
struct call_entity {
    struct uuid id;
    call_step *show, *none;
    const char *name;
    call_over *over;
    int status;
};

/* False: the id is none, and that was answered. */
static bool begin(struct call *call, struct call_entity with)
{
    if (!call_id(call, 0, &with.id))
        return false;
    call->entity = arena_make(call->arena, struct call_entity, 1);
    *call->entity = with;
    return true;
}

/* --- got -------------------------------------------------------------------------------- */

static void got(struct call *call)
{
    if (call->entities.count > 0)
        call->entity->show(call);
    else
        call->entity->none(call);
}

void call_get(struct call *call, enum entity_kind kind, call_step *show, call_step *none)
{
    if (begin(call, (struct call_entity){.show = show, .none = none}))
        call_entities(call,
                      &(struct index_entities){
                          .kind = kind, .ids = &call->entity->id, .id_count = 1, .limit = 1},
                      got);
}

/* --- patched ---------------------------------------------------------------------------- */

static enum change_to make_over(struct change *change)
{
    struct call *call = change->own;
    struct text text = {0};
    if (!change->there)
        return CHANGE_NOTHING;
    call->entity->over(call, change->there, &text);
    change->now.made_us = change->there->made_us;
    change->now.parent = change->there->parent;
    change_json(change, &text, call->entity->name);
    return CHANGE_WRITE;
}

static void patched(struct call *call)
{
    if (call->change.op.err.code == ERR_CONFLICT)
        call_fail(call, 409, "Another %s has this name", entity_kind_name(call->change.now.kind));
    else if (call->change.to == CHANGE_WRITE)
        call->entity->show(call);
    else
        call->entity->none(call);
}

void call_patch(struct call *call, enum entity_kind kind, const char *name, call_over *over,
                call_step *show, call_step *none)
{
    if (!begin(call, (struct call_entity){.show = show, .none = none, .name = name, .over = over}))
        return;
    call_wants(call, ERR_CONFLICT);
    call_change(call,
                &(struct change){
                    .now = {.kind = kind, .id = call->entity->id}, .make = make_over, .own = call},
                patched);
}

/* --- removed ---------------------------------------------------------------------------- */

static enum change_to make_none(struct change *change)
{
    return change->there ? CHANGE_REMOVE : CHANGE_NOTHING;
}

static void removed(struct call *call)
{
    if (call->change.to == CHANGE_REMOVE)
        call_reply_empty(call, call->entity->status);
    else
        call->entity->none(call);
}

void call_remove(struct call *call, enum entity_kind kind, int status, call_step *none)
{
    if (begin(call, (struct call_entity){.status = status, .none = none}))
        call_change(
            call,
            &(struct change){.now = {.kind = kind, .id = call->entity->id}, .make = make_none},
            removed);
}
