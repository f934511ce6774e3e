/* route_test.c - paths lead where the table says, and nowhere else. */
#include "http/route.h"

#include "http/http.h"
#include "lib/check.h"

static const struct http_handler root, run, search, batch, part, make, two;

static const struct http_route table[] = {
    {"GET", "/", &root},
    {"GET", "/runs/{}", &run},
    {"DELETE", "/runs/{}", &make},
    {"GET", "/runs/search", &search},
    {"POST", "/runs/batch", &batch},
    {"GET", "/runs/{}/inputs", &part},
    {"POST", "/runs", &make},
    {"GET", "/a/{}/b/{}", &two},
};

static struct route_match find(const char *method, const char *path)
{
    struct routes *routes = routes_new(table, sizeof table / sizeof *table);
    struct route_match match;
    route_find(routes, (struct str){method, strlen(method)}, (struct str){path, strlen(path)},
               &match);
    routes_free(routes);
    return match;
}

static bool unknown(const char *path)
{
    struct route_match m = find("GET", path);
    return !m.handler && m.allow[0] == '\0';
}

TEST(paths_lead_to_their_handlers)
{
    CHECK(find("GET", "/").handler == &root);
    CHECK(find("POST", "/runs").handler == &make);
    struct route_match m = find("GET", "/runs/42");
    CHECK(m.handler == &run && m.part_count == 1 && str_eq(m.parts[0], STR("42")));
    m = find("GET", "/runs/42/inputs");
    CHECK(m.handler == &part && str_eq(m.parts[0], STR("42")));
    m = find("GET", "/a/x/b/y");
    CHECK(m.handler == &two && m.part_count == 2 && str_eq(m.parts[1], STR("y")));
}

TEST(a_literal_path_wins_over_a_pattern)
{
    CHECK(find("GET", "/runs/search").handler == &search);
    struct route_match m = find("GET", "/runs/batch");
    CHECK(!m.handler && strcmp(m.allow, "POST") == 0);
}

TEST(head_goes_where_get_goes)
{
    CHECK(find("HEAD", "/runs/42").handler == &run);
    CHECK(strcmp(find("HEAD", "/runs").allow, "POST") == 0);
}

TEST(a_wrong_method_names_the_right_ones)
{
    CHECK(strcmp(find("PUT", "/runs/42").allow, "GET, HEAD, DELETE") == 0);
    CHECK(strcmp(find("POST", "/").allow, "GET, HEAD") == 0);
}

TEST(odd_paths_are_unknown_paths)
{
    static const char *const paths[] = {"/runs/",
                                        "//",
                                        "//runs",
                                        "/runs//inputs",
                                        "/runs/./inputs",
                                        "/runs/..",
                                        "/runs/.",
                                        "/runs/%2e%2E",
                                        "/runs/.%2e",
                                        "/runs/%2e",
                                        "/runs/x/../y",
                                        "/nothing",
                                        "/RUNS/42",
                                        "*",
                                        "",
                                        "/runs/42/inputs/",
                                        "/runs/42%2Finputs/",
                                        "/r%75ns/42",
                                        "/a/b/c/d/e/f/g/h/i/j/k/l/m/n"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!unknown(paths[i]))
            fprintf(stderr, "found: %s\n", paths[i]);
        CHECK(unknown(paths[i]));
    }
}

TEST(an_encoded_slash_is_part_of_its_segment)
{
    struct route_match m = find("GET", "/runs/a%2Finputs");
    CHECK(m.handler == &run && str_eq(m.parts[0], STR("a%2Finputs")));
    CHECK(find("GET", "/runs/...").handler == &run);
    CHECK(find("GET", "/runs/%2e%2e%2e").handler == &run);
}
