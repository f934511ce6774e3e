/* get_test.c - the way to one run: who is asked, in which order, and who is not. */
#include "serve/get.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/metric.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "serve/encode.h"
#include "serve/follow.h"

/* A cache, an index and a store that write down what they were asked:
 *   g get  p put  c confirm  a abandon  r recall  h share  f find  s read from the store */
struct world {
    char story[16];
    struct near {
        struct buf *value; /* what get finds; NULL: nothing */
        uint64_t version, checked;
    } near, later;       /* the first time, and the second */
    struct buf *far;     /* what recall finds for `version` */
    uint64_t version;    /* of the row; 0: there is none */
    uint64_t project;    /* of its project */
    enum err_code index; /* what find says */
    size_t inputs;       /* bytes of the run's inputs in the store */
    struct buf *put;     /* the last one */
    struct buf *shared;  /* likewise */
};
static struct world world;

/* The test's own clock. */
static int64_t now_us = 1000000;

int64_t clock_now_us(void)
{
    return now_us;
}

int64_t clock_mono_us(void)
{
    return now_us;
}

static void note(char c)
{
    size_t n = strlen(world.story);
    CHECK(n + 1 < sizeof world.story);
    world.story[n] = c;
}

/* What a row shows changes with its project too. */
static uint64_t shown(void)
{
    return world.version > world.project ? world.version : world.project;
}

static void cache_get(struct cache *cache, struct cache_get *get)
{
    (void)cache;
    bool first = world.story[0] == '\0';
    const struct near *near = first ? &world.near : &world.later;
    note('g');
    CHECK(get->key.len > 0 && get->generation == 3);
    CHECK(get->version == (first ? CACHE_ANY : shown()));
    get->value = near->value;
    get->found = near->version;
    get->checked = near->checked;
    get->lead = !near->value;
    if (near->value)
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
    CHECK(key.len > 0 && version == shown() && generation == 3 && ttl_ms == 60000);
    world.put = value;
}

static void cache_confirm(struct cache *cache, struct loop *loop, struct str key, uint64_t version,
                          uint64_t generation)
{
    (void)cache;
    (void)loop;
    note('c');
    CHECK(key.len > 0 && version == shown() && generation == 3);
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
    CHECK(recall->key.len > 0 && recall->version == shown());
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
    CHECK(key.len > 0 && version == shown() && ttl_ms == 60000);
    world.shared = value;
}

static void find(struct index *index, struct index_find *find)
{
    (void)index;
    note('f');
    CHECK(find->count == 1);
    if (world.index) {
        op_fail(&find->op, world.index, "away");
        return;
    }
    find->rows = arena_make(find->arena, struct index_row, 1);
    struct holder *holder = arena_make(find->arena, struct holder, 1);
    *holder = (struct holder){.place = {1, 2}, .fields = 1U << RUN_INPUTS};
    find->rows[0] = (struct index_row){.found = world.version > 0,
                                       .id = find->ids[0],
                                       .version = world.version,
                                       .project_version = world.project,
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
                                           .confirm = cache_confirm,
                                           .abandon = cache_abandon,
                                           .recall = cache_recall,
                                           .share = cache_share};
static void follow(struct index *index, struct index_follow *follow)
{
    (void)index;
    op_finish(&follow->op);
}

static const struct index_ops index_ops = {.find = find, .follow = follow};
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
static void ask_beside(struct asked *asked, struct follow *nodes, bool strong, enum coding coding,
                       struct str none_match)
{
    struct loop *loop = hand_loop_open();
    *asked = (struct asked){
        .serve = {.index = &index_,
                  .store = &store,
                  .cache = &cache,
                  .budget = &budget,
                  .generation = &generation,
                  .follow = nodes,
                  .run_ttl_ms = 60000},
        .get = {.op = {.loop = loop, .done = got},
                .only = SHOW_INPUTS,
                .coding = coding,
                .strong = strong,
                .none_match = none_match,
                .arena = arena_new(1024)},
    };
    asked->get.serve = &asked->serve;
    serve_get(&asked->get);
    CHECK(!asked->done);
    CHECK(hand_loop_until(loop, &asked->done));
    hand_loop_close(loop);
}

static void ask(struct asked *asked, enum coding coding, struct str none_match)
{
    ask_beside(asked, NULL, false, coding, none_match);
}

static void let_go(struct asked *asked)
{
    buf_unref(asked->get.whole);
    arena_free(asked->get.arena);
}

static struct buf *answer_of(char coding, const char *text)
{
    struct buf *buf = buf_new(1 + strlen(text));
    if (!buf)
        exit(1);
    buf->at[0] = coding;
    memcpy(buf->at + 1, text, strlen(text));
    buf->len = 1 + strlen(text);
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
    world = (struct world){.near = {answer_of(CODING_IDENTITY, "near"), 9, 3}};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "g") == 0);
    CHECK(asked.get.hit && asked.get.whole == world.near.value);
    let_go(&asked);
}

