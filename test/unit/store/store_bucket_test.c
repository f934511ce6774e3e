/* store_bucket_test.c - groups become objects, and every run comes back from them;
 * or an error, never other bytes. */
#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/disk.h"
#include "lib/bad_objects.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_pack.h"
#include "lib/scratch.h"
#include "loop/loop.h"
#include "store/bucket_name.h"
#include "store/pack_layout.h"
#include "store/store.h"

/* ---- time, of the test's choosing ---- */

static atomic_int_fast64_t now_us, mono_us;

int64_t clock_now_us(void)
{
    return atomic_load(&now_us);
}

int64_t clock_mono_us(void)
{
    return atomic_fetch_add(&mono_us, 10);
}

/* 2026-11-26T05:30:15.123456Z */
static const int64_t SOME_US = INT64_C(1795671015123456);
static const int64_t HOUR_US = INT64_C(3600000000);

/* ---- a bucket, nodes that have it open, and all that was put there ---- */

enum backend { MEM_BACKEND, DIR_BACKEND, BACKENDS };
enum { NODES = 3, MOST = 160, READS = 8192 };

struct batch {
    struct made_record *made;
    struct place first;
    uint64_t sequence;
    bool stored;
};

struct desk {
    struct scratch dir;
    struct loop *loop;
    struct objects *inner;
    struct bad_objects lent[NODES];
    struct store *node[NODES];
    struct batch batches[MOST];
    size_t count;
    uint64_t next;   /* number of the next run that is made */
    bool reads_only; /* who opens the bucket from now on */
};

static struct disk quick_disk; /* the real one, which syncs nothing */

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static int open_bucket(struct desk *d, int i, const char *writer, uint64_t last, struct err *err)
{
    bad_objects_plan(&d->lent[i], d->lent[i].plan);
    int r = store_bucket_open(&(struct store_bucket_config){.objects = &d->lent[i].objects,
                                                            .groups = i == 0 ? 4 : 1,
                                                            .threads = i == 0 ? 2 : 1,
                                                            .queue = 4096,
                                                            .shelf_size = 32 << 20,
                                                            .last_sequence = last,
                                                            .loop_index = 1 + (unsigned)i,
                                                            .writer = {writer, strlen(writer)},
                                                            .read_only = d->reads_only},
                              &d->node[i], err);
    return r ? r : store_attach(d->node[i], d->loop, err);
}

