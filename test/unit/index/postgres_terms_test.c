/* postgres_terms_test.c - what SQL is told of a filter. */
#include "index/postgres_terms.h"

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/facts.h"
#include "run/filter.h"

/* The folded name by which eq(name, ...) narrows, of a name of so many letters. */
static struct str narrowed(size_t len, struct arena *arena)
{
    struct text text = {0};
    struct run_query query = {0};
    struct pg_narrow narrow;
    text_add(&text, STR("eq(name, \""));
    for (size_t i = 0; i < len; i++)
        text_add_char(&text, 'N');
    text_add(&text, STR("\")"));
    CHECK(filter_parse(text_str(&text), arena, &query.filter, NULL) == 0);
    pg_narrow(&query, arena, &narrow);
    text_free(&text);
    return narrow.name;
}

TEST(a_name_narrows_but_one_that_may_be_the_beginning_of_another)
{
    struct arena *arena = arena_new(1 << 16);
    CHECK(str_eq(narrowed(3, arena), STR("nnn")));
    CHECK(narrowed(0, arena).at == NULL);
    CHECK(narrowed(FACTS_SOURCE - 4, arena).len == FACTS_SOURCE - 4);
    for (size_t len = FACTS_SOURCE - 3; len <= FACTS_SOURCE + 1; len++)
        CHECK(narrowed(len, arena).at == NULL);
    arena_free(arena);
}
