/* json_plain_test.c - NaN and the infinities: taken by a lax scanner only, and made null. */
#include "wire/json_plain.h"

#include <stdlib.h>

#include "lib/check.h"
#include "wire/json_scan.h"

/* Scan a value in two pieces; how it ended. */
static enum json_event scan_cut(struct json_scan *scan, bool lax, struct str value, size_t cut)
{
    char *copy = malloc(value.len + 1);
    enum json_event event;
    if (lax)
        json_scan_start_lax(scan, JSON_VALUE);
    else
        json_scan_start(scan, JSON_VALUE);
    memcpy(copy, value.at, value.len);
    do
        event = json_scan_next(scan, copy, cut, false);
    while (event == JSON_FIELD || event == JSON_ITEM);
    while (event != JSON_FAULT && event != JSON_END)
        event = json_scan_next(scan, copy, value.len, true);
    free(copy);
    return event;
}

static bool becomes(const char *lax, const char *plain, size_t strange)
{
    struct str value = {lax, strlen(lax)};
    bool good = true;
    for (size_t cut = 0; cut <= value.len; cut++) {
        struct json_scan scan = {.offset = 0}, strict;
        good = good && scan_cut(&scan, true, value, cut) == JSON_END && scan.strange == strange;
        good = good && (scan_cut(&strict, false, value, cut) == JSON_END) == (strange == 0);
        char *out = malloc(value.len + scan.strange);
        size_t len = good ? json_plain(value, out) : 0;
        good = good && str_eq((struct str){out, len}, (struct str){plain, strlen(plain)});
        free(out);
    }
    return good;
}

TEST(each_such_word_becomes_null)
{
    CHECK(becomes("NaN", "null", 1));
    CHECK(becomes("-Infinity", "null", 1));
    CHECK(becomes("[NaN,Infinity,-Infinity, -1]", "[null,null,null, -1]", 3));
    CHECK(becomes("{\"NaN\":NaN,\"I\\\"N\\\\\":{\"a\":[-Infinity]}}",
                  "{\"NaN\":null,\"I\\\"N\\\\\":{\"a\":[null]}}", 2));
}

TEST(all_else_stays_as_it_is)
{
    CHECK(becomes("{\"a\" : \"NaN, Infinity\", \"b\":[1.50,-0,true,null]}",
                  "{\"a\" : \"NaN, Infinity\", \"b\":[1.50,-0,true,null]}", 0));
    CHECK(becomes("\"\"", "\"\"", 0));
}

TEST(their_type_is_null)
{
    struct json_scan scan;
    struct str json = STR("{\"a\":-Infinity}");
    json_scan_start_lax(&scan, JSON_VALUE);
    CHECK(json_scan_next(&scan, json.at, json.len, true) == JSON_FIELD);
    CHECK(scan.type == JSON_NULL && scan.value.len == sizeof "-Infinity" - 1);
}

TEST(what_only_looks_like_one_is_no_json)
{
    static const char *const words[] = {"Nan",       "NaNN",      "nan",  "-NaN",
                                        "+Infinity", "Inf",       "-Inf", "-",
                                        "[-I]",      "Infinity1", "N",    "--Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct str value = {words[i], strlen(words[i])};
        struct json_scan scan;
        for (size_t cut = 0; cut <= value.len; cut++)
            CHECK(scan_cut(&scan, true, value, cut) == JSON_FAULT);
    }
}
