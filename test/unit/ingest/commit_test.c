/* commit_test.c - the one order of a commit, and what each failure leaves. */
#include "ingest/commit.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "store/store.h"

/* An index and a log that write down what they were asked, and fail on demand.
 *   r reserve  s stage  a append  f forget  c commit  b roll back  w walk  m mark */
struct world {
    char story[64];
    enum err_code stage_says, append_says, commit_says, reserve_says;
    enum index_verdict verdicts[4]; /* of the next batches staged */
    size_t staged, appended;
    uint64_t sequence, marked;
};
static struct world world;

static void note(char c)
{
    size_t n = strlen(world.story);
    CHECK(n + 1 < sizeof world.story);
    world.story[n] = c;
}

uint64_t store_size(const struct record *record)
{
    return record->body.len;
}

int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    (void)store;
    note('r');
    for (size_t i = 0; i < count; i++) {
        records[i].first = (struct place){.container = 1, .ordinal = (uint32_t)i};
        records[i].sequence = ++world.sequence;
    }
    return world.reserve_says ? err_set(err, world.reserve_says, "reserve") : 0;
}

void store_forget(struct store *store)
{
    (void)store;
    note('f');
}

void store_walk_end(struct store *store)
{
    (void)store;
}

void store_append(struct store *store, struct store_append *append)
{
    (void)store;
    note('a');
    world.appended += append->count;
    append->op.err.code = world.append_says;
    op_finish(&append->op);
}

int store_walk(struct store *store, uint64_t after, store_visit_fn *visit,
               store_damaged_fn *damaged, void *context, struct err *err)
{
    static const struct record record = {.count = 1, .table = {"t", 1}, .body = {"b", 1}};
    (void)store;
    (void)damaged;
    note('w');
    if (after < world.sequence)
        return visit(context, &record, (struct place){.container = 1}, world.sequence, err);
    return 0;
}

void store_sizes(struct store *store, struct store_sizes *result)
{
    (void)store;
    *result = (struct store_sizes){.last_sequence = world.sequence, .free_bytes = 1};
}

static void fake_stage(struct index *index, struct index_stage *stage)
{
    (void)index;
    note('s');
    for (size_t i = 0; i < stage->count; i++) {
        stage->batches[i].verdict = world.verdicts[i % 4];
        stage->batches[i].added = stage->batches[i].verdict == INDEX_ADDED;
        world.staged++;
    }
    stage->op.err.code = world.stage_says;
    op_finish(&stage->op);
}

static void fake_commit(struct index *index, struct index_commit *commit)
{
    (void)index;
    note('c');
    if (!world.commit_says)
        world.marked = commit->sequence;
    commit->op.err.code = world.commit_says;
    op_finish(&commit->op);
}

static void fake_rollback(struct index *index, struct index_rollback *rollback)
{
    (void)index;
    note('b');
    op_finish(&rollback->op);
}

static void fake_mark(struct index *index, struct index_mark *mark)
{
    (void)index;
    note('m');
    mark->sequence = world.marked;
    op_finish(&mark->op);
}

static const struct index_ops fake_ops = {.name = "fake",
                                          .stage = fake_stage,
                                          .commit = fake_commit,
                                          .rollback = fake_rollback,
                                          .mark = fake_mark};
static struct index fake_index = {.ops = &fake_ops, .writers = 1};

struct fixture {
    struct loop *loop;
    struct commit *commit;
    atomic_uint_fast64_t generation;
};

struct sent {
    struct commit_batch batch;
    struct record record;
    bool answered;
    uint64_t generation; /* when it was answered */
    struct fixture *fixture;
};

static void setup(struct fixture *f, size_t queue_max)
{
    world = (struct world){.sequence = 10, .marked = 10};
    f->loop = hand_loop_open();
    atomic_init(&f->generation, 1);
    f->commit = commit_new(&(struct commit_config){.index = &fake_index,
                                                   .loop = f->loop,
                                                   .queue_max = queue_max,
                                                   .generation = &f->generation});
}

static void teardown(struct fixture *f)
{
    hand_loop_turn(f->loop);
    commit_free(f->commit);
    hand_loop_close(f->loop);
}

static void answered(struct op *op)
{
    struct sent *sent = op_owner(op, struct sent, batch.op);
    note('.');
    sent->answered = true;
    sent->generation = atomic_load(&sent->fixture->generation);
}

static void send(struct fixture *f, struct sent *sent)
{
    *sent = (struct sent){.fixture = f, .record = {.count = 1, .body = {"{}", 2}}};
    sent->batch.op = (struct op){.loop = f->loop, .done = answered};
    sent->batch.record = &sent->record;
    commit_submit(f->commit, &sent->batch);
}

static void wait(struct fixture *f, struct sent *sent)
{
    CHECK(hand_loop_until(f->loop, &sent->answered));
}

TEST(a_batch_is_answered_when_it_is_durable_and_visible)
{
    struct fixture f;
    struct sent sent;
    setup(&f, 10);

    send(&f, &sent);
    CHECK(!sent.answered);
    wait(&f, &sent);

    CHECK(strcmp(world.story, "rsac.") == 0);
    CHECK(sent.batch.op.err.code == ERR_OK && sent.batch.verdict == INDEX_ADDED);
    CHECK(sent.generation == 2); /* counted up before anyone heard */
    CHECK(world.marked == 11);
    teardown(&f);
}

TEST(batches_that_wait_share_one_commit)
{
    struct fixture f;
    struct sent sent[3];
    setup(&f, 10);
    for (int i = 0; i < 3; i++)
        send(&f, &sent[i]);
    wait(&f, &sent[2]);

    CHECK(strcmp(world.story, "rsac...") == 0);
    CHECK(world.appended == 3);
    teardown(&f);
}