static void open_node(struct desk *d, int i)
{
    struct err err = {0};
    if (open_bucket(d, i, "", 0, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    bad_objects_plan(&d->lent[i], d->lent[i].plan); /* count from here */
}

static void close_node(struct desk *d, int i)
{
    store_close(d->node[i]);
    d->node[i] = NULL;
}

/* With nothing on its shelf. */
static void open_cold(struct desk *d, int i)
{
    close_node(d, i);
    open_node(d, i);
}

static void begin(struct desk *d, enum backend backend)
{
    struct err err = {0};
    *d = (struct desk){.dir = scratch_new(), .loop = hand_loop_open()};
    quick_disk = disk_real;
    quick_disk.fsync = quick_disk.fdatasync = no_sync;
    atomic_store(&now_us, SOME_US);
    int r = backend == DIR_BACKEND
                ? object_dir_open(scratch_str(&d->dir), &quick_disk, &d->inner, &err)
                : object_mem_open(&d->inner, &err);
    if (r || d->inner->ops->attach(d->inner, d->loop, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    for (int i = 0; i < NODES; i++)
        bad_objects_open(&d->lent[i], d->inner);
}

static void end(struct desk *d)
{
    for (int i = 0; i < NODES; i++) {
        store_close(d->node[i]);
        bad_objects_free(&d->lent[i]);
    }
    d->inner->ops->close(d->inner);
    hand_loop_close(d->loop);
    for (size_t i = 0; i < d->count; i++)
        made_free(d->batches[i].made);
    scratch_remove(&d->dir);
}

/* ---- writing ---- */

/* One more batch, of runs whose name has `bytes` that do not compress. */
static struct batch *make(struct desk *d, size_t runs, size_t bytes)
{
    struct make_run *specs = calloc(runs, sizeof *specs);
    struct make_random random = {d->next};
    char *name = malloc(bytes + 1);
    make_noise(&random, name, bytes);
    for (size_t i = 0; i < runs; i++) {
        d->next++;
        specs[i] = (struct make_run){.id = make_id(d->next),
                                     .trace = make_id(70000 + d->next % 11),
                                     .name = bytes > 0 ? name : NULL,
                                     .project = d->next % 3 ? "p" : NULL,
                                     .start_us = SOME_US - (int64_t)d->next * 1000,
                                     .number = d->next};
    }
    CHECK(d->count < MOST);
    struct batch *batch = &d->batches[d->count++];
    *batch = (struct batch){.made = make_record(specs, runs)};
    batch->made->record.received_us = SOME_US + (int64_t)d->next;
    free(name);
    free(specs);
    return batch;
}

struct appending {
    struct store_append append;
    int times;
    bool done;
};

static void appended(struct op *op)
{
    struct appending *a = op_owner(op, struct appending, append.op);
    a->times++;
    a->done = true;
}

static void reserve(struct desk *d, int node, size_t count, struct store_record *records)
{
    struct batch *batches = &d->batches[d->count - count];
    struct err err = {0};
    for (size_t i = 0; i < count; i++)
        records[i] = (struct store_record){.record = &batches[i].made->record};
    CHECK(store_reserve(d->node[node], records, count, &err) == 0);
    for (size_t i = 0; i < count; i++) {
        batches[i].first = records[i].first;
        batches[i].sequence = records[i].sequence;
    }
}

/* The last `count` batches, but not those that `refused` has a bit for, as one group. */
static int append_some(struct desk *d, int node, size_t count, uint64_t refused, struct err *err)
{
    struct store_record records[64], accepted[64];
    size_t n = 0;
    assert(count <= 64);
    reserve(d, node, count, records);
    for (size_t i = 0; i < count; i++)
        if (!(refused >> i & 1))
            accepted[n++] = records[i];
    struct appending a = {
        .append = {.op = {.loop = d->loop, .done = appended}, .records = accepted, .count = n}};
    store_append(d->node[node], &a.append);
    CHECK(!a.done); /* never inside the call */
    CHECK(hand_loop_until(d->loop, &a.done));
    hand_loop_turn(d->loop);
    CHECK(a.times == 1);
    if (err)
        *err = a.append.op.err;
    for (size_t i = 0; i < count; i++)
        d->batches[d->count - count + i].stored =
            a.append.op.err.code == ERR_OK && !(refused >> i & 1);
    return (int)a.append.op.err.code;
}

static void append(struct desk *d, int node, size_t count)
{
    struct err err = {0};
    CHECK(append_some(d, node, count, 0, &err) == 0);
    if (err.code)
        fprintf(stderr, "%s\n", err.text);
}

/* A group of its own for a batch. */
static struct batch *put_batch(struct desk *d, int node, size_t runs, size_t bytes)
{
    struct batch *batch = make(d, runs, bytes);
    append(d, node, 1);
    return batch;
}

/* ---- reading ---- */

struct reading {
    struct store_read read;
    struct arena *arena;
    int times;
    bool done;
};

static void has_read(struct op *op)
{
    struct reading *r = op_owner(op, struct reading, read.op);
    r->times++;
    r->done = true;
}

static void start_read(struct desk *d, int node, struct reading *r, const struct place *places,
                       size_t count)
{
    *r = (struct reading){.arena = arena_new(1024)};
    r->read = (struct store_read){.op = {.loop = d->loop, .done = has_read},
                                  .places = places,
                                  .count = count,
                                  .arena = r->arena};
    store_read(d->node[node], &r->read);
    CHECK(!r->done); /* never inside the call */
}

static int end_read(struct desk *d, struct reading *r)
{
    CHECK(hand_loop_until(d->loop, &r->done));
    hand_loop_turn(d->loop);
    CHECK(r->times == 1);
    CHECK(r->read.op.err.code == ERR_OK || r->read.op.err.text[0]);
    return (int)r->read.op.err.code;
}

/* What a batch has as its i-th run. */
static bool is_run(const struct batch *batch, uint32_t i, const struct run *run)
{
    struct run expected;
    CHECK(record_run(&batch->made->record, i, &expected, NULL) == 0);
    return same_run(&expected, run);
}

/* One place of a batch; it is the right run, or an error. */
static int read_one(struct desk *d, int node, const struct batch *batch, uint32_t i,
                    struct err *err)
{
    struct reading r;
    const struct place place = {batch->first.container, batch->first.ordinal + i};
    start_read(d, node, &r, &place, 1);
    int code = end_read(d, &r);
    if (!code)
        CHECK(is_run(batch, i, &r.read.runs[0]));
    if (err)
        *err = r.read.op.err;
    arena_free(r.arena);
    return code;
}

/* Every place that should be there, shuffled, some of them twice. */
static size_t all_places(const struct desk *d, struct place *places, uint32_t *which)
{
    struct make_random random = {3};
    size_t n = 0;
    for (uint32_t b = 0; b < d->count; b++)
        for (uint32_t i = 0; d->batches[b].stored && i < d->batches[b].made->record.count; i++)
            for (int twice = i % 5 == 0; twice >= 0 && n < READS; twice--) {
                places[n] =
                    (struct place){d->batches[b].first.container, d->batches[b].first.ordinal + i};
                which[n++] = b;
            }
    for (size_t i = n; i > 1; i--) {
        size_t k = make_random(&random) % i;
        struct place place = places[k];
        uint32_t b = which[k];
        places[k] = places[i - 1];
        which[k] = which[i - 1];
        places[i - 1] = place;
        which[i - 1] = b;
    }
    return n;
}

static void check_runs(const struct desk *d, const struct reading *r, const uint32_t *which)
{
    for (size_t i = 0; i < r->read.count; i++) {
        const struct batch *batch = &d->batches[which[i]];
        CHECK(is_run(batch, r->read.places[i].ordinal - batch->first.ordinal, &r->read.runs[i]));
    }
}

static int read_all(struct desk *d, int node)
{
    static struct place places[READS];
    static uint32_t which[READS];
    size_t count = all_places(d, places, which);
    struct reading r;
    start_read(d, node, &r, places, count);
    int code = end_read(d, &r);
    if (!code)
        check_runs(d, &r, which);
    arena_free(r.arena);
    return code;
}

/* ---- objects, to damage them ---- */

static struct buf *object_of(struct desk *d, uint64_t number)
{
    char room[BUCKET_NAME];
    struct buf *buf = objects_get(d->inner, d->loop, bucket_name(number, room));
    CHECK(buf);
    return buf;
}

static void remove_object(struct desk *d, uint64_t number)
{
    char room[BUCKET_NAME];
    CHECK(objects_remove(d->inner, d->loop, bucket_name(number, room)) == 0);
}

static void replace(struct desk *d, uint64_t number, struct str bytes)
{
    char room[BUCKET_NAME];
    remove_object(d, number);
    CHECK(objects_put(d->inner, d->loop, bucket_name(number, room), bytes) == 0);
}

static struct str str_of(const struct buf *buf)
{
    return (struct str){buf->at, buf->len};
}

static struct pack *pack_of(const struct buf *buf)
{
    struct pack *pack = NULL;
    uint64_t need = 0;
    CHECK(pack_open(str_of(buf), buf->len, &pack, &need, NULL) == 0);
    return pack;
}

/* ---- appending and reading ---- */

TEST(runs_of_every_shape_come_back_from_the_shelf_and_from_the_objects)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        put_batch(&d, 0, 1, 0);
        put_batch(&d, 0, 40, 3);
        for (int i = 0; i < 7; i++)
            make(&d, (size_t)(i % 3 + 1), 20);
        append(&d, 0, 7);
        put_batch(&d, 0, 2, 5 << 20); /* each over several blocks */
        make(&d, 3, 700 << 10);
        make(&d, 1, 10);
        append(&d, 0, 2);
        put_batch(&d, 0, 5000, 0); /* its runs begin before the tail */

        CHECK(read_all(&d, 0) == 0);
        open_node(&d, 1);
        CHECK(read_all(&d, 1) == 0);
        CHECK(read_all(&d, 1) == 0); /* and now from its shelf */
        end(&d);
    }
}

TEST(a_refused_batch_leaves_a_gap_that_is_nobodys)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        for (int i = 0; i < 6; i++)
            make(&d, 3, 10);
        CHECK(append_some(&d, 0, 6, 1 | 4 | 8 | 32, NULL) == 0);
        CHECK(d.batches[1].first.ordinal == 3 && d.batches[4].first.ordinal == 12);

        open_node(&d, 1);
        for (int node = 0; node < 2; node++) {
            CHECK(read_all(&d, node) == 0);
            for (size_t b = 0; b < 6; b++)
                for (uint32_t i = 0; i < 3; i++)
                    CHECK(read_one(&d, node, &d.batches[b], i, NULL) ==
                          (d.batches[b].stored ? ERR_OK : ERR_NOT_FOUND));
        }
        end(&d);
    }
}

TEST(places_and_sequences_grow_and_say_when)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    make(&d, 2, 0);
    make(&d, 3, 0);
    make(&d, 1, 0);
    append(&d, 0, 3);

    uint64_t number = d.batches[0].first.container;
    CHECK(bucket_sequence(number) == (uint64_t)SOME_US);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK(d.batches[i].first.container == number);
        CHECK(d.batches[i].sequence == (uint64_t)SOME_US + i);
    }
    CHECK(d.batches[1].first.ordinal == 2 && d.batches[2].first.ordinal == 5);

    /* In the same instant; then the clock goes back. */
    put_batch(&d, 0, 1, 0);
    CHECK(d.batches[3].sequence == (uint64_t)SOME_US + 3);
    atomic_fetch_sub(&now_us, HOUR_US);
    put_batch(&d, 0, 1, 0);
    CHECK(d.batches[4].sequence == (uint64_t)SOME_US + 4);
    CHECK(bucket_sequence(d.batches[4].first.container) == (uint64_t)SOME_US + 4);
    struct store_sizes sizes;
    store_sizes(d.node[0], &sizes);
    CHECK(sizes.last_sequence == (uint64_t)SOME_US + 4 && sizes.packs == 3);
    CHECK(sizes.pack_bytes > 0 && !sizes.broken && sizes.free_bytes > 0);
    end(&d);
}