/* Something was committed since it was made; this run is as it was. */
TEST(what_is_near_from_before_a_commit_is_confirmed_by_its_row)
{
    struct asked asked;
    int64_t hits = metric_value(METRIC_CACHE_HITS_RUN),
            misses = metric_value(METRIC_CACHE_MISSES_RUN);
    world = (struct world){.version = 9, .near = {answer_of(CODING_IDENTITY, "near"), 9, 2}};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfc") == 0);
    CHECK(asked.get.hit && asked.get.whole == world.near.value);
    CHECK(metric_value(METRIC_CACHE_HITS_RUN) == hits + 1);
    CHECK(metric_value(METRIC_CACHE_MISSES_RUN) == misses);
    let_go(&asked);
}

TEST(what_is_near_and_confirmed_is_not_sent_to_a_client_that_has_it)
{
    struct asked first, second;
    world = (struct world){.version = 9, .inputs = 3};
    ask(&first, CODING_IDENTITY, (struct str){0});
    struct buf *near = answer_of(CODING_IDENTITY, "777");
    world = (struct world){.version = 9, .near = {buf_ref(near), 9, 2}};
    ask(&second, CODING_IDENTITY, (struct str){first.get.etag, ETAG});
    CHECK(strcmp(world.story, "gfc") == 0);
    CHECK(second.get.hit && second.get.not_modified && !second.get.whole);
    CHECK(atomic_load(&near->refs) == 1);
    buf_unref(near);
    let_go(&first);
    let_go(&second);
}

TEST(what_is_near_of_a_run_that_has_changed_is_made_anew)
{
    static const struct world changed[] = {{.version = 10, .inputs = 3},
                                           {.version = 9, .project = 10, .inputs = 3}};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        struct asked asked;
        struct buf *old = answer_of(CODING_IDENTITY, "old");
        int64_t misses = metric_value(METRIC_CACHE_MISSES_RUN);
        world = changed[i];
        world.near = (struct near){buf_ref(old), 9, 2};
        ask(&asked, CODING_IDENTITY, (struct str){0});
        CHECK(strcmp(world.story, "gfgrsph") == 0);
        CHECK(!asked.get.hit && str_eq(encoded_body(asked.get.whole), STR("777")));
        CHECK(atomic_load(&old->refs) == 1);
        CHECK(metric_value(METRIC_CACHE_MISSES_RUN) == misses + 1);
        buf_unref(old);
        let_go(&asked);
    }
}

TEST(what_another_made_of_the_changed_run_meanwhile_is_a_hit)
{
    static const struct near made[] = {
        {NULL, 10, 3}, /* as it was found */
        {NULL, 10, 2}, /* by somebody who began earlier: then it is confirmed */
        {NULL, 11, 3}, /* and it has changed once more */
    };
    static const char *const stories[] = {"gfgc", "gfgc", "gfg"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        struct asked asked;
        world = (struct world){
            .version = 10, .near = {answer_of(CODING_IDENTITY, "old"), 9, 2}, .later = made[i]};
        world.later.value = answer_of(CODING_IDENTITY, "new");
        ask(&asked, CODING_IDENTITY, (struct str){0});
        CHECK(strcmp(world.story, stories[i]) == 0);
        CHECK(asked.get.hit && asked.get.whole == world.later.value);
        let_go(&asked);
    }
}

/* As after a fail-over to a copy of the database that was behind. */
TEST(an_old_entry_of_a_version_that_the_row_has_not_reached_is_not_given)
{
    struct asked asked;
    struct buf *lost = answer_of(CODING_IDENTITY, "lost");
    world = (struct world){
        .version = 8, .inputs = 3, .near = {buf_ref(lost), 9, 2}, .later = {buf_ref(lost), 9, 2}};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gfgrsph") == 0);
    CHECK(!asked.get.hit && str_eq(encoded_body(asked.get.whole), STR("777")));
    CHECK(atomic_load(&lost->refs) == 1);
    buf_unref(lost);
    let_go(&asked);
}

