/* form_test.c - query strings and path segments. */
#include <stdlib.h>

#include "base/arena.h"
#include "lib/check.h"
#include "wire/form.h"

/* One query, and what became of it. */
struct parsed {
    struct arena *arena;
    char *copy; /* of exactly its size */
    struct form form;
    struct err err;
    int r;
};

static struct parsed parse(struct str query)
{
    struct parsed p = {.arena = arena_new(256), .copy = malloc(query.len ? query.len : 1)};
    if (!p.copy)
        abort();
    memcpy(p.copy, query.at, query.len);
    p.r = form_parse((struct str){p.copy, query.len}, p.arena, &p.form, &p.err);
    return p;
}

static void parsed_free(struct parsed *p)
{
    free(p->copy);
    arena_free(p->arena);
}

static bool field_is(const struct parsed *p, size_t i, struct str name, struct str value)
{
    return i < p->form.count && str_eq(p->form.fields[i].name, name) &&
           str_eq(p->form.fields[i].value, value);
}

static bool refused(struct str query, const char *named)
{
    struct parsed p = parse(query);
    bool good = p.r == ERR_INVALID && p.err.code == ERR_INVALID && strstr(p.err.text, named) &&
                p.form.fields == NULL;
    for (const char *c = p.err.text; *c; c++)
        good = good && *c >= ' ' && *c < 0x7f;
    parsed_free(&p);
    return good;
}

TEST(fields_come_in_the_order_they_were_sent)
{
    struct parsed p = parse(STR("b=1&a=2&b=3"));

    CHECK(p.r == 0 && p.form.count == 3);
    CHECK(field_is(&p, 0, STR("b"), STR("1")));
    CHECK(field_is(&p, 1, STR("a"), STR("2")));
    CHECK(field_is(&p, 2, STR("b"), STR("3")));
    CHECK(str_eq(form_get(&p.form, STR("b")), STR("1")));
    parsed_free(&p);
}

TEST(an_empty_query_has_no_fields)
{
    struct parsed p = parse(STR(""));
    struct form none;

    CHECK(p.r == 0 && p.form.count == 0);
    CHECK(form_get(&p.form, STR("a")).at == NULL);
    CHECK(form_parse((struct str){NULL, 0}, p.arena, &none, NULL) == 0 && none.count == 0);
    parsed_free(&p);
}

TEST(empty_pieces_are_skipped)
{
    struct parsed p = parse(STR("&&a=1&&&b=2&"));

    CHECK(p.r == 0 && p.form.count == 2);
    CHECK(field_is(&p, 0, STR("a"), STR("1")));
    CHECK(field_is(&p, 1, STR("b"), STR("2")));
    parsed_free(&p);
}

TEST(a_name_may_have_no_value_and_a_value_no_name)
{
    struct parsed p = parse(STR("a&b=&=c&=&d=e=f"));

    CHECK(p.r == 0 && p.form.count == 5);
    CHECK(field_is(&p, 0, STR("a"), STR("")));
    CHECK(field_is(&p, 1, STR("b"), STR("")));
    CHECK(field_is(&p, 2, STR(""), STR("c")));
    CHECK(field_is(&p, 3, STR(""), STR("")));
    CHECK(field_is(&p, 4, STR("d"), STR("e=f")));
    CHECK(form_get(&p.form, STR("b")).at != NULL);
    CHECK(form_get(&p.form, STR("nobody")).at == NULL);
    parsed_free(&p);
}

TEST(escapes_and_plus_signs_are_decoded_in_names_and_values)
{
    struct parsed p = parse(STR("my+na%6De=a+b%20c%2Bd%26%3d&%e6%9D%b1=\xc3\xa9&z=%00%25"));

    CHECK(p.r == 0 && p.form.count == 3);
    CHECK(field_is(&p, 0, STR("my name"), STR("a b c+d&=")));
    CHECK(field_is(&p, 1, STR("\xe6\x9d\xb1"), STR("\xc3\xa9")));
    CHECK(field_is(&p, 2, STR("z"), STR("\0%")));
    parsed_free(&p);
}

TEST(a_broken_escape_is_refused_and_the_parameter_named)
{
    CHECK(refused(STR("ok=1&name=%"), "name"));
    CHECK(refused(STR("name=%2"), "name"));
    CHECK(refused(STR("name=%zz"), "name"));
    CHECK(refused(STR("name=%2g"), "name"));
    CHECK(refused(STR("name=%+1"), "name"));
    CHECK(refused(STR("name=%%20"), "name"));
    CHECK(refused(STR("na%me=1"), "na%me"));
    CHECK(refused(STR("name=%2&20"), "name"));
}

TEST(what_is_not_utf8_is_refused)
{
    CHECK(refused(STR("name=%ff"), "name"));
    CHECK(refused(STR("name=%c3"), "name"));
    CHECK(refused(STR("name=%ed%a0%80"), "name"));
    CHECK(refused(STR("name=%c0%80"), "name"));
    CHECK(refused(STR("name=\xff"), "name"));
    CHECK(refused(STR("n\xff\n=1"), "n??"));
    CHECK(refused(STR("a_name_that_is_much_longer_than_a_message_should_ever_be=%ff"),
                  "'a_name_that_is_much_longer_than_a_messag'"));
}

TEST(too_many_parameters_are_refused)
{
    char query[2 * (FORM_FIELDS_MAX + 1)];
    for (size_t i = 0; i < sizeof query; i++)
        query[i] = i % 2 ? '&' : 'a';

    struct parsed p = parse((struct str){query, 2 * FORM_FIELDS_MAX});
    CHECK(p.r == 0 && p.form.count == FORM_FIELDS_MAX);
    parsed_free(&p);
    CHECK(refused((struct str){query, sizeof query}, "513"));
}

static bool segment_is(struct arena *arena, struct str segment, struct str expected)
{
    struct str found = {NULL, 0};
    return form_decode_segment(segment, arena, &found) && found.at && str_eq(found, expected);
}

static bool segment_refused(struct arena *arena, struct str segment)
{
    struct str found = {NULL, 0};
    return !form_decode_segment(segment, arena, &found) && found.at == NULL;
}

TEST(a_path_segment_is_decoded_and_keeps_its_plus_signs)
{
    struct arena *arena = arena_new(256);
    CHECK(segment_is(arena, STR(""), STR("")));
    CHECK(segment_is(arena, STR("a+b%20c%2F%2b"), STR("a+b c/+")));
    CHECK(segment_is(arena, STR("018f0000%2D0000"), STR("018f0000-0000")));
    CHECK(segment_refused(arena, STR("a%00b")));
    CHECK(segment_refused(arena, STR("a\0b")));
    CHECK(segment_refused(arena, STR("a%0")));
    CHECK(segment_refused(arena, STR("a%")));
    CHECK(segment_refused(arena, STR("%g0")));
    CHECK(segment_refused(arena, STR("%ff")));
    arena_free(arena);
}