TEST(sequences_go_on_behind_what_the_index_has_had)
{
    struct desk d;
    struct err err = {0};
    begin(&d, MEM_BACKEND);
    uint64_t last = (uint64_t)(SOME_US + 5 * HOUR_US);
    CHECK(open_bucket(&d, 0, "", last, &err) == 0);
    put_batch(&d, 0, 1, 0);
    CHECK(d.batches[0].sequence == last + 1);
    end(&d);
}

/* One GET of what was just put; of a small object's tail; of tail, runs and block. */
TEST(a_run_costs_few_calls)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *small = put_batch(&d, 0, 10, 10);
    struct batch *many = put_batch(&d, 0, 5000, 0);

    bad_objects_plan(&d.lent[0], (struct bad_objects_plan){0});
    CHECK(read_one(&d, 0, small, 3, NULL) == 0);
    CHECK(d.lent[0].all_calls == 1);

    open_node(&d, 1);
    CHECK(read_one(&d, 1, small, 3, NULL) == 0);
    CHECK(d.lent[1].all_calls == 1);
    CHECK(read_one(&d, 1, many, 4711, NULL) == 0);
    CHECK(d.lent[1].all_calls == 4);
    CHECK(read_one(&d, 1, many, 12, NULL) == 0);
    CHECK(d.lent[1].all_calls == 5);
    end(&d);
}

TEST(nothing_asked_for_is_nothing_read)
{
    struct desk d;
    struct reading r;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    start_read(&d, 0, &r, NULL, 0);
    CHECK(end_read(&d, &r) == 0);
    arena_free(r.arena);
    end(&d);
}

/* Let the GETs that are held go, now the newest and now the oldest, until it is done. */
static void let_all_go(struct desk *d, int node, struct reading *r, size_t most)
{
    bool newest = false;
    for (long turn = 0; !r->done && turn < 10000000; turn++) {
        CHECK(d->lent[node].waiting <= most);
        newest = !newest;
        if (!bad_objects_let_go(&d->lent[node], newest))
            sched_yield();
        hand_loop_turn(d->loop);
    }
    CHECK(r->done);
}

TEST(one_read_of_many_containers_has_a_window)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        static struct place places[READS];
        static uint32_t which[READS];
        struct desk d;
        struct reading r;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        for (int i = 0; i < 50; i++) {
            atomic_fetch_add(&now_us, 1000);
            put_batch(&d, 0, (size_t)(i % 4 + 1), i % 10 == 0 ? 100 << 10 : 10);
        }
        open_node(&d, 1);
        bad_objects_plan(&d.lent[1], (struct bad_objects_plan){.holds = true});

        size_t count = all_places(&d, places, which);
        start_read(&d, 1, &r, places, count);
        CHECK(d.lent[1].waiting == 16);
        let_all_go(&d, 1, &r, 16);

        CHECK(end_read(&d, &r) == 0);
        check_runs(&d, &r, which);
        arena_free(r.arena);
        end(&d);
    }
}

/* ---- what is not there, or not what it should be ---- */

TEST(an_object_that_is_gone_is_damage_and_named)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        struct err err;
        char room[BUCKET_NAME + 1] = {0};
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        struct batch *gone = put_batch(&d, 0, 3, 10), *there = put_batch(&d, 0, 3, 10);
        (void)bucket_name(gone->first.container, room);
        remove_object(&d, gone->first.container);

        open_node(&d, 1);
        for (int node = 0; node < 2; node++) { /* from the shelf, and cold */
            CHECK(read_one(&d, node, gone, 0, &err) == ERR_CORRUPT);
            CHECK(strstr(err.text, room));
            CHECK(read_one(&d, node, there, 0, NULL) == 0);
            CHECK(read_all(&d, node) == ERR_CORRUPT);
        }
        end(&d);
    }
}

/* What is removed just before the n-th call of any kind. */
struct removing {
    struct desk *d;
    uint64_t number;
    int at;
};

static void remove_before(void *context, enum bad_object_call call, int n)
{
    const struct removing *r = context;
    (void)call;
    if (n == r->at) /* in memory it is done at once */
        remove_object(r->d, r->number);
}

TEST(an_object_that_goes_while_it_is_read_is_damage)
{
    for (int at = 1; at <= 3; at++) { /* its tail, its runs, a block */
        struct desk d;
        struct err err;
        begin(&d, MEM_BACKEND);
        open_node(&d, 0);
        struct batch *batch = put_batch(&d, 0, 5000, 0);
        struct removing removing = {&d, batch->first.container, at};
        open_node(&d, 1);
        bad_objects_plan(&d.lent[1],
                         (struct bad_objects_plan){.before = remove_before, .context = &removing});
        CHECK(read_one(&d, 1, batch, 4000, &err) == ERR_CORRUPT);
        CHECK(strstr(err.text, "has no object"));
        CHECK(d.lent[1].all_calls == at);
        end(&d);
    }
}

TEST(an_object_of_another_number_is_damage)
{
    struct desk d;
    struct err err;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *a = put_batch(&d, 0, 3, 10);
    atomic_fetch_add(&now_us, 1000);
    struct batch *b = put_batch(&d, 0, 3, 10);
    struct buf *bytes = object_of(&d, b->first.container);
    replace(&d, a->first.container, str_of(bytes));
    buf_unref(bytes);

    open_node(&d, 1);
    CHECK(read_one(&d, 1, a, 0, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "under another name"));
    CHECK(d.lent[1].all_calls == 1);
    CHECK(read_one(&d, 1, b, 0, NULL) == 0);

    /* Whose shelf knows the old one sees that the blocks are not its. */
    CHECK(read_one(&d, 0, a, 0, &err) == ERR_CORRUPT);
    end(&d);
}

TEST(a_pack_of_a_newer_program_is_refused_and_not_mended)
{
    struct desk d;
    struct err err;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *batch = put_batch(&d, 0, 3, 10);
    struct buf *bytes = object_of(&d, batch->first.container);
    char *copy = malloc(bytes->len), *foot = copy + bytes->len - PACK_FOOT;
    memcpy(copy, bytes->at, bytes->len);
    put_u32(foot + AT_VERSION, PACK_VERSION + 1);
    put_u32(foot + AT_CRC, crc32c(0, foot, AT_CRC));
    replace(&d, batch->first.container, (struct str){copy, bytes->len});
    buf_unref(bytes);
    free(copy);

    open_node(&d, 1);
    CHECK(read_one(&d, 1, batch, 0, &err) == ERR_IO);
    CHECK(strstr(err.text, "newer program"));
    end(&d);
}

