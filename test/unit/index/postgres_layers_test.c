/* postgres_layers_test.c - layers, entities and queries, as far as a database that nodes share
 * has ways of its own with them.  layers_conform.c has the rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/index.h"
#include "lib/check.h"
#include "lib/index_calls.h"
#include "lib/make_layer.h"
#include "lib/postgres_bed.h"
#include "run/filter.h"

#define NEEDS_SERVER()                                                                             \
    if (!postgres_bed_possible()) {                                                                \
        test_skip(POSTGRES_BED_SKIP);                                                              \
        return;                                                                                    \
    }

enum { MANY = 3000, BATCH = 500 };

struct node {
    struct calls calls;
    uint64_t sequence; /* also of the containers: each batch has its own */
    uint64_t first;
};

static void node_open(struct node *n, const struct postgres_bed *bed, uint64_t first)
{
    struct index *index = NULL;
    struct err err = {0};
    const struct index_postgres_config config = {
        .url = bed->url,
        .readers = 2,
        .queue = 100,
        .deadline_ms = 60000,
        .commit_ms = 60000,
        .deployment = "the bucket",
        .shared = true,
    };
    *n = (struct node){.first = first};
    if (index_postgres_open(&config, &index, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    calls_open(&n->calls, index);
}

static void node_close(struct node *n)
{
    n->calls.index->ops->close(n->calls.index);
    calls_close(&n->calls);
}

static enum index_verdict stage_as(struct node *n, const struct make_layer *layers, size_t count,
                                   uint64_t expect)
{
    struct made_record *made = make_layers(layers, count);
    made->record.expect = expect;
    n->sequence++;
    struct index_batch batch = {
        .record = &made->record,
        .first = {.container = n->first + n->sequence},
        .sequence = n->first + n->sequence,
    };
    CHECK(calls_stage(&n->calls, &batch, 1) == 0);
    made_free(made);
    return batch.verdict;
}

static enum index_verdict stage(struct node *n, const struct make_layer *layers, size_t count)
{
    return stage_as(n, layers, count, RECORD_ANY);
}

static bool add(struct node *n, const struct make_layer *layers, size_t count)
{
    bool added = stage(n, layers, count) == INDEX_ADDED;
    return calls_commit(&n->calls, n->sequence) == 0 && added;
}

static bool finds(struct node *n, uint64_t id)
{
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid run = make_id(id);
    bool found = calls_find(&n->calls, &run, 1, arena, &rows) == 0 && rows[0].found;
    arena_free(arena);
    return found;
}

static struct make_layer layer(enum run_kind kind, uint64_t id)
{
    struct make_layer l = {.kind = kind, .id = make_id(id), .trace = make_id(id)};
    l.field[RUN_NAME] = kind == RUN_PATCH ? NULL : "\"chat\"";
    l.field[RUN_OUTPUTS] = kind == RUN_PATCH ? "{\"y\":1}" : NULL;
    return l;
}

static struct make_layer project(uint64_t id, const char *name)
{
    struct make_layer l = {.kind = RUN_ENTITY, .entity = ENTITY_PROJECT, .id = make_id(id)};
    l.json = name ? "\"x\":1" : NULL;
    l.field[RUN_NAME] = name;
    return l;
}

/* --- containers ---------------------------------------------------------------------- */

static void lose_done(struct op *op)
{
    loop_stop(op->loop);
}

static uint64_t lose(struct node *n, uint64_t container)
{
    struct index_lose lose = {.op = {.loop = n->calls.loop, .done = lose_done},
                              .container = container};
    n->calls.index->ops->lose(n->calls.index, &lose);
    CHECK(loop_run(n->calls.loop, NULL) == 0 && lose.op.err.code == 0);
    return lose.runs;
}

TEST(a_run_of_which_a_layer_is_lost_may_be_sent_again)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node n;
    struct make_layer post[] = {layer(RUN_POST, 1), layer(RUN_POST, 2), layer(RUN_POST, 3)};
    struct make_layer patch = layer(RUN_PATCH, 1);
    struct make_layer file = {.kind = RUN_ATTACHMENT, .id = make_id(2)};
    file.field[RUN_NAME] = "pic";
    file.field[RUN_RUN_TYPE] = "image/png";
    file.field[RUN_INPUTS] = "bytes";
    postgres_bed_new(&bed);
    node_open(&n, &bed, UINT64_C(1) << 60);
    CHECK(add(&n, post, 3) && add(&n, &patch, 1) && add(&n, &file, 1));
    uint64_t posts = n.first + 1, patches = n.first + 2, files = n.first + 3;
    CHECK(lose(&n, patches) == 1 && !finds(&n, 1) && finds(&n, 2) && finds(&n, 3));
    CHECK(lose(&n, files) == 1 && !finds(&n, 2) && finds(&n, 3));
    CHECK(add(&n, post, 2) && add(&n, &patch, 1));
    CHECK(finds(&n, 1) && finds(&n, 2));
    CHECK(lose(&n, posts) == 1 && finds(&n, 1) && finds(&n, 2) && !finds(&n, 3));
    CHECK(postgres_bed_number(&bed, "select sum(runs)::int8 from rundlet_nodes") == 2);
    node_close(&n);
    postgres_bed_drop(&bed);
}

/* --- several nodes ---------------------------------------------------------------------- */

TEST(a_row_is_written_by_who_has_read_the_last)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node a, b;
    struct make_layer post = layer(RUN_POST, 1), patch = layer(RUN_PATCH, 1), file[2];
    postgres_bed_new(&bed);
    node_open(&a, &bed, UINT64_C(1) << 60);
    node_open(&b, &bed, UINT64_C(1) << 61);
    /* Attachments alone have no version that grows. */
    for (int i = 0; i < 2; i++) {
        file[i] = (struct make_layer){.kind = RUN_ATTACHMENT, .id = make_id(1)};
        file[i].field[RUN_NAME] = i ? "doc" : "pic";
        file[i].field[RUN_RUN_TYPE] = "image/png";
        file[i].field[RUN_INPUTS] = "bytes";
    }
    CHECK(add(&a, &file[0], 1));
    CHECK(stage(&a, &post, 1) == INDEX_ADDED && stage(&b, &file[1], 1) == INDEX_ADDED);
    CHECK(calls_commit(&b.calls, 1) == 0);
    CHECK(calls_commit(&a.calls, 1) == ERR_CONFLICT && calls_rollback(&a.calls) == 0);
    CHECK(!finds(&a, 1));
    CHECK(stage(&a, &post, 1) == INDEX_ADDED && calls_commit(&a.calls, 1) == 0);
    CHECK(add(&b, &patch, 1));
    CHECK(stage(&b, &file[0], 1) == INDEX_DUPLICATE && stage(&b, &file[1], 1) == INDEX_DUPLICATE);
    CHECK(finds(&b, 1));
    node_close(&a);
    node_close(&b);
    postgres_bed_drop(&bed);
}

