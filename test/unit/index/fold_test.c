/* fold_test.c - names in the form in which they are compared.
 *
 * Expected values are from Unicode's CaseFolding.txt, by hand.
 */
#include "index/fold.h"

#include "base/text.h"
#include "lib/check.h"
#include "lib/make_record.h"
#include "run/run.h"

static bool folds_to(struct str plain, struct str wanted)
{
    char out[256];
    size_t len = fold(plain, out);
    return str_eq((struct str){out, len}, wanted);
}
#define FOLDS(plain, wanted) folds_to(STR(plain), STR(wanted))

TEST(one_code_point_folds_to_one)
{
    CHECK(FOLDS("", ""));
    CHECK(FOLDS("AZ[az{@`", "az[az{@`"));
    CHECK(FOLDS("\xc3\x80", "\xc3\xa0"));                 /* C: U+00C0 */
    CHECK(FOLDS("\xc3\x9f", "\xc3\x9f"));                 /* F only: U+00DF stays */
    CHECK(FOLDS("\xe1\xba\x9e", "\xc3\x9f"));             /* S: U+1E9E -> U+00DF */
    CHECK(FOLDS("\xc4\xb0", "\xc4\xb0"));                 /* T and F only: U+0130 stays */
    CHECK(FOLDS("\xc4\xb1", "\xc4\xb1"));                 /* U+0131 has no folding */
    CHECK(FOLDS("\xcf\x82", "\xcf\x83"));                 /* C: final sigma */
    CHECK(FOLDS("\xc2\xb5", "\xce\xbc"));                 /* C: micro sign -> mu */
    CHECK(FOLDS("\xe1\xbe\x88", "\xe1\xbe\x80"));         /* S: U+1F88 -> U+1F80 */
    CHECK(FOLDS("\xc8\xba", "\xe2\xb1\xa5"));             /* C: U+023A grows to three bytes */
    CHECK(FOLDS("\xf0\x90\x90\x80", "\xf0\x90\x90\xa8")); /* C: U+10400 */
}

TEST(what_is_no_text_is_the_replacement_character)
{
    CHECK(FOLDS("a\0b", "a\xef\xbf\xbd"
                        "b"));
    CHECK(FOLDS("\xff", "\xef\xbf\xbd"));
    CHECK(FOLDS("\xc3", "\xef\xbf\xbd"));
    CHECK(FOLDS("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
}

TEST(folding_twice_changes_nothing)
{
    for (uint32_t c = 1; c < 0x30000; c++) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        char plain[4], once[16], twice[48];
        size_t len = 0;
        if (c < 0x80) {
            plain[len++] = (char)c;
        } else if (c < 0x800) {
            plain[len++] = (char)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            plain[len++] = (char)(0xe0 | c >> 12);
            plain[len++] = (char)(0x80 | (c >> 6 & 0x3f));
        } else {
            plain[len++] = (char)(0xf0 | c >> 18);
            plain[len++] = (char)(0x80 | (c >> 12 & 0x3f));
            plain[len++] = (char)(0x80 | (c >> 6 & 0x3f));
        }
        if (c >= 0x80)
            plain[len++] = (char)(0x80 | (c & 0x3f));
        struct str a = {once, fold((struct str){plain, len}, once)};
        struct str b = {twice, fold(a, twice)};
        size_t size = 0;
        CHECK(str_eq(a, b));
        CHECK(fold_points(a) == 1);
        CHECK(fold_point(a.at, &size) != 0 && size == a.len);
    }
}

static size_t folded_size(const char *json, bool *named)
{
    const struct make_run spec = {.id = make_id(1), .trace = make_id(2), .name = json};
    struct made_record *made = make_record(&spec, 1);
    struct run run;
    struct text text = {0};
    CHECK(record_run(&made->record, 0, &run, NULL) == 0);
    *named = fold_run_name(&run, &text);
    size_t size = text.len;
    text_free(&text);
    made_free(made);
    return size;
}

TEST(a_name_beyond_the_limit_is_cut_between_two_code_points)
{
    static char name[FOLD_NAME_MAX + 100];
    bool named = false;
    memset(name, 'A', FOLD_NAME_MAX);
    CHECK(folded_size(name, &named) == FOLD_NAME_MAX && named);
    memset(name, 'A', FOLD_NAME_MAX + 50);
    CHECK(folded_size(name, &named) == FOLD_NAME_MAX && named);
    memcpy(name + FOLD_NAME_MAX - 2, "\xe6\xa4\x9c", 3);
    CHECK(folded_size(name, &named) == FOLD_NAME_MAX - 2 && named);
    CHECK(folded_size("", &named) == 0 && named);
    CHECK(folded_size(NULL, &named) == 0 && !named);
}

TEST(an_empty_text_is_in_every_name)
{
    CHECK(fold_contains(STR(""), STR("")));
    CHECK(fold_contains(STR("abc"), STR("")));
    CHECK(fold_contains(STR("abc"), STR("bc")));
    CHECK(!fold_contains(STR(""), STR("a")));
    CHECK(!fold_contains(STR("ab"), STR("abc")));
}