/* A pack without runs, and things that are no packs. */
TEST(what_is_no_pack_with_runs_is_damage)
{
    struct made_pack *empty = NULL;
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *batch = put_batch(&d, 0, 3, 10);
    uint64_t number = batch->first.container;
    static char zeros[5000];
    empty = make_pack(number, NULL, 0);
    const struct str contents[] = {text_str(&empty->file), {"x", 1}, {zeros, sizeof zeros}};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        replace(&d, number, contents[i]);
        open_cold(&d, 1);
        CHECK(read_one(&d, 1, batch, 0, NULL) == ERR_CORRUPT);
    }
    made_pack_free(empty);
    end(&d);
}

/* ---- damage ---- */

/* Flip a byte of the object, read every run by itself with a cold node, and put the
 * object back.  How many runs are lost? */
static uint32_t lost_by(struct desk *d, const struct batch *batch, const struct buf *bytes,
                        uint64_t at)
{
    char *copy = malloc(bytes->len);
    uint32_t lost = 0;
    memcpy(copy, bytes->at, bytes->len);
    copy[at] = (char)(copy[at] ^ 0x10);
    replace(d, batch->first.container, (struct str){copy, bytes->len});
    open_cold(d, 1);
    for (uint32_t i = 0; i < batch->made->record.count; i++) {
        int r = read_one(d, 1, batch, i, NULL);
        CHECK(r == ERR_OK || r == ERR_CORRUPT);
        lost += r == ERR_CORRUPT;
    }
    if (lost == 0) /* and together */
        CHECK(read_all(d, 1) == 0);
    struct batch unknown = *batch;
    unknown.first.ordinal = 1000000;
    int r = read_one(d, 1, &unknown, 0, NULL);
    CHECK(r == ERR_NOT_FOUND || (r == ERR_CORRUPT && lost > 0));
    replace(d, batch->first.container, str_of(bytes));
    free(copy);
    return lost;
}

TEST(damaged_sections_are_mended_a_damaged_block_costs_its_runs)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        struct batch *batch = put_batch(&d, 0, 8, 300 << 10); /* some blocks */
        struct buf *bytes = object_of(&d, batch->first.container);
        struct pack *pack = pack_of(bytes);
        CHECK(pack->block_count >= 3);
        uint64_t size = bytes->len,
                 directory = get_u64(bytes->at + size - PACK_FOOT + AT_DIRECTORY);

        CHECK(lost_by(&d, batch, bytes, 20) == 0);                    /* the head */
        CHECK(lost_by(&d, batch, bytes, size - PACK_FOOT) == 0);      /* the foot's magic */
        CHECK(lost_by(&d, batch, bytes, size - PACK_FOOT + 40) == 0); /* the foot */
        CHECK(lost_by(&d, batch, bytes, size - 1) == 0);              /* its checksum */
        CHECK(lost_by(&d, batch, bytes, directory + DIR_AT) == 0);
        for (int type = PACK_BLOCKS; type < PACK_SECTIONS; type++)
            CHECK(lost_by(&d, batch, bytes, pack->sections[type].at + 5) == 0);
        uint32_t lost = 0;
        for (uint32_t b = 0; b < pack->block_count; b++) {
            uint32_t one = lost_by(&d, batch, bytes, pack->blocks[b].at + 100);
            CHECK(one > 0 && one < 8);
            lost += one;
        }
        CHECK(lost >= 8);
        pack_free(pack);
        buf_unref(bytes);
        end(&d);
    }
}

TEST(runs_before_the_tail_are_mended_too)
{
    struct desk d;
    struct err err;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *batch = put_batch(&d, 0, 5000, 0);
    struct buf *bytes = object_of(&d, batch->first.container);
    struct pack *pack = pack_of(bytes);
    char *copy = malloc(bytes->len);
    memcpy(copy, bytes->at, bytes->len);
    copy[pack->sections[PACK_RUNS].at + 17] ^= 1;
    replace(&d, batch->first.container, (struct str){copy, bytes->len});

    open_node(&d, 1);
    CHECK(read_one(&d, 1, batch, 4999, NULL) == 0);
    CHECK(d.lent[1].all_calls == 3); /* tail, runs, all of it */
    CHECK(read_all(&d, 1) == 0);
    struct batch unknown = *batch;
    unknown.first.ordinal = 5000;
    CHECK(read_one(&d, 1, &unknown, 0, &err) == ERR_NOT_FOUND);
    free(copy);
    pack_free(pack);
    buf_unref(bytes);
    end(&d);
}

/* Whatever byte it is: the right run, or an error. */
TEST(no_flipped_byte_gives_other_bytes)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *batch = put_batch(&d, 0, 2, 10);
    struct buf *bytes = object_of(&d, batch->first.container);
    uint32_t lost = 0, mended = 0;
    for (uint64_t at = 0; at < bytes->len; at += 11) {
        uint32_t one = lost_by(&d, batch, bytes, at);
        lost += one > 0;
        mended += one == 0;
    }
    CHECK(lost > 0 && mended > 50); /* head, foot, directory, sections */
    buf_unref(bytes);
    end(&d);
}

TEST(no_shorter_object_gives_other_bytes)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    struct batch *batch = put_batch(&d, 0, 2, 10);
    struct buf *bytes = object_of(&d, batch->first.container);
    for (size_t size = 0; size < bytes->len; size += size < 300 ? 1 : 7) {
        replace(&d, batch->first.container, (struct str){bytes->at, size});
        open_cold(&d, 1);
        for (uint32_t i = 0; i < 2; i++) {
            int r = read_one(&d, 1, batch, i, NULL);
            CHECK(r == ERR_OK || r == ERR_CORRUPT);
        }
    }
    buf_unref(bytes);
    end(&d);
}

/* ---- calls that fail ---- */

/* A read of three containers, one of which takes several calls. */
TEST(whichever_get_fails_there_is_one_error)
{
    static const enum err_code codes[] = {ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_BUSY, ERR_NOT_FOUND};
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        put_batch(&d, 0, 3, 10);
        put_batch(&d, 0, 5000, 0);
        put_batch(&d, 0, 3, 700 << 10);
        for (size_t i = 0; i < (backend == DIR_BACKEND ? 1 : sizeof codes / sizeof codes[0]); i++) {
            int r = 1, n = 0;
            while (r && n < 50) {
                open_cold(&d, 1);
                bad_objects_plan(
                    &d.lent[1],
                    (struct bad_objects_plan){.call = BAD_GET, .fails_at = ++n, .says = codes[i]});
                r = read_all(&d, 1);
                CHECK(r == 0 || r == (codes[i] == ERR_NOT_FOUND ? ERR_CORRUPT : (int)codes[i]));
                d.lent[1].plan = (struct bad_objects_plan){0};
            }
            CHECK(n > 5 && n < 50);
        }
        end(&d);
    }
}

TEST(when_all_gets_fail_there_is_one_error)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    for (int i = 0; i < 40; i++)
        put_batch(&d, 0, 1, 10);
    open_node(&d, 1);
    bad_objects_plan(&d.lent[1], (struct bad_objects_plan){.call = BAD_GET,
                                                           .fails_at = 1,
                                                           .and_then_always = true,
                                                           .says = ERR_UNAVAILABLE});
    CHECK(read_all(&d, 1) == ERR_UNAVAILABLE);
    CHECK(d.lent[1].all_calls == 16); /* the others were not tried */
    bad_objects_plan(&d.lent[1], (struct bad_objects_plan){0});
    CHECK(read_all(&d, 1) == 0);
    end(&d);
}

