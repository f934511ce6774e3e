/* many_entities.c - see many_entities.h. */
#include "lib/many_entities.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/budget.h"
#include "lib/make_record.h"

static void set(const struct many_entities *many, size_t i, bool bare, struct arena *arena,
                struct entity *entity)
{
    *entity = (struct entity){
        .id = make_id(i),
        .parent = make_id(i % many->parents),
        .name = i % 2 ? STR("odd") : STR("even"),
        .made_us = (int64_t)(many->count - i),
        .version = 1,
    };
    if (bare)
        return;
    char *json = arena_alloc(arena, many->size + 32);
    int len = snprintf(json, many->size + 32, "{\"score\":1,\"x\":\"%0*d\"}", (int)many->size, 0);
    entity->json = (struct str){json, (size_t)len};
}

static bool is_asked(const struct many_entities *many, size_t i, const struct index_entities *asked)
{
    struct uuid parent = make_id(i % many->parents);
    for (size_t k = 0; k < asked->parent_count; k++)
        if (uuid_compare(asked->parents[k], parent) == 0)
            return true;
    return asked->parents == NULL;
}

static void entities(struct index *index, struct index_entities *asked)
{
    struct many_entities *many = op_owner(index, struct many_entities, index);
    size_t used = many->budget ? atomic_load(&many->budget->used) : 0, bytes = 0;
    size_t i = asked->after ? many->count - (size_t)asked->cursor.made_us + 1 : 0;
    many->held = used > many->held ? used : many->held;
    many->pages++;
    asked->count = 0;
    asked->more = false;
    asked->entities = arena_make(asked->arena, struct entity, asked->limit);
    for (; i < many->count && !asked->more; i++) {
        if (!is_asked(many, i, asked))
            continue;
        struct entity *entity = &asked->entities[asked->count];
        asked->more = asked->count == asked->limit;
        if (asked->more)
            break;
        set(many, i, asked->bare, asked->arena, entity);
        bytes += entity->json.len + entity->name.len;
        asked->more = asked->bytes > 0 && asked->count > 0 && bytes > asked->bytes;
        if (asked->more)
            break;
        asked->cursor = (struct entity_cursor){entity->made_us, entity->id};
        asked->count++;
    }
    many->given += asked->count;
    op_finish(&asked->op);
}

void many_entities(struct many_entities *many, size_t count, size_t parents, size_t size)
{
    static const struct index_ops ops = {.name = "many", .entities = entities};
    *many = (struct many_entities){
        .index = {.ops = &ops}, .count = count, .parents = parents, .size = size};
}
