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

static bool strips_to(const char *path, const char *rest)
{
    static const struct str prefixes[] = {{"/api/v1", 7}, {"/api", 4}, {"/v1", 3}};
    struct str got = route_strip((struct str){path, strlen(path)}, prefixes, 3);
    return str_eq(got, (struct str){rest, strlen(rest)});
}

TEST(one_prefix_is_left_out)
{
    CHECK(strips_to("/api/v1/runs/42", "/runs/42"));
    CHECK(strips_to("/api/runs", "/runs") && strips_to("/v1/runs", "/runs"));
    CHECK(strips_to("/api/v1", "/") && strips_to("/api/v1/", "/") && strips_to("/v1", "/"));
    CHECK(strips_to("/api/v2/runs", "/v2/runs") && strips_to("/api/api/runs", "/api/runs"));
    CHECK(strips_to("/v1/v1/runs", "/v1/runs"));
    CHECK(strips_to("/runs/api", "/runs/api") && strips_to("/apis/runs", "/apis/runs"));
    CHECK(strips_to("/v10/runs", "/v10/runs") && strips_to("/", "/") && strips_to("", ""));
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
