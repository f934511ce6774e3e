/* get_test.c - the way to one run: who is asked, in which order, and who is not. */
#include "serve/get.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "serve/encode.h"

/* A cache, an index and a store that write down what they were asked:
 *   g get  p put  a abandon  r recall  h share  f find  s read from the store */
struct world {
    char story[16];
    struct buf *near; /* what get finds; NULL: nothing */
    uint64_t age;     /* of that: generations since it was put */
    uint64_t made_of; /* of that: the version; 0: the row's */
    const char *project;
    struct buf *far;    /* what recall finds for `version` */
    uint64_t version;   /* of the row; 0: there is none */
    size_t inputs;      /* bytes of the run's inputs in the store */
    struct buf *put;    /* the last one */
    struct buf *shared; /* likewise */
};
static struct world world;

static void note(char c)
{
    size_t n = strlen(world.story);
    CHECK(n + 1 < sizeof world.story);
    world.story[n] = c;
}

static void cache_get(struct cache *cache, struct cache_get *get)
{
    (void)cache;
    note('g');
    get->value = world.near;
    get->found = world.made_of ? world.made_of : world.version;
    get->as_of = get->generation - world.age;
    get->lead = !world.near;
    if (world.near)
        op_finish(&get->op);
    else
        op_fail(&get->op, ERR_NOT_FOUND, "no");
}

static void cache_put(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                      uint64_t generation, struct buf *value, uint64_t ttl_ms)
{
    (void)cache;
    (void)loop;
    note('p');
    CHECK(key.len > 0 && version == world.version && generation == 3 && ttl_ms == 60000);
    world.put = value;
}

static void cache_abandon(struct cache *cache, struct loop *loop, struct str key,
                          uint64_t generation)
{
    (void)cache;
    (void)loop;
    note('a');
    CHECK(key.len > 0 && generation == 3);
}

static void cache_recall(struct cache *cache, struct cache_recall *recall)
{
    (void)cache;
    note('r');
    CHECK(recall->key.len > 0 && recall->version == world.version);
    recall->value = world.far;
    if (world.far)
        op_finish(&recall->op);
    else
        op_fail(&recall->op, ERR_NOT_FOUND, "no");
}

static void cache_share(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                        struct buf *value, uint64_t ttl_ms)
{
    (void)cache;
    (void)loop;
    note('h');
    CHECK(key.len > 0 && version == world.version && ttl_ms == 60000);
    world.shared = value;
}

static void find(struct index *index, struct index_find *find)
{
    (void)index;
    note('f');
    CHECK(find->count == 1);
    find->rows = arena_make(find->arena, struct index_row, 1);
    struct holder *holder = arena_make(find->arena, struct holder, 1);
    *holder = (struct holder){.place = {1, 2}, .fields = 1U << RUN_INPUTS};
    find->rows[0] = (struct index_row){
        .found = world.version > 0,
        .id = find->ids[0],
        .project_name = {world.project, world.project ? strlen(world.project) : 0},
        .version = world.version,
        .holders = holder,
        .holder_count = 1,
        .size = world.inputs};
    op_finish(&find->op);
}

static void read_store(struct store *store, struct store_read *read)
{
    (void)store;
    note('s');
    CHECK(read->count == 1 && read->places[0].container == 1);
    char *spans = arena_make(read->arena, char, RECORD_SPAN);
    char *raw = arena_make(read->arena, char, world.inputs + 1);
    memset(raw, '7', world.inputs);
    put_u32(spans + 4, (uint32_t)world.inputs);
    read->runs = arena_make(read->arena, struct run, 1);
    read->runs[0] = (struct run){
        .present = 1U << RUN_INPUTS,
        .spans = spans,
        .raw = {raw, world.inputs},
    };
    op_finish(&read->op);
}

static const struct cache_ops cache_ops = {.get = cache_get,
                                           .put = cache_put,
                                           .abandon = cache_abandon,
                                           .recall = cache_recall,
                                           .share = cache_share};
static const struct index_ops index_ops = {.find = find};
static const struct store_ops store_ops = {.read = read_store};
static struct cache cache = {&cache_ops};
static struct index index_ = {.ops = &index_ops};
static struct store store = {.ops = &store_ops};
static struct budget budget = {.limit = 64 << 20};
static const atomic_uint_fast64_t generation = 3;

struct asked {
    struct serve_get get;
    struct serve serve;
    bool done;
};

static void got(struct op *op)
{
    op_owner(op, struct asked, get.op)->done = true;
}

/* Ask for the inputs of the run of all zeros. */
static void ask(struct asked *asked, enum coding coding, struct str none_match)
{
    struct loop *loop = hand_loop_open();
    *asked = (struct asked){
        .serve = {.index = &index_,
                  .store = &store,
                  .cache = &cache,
                  .budget = &budget,
                  .generation = &generation,
                  .run_ttl_ms = 60000},
        .get = {.op = {.loop = loop, .done = got},
                .only = SHOW_INPUTS,
                .coding = coding,
                .none_match = none_match,
                .arena = arena_new(1024)},
    };
    asked->get.serve = &asked->serve;
    serve_get(&asked->get);
    CHECK(!asked->done);
    CHECK(hand_loop_until(loop, &asked->done));
    hand_loop_close(loop);
}

static void let_go(struct asked *asked)
{
    buf_unref(asked->get.whole);
    arena_free(asked->get.arena);
}

