/* regex_test.c - what is a match, what is no pattern, and what hostile ones may cost. */
#include "base/regex.h"

#include <stdlib.h>

#include "base/arena.h"
#include "lib/check.h"

static struct str text_of(const char *text)
{
    return (struct str){text, strlen(text)};
}

static enum regex_found find(struct str pattern, struct str text)
{
    struct arena *arena = arena_new(256);
    struct regex_search *search = regex_search_new();
    const struct regex *regex = NULL;
    struct err err = {0};
    enum regex_found found = REGEX_TOO_MUCH;
    if (regex_compile(pattern, arena, &regex, &err))
        fprintf(stderr, "%.*s: %s\n", STR_FMT(pattern), err.text);
    else
        found = regex_search_in(search, regex, text);
    regex_search_free(search);
    arena_free(arena);
    return found;
}

static bool is(const char *pattern, const char *text)
{
    return find(text_of(pattern), text_of(text)) == REGEX_FOUND;
}

static bool is_not(const char *pattern, const char *text)
{
    return find(text_of(pattern), text_of(text)) == REGEX_NOT_FOUND;
}

static bool is_wrong(struct str pattern, const char *message)
{
    struct arena *arena = arena_new(256);
    const struct regex *regex = NULL;
    struct err err = {0};
    bool wrong = regex_compile(pattern, arena, &regex, &err) == ERR_INVALID &&
                 err.code == ERR_INVALID && !regex && strstr(err.text, message);
    if (!wrong)
        fprintf(stderr, "%.40s: %s\n", pattern.at, err.text);
    arena_free(arena);
    return wrong;
}

TEST(a_match_may_be_anywhere_and_in_any_case)
{
    CHECK(is("time.?out", "a TimeOut") && is_not("time.?out", "time and out"));
    CHECK(is("^a.c$", "ABC") && is_not("^b", "abc") && is_not("a$", "a\n"));
    CHECK(is("(?-i)a", "a") && is_not("(?-i)a", "A") && is("(?-i:a)B", "ab"));
    CHECK(is("", "") && is("", "a") && is_not("a", "") && is("^$", ""));
    CHECK(is("(?m)^b$", "a\nb\nc") && is_not("a.b", "a\nb") && is("(?s)a.b", "a\nb"));
    CHECK(is("(.)\\1", "abba") && is("a(?=b)", "ab") && is_not("a(?!b)", "ab"));
}

TEST(texts_are_utf8)
{
    CHECK(is("^.$", "\xc3\xa4") && is("\xc3\x84", "\xc3\xa4") &&
          is("[\xc3\xa0-\xc3\xa5]", "\xc3\x84"));
    CHECK(is("^\\w+$", "\xe6\x97\xa5\xe6\x9c\xac") && is("\\p{Han}", "\xe6\x97\xa5"));
    CHECK(is("\\x{1f34e}", "\xf0\x9f\x8d\x8e"));
}

TEST(a_text_that_is_not_utf8_is_searched_where_it_is)
{
    struct str text = {"a\xff\xc3"
                       "b\0c\xed\xa0\x80",
                       9};
    CHECK(find(STR("b"), text) == REGEX_FOUND);
    CHECK(find(STR("\\x00c"), text) == REGEX_FOUND);
    CHECK(find(STR("a.+b"), text) == REGEX_NOT_FOUND);
    CHECK(find(STR("\\xff"), text) == REGEX_NOT_FOUND);
}

TEST(what_is_wrong_is_said_with_its_place)
{
    CHECK(is_wrong(STR("\xc3\xa4(b"), "wrong at its character 4: missing closing parenthesis"));
    CHECK(is_wrong(STR("a*+b?[z-a]"), "wrong at its character 9: range out of order"));
    CHECK(is_wrong(STR("a\\"), "at its character 3"));
    CHECK(is_wrong(STR("\\C"), "disabled")); /* half a letter is none */
    CHECK(is_wrong(STR("a(*sr:b)"), "script runs") && is_wrong(STR("(*asr:b)"), "script runs"));
    CHECK(is_wrong(STR("\xff"), "UTF-8"));
    CHECK(is_wrong(STR("(?<=a+)b"), "lookbehind"));
    CHECK(is_wrong(STR("(*LIMIT_MATCH=99999999999)a"), "wrong"));
}

TEST(a_pattern_is_no_larger_than_it_may_be)
{
    static char pattern[65536];
    memset(pattern, 'a', sizeof pattern);
    CHECK(is_wrong((struct str){pattern, sizeof pattern}, "at most 1000 bytes"));
    CHECK(is_wrong((struct str){pattern, REGEX_MAX + 1}, "at most 1000 bytes"));
    CHECK(find((struct str){pattern, REGEX_MAX}, (struct str){pattern, REGEX_MAX}) == REGEX_FOUND);

    CHECK(is_wrong(STR("a{65536}"), "number too big"));
    CHECK(is_wrong(STR("((a{1000}){1000}){1000}"), "too large"));
    CHECK(is_wrong(STR("(?:\\w\\w\\w\\w\\w\\w\\w\\w){65535}"), "too large"));
    memset(pattern, '(', 450);
    memset(pattern + 450, ')', 450);
    CHECK(is_wrong((struct str){pattern, 900}, "nested"));
}

