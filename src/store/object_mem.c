/* object_mem.c - objects in memory: for tests, and the plainest form of the
 * contract in object.h.
 *
 * An array in the order of the names, under one lock.  Nothing blocks, so the
 * work is done in the call and only the answer takes the way through the loop.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "store/object.h"

struct object {
    char *name; /* heap */
    size_t name_len;
    struct buf *bytes;
};

struct memory {
    struct objects objects;
    pthread_mutex_t lock; /* over what follows */
    struct object *object;
    size_t count, cap;
};

static struct memory *memory_of(struct objects *objects)
{
    return (struct memory *)objects; /* its first member */
}

static int compare(struct str a, struct str b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int r = least ? memcmp(a.at, b.at, least) : 0;
    return r ? r : (a.len > b.len) - (a.len < b.len);
}

static struct str name_of(const struct object *object)
{
    return (struct str){object->name, object->name_len};
}

/* The first object whose name is not less than `name`. */
static size_t find(const struct memory *memory, struct str name)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(name_of(&memory->object[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct memory *memory, size_t i, struct str name)
{
    return i < memory->count && str_eq(name_of(&memory->object[i]), name);
}

static int attach(struct objects *objects, struct loop *loop, struct err *err)
{
    (void)objects;
    (void)loop;
    (void)err;
    return 0;
}

static void insert(struct memory *memory, size_t i, struct object object)
{
    if (memory->count == memory->cap) {
        size_t cap = memory->cap ? 2 * memory->cap : 16;
        struct object *more = realloc(memory->object, cap * sizeof *more);
        if (!more)
            abort();
        memory->object = more;
        memory->cap = cap;
    }
    memmove(memory->object + i + 1, memory->object + i, (memory->count - i) * sizeof object);
    memory->object[i] = object;
    memory->count++;
}

static void put(struct objects *objects, struct object_put *p)
{
    struct memory *memory = memory_of(objects);
    p->op.err = (struct err){0};
    if (!object_name_valid(p->name)) {
        op_fail(&p->op, ERR_INVALID, "not an object's name");
        return;
    }
    size_t size = 0;
    for (size_t i = 0; i < p->part_count; i++)
        size += p->parts[i].iov_len;
    struct object object = {
        .name = malloc(p->name.len), .name_len = p->name.len, .bytes = buf_new(size)};
    if (!object.name || !object.bytes) {
        free(object.name);
        buf_unref(object.bytes);
        op_fail(&p->op, ERR_BUSY, "no memory for %zu bytes", size);
        return;
    }
    memcpy(object.name, p->name.at, p->name.len);
    for (size_t i = 0; i < p->part_count; i++) {
        if (p->parts[i].iov_len)
            memcpy(object.bytes->at + object.bytes->len, p->parts[i].iov_base, p->parts[i].iov_len);
        object.bytes->len += p->parts[i].iov_len;
    }

    pthread_mutex_lock(&memory->lock);
    size_t i = find(memory, p->name);
    bool exists = is_at(memory, i, p->name);
    if (!exists)
        insert(memory, i, object);
    pthread_mutex_unlock(&memory->lock);
    if (exists) {
        free(object.name);
        buf_unref(object.bytes);
        op_fail(&p->op, ERR_CONFLICT, "%.*s exists", STR_FMT(p->name));
        return;
    }
    op_finish(&p->op);
}

static void get(struct objects *objects, struct object_get *g)
{
    struct memory *memory = memory_of(objects);
    g->op.err = (struct err){0};
    if (!object_name_valid(g->name)) {
        op_fail(&g->op, ERR_INVALID, "not an object's name");
        return;
    }
    pthread_mutex_lock(&memory->lock);
    size_t i = find(memory, g->name);
    struct buf *bytes = is_at(memory, i, g->name) ? buf_ref(memory->object[i].bytes) : NULL;
    pthread_mutex_unlock(&memory->lock);
    if (!bytes) {
        op_fail(&g->op, ERR_NOT_FOUND, "no object %.*s", STR_FMT(g->name));
        return;
    }

    struct buf *out = NULL;
    if (g->tail)
        object_take_tail(g, bytes->len);
    if (g->offset > bytes->len || g->size > bytes->len - g->offset) {
        op_fail(&g->op, ERR_CORRUPT, "%.*s has only %zu bytes", STR_FMT(g->name), bytes->len);
    } else if (!(out = buf_new(g->size))) {
        op_fail(&g->op, ERR_BUSY, "no memory for %zu bytes", g->size);
    } else {
        memcpy(out->at, bytes->at + g->offset, g->size);
        out->len = g->size;
        g->out = out;
        op_finish(&g->op);
    }
    buf_unref(bytes);
}

static void remove_object(struct objects *objects, struct object_remove *r)
{
    struct memory *memory = memory_of(objects);
    r->op.err = (struct err){0};
    if (!object_name_valid(r->name)) {
        op_fail(&r->op, ERR_INVALID, "not an object's name");
        return;
    }
    pthread_mutex_lock(&memory->lock);
    size_t i = find(memory, r->name);
    if (is_at(memory, i, r->name)) {
        free(memory->object[i].name);
        buf_unref(memory->object[i].bytes);
        memory->count--;
        memmove(memory->object + i, memory->object + i + 1,
                (memory->count - i) * sizeof *memory->object);
    }
    pthread_mutex_unlock(&memory->lock);
    op_finish(&r->op);
}

static void list(struct objects *objects, struct object_list *l)
{
    struct memory *memory = memory_of(objects);
    assert(l->limit >= 1 && l->limit <= 1000);
    l->op.err = (struct err){0};
    l->names = arena_make(l->arena, struct str, l->limit);
    l->count = 0;
    pthread_mutex_lock(&memory->lock);
    bool from_prefix = compare(l->prefix, l->after) > 0;
    for (size_t i = find(memory, from_prefix ? l->prefix : l->after);
         i < memory->count && l->count < l->limit; i++) {
        struct str name = name_of(&memory->object[i]);
        if (compare(name, l->after) <= 0)
            continue;
        if (!str_eq((struct str){name.at, name.len < l->prefix.len ? name.len : l->prefix.len},
                    l->prefix))
            break;
        l->names[l->count++] = arena_copy(l->arena, name);
    }
    pthread_mutex_unlock(&memory->lock);
    op_finish(&l->op);
}

static void close_memory(struct objects *objects)
{
    struct memory *memory = memory_of(objects);
    for (size_t i = 0; i < memory->count; i++) {
        free(memory->object[i].name);
        buf_unref(memory->object[i].bytes);
    }
    free(memory->object);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct objects_ops memory_ops = {
    .name = "memory",
    .attach = attach,
    .put = put,
    .get = get,
    .remove = remove_object,
    .list = list,
    .close = close_memory,
};

int object_mem_open(struct objects **result, struct err *err)
{
    (void)err;
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        abort();
    memory->objects.ops = &memory_ops;
    pthread_mutex_init(&memory->lock, NULL);
    *result = &memory->objects;
    return 0;
}
