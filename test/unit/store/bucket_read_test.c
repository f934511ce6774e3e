/* bucket_read_test.c - what all reads together hold is bounded, and nobody is refused
 * for what he needs himself. */
#include "store/bucket_read.h"

#include <sched.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "lib/bad_objects.h"
#include "lib/check.h"
#include "lib/hand_loop.h"
#include "lib/make_pack.h"
#include "loop/lane.h"
#include "store/bucket_name.h"
#include "store/bucket_shelf.h"
#include "store/pack.h"
#include "store/store.h"

enum { MOST = 40, KB = 1 << 10 };

/* Packs that a store put, and a reader of its own. */
struct desk {
    struct loop *loop;
    struct objects *inner;
    struct bad_objects writing, reading;
    struct store *store;
    struct shelf *shelf;
    struct lane *lane;
    struct bucket_reader *reader;
    struct made_record *made[MOST];
    struct place places[MOST]; /* of the only run of each */
    size_t count;
};

static void open_reader(struct desk *d, size_t held_max)
{
    struct err err = {0};
    d->shelf = shelf_new(1 << 20);
    d->reader = bucket_reader_new(&d->reading.objects, d->shelf, held_max);
    const struct lane_config lane = {.name = "store-read",
                                     .threads = 2,
                                     .queue_max = 1000,
                                     .batch_max = 1,
                                     .work = bucket_reader_work,
                                     .context = d->reader};
    CHECK(lane_open(&lane, &d->lane, &err) == 0);
    bucket_reader_use(d->reader, d->lane);
}

static void close_reader(struct desk *d)
{
    lane_close(d->lane);
    bucket_reader_free(d->reader);
    shelf_free(d->shelf);
}

