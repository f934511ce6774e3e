/* bucket_commit_test.c - commit, bucket and an index of one process together: what was
 * put and not indexed comes into the index, whenever the process ended. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "index/index.h"
#include "ingest/commit.h"
#include "ingest/recover.h"
#include "lib/bad_objects.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "loop/loop.h"
#include "store/store.h"

static atomic_int_fast64_t now_us, mono_us;

int64_t clock_now_us(void)
{
    return atomic_load(&now_us);
}

int64_t clock_mono_us(void)
{
    return atomic_fetch_add(&mono_us, 10);
}

enum backend { MEM_INDEX, SQLITE_INDEX, BACKENDS };

/* ---- an index that fails when its time has come ---- */

struct frail {
    struct index index;
    struct index *inner;
    int stages, commits; /* so many go well; -1: all */
};

static struct frail *frail_of(struct index *index)
{
    return op_owner(index, struct frail, index);
}

static int frail_attach(struct index *index, struct loop *loop, struct err *err)
{
    struct index *inner = frail_of(index)->inner;
    return inner->ops->attach(inner, loop, err);
}

static void frail_stage(struct index *index, struct index_stage *stage)
{
    struct frail *frail = frail_of(index);
    if (frail->stages == 0) {
        op_fail(&stage->op, ERR_IO, "no more stages");
        return;
    }
    frail->stages--;
    frail->inner->ops->stage(frail->inner, stage);
}

static void frail_commit(struct index *index, struct index_commit *commit)
{
    struct frail *frail = frail_of(index);
    if (frail->commits == 0) {
        op_fail(&commit->op, ERR_IO, "no more commits");
        return;
    }
    frail->commits--;
    frail->inner->ops->commit(frail->inner, commit);
}

static void frail_rollback(struct index *index, struct index_rollback *rollback)
{
    struct index *inner = frail_of(index)->inner;
    inner->ops->rollback(inner, rollback);
}

static void frail_mark(struct index *index, struct index_mark *mark)
{
    struct index *inner = frail_of(index)->inner;
    inner->ops->mark(inner, mark);
}

static void frail_find(struct index *index, struct index_find *find)
{
    struct index *inner = frail_of(index)->inner;
    inner->ops->find(inner, find);
}

static const struct index_ops frail_ops = {
    .name = "frail",
    .attach = frail_attach,
    .stage = frail_stage,
    .commit = frail_commit,
    .rollback = frail_rollback,
    .mark = frail_mark,
    .find = frail_find,
};

/* ---- a node, and the bucket that outlives it ---- */

struct node {
    enum backend backend;
    struct scratch dir;
    struct objects *inner;
    struct bad_objects lent;
    struct loop *loop;
    struct store *store;
    struct frail index;
    struct commit *commit;
    atomic_uint_fast64_t generation;
    struct recover recover;
    bool recovered;
};

