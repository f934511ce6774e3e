/* project_test.c - which project a run names. */
#include "run/project.h"

#include "base/bytes.h"
#include "base/text.h"
#include "lib/check.h"

#define ID "11111111-2222-3333-4444-555555555555"

struct named {
    const char *name, *id, *address; /* JSON; NULL: not sent */
    enum run_project_by by;
    const char *text;
};

static const struct named all[] = {
    {NULL, NULL, NULL, RUN_PROJECT_NONE, NULL},
    {"\"\"", NULL, "\"x\"", RUN_PROJECT_NONE, NULL},
    {"\"a \\u00e9\"", NULL, NULL, RUN_PROJECT_NAME, "a \xc3\xa9"},
    {"\"a\"", "\"" ID "\"", "\"lrn:agents/b/environments/local\"", RUN_PROJECT_ID, NULL},
    {"\"a\"", NULL, "\"lrn:agents/b/environments/local\"", RUN_PROJECT_NAME, "a"},
    {NULL, NULL, "\"lrn:agents/my-agent/environments/local\"", RUN_PROJECT_ADDRESS,
     "my-agent/local"},
    {NULL, NULL, "\"lrn:agents//environments/local\"", RUN_PROJECT_NONE, NULL},
    {NULL, NULL, "\"lrn:agents/a/environments/\"", RUN_PROJECT_NONE, NULL},
    {NULL, NULL, "\"lrn:agents/a/b/environments/c\"", RUN_PROJECT_NONE, NULL},
    {NULL, NULL, "\"lrn:agents/a/environments/b/c\"", RUN_PROJECT_NONE, NULL},
    {NULL, NULL, "\"lrn:agents/a\"", RUN_PROJECT_NONE, NULL},
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

        struct run_project project = run_project_name(&run, &room);
        struct uuid id;
        CHECK(project.by == all[i].by);
        CHECK(project.by != RUN_PROJECT_ID ||
              (uuid_parse(STR(ID), &id) && uuid_compare(project.id, id) == 0));
        if (all[i].text)
            CHECK(str_eq(project.name, (struct str){all[i].text, strlen(all[i].text)}));
        text_free(&raw);
        text_free(&room);
    }
}