static void begin(struct desk *d, size_t held_max)
{
    struct err err = {0};
    *d = (struct desk){.loop = hand_loop_open()};
    CHECK(object_mem_open(&d->inner, &err) == 0);
    bad_objects_open(&d->writing, d->inner);
    bad_objects_open(&d->reading, d->inner);
    if (store_bucket_open(&(struct store_bucket_config){.objects = &d->writing.objects,
                                                        .groups = 1,
                                                        .threads = 1,
                                                        .queue = 1,
                                                        .shelf_size = 1,
                                                        .loop_index = 1},
                          &d->store, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    open_reader(d, held_max);
}

static void end(struct desk *d)
{
    close_reader(d);
    store_close(d->store);
    bad_objects_free(&d->writing);
    bad_objects_free(&d->reading);
    d->inner->ops->close(d->inner);
    hand_loop_close(d->loop);
    for (size_t i = 0; i < d->count; i++)
        made_free(d->made[i]);
}

struct appending {
    struct store_append append;
    bool done;
};

static void appended(struct op *op)
{
    op_owner(op, struct appending, append.op)->done = true;
}

/* A container with one run, whose bytes hardly compress. */
static void put(struct desk *d, size_t bytes)
{
    struct make_random random = {d->count};
    char *name = malloc(bytes + 1);
    make_noise(&random, name, bytes);
    const struct make_run run = {.id = make_id(d->count), .name = name, .number = d->count};
    struct made_record *made = make_record(&run, 1);
    free(name);
    struct store_record record = {.record = &made->record};
    CHECK(store_reserve(d->store, &record, 1, NULL) == 0);
    struct appending a = {
        .append = {.op = {.loop = d->loop, .done = appended}, .records = &record, .count = 1}};
    store_append(d->store, &a.append);
    CHECK(hand_loop_until(d->loop, &a.done));
    CHECK(a.append.op.err.code == ERR_OK);
    d->made[d->count] = made;
    d->places[d->count++] = record.first;
}

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

/* `count` containers, from the i-th on. */
static void start(struct desk *d, struct reading *r, size_t i, size_t count)
{
    *r = (struct reading){.arena = arena_new(1024)};
    r->read = (struct store_read){.op = {.loop = d->loop, .done = has_read},
                                  .places = d->places + i,
                                  .count = count,
                                  .arena = r->arena};
    bucket_read(d->reader, &r->read);
    CHECK(!r->done); /* never inside the call */
}

static enum err_code finish(struct desk *d, struct reading *r)
{
    CHECK(hand_loop_until(d->loop, &r->done));
    hand_loop_turn(d->loop);
    CHECK(r->times == 1);
    for (size_t i = 0; !r->read.op.err.code && i < r->read.count; i++) {
        struct run expected;
        size_t k = (size_t)(r->read.places - d->places) + i;
        CHECK(record_run(&d->made[k]->record, 0, &expected, NULL) == 0);
        CHECK(same_run(&expected, &r->read.runs[i]));
    }
    arena_free(r->arena);
    return r->read.op.err.code;
}

static enum err_code read_some(struct desk *d, size_t i, size_t count)
{
    struct reading r;
    start(d, &r, i, count);
    return finish(d, &r);
}

/* Let GETs go until it is done; the most bytes that waited at once. */
static size_t let_go(struct desk *d, struct reading *r)
{
    size_t most = 0;
    for (long turn = 0; !r->done && turn < 10000000; turn++) {
        if (d->reading.waiting_bytes > most)
            most = d->reading.waiting_bytes;
        if (!bad_objects_let_go(&d->reading, turn % 3 == 0))
            sched_yield();
        hand_loop_turn(d->loop);
    }
    return most;
}

/* Nothing is charged any more: one that needs more than all there is may come. */
static bool all_given_back(struct desk *d)
{
    return read_some(d, 0, d->count) == ERR_OK;
}

TEST(a_read_that_is_alone_comes_through_whatever_its_size)
{
    struct desk d;
    begin(&d, 1);
    for (int i = 0; i < 20; i++)
        put(&d, i % 3 == 0 ? 300 * KB : 100);
    for (int round = 0; round < 3; round++) { /* cold, and from the shelf */
        CHECK(read_some(&d, 0, 1) == ERR_OK);
        CHECK(read_some(&d, 0, 20) == ERR_OK);
    }
    CHECK(d.reading.calls[BAD_GET] > 20);
    end(&d);
}

TEST(who_comes_while_others_hold_all_is_refused_with_a_sentence)
{
    struct desk d;
    struct reading a, b;
    begin(&d, 100 * KB); /* a tail, and not two */
    put(&d, 200 * KB);
    put(&d, 200 * KB);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){.holds = true});
    start(&d, &a, 0, 1);
    CHECK(d.reading.waiting == 1);

    start(&d, &b, 1, 1);
    CHECK(hand_loop_until(d.loop, &b.done));
    CHECK(strcmp(b.read.op.err.text,
                 "Too many reads from the bucket are under way; try again in a moment") == 0);
    CHECK(finish(&d, &b) == ERR_BUSY);
    CHECK(!a.done && d.reading.waiting == 1);

    let_go(&d, &a);
    CHECK(finish(&d, &a) == ERR_OK);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
    CHECK(read_some(&d, 1, 1) == ERR_OK);
    CHECK(all_given_back(&d));
    end(&d);
}

/* The second has its tail, and would go over it with the block. */
TEST(a_fetch_that_grows_is_refused_when_others_hold_the_rest)
{
    struct desk d;
    struct reading a, b;
    begin(&d, 200 * KB);
    put(&d, 300 * KB);
    put(&d, 300 * KB);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){.holds = true});
    start(&d, &a, 0, 1);
    start(&d, &b, 1, 1);
    CHECK(d.reading.waiting == 2);
    CHECK(bad_objects_let_go(&d.reading, true)); /* the tail of b */
    CHECK(hand_loop_until(d.loop, &b.done));
    CHECK(finish(&d, &b) == ERR_BUSY);
    let_go(&d, &a);
    CHECK(finish(&d, &a) == ERR_OK);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
    CHECK(all_given_back(&d));
    end(&d);
}