static struct make_layer child_of(uint64_t id, uint64_t parent)
{
    return (struct make_layer){.kind = RUN_POST, .id = make_id(id), .parent = make_id(parent)};
}

static bool is_in_trace(struct node *n, uint64_t id, uint64_t trace)
{
    struct arena *arena = arena_new(1024);
    struct index_row *rows = NULL;
    struct uuid run = make_id(id);
    CHECK(calls_find(&n->calls, &run, 1, arena, &rows) == 0);
    bool is = rows[0].found && uuid_compare(rows[0].trace, make_id(trace)) == 0;
    arena_free(arena);
    return is;
}

/* Runs 100 and on are of 50, and too many to be moved before the top, 51, is there
 * (index/guess.h).  One more comes below them by one node, the top by the other. */
static void race_for_a_trace(bool top_first)
{
    enum { FAN = 40, LATE = 200, MIDDLE = 50, TOP = 51 };
    struct postgres_bed bed;
    struct node a, b;
    struct make_layer fan[FAN], middle = child_of(MIDDLE, TOP), late = child_of(LATE, 100);
    struct make_layer top = {.kind = RUN_POST, .id = make_id(TOP)};
    postgres_bed_new(&bed);
    node_open(&a, &bed, UINT64_C(1) << 60);
    node_open(&b, &bed, UINT64_C(1) << 61);
    for (uint64_t i = 0; i < FAN; i++)
        fan[i] = child_of(100 + i, MIDDLE);
    CHECK(add(&a, fan, FAN) && add(&a, &middle, 1));
    CHECK(is_in_trace(&a, 100, MIDDLE) && is_in_trace(&a, MIDDLE, TOP));

    struct node *first = top_first ? &b : &a, *second = top_first ? &a : &b;
    CHECK(stage(&a, &late, 1) == INDEX_ADDED && stage(&b, &top, 1) == INDEX_ADDED);
    CHECK(calls_commit(&first->calls, 1) == 0);
    CHECK(calls_commit(&second->calls, 1) == ERR_CONFLICT);
    CHECK(calls_rollback(&second->calls) == 0);
    CHECK(add(second, top_first ? &late : &top, 1));
    CHECK(is_in_trace(&a, LATE, TOP) && is_in_trace(&a, MIDDLE, TOP) && is_in_trace(&a, TOP, TOP));
    for (uint64_t i = 0; i < FAN; i++)
        CHECK(is_in_trace(&b, 100 + i, TOP));
    node_close(&a);
    node_close(&b);
    postgres_bed_drop(&bed);
}

