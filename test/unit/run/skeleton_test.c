/* skeleton_test.c - a trace as columns. */
#include "run/skeleton.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/text.h"
#include "lib/check.h"
#include "run/facts.h"
#include "run/view.h"

static struct uuid id_of(unsigned n)
{
    struct uuid id = {0};
    if (n == 0)
        return id;
    for (int i = 0; i < 4; i++)
        id.byte[i] = (uint8_t)(n >> (24 - 8 * i));
    id.byte[15] = 1;
    return id;
}

/* Run `n`, whose parent is `parent`; 0: it has none. */
static struct view run_of(unsigned n, unsigned parent)
{
    return (struct view){.id = id_of(n),
                         .trace = id_of(1),
                         .parent = id_of(parent),
                         .project_name = STR("p \"1\""),
                         .start_us = 1000000 + n * 10,
                         .end_us = RUN_RUNNING,
                         .type = RUN_CHAIN,
                         .status = RUN_PENDING,
                         .version = n};
}

struct fixture {
    struct arena *arena;
    struct budget budget;
    struct skeleton *skeleton;
};

static struct fixture fixture_of(size_t limit)
{
    struct fixture f = {.arena = arena_new(4096), .budget = {.limit = limit}};
    return f;
}

static void add(struct fixture *f, const struct view *run)
{
    struct err err = {0};
    if (!f->skeleton)
        f->skeleton = skeleton_new(f->arena, &f->budget);
    CHECK(skeleton_add(f->skeleton, run, 1, true, &err) == 0);
}

/* All of it, in parts of some `size` bytes. */
static struct str written(struct fixture *f, size_t size)
{
    struct text all = {0};
    bool more = true;
    while (more) {
        struct text part = {0};
        more = skeleton_write(f->skeleton, size, &part);
        text_add(&all, text_str(&part));
        text_free(&part);
    }
    struct str result = arena_copy(f->arena, text_str(&all));
    text_free(&all);
    return result;
}

static bool has(struct str json, const char *member)
{
    bool is = memmem(json.at, json.len, member, strlen(member)) != NULL;
    if (!is)
        fprintf(stderr, "%s is not in %.*s\n", member, STR_FMT(json));
    return is;
}

TEST(what_is_known_of_a_run_is_in_its_columns)
{
    struct fixture f = fixture_of(1 << 20);
    const struct facts facts = {
        .name = STR("agent \"x\""),
        .has_first_token = true,
        .first_token_us = 1000510,
        .usage = {.has = {[FACTS_TOTAL_TOKENS] = true, [FACTS_TOTAL_COST] = true},
                  .value = {[FACTS_TOTAL_TOKENS] = 42, [FACTS_TOTAL_COST] = 0.125}},
        .attachment_count = 1,
    };
    struct view top = run_of(1, 0), child = run_of(2, 1);
    struct err err = {0};
    top.facts = &facts;
    top.end_us = top.start_us + 250;
    top.status = RUN_ERROR;
    child.type = RUN_LLM;
    child.status = RUN_SUCCESS;
    child.end_us = child.start_us - 5; /* clocks are what they are */
    add(&f, &top);
    CHECK(skeleton_add(f.skeleton, &child, 1, false, &err) == 0);
    skeleton_close(f.skeleton, false);

    struct str json = written(&f, 1 << 20);
    CHECK(has(json, "{\"trace_id\":\"00000001-0000-0000-0000-000000000001\",\"count\":2,"
                    "\"start_us\":1000010,\"truncated\":false,"));
    CHECK(has(json, ",\"name\":\"p \\\"1\\\"\"},\"types\":[\"chain\",\"llm\",\"tool\","));
    CHECK(has(json, "\"names\":[\"\",\"agent \\\"x\\\"\"],\"id\":[\"00000001-"));
    CHECK(has(json, ",\"parent\":[-1,0],\"name\":[1,0],\"type\":[0,1],\"start\":[0,10],"
                    "\"duration\":[250,0],\"status\":[1,0],\"tokens\":[42,-1],"
                    "\"cost\":[0.125,null],"));
    CHECK(has(json, "\"first_token\":[500,-1]"));
    CHECK(has(json, "\"flags\":[2,4]"));
    arena_free(f.arena);
}

