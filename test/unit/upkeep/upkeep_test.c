/* upkeep_test.c - segments become packs by themselves, in their time.
 *
 * The clock is the test's, and so is the call with which upkeep sleeps: it ends
 * when pass() moves the clock, or when upkeep is woken.  So settle() knows when
 * everything was done that was due.
 */
#include "upkeep/upkeep.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "index/index.h"
#include "lib/bad_objects.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/index_calls.h"
#include "lib/make_record.h"
#include "lib/scratch.h"
#include "store/bucket_name.h"
#include "store/object.h"
#include "store/store.h"

/* ---- the clock ---- */

static atomic_int_fast64_t now_us = 1000000;

int64_t clock_now_us(void)
{
    return 1000000000000000;
}

int64_t clock_mono_us(void)
{
    return atomic_load(&now_us);
}

/* The one who sleeps. */
static struct {
    pthread_cond_t *cond;
    pthread_mutex_t *mutex; /* over what follows */
    atomic_bool asleep;
    atomic_int_fast64_t until_us;
} sleeper;

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    sleeper.cond = cond;
    sleeper.mutex = mutex;
    atomic_store(&sleeper.until_us, (int64_t)until->tv_sec * 1000000 + until->tv_nsec / 1000);
    atomic_store(&sleeper.asleep, true);
    return pthread_cond_wait(cond, mutex);
}

/* Only when everything is settled. */
static void pass(int64_t ms)
{
    pthread_mutex_lock(sleeper.mutex);
    atomic_fetch_add(&now_us, ms * 1000);
    atomic_store(&sleeper.asleep, false);
    pthread_cond_broadcast(sleeper.cond);
    pthread_mutex_unlock(sleeper.mutex);
}

/* ---- a store, an index, and upkeep ---- */

/* An index that is as durable as it is told to be. */
struct fake {
    struct index index;
    atomic_uint_fast64_t durable;
    atomic_int code;
    atomic_size_t asked;
};

static int attach(struct index *index, struct loop *loop, struct err *err)
{
    (void)index;
    (void)loop;
    (void)err;
    return 0;
}

static void durable(struct index *index, struct index_durable *d)
{
    struct fake *fake = (struct fake *)index;
    atomic_fetch_add(&fake->asked, 1);
    d->sequence = atomic_load(&fake->durable);
    if (atomic_load(&fake->code))
        op_fail(&d->op, (enum err_code)atomic_load(&fake->code), "not now");
    else
        op_finish(&d->op);
}

static const struct index_ops fake_ops = {.name = "fake", .attach = attach, .durable = durable};

struct desk {
    struct scratch dir;
    char segments[300], packs[300];
    struct store *store;
    struct loop *loop; /* the writer's */
    struct fake fake;
    struct upkeep *upkeep;
    uint64_t last_sequence, last_container, next;
};

enum { SMALL = 4096, IDLE_MS = 5000, LOOK_MS = 1000, RETRY_MS = 30000 };

static void begin(struct desk *d)
{
    struct err err = {0};
    *d = (struct desk){.dir = scratch_new(), .loop = hand_loop_open()};
    snprintf(d->segments, sizeof d->segments, "%s/segments", d->dir.path);
    snprintf(d->packs, sizeof d->packs, "%s/packs", d->dir.path);
    CHECK(mkdir(d->segments, 0700) == 0 && mkdir(d->packs, 0700) == 0);
    d->fake.index.ops = &fake_ops;
    atomic_store(&d->fake.durable, UINT64_MAX);
    const struct store_log_config config = {.dir = {d->segments, strlen(d->segments)},
                                            .packs = {d->packs, strlen(d->packs)},
                                            .disk = &disk_real,
                                            .segment_size = SMALL};
    CHECK(store_log_open(&config, &d->store, &err) == 0);
    if (!d->store)
        exit(1);
}

static bool late(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - since->tv_sec > 30;
}