TEST(who_waits_for_a_trace_sees_that_it_has_come)
{
    NEEDS_SERVER();
    race_for_a_trace(true);
}

TEST(who_brings_a_trace_sees_all_that_wait)
{
    NEEDS_SERVER();
    race_for_a_trace(false);
}

TEST(a_name_is_taken_by_who_commits_first)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node a, b;
    struct make_layer mine = project(11, "\"p\""), theirs = project(12, "\"p\"");
    struct make_layer run = layer(RUN_POST, 1);
    run.field[RUN_SESSION_NAME] = "\"p\"";
    postgres_bed_new(&bed);
    node_open(&a, &bed, UINT64_C(1) << 60);
    node_open(&b, &bed, UINT64_C(1) << 61);
    CHECK(stage(&a, &mine, 1) == INDEX_ADDED);
    CHECK(add(&b, &run, 1)); /* which makes a project */
    CHECK(calls_commit(&a.calls, 1) == ERR_CONFLICT && calls_rollback(&a.calls) == 0);
    CHECK(stage(&a, &mine, 1) == INDEX_CONFLICT && calls_rollback(&a.calls) == 0);

    mine = project(11, "\"q\"");
    theirs = project(12, "\"q\"");
    CHECK(stage(&a, &mine, 1) == INDEX_ADDED && stage(&b, &theirs, 1) == INDEX_ADDED);
    CHECK(calls_commit(&a.calls, 1) == 0);
    CHECK(calls_commit(&b.calls, 1) == ERR_CONFLICT && calls_rollback(&b.calls) == 0);

    /* Who knows an entity changes it; who knows one before does not. */
    mine = project(11, "\"r\"");
    uint64_t version = a.first + a.sequence;
    CHECK(stage_as(&a, &mine, 1, version) == INDEX_ADDED);
    mine = project(11, "\"s\"");
    CHECK(stage_as(&b, &mine, 1, version) == INDEX_ADDED);
    CHECK(calls_commit(&a.calls, 1) == 0);
    CHECK(calls_commit(&b.calls, 1) == ERR_CONFLICT && calls_rollback(&b.calls) == 0);
    CHECK(stage_as(&b, &mine, 1, version) == INDEX_CONFLICT && calls_rollback(&b.calls) == 0);
    node_close(&a);
    node_close(&b);
    postgres_bed_drop(&bed);
}

TEST(names_change_hands_within_a_commit)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node n;
    struct make_layer old[] = {project(11, "\"p\""), project(12, "\"q\""), project(13, "\"r\"")};
    struct make_layer next[] = {project(12, "\"t\""), project(11, "\"q\""), project(13, NULL),
                                project(14, "\"r\""), project(12, "\"p\"")};
    postgres_bed_new(&bed);
    node_open(&n, &bed, UINT64_C(1) << 60);
    CHECK(add(&n, old, 3));
    for (int i = 0; i < 5; i++)
        CHECK(stage(&n, &next[i], 1) == INDEX_ADDED);
    CHECK(calls_commit(&n.calls, 1) == 0);
    static const char *const names[] = {"p", "q", "r"};
    static const uint64_t ids[] = {12, 11, 14};
    for (int i = 0; i < 3; i++) {
        struct arena *arena = arena_new(1024);
        struct index_entities asked = {
            .kind = ENTITY_PROJECT, .name = {names[i], 1}, .limit = 10, .arena = arena};
        CHECK(calls_entities(&n.calls, &asked) == 0 && asked.count == 1);
        CHECK(asked.count == 1 && uuid_compare(asked.entities[0].id, make_id(ids[i])) == 0);
        arena_free(arena);
    }
    node_close(&n);
    postgres_bed_drop(&bed);
}

