/* store_bucket.c - packs as objects of a bucket; see store.h.
 *
 * A group becomes one pack:
 *
 *   reserve()   a number made of the time, and places; no call
 *   append()    ⇢ [lane] built in memory
 *   built()     ⇢ put, create only
 *   put_done()  onto the shelf: this node need not ask where the runs are
 *
 * Nothing is written beside the objects, so there is nothing to repair.
 */
#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/spare.h"
#include "base/text.h"
#include "loop/lane.h"
#include "store/bucket_build.h"
#include "store/bucket_name.h"
#include "store/bucket_owner.h"
#include "store/bucket_read.h"
#include "store/bucket_shelf.h"
#include "store/bucket_walk.h"
#include "store/object.h"
#include "store/pack.h"
#include "store/pack_press.h"

enum { BUILDERS = 2 }; /* threads that make packs, besides their helpers */

struct bucket {
    struct store store;
    struct objects *objects;
    struct shelf *shelf;
    struct bucket_reader *reader;
    struct lane *builders, *readers;
    _Atomic(struct pack_press *) presses[BUILDERS]; /* those that rest */
    struct spare spare;                             /* what a pack was in */
    struct bucket_walk walk;
    struct object_desk *desk; /* for store_list() and what stands beside it */
    uint64_t next_sequence;   /* of the commit loop */
    uint64_t random;          /* likewise: state of the numbers' random bits */
    atomic_uint_fast64_t packs, bytes, last_sequence;
    char id[BUCKET_ID + 1]; /* of the deployment */
};

static struct bucket *bucket_of(struct store *store)
{
    return op_owner(store, struct bucket, store);
}

static int attach(struct store *store, struct loop *loop, struct err *err)
{
    struct objects *objects = bucket_of(store)->objects;
    return objects->ops->attach(objects, loop, err);
}

/* ---- appending ---- */

/* A few bits that differ between nodes (splitmix64). */
static uint32_t next_random(struct bucket *bucket)
{
    uint64_t z = bucket->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(z >> 33);
}

static int reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    struct bucket *bucket = bucket_of(store);
    assert(count > 0 && count <= STORE_GROUP_RECORDS);
    uint64_t now = (uint64_t)clock_now_us(), ordinal = 0;
    if (bucket->next_sequence < now)
        bucket->next_sequence = now;
    uint64_t number = bucket_number(bucket->next_sequence, next_random(bucket));
    for (size_t i = 0; i < count; i++) {
        const struct record *record = records[i].record;
        if (record->count == 0 || record->count > RECORD_RUNS_MAX ||
            ordinal + record->count > PACK_RUNS_MAX)
            return err_set(err, ERR_TOO_BIG, "a batch of %" PRIu32 " runs", record->count);
        records[i].first = (struct place){number, (uint32_t)ordinal};
        records[i].sequence = bucket->next_sequence++;
        ordinal += record->count;
    }
    return 0;
}

static void forget(struct store *store)
{
    (void)store; /* a number that is not used is nobody's */
}

struct append {
    struct bucket *bucket;
    struct store_append *asked;
    uint64_t number, previous_sequence;
    struct buf *pack;
    struct op build;
    struct object_put put;
    struct iovec part;
    char name[BUCKET_NAME];
};

static void built(struct op *op);
static void put_done(struct op *op);

static void end_append(struct append *a, const struct err *err)
{
    struct store_append *asked = a->asked;
    asked->op.err = bucket_error(*err);
    if (a->pack)
        spare_give(&a->bucket->spare, a->pack);
    free(a);
    op_finish(&asked->op);
}

static void append(struct store *store, struct store_append *asked)
{
    struct bucket *bucket = bucket_of(store);
    assert(asked->count > 0);
    struct append *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->bucket = bucket;
    a->asked = asked;
    a->number = asked->records[0].first.container;
    a->previous_sequence = atomic_load(&bucket->last_sequence);
    a->build = (struct op){.loop = asked->op.loop, .done = built};
    if (!lane_submit(bucket->builders, &a->build))
        op_fail(&a->build, ERR_BUSY, "too many groups are being packed");
}