/* Let upkeep do all that is due, with the clock as it is. */
static void settle(struct desk *d)
{
    struct timespec since;
    clock_gettime(CLOCK_MONOTONIC, &since);
    while (
        (!atomic_load(&sleeper.asleep) || atomic_load(&sleeper.until_us) <= atomic_load(&now_us)) &&
        !late(&since)) {
        hand_loop_turn(d->loop);
        sched_yield();
    }
    CHECK(!late(&since));
}

static void start(struct desk *d, struct index *index, uint64_t bytes_per_sec)
{
    struct err err = {0};
    const struct upkeep_config config = {.store = d->store,
                                         .index = index,
                                         .writer = d->loop,
                                         .loop_index = 1,
                                         .idle_ms = IDLE_MS,
                                         .bytes_per_sec = bytes_per_sec};
    CHECK(upkeep_start(&config, &d->upkeep, &err) == 0);
    if (!d->upkeep)
        exit(1);
    settle(d);
}

static void stop(struct desk *d)
{
    upkeep_stop(d->upkeep);
    upkeep_free(d->upkeep);
    d->upkeep = NULL;
    atomic_store(&sleeper.asleep, false);
}

static void end(struct desk *d)
{
    stop(d);
    store_close(d->store);
    hand_loop_close(d->loop);
    scratch_remove(&d->dir);
}

struct waited {
    struct store_append append;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct waited, append.op)->done = true;
}

static void put(struct desk *d, size_t bytes)
{
    char *name = malloc(bytes + 1);
    memset(name, 'x', bytes);
    name[bytes] = '\0';
    const struct make_run run = {.id = make_id(++d->next), .trace = make_id(1), .name = name};
    struct made_record *made = make_record(&run, 1);
    struct store_record record = {.record = &made->record};
    CHECK(store_reserve(d->store, &record, 1, NULL) == 0);
    struct waited w = {
        .append = {.op = {.loop = d->loop, .done = appended}, .records = &record, .count = 1}};
    store_append(d->store, &w.append);
    CHECK(hand_loop_until(d->loop, &w.done));
    CHECK(w.append.op.err.code == 0);
    d->last_sequence = record.sequence;
    d->last_container = record.first.container;
    made_free(made);
    free(name);
}

/* Time goes by, in steps small enough for nothing to be missed. */
static void live(struct desk *d, int64_t ms)
{
    for (int64_t gone = 0; gone < ms; gone += LOOK_MS / 2) {
        pass(LOOK_MS / 2);
        settle(d);
    }
}

static bool there(const struct desk *d, uint64_t number, const char *suffix)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%016llx.%s", suffix[0] == 's' ? d->segments : d->packs,
             (unsigned long long)number, suffix);
    return scratch_exists(path);
}

static int count(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    size_t *runs = context;
    struct run run;
    (void)first;
    (void)sequence;
    (void)err;
    for (uint32_t i = 0; i < record->count; i++)
        *runs += record_run(record, i, &run, NULL) == 0;
    return 0;
}

/* Nothing was lost of it. */
static void check_walk(const struct desk *d)
{
    size_t runs = 0;
    CHECK(store_walk(d->store, 0, count, NULL, &runs, NULL) == 0);
    CHECK(runs == d->next);
}

/* ---- tests ---- */

TEST(an_idle_segment_is_sealed_and_removed)
{
    struct desk d;
    struct index *index = NULL;
    struct calls calls;
    begin(&d);
    CHECK(index_memory_open(&index, NULL) == 0);
    calls_open(&calls, index);
    put(&d, 100);
    put(&d, 100);
    CHECK(calls_commit(&calls, d.last_sequence) == 0);
    start(&d, index, 0);

    live(&d, IDLE_MS - LOOK_MS);
    CHECK(there(&d, 1, "seg") && !there(&d, 1, "pack"));
    live(&d, 3 * LOOK_MS);
    CHECK(!there(&d, 1, "seg") && there(&d, 1, "pack"));
    check_walk(&d);
    put(&d, 100);
    CHECK(d.last_container == 2);
    check_walk(&d);
    stop(&d);
    calls_close(&calls);
    index->ops->close(index);
    end(&d);
}