TEST(a_number_that_is_taken_is_a_conflict_and_the_next_is_free)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        struct store_record record;
        struct err err;
        char room[BUCKET_NAME];
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        struct batch *batch = make(&d, 2, 10);
        reserve(&d, 0, 1, &record);
        CHECK(objects_put(d.inner, d.loop, bucket_name(record.first.container, room),
                          STR("another node's")) == 0);

        struct appending a = {
            .append = {.op = {.loop = d.loop, .done = appended}, .records = &record, .count = 1}};
        store_append(d.node[0], &a.append);
        CHECK(hand_loop_until(d.loop, &a.done));
        CHECK(a.append.op.err.code == ERR_CONFLICT);

        uint64_t taken = batch->first.container;
        CHECK(append_some(&d, 0, 1, 0, &err) == 0); /* reserved again */
        CHECK(batch->first.container != taken);
        CHECK(read_one(&d, 0, batch, 1, NULL) == 0);
        struct buf *there = object_of(&d, taken);
        CHECK(str_eq(str_of(there), STR("another node's")));
        buf_unref(there);
        end(&d);
    }
}

TEST(a_put_that_fails_leaves_nothing_on_the_shelf)
{
    static const enum err_code codes[] = {ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_FULL, ERR_BUSY};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct desk d;
        struct err err;
        struct store_sizes sizes;
        begin(&d, MEM_BACKEND);
        open_node(&d, 0);
        bad_objects_plan(&d.lent[0], (struct bad_objects_plan){
                                         .call = BAD_PUT, .fails_at = 1, .says = codes[i]});
        struct batch *batch = make(&d, 2, 10);
        CHECK(append_some(&d, 0, 1, 0, &err) == (int)codes[i]);
        CHECK(err.text[0]);
        CHECK(read_one(&d, 0, batch, 0, NULL) == ERR_CORRUPT);
        store_sizes(d.node[0], &sizes);
        CHECK(sizes.packs == 0 && sizes.last_sequence == 0);
        CHECK(objects_list(d.inner, d.loop, STR("v1/2"), NULL) == 0);

        append(&d, 0, 1);
        CHECK(read_one(&d, 0, batch, 0, NULL) == 0);
        end(&d);
    }
}

TEST(several_groups_are_on_their_way_at_once)
{
    struct desk d;
    struct store_record records[4];
    struct appending a[4];
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    bad_objects_plan(&d.lent[0], (struct bad_objects_plan){.holds = true});
    for (int i = 0; i < 4; i++) {
        make(&d, 3, 100);
        reserve(&d, 0, 1, &records[i]);
        a[i] = (struct appending){.append = {.op = {.loop = d.loop, .done = appended},
                                             .records = &records[i],
                                             .count = 1}};
        store_append(d.node[0], &a[i].append);
        d.batches[i].stored = true;
    }
    for (long turn = 0; d.lent[0].waiting < 4 && turn < 10000000; turn++) {
        hand_loop_turn(d.loop);
        sched_yield();
    }
    CHECK(d.lent[0].waiting == 4);
    while (bad_objects_let_go(&d.lent[0], true))
        ;
    for (int i = 0; i < 4; i++) {
        CHECK(hand_loop_until(d.loop, &a[i].done));
        CHECK(a[i].append.op.err.code == ERR_OK && a[i].times == 1);
    }
    bad_objects_plan(&d.lent[0], (struct bad_objects_plan){0});
    CHECK(read_all(&d, 0) == 0);
    end(&d);
}

/* ---- walking ---- */

struct walking {
    struct desk *d;
    uint64_t sequences[MOST];
    size_t count;
    size_t stop_after; /* 0: never */
    size_t told, lost;
    char file[256], why[256]; /* what was told last */
};

static const struct batch *batch_of(const struct desk *d, uint64_t sequence, uint64_t container)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->batches[i].sequence == sequence && d->batches[i].first.container == container)
            return &d->batches[i];
    return NULL;
}

static int visit(void *context, const struct record *record, struct place first, uint64_t sequence,
                 struct err *err)
{
    struct walking *w = context;
    (void)err;
    const struct batch *batch = batch_of(w->d, sequence, first.container);
    CHECK(batch && batch->stored && w->count < MOST);
    if (!batch || w->count == MOST)
        return 0;
    CHECK(first.ordinal == batch->first.ordinal);
    CHECK(record->count == batch->made->record.count);
    CHECK(record->received_us == batch->made->record.received_us);
    for (uint32_t i = 0; i < record->count; i++) {
        struct run run;
        if (record->parts[i].entry)
            CHECK(record_run(record, i, &run, NULL) == 0 && is_run(batch, i, &run));
        else
            CHECK(w->lost > 0);
    }
    w->sequences[w->count++] = sequence;
    return w->count == w->stop_after ? -1 : 0;
}

static void told(void *context, struct str file, uint64_t offset, const char *why, bool lost)
{
    struct walking *w = context;
    (void)offset;
    w->told++;
    w->lost += lost;
    snprintf(w->file, sizeof w->file, "%.*s", STR_FMT(file));
    snprintf(w->why, sizeof w->why, "%s", why);
}

static int walk(struct desk *d, int node, uint64_t after, struct walking *w, bool tell,
                struct err *err)
{
    w->d = d;
    return store_walk(d->node[node], after, visit, tell ? told : NULL, w, err);
}

/* How many batches are stored with a sequence greater than that? */
static size_t stored_after(const struct desk *d, uint64_t sequence)
{
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++)
        n += d->batches[i].stored && d->batches[i].sequence > sequence;
    return n;
}

/* Groups of one node over hours and days, with gaps. */
static void fill_days(struct desk *d)
{
    static const int64_t steps[] = {0, 1, 1000, HOUR_US, 3, 30 * HOUR_US, 5, 0, 700 * HOUR_US, 2};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        atomic_fetch_add(&now_us, steps[i]);
        size_t count = i % 4 + 1;
        for (size_t k = 0; k < count; k++)
            make(d, k % 2 + 1, 10);
        CHECK(append_some(d, 0, count, i % 3 == 1 && count > 1, NULL) == 0);
    }
}

TEST(a_walk_gives_every_record_behind_a_sequence_in_order)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        fill_days(&d);
        open_node(&d, 1);
        for (size_t k = 0; k <= d.count; k++) {
            uint64_t after = k == 0 ? 0 : d.batches[k - 1].sequence;
            struct walking w = {0};
            CHECK(walk(&d, 1, after, &w, false, NULL) == 0);
            CHECK(w.count == stored_after(&d, after));
            for (size_t i = 0; i < w.count; i++)
                CHECK(w.sequences[i] > (i == 0 ? after : w.sequences[i - 1]));
        }
        struct walking w = {0};
        CHECK(walk(&d, 1, UINT64_MAX >> 10, &w, false, NULL) == 0 && w.count == 0);
        end(&d);
    }
}

