/* project_test.c - which project a run names. */
#include "run/project.h"

#include "base/bytes.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/run.h"

#define ID "11111111-2222-3333-4444-555555555555"

struct named {
    const char *name, *id, *address; /* JSON; NULL: not sent */
    enum project_said by;
    const char *text;
};

static const struct named all[] = {
    {NULL, NULL, NULL, PROJECT_UNSAID, NULL},
    {"\"\"", NULL, "\"x\"", PROJECT_UNSAID, NULL},
    {"\"default\"", NULL, NULL, PROJECT_UNSAID, NULL},
    {"\"a \\u00e9\"", NULL, NULL, PROJECT_BY_NAME, "a \xc3\xa9"},
    {"\"a\"", "\"" ID "\"", "\"lrn:agents/b/environments/local\"", PROJECT_BY_ID, NULL},
    {"\"a\"", NULL, "\"lrn:agents/b/environments/local\"", PROJECT_BY_NAME, "a"},
    {NULL, NULL, "\"lrn:agents/my-agent/environments/local\"", PROJECT_BY_NAME, "my-agent/local"},
    {NULL, NULL, "\"lrn:agents//environments/local\"", PROJECT_UNSAID, NULL},
    {NULL, NULL, "\"lrn:agents/a/environments/\"", PROJECT_UNSAID, NULL},
    {NULL, NULL, "\"lrn:agents/a/b/environments/c\"", PROJECT_UNSAID, NULL},
    {NULL, NULL, "\"lrn:agents/a/environments/b/c\"", PROJECT_UNSAID, NULL},
    {NULL, NULL, "\"lrn:agents/a\"", PROJECT_UNSAID, NULL},
};

static void add(struct run *run, struct text *raw, char *spans, enum run_field field,
                const char *json)
{
    if (!json)
        return;
    char *span = spans + 8 * (size_t)__builtin_popcount(run->present);
    put_u32(span, (uint32_t)raw->len);
    put_u32(span + 4, (uint32_t)strlen(json));
    run->present |= UINT32_C(1) << field;
    text_add(raw, (struct str){json, strlen(json)});
}

TEST(an_id_wins_over_a_name_and_that_over_an_address)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct run run = {.present = 0};
        struct text raw = {0}, room = {0};
        char spans[3 * 8];
        add(&run, &raw, spans, RUN_SESSION_NAME, all[i].name);
        add(&run, &raw, spans, RUN_SESSION_ID, all[i].id);
        add(&run, &raw, spans, RUN_ADDRESS, all[i].address);
        run.spans = spans;
        run.raw = text_str(&raw);

        struct uuid id, named;
        enum project_said said = project_said(&run, &room, &named);
        CHECK(said == all[i].by);
        CHECK(said != PROJECT_BY_ID || (uuid_parse(STR(ID), &id) && uuid_compare(named, id) == 0));
        if (all[i].text)
            CHECK(str_eq(text_str(&room), (struct str){all[i].text, strlen(all[i].text)}));
        else
            CHECK(room.len == 0);
        text_free(&raw);
        text_free(&room);
    }
}
