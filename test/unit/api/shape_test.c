/* shape_test.c - objects of entities: what was said over what was there. */
#include "api/shape.h"

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/entity.h"

static const struct shape_member members[] = {
    {"a", "null", SHAPE_ANY}, {"t", "\"now\"", SHAPE_TIME}, {"s", "null", SHAPE_SCORE}};
static const struct shape shape = {members, 3};

static struct arena *arena;

static struct json_object object_of(const char *json)
{
    const struct entity entity = {.json = {json, strlen(json)}};
    return shape_object(&entity, arena);
}

static bool writes(const char *said, bool nulls, const char *was, const char *json)
{
    struct text text = {0};
    arena = arena_new(1024);
    struct json_object new = object_of(said ? said : "{}"), old = object_of(was ? was : "{}");
    text_add_char(&text, '{');
    shape_write(&shape, said ? &new : NULL, nulls, was ? &old : NULL, &text);
    text_add_char(&text, '}');
    bool good = str_eq(text_str(&text), (struct str){json, strlen(json)});
    if (!good)
        fprintf(stderr, "%.*s\n", STR_FMT(text_str(&text)));
    text_free(&text);
    arena_free(arena);
    return good;
}

TEST(all_members_are_there_in_their_order)
{
    CHECK(writes(NULL, false, NULL, "{\"a\":null,\"t\":\"now\",\"s\":null}"));
    CHECK(writes("{\"s\":2,\"x\":9,\"a\":[ 1 ]}", false, NULL,
                 "{\"a\":[ 1 ],\"t\":\"now\",\"s\":2}"));
}

TEST(what_is_said_stands_over_what_was)
{
    const char *was = "{\"a\":1,\"s\":3}";
    CHECK(writes("{\"a\":2}", false, was, "{\"a\":2,\"t\":\"now\",\"s\":3}"));
    CHECK(writes("{\"a\":null}", false, was, "{\"a\":1,\"t\":\"now\",\"s\":3}"));
    CHECK(writes("{\"a\":null}", true, was, "{\"a\":null,\"t\":\"now\",\"s\":3}"));
    CHECK(writes("{}", true, was, "{\"a\":1,\"t\":\"now\",\"s\":3}"));
}

TEST(times_and_scores_are_written_one_way)
{
    CHECK(writes("{\"t\":1000,\"s\":true}", false, NULL,
                 "{\"a\":null,\"t\":\"1970-01-01T00:00:01.000000Z\",\"s\":1}"));
    CHECK(writes("{\"t\":\"2020-01-01T01:00:00+01:00\",\"s\":false}", false, NULL,
                 "{\"a\":null,\"t\":\"2020-01-01T00:00:00.000000Z\",\"s\":0}"));
    CHECK(writes("{\"t\":\"x\",\"s\":\"y\"}", false, NULL,
                 "{\"a\":null,\"t\":\"x\",\"s\":\"y\"}")); /* as it came */
}

TEST(an_entity_without_an_object_has_no_members)
{
    arena = arena_new(64);
    CHECK(object_of("").count == 0 && object_of("[1]").count == 0 && object_of("{").count == 0);
    CHECK(shape_object(NULL, arena).count == 0);
    arena_free(arena);
}

TEST(all_of_an_object_stands_in_another)
{
    arena = arena_new(64);
    const struct str json = STR("{\"a\":\"x\\u0079\",\"b\":1,\"\\u0063\":true}");
    struct json_object all = object_of("{\"a\":\"xy\",\"c\":true}"), none = object_of("{}");
    struct json_object other = object_of("{\"b\":2}"), more = object_of("{\"b\":1,\"d\":1}");
    CHECK(shape_has_all(json, &all, arena) && shape_has_all(json, &none, arena));
    CHECK(!shape_has_all(json, &other, arena) && !shape_has_all(json, &more, arena));
    CHECK(!shape_has_all((struct str){0}, &all, arena));
    arena_free(arena);
}