TEST(a_segment_that_is_written_now_and_then_is_not_idle)
{
    struct desk d;
    begin(&d);
    put(&d, 1);
    start(&d, &d.fake.index, 0);
    for (int i = 0; i < 8; i++) {
        live(&d, IDLE_MS - LOOK_MS);
        put(&d, 1);
    }
    CHECK(d.last_container == 1 && !there(&d, 1, "pack"));
    live(&d, IDLE_MS + 2 * LOOK_MS);
    CHECK(there(&d, 1, "pack"));
    check_walk(&d);
    end(&d);
}

TEST(segments_that_are_full_are_sealed_one_after_the_other)
{
    struct desk d;
    begin(&d);
    for (int i = 0; i < 20; i++)
        put(&d, 1500);
    uint64_t segments = d.last_container;
    CHECK(segments > 5);
    start(&d, &d.fake.index, 0);
    live(&d, LOOK_MS);
    live(&d, LOOK_MS);
    for (uint64_t n = 1; n < segments; n++)
        CHECK(there(&d, n, "pack") && !there(&d, n, "seg"));
    CHECK(there(&d, segments, "seg") && !there(&d, segments, "pack"));
    check_walk(&d);
    end(&d);
}

TEST(a_segment_is_kept_until_the_index_would_survive)
{
    struct desk d;
    begin(&d);
    put(&d, 3000);
    uint64_t of_first = d.last_sequence;
    put(&d, 3000);
    CHECK(d.last_container == 2);
    put(&d, 3000);
    atomic_store(&d.fake.durable, of_first - 1);
    start(&d, &d.fake.index, 0);

    live(&d, 2 * LOOK_MS);
    CHECK(there(&d, 1, "pack") && there(&d, 1, "seg"));
    live(&d, 2 * RETRY_MS);
    CHECK(there(&d, 1, "seg") && atomic_load(&d.fake.asked) >= 2);
    check_walk(&d);

    atomic_store(&d.fake.durable, of_first);
    live(&d, RETRY_MS + LOOK_MS);
    CHECK(!there(&d, 1, "seg"));
    CHECK(there(&d, 2, "seg")); /* that one goes on to be kept */
    atomic_store(&d.fake.durable, d.last_sequence);
    live(&d, 2 * RETRY_MS);
    CHECK(!there(&d, 2, "seg") && there(&d, 2, "pack"));
    check_walk(&d);
    end(&d);
}

TEST(a_segment_is_kept_while_the_index_cannot_be_asked)
{
    struct desk d;
    begin(&d);
    put(&d, 3000);
    put(&d, 3000);
    atomic_store(&d.fake.code, ERR_BUSY);
    start(&d, &d.fake.index, 0);

    live(&d, 2 * LOOK_MS + RETRY_MS);
    CHECK(there(&d, 1, "pack") && there(&d, 1, "seg"));
    CHECK(atomic_load(&d.fake.asked) >= 1);
    atomic_store(&d.fake.code, ERR_OK);
    live(&d, RETRY_MS + LOOK_MS);
    CHECK(!there(&d, 1, "seg"));
    check_walk(&d);
    end(&d);
}

TEST(what_an_earlier_process_left_is_removed)
{
    struct desk d;
    begin(&d);
    put(&d, 3000);
    put(&d, 3000);
    struct store_sealed sealed;
    CHECK(store_seal(d.store, NULL, NULL, &sealed, NULL) == 0);
    CHECK(there(&d, 1, "seg"));
    start(&d, &d.fake.index, 0);
    live(&d, LOOK_MS);
    CHECK(!there(&d, 1, "seg") && there(&d, 1, "pack"));
    check_walk(&d);
    end(&d);
}

TEST(a_damaged_segment_does_not_stop_the_others)
{
    struct desk d;
    begin(&d);
    for (int i = 0; i < 4; i++)
        put(&d, 3000);
    char path[400];
    size_t size;
    snprintf(path, sizeof path, "%s/%016llx.seg", d.segments, 1ULL);
    char *bytes = scratch_read(path, &size);
    bytes[64 + 80 + 7] ^= 1;
    scratch_write(path, bytes, size);
    free(bytes);
    start(&d, &d.fake.index, 0);
    live(&d, 2 * LOOK_MS);
    CHECK(there(&d, 1, "seg") && !there(&d, 1, "pack"));
    CHECK(there(&d, 2, "pack") && there(&d, 3, "pack") && !there(&d, 2, "seg"));
    end(&d);
}

