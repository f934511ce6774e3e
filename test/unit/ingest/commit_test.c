/* commit_test.c - the one order of a commit, and what each failure leaves. */
#include "ingest/commit.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "loop/loop.h"
#include "loop/news.h"
#include "run/entity.h"
#include "run/record.h"
#include "store/store.h"

enum { GROUPS = 3 };

/* An index and a log that write down what they were asked, and fail on demand.
 *   r reserve  s stage  a append  f forget  c commit  b roll back  w walk  m mark
 * With several groups a digit behind s, c and b says which it is. */
struct world {
    char story[128];
    enum err_code stage_says, append_says, commit_says, reserve_says;
    enum index_verdict verdicts[4]; /* of the next batches staged */
    size_t staged, appended;
    uint64_t sequence, marked, container;
    struct place first; /* that was appended last */
    bool numbered;

    /* Whichever is set: these wait for go_on(). */
    bool hold_stages, hold_appends, hold_commits;
    struct op *held[8]; /* oldest first */
    size_t held_count;
    int conflicts; /* appends, then commits, that another node comes before */
    bool conflicts_of_commit;
    int64_t mono_us;
};
static struct world world;

int64_t clock_mono_us(void)
{
    return world.mono_us;
}

int64_t clock_now_us(void)
{
    return world.mono_us;
}

static void note(char c)
{
    size_t n = strlen(world.story);
    CHECK(n + 1 < sizeof world.story);
    world.story[n] = c;
}

static void note_writer(char c, unsigned writer)
{
    note(c);
    if (world.numbered)
        note((char)('0' + writer));
}

/* Finish it, now or when go_on() says so. */
static void finish(struct op *op, bool hold)
{
    if (!hold) {
        op_finish(op);
        return;
    }
    CHECK(world.held_count < sizeof world.held / sizeof world.held[0]);
    world.held[world.held_count++] = op;
}

/* The i-th of those that wait. */
static void go_on(size_t i, enum err_code says)
{
    CHECK(i < world.held_count);
    struct op *op = world.held[i];
    for (world.held_count--; i < world.held_count; i++)
        world.held[i] = world.held[i + 1];
    op->err.code = says;
    op_finish(op);
}

bool store_has_orphans(const struct store *store)
{
    (void)store;
    return false;
}

uint64_t store_size(const struct record *record)
{
    return record->body.len;
}

int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    (void)store;
    note('r');
    world.container++;
    for (size_t i = 0; i < count; i++) {
        records[i].first = (struct place){.container = world.container, .ordinal = (uint32_t)i};
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
    world.first = append->records[0].first;
    append->op.err.code = world.append_says;
    if (!world.conflicts_of_commit && world.conflicts-- > 0)
        append->op.err.code = ERR_CONFLICT;
    finish(&append->op, world.hold_appends);
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
    note_writer('s', stage->writer);
    for (size_t i = 0; i < stage->count; i++) {
        stage->batches[i].verdict = world.verdicts[i % 4];
        stage->batches[i].added = stage->batches[i].verdict == INDEX_ADDED;
        world.staged++;
    }
    stage->op.err.code = world.stage_says;
    finish(&stage->op, world.hold_stages);
}

static void fake_commit(struct index *index, struct index_commit *commit)
{
    (void)index;
    note_writer('c', commit->writer);
    commit->op.err.code = world.commit_says;
    if (world.conflicts_of_commit && world.conflicts-- > 0)
        commit->op.err.code = ERR_CONFLICT;
    if (!commit->op.err.code)
        world.marked = commit->sequence;
    finish(&commit->op, world.hold_commits);
}