/* There are no more builders than presses. */
static struct pack_press *take_press(struct bucket *bucket)
{
    struct pack_press *press = NULL;
    for (size_t i = 0; i < BUILDERS && !press; i++)
        press = atomic_exchange(&bucket->presses[i], NULL);
    long helpers = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    if (helpers < 0)
        helpers = 0;
    if (helpers > PACK_HELPERS_MAX)
        helpers = PACK_HELPERS_MAX;
    return press ? press : pack_press_new(BUCKET_LEVEL, (unsigned)helpers);
}

static void give_press(struct bucket *bucket, struct pack_press *press)
{
    for (size_t i = 0; i < BUILDERS && press; i++)
        press = atomic_exchange(&bucket->presses[i], press);
    pack_press_free(press);
}

static void build_chain(void *context, struct op *chain)
{
    (void)context;
    while (chain) {
        struct append *a = op_owner(chain, struct append, build);
        chain = chain->next;
        struct pack_press *press = take_press(a->bucket);
        if (bucket_build(a->number, a->asked->records, a->asked->count, a->previous_sequence, press,
                         &a->bucket->spare, &a->pack, &a->build.err) == 0)
            a->build.err = (struct err){0};
        give_press(a->bucket, press);
        op_finish(&a->build);
    }
}

static void built(struct op *op)
{
    struct append *a = op_owner(op, struct append, build);
    if (op->err.code) {
        struct err err = op->err;
        end_append(a, &err);
        return;
    }
    a->part = (struct iovec){a->pack->at, a->pack->len};
    a->put = (struct object_put){
        .op = {.loop = a->asked->op.loop, .done = put_done},
        .name = bucket_name(a->number, a->name),
        .parts = &a->part,
        .part_count = 1,
    };
    a->bucket->objects->ops->put(a->bucket->objects, &a->put);
}

/* So that whoever reads these runs next finds them with one GET. */
static void shelve(struct bucket *bucket, uint64_t number, const struct buf *file)
{
    struct pack *pack = NULL;
    uint64_t need = 0;
    size_t size = file->len < PACK_TAIL ? file->len : PACK_TAIL;
    do {
        if (pack_open((struct str){file->at + (file->len - size), size}, file->len, &pack, &need,
                      NULL))
            return;
        size = (size_t)need;
    } while (need > 0);
    const struct pack_section *runs = &pack->sections[PACK_RUNS];
    if (pack_load(pack, PACK_RUNS, (struct str){file->at + runs->at, (size_t)runs->stored}, NULL))
        pack_free(pack);
    else
        shelf_give_back(bucket->shelf, shelf_add(bucket->shelf, number, pack));
}

static void put_done(struct op *op)
{
    struct append *a = op_owner(op, struct append, put.op);
    struct bucket *bucket = a->bucket;
    struct err err = op->err;
    if (!err.code) {
        const struct store_append *asked = a->asked;
        uint64_t last = asked->records[asked->count - 1].sequence;
        if (last > atomic_load(&bucket->last_sequence))
            atomic_store(&bucket->last_sequence, last);
        atomic_fetch_add(&bucket->packs, 1);
        atomic_fetch_add(&bucket->bytes, a->pack->len);
        shelve(bucket, a->number, a->pack);
    }
    end_append(a, &err);
}

/* ---- reading ---- */

static void read_runs(struct store *store, struct store_read *read)
{
    bucket_read(bucket_of(store)->reader, read);
}

struct probe {
    struct store_probe *asked;
    struct arena *arena;
    struct object_list list;
};

static void listed(struct op *op)
{
    struct probe *p = op_owner(op, struct probe, list.op);
    struct store_probe *asked = p->asked;
    asked->op.err = bucket_error(op->err);
    arena_free(p->arena);
    free(p);
    op_finish(&asked->op);
}

