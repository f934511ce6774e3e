/* json_string_test.c - text in and out of JSON strings. */
#include <stdbool.h>
#include <stdlib.h>

#include "base/text.h"
#include "lib/check.h"
#include "wire/json_scan.h"
#include "wire/json_string.h"

/* In blocks of exactly the promised sizes, so that no byte outside is touched
 * unseen. */
static bool decodes_to(struct str raw, struct str plain)
{
    char *in = malloc(raw.len ? raw.len : 1);
    char *out = malloc(raw.len ? raw.len : 1);
    if (!in || !out)
        abort();
    memcpy(in, raw.at, raw.len);
    struct str copy = {in, raw.len};

    size_t len = json_string_decode(copy, out);
    bool good = str_eq((struct str){out, len}, plain) && json_string_is(copy, plain);

    free(in);
    free(out);
    return good;
}

static bool writes(struct str plain, struct str json)
{
    struct text text = {0};
    json_string_write(&text, plain);
    bool good = str_eq(text_str(&text), json);
    text_free(&text);
    return good;
}

TEST(plain_text_stands_for_itself)
{
    CHECK(decodes_to(STR(""), STR("")));
    CHECK(decodes_to(STR("a"), STR("a")));
    CHECK(decodes_to(STR("caf\xc3\xa9 \xf0\x9f\x98\x80 / \x7f"),
                     STR("caf\xc3\xa9 \xf0\x9f\x98\x80 / \x7f")));
}

TEST(every_short_escape_is_decoded)
{
    CHECK(decodes_to(STR("\\\"\\\\\\/\\b\\f\\n\\r\\t"), STR("\"\\/\b\f\n\r\t")));
    CHECK(decodes_to(STR("a\\nb\\\\c"), STR("a\nb\\c")));
    CHECK(decodes_to(STR("\\\\u0041"), STR("\\u0041")));
}

TEST(a_unicode_escape_becomes_utf8)
{
    CHECK(decodes_to(STR("\\u0041\\u007f"), STR("A\x7f")));
    CHECK(decodes_to(STR("\\u0080\\u00e9\\u07FF"), STR("\xc2\x80\xc3\xa9\xdf\xbf")));
    CHECK(decodes_to(STR("\\u0800\\u20aC\\uffff"), STR("\xe0\xa0\x80\xe2\x82\xac\xef\xbf\xbf")));
    CHECK(decodes_to(STR("x\\u0000y"), STR("x\0y")));
}

TEST(a_pair_of_surrogate_escapes_is_one_character)
{
    CHECK(decodes_to(STR("\\ud800\\udc00"), STR("\xf0\x90\x80\x80")));
    CHECK(decodes_to(STR("\\uD83D\\uDE00!"), STR("\xf0\x9f\x98\x80!")));
    CHECK(decodes_to(STR("\\udbff\\udfff"), STR("\xf4\x8f\xbf\xbf")));
}

TEST(a_lone_surrogate_escape_becomes_the_replacement_character)
{
    CHECK(decodes_to(STR("\\ud800"), STR("\xef\xbf\xbd")));
    CHECK(decodes_to(STR("\\udfff"), STR("\xef\xbf\xbd")));
    CHECK(decodes_to(STR("\\ud800abcdef"), STR("\xef\xbf\xbd"
                                               "abcdef")));
    CHECK(decodes_to(STR("\\ud800\\n"), STR("\xef\xbf\xbd\n")));
    CHECK(decodes_to(STR("\\ud800\\u0041"), STR("\xef\xbf\xbd"
                                                "A")));
    CHECK(decodes_to(STR("\\ud800\\ud83d\\ude00"), STR("\xef\xbf\xbd\xf0\x9f\x98\x80")));
    CHECK(decodes_to(STR("\\udc00\\udc00"), STR("\xef\xbf\xbd\xef\xbf\xbd")));
    CHECK(decodes_to(STR("\\udc00\\ud800"), STR("\xef\xbf\xbd\xef\xbf\xbd")));
}