/* As a replay does: it takes a part, and asks again behind it. */
TEST(a_walk_that_was_stopped_goes_on_where_it_was)
{
    for (size_t step = 1; step < 5; step++) {
        struct desk d;
        begin(&d, MEM_BACKEND);
        open_node(&d, 0);
        fill_days(&d);
        open_node(&d, 1);
        struct walking w = {0};
        uint64_t after = 0;
        int r;
        do {
            w.stop_after = w.count + step;
            r = walk(&d, 1, after, &w, false, NULL);
            after = w.sequences[w.count - 1];
        } while (r == -1);
        CHECK(r == 0 && w.count == stored_after(&d, 0));
        for (size_t i = 1; i < w.count; i++)
            CHECK(w.sequences[i] > w.sequences[i - 1]);
        CHECK(d.lent[1].calls[BAD_GET] == 10); /* each pack once */
        store_walk_end(d.node[1]);
        end(&d);
    }
}

/* The same, and each time by a process that begins anew: also inside of a pack. */
TEST(a_walk_that_was_stopped_goes_on_in_another_process)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        fill_days(&d);
        for (int i = 0; i < 64; i++)
            make(&d, 1, 0);
        /* A group that goes on into the next hour. */
        atomic_store(&now_us, (SOME_US / HOUR_US + 1000) * HOUR_US - 20);
        append(&d, 0, 64);
        struct walking w = {0};
        uint64_t after = 0;
        int r;
        do {
            open_cold(&d, 1);
            w.stop_after = w.count + 1;
            r = walk(&d, 1, after, &w, false, NULL);
            after = w.sequences[w.count - 1];
        } while (r == -1);
        CHECK(r == 0 && w.count == stored_after(&d, 0));
        for (size_t i = 1; i < w.count; i++)
            CHECK(w.sequences[i] > w.sequences[i - 1]);
        end(&d);
    }
}

TEST(another_walk_than_the_one_that_was_stopped_begins_anew)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    fill_days(&d);
    struct walking w = {.stop_after = 3};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == -1);
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == 0 && w.count == stored_after(&d, 0));

    w = (struct walking){.stop_after = 3};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == -1);
    store_walk_end(d.node[0]);
    uint64_t after = w.sequences[2];
    w = (struct walking){0};
    CHECK(walk(&d, 0, after, &w, false, NULL) == 0 && w.count == stored_after(&d, after));

    w = (struct walking){.stop_after = 3};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == -1); /* and it is closed like that */
    end(&d);
}

TEST(a_walk_takes_the_packs_of_all_nodes)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    for (int i = 0; i < NODES; i++)
        open_node(&d, i);
    for (int i = 0; i < 12; i++) {
        atomic_fetch_add(&now_us, i % 4 == 3 ? HOUR_US : 2);
        for (int k = 0; k < 5; k++)
            make(&d, 1, 0);
        append(&d, i % NODES, 5); /* 5 sequences in 2 microseconds: they overlap */
    }
    struct walking w = {0};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == 0);
    CHECK(w.count == 60);

    for (size_t k = 0; k < 60; k += 7) {
        uint64_t after = d.batches[k].sequence;
        w = (struct walking){0};
        CHECK(walk(&d, 0, after, &w, false, NULL) == 0);
        CHECK(w.count == stored_after(&d, after));
        for (size_t i = 0; i < w.count; i++)
            CHECK(w.sequences[i] > after);
    }
    end(&d);
}

TEST(sequences_go_on_behind_what_a_walk_saw)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    open_node(&d, 1);
    for (int i = 0; i < 9; i++)
        make(&d, 1, 0);
    append(&d, 0, 9);
    atomic_fetch_add(&now_us, 2);
    put_batch(&d, 1, 1, 0); /* the last pack, but not the greatest sequence */
    uint64_t highest = d.batches[8].sequence;
    CHECK(d.batches[9].sequence < highest);

    open_node(&d, 2);
    atomic_fetch_sub(&now_us, 2 * HOUR_US); /* its clock is behind */
    struct walking w = {0};
    struct store_sizes sizes;
    CHECK(walk(&d, 2, 0, &w, false, NULL) == 0);
    store_sizes(d.node[2], &sizes);
    CHECK(sizes.last_sequence == highest);
    put_batch(&d, 2, 1, 0);
    CHECK(d.batches[10].sequence == highest + 1);
    end(&d);
}

TEST(an_empty_bucket_has_nothing_to_walk)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        struct store_sizes sizes;
        struct walking w = {0};
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        CHECK(walk(&d, 0, 0, &w, false, NULL) == 0);
        CHECK(walk(&d, 0, (uint64_t)SOME_US, &w, false, NULL) == 0);
        CHECK(w.count == 0);
        store_sizes(d.node[0], &sizes);
        CHECK(sizes.last_sequence == 0);
        end(&d);
    }
}

TEST(what_others_keep_in_the_bucket_is_in_nobodys_way)
{
    static const char *const names[] = {
        "a",
        "v1/1",
        "v1/20261126/05/0",
        "v1/20261126/05/00/x",
        "v1/20261126/05/zz",
        "v1/20261126/06",
        "v1/20261126/x/y",
        "v1/z",
        "v2/20261126/05/ab/19849cf3f5a801ab.pack",
        "v1/20261126/04/ab/19849cf3f5a801ab.pack", /* a name of ours in the wrong hour */
    };
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        struct walking w = {0};
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        fill_days(&d);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (!(backend == DIR_BACKEND && strcmp(names[i], "v1/20261126/06") == 0))
                CHECK(objects_put(d.inner, d.loop, (struct str){names[i], strlen(names[i])},
                                  STR("?")) == 0);
        CHECK(walk(&d, 0, 0, &w, true, NULL) == 0);
        CHECK(w.count == stored_after(&d, 0) && w.told == 0);
        end(&d);
    }
}

/* More names in an hour than a listing gives at once. */
TEST(an_hour_may_have_many_packs)
{
    enum { MANY = 2300 };
    struct desk d;
    struct walking w = {0};
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    put_batch(&d, 0, 1, 0);
    for (uint32_t i = 1; i <= MANY; i++) {
        char room[BUCKET_NAME];
        uint64_t number = bucket_number((uint64_t)SOME_US + i, i * 7);
        CHECK(objects_put(d.inner, d.loop, bucket_name(number, room), STR("?")) == 0);
    }
    atomic_fetch_add(&now_us, MANY + 10);
    put_batch(&d, 0, 1, 0);

    CHECK(walk(&d, 0, 0, &w, true, NULL) == 0);
    CHECK(w.count == 2 && w.told == MANY && w.lost == MANY);
    end(&d);
}

static void flip(struct desk *d, uint64_t number, uint64_t at)
{
    struct buf *bytes = object_of(d, number);
    char *copy = malloc(bytes->len);
    memcpy(copy, bytes->at, bytes->len);
    copy[at] ^= 1;
    replace(d, number, (struct str){copy, bytes->len});
    buf_unref(bytes);
    free(copy);
}