static void fake_rollback(struct index *index, struct index_rollback *rollback)
{
    (void)index;
    note_writer('b', rollback->writer);
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
static struct index shared_index = {.ops = &fake_ops, .writers = GROUPS, .shared = true};

struct fixture {
    struct loop *loop;
    struct commit *commit;
    struct news *news; /* NULL: nobody is told */
    atomic_uint_fast64_t generation;
};

struct sent {
    struct commit_batch batch;
    struct record record;
    bool answered;
    uint64_t generation; /* when it was answered */
    struct fixture *fixture;
};

static void setup_telling(struct fixture *f, size_t queue_max, struct news *news)
{
    f->news = news;
    world = (struct world){.sequence = 10, .marked = 10};
    f->loop = hand_loop_open();
    atomic_init(&f->generation, 1);
    f->commit = commit_new(&(struct commit_config){.index = &fake_index,
                                                   .loop = f->loop,
                                                   .queue_max = queue_max,
                                                   .generation = &f->generation,
                                                   .news = f->news});
}

static void setup(struct fixture *f, size_t queue_max)
{
    setup_telling(f, queue_max, NULL);
}

/* The same with an index that other nodes write too, and several groups. */
static void setup_shared(struct fixture *f, unsigned groups, size_t gather, unsigned flush_ms)
{
    world = (struct world){.sequence = 10, .marked = 10, .numbered = groups > 1};
    f->loop = hand_loop_open();
    atomic_init(&f->generation, 1);
    f->commit = commit_new(&(struct commit_config){.index = &shared_index,
                                                   .loop = f->loop,
                                                   .queue_max = 100,
                                                   .groups = groups,
                                                   .gather = gather,
                                                   .flush_ms = flush_ms,
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

/* ---- several groups, and an index that other nodes write too ---- */

enum { AT_ONCE = 0, HOUR_MS = 3600000 };

/* Let everything happen that need not wait for anybody. */
static void turn(struct fixture *f)
{
    for (int i = 0; i < 50; i++)
        hand_loop_turn(f->loop);
}

static void send_now(struct fixture *f, struct sent *sent)
{
    send(f, sent);
    turn(f);
}

static bool story_is(const char *story)
{
    bool same = strcmp(world.story, story) == 0;
    if (!same)
        fprintf(stderr, "%s instead of %s\n", world.story, story);
    return same;
}

TEST(groups_are_on_their_way_beside_each_other)
{
    struct fixture f;
    struct sent sent[4];
    setup_shared(&f, 3, AT_ONCE, 0);
    world.hold_appends = true;
    for (int i = 0; i < 4; i++)
        send_now(&f, &sent[i]);
    CHECK(story_is("rs0ars1ars2a")); /* the fourth waits for one of them */

    go_on(1, ERR_OK);
    turn(&f);
    CHECK(!sent[0].answered && sent[1].answered && !sent[2].answered);
    CHECK(story_is("rs0ars1ars2ac1.rs1a"));
    go_on(2, ERR_OK); /* the fourth */
    go_on(0, ERR_OK);
    go_on(0, ERR_OK);
    turn(&f);
    for (int i = 0; i < 4; i++)
        CHECK(sent[i].answered && sent[i].batch.op.err.code == ERR_OK);
    CHECK(commit_waiting(f.commit) == 0);
    teardown(&f);
}

TEST(one_group_is_judged_at_a_time)
{
    struct fixture f;
    struct sent sent[2];
    setup_shared(&f, 3, AT_ONCE, 0);
    world.hold_stages = true;
    send_now(&f, &sent[0]);
    send_now(&f, &sent[1]);
    CHECK(story_is("rs0"));

    go_on(0, ERR_OK);
    turn(&f);
    CHECK(story_is("rs0ars1c0.") || story_is("rs0rs1ac0."));
    go_on(0, ERR_OK);
    wait(&f, &sent[1]);
    CHECK(sent[1].batch.op.err.code == ERR_OK);
    teardown(&f);
}

TEST(a_further_group_begins_when_enough_has_gathered)
{
    struct fixture f;
    struct sent sent[5];
    setup_shared(&f, 3, 6, HOUR_MS); /* a batch has two bytes */
    world.hold_appends = true;
    for (int i = 0; i < 3; i++)
        send_now(&f, &sent[i]);
    CHECK(story_is("rs0a"));
    send_now(&f, &sent[3]);
    CHECK(story_is("rs0ars1a"));
    CHECK(world.appended == 4);

    /* What comes when nothing is on its way any more need not gather. */
    send_now(&f, &sent[4]);
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(story_is("rs0ars1ac0."));
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(story_is("rs0ars1ac0.c1...rs0a"));
    go_on(0, ERR_OK);
    wait(&f, &sent[4]);
    teardown(&f);
}

TEST(who_waits_is_not_kept_waiting_longer_than_flush)
{
    struct fixture f;
    struct sent sent[3];
    setup_shared(&f, 2, 1000, 20);
    world.hold_appends = true;
    send_now(&f, &sent[0]);
    world.mono_us = 5000;
    send_now(&f, &sent[1]);
    world.mono_us = 24999;
    send_now(&f, &sent[2]);
    CHECK(story_is("rs0a"));

    world.mono_us = 25000; /* its timer looks at the clock */
    bool begun = false;
    for (long i = 0; i < 100000000 && !begun; i++) {
        hand_loop_turn(f.loop);
        begun = world.held_count == 2;
    }
    CHECK(story_is("rs0ars1a"));
    CHECK(world.appended == 3);
    go_on(1, ERR_OK);
    go_on(0, ERR_OK);
    wait(&f, &sent[0]);
    wait(&f, &sent[2]);
    teardown(&f);
}

TEST(what_was_ready_while_no_group_was_free_begins_when_one_is)
{
    struct fixture f;
    struct sent sent[3];
    setup_shared(&f, 2, AT_ONCE, 20);
    world.hold_appends = true;
    for (int i = 0; i < 3; i++)
        send_now(&f, &sent[i]);
    world.mono_us = 1000000;
    turn(&f);
    CHECK(story_is("rs0ars1a"));
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(story_is("rs0ars1ac0.rs0a"));
    go_on(0, ERR_OK);
    go_on(0, ERR_OK);
    wait(&f, &sent[1]);
    wait(&f, &sent[2]);
    teardown(&f);
}

TEST(a_failed_group_is_no_matter_of_another)
{
    struct fixture f;
    struct sent sent[3];
    setup_shared(&f, 3, AT_ONCE, 0);
    world.hold_appends = true;
    send_now(&f, &sent[0]);
    world.stage_says = ERR_IO;
    send_now(&f, &sent[1]);
    world.stage_says = ERR_OK;
    send_now(&f, &sent[2]);
    CHECK(sent[1].answered && sent[1].batch.op.err.code == ERR_IO);
    go_on(1, ERR_FULL);
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(sent[0].batch.op.err.code == ERR_OK && sent[2].batch.op.err.code == ERR_FULL);
    CHECK(sent[0].answered && sent[2].answered);
    teardown(&f);
}

/* Another node has the number. */
TEST(a_number_that_is_taken_is_judged_again_with_new_places)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.conflicts = 2;
    send_now(&f, &sent);

    CHECK(story_is("rsabfrsabfrsac."));
    CHECK(sent.answered && sent.batch.op.err.code == ERR_OK);
    CHECK(sent.batch.verdict == INDEX_ADDED && sent.batch.added == 1);
    CHECK(world.first.container == 3 && world.marked == 13);
    CHECK(commit_trouble(f.commit) == ERR_OK);
    teardown(&f);
}

/* Another node wrote one of the runs first. */
TEST(a_conflict_is_judged_again_and_what_was_appended_is_kept)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.conflicts_of_commit = true;
    world.conflicts = 2;
    send_now(&f, &sent);

    CHECK(story_is("rsacbscbsc."));
    CHECK(sent.answered && sent.batch.op.err.code == ERR_OK);
    CHECK(sent.batch.verdict == INDEX_ADDED && sent.batch.added == 1);
    CHECK(world.first.container == 1 && world.marked == 11);
    CHECK(commit_trouble(f.commit) == ERR_OK);
    teardown(&f);
}

TEST(where_other_records_are_accepted_they_are_appended_anew)
{
    struct fixture f;
    struct sent first, sent[2];
    setup_shared(&f, 1, AT_ONCE, 0);
    world.hold_commits = true;
    send_now(&f, &first);
    for (int i = 0; i < 2; i++)
        send_now(&f, &sent[i]);
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(story_is("rsac.rsac")); /* both in one group */
    world.verdicts[1] = INDEX_CONFLICT;
    go_on(0, ERR_CONFLICT);
    turn(&f);
    CHECK(story_is("rsac.rsacbsbfrsac")); /* the second is a conflict now */
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(sent[0].answered && sent[0].batch.op.err.code == ERR_OK && sent[0].batch.added == 1);
    CHECK(sent[1].answered && sent[1].batch.verdict == INDEX_CONFLICT);
    CHECK(world.first.container == 3);
    teardown(&f);
}

/* An index of one process has only the first kind. */
TEST(a_number_that_is_taken_is_no_matter_for_one_node_either)
{
    struct fixture f;
    struct sent sent;
    setup(&f, 10);
    world.conflicts = 1;
    send(&f, &sent);
    wait(&f, &sent);
    CHECK(story_is("rsabfrsac."));
    CHECK(sent.batch.op.err.code == ERR_OK);
    teardown(&f);
}

static void see_refused(struct fixture *f, struct sent *sent)
{
    struct sent next;
    CHECK(sent->answered && sent->batch.op.err.code == ERR_BUSY);
    CHECK(sent->batch.op.err.text[0]);
    CHECK(commit_trouble(f->commit) == ERR_OK); /* nothing is down */
    world.conflicts = 0;
    send_now(f, &next);
    CHECK(next.answered && next.batch.op.err.code == ERR_OK);
    CHECK(next.batch.verdict == INDEX_ADDED);
}

TEST(four_numbers_that_are_taken_are_enough)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.conflicts = 1000;
    send_now(&f, &sent);
    CHECK(story_is("rsabfrsabfrsabfrsabf."));
    see_refused(&f, &sent);
    teardown(&f);
}

/* Its container may have been given up. */
TEST(a_group_that_never_fits_gets_new_places_and_is_refused_at_last)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.conflicts_of_commit = true;
    world.conflicts = 1000;
    send_now(&f, &sent);
    CHECK(story_is("rsacbscbscbscbscbscbscbscbf"
                   "rsacbscbscbscbscbscbscbscbf"
                   "rsacbscbscbscbscbscbscbscbf"
                   "rsacbscbscbscbscbscbscbscbf."));
    see_refused(&f, &sent);
    teardown(&f);
}