TEST(a_string_is_only_what_it_decodes_to)
{
    CHECK(json_string_is(STR("na\\u006de"), STR("name")));
    CHECK(!json_string_is(STR("name"), STR("nam")));
    CHECK(!json_string_is(STR("nam"), STR("name")));
    CHECK(!json_string_is(STR("name"), STR("")));
    CHECK(!json_string_is(STR(""), STR("name")));
    CHECK(!json_string_is(STR("na\\u006de"), STR("na")));
    CHECK(!json_string_is(STR("na\\u006de"), STR("namE")));
    CHECK(!json_string_is(STR("a\\nb"), STR("a\\nb")));
    CHECK(!json_string_is(STR("\\u20ac"), STR("\xe2\x82")));
    CHECK(json_string_is((struct str){NULL, 0}, (struct str){NULL, 0}));
}

TEST(only_what_must_be_escaped_is)
{
    CHECK(writes(STR(""), STR("\"\"")));
    CHECK(writes((struct str){NULL, 0}, STR("\"\"")));
    CHECK(writes(STR("a/b \x7f <>&'"), STR("\"a/b \x7f <>&'\"")));
    CHECK(writes(STR("\"\\"), STR("\"\\\"\\\\\"")));
    CHECK(writes(STR("\b\f\n\r\t"), STR("\"\\b\\f\\n\\r\\t\"")));
    CHECK(writes(STR("\x00\x01\x0b\x1f"), STR("\"\\u0000\\u0001\\u000b\\u001f\"")));
    CHECK(writes(STR("caf\xc3\xa9\n\xf0\x9f\x98\x80"), STR("\"caf\xc3\xa9\\n\xf0\x9f\x98\x80\"")));
}

TEST(each_byte_that_is_not_utf8_becomes_the_replacement_character)
{
    CHECK(writes(STR("\xff"), STR("\"\xef\xbf\xbd\"")));
    CHECK(writes(STR("a\x80z"), STR("\"a\xef\xbf\xbdz\"")));
    CHECK(writes(STR("\xc0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\"")));
    CHECK(writes(STR("\xed\xa0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")));
    CHECK(writes(STR("cut \xe2\x82"), STR("\"cut \xef\xbf\xbd\xef\xbf\xbd\"")));
    CHECK(writes(STR("\xc3\"\xc3\n"), STR("\"\xef\xbf\xbd\\\"\xef\xbf\xbd\\n\"")));
}

/* All strings of up to three bytes from a set that has one of each kind. */
TEST(what_is_written_is_json_and_reads_back)
{
    static const char kinds[] = {
        0x00, '\n', 0x1f,       ' ',        '"',        '\\',       '/',        'u',
        'a',  0x7f, (char)0x80, (char)0xbf, (char)0xc3, (char)0xe2, (char)0xf0, (char)0xff};
    enum { KINDS = sizeof kinds };
    for (int n = 0; n < KINDS * KINDS * KINDS; n++) {
        char three[] = {kinds[n % KINDS], kinds[n / KINDS % KINDS], kinds[n / KINDS / KINDS]};
        struct str plain = {three, (size_t)n % 4};
        struct text once = {0}, again = {0};

        json_string_write(&once, plain);
        struct json_scan scan;
        json_scan_start(&scan, JSON_VALUE);
        CHECK(json_scan_next(&scan, once.at, once.len, true) == JSON_ITEM);
        CHECK(json_scan_next(&scan, once.at, once.len, true) == JSON_END);

        /* Bytes that were replaced are UTF-8 by now: nothing changes any more. */
        char back[64];
        struct str inside = {once.at + 1, once.len - 2};
        struct str decoded = {back, json_string_decode(inside, back)};
        CHECK(json_string_is(inside, decoded));
        json_string_write(&again, decoded);
        CHECK(str_eq(text_str(&once), text_str(&again)));

        text_free(&once);
        text_free(&again);
    }
}