static void die_of(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static void has_recovered(struct op *op)
{
    op_owner(op, struct node, recover.op)->recovered = true;
}

static enum err_code recover_now(struct node *n)
{
    n->recovered = false;
    n->recover = (struct recover){.op = {.loop = n->loop, .done = has_recovered},
                                  .index = &n->index.index,
                                  .store = n->store};
    recover(&n->recover);
    CHECK(hand_loop_until(n->loop, &n->recovered));
    return n->recover.op.err.code;
}

static void open_index(struct node *n)
{
    struct err err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s", scratch_at(&n->dir, "index.db"));
    struct index_sqlite_config sqlite = {.path = {path, strlen(path)},
                                         .readers = 1,
                                         .queue = 100,
                                         .deadline_ms = 10000,
                                         .cache_size = 1 << 20};
    if (n->backend == SQLITE_INDEX ? index_sqlite_open(&sqlite, &n->index.inner, &err)
                                   : index_memory_open(&n->index.inner, &err))
        die_of("index", &err);
    n->index.index = (struct index){.ops = &frail_ops, .writers = 1};
    n->index.stages = n->index.commits = -1;
    CHECK(n->index.inner->ops->attach(n->index.inner, n->loop, &err) == 0);
}

struct marking {
    struct index_mark mark;
    bool done;
};

static void has_marked(struct op *op)
{
    op_owner(op, struct marking, mark.op)->done = true;
}

static uint64_t mark_of(struct node *n)
{
    struct marking m = {.mark = {.op = {.loop = n->loop, .done = has_marked}}};
    n->index.inner->ops->mark(n->index.inner, &m.mark);
    CHECK(hand_loop_until(n->loop, &m.done));
    return m.mark.sequence;
}

/* As a process does at its start, up to recovery. */
static void start(struct node *n)
{
    struct err err = {0};
    n->loop = hand_loop_open();
    CHECK(n->inner->ops->attach(n->inner, n->loop, &err) == 0);
    open_index(n);
    bad_objects_open(&n->lent, n->inner);
    if (store_bucket_open(&(struct store_bucket_config){.objects = &n->lent.objects,
                                                        .groups = 1,
                                                        .threads = 1,
                                                        .queue = 100,
                                                        .shelf_size = 1 << 20,
                                                        .last_sequence = mark_of(n),
                                                        .loop_index = 3,
                                                        .writer = STR("a-node")},
                          &n->store, &err) ||
        store_attach(n->store, n->loop, &err))
        die_of("store", &err);
    bad_objects_plan(&n->lent, (struct bad_objects_plan){0});
}

static void serve(struct node *n)
{
    CHECK(recover_now(n) == ERR_OK);
    atomic_init(&n->generation, 1);
    n->commit = commit_new(&(struct commit_config){.index = &n->index.index,
                                                   .store = n->store,
                                                   .loop = n->loop,
                                                   .queue_max = 100,
                                                   .groups = 1,
                                                   .generation = &n->generation});
}

static void stop(struct node *n)
{
    commit_free(n->commit);
    n->commit = NULL;
    n->index.inner->ops->close(n->index.inner);
    store_close(n->store);
    bad_objects_free(&n->lent);
    hand_loop_close(n->loop);
}

static void begin(struct node *n, enum backend backend)
{
    *n = (struct node){.backend = backend, .dir = scratch_new()};
    atomic_store(&now_us, INT64_C(1795671015123456));
    CHECK(object_mem_open(&n->inner, NULL) == 0);
    start(n);
}

static void end(struct node *n)
{
    stop(n);
    n->inner->ops->close(n->inner);
    scratch_remove(&n->dir);
}

/* ---- batches ---- */

struct sent {
    struct commit_batch batch;
    bool answered;
};

static void answered(struct op *op)
{
    op_owner(op, struct sent, batch.op)->answered = true;
}

/* `count` runs, the first of which is number `from`. */
static struct made_record *make(uint64_t from, size_t count)
{
    struct make_run *specs = calloc(count, sizeof *specs);
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct make_run){.id = make_id(from + i),
                                     .trace = make_id(from),
                                     .name = "chat",
                                     .start_us = (int64_t)(from + i),
                                     .number = from + i};
    struct made_record *made = make_record(specs, count);
    made->record.received_us = (int64_t)from;
    free(specs);
    return made;
}

static enum err_code send(struct node *n, struct made_record *made, enum index_verdict *verdict)
{
    struct sent sent = {
        .batch = {.op = {.loop = n->loop, .done = answered}, .record = &made->record}};
    commit_submit(n->commit, &sent.batch);
    CHECK(hand_loop_until(n->loop, &sent.answered));
    if (verdict)
        *verdict = sent.batch.verdict;
    return sent.batch.op.err.code;
}

/* ---- looking ---- */

struct looking {
    struct index_find find;
    struct store_read read;
    bool found, got;
};

static void has_found(struct op *op)
{
    op_owner(op, struct looking, find.op)->found = true;
}

static void has_got(struct op *op)
{
    op_owner(op, struct looking, read.op)->got = true;
}

/* Is the run there, by its row, with the bytes it was sent with? */
static bool is_there(struct node *n, const struct made_record *made, uint32_t i)
{
    struct run expected;
    CHECK(record_run(&made->record, i, &expected, NULL) == 0);
    struct arena *arena = arena_new(1024);
    struct looking l = {.find = {.op = {.loop = n->loop, .done = has_found},
                                 .ids = &expected.id,
                                 .count = 1,
                                 .arena = arena}};
    n->index.inner->ops->find(n->index.inner, &l.find);
    CHECK(hand_loop_until(n->loop, &l.found));
    bool there = l.find.op.err.code == ERR_OK && l.find.rows[0].found;
    if (there) {
        l.read = (struct store_read){.op = {.loop = n->loop, .done = has_got},
                                     .places = &l.find.rows[0].holders[0].place,
                                     .count = 1,
                                     .arena = arena};
        store_read(n->store, &l.read);
        CHECK(hand_loop_until(n->loop, &l.got));
        there = l.read.op.err.code == ERR_OK && same_run(&expected, &l.read.runs[0]);
        CHECK(there); /* a row that leads nowhere is worse than none */
    }
    arena_free(arena);
    return there;
}

static bool all_there(struct node *n, const struct made_record *made)
{
    bool all = true;
    for (uint32_t i = 0; i < made->record.count; i++)
        all &= is_there(n, made, i);
    return all;
}

static size_t packs(struct node *n)
{
    return objects_list(n->inner, n->loop, STR("v1/2"), NULL);
}

/* ---- the tests ---- */