static void probe(struct store *store, struct store_probe *asked)
{
    struct objects *objects = bucket_of(store)->objects;
    struct probe *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->asked = asked;
    p->arena = arena_new(256);
    p->list = (struct object_list){
        .op = {.loop = asked->op.loop, .done = listed},
        .prefix = STR("v1/"),
        .after = STR(""),
        .limit = 1,
        .arena = p->arena,
    };
    objects->ops->list(objects, &p->list);
}

static int walk(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
                store_damaged_fn *damaged, void *context, struct err *err)
{
    struct bucket *bucket = bucket_of(store);
    uint64_t highest = 0;
    int r = bucket_walk(&bucket->walk, after_sequence, visit, damaged, context, &highest, err);
    if (highest >= bucket->next_sequence)
        bucket->next_sequence = highest + 1;
    if (highest > atomic_load(&bucket->last_sequence))
        atomic_store(&bucket->last_sequence, highest);
    return r;
}

static void end_walk(struct store *store)
{
    bucket_walk_end(&bucket_of(store)->walk);
}

/* Names ascend by the hour, so behind this one there is nothing older. */
static bool is_too_young(uint64_t sequence, int64_t before_us)
{
    static const uint64_t HOUR_US = UINT64_C(3600000000);
    return sequence - sequence % HOUR_US >= (uint64_t)before_us;
}

int store_list(struct store *store, struct store_listing *listing, uint64_t *numbers, size_t max,
               size_t *count, struct err *err)
{
    struct arena *arena = arena_new(64 << 10);
    struct str *names = NULL;
    size_t named = 0;
    *count = 0;
    int r = object_desk_list(bucket_of(store)->desk, STR("v1/"),
                             (struct str){listing->after, listing->after_len}, max, arena, &names,
                             &named, err);
    if (r)
        named = 0;
    listing->done = !r && named < max;
    for (size_t i = 0; i < named; i++) {
        uint64_t number;
        if (!bucket_named(names[i], &number)) /* not ours */
            continue;
        uint64_t sequence = bucket_sequence(number);
        if (is_too_young(sequence, listing->before_us)) {
            listing->done = true;
            break;
        }
        if (sequence < (uint64_t)listing->before_us)
            numbers[(*count)++] = number;
    }
    if (named > 0) {
        struct str last = names[named - 1];
        assert(last.len <= sizeof listing->after);
        memcpy(listing->after, last.at, last.len);
        listing->after_len = last.len;
    }
    arena_free(arena);
    return r;
}