TEST(a_client_that_has_the_changed_run_is_told_so_and_nothing_is_read)
{
    struct asked first, second;
    world = (struct world){.version = 10, .inputs = 3};
    ask(&first, CODING_IDENTITY, (struct str){0});
    world = (struct world){.version = 10, .near = {answer_of(CODING_IDENTITY, "old"), 9, 2}};
    ask(&second, CODING_IDENTITY, (struct str){first.get.etag, ETAG});
    CHECK(strcmp(world.story, "gf") == 0);
    CHECK(second.get.not_modified && !second.get.hit);
    let_go(&first);
    let_go(&second);
}

TEST(a_run_that_was_deleted_is_not_found_though_it_is_near)
{
    struct asked asked;
    struct buf *near = answer_of(CODING_IDENTITY, "near");
    world = (struct world){.near = {buf_ref(near), 9, 2}};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gf") == 0);
    CHECK(asked.get.op.err.code == ERR_NOT_FOUND && !asked.get.whole);
    CHECK(atomic_load(&near->refs) == 1);
    buf_unref(near);
    let_go(&asked);
}

TEST(when_the_index_cannot_say_what_is_near_is_not_given)
{
    struct asked asked;
    struct buf *near = answer_of(CODING_IDENTITY, "near");
    world = (struct world){.near = {buf_ref(near), 9, 2}, .index = ERR_UNAVAILABLE};
    ask(&asked, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "gf") == 0);
    CHECK(asked.get.op.err.code == ERR_UNAVAILABLE && !asked.get.whole);
    CHECK(atomic_load(&near->refs) == 1);
    buf_unref(near);
    let_go(&asked);
}

/* --- beside other nodes --- */

struct looked {
    struct follow_look look;
    bool done;
};

static void looked_at(struct op *op)
{
    op_owner(op, struct looked, look.op)->done = true;
}

/* Ask with others to be followed: after a look at what they did `age_us` ago. */
static void ask_followed(struct asked *asked, int64_t age_us, bool strong)
{
    atomic_uint_fast64_t count = 3;
    struct loop *loop = hand_loop_open();
    struct follow *nodes = follow_start(&index_, loop, &count);
    struct looked looked = {.look = {.op = {.loop = loop, .done = looked_at}, .follow = nodes}};
    follow_look(&looked.look);
    CHECK(hand_loop_until(loop, &looked.done));
    now_us += age_us;
    ask_beside(asked, nodes, strong, CODING_IDENTITY, (struct str){0});
    follow_free(nodes);
    hand_loop_close(loop);
}

TEST(what_is_near_is_confirmed_when_nobody_knows_what_other_nodes_did)
{
    struct asked asked;
    for (int late = 0; late < 2; late++) {
        world = (struct world){.version = 9, .near = {answer_of(CODING_IDENTITY, "near"), 9, 3}};
        ask_followed(&asked, FOLLOW_LEASE_MS * 1000 - 1 + late, false);
        CHECK(strcmp(world.story, late ? "gfc" : "g") == 0);
        CHECK(asked.get.hit && asked.get.whole == world.near.value);
        let_go(&asked);
    }
}

TEST(who_wants_all_that_any_node_acknowledged_has_the_index_asked)
{
    struct asked asked;
    world = (struct world){.version = 9, .near = {answer_of(CODING_IDENTITY, "near"), 9, 3}};
    ask_followed(&asked, 0, true);
    CHECK(strcmp(world.story, "gfc") == 0);
    CHECK(asked.get.hit);
    let_go(&asked);

    /* There are none. */
    world = (struct world){.version = 9, .near = {answer_of(CODING_IDENTITY, "near"), 9, 3}};
    ask_beside(&asked, NULL, true, CODING_IDENTITY, (struct str){0});
    CHECK(strcmp(world.story, "g") == 0);
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
    ask(&second, CODING_IDENTITY, (struct str){first.get.etag, ETAG});
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
    world = (struct world){.near = {answer_of(CODING_IDENTITY, "777"), 9, 3}};
    ask(&near, CODING_IDENTITY, (struct str){0});
    CHECK(memcmp(made.get.etag, recalled.get.etag, ETAG) == 0);
    CHECK(memcmp(made.get.etag, near.get.etag, ETAG) == 0);
    let_go(&made);
    let_go(&recalled);
    let_go(&near);
}