TEST(a_group_is_not_judged_again_for_ever)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.hold_commits = true;
    send_now(&f, &sent);
    world.mono_us += 11000000;
    go_on(0, ERR_CONFLICT);
    turn(&f);
    CHECK(story_is("rsacb."));
    world.hold_commits = false;
    see_refused(&f, &sent);
    teardown(&f);
}

TEST(the_last_judgement_is_the_one_that_counts)
{
    struct fixture f;
    struct sent sent;
    setup_shared(&f, 1, AT_ONCE, 0);
    world.hold_appends = true;
    send_now(&f, &sent);
    world.verdicts[0] = INDEX_CONFLICT;
    go_on(0, ERR_CONFLICT);
    turn(&f);
    CHECK(story_is("rsabfrsbf."));
    CHECK(sent.answered && sent.batch.op.err.code == ERR_OK);
    CHECK(sent.batch.verdict == INDEX_CONFLICT && sent.batch.added == 0);
    teardown(&f);
}

TEST(a_group_that_is_judged_again_goes_before_what_waits)
{
    struct fixture f;
    struct sent sent[3];
    setup_shared(&f, 2, AT_ONCE, 0);
    world.hold_appends = true;
    for (int i = 0; i < 3; i++)
        send_now(&f, &sent[i]);
    CHECK(story_is("rs0ars1a"));
    go_on(1, ERR_CONFLICT);
    turn(&f);
    CHECK(story_is("rs0ars1ab1frs1a"));
    go_on(1, ERR_OK);
    go_on(0, ERR_OK);
    turn(&f);
    CHECK(sent[0].answered && sent[1].answered);
    go_on(0, ERR_OK);
    wait(&f, &sent[2]);
    teardown(&f);
}

