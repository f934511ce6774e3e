/* filter_make_test.c - filters put together. */
#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/filter.h"

static const struct filter *parsed(const char *text, struct arena *arena)
{
    const struct filter *filter = NULL;
    struct err err = {0};
    CHECK(filter_parse((struct str){text, strlen(text)}, arena, &filter, &err) == 0);
    return filter;
}

static bool is(const struct filter *filter, const char *want)
{
    struct text text = {0};
    filter_write(filter, &text);
    bool same = str_eq(text_str(&text), (struct str){want, strlen(want)});
    if (!same)
        fprintf(stderr, "%.*s\n", STR_FMT(text_str(&text)));
    text_free(&text);
    return same;
}

TEST(of_one_and_nothing_there_is_the_one)
{
    struct arena *arena = arena_new(256);
    const struct filter *a = parsed("eq(name, \"x\")", arena);

    CHECK(filter_both(a, NULL, arena) == a);
    CHECK(filter_both(NULL, a, arena) == a);
    CHECK(filter_both(NULL, NULL, arena) == NULL);
    arena_free(arena);
}

TEST(both_are_one_flat_and)
{
    struct arena *arena = arena_new(256);
    const struct filter *a = parsed("and(eq(name, \"x\"), eq(is_root, true))", arena);
    const struct filter *b = parsed("or(eq(name, \"y\"), eq(name, \"z\"))", arena);

    CHECK(is(filter_both(a, b, arena), "and(eq(name, \"x\"), eq(is_root, true), "
                                       "or(eq(name, \"y\"), eq(name, \"z\")))"));
    CHECK(is(filter_both(b, a, arena), "and(or(eq(name, \"y\"), eq(name, \"z\")), "
                                       "eq(name, \"x\"), eq(is_root, true))"));
    CHECK(is(a, "and(eq(name, \"x\"), eq(is_root, true))")); /* as it was */
    arena_free(arena);
}

TEST(a_search_is_found_wherever_it_stands)
{
    struct arena *arena = arena_new(256);
    const struct filter *search = filter_search(STR("so"), arena);

    CHECK(is(search, "search(\"so\")"));
    CHECK(filter_searches(search));
    CHECK(filter_searches(filter_both(parsed("eq(name, \"x\")", arena), search, arena)));
    CHECK(filter_searches(parsed("not(search(name, \"x\"))", arena)));
    CHECK(!filter_searches(parsed("not(eq(name, \"x\"))", arena)));
    CHECK(!filter_searches(NULL));
    arena_free(arena);
}
