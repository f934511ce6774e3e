/* links_test.c - addresses of attachments: good for what they name, and for nothing else. */
#include "serve/links.h"

#include "base/text.h"
#include "lib/check.h"
#include "run/facts.h"

static const struct uuid one = {{1}}, two = {{2}};

/* What follows `signature=` in the address. */
static struct str signature(const struct links *links, enum links_of of, struct uuid id,
                            struct str name, struct text *text)
{
    links_write(links, of, id, name, text);
    return (struct str){text->at + text->len - LINKS_SIGNATURE, LINKS_SIGNATURE};
}

TEST(an_address_is_good_for_what_it_names)
{
    struct links links, others;
    struct text text = {0};
    links_open(&links, STR("a secret"));
    links_open(&others, STR("another"));
    struct str good = signature(&links, LINKS_RUN, one, STR("a"), &text);
    CHECK(links_check(&links, LINKS_RUN, one, STR("a"), good));
    CHECK(!links_check(&links, LINKS_RUN, two, STR("a"), good));
    CHECK(!links_check(&links, LINKS_RUN, one, STR("b"), good));
    CHECK(!links_check(&links, LINKS_EXAMPLE, one, STR("a"), good));
    CHECK(!links_check(&others, LINKS_RUN, one, STR("a"), good));
    CHECK(!links_check(&links, LINKS_RUN, one, STR("a"), (struct str){good.at, good.len - 1}));
    CHECK(!links_check(&links, LINKS_RUN, one, STR("a"), (struct str){0}));
    text_free(&text);
}

TEST(names_are_escaped)
{
    struct links links;
    struct text text = {0};
    const struct str start =
        STR("/public/download?example=01000000-0000-0000-0000-000000000000&name=a%20%26%C3%BC."
            "-_~&signature=");
    links_open(&links, (struct str){0});
    links_write(&links, LINKS_EXAMPLE, one, STR("a &\xc3\xbc.-_~"), &text);
    CHECK(text.len == start.len + LINKS_SIGNATURE && memcmp(text.at, start.at, start.len) == 0);
    text_free(&text);
}

TEST(a_run_shows_all_of_its_attachments)
{
    struct links links;
    struct text text = {0};
    const struct facts_attachment two_of_them[] = {{.name = STR("a\""), .type = STR("text/plain")},
                                                   {.name = STR("b"), .type = STR("image/png")}};
    const struct facts facts = {.attachments = two_of_them, .attachment_count = 2};
    links_open(&links, STR("a secret"));
    links_show(&links, one, &facts, &text);
    const struct str start = STR("{\"attachment.a\\\"\":{\"presigned_url\":\"/public/download?");
    CHECK(text.len > start.len && memcmp(text.at, start.at, start.len) == 0);
    CHECK(memmem(text.at, text.len, "},\"attachment.b\":{", 18));
    CHECK(memmem(text.at, text.len, "\"mime_type\":\"image/png\"", 23));
    text_free(&text);
}