/* Somebody makes the index anew, from the first record on, beside those who write it. */
TEST(a_replay_does_not_bring_back_what_was_said_before)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node n;
    struct make_layer old = project(11, "\"p\""), now = project(11, "\"q\"");
    postgres_bed_new(&bed);
    node_open(&n, &bed, UINT64_C(1) << 60);
    CHECK(add(&n, &old, 1) && add(&n, &now, 1));
    for (int fresh = 0; fresh < 2; fresh++) {
        struct made_record *made = make_layers(&old, 1);
        made->record.fresh = fresh;
        made->record.expect = RECORD_ANY;
        struct index_batch batch = {
            .record = &made->record, .first = {.container = n.first + 1}, .sequence = n.first + 1};
        CHECK(calls_stage(&n.calls, &batch, 1) == 0);
        CHECK(batch.verdict == (fresh ? INDEX_ADDED : INDEX_DUPLICATE)); /* a clock is behind */
        CHECK(calls_rollback(&n.calls) == 0);
        made_free(made);
    }
    node_close(&n);
    postgres_bed_drop(&bed);
}

/* However often the project of a name was deleted, one is made for the next run. */
TEST(a_project_is_made_again_and_again)
{
    NEEDS_SERVER();
    struct postgres_bed bed;
    struct node n;
    postgres_bed_new(&bed);
    node_open(&n, &bed, UINT64_C(1) << 60);
    for (uint64_t i = 0; i < 12; i++) {
        struct make_layer run = layer(RUN_POST, i);
        run.field[RUN_SESSION_NAME] = "\"p\"";
        CHECK(add(&n, &run, 1) && finds(&n, i));
        struct make_layer gone = project(1, NULL);
        gone.id = entity_project_id(STR("p"), (unsigned)i);
        CHECK(add(&n, &gone, 1) && !finds(&n, i));
    }
    node_close(&n);
    postgres_bed_drop(&bed);
}

/* --- many ---------------------------------------------------------------------------------- */

static uint64_t start_of(uint64_t i)
{
    return 1000000 + 10 * (i / 3); /* three at a time */
}

static bool is_rare(uint64_t i)
{
    return i % 700 == 5;
}

static bool is_hidden(uint64_t i)
{
    return i % 1400 == 5; /* every other of those */
}

static void fill(struct node *n)
{
    static struct make_layer layers[BATCH];
    for (uint64_t i = 0; i < MANY; i++) {
        struct make_layer *l = &layers[i % BATCH];
        *l = layer(RUN_POST, i);
        l->start_us = (int64_t)start_of(i);
        l->type = i % 2 ? RUN_LLM : RUN_CHAIN;
        l->trace = make_id(1000000 + i / 10);
        l->parent = i % 10 ? make_id(i - i % 10) : (struct uuid){0};
        l->field[RUN_START_TIME] = l->field[RUN_RUN_TYPE] = "0";
        l->field[RUN_SESSION_NAME] = i % 4 ? "\"p\"" : "\"q\"";
        l->field[RUN_EXTRA] =
            is_rare(i) ? "{\"metadata\":{\"env\":\"rare\"}}" : "{\"metadata\":{\"env\":\"prod\"}}";
        l->field[RUN_TAGS] = i % 100 == 7 ? "[\"odd\"]" : NULL;
        l->field[RUN_NAME] = i % 700 == 6  ? "\"R\\u00e9trieve\""
                             : i % 700 < 9 ? "\"r\\u00e9TRIEVE\""
                                           : "\"often\"";
        if (i % BATCH == BATCH - 1)
            CHECK(add(n, layers, BATCH));
    }
    for (uint64_t i = 0; i < MANY; i++)
        if (is_hidden(i)) {
            struct make_layer gone = {.kind = RUN_ENTITY, .entity = ENTITY_GONE_RUN};
            gone.id = make_id(i);
            gone.json = "\"x\":1";
            CHECK(add(n, &gone, 1));
        }
}

/* What a run is expected to be, by its number. */
typedef bool is_fn(uint64_t i);

static bool rare_in_p(uint64_t i)
{
    return is_rare(i) && !is_hidden(i) && i % 4;
}

static bool odd_in_p(uint64_t i)
{
    return i % 100 == 7 && i % 4 && !is_hidden(i);
}

static bool retrieve_in_p(uint64_t i)
{
    return i % 700 == 6 && i % 4;
}

static bool often_in_p(uint64_t i)
{
    return i % 700 >= 9 && i % 4;
}

static bool root_in_q(uint64_t i)
{
    return i % 10 == 0 && i % 4 == 0;
}

