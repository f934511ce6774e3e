/* object_desk.c - see object_desk.h. */
#include "store/object_desk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"
#include "store/object.h"

enum { FIRST = 1 << 20 /* bytes of an object that are asked for without knowing its size */ };

struct object_desk {
    struct objects *objects;
    struct loop *loop;
};

int object_desk_open(struct objects *objects, unsigned loop_index, struct object_desk **result,
                     struct err *err)
{
    struct object_desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        abort();
    desk->objects = objects;
    int r = loop_open(loop_index, "desk", &desk->loop, err);
    if (!r)
        r = objects->ops->attach(objects, desk->loop, err);
    if (r)
        object_desk_close(desk);
    else
        *result = desk;
    return r;
}

void object_desk_close(struct object_desk *desk)
{
    if (!desk)
        return;
    loop_close(desk->loop);
    free(desk);
}

static int get(struct object_desk *desk, struct object_get *get, struct err *err)
{
    get->op = (struct op){.loop = desk->loop, .done = loop_wake};
    desk->objects->ops->get(desk->objects, get);
    return loop_wait(&get->op, err);
}

int object_desk_get(struct object_desk *desk, struct str name, size_t most, struct buf **result,
                    struct err *err)
{
    struct object_get tail = {.name = name, .tail = true, .size = most < FIRST ? most : FIRST};
    int r = get(desk, &tail, err);
    if (r)
        return r;
    if (tail.total > most) { /* as much memory is not made ready because a server says so */
        buf_unref(tail.out);
        return err_set(err, ERR_CORRUPT, "%.*s has %" PRIu64 " bytes, more than it can have",
                       STR_FMT(name), tail.total);
    }
    if (tail.offset == 0) {
        *result = tail.out;
        return 0;
    }
    buf_unref(tail.out);
    struct object_get all = {.name = name, .size = (size_t)tail.total};
    r = get(desk, &all, err);
    if (!r)
        *result = all.out;
    return r;
}

int object_desk_put(struct object_desk *desk, struct str name, struct str bytes, struct err *err)
{
    char room[OBJECT_DESK_PUT];
    assert(bytes.len <= sizeof room);
    memcpy(room, bytes.at, bytes.len);
    const struct iovec part = {room, bytes.len};
    struct object_put put = {.op = {.loop = desk->loop, .done = loop_wake},
                             .name = name,
                             .parts = &part,
                             .part_count = 1};
    desk->objects->ops->put(desk->objects, &put);
    return loop_wait(&put.op, err);
}

int object_desk_remove(struct object_desk *desk, struct str name, struct err *err)
{
    struct object_remove remove = {.op = {.loop = desk->loop, .done = loop_wake}, .name = name};
    desk->objects->ops->remove(desk->objects, &remove);
    return loop_wait(&remove.op, err);
}

int object_desk_list(struct object_desk *desk, struct str prefix, struct str after, size_t limit,
                     struct arena *arena, struct str **names, size_t *count, struct err *err)
{
    struct object_list list = {
        .op = {.loop = desk->loop, .done = loop_wake},
        .prefix = prefix,
        .after = after,
        .limit = limit,
        .arena = arena,
    };
    desk->objects->ops->list(desk->objects, &list);
    int r = loop_wait(&list.op, err);
    if (!r) {
        *names = list.names;
        *count = list.count;
    }
    return r;
}
