/* bad_objects.c - see bad_objects.h. */
#include "lib/bad_objects.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "lib/check.h"
#include "lib/hand_loop.h"

/* A put or a GET that waits. */
struct held_object {
    struct held_object *next;
    struct object_put *put;
    struct object_get *get;
};

static struct bad_objects *bad_of(struct objects *objects)
{
    return (struct bad_objects *)(void *)objects; /* its first member */
}

/* Count the call.  True: it fails. */
static bool fails(struct bad_objects *bad, enum bad_object_call call)
{
    const struct bad_objects_plan *p = &bad->plan;
    pthread_mutex_lock(&bad->lock);
    int n = ++bad->calls[call], all = ++bad->all_calls;
    pthread_mutex_unlock(&bad->lock);
    if (p->before)
        p->before(p->context, call, all);
    return p->fails_at > 0 && call == p->call &&
           (p->and_then_always ? n >= p->fails_at : n == p->fails_at);
}

static bool hold(struct bad_objects *bad, struct object_put *put, struct object_get *get)
{
    if (!bad->plan.holds)
        return false;
    struct held_object *held = calloc(1, sizeof *held);
    *held = (struct held_object){bad->held, put, get};
    bad->held = held;
    bad->waiting++;
    bad->waiting_bytes += get ? get->size : 0;
    return true;
}

static int attach(struct objects *objects, struct loop *loop, struct err *err)
{
    struct objects *inner = bad_of(objects)->inner;
    return inner->ops->attach(inner, loop, err);
}

/* A put whose answer is changed. */
struct lost_put {
    struct object_put put;
    struct object_put *asked;
    enum err_code says;
};

static void lost(struct op *op)
{
    struct lost_put *l = op_owner(op, struct lost_put, put.op);
    struct object_put *asked = l->asked;
    enum err_code says = l->says;
    free(l);
    op_fail(&asked->op, says, "the answer was lost");
}

static void put_and_lose(struct bad_objects *bad, struct object_put *put)
{
    struct lost_put *l = calloc(1, sizeof *l);
    l->put = *put;
    l->put.op = (struct op){.loop = put->op.loop, .done = lost};
    l->asked = put;
    l->says = bad->plan.says;
    bad->inner->ops->put(bad->inner, &l->put);
}

/* A put that removes what was there. */
struct over_put {
    struct object_remove remove;
    struct objects *inner;
    struct object_put *asked;
};

static void removed(struct op *op)
{
    struct over_put *o = op_owner(op, struct over_put, remove.op);
    struct objects *inner = o->inner;
    struct object_put *asked = o->asked;
    free(o);
    inner->ops->put(inner, asked);
}

static void put_over(struct bad_objects *bad, struct object_put *put)
{
    struct over_put *o = calloc(1, sizeof *o);
    *o = (struct over_put){
        .remove = {.op = {.loop = put->op.loop, .done = removed}, .name = put->name},
        .inner = bad->inner,
        .asked = put,
    };
    bad->inner->ops->remove(bad->inner, &o->remove);
}

static void put(struct objects *objects, struct object_put *put)
{
    struct bad_objects *bad = bad_of(objects);
    bool bad_one = fails(bad, BAD_PUT);
    if (bad_one && bad->plan.done_all_the_same)
        put_and_lose(bad, put);
    else if (bad_one)
        op_fail(&put->op, bad->plan.says, "as planned");
    else if (bad->plan.overwrites)
        put_over(bad, put);
    else if (!hold(bad, put, NULL))
        bad->inner->ops->put(bad->inner, put);
}

/* A GET of a tail that says another size, or brings less than was asked for. */
struct other_get {
    struct object_get get;
    struct object_get *asked;
    uint64_t pretends;
};

static void got(struct op *op)
{
    struct other_get *o = op_owner(op, struct other_get, get.op);
    struct object_get *asked = o->asked;
    struct op home = asked->op;
    uint64_t pretends = o->pretends;
    *asked = o->get;
    asked->op.loop = home.loop;
    asked->op.done = home.done;
    if (!asked->op.err.code && pretends) {
        asked->total = pretends;
        asked->offset = pretends - asked->size;
    }
    free(o);
    op_finish(&asked->op);
}

static void get_other(struct bad_objects *bad, struct object_get *get)
{
    struct other_get *o = calloc(1, sizeof *o);
    *o = (struct other_get){.get = *get, .asked = get, .pretends = bad->plan.pretends};
    if (bad->plan.tail_max && bad->plan.tail_max < o->get.size)
        o->get.size = bad->plan.tail_max;
    o->get.op = (struct op){.loop = get->op.loop, .done = got};
    bad->inner->ops->get(bad->inner, &o->get);
}