TEST(what_does_not_fit_beside_its_own_read_is_put_off)
{
    static const size_t limits[] = {1, 70 * KB, 250 * KB, 500 * KB, 5000 * KB};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct desk d;
        struct reading r;
        begin(&d, limits[i]);
        for (int k = 0; k < 30; k++)
            put(&d, (size_t)(k % 4) * 80 * KB + 100);
        bad_objects_plan(&d.reading, (struct bad_objects_plan){.holds = true});
        start(&d, &r, 0, 30);
        size_t most = let_go(&d, &r), alone = 240 * KB;
        CHECK(finish(&d, &r) == ERR_OK);
        CHECK(most <= (limits[i] > alone ? limits[i] : alone));
        bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
        CHECK(all_given_back(&d));
        end(&d);
    }
}

TEST(what_was_put_off_ends_with_its_read)
{
    for (int n = 1; n <= 12; n++) {
        struct desk d;
        begin(&d, 70 * KB);
        for (int k = 0; k < 10; k++)
            put(&d, 200 * KB);
        bad_objects_plan(&d.reading, (struct bad_objects_plan){
                                         .call = BAD_GET, .fails_at = n, .says = ERR_TIMEOUT});
        CHECK(read_some(&d, 0, 10) == ERR_TIMEOUT);
        bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
        CHECK(all_given_back(&d));
        end(&d);
    }
}

TEST(an_object_that_is_too_large_is_not_mended)
{
    static const uint64_t most = 256 << 20;
    struct desk d;
    char room[BUCKET_NAME];
    begin(&d, BUCKET_READ_HELD);
    put(&d, 100);
    struct str name = bucket_name(d.places[0].container, room);
    struct buf *bytes = objects_get(d.inner, d.loop, name);
    bytes->at[bytes->len - PACK_FOOT + 40] ^= 1;
    CHECK(objects_remove(d.inner, d.loop, name) == 0);
    CHECK(objects_put(d.inner, d.loop, name, (struct str){bytes->at, bytes->len}) == 0);
    buf_unref(bytes);

    bad_objects_plan(&d.reading, (struct bad_objects_plan){.pretends = most + 1});
    CHECK(read_some(&d, 0, 1) == ERR_CORRUPT);
    CHECK(d.reading.calls[BAD_GET] == 1);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){.pretends = most});
    CHECK(read_some(&d, 0, 1) == ERR_CORRUPT); /* it is tried, and is not as large */
    CHECK(d.reading.calls[BAD_GET] == 2);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
    CHECK(read_some(&d, 0, 1) == ERR_OK);
    end(&d);
}

TEST(an_object_whose_tail_never_suffices_is_damage)
{
    struct desk d;
    begin(&d, BUCKET_READ_HELD);
    put(&d, 300 * KB);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){.tail_max = PACK_FOOT});
    CHECK(read_some(&d, 0, 1) == ERR_CORRUPT);
    CHECK(d.reading.calls[BAD_GET] == 3);
    bad_objects_plan(&d.reading, (struct bad_objects_plan){0});
    CHECK(all_given_back(&d));
    end(&d);
}

/* A lane that is full refuses, and what was fetched is let go of. */
TEST(a_full_lane_refuses)
{
    struct desk d;
    struct err err = {0};
    begin(&d, BUCKET_READ_HELD);
    for (int i = 0; i < 3; i++)
        put(&d, 100);
    const struct lane_config none = {
        .name = "full", .threads = 1, .queue_max = 0, .batch_max = 1, .work = bucket_reader_work};
    struct lane *full = NULL;
    CHECK(lane_open(&none, &full, &err) == 0);
    bucket_reader_use(d.reader, full);
    CHECK(read_some(&d, 0, 3) == ERR_BUSY);
    bucket_reader_use(d.reader, d.lane);
    CHECK(all_given_back(&d));
    lane_close(full);
    end(&d);
}