static struct buf *answer_of(char coding, const char *text)
{
    struct buf *buf = buf_new(9 + strlen(text));
    if (!buf)
        exit(1);
    buf->at[0] = coding;
    put_u64(buf->at + 1, 0);
    memcpy(buf->at + 9, text, strlen(text));
    buf->len = 9 + strlen(text);
    return buf;
}

TEST(what_is_nowhere_is_read_kept_and_shared)
{
    struct asked asked;
    world = (struct world){.version = 9, .inputs = 3};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfrsph") == 0);
    CHECK(asked.get.op.err.code == ERR_OK && !asked.get.hit);
    CHECK(str_eq(encoded_body(asked.get.whole), STR("777")));
    CHECK(world.put == asked.get.whole && world.shared == asked.get.whole);
    let_go(&asked);
}

TEST(what_is_near_needs_nothing_else)
{
    struct asked asked;
    world = (struct world){.version = 9, .near = answer_of(CODING_IDENTITY, "near")};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "g") == 0);
    CHECK(asked.get.hit && asked.get.whole == world.near);
    let_go(&asked);
}

TEST(what_is_near_since_before_a_commit_is_good_again_if_its_row_is_the_same)
{
    struct asked asked;
    world = (struct world){.version = 9, .near = answer_of(CODING_IDENTITY, "near"), .age = 1};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfp") == 0);
    CHECK(asked.get.hit && asked.get.whole == world.near && world.put == world.near);
    let_go(&asked);
}

TEST(what_is_near_and_old_is_made_again)
{
    const struct world old[] = {
        {.version = 9, .inputs = 3, .age = 1, .made_of = 8},    /* the run changed */
        {.version = 9, .inputs = 3, .age = 1, .project = "new"} /* its project was renamed */
    };
    for (size_t i = 0; i < 2; i++) {
        struct asked asked;
        world = old[i];
        world.near = answer_of(CODING_IDENTITY, "near");
        ask(&asked, CODING_IDENTITY, (struct str){0});
        CHECK(strcmp(world.story, "gfrsph") == 0);
        CHECK(!asked.get.hit && str_eq(encoded_body(asked.get.whole), STR("777")));
        let_go(&asked);
    }
}

TEST(what_is_near_and_was_deleted_is_not_found)
{
    struct asked asked;
    world = (struct world){.near = answer_of(CODING_IDENTITY, "near"), .age = 1, .made_of = 9};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gf") == 0);
    CHECK(asked.get.op.err.code == ERR_NOT_FOUND);
    let_go(&asked);
}

TEST(what_another_node_shared_is_kept_near_and_not_read)
{
    for (int coding = CODING_IDENTITY; coding <= CODING_ZSTD; coding++) {
        struct asked asked;
        world = (struct world){.version = 9, .far = answer_of((char)coding, "far")};
        ask(&asked, (enum coding)coding, (struct str){0});
        CHECK(strcmp(world.story, "gfrp") == 0);
        CHECK(asked.get.hit && asked.get.whole == world.far && world.put == world.far);
        let_go(&asked);
    }
}

TEST(a_recalled_answer_in_a_coding_not_asked_for_is_not_given)
{
    struct buf *const wrong[] = {
        answer_of(CODING_GZIP, "x"),
        answer_of(17, "x"),
        answer_of(-1, "x"),
        buf_new(0),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct asked asked;
        world = (struct world){.version = 9, .inputs = 3, .far = wrong[i]};
        ask(&asked, CODING_ZSTD, (struct str){0});
        CHECK(strcmp(world.story, "gfrsph") == 0);
        CHECK(!asked.get.hit && str_eq(encoded_body(asked.get.whole), STR("777")));
        let_go(&asked);
    }
}

TEST(the_second_level_is_not_asked_for_what_the_client_has)
{
    struct asked first, second;
    world = (struct world){.version = 9, .inputs = 3};
    ask(&first, CODING_IDENTITY, (struct str){0});
    memset(world.story, 0, sizeof world.story);
    ask(&second, CODING_IDENTITY, (struct str){first.get.etag, SERVE_ETAG});
    CHECK(strcmp(world.story, "gfa") == 0);
    CHECK(second.get.not_modified);
    let_go(&first);
    let_go(&second);
}

TEST(a_run_that_is_not_there_is_asked_of_the_index_alone)
{
    struct asked asked;
    world = (struct world){.far = NULL};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfa") == 0);
    CHECK(asked.get.op.err.code == ERR_NOT_FOUND);
    let_go(&asked);
}

TEST(an_answer_over_the_limit_is_neither_kept_nor_shared)
{
    struct asked asked;
    world = (struct world){.version = 9, .inputs = CACHE_VALUE_MAX};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfrsa") == 0);
    CHECK(!asked.get.whole && asked.get.splice.size == CACHE_VALUE_MAX);
    let_go(&asked);
}

TEST(the_tag_is_the_same_wherever_the_answer_came_from)
{
    struct asked made, recalled, near;
    world = (struct world){.version = 9, .inputs = 3};
    ask(&made, CODING_IDENTITY, (struct str){0});
    world = (struct world){.version = 9, .far = answer_of(CODING_IDENTITY, "777")};
    ask(&recalled, CODING_IDENTITY, (struct str){0});
    world = (struct world){.version = 9, .near = answer_of(CODING_IDENTITY, "777")};
    ask(&near, CODING_IDENTITY, (struct str){0});
    CHECK(memcmp(made.get.etag, recalled.get.etag, SERVE_ETAG) == 0);
    CHECK(memcmp(made.get.etag, near.get.etag, SERVE_ETAG) == 0);
    let_go(&made);
    let_go(&recalled);
    let_go(&near);
}
