/* example_test.c - what an example is after a change: its splits and its files. */
#include "api/example.h"

#include "base/arena.h"
#include "base/text.h"
#include "lib/check.h"

static struct arena *arena;

static struct json_object object_of(const char *json)
{
    const struct entity entity = {.json = {json, strlen(json)}};
    return shape_object(&entity, arena);
}

/* The member of what is written. */
static struct str written(const char *member, const struct example_said *said, const char *was)
{
    struct text text = {0};
    struct json_object old = object_of(was ? was : "{}");
    example_write(&text, (struct uuid){{1}}, (struct uuid){{2}}, 0, 0, said, was ? &old : NULL,
                  arena);
    const struct entity entity = {.json = arena_copy(arena, text_str(&text))};
    text_free(&text);
    struct json_object now = shape_object(&entity, arena);
    CHECK(now.count > 0);
    return json_object_json(&now, (struct str){member, strlen(member)});
}

static bool is(struct str json, const char *wanted)
{
    bool same = str_eq(json, (struct str){wanted, strlen(wanted)});
    if (!same)
        fprintf(stderr, "%.*s\n", STR_FMT(json));
    return same;
}

TEST(it_is_in_a_split_always)
{
    arena = arena_new(4096);
    static const struct {
        const char *said, *was, *metadata;
    } cases[] = {
        {"{}", NULL, "{\"dataset_split\":[\"base\"]}"},
        {"{\"metadata\":{\"m\":1}}", NULL, "{\"dataset_split\":[\"base\"],\"m\":1}"},
        {"{\"split\":\"t\"}", NULL, "{\"dataset_split\":[\"t\"]}"},
        {"{\"split\":[\"t\",\"u\"],\"metadata\":{\"dataset_split\":[\"x\"],\"m\":1}}", NULL,
         "{\"dataset_split\":[\"t\",\"u\"],\"m\":1}"},
        {"{}", "{\"metadata\":{\"dataset_split\":[\"x\"],\"m\":1}}",
         "{\"dataset_split\":[\"x\"],\"m\":1}"},
        {"{\"metadata\":{\"n\":2}}", "{\"metadata\":{\"dataset_split\":[\"x\"],\"m\":1}}",
         "{\"dataset_split\":[\"x\"],\"n\":2}"},
        {"{\"metadata\":null}", "{\"metadata\":{\"dataset_split\":[\"x\"]}}",
         "{\"dataset_split\":[\"x\"]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct example_said said = {.object = object_of(cases[i].said)};
        CHECK(is(written("metadata", &said, cases[i].was), cases[i].metadata));
    }
    arena_free(arena);
}

TEST(files_stay_unless_it_is_said_which_do)
{
    arena = arena_new(4096);
    const char *was = "{\"attachments\":{\"a\":1,\"b\":2,\"c\":3}}";
    struct example_said said = {0};
    CHECK(is(written("attachments", &said, was), "{\"a\":1,\"b\":2,\"c\":3}"));
    said.operations = STR("{\"rename\":{\"a\":\"z\"},\"retain\":[\"c\"]}");
    CHECK(is(written("attachments", &said, was), "{\"z\":1,\"c\":3}"));
    said.operations = STR("{}");
    CHECK(is(written("attachments", &said, was), "{}"));
    arena_free(arena);
}

TEST(the_last_file_of_a_name_stays)
{
    arena = arena_new(4096);
    struct example_file second = {.name = STR("a"), .type = STR("t/2"), .id = {{2}}};
    struct example_file first = {.name = STR("a"), .type = STR("t/1"), .next = &second};
    struct example_said said = {.files = &first};
    CHECK(is(written("attachments", &said, "{\"attachments\":{\"a\":1}}"),
             "{\"a\":{\"mime_type\":\"t/2\","
             "\"file\":\"02000000-0000-0000-0000-000000000000\"}}"));
    arena_free(arena);
}

TEST(a_file_is_found_by_its_name)
{
    arena = arena_new(4096);
    struct uuid id;
    const struct entity entity = {.json =
                                      STR("{\"attachments\":{\"a\":{\"mime_type\":\"t/2\",\"file\":"
                                          "\"02000000-0000-0000-0000-000000000000\"}}}")};
    CHECK(example_file(&entity, STR("a"), arena, &id) && id.byte[0] == 2);
    CHECK(!example_file(&entity, STR("b"), arena, &id));
    arena_free(arena);
}

TEST(a_file_is_read_back)
{
    arena = arena_new(4096);
    struct str type, bytes;
    struct text text = {0};
    const struct example_file file = {
        .name = STR("a"), .type = STR("t/2"), .data = {"\0\xff\r", 3}};
    example_file_write(&text, &file);
    const struct entity entity = {.json = text_str(&text)};
    CHECK(example_file_read(&entity, arena, &type, &bytes));
    CHECK(str_eq(type, STR("t/2")) && str_eq(bytes, (struct str){"\0\xff\r", 3}));
    text_free(&text);
    arena_free(arena);
}