static bool late_llm(uint64_t i)
{
    return start_of(i) > 1005000 && i % 2 && !is_hidden(i);
}

static bool with_rare_in_trace(uint64_t i)
{
    for (uint64_t k = i - i % 10; k < i - i % 10 + 10; k++)
        if (is_rare(k) && !is_hidden(k))
            return !is_hidden(i);
    return false;
}

static bool nothing(uint64_t i)
{
    (void)i;
    return false;
}

struct order {
    uint64_t i;
    bool up;
};

static int by_order(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    int order = (start_of(x->i) > start_of(y->i)) - (start_of(x->i) < start_of(y->i));
    if (!order)
        order = uuid_compare(make_id(x->i), make_id(y->i));
    return x->up ? order : -order;
}

/* All pages are those that are expected, in their order.  On a busy machine one may end by its
 * time, before anything was found; then it says where to go on. */
static void see(struct node *n, struct run_query query, const char *filter, const char *tree,
                is_fn *is)
{
    static struct order wanted[MANY];
    struct arena *arena = arena_new(1 << 16);
    size_t count = 0, at = 0;
    for (uint64_t i = 0; i < MANY; i++)
        if (is(i))
            wanted[count++] = (struct order){i, query.oldest_first};
    qsort(wanted, count, sizeof *wanted, by_order);
    if (filter)
        CHECK(filter_parse((struct str){filter, strlen(filter)}, arena, &query.filter, NULL) == 0);
    if (tree)
        CHECK(filter_parse((struct str){tree, strlen(tree)}, arena, &query.tree_filter, NULL) == 0);
    for (bool more = true; more && !test_failures;) {
        struct index_query asked;
        CHECK(calls_query(&n->calls, &query, arena, &asked) == 0);
        for (size_t i = 0; i < asked.count; i++, at++)
            CHECK(at < count && uuid_compare(asked.rows[i].id, make_id(wanted[at].i)) == 0);
        more = asked.more;
        CHECK(!more || asked.count > 0 || !query.after ||
              memcmp(&query.cursor, &asked.next, sizeof query.cursor) != 0);
        query.after = true;
        query.cursor = asked.next;
    }
    CHECK(at == count);
    if (at != count || test_failures)
        fprintf(stderr, "%zu of %zu: %s\n", at, count, filter ? filter : "");
    arena_free(arena);
}

TEST(what_is_rare_and_what_is_frequent_is_found_among_many)
{
    NEEDS_SERVER();
    static const char rare[] = "and(eq(metadata_key, \"env\"), eq(metadata_value, \"rare\"))";
    struct postgres_bed bed;
    struct node n;
    postgres_bed_new(&bed);
    node_open(&n, &bed, UINT64_C(1) << 60);
    fill(&n);
    struct uuid p = entity_project_id(STR("p"), 0), q = entity_project_id(STR("q"), 0);
    struct uuid both[] = {p, q, p};
    for (int up = 0; up < 2; up++)
        for (uint32_t limit = 1; limit <= 1000; limit *= 10) {
            struct run_query all = {.start_min_us = INT64_MIN,
                                    .start_max_us = INT64_MAX,
                                    .oldest_first = up,
                                    .limit = limit};
            struct run_query of_p = all, of_q = all, of_both = all;
            of_p.projects = &p;
            of_q.projects = &q;
            of_p.project_count = of_q.project_count = 1;
            of_both.projects = both;
            of_both.project_count = 3;
            see(&n, of_p, rare, NULL, rare_in_p);
            see(&n, of_p, "has(tags, \"odd\")", NULL, odd_in_p);
            see(&n, of_p, "has(tags, \"even\")", NULL, nothing);
            see(&n, of_p, "eq(name, \"R\u00e9trieve\")", NULL, retrieve_in_p);
            see(&n, of_p, "eq(name, \"nobody\")", NULL, nothing);
            of_q.root = QUERY_YES;
            if (limit > 1) {
                see(&n, of_p, "eq(name, \"often\")", NULL, often_in_p);
                see(&n, of_q, NULL, NULL, root_in_q);
                see(&n, of_both,
                    "and(gt(start_time, \"1970-01-01T00:00:01.005Z\"),"
                    " eq(run_type, \"llm\"))",
                    NULL, late_llm);
            }
            if (limit == 100)
                see(&n, all, NULL, rare, with_rare_in_trace);
        }
    node_close(&n);
    postgres_bed_drop(&bed);
}
