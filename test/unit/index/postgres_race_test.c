/* postgres_race_test.c - two nodes that write layers of the same runs at the same time: nothing is
 * lost, and the rows are those that one node would have made.
 *
 * Each layer has its place and its sequence once for all, as a group has that is judged
 * again; so what holds what does not depend on who comes first.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "index/index.h"
#include "lib/check.h"
#include "lib/index_calls.h"
#include "lib/make_layer.h"
#include "lib/postgres_bed.h"

enum { ROUNDS = 600, EACH = 2, RUNS = ROUNDS * EACH, NODES = 2, TRIES = 1000 };

struct race {
    struct postgres_bed bed;
    pthread_barrier_t barrier;
};

struct node {
    struct race *race;
    unsigned number;
    pthread_t thread;
    struct calls calls;
    uint64_t conflicts;
    bool failed;
};

static struct uuid run_id(size_t run)
{
    return make_id(1 + run);
}

static struct uuid child_id(size_t run)
{
    return make_id(1000000 + run);
}

static struct uuid trace_id(size_t run)
{
    return make_id(2000000 + run % 50);
}

/* Node 0 posts runs and names their traces; node 1 patches them, their children, which do not
 * say their trace, and adds feedback and attachments. */
static size_t layers_of(unsigned node, size_t round, struct make_layer *layers)
{
    static const char *const projects[] = {"\"p\"", "\"q\"", NULL};
    size_t count = 0;
    for (size_t i = 0; i < EACH; i++) {
        size_t run = round * EACH + i;
        const char *project = projects[run % 3];
        if (run % 3 == 1) /* nobody had it before */
            project = run / 3 % 2 ? "\"here\"" : "\"there\"";
        struct make_layer layer = {.id = run_id(run)};
        layer.field[RUN_SESSION_NAME] = project;
        if (node == 0) {
            layer.kind = RUN_POST;
            layer.trace = trace_id(run);
            layer.start_us = (int64_t)run;
            layer.field[RUN_START_TIME] = "0";
            layer.field[RUN_NAME] = "\"chat\"";
            layer.field[RUN_INPUTS] = "{\"q\":1}";
            layer.field[RUN_TAGS] = "[\"x\"]";
            layers[count++] = layer;
            continue;
        }
        layers[count] =
            (struct make_layer){.kind = RUN_PATCH, .id = child_id(run), .parent = run_id(run)};
        layers[count].field[RUN_SESSION_NAME] = project;
        layers[count++].field[RUN_OUTPUTS] = "{\"z\":3}";
        if (round % 4 == 3) /* nothing but what waits for the other node's */
            continue;
        layer.kind = RUN_PATCH;
        layer.end_us = 5000;
        layer.field[RUN_END_TIME] = "0";
        layer.field[RUN_OUTPUTS] = "{\"y\":2}";
        layers[count++] = layer;
        layers[count] = (struct make_layer){.kind = RUN_ATTACHMENT, .id = run_id(run)};
        layers[count].field[RUN_NAME] = "pic";
        layers[count].field[RUN_RUN_TYPE] = "image/png";
        layers[count++].field[RUN_INPUTS] = "bytes";
        layers[count] = (struct make_layer){.kind = RUN_ENTITY, .entity = ENTITY_FEEDBACK};
        layers[count].id = make_id(3000000 + run);
        layers[count].parent = run_id(run);
        layers[count].json = "\"score\":1";
        layers[count++].field[RUN_NAME] = "\"good\"";
    }
    return count;
}

static struct index_batch batch_of(const struct made_record *made, unsigned node, size_t round)
{
    return (struct index_batch){
        .record = &made->record,
        .first = {((uint64_t)1 << 60) + (uint64_t)node * ROUNDS + round, 0},
        .sequence = 1 + round * NODES + node,
    };
}

/* Until it is in; the other node does the same.  Now and then both have judged before one
 * commits. */
static void write_round(struct node *n, size_t round)
{
    struct make_layer layers[4 * EACH];
    size_t count = layers_of(n->number, round, layers);
    struct made_record *made = make_layers(layers, count);
    pthread_barrier_wait(&n->race->barrier);
    bool done = n->failed;
    if (done && round % 2)
        pthread_barrier_wait(&n->race->barrier);
    for (int tries = 0; tries < TRIES && !done; tries++) {
        struct index_batch batch = batch_of(made, n->number, round);
        n->failed = calls_stage(&n->calls, &batch, 1) != 0 || batch.verdict == INDEX_CONFLICT;
        if (tries == 0 && round % 2)
            pthread_barrier_wait(&n->race->barrier);
        int r = n->failed ? ERR_IO : calls_commit(&n->calls, batch.sequence);
        done = r != ERR_CONFLICT;
        n->conflicts += r == ERR_CONFLICT;
        if (r && !n->failed)
            calls_rollback(&n->calls);
        n->failed = n->failed || (r && r != ERR_CONFLICT);
        if (n->failed)
            fprintf(stderr, "round %zu: %s\n", round, n->calls.err.text);
    }
    n->failed = n->failed || !done;
    made_free(made);
}