/* Whatever comes out, it comes out soon: the work is bounded, and so is the memory. */
TEST(a_pattern_that_tries_for_ever_is_given_up)
{
    static const char *const patterns[] = {
        "(a+)+$",
        "(a|aa)+$",
        "(a|a?)+[bc]",
        "(?:a?){60}a{60}[bc]",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)\\9[xy]",
        "(?:(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)(?=\\w*)a)*?!\\w",
        "(?R)*a",
        "(a(?1)?|a)*[bc]",
        "(?:a|(?R)a)*[bc]",
        "(?C1)(?C'x')(a+)+$",
        "(*LIMIT_MATCH=4000000000)(*LIMIT_HEAP=4000000000)(*LIMIT_DEPTH=4000000000)(a+)+$",
        "(*NO_AUTO_POSSESS)(*NO_START_OPT)(a+)+$",
    };
    static char text[4096];
    size_t given_up = 0;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        given_up += find(text_of(patterns[i]), (struct str){text, sizeof text}) == REGEX_TOO_MUCH;
    CHECK(given_up >= 10);
    CHECK(find(STR("(*LIMIT_MATCH=1)a+b|a+!"), (struct str){text, sizeof text}) == REGEX_TOO_MUCH);
}

/* Each is tried some hundred times, and goes through the text without an item in between. */
TEST(work_that_is_not_seen_is_counted)
{
    enum { LEN = 4096 };
    static char text[LEN], pattern[REGEX_MAX], of_many[REGEX_MAX];
    static const struct {
        const char *begin, *tried;
    } of[] = {
        {"", "(?!a{4095})"},
        {"", "(?x: (?!a {4095}) )"},
        {"", "(?!\\Qa\\E{4095})"},
        {"", "(?!a(?#times){4095})"},
        {"a{3500}", "(?<!(?2)|(?2)|(?2)|(?2)|(?2)|(?2)|(?2)|(?2))"},
        {"", of_many},
    };
    memset(text, 'a', sizeof text);
    text[LEN - 2] = '!';
    size_t len = (size_t)snprintf(of_many, sizeof of_many, "(?![^");
    for (int i = 0; i < 280; i++)
        len += (size_t)snprintf(of_many + len, sizeof of_many - len, "\\pN");
    snprintf(of_many + len, sizeof of_many - len, "!]*+a)");
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        snprintf(pattern, sizeof pattern, "^%s(?:(?1)|(?1)){9}[0-9](?(DEFINE)(%s)(.{4090}))",
                 of[i].begin, of[i].tried);
        CHECK(find(text_of(pattern), (struct str){text, LEN}) == REGEX_TOO_MUCH);
    }
}

TEST(what_takes_long_to_compile_is_refused)
{
    static char pattern[REGEX_MAX + 1];
    size_t len = (size_t)snprintf(pattern, sizeof pattern, "[");
    for (int i = 0; i < 5; i++)
        len += (size_t)snprintf(pattern + len, sizeof pattern - len, "\x01-\xf4\x8f\xbf\xbf");
    snprintf(pattern + len, sizeof pattern - len, "]");
    CHECK(is_wrong(text_of(pattern), "ranges"));
    CHECK(is_wrong(STR("[a-\\x{10ffff}b-\\N{U+10ffff}c-\\o{4177777}d-\\Q\xf4\x8f\xbf\xbf\\E"
                       "e-\\x{ffff}]"),
                   "ranges"));
    CHECK(is("^[\xe4\xb8\x80-\xe9\xbe\xa5]$", "\xe6\x97\xa5"));
    CHECK(is("^\\w{8}-\\w{4}-\\w{4}-\\w{4}-\\w{12}$", "00000000-0000-4000-8000-000000000042"));
}

/* What people write, on the longest text that there is. */
TEST(an_ordinary_pattern_is_not_given_up)
{
    static const char *const patterns[] = {
        "error.*timeout",
        "[a-z]+\\d\\d\\d",
        "\\w{8}\\d{4}",
        "\\w \\w\\w \\d",
        ".(x|y|z)Q",
        "^.*file \"[^\"]+\", line \\d{4}",
        "\\b(un)?known\\b.*(module|file)$",
        "\\w+@\\w+\\.com",
        "(?s)line.*status \\w+ q",
        "(\\w)\\1\\1\\1",
        "(?<=status |state )q",
    };
    static const char line[] = "Error at line 12 of the file in module x, status y;\n";
    static char text[4096];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = line[i % (sizeof line - 1)];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        CHECK(find(text_of(patterns[i]), (struct str){text, sizeof text}) != REGEX_TOO_MUCH);
}

TEST(the_work_is_that_of_all_texts_of_a_search)
{
    struct arena *arena = arena_new(256);
    struct regex_search *search = regex_search_new();
    const struct regex *dear = NULL, *cheap = NULL;
    static char text[1024];
    memset(text, 'a', sizeof text);
    CHECK(regex_compile(STR("(a+?)+?[bc]"), arena, &dear, NULL) == 0);
    CHECK(regex_compile(STR("a"), arena, &cheap, NULL) == 0);
    CHECK(regex_search_in(search, cheap, STR("a")) == REGEX_FOUND);
    CHECK(regex_search_in(search, dear, (struct str){text, 8}) == REGEX_NOT_FOUND);
    int texts = 1;
    while (texts < 1000 && regex_search_in(search, dear, (struct str){text, 8}) == REGEX_NOT_FOUND)
        texts++;
    CHECK(texts > 10 && texts < 1000);
    CHECK(regex_search_in(search, cheap, STR("a")) == REGEX_TOO_MUCH);
    regex_search_free(search);
    regex_search_free(NULL);
    arena_free(arena);
}
