/* json_object_test.c - the members of an object, and what they say. */
#include "base/arena.h"
#include "lib/check.h"
#include "wire/json_object.h"

static struct arena *arena;
static struct json_object object;
static struct json_scan scan;

static enum json_object_fault read_it(struct str text)
{
    arena_free(arena);
    arena = arena_new(256);
    return json_object_read(text, arena, &object, &scan);
}

static const struct json_member *get(const char *name)
{
    return json_object_get(&object, (struct str){name, strlen(name)});
}

TEST(members_are_found_by_what_their_key_means)
{
    CHECK(read_it(STR(" {\"a\":1, \"b\" : {\"a\":2} , \"\\u0063\":[3] } ")) == JSON_OBJECT_READ);
    CHECK(object.count == 3);
    CHECK(str_eq(object.text, STR("{\"a\":1, \"b\" : {\"a\":2} , \"\\u0063\":[3] }")));
    CHECK(get("a") && str_eq(get("a")->value, STR("1")));
    CHECK(get("b") && str_eq(get("b")->value, STR("{\"a\":2}")));
    CHECK(get("c") && get("c")->type == JSON_LIST);
    CHECK(!get("d"));
}

TEST(the_last_of_a_key_counts)
{
    CHECK(read_it(STR("{\"a\":1,\"a\":null,\"a\":3}")) == JSON_OBJECT_READ);
    CHECK(str_eq(get("a")->value, STR("3")));
}

TEST(many_members_are_all_kept)
{
    char text[4096] = "{";
    for (int i = 0; i < 100; i++)
        sprintf(text + strlen(text), "%s\"k%d\":%d", i ? "," : "", i, i);
    strcat(text, "}");
    CHECK(read_it((struct str){text, strlen(text)}) == JSON_OBJECT_READ);
    CHECK(object.count == 100);
    CHECK(get("k0") && get("k99") && str_eq(get("k99")->value, STR("99")));
}

TEST(what_is_no_object_is_told_from_what_is_no_json)
{
    CHECK(read_it(STR("[{\"a\":1}]")) == JSON_OBJECT_OTHER);
    CHECK(read_it(STR("null")) == JSON_OBJECT_OTHER);
    CHECK(read_it(STR("{\"a\":}")) == JSON_OBJECT_NO_JSON);
    CHECK(scan.offset == 5 && scan.fault);
    CHECK(read_it(STR("{\"a\":1")) == JSON_OBJECT_NO_JSON);
    CHECK(read_it(STR("")) == JSON_OBJECT_NO_JSON);
    CHECK(read_it(STR("{} {}")) == JSON_OBJECT_NO_JSON);
}

TEST(times_are_texts_or_milliseconds)
{
    int64_t us = 7;
    CHECK(read_it(STR("{\"a\":\"1970-01-01T00:00:01Z\",\"b\":1500,\"c\":1.5,\"d\":null,\"e\":\"x\","
                      "\"f\":999999999999999999,\"g\":-1}")) == JSON_OBJECT_READ);
    CHECK(json_member_time(get("a"), &us) && us == 1000000);
    CHECK(json_member_time(get("b"), &us) && us == 1500000);
    CHECK(json_member_time(get("g"), &us) && us == -1000);
    CHECK(!json_member_time(get("c"), &us) && !json_member_time(get("d"), &us));
    CHECK(!json_member_time(get("e"), &us) && !json_member_time(get("f"), &us));
    CHECK(us == -1000);
}

TEST(whole_numbers_have_no_fraction_and_no_nineteen_digits)
{
    int64_t n = 7;
    CHECK(read_it(STR("{\"a\":-12,\"b\":1e3,\"c\":1234567890123456789,\"d\":\"1\",\"e\":0}")) ==
          JSON_OBJECT_READ);
    CHECK(json_member_whole(get("a"), &n) && n == -12);
    CHECK(!json_member_whole(get("b"), &n) && !json_member_whole(get("c"), &n));
    CHECK(!json_member_whole(get("d"), &n) && n == -12);
    CHECK(json_member_whole(get("e"), &n) && n == 0);
}

TEST(what_is_null_or_of_another_type_says_nothing)
{
    struct uuid id;
    CHECK(read_it(STR("{\"a\":null,\"b\":3,\"c\":\"\",\"d\":\"x\\ny\"}")) == JSON_OBJECT_READ);
    CHECK(!json_object_json(&object, STR("a")).at && !json_object_json(&object, STR("z")).at);
    CHECK(!json_object_text(&object, STR("b"), arena).at);
    CHECK(json_object_text(&object, STR("c"), arena).at);
    CHECK(str_eq(json_object_text(&object, STR("d"), arena), STR("x\ny")));
    CHECK(!json_object_id(&object, STR("d"), &id));
}

TEST(lists_are_read_item_by_item)
{
    size_t count;
    const struct json_member *items =
        json_list_read(STR("[1, {\"a\":[2,3]}, \"x\", []]"), arena, &count);
    CHECK(count == 4 && items[1].type == JSON_OBJECT && items[2].type == JSON_STRING);
    CHECK(str_eq(items[1].value, STR("{\"a\":[2,3]}")));
    (void)json_list_read(STR("[]"), arena, &count);
    CHECK(count == 0);
}