int store_remove(struct store *store, uint64_t number, struct err *err)
{
    char name[BUCKET_NAME];
    return object_desk_remove(bucket_of(store)->desk, bucket_name(number, name), err);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Mark those of `numbers` that the hour's names tell. */
static int hold_hour(struct bucket *bucket, struct str hour, const uint64_t *numbers, size_t count,
                     bool *there, struct err *err)
{
    enum { NAMES = 1000 };
    struct text last = {0};
    size_t named = NAMES;
    int r = 0;
    while (!r && named == NAMES) {
        struct arena *arena = arena_new(64 << 10);
        struct str *names = NULL;
        r = object_desk_list(bucket->desk, hour, text_str(&last), NAMES, arena, &names, &named,
                             err);
        for (size_t i = 0; i < named && !r; i++) {
            uint64_t number;
            const uint64_t *found =
                bucket_named(names[i], &number)
                    ? bsearch(&number, numbers, count, sizeof number, compare_numbers)
                    : NULL;
            if (found)
                there[found - numbers] = true;
        }
        last.len = 0;
        if (!r && named > 0)
            text_add(&last, names[named - 1]);
        arena_free(arena);
    }
    text_free(&last);
    return r;
}

int store_holds(struct store *store, const uint64_t *numbers, size_t count, bool *there,
                struct err *err)
{
    int r = 0;
    memset(there, 0, count * sizeof *there);
    for (size_t i = 0, end = 0; i < count && !r; i = end) {
        char room[BUCKET_NAME], other[BUCKET_NAME];
        struct str hour = bucket_hour(bucket_sequence(numbers[i]), room);
        while (end < count && str_eq(hour, bucket_hour(bucket_sequence(numbers[end]), other)))
            end++;
        r = hold_hour(bucket_of(store), hour, numbers, count, there, err);
    }
    return r;
}

/* What this node put: the bucket itself is not asked. */
static void sizes(struct store *store, struct store_sizes *result)
{
    struct bucket *bucket = bucket_of(store);
    *result = (struct store_sizes){
        .packs = atomic_load(&bucket->packs),
        .pack_bytes = atomic_load(&bucket->bytes),
        .last_sequence = atomic_load(&bucket->last_sequence),
        .free_bytes = UINT64_MAX,
    };
}

static void close_bucket(struct store *store)
{
    struct bucket *bucket = bucket_of(store);
    lane_close(bucket->builders);
    lane_close(bucket->readers);
    for (size_t i = 0; i < BUILDERS; i++)
        pack_press_free(atomic_load(&bucket->presses[i]));
    buf_unref(atomic_load(&bucket->spare.buf));
    bucket_walk_end(&bucket->walk);
    if (bucket->objects)
        bucket->objects->ops->close(bucket->objects);
    object_desk_close(bucket->walk.desk);
    object_desk_close(bucket->desk);
    bucket_reader_free(bucket->reader);
    shelf_free(bucket->shelf);
    free(bucket);
}

static const struct store_ops bucket_ops = {
    .name = "bucket",
    .attach = attach,
    .reserve = reserve,
    .append = append,
    .forget = forget,
    .read = read_runs,
    .probe = probe,
    .walk = walk,
    .walk_end = end_walk,
    .sizes = sizes,
    .close = close_bucket,
};

int store_bucket_open(const struct store_bucket_config *config, struct store **result,
                      struct err *err)
{
    struct bucket *bucket = calloc(1, sizeof *bucket);
    if (!bucket)
        abort();
    bucket->store = (struct store){.ops = &bucket_ops, .groups = config->groups, .orphans = true};
    bucket->objects = config->objects;
    bucket->next_sequence = config->last_sequence + 1;
    atomic_init(&bucket->last_sequence, config->last_sequence);
    bucket->shelf = shelf_new(config->shelf_size);
    bucket->reader = bucket_reader_new(bucket->objects, bucket->shelf, BUCKET_READ_HELD);
    const struct lane_config builders = {
        .name = "pack-build",
        .threads = config->groups < BUILDERS ? config->groups : BUILDERS,
        .queue_max = config->groups,
        .batch_max = 1,
        .work = build_chain,
        .context = bucket,
    };
    const struct lane_config readers = {
        .name = "store-read",
        .threads = config->threads,
        .queue_max = config->queue,
        .batch_max = 1,
        .work = bucket_reader_work,
        .context = bucket->reader,
    };
    int r = 0;
    if (getrandom(&bucket->random, sizeof bucket->random, 0) != (ssize_t)sizeof bucket->random)
        r = err_set(err, ERR_UNAVAILABLE, "no random bytes for the numbers of packs");
    if (!r)
        r = lane_open(&builders, &bucket->builders, err);
    if (!r)
        r = lane_open(&readers, &bucket->readers, err);
    if (!r)
        r = object_desk_open(bucket->objects, config->loop_index, &bucket->walk.desk, err);
    if (!r)
        r = object_desk_open(bucket->objects, config->loop_index + 1, &bucket->desk, err);
    if (!r)
        r = (config->read_only ? bucket_find : bucket_own)(bucket->walk.desk, config->writer,
                                                           bucket->id, err);
    if (r) {
        close_bucket(&bucket->store);
        (void)err_wrap(err, "open the bucket");
        return r;
    }
    bucket_reader_use(bucket->reader, bucket->readers);
    *result = &bucket->store;
    return 0;
}

const char *store_bucket_id(struct store *store)
{
    return bucket_of(store)->id;
}