TEST(a_damaged_pack_is_told_or_ends_the_walk)
{
    struct desk d;
    struct err err = {0};
    char room[BUCKET_NAME + 1] = {0};
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    for (int i = 0; i < 3; i++) {
        atomic_fetch_add(&now_us, HOUR_US);
        put_batch(&d, 0, 6, 600 << 10);
    }
    uint64_t number = d.batches[1].first.container;
    (void)bucket_name(number, room);
    struct buf *bytes = object_of(&d, number);
    struct pack *pack = pack_of(bytes);

    /* A section: nothing is lost, so only who wants to hear is told. */
    flip(&d, number, bytes->len - PACK_FOOT + 40);
    struct walking w = {0};
    CHECK(walk(&d, 0, 0, &w, false, &err) == 0 && w.count == 3);
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, true, &err) == 0 && w.count == 3);
    CHECK(w.told == 1 && w.lost == 0 && strcmp(w.file, room) == 0);
    replace(&d, number, str_of(bytes));

    /* A block: its runs are lost. */
    flip(&d, number, pack->blocks[1].at + 100);
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, false, &err) == ERR_CORRUPT && w.count == 1);
    CHECK(strstr(err.text, room));
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, true, &err) == 0 && w.count == 3);
    CHECK(w.told == 1 && w.lost == 1 && strcmp(w.file, room) == 0);

    /* Whoever has had it does not mind. */
    w = (struct walking){0};
    CHECK(walk(&d, 0, d.batches[1].sequence, &w, false, &err) == 0 && w.count == 1);

    /* All of it. */
    replace(&d, number, STR("?"));
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, false, &err) == ERR_CORRUPT && w.count == 1);
    w = (struct walking){0};
    CHECK(walk(&d, 0, 0, &w, true, &err) == 0 && w.count == 2);
    CHECK(w.told == 1 && w.lost == 1);
    pack_free(pack);
    buf_unref(bytes);
    end(&d);
}

TEST(a_pack_that_is_said_to_be_endless_is_damage)
{
    struct desk d;
    struct walking w = {.d = &d};
    struct err err = {0};
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    put_batch(&d, 0, 1, 10);
    open_cold(&d, 0);
    d.lent[0].plan.pretends = UINT64_C(1) << 40;
    CHECK(walk(&d, 0, 0, &w, false, &err) == ERR_CORRUPT);
    CHECK(strstr(err.text, "more than it can have"));
    end(&d);
}

TEST(an_object_that_goes_between_listing_and_reading_is_passed_over)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    for (int i = 0; i < 3; i++)
        put_batch(&d, 0, 1, 0);
    struct removing removing = {&d, d.batches[1].first.container, 3}; /* list, get, get */
    bad_objects_plan(&d.lent[0],
                     (struct bad_objects_plan){.before = remove_before, .context = &removing});
    struct walking w = {0};
    CHECK(walk(&d, 0, 0, &w, false, NULL) == 0);
    CHECK(w.count == 2);
    end(&d);
}

TEST(a_walk_ends_with_the_first_call_that_fails)
{
    struct desk d;
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    fill_days(&d);
    for (int call = BAD_GET; call <= BAD_LIST; call++) {
        int r = 1, n = 0;
        while (r && call != BAD_REMOVE && n < 50) {
            struct walking w = {0};
            struct err err = {0};
            bad_objects_plan(&d.lent[0],
                             (struct bad_objects_plan){.call = (enum bad_object_call)call,
                                                       .fails_at = ++n,
                                                       .says = ERR_UNAVAILABLE});
            r = walk(&d, 0, 0, &w, n % 2 == 0, &err);
            CHECK(r == 0 || (r == ERR_UNAVAILABLE && err.text[0]));
            CHECK(r || w.count == stored_after(&d, 0));
        }
        CHECK(n < 50);
    }
    end(&d);
}

static int refuse(void *context, const struct record *record, struct place first, uint64_t sequence,
                  struct err *err)
{
    (void)context;
    (void)record;
    (void)first;
    (void)sequence;
    return err_set(err, ERR_FULL, "no more");
}

TEST(an_error_of_the_visitor_ends_the_walk)
{
    struct desk d;
    struct err err = {0};
    struct walking w = {0};
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    fill_days(&d);
    CHECK(store_walk(d.node[0], 0, refuse, NULL, NULL, &err) == ERR_FULL);
    CHECK(strcmp(err.text, "no more") == 0);
    CHECK(walk(&d, 0, 0, &w, false, NULL) == 0 && w.count == stored_after(&d, 0));
    end(&d);
}

/* ---- whose it is ---- */

TEST(who_opens_a_bucket_first_gives_it_an_id)
{
    for (int backend = 0; backend < BACKENDS; backend++) {
        struct desk d;
        begin(&d, (enum backend)backend);
        open_node(&d, 0);
        char id[64];
        snprintf(id, sizeof id, "%s", store_bucket_id(d.node[0]));
        CHECK(strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32);

        open_node(&d, 1);
        CHECK(strcmp(store_bucket_id(d.node[1]), id) == 0);
        open_cold(&d, 0);
        CHECK(strcmp(store_bucket_id(d.node[0]), id) == 0);
        end(&d);
    }
}

TEST(a_bucket_of_another_writer_is_refused)
{
    static const struct {
        const char *first, *second;
        bool good;
    } cases[] = {
        {"", "", true},
        {"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef", true},
        {"", "0123456789abcdef0123456789abcdef", false},
        {"0123456789abcdef0123456789abcdef", "", false},
        {"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdee", false},
        {"0123456789abcdef0123456789abcdef", "0123456789abcdef", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct desk d;
        struct err err = {0};
        begin(&d, MEM_BACKEND);
        CHECK(open_bucket(&d, 0, cases[i].first, 0, &err) == 0);
        int r = open_bucket(&d, 1, cases[i].second, 0, &err);
        CHECK(r == (cases[i].good ? 0 : ERR_CONFLICT));
        CHECK(cases[i].good || strstr(err.text, "belongs to"));
        CHECK(cases[i].good || (!d.node[1] && d.lent[1].closed == 1));
        end(&d);
    }
}

TEST(what_somebody_else_put_there_as_owner_is_refused)
{
    static const char *const contents[] = {
        "",
        "hello",
        "rundlet bucket 1\nid ",
        "rundlet bucket 1\nid 0123456789abcdef0123456789abcde",
        "rundlet bucket 1\nid 0123456789abcdef0123456789abcdef",
        "rundlet bucket 1\nid 0123456789abcdef0123456789abcdef\nwriter -",
        "rundlet bucket 1\nid 0123456789abcdef0123456789abcdef\nwriter -\nmore\n",
        "rundlet bucket 1\nid 0123456789abcdef0123456789abcdeF\nwriter -\n",
        "rundlet bucket 2\nid 0123456789abcdef0123456789abcdef\nwriter -\n",
    };
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        struct desk d;
        struct err err = {0};
        begin(&d, MEM_BACKEND);
        CHECK(objects_put(d.inner, d.loop, STR("v1/owner"),
                          (struct str){contents[i], strlen(contents[i])}) == 0);
        CHECK(open_bucket(&d, 0, "", 0, &err) == ERR_CONFLICT);
        CHECK(err.text[0] && d.lent[0].closed == 1);
        end(&d);
    }
    struct desk d;
    struct err err = {0};
    begin(&d, MEM_BACKEND);
    CHECK(objects_put(d.inner, d.loop, STR("v1/owner"),
                      STR("rundlet bucket 1\nid 0123456789abcdef0123456789abcdef\nwriter -\n")) ==
          0);
    CHECK(open_bucket(&d, 0, "", 0, &err) == 0);
    CHECK(strcmp(store_bucket_id(d.node[0]), "0123456789abcdef0123456789abcdef") == 0);
    end(&d);
}