/* Whoever waits would wait for the same. */
TEST(what_is_down_refuses_at_once_what_waits)
{
    static const enum err_code codes[] = {ERR_UNAVAILABLE, ERR_TIMEOUT};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct sent sent[4], next;
        setup_shared(&f, 2, AT_ONCE, 0);
        world.hold_appends = true;
        for (int k = 0; k < 4; k++)
            send_now(&f, &sent[k]);
        go_on(0, codes[i]);
        turn(&f);
        CHECK(story_is("rs0ars1ab0f..."));
        CHECK(sent[0].batch.op.err.code == codes[i]);
        CHECK(!sent[1].answered);   /* it is on its way */
        for (int k = 2; k < 4; k++) /* nothing of theirs was tried */
            CHECK(sent[k].answered && sent[k].batch.op.err.code == ERR_UNAVAILABLE);
        CHECK(commit_trouble(f.commit) == codes[i]);
        go_on(0, ERR_OK);
        wait(&f, &sent[1]);
        CHECK(sent[1].batch.op.err.code == ERR_OK);
        CHECK(commit_waiting(f.commit) == 0);

        world.hold_appends = false;
        send_now(&f, &next);
        CHECK(next.answered && next.batch.op.err.code == ERR_OK);
        CHECK(commit_trouble(f.commit) == ERR_OK);
        teardown(&f);
    }
}