/* The clock stands still at the end, so this ends only because upkeep is woken. */
TEST(a_paced_sealing_is_given_up_at_once)
{
    struct desk d;
    begin(&d);
    put(&d, 10 << 20);
    put(&d, 10);
    CHECK(d.last_container == 2);
    start(&d, &d.fake.index, 1 << 20);
    live(&d, LOOK_MS);
    CHECK(!there(&d, 1, "pack"));
    for (int i = 0; i < 100 && !there(&d, 1, "tmp"); i++) {
        pass(100);
        settle(&d);
    }
    CHECK(there(&d, 1, "tmp"));

    stop(&d);
    CHECK(!there(&d, 1, "tmp") && !there(&d, 1, "pack") && there(&d, 1, "seg"));
    check_walk(&d);
    end(&d);
}

TEST(sealing_is_not_faster_than_its_pace)
{
    enum { SIZE = 10 << 20, RATE = 1 << 20 };
    struct desk d;
    begin(&d);
    put(&d, SIZE);
    put(&d, 10);
    start(&d, &d.fake.index, RATE);
    live(&d, LOOK_MS);
    int64_t began_us = atomic_load(&now_us);
    while (!there(&d, 1, "pack") && atomic_load(&now_us) - began_us < 60000000) {
        pass(100);
        settle(&d);
    }
    int64_t took_ms = (atomic_load(&now_us) - began_us) / 1000;
    CHECK(took_ms >= 10000 - 200 && took_ms < 13000);
    end(&d);
}

TEST(upkeep_that_has_nothing_to_do_ends_when_it_is_told)
{
    struct desk d;
    begin(&d);
    for (int i = 0; i < 20; i++) {
        start(&d, &d.fake.index, 0);
        if (i % 2)
            live(&d, LOOK_MS);
        stop(&d);
    }
    upkeep_stop(NULL);
    end(&d);
}

/* ---- a bucket ---- */

enum { SWEEP_MS = 3600 * 1000 };

/* An index over a bucket: every container has a row, or none has. */
struct over {
    struct index index;
    bool has_rows;
    atomic_size_t asked; /* which of some containers have rows */
    atomic_size_t fails; /* so many times, from now on */
    enum err_code says;
};

static void known(struct index *index, struct index_known *k)
{
    struct over *over = (struct over *)index;
    atomic_fetch_add(&over->asked, 1);
    if (atomic_load(&over->fails) > 0) {
        atomic_fetch_sub(&over->fails, 1);
        op_fail(&k->op, over->says, "as planned");
        return;
    }
    for (size_t i = 0; i < k->count; i++)
        k->known[i] = over->has_rows;
    op_finish(&k->op);
}

static void containers(struct index *index, struct index_containers *c)
{
    const struct over *over = (struct over *)index;
    c->count = over->has_rows && c->after == 0;
    c->numbers[0] = 1;
    op_finish(&c->op);
}

static const struct index_ops over_ops = {
    .name = "over", .attach = attach, .known = known, .containers = containers};

struct bucket_desk {
    struct desk d; /* its loop and its scratch */
    struct objects *objects;
    struct bad_objects lent;
    struct over over;
    char said[300]; /* a file: what was logged */
    int console;
};