TEST(an_owner_too_large_to_be_ours_is_refused)
{
    struct desk d;
    struct err err = {0};
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    d.lent[1].plan.pretends = UINT64_C(1) << 40;
    CHECK(open_bucket(&d, 1, "", 0, &err) == ERR_CONFLICT);
    CHECK(strstr(err.text, "not of this program") && d.lent[1].calls[BAD_GET] == 1);
    end(&d);
}

TEST(who_only_reads_claims_nothing)
{
    static const char *const writers[] = {"", "0123456789abcdef0123456789abcdef"};
    for (int i = 0; i < 2; i++) {
        struct desk d;
        struct err err = {0};
        char key[201];
        begin(&d, MEM_BACKEND);
        d.reads_only = true;
        CHECK(open_bucket(&d, 0, writers[i], 0, &err) == ERR_NOT_FOUND);
        CHECK(strstr(err.text, "no runs of this program"));
        CHECK(objects_list(d.inner, d.loop, STR(""), key) == 0);

        d.reads_only = false;
        CHECK(open_bucket(&d, 1, writers[i], 0, &err) == 0);
        d.reads_only = true;
        CHECK(open_bucket(&d, 0, writers[i], 0, &err) == 0);
        CHECK(d.lent[0].calls[BAD_PUT] == 0);
        CHECK(strcmp(store_bucket_id(d.node[0]), store_bucket_id(d.node[1])) == 0);
        CHECK(open_bucket(&d, 2, "nobody", 0, &err) == ERR_CONFLICT);
        end(&d);
    }
}

TEST(a_store_that_overwrites_is_refused)
{
    struct desk d;
    struct err err = {0};
    begin(&d, MEM_BACKEND);
    d.lent[0].plan.overwrites = true;
    CHECK(open_bucket(&d, 0, "", 0, &err) == ERR_INVALID);
    CHECK(strstr(err.text, "If-None-Match"));
    CHECK(open_bucket(&d, 0, "", 0, NULL) == ERR_INVALID); /* nobody need listen */
    end(&d);
}

TEST(a_bucket_whose_calls_fail_is_not_opened)
{
    for (int call = BAD_PUT; call <= BAD_GET; call++)
        for (int n = 1; n <= 2; n++)
            for (int again = 0; again < 2; again++) {
                struct desk d;
                struct err err = {0};
                begin(&d, MEM_BACKEND);
                if (again)
                    open_node(&d, 1);
                d.lent[0].plan = (struct bad_objects_plan){
                    .call = (enum bad_object_call)call, .fails_at = n, .says = ERR_UNAVAILABLE};
                int r = open_bucket(&d, 0, "", 0, &err);
                bool reached = d.lent[0].calls[call] >= n;
                CHECK(reached ? r == ERR_UNAVAILABLE && err.text[0] : r == 0);
                CHECK(!reached || d.lent[0].closed == 1);
                end(&d);
            }
}

/* ---- threads ---- */

enum { READERS = 3, ROUNDS = 60 };

/* A loop of its own that reads one run after the other, each another container. */
struct reader {
    const struct desk *d;
    struct loop *loop;
    struct store_read read;
    struct arena *arena;
    struct make_random random;
    struct place place;
    const struct batch *batch;
    int rounds, wrong;
};

static void next_read(struct reader *reader)
{
    uint64_t any = make_random(&reader->random);
    reader->batch = &reader->d->batches[any % reader->d->count];
    reader->place = (struct place){reader->batch->first.container,
                                   reader->batch->first.ordinal +
                                       (uint32_t)(any >> 32) % reader->batch->made->record.count};
    reader->arena = arena_new(1024);
    reader->read.op.err = (struct err){0};
    reader->read.arena = reader->arena;
    store_read(reader->d->node[1], &reader->read);
}

static void has_read_one(struct op *op)
{
    struct reader *reader = op_owner(op, struct reader, read.op);
    struct run expected;
    uint32_t i = reader->place.ordinal - reader->batch->first.ordinal;
    if (op->err.code || record_run(&reader->batch->made->record, i, &expected, NULL) ||
        !same_run(&expected, &reader->read.runs[0]))
        reader->wrong++;
    arena_free(reader->arena);
    if (++reader->rounds < ROUNDS)
        next_read(reader);
    else
        loop_stop(reader->loop);
}

static void first_read(struct op *op)
{
    struct reader *reader = op_owner(op, struct reader, read.op);
    reader->read.op.done = has_read_one;
    next_read(reader);
}

TEST(loops_read_beside_each_other_and_a_writer)
{
    struct desk d;
    struct err err = {0};
    struct reader readers[READERS];
    begin(&d, MEM_BACKEND);
    open_node(&d, 0);
    for (int i = 0; i < 20; i++)
        put_batch(&d, 0, (size_t)(i % 5 + 1), i % 7 == 0 ? 100 << 10 : 50);
    atomic_fetch_add(&now_us, 1000); /* numbers of one time would sometimes be the same */
    /* A shelf with room for few of them. */
    CHECK(store_bucket_open(&(struct store_bucket_config){.objects = &d.lent[1].objects,
                                                          .groups = 2,
                                                          .threads = 2,
                                                          .queue = 64,
                                                          .shelf_size = 4000,
                                                          .loop_index = 9},
                            &d.node[1], &err) == 0);
    CHECK(store_attach(d.node[1], d.loop, &err) == 0);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.d = &d, .random = {i}};
        CHECK(loop_open(i + 1, "reader", &readers[i].loop, &err) == 0);
        CHECK(store_attach(d.node[1], readers[i].loop, &err) == 0);
        readers[i].read = (struct store_read){.op = {.loop = readers[i].loop, .done = first_read},
                                              .places = &readers[i].place,
                                              .count = 1};
        op_finish(&readers[i].read.op);
    }
    struct desk writer = d; /* what is written now is not read */
    for (unsigned i = 0; i < READERS; i++)
        CHECK(loop_start(readers[i].loop, &err) == 0);
    for (int i = 0; i < 30; i++)
        put_batch(&writer, 1, 3, 100);
    for (unsigned i = 0; i < READERS; i++) {
        loop_join(readers[i].loop);
        CHECK(readers[i].rounds == ROUNDS && readers[i].wrong == 0);
        loop_close(readers[i].loop);
    }
    d.count = writer.count;
    memcpy(d.batches, writer.batches, sizeof d.batches);
    CHECK(read_all(&d, 1) == 0);
    end(&d);
}