TEST(what_was_acknowledged_is_there_after_a_restart)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct node n;
        struct made_record *a = make(1, 3), *b = make(10, 1);
        enum index_verdict verdict;
        begin(&n, (enum backend)backend);
        serve(&n);
        CHECK(send(&n, a, &verdict) == ERR_OK && verdict == INDEX_ADDED);
        CHECK(send(&n, b, &verdict) == ERR_OK && verdict == INDEX_ADDED);
        CHECK(all_there(&n, a) && all_there(&n, b));
        stop(&n);

        start(&n);
        serve(&n);
        CHECK(n.recover.records == (backend == MEM_INDEX ? 2 : 0));
        CHECK(all_there(&n, a) && all_there(&n, b));
        CHECK(send(&n, a, &verdict) == ERR_OK && verdict == INDEX_DUPLICATE);
        CHECK(packs(&n) == 2);
        end(&n);
        made_free(a);
        made_free(b);
    }
}

/* The process ends between the PUT and the commit. */
TEST(what_was_put_and_not_indexed_is_replayed_at_the_next_start)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct node n;
        struct made_record *a = make(1, 3), *b = make(10, 2), *c = make(20, 1);
        enum index_verdict verdict;
        begin(&n, (enum backend)backend);
        serve(&n);
        CHECK(send(&n, a, NULL) == ERR_OK);
        n.index.commits = 0;
        CHECK(send(&n, b, NULL) == ERR_UNAVAILABLE);
        CHECK(all_there(&n, a) && !is_there(&n, b, 0));
        stop(&n);

        atomic_fetch_sub(&now_us, 1000000); /* and the clock goes back */
        start(&n);
        serve(&n);
        CHECK(n.recover.records == (backend == MEM_INDEX ? 2 : 1));
        CHECK(all_there(&n, a) && all_there(&n, b));
        CHECK(send(&n, b, &verdict) == ERR_OK && verdict == INDEX_DUPLICATE);
        uint64_t mark = mark_of(&n);
        CHECK(send(&n, c, &verdict) == ERR_OK && verdict == INDEX_ADDED);
        CHECK(mark_of(&n) > mark);
        stop(&n);

        start(&n); /* nothing is left to do */
        CHECK(recover_now(&n) == ERR_OK);
        CHECK(n.recover.records == (backend == MEM_INDEX ? 3 : 0));
        CHECK(all_there(&n, a) && all_there(&n, b) && all_there(&n, c));
        end(&n);
        made_free(a);
        made_free(b);
        made_free(c);
    }
}

TEST(a_commit_that_failed_is_made_good_before_the_next)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct node n;
        struct made_record *a = make(1, 3), *b = make(10, 2);
        begin(&n, (enum backend)backend);
        serve(&n);
        n.index.commits = 0;
        CHECK(send(&n, a, NULL) == ERR_UNAVAILABLE);
        n.index.commits = -1;
        CHECK(send(&n, b, NULL) == ERR_OK);
        CHECK(all_there(&n, a) && all_there(&n, b));
        CHECK(packs(&n) == 2);
        end(&n);
        made_free(a);
        made_free(b);
    }
}

/* The PUT came through, and its answer did not. */
TEST(a_put_whose_answer_was_lost_is_found_before_the_next)
{
    for (int backend = 0; backend < BACKENDS; backend++)
        for (int dies = 0; dies < 2; dies++) {
            struct node n;
            struct made_record *a = make(1, 3), *b = make(10, 2);
            enum index_verdict verdict;
            begin(&n, (enum backend)backend);
            serve(&n);
            bad_objects_plan(&n.lent, (struct bad_objects_plan){.call = BAD_PUT,
                                                                .fails_at = 1,
                                                                .says = ERR_TIMEOUT,
                                                                .done_all_the_same = true});
            CHECK(send(&n, a, NULL) == ERR_TIMEOUT);
            CHECK(!is_there(&n, a, 0));
            if (dies) {
                stop(&n);
                start(&n);
                serve(&n);
                CHECK(all_there(&n, a));
            }
            CHECK(send(&n, b, NULL) == ERR_OK);
            CHECK(all_there(&n, a) && all_there(&n, b));
            CHECK(send(&n, a, &verdict) == ERR_OK && verdict == INDEX_DUPLICATE);
            CHECK(packs(&n) == 2);
            end(&n);
            made_free(a);
            made_free(b);
        }
}

TEST(a_put_that_did_not_come_through_leaves_nothing)
{
    static const enum err_code codes[] = {ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_FULL};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct node n;
        struct made_record *a = make(1, 3);
        enum index_verdict verdict;
        begin(&n, MEM_INDEX);
        serve(&n);
        bad_objects_plan(
            &n.lent, (struct bad_objects_plan){.call = BAD_PUT, .fails_at = 1, .says = codes[i]});
        CHECK(send(&n, a, NULL) == codes[i]);
        CHECK(!is_there(&n, a, 0) && packs(&n) == 0);
        CHECK(send(&n, a, &verdict) == ERR_OK && verdict == INDEX_ADDED);
        CHECK(all_there(&n, a) && packs(&n) == 1);
        end(&n);
        made_free(a);
    }
}