TEST(what_only_fails_refuses_nobody_else)
{
    struct fixture f;
    struct sent sent[2];
    setup_shared(&f, 1, AT_ONCE, 0);
    world.hold_appends = true;
    send_now(&f, &sent[0]);
    send_now(&f, &sent[1]);
    go_on(0, ERR_FULL);
    turn(&f);
    CHECK(sent[0].answered && !sent[1].answered);
    go_on(0, ERR_OK);
    wait(&f, &sent[1]);
    CHECK(sent[1].batch.op.err.code == ERR_OK);
    teardown(&f);
}

/* It may be in the store: an index that follows must have it before the next. */
TEST(an_append_whose_end_nobody_knows_is_looked_for_first)
{
    struct fixture f;
    struct sent lost, next;
    setup(&f, 10);
    world.hold_appends = true;
    send_now(&f, &lost);
    send_now(&f, &next);
    world.hold_appends = false;
    go_on(0, ERR_TIMEOUT);
    turn(&f);
    CHECK(story_is("rsabf.mwscwrsac."));
    CHECK(lost.batch.op.err.code == ERR_TIMEOUT);
    CHECK(next.answered && next.batch.op.err.code == ERR_OK);
    CHECK(commit_trouble(f.commit) == ERR_OK);
    teardown(&f);
}

TEST(nothing_is_stored_before_it_could_be_looked_for)
{
    struct fixture f;
    struct sent lost, refused;
    setup(&f, 10);
    world.append_says = ERR_TIMEOUT;
    send_now(&f, &lost);
    CHECK(commit_trouble(f.commit) == ERR_UNAVAILABLE);
    world.append_says = ERR_OK;
    world.stage_says = ERR_IO; /* of the replay */
    send_now(&f, &refused);
    CHECK(story_is("rsabf.mwsb."));
    CHECK(refused.answered && refused.batch.op.err.code == ERR_UNAVAILABLE);
    world.stage_says = ERR_OK;
    send_now(&f, &refused);
    CHECK(refused.answered && refused.batch.op.err.code == ERR_OK);
    teardown(&f);
}

/* A shared index is behind nothing; what became of the object is for its rows to say. */
TEST(a_shared_index_has_nothing_to_catch_up_with)
{
    struct fixture f;
    struct sent sent[3];
    setup_shared(&f, 1, AT_ONCE, 0);
    world.append_says = ERR_TIMEOUT;
    send_now(&f, &sent[0]);
    world.append_says = ERR_OK;
    world.commit_says = ERR_TIMEOUT;
    send_now(&f, &sent[1]);
    world.commit_says = ERR_OK;
    send_now(&f, &sent[2]);
    CHECK(story_is("rsabf.rsacbf.rsac."));
    CHECK(sent[0].batch.op.err.code == ERR_TIMEOUT);
    CHECK(sent[1].batch.op.err.code == ERR_TIMEOUT);
    CHECK(sent[2].batch.op.err.code == ERR_OK);
    teardown(&f);
}

/* What was judged a duplicate may be another node's, and a commit whose end nobody
 * knows may become visible: no cached page may hide them from who was answered. */
TEST(with_a_shared_index_every_answer_is_of_a_new_generation)
{
    struct fixture f;
    struct sent sent[4];
    setup_shared(&f, 1, AT_ONCE, 0);
    send_now(&f, &sent[0]);
    world.verdicts[0] = INDEX_DUPLICATE;
    send_now(&f, &sent[1]);
    world.verdicts[0] = INDEX_CONFLICT;
    send_now(&f, &sent[2]);
    world.verdicts[0] = INDEX_ADDED;
    world.commit_says = ERR_TIMEOUT;
    send_now(&f, &sent[3]);
    for (unsigned i = 0; i < 4; i++)
        CHECK(sent[i].answered && sent[i].generation == 2 + i);
    teardown(&f);
}

