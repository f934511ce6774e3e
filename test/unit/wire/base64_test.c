/* base64_test.c - bytes as text, and back. */
#include "wire/base64.h"

#include "base/text.h"
#include "lib/check.h"

static bool is(struct str bytes, struct str coded)
{
    struct text text = {0};
    char out[64];
    size_t len;
    base64_write(&text, bytes);
    bool good = str_eq(text_str(&text), coded) && base64_read(coded, out, &len) &&
                str_eq((struct str){out, len}, bytes);
    text_free(&text);
    return good;
}

TEST(as_the_rfc_has_them)
{
    CHECK(is(STR(""), STR("")));
    CHECK(is(STR("f"), STR("Zg==")));
    CHECK(is(STR("fo"), STR("Zm8=")));
    CHECK(is(STR("foo"), STR("Zm9v")));
    CHECK(is(STR("foob"), STR("Zm9vYg==")));
    CHECK(is(STR("fooba"), STR("Zm9vYmE=")));
    CHECK(is(STR("foobar"), STR("Zm9vYmFy")));
    CHECK(is((struct str){"\xff\0\xfe\xfb", 4}, STR("/wD++w==")));
}

TEST(what_is_none_is_refused)
{
    char out[8];
    size_t len;
    CHECK(!base64_read(STR("Zm9v!"), out, &len));
    CHECK(!base64_read(STR("Zm=9v"), out, &len));
    CHECK(!base64_read((struct str){"\0", 1}, out, &len));
    CHECK(base64_read(STR("Zm8"), out, &len) && len == 2);
}