/* While the bucket cannot be asked, nothing new is taken in. */
TEST(nothing_is_stored_while_the_bucket_cannot_be_walked)
{
    struct node n;
    struct made_record *a = make(1, 3), *b = make(10, 2);
    begin(&n, MEM_INDEX);
    serve(&n);
    bad_objects_plan(&n.lent, (struct bad_objects_plan){.call = BAD_PUT,
                                                        .fails_at = 1,
                                                        .says = ERR_TIMEOUT,
                                                        .done_all_the_same = true});
    CHECK(send(&n, a, NULL) == ERR_TIMEOUT);
    bad_objects_plan(&n.lent, (struct bad_objects_plan){.call = BAD_LIST,
                                                        .fails_at = 1,
                                                        .and_then_always = true,
                                                        .says = ERR_UNAVAILABLE});
    CHECK(send(&n, b, NULL) == ERR_UNAVAILABLE);
    CHECK(commit_trouble(n.commit) == ERR_UNAVAILABLE);
    bad_objects_plan(&n.lent, (struct bad_objects_plan){0});
    CHECK(send(&n, b, NULL) == ERR_OK);
    CHECK(all_there(&n, a) && all_there(&n, b));
    end(&n);
    made_free(a);
    made_free(b);
}

/* Another node's object has the number. */
TEST(a_conflict_of_numbers_is_nobodys_loss)
{
    struct node n;
    struct made_record *a = make(1, 3);
    enum index_verdict verdict;
    begin(&n, MEM_INDEX);
    serve(&n);
    bad_objects_plan(
        &n.lent, (struct bad_objects_plan){.call = BAD_PUT, .fails_at = 1, .says = ERR_CONFLICT});
    CHECK(send(&n, a, &verdict) == ERR_OK && verdict == INDEX_ADDED);
    CHECK(all_there(&n, a) && packs(&n) == 1);
    bad_objects_plan(&n.lent, (struct bad_objects_plan){.call = BAD_PUT,
                                                        .fails_at = 1,
                                                        .and_then_always = true,
                                                        .says = ERR_CONFLICT});
    struct made_record *b = make(10, 3);
    CHECK(send(&n, b, NULL) == ERR_BUSY);
    CHECK(n.lent.calls[BAD_PUT] == 4);
    end(&n);
    made_free(a);
    made_free(b);
}

/* ---- a replay that is cut short ---- */

struct appending {
    struct store_append append;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct appending, append.op)->done = true;
}

/* Put, and tell no index. */
static void put_group(struct node *n, struct made_record **made, size_t count)
{
    struct store_record *records = calloc(count, sizeof *records);
    for (size_t i = 0; i < count; i++)
        records[i] = (struct store_record){.record = &made[i]->record};
    CHECK(store_reserve(n->store, records, count, NULL) == 0);
    struct appending a = {
        .append = {.op = {.loop = n->loop, .done = appended}, .records = records, .count = count}};
    store_append(n->store, &a.append);
    CHECK(hand_loop_until(n->loop, &a.done));
    CHECK(a.append.op.err.code == ERR_OK);
    free(records);
}

/* A group of more records than a replay takes at a time: its mark lies inside the
 * pack when the process ends, once after each step. */
TEST(a_replay_that_ended_inside_of_a_pack_goes_on_there)
{
    enum { RECORDS = 2500 };
    struct made_record *made[RECORDS], *last = make(100000, 1);
    for (size_t i = 0; i < RECORDS; i++)
        made[i] = make(1000 + i, 1);
    struct node n;
    begin(&n, SQLITE_INDEX);
    put_group(&n, made, RECORDS);
    put_group(&n, &last, 1);
    enum err_code r;
    int starts = 0;
    do {
        stop(&n);
        start(&n);
        n.index.commits = 1; /* then it fails, and the process ends */
        r = recover_now(&n);
    } while (r && ++starts < 20);
    CHECK(r == ERR_OK && starts == 2);
    for (size_t i = 0; i < RECORDS; i += 50)
        CHECK(is_there(&n, made[i], 0));
    CHECK(is_there(&n, made[RECORDS - 1], 0) && is_there(&n, last, 0));
    CHECK(n.index.inner->ops->runs(n.index.inner) == RECORDS + 1);
    end(&n);
    for (size_t i = 0; i < RECORDS; i++)
        made_free(made[i]);
    made_free(last);
}