TEST(what_is_refused_never_reaches_the_log)
{
    struct fixture f;
    struct sent sent[3];
    setup(&f, 10);
    world.verdicts[0] = INDEX_CONFLICT;
    world.verdicts[2] = INDEX_DUPLICATE;
    for (int i = 0; i < 3; i++)
        send(&f, &sent[i]);
    wait(&f, &sent[2]);

    CHECK(strcmp(world.story, "rsac...") == 0);
    CHECK(world.appended == 1);
    CHECK(sent[0].batch.verdict == INDEX_CONFLICT && sent[1].batch.verdict == INDEX_ADDED);
    CHECK(sent[2].batch.verdict == INDEX_DUPLICATE);
    CHECK(world.marked == 12);
    teardown(&f);
}

TEST(duplicates_alone_need_no_sync)
{
    struct fixture f;
    struct sent sent;
    setup(&f, 10);
    world.verdicts[0] = INDEX_DUPLICATE;
    send(&f, &sent);
    wait(&f, &sent);

    CHECK(strcmp(world.story, "rsbf.") == 0);
    CHECK(sent.batch.op.err.code == ERR_OK && sent.batch.verdict == INDEX_DUPLICATE);
    teardown(&f);
}

/* Fail each step in turn: nobody is acknowledged, and the next batch is stored. */
TEST(a_failed_step_fails_the_whole_group_and_no_other)
{
    static const struct {
        enum err_code stage, append, reserve, answer;
        const char *story;
    } cases[] = {
        {ERR_IO, ERR_OK, ERR_OK, ERR_IO, "rsbf.."},
        {ERR_OK, ERR_FULL, ERR_OK, ERR_FULL, "rsabf.."},
        {ERR_OK, ERR_OK, ERR_FULL, ERR_FULL, "r.."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        struct sent sent[2], next;
        setup(&f, 10);
        world.stage_says = cases[i].stage;
        world.append_says = cases[i].append;
        world.reserve_says = cases[i].reserve;
        world.verdicts[1] = INDEX_DUPLICATE; /* it may be judged against rows that go again */
        send(&f, &sent[0]);
        send(&f, &sent[1]);
        wait(&f, &sent[1]);

        CHECK(strcmp(world.story, cases[i].story) == 0);
        CHECK(sent[0].batch.op.err.code == cases[i].answer);
        CHECK(sent[1].batch.op.err.code == cases[i].answer);
        CHECK(atomic_load(&f.generation) == 1);
        CHECK(commit_trouble(f.commit) == cases[i].answer);

        world.stage_says = world.append_says = world.reserve_says = ERR_OK;
        send(&f, &next);
        wait(&f, &next);
        CHECK(next.batch.op.err.code == ERR_OK);
        CHECK(commit_trouble(f.commit) == ERR_OK);
        teardown(&f);
    }
}

TEST(a_failed_commit_is_repaired_from_the_log_before_anything_else)
{
    struct fixture f;
    struct sent lost, refused, next;
    setup(&f, 10);

    world.commit_says = ERR_IO;
    send(&f, &lost);
    wait(&f, &lost);
    CHECK(lost.batch.op.err.code == ERR_UNAVAILABLE);
    CHECK(strcmp(world.story, "rsacbf.") == 0);
    CHECK(commit_trouble(f.commit) == ERR_UNAVAILABLE);

    /* While it cannot be repaired, nothing is taken in. */
    send(&f, &refused);
    wait(&f, &refused);
    CHECK(refused.batch.op.err.code == ERR_UNAVAILABLE);
    CHECK(strcmp(world.story, "rsacbf.mwscb.") == 0);
    CHECK(world.appended == 1);

    memset(world.story, 0, sizeof world.story);
    world.commit_says = ERR_OK;
    send(&f, &next);
    wait(&f, &next);
    CHECK(next.batch.op.err.code == ERR_OK);
    CHECK(strcmp(world.story, "mwscwrsac.") == 0);
    CHECK(world.marked == world.sequence);
    CHECK(commit_trouble(f.commit) == ERR_OK);
    teardown(&f);
}

TEST(trouble_is_looked_into_without_a_batch)
{
    struct fixture f;
    struct sent sent;
    setup(&f, 10);
    world.commit_says = ERR_IO;
    send(&f, &sent);
    wait(&f, &sent);

    memset(world.story, 0, sizeof world.story);
    commit_retry(f.commit); /* in vain */
    for (int i = 0; i < 20; i++)
        hand_loop_turn(f.loop);
    CHECK(strcmp(world.story, "mwscb") == 0);
    CHECK(commit_trouble(f.commit) == ERR_UNAVAILABLE);

    world.commit_says = ERR_OK;
    commit_retry(f.commit);
    for (int i = 0; i < 20; i++)
        hand_loop_turn(f.loop);
    CHECK(commit_trouble(f.commit) == ERR_OK);
    CHECK(world.marked == world.sequence);
    teardown(&f);
}

TEST(a_full_queue_refuses_at_once)
{
    struct fixture f;
    struct sent sent[3];
    setup(&f, 2);
    for (int i = 0; i < 3; i++)
        send(&f, &sent[i]);
    wait(&f, &sent[2]);

    CHECK(sent[2].batch.op.err.code == ERR_BUSY);
    wait(&f, &sent[1]);
    CHECK(sent[0].batch.op.err.code == ERR_OK && sent[1].batch.op.err.code == ERR_OK);
    CHECK(commit_waiting(f.commit) == 0);
    teardown(&f);
}
