/* json_walk_test.c - the walk finds what the scanner finds, and stays inside of anything. */
#include "wire/json_walk.h"

#include <stdlib.h>
#include <string.h>

#include "lib/check.h"
#include "wire/json_scan.h"

static struct str str(const char *s)
{
    return (struct str){s, strlen(s)};
}

static const char *const documents[] = {
    "{}",
    "[]",
    " { } ",
    "{\"a\":1}",
    "\n{ \"a\" : [ 1 , { \"b\" : \"}\" } ] ,\t\"c\\\"\" : \"\\\\\" , \"\" : -1.5e+3 }\r\n",
    "[1,\"a,]\",[[],{}],{\"a\":[\"\\\\\\\"\"]},true,null]",
    "{\"a\":{\"a\":{\"a\":[[[\"{\"]]]}},\"a\":false}",
    "\"text \\\" more\"",
    "12",
    "null",
};

/* Members of an object, one after the other, as json_scan tells them. */
TEST(members_are_those_that_the_scanner_finds)
{
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct str json = str(documents[i]), key;
        struct json_walk walk = json_walk(json);
        struct json_scan scan;
        bool object = json_walk_object(&walk);
        json_scan_start(&scan, JSON_VALUE);
        while (json_scan_next(&scan, json.at, json.len, true) == JSON_FIELD) {
            CHECK(object && json_walk_member(&walk, &key));
            CHECK(key.at == json.at + scan.key.at && key.len == scan.key.len);
            struct str value = json_walk_value(&walk);
            CHECK(value.at == json.at + scan.value.at && value.len == scan.value.len);
        }
        CHECK(object == (scan.type == JSON_OBJECT));
        if (object)
            CHECK(!json_walk_member(&walk, &key));
        else
            CHECK(json_walk_value(&walk).len == scan.value.len);
        CHECK(walk.at == json.at + scan.value.at + scan.value.len);
    }
}

/* Go into everything. */
static size_t count(struct json_walk *walk)
{
    struct str key;
    size_t values = 1;
    if (json_walk_object(walk))
        while (json_walk_member(walk, &key))
            values += count(walk);
    else if (json_walk_list(walk))
        while (json_walk_element(walk))
            values += count(walk);
    else
        json_walk_value(walk);
    return values;
}

TEST(a_walk_into_everything_ends_where_a_walk_past_it_ends)
{
    static const size_t values[] = {1, 1, 1, 2, 7, 11, 8, 1, 1, 1};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct json_walk into = json_walk(str(documents[i])), past = into;
        CHECK(count(&into) == values[i]);
        json_walk_value(&past);
        CHECK(into.at == past.at);
    }
}

/* Also of what is cut off, or no JSON at all; in memory of its own size. */
TEST(a_walk_stays_inside_of_whatever_it_is_given)
{
    static const char *const odd[] = {"}",           "{1:2}", "{\"a\"}", "[}",
                                      "{,,\"a\" 1]", "]]",    "{\"a\":}"};
    size_t walks = 0;
    for (size_t i = 0; i < sizeof documents / sizeof documents[0] + sizeof odd / sizeof odd[0];
         i++) {
        size_t known = sizeof documents / sizeof documents[0];
        struct str json = str(i < known ? documents[i] : odd[i - known]);
        for (size_t len = 0; len <= json.len; len++) {
            char *copy = malloc(len ? len : 1);
            memcpy(copy, json.at, len);
            struct json_walk walk = json_walk((struct str){copy, len});
            walks += count(&walk) > 0;
            CHECK(walk.at <= walk.end);
            free(copy);
        }
    }
    CHECK(walks > 0);
}

TEST(a_key_is_a_name_however_it_is_written)
{
    CHECK(json_key_is(STR("usage"), STR("usage")));
    CHECK(json_key_is(STR("us\\u0061ge"), STR("usage")));
    CHECK(!json_key_is(STR("us\\u0061gf"), STR("usage")));
    CHECK(!json_key_is(STR("usages"), STR("usage")));
    CHECK(!json_key_is(STR("usag"), STR("usage")));
    CHECK(json_key_is(STR(""), STR("")));
}