TEST(with_an_index_of_one_process_only_a_commit_counts)
{
    struct fixture f;
    struct sent sent;
    setup(&f, 10);
    world.verdicts[0] = INDEX_DUPLICATE;
    send_now(&f, &sent);
    CHECK(sent.answered && sent.generation == 1);
    teardown(&f);
}

/* ---- the end ---- */

struct releasing {
    struct op op;
    struct sent *sent;
    size_t count;
};

static void release(struct op *op)
{
    struct releasing *r = op_owner(op, struct releasing, op);
    for (size_t i = 0; i < r->count; i++)
        CHECK(!r->sent[i].answered);
    while (world.held_count > 0)
        go_on(0, ERR_OK);
}

TEST(it_ends_when_everybody_is_answered)
{
    struct fixture f;
    struct sent sent[3];
    struct err err = {0};
    setup_shared(&f, 2, 1000, HOUR_MS);
    world.hold_appends = true;
    send_now(&f, &sent[0]);
    send_now(&f, &sent[1]);
    send_now(&f, &sent[2]);
    CHECK(story_is("rs0a"));

    commit_end(f.commit);
    turn(&f);
    CHECK(story_is("rs0ars1a")); /* nothing more will gather */
    struct releasing releasing = {
        .op = {.loop = f.loop, .done = release}, .sent = sent, .count = 3};
    op_finish(&releasing.op);
    CHECK(loop_run(f.loop, &err) == 0); /* until commit stops it */
    for (int i = 0; i < 3; i++)
        CHECK(sent[i].answered && sent[i].batch.op.err.code == ERR_OK);
    teardown(&f);
}

TEST(a_conflict_at_the_end_is_judged_again_too)
{
    struct fixture f;
    struct sent sent;
    struct err err = {0};
    setup_shared(&f, 2, AT_ONCE, 0);
    world.conflicts = 1;
    send(&f, &sent);
    commit_end(f.commit);
    CHECK(loop_run(f.loop, &err) == 0);
    CHECK(sent.answered && sent.batch.op.err.code == ERR_OK);
    CHECK(story_is("rs0ab0frs0ac0."));
    teardown(&f);
}

static struct run run_of(uint8_t n, enum run_kind kind, enum entity_kind entity)
{
    return (struct run){.id = {{n}},
                        .trace = {{n}},
                        .parent = {{(uint8_t)(n + 100)}},
                        .kind = kind,
                        .entity = kind == RUN_ENTITY ? (uint8_t)entity : 0,
                        .spans = "",
                        .raw = {"{}", 2}};
}

TEST(who_follows_is_told_of_the_runs_that_became_visible)
{
    struct fixture f;
    struct sent sent;
    struct arena *arena = arena_new(1024);
    struct news *news = news_new(1);
    struct news_ear ear = {.op = {.done = answered}};
    const struct run runs[] = {
        run_of(1, RUN_WHOLE, ENTITY_PROJECT), run_of(2, RUN_PATCH, ENTITY_PROJECT),
        run_of(3, RUN_ENTITY, ENTITY_FEEDBACK), run_of(4, RUN_ENTITY, ENTITY_PROJECT),
        run_of(5, RUN_ATTACHMENT, ENTITY_PROJECT)};
    const uint8_t told[] = {1, 2, 103, 5}; /* of the feedback its run; the project is none */
    struct uuid ids[8];
    uint64_t lost;
    setup_telling(&f, 10, news);
    CHECK(news_listen(news, &ear));
    uint64_t after = news_last(news);

    sent = (struct sent){.fixture = &f, .record = record_make(runs, 5, 1, arena)};
    sent.batch.op = (struct op){.loop = f.loop, .done = answered};
    sent.batch.record = &sent.record;
    commit_submit(f.commit, &sent.batch);
    CHECK(news_last(news) == after);
    wait(&f, &sent);
    CHECK(news_take(news, &after, ids, 8, &lost) == sizeof told);
    for (size_t i = 0; i < sizeof told; i++)
        CHECK(ids[i].byte[0] == told[i]);

    world.commit_says = ERR_IO; /* what failed is told to nobody */
    sent.answered = false;
    commit_submit(f.commit, &sent.batch);
    wait(&f, &sent);
    CHECK(news_take(news, &after, ids, 8, &lost) == 0);
    news_leave(news, &ear);
    teardown(&f);
    news_free(news);
    arena_free(arena);
}