static void get(struct objects *objects, struct object_get *get)
{
    struct bad_objects *bad = bad_of(objects);
    if (fails(bad, BAD_GET))
        op_fail(&get->op, bad->plan.says, "as planned");
    else if (get->tail && (bad->plan.pretends || bad->plan.tail_max))
        get_other(bad, get);
    else if (!hold(bad, NULL, get))
        bad->inner->ops->get(bad->inner, get);
}

static void remove_object(struct objects *objects, struct object_remove *remove)
{
    struct bad_objects *bad = bad_of(objects);
    if (fails(bad, BAD_REMOVE))
        op_fail(&remove->op, bad->plan.says, "as planned");
    else
        bad->inner->ops->remove(bad->inner, remove);
}

static void list(struct objects *objects, struct object_list *list)
{
    struct bad_objects *bad = bad_of(objects);
    if (fails(bad, BAD_LIST))
        op_fail(&list->op, bad->plan.says, "as planned");
    else
        bad->inner->ops->list(bad->inner, list);
}

static void close_lent(struct objects *objects)
{
    bad_of(objects)->closed++;
}

static const struct objects_ops bad_ops = {
    .name = "bad",
    .attach = attach,
    .put = put,
    .get = get,
    .remove = remove_object,
    .list = list,
    .close = close_lent,
};

void bad_objects_open(struct bad_objects *bad, struct objects *inner)
{
    *bad = (struct bad_objects){.objects = {.ops = &bad_ops}, .inner = inner};
    pthread_mutex_init(&bad->lock, NULL);
}

void bad_objects_free(struct bad_objects *bad)
{
    CHECK(!bad->held);
    pthread_mutex_destroy(&bad->lock);
}

void bad_objects_plan(struct bad_objects *bad, struct bad_objects_plan plan)
{
    bad->plan = plan;
    memset(bad->calls, 0, sizeof bad->calls);
    bad->all_calls = 0;
}

bool bad_objects_let_go(struct bad_objects *bad, bool newest)
{
    struct held_object **at = &bad->held;
    if (!*at)
        return false;
    while (!newest && (*at)->next)
        at = &(*at)->next;
    struct held_object *held = *at;
    *at = held->next;
    bad->waiting--;
    bad->waiting_bytes -= held->get ? held->get->size : 0;
    if (held->put)
        bad->inner->ops->put(bad->inner, held->put);
    else
        bad->inner->ops->get(bad->inner, held->get);
    free(held);
    return true;
}

/* ---- done, and waited for ---- */

struct waiting {
    union {
        struct op op;
        struct object_put put;
        struct object_get get;
        struct object_remove remove;
        struct object_list list;
    } call;
    bool done;
};

static void answered(struct op *op)
{
    ((struct waiting *)(void *)op)->done = true; /* the operation is the first member of all */
}

static int wait_for(struct waiting *w, struct loop *loop)
{
    CHECK(hand_loop_until(loop, &w->done));
    return (int)w->call.op.err.code;
}

int objects_put(struct objects *objects, struct loop *loop, struct str name, struct str bytes)
{
    const struct iovec part = {(void *)(uintptr_t)bytes.at, bytes.len};
    struct waiting w = {
        .call.put = {
            .op = {.loop = loop, .done = answered}, .name = name, .parts = &part, .part_count = 1}};
    objects->ops->put(objects, &w.call.put);
    return wait_for(&w, loop);
}

int objects_remove(struct objects *objects, struct loop *loop, struct str name)
{
    struct waiting w = {
        .call.remove = {.op = {.loop = loop, .done = answered}, .name = name},
    };
    objects->ops->remove(objects, &w.call.remove);
    return wait_for(&w, loop);
}

struct buf *objects_get(struct objects *objects, struct loop *loop, struct str name)
{
    struct waiting w = {.call.get = {.op = {.loop = loop, .done = answered},
                                     .name = name,
                                     .tail = true,
                                     .size = (size_t)1 << 30}};
    objects->ops->get(objects, &w.call.get);
    return wait_for(&w, loop) == 0 ? w.call.get.out : NULL;
}

size_t objects_list(struct objects *objects, struct loop *loop, struct str prefix, char *room)
{
    struct arena *arena = arena_new(4096);
    struct waiting w = {.call.list = {.op = {.loop = loop, .done = answered},
                                      .prefix = prefix,
                                      .limit = 1000,
                                      .arena = arena}};
    objects->ops->list(objects, &w.call.list);
    CHECK(wait_for(&w, loop) == 0);
    size_t count = w.call.list.count;
    if (count > 0 && room)
        snprintf(room, 201, "%.*s", STR_FMT(w.call.list.names[0]));
    arena_free(arena);
    return count;
}