TEST(in_small_parts_it_is_the_same)
{
    struct fixture f = fixture_of(1 << 24), g = fixture_of(1 << 24);
    for (unsigned n = 1; n <= 5000; n++) {
        char text[32];
        struct facts facts = {.name = {text, 0}};
        facts.name.len = (size_t)snprintf(text, sizeof text, "name %u", n % 300);
        struct view run = run_of(n, n / 2);
        run.facts = &facts;
        add(&f, &run);
        add(&g, &run);
    }
    skeleton_close(f.skeleton, true);
    skeleton_close(g.skeleton, true);
    struct str whole = written(&f, SIZE_MAX), parts = written(&g, 1);
    CHECK(str_eq(whole, parts));
    CHECK(has(whole, "\"parent\":[-1,0,0,1,1,2,2,3,"));
    CHECK(has(whole, "\"truncated\":true"));
    CHECK(has(whole, "\"name 299\",\"name 0\"],"));
    arena_free(f.arena);
    arena_free(g.arena);
}

TEST(parents_make_trees_whatever_was_sent)
{
    struct fixture f = fixture_of(1 << 20);
    const unsigned parents[] = {
        0,         /* 1: the top */
        2,         /* 2: its own */
        4,         /* 3, 4, 5: a circle */
        5,   3, 5, /* 6: hangs from it */
        999,       /* 7: not in the trace */
    };
    for (unsigned n = 1; n <= sizeof parents / sizeof *parents; n++) {
        struct view run = run_of(n, parents[n - 1]);
        add(&f, &run);
    }
    skeleton_close(f.skeleton, false);
    struct str json = written(&f, 1 << 20);
    CHECK(has(json, "\"parent\":[-1,-1,3,4,-1,4,-1]"));
    CHECK(has(json, "\"flags\":[0,8,0,0,8,0,1]"));
    arena_free(f.arena);
}

TEST(a_run_that_comes_twice_is_there_once)
{
    struct fixture f = fixture_of(1 << 20);
    struct view run = run_of(1, 0);
    add(&f, &run);
    add(&f, &run);
    CHECK(skeleton_count(f.skeleton) == 1);
    arena_free(f.arena);
}

TEST(names_have_limits)
{
    struct fixture f = fixture_of(1 << 26);
    char text[600];
    memset(text, 'a', sizeof text);
    memcpy(text + SKELETON_NAME - 1, "\xc3\xa4", 2); /* a character over the limit */
    struct facts facts = {.name = {text, sizeof text}};
    struct view run = run_of(1, 0);
    run.facts = &facts;
    add(&f, &run);
    for (unsigned n = 2; n <= 2 + SKELETON_NAMES / SKELETON_NAME; n++) {
        int len = snprintf(text, sizeof text, "%08u", n);
        text[len] = 'b';
        memset(text + SKELETON_NAME - 1, 'c', 2);
        run = run_of(n, 1);
        run.facts = &facts;
        add(&f, &run);
    }
    skeleton_close(f.skeleton, false);
    struct str json = written(&f, 1 << 16);
    const char *first = memmem(json.at, json.len, "\"aaa", 4);
    CHECK(first && memchr(first + 1, '"', 400) == first + SKELETON_NAME);
    CHECK(json.len > SKELETON_NAMES);
    const char *column = memmem(json.at, json.len, ",\"type\":[", 9);
    CHECK(column && memcmp(column - 3, ",0]", 3) == 0); /* the last name did not fit */
    arena_free(f.arena);
}

TEST(the_budget_bounds_it_and_gets_all_back)
{
    struct fixture f = fixture_of(1000000);
    struct err err = {0};
    unsigned n = 1;
    f.skeleton = skeleton_new(f.arena, &f.budget);
    for (; n <= 20000 && !err.code; n++) {
        struct view run = run_of(n, n - 1);
        (void)skeleton_add(f.skeleton, &run, 1, true, &err);
    }
    CHECK(err.code == ERR_BUSY && n > 4096 && n < 20000);
    CHECK(f.budget.used > 0);
    arena_free(f.arena);
    CHECK(f.budget.used == 0);
}

TEST(the_hash_changes_with_any_run)
{
    uint64_t hashes[5][2];
    for (unsigned k = 0; k < 5; k++) {
        struct fixture f = fixture_of(1 << 20);
        struct view top = run_of(1, 0), child = run_of(2, 1);
        struct err err = {0};
        child.version += k == 1;
        add(&f, &top);
        if (k != 2)
            CHECK(skeleton_add(f.skeleton, &child, k == 3 ? 2 : 1, true, &err) == 0);
        skeleton_close(f.skeleton, k == 4);
        skeleton_hash(f.skeleton, hashes[k]);
        for (unsigned i = 0; i < k; i++)
            CHECK(memcmp(hashes[i], hashes[k], sizeof hashes[k]) != 0);
        arena_free(f.arena);
    }
}