static void *run_node(void *context)
{
    struct node *n = context;
    for (size_t round = 0; round < ROUNDS; round++)
        write_round(n, round);
    return NULL;
}

static void open_node(struct node *n, struct race *race, unsigned number)
{
    struct index *index = NULL;
    struct err err = {0};
    const struct index_postgres_config config = {
        .url = race->bed.url,
        .readers = 2,
        .queue = 100,
        .deadline_ms = 60000,
        .commit_ms = 60000,
        .deployment = "the bucket",
        .shared = true,
    };
    *n = (struct node){.race = race, .number = number};
    if (index_postgres_open(&config, &index, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    calls_open(&n->calls, index);
}

static void close_node(struct node *n)
{
    n->calls.index->ops->close(n->calls.index);
    calls_close(&n->calls);
}

/* The same by one node: what is to come out. */
static void write_all(struct calls *memory)
{
    for (size_t round = 0; round < ROUNDS; round++)
        for (unsigned node = 0; node < NODES; node++) {
            struct make_layer layers[4 * EACH];
            struct made_record *made = make_layers(layers, layers_of(node, round, layers));
            struct index_batch batch = batch_of(made, node, round);
            CHECK(calls_stage(memory, &batch, 1) == 0 && batch.verdict == INDEX_ADDED);
            CHECK(calls_commit(memory, batch.sequence) == 0);
            made_free(made);
        }
}

/* Their order is that in which they came. */
static bool same_holders(const struct index_row *a, const struct index_row *b)
{
    for (unsigned i = 0; i < a->holder_count; i++) {
        bool found = false;
        for (unsigned k = 0; k < b->holder_count; k++)
            found = found || (a->holders[i].sequence == b->holders[k].sequence &&
                              a->holders[i].fields == b->holders[k].fields &&
                              a->holders[i].place.container == b->holders[k].place.container &&
                              a->holders[i].place.ordinal == b->holders[k].place.ordinal);
        if (!found)
            return false;
    }
    return a->holder_count == b->holder_count;
}

static bool same_row(const struct index_row *a, const struct index_row *b)
{
    return a->found && b->found && uuid_compare(a->trace, b->trace) == 0 &&
           uuid_compare(a->parent, b->parent) == 0 && uuid_compare(a->project, b->project) == 0 &&
           str_eq(a->project_name, b->project_name) && a->start_us == b->start_us &&
           a->end_us == b->end_us && a->type == b->type && a->status == b->status &&
           a->size == b->size && str_eq(a->facts, b->facts) && same_holders(a, b);
}

static void compare(struct calls *memory, struct calls *calls, struct uuid (*id_of)(size_t))
{
    size_t same = 0;
    for (size_t run = 0; run < RUNS; run++) {
        struct arena *arena = arena_new(1024);
        struct index_row *wanted = NULL, *row = NULL;
        struct uuid id = id_of(run);
        CHECK(calls_find(memory, &id, 1, arena, &wanted) == 0);
        CHECK(calls_find(calls, &id, 1, arena, &row) == 0);
        same += same_row(wanted, row);
        arena_free(arena);
    }
    CHECK(same == RUNS);
}

TEST(two_nodes_that_write_the_same_runs_lose_nothing)
{
    struct race race;
    struct node nodes[NODES];
    struct index *index = NULL;
    struct calls memory;
    if (!postgres_bed_possible()) {
        test_skip(POSTGRES_BED_SKIP);
        return;
    }
    postgres_bed_new(&race.bed);
    pthread_barrier_init(&race.barrier, NULL, NODES);
    for (unsigned i = 0; i < NODES; i++)
        open_node(&nodes[i], &race, i);
    for (unsigned i = 0; i < NODES; i++)
        CHECK(pthread_create(&nodes[i].thread, NULL, run_node, &nodes[i]) == 0);
    for (unsigned i = 0; i < NODES; i++)
        CHECK(pthread_join(nodes[i].thread, NULL) == 0);
    CHECK(!nodes[0].failed && !nodes[1].failed);
    CHECK(nodes[0].conflicts + nodes[1].conflicts >= ROUNDS / 2);

    CHECK(index_memory_open(&index, NULL) == 0);
    calls_open(&memory, index);
    write_all(&memory);
    compare(&memory, &nodes[0].calls, run_id);
    compare(&memory, &nodes[1].calls, child_id);
    CHECK(postgres_bed_number(&race.bed, "select count(*) from rundlet_waiting") == 0);
    CHECK(postgres_bed_number(&race.bed, "select count(*) from rundlet_entities"
                                         " where kind = 1") == RUNS / 4 * 3);
    CHECK(postgres_bed_number(&race.bed, "select sum(commits)::int8 from rundlet_nodes") ==
          NODES * ROUNDS);
    index->ops->close(index);
    calls_close(&memory);
    for (unsigned i = 0; i < NODES; i++)
        close_node(&nodes[i]);
    pthread_barrier_destroy(&race.barrier);
    postgres_bed_drop(&race.bed);
}