/* With an object that is eleven days old, by the clock. */
static void begin_bucket(struct bucket_desk *b, bool has_object, bool has_rows)
{
    struct err err = {0};
    *b = (struct bucket_desk){.d = {.dir = scratch_new(), .loop = hand_loop_open()},
                              .over = {.index = {.ops = &over_ops}, .has_rows = has_rows}};
    CHECK(object_mem_open(&b->objects, &err) == 0);
    CHECK(b->objects->ops->attach(b->objects, b->d.loop, &err) == 0);
    bad_objects_open(&b->lent, b->objects);
    char name[BUCKET_NAME];
    if (has_object)
        CHECK(objects_put(b->objects, b->d.loop,
                          bucket_name(bucket_number(1000000000000000 - 1000000000000, 0), name),
                          STR("pack")) == 0);
    if (store_bucket_open(&(struct store_bucket_config){.objects = &b->lent.objects,
                                                        .groups = 1,
                                                        .threads = 1,
                                                        .queue = 16,
                                                        .shelf_size = 1 << 20,
                                                        .loop_index = 2},
                          &b->d.store, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    snprintf(b->said, sizeof b->said, "%s/said", b->d.dir.path);
    scratch_write(b->said, "", 0);
    (void)fflush(stderr);
    b->console = dup(STDERR_FILENO);
    CHECK(freopen(b->said, "a", stderr) && b->console >= 0);
    const struct upkeep_config config = {.store = b->d.store,
                                         .index = &b->over.index,
                                         .writer = b->d.loop,
                                         .loop_index = 1,
                                         .bucket = true,
                                         .gc_grace_ms = 7 * 86400 * 1000};
    CHECK(upkeep_start(&config, &b->d.upkeep, &err) == 0);
    settle(&b->d);
}

static size_t said(const struct bucket_desk *b, const char *what)
{
    size_t size, times = 0;
    char *text = scratch_read(b->said, &size);
    struct text lines = {0};
    text_add(&lines, (struct str){text, size});
    text_add_char(&lines, '\0');
    for (const char *at = lines.at; (at = strstr(at, what)); at++)
        times++;
    text_free(&lines);
    free(text);
    return times;
}

static void end_bucket(struct bucket_desk *b)
{
    stop(&b->d);
    CHECK(dup2(b->console, STDERR_FILENO) >= 0);
    close(b->console);
    store_close(b->d.store);
    bad_objects_free(&b->lent);
    b->objects->ops->close(b->objects);
    hand_loop_close(b->d.loop);
    scratch_remove(&b->d.dir);
}

static void let_pass(struct bucket_desk *b, int64_t ms)
{
    pass(ms);
    settle(&b->d);
}

/* As with a database that was made anew. */
TEST(an_index_that_knows_nothing_of_the_bucket_is_told_of)
{
    for (int i = 0; i < 4; i++) {
        struct bucket_desk b;
        bool has_object = i & 1, has_rows = i & 2;
        begin_bucket(&b, has_object, has_rows);
        size_t times = said(&b, "index_lacks_the_bucket");
        size_t advice = said(&b, "rundlet reindex");
        end_bucket(&b);
        CHECK(times == (has_object && !has_rows ? 1 : 0) && advice == times);
    }
}

TEST(a_sweep_over_a_dead_connection_is_tried_once_more)
{
    struct bucket_desk b;
    begin_bucket(&b, true, true);
    CHECK(atomic_load(&b.over.asked) == 0);
    atomic_store(&b.over.fails, 1);
    b.over.says = ERR_UNAVAILABLE;
    let_pass(&b, SWEEP_MS);
    CHECK(atomic_load(&b.over.asked) == 1);
    let_pass(&b, RETRY_MS);
    CHECK(atomic_load(&b.over.asked) == 2);
    size_t first = said(&b, "gc_failed");
    atomic_store(&b.over.fails, 2);
    let_pass(&b, SWEEP_MS);
    let_pass(&b, RETRY_MS);
    size_t asked = atomic_load(&b.over.asked), second = said(&b, "gc_failed");
    end_bucket(&b);
    CHECK(first == 0);
    CHECK(asked == 4 && second == 1);
}

TEST(a_sweep_that_is_told_to_stop_says_nothing)
{
    struct bucket_desk b;
    begin_bucket(&b, true, true);
    atomic_store(&b.over.fails, 1);
    b.over.says = ERR_UNAVAILABLE;
    let_pass(&b, SWEEP_MS); /* it waits to try once more */
    stop(&b.d);
    size_t times = said(&b, "gc_failed");
    end_bucket(&b);
    CHECK(times == 0);
}
