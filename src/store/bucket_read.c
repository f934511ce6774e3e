/* bucket_read.c - see bucket_read.h.
 *
 * A read is taken apart into fetches, one for each container, WINDOW of them
 * at a time:
 *
 *   start_fetch()  the pack is on the shelf: plan().  Else its tail ⇢
 *   got_tail()     open it; its runs may lie before the tail ⇢ got_runs()
 *   plan()         which ranges of the object have the wanted runs? ⇢ GETs
 *   got_range()    all are here ⇢ [lane]
 *   unpack()       [lane] verify, unpack, decode
 *   unpacked()     the next fetch, or the end of the read
 *
 * A pack whose sections are damaged is fetched whole, and made anew from its
 * blocks on the lane.
 *
 * What all reads together hold of objects is bounded.  A fetch that would go over
 * it is put off until another of the same read has ended; when there is none it
 * is refused, unless nobody else holds anything: so a read of any size comes
 * through when it is alone.
 */
#include "store/bucket_read.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/lane.h"
#include "store/bucket_name.h"
#include "store/bucket_shelf.h"
#include "store/object.h"
#include "store/pack_file.h"
#include "store/store.h"

enum {
    WINDOW = 16, /* fetches of one read under way: what they hold is bounded */
    GAP_MIN = 64 << 10,
    GAP_MAX = 4 << 20,
    RANGE_MAX = 16 << 20,
    SMALL = 64 << 10,      /* GETs that tell of latency */
    LARGE = 1 << 20,       /* those that tell of bandwidth */
    WHOLE_MAX = 256 << 20, /* of an object that is mended */
    TAILS = 3 /* that opening a pack takes: for its foot, its directory, its sections */
};

struct bucket_reader {
    struct objects *objects;
    struct shelf *shelf;
    struct lane *lane;
    struct budget budget; /* of what is fetched and not given back */
    /* Running averages of the GETs: the time of a small one, and bytes a microsecond. */
    atomic_uint latency_us, bandwidth;
    pthread_mutex_t lock; /* over what follows */
    struct spare_scratch *spare;
};

struct spare_scratch {
    struct spare_scratch *next;
    struct pack_scratch *scratch;
};

/* One place that is wanted, and where its run goes. */
struct wanted {
    struct place place;
    size_t index;
};

struct journey {
    struct bucket_reader *reader;
    struct store_read *read;
    struct wanted *wanted; /* ascending by place */
    size_t next;           /* the first of the container that is fetched next */
    unsigned under_way;    /* fetches, also those that were put off: */
    struct fetch *put_off;
    unsigned put_off_count;
    size_t charged; /* bytes of the reader's budget, by all its fetches */
    struct err err; /* the first that failed */
    int64_t began_us;
};

struct range_get {
    struct object_get get;
    struct fetch *fetch;
    int64_t began_us;
};

typedef void fetch_fn(struct fetch *f);

struct fetch {
    struct journey *journey;
    uint64_t number;
    struct str name;
    struct pack_wanted *wanted;
    size_t count;
    struct shelved *shelved;
    struct pack *opened; /* its runs are on their way */
    uint64_t total;      /* bytes of the object, once the tail was seen */
    unsigned tails;      /* that were fetched */
    bool whole;          /* all of it is fetched, to be mended */
    struct range_get tail;
    struct range_get *ranges;
    size_t range_count, pending;
    struct pack_held *held;
    size_t held_count;
    size_t charged;         /* bytes of the reader's budget */
    fetch_fn *again;        /* what was put off */
    struct fetch *next_off; /* the next that was */
    struct err err;
    struct op unpack;
    struct arena *arena; /* what the lane fills */
    char name_room[BUCKET_NAME];
};

struct bucket_reader *bucket_reader_new(struct objects *objects, struct shelf *shelf,
                                        size_t held_max)
{
    struct bucket_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        abort();
    reader->objects = objects;
    reader->shelf = shelf;
    reader->budget.limit = held_max;
    atomic_init(&reader->latency_us, 1000);
    atomic_init(&reader->bandwidth, 100);
    pthread_mutex_init(&reader->lock, NULL);
    return reader;
}

void bucket_reader_use(struct bucket_reader *reader, struct lane *lane)
{
    reader->lane = lane;
}

void bucket_reader_free(struct bucket_reader *reader)
{
    if (!reader)
        return;
    for (struct spare_scratch *spare; (spare = reader->spare);) {
        reader->spare = spare->next;
        pack_scratch_free(spare->scratch);
        free(spare);
    }
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

/* ---- what a gap is worth ---- */

/* An eighth of the new one; racing loops may lose a sample, which is no matter. */
static void average(atomic_uint *at, uint64_t sample)
{
    unsigned old = atomic_load_explicit(at, memory_order_relaxed);
    uint64_t mixed = (old * UINT64_C(7) + (sample < UINT32_MAX ? sample : UINT32_MAX)) / 8;
    atomic_store_explicit(at, mixed > 0 ? (unsigned)mixed : 1, memory_order_relaxed);
}

static void measure(struct bucket_reader *reader, const struct range_get *r)
{
    uint64_t us = (uint64_t)(clock_mono_us() - r->began_us);
    metric_add(METRIC_STORE_READ_BYTES, (int64_t)r->get.size);
    if (r->get.size <= SMALL) {
        average(&reader->latency_us, us);
    } else if (r->get.size >= LARGE) {
        unsigned latency = atomic_load_explicit(&reader->latency_us, memory_order_relaxed);
        average(&reader->bandwidth, r->get.size / (us > latency ? us - latency : 1));
    }
}

/* Bytes that are cheaper read than asked for around: half of what comes in the
 * time of a GET. */
static size_t gap_of(const struct bucket_reader *reader)
{
    uint64_t gap = (uint64_t)atomic_load_explicit(&reader->latency_us, memory_order_relaxed) *
                   atomic_load_explicit(&reader->bandwidth, memory_order_relaxed) / 2;
    return (size_t)(gap < GAP_MIN ? GAP_MIN : gap > GAP_MAX ? GAP_MAX : gap);
}

/* ---- one container ---- */

static void start_next(struct journey *j);
static void take_up(struct journey *j);
static void end_fetch(struct fetch *f, const struct err *err);
static void got_tail(struct op *op);
static void got_runs(struct op *op);
static void got_range(struct op *op);
static void unpacked(struct op *op);

static void failed(struct op *op)
{
    struct err err = op->err;
    end_fetch(op_owner(op, struct fetch, unpack), &err);
}

/* Never inside the call that began the fetch. */
static void fail_soon(struct fetch *f, const struct err *err)
{
    f->unpack = (struct op){.loop = f->journey->read->op.loop, .done = failed, .err = *err};
    op_finish(&f->unpack);
}

static bool charged(struct fetch *f, size_t size)
{
    f->charged += size;
    f->journey->charged += size;
    return true;
}

/* Charge what the next step brings; else the fetch takes it later, or fails. */
static bool has_room(struct fetch *f, size_t size, fetch_fn *step)
{
    struct journey *j = f->journey;
    struct budget *budget = &j->reader->budget;
    size_t alone = j->charged;
    if (budget_take(budget, size))
        return charged(f, size);
    if (j->under_way - j->put_off_count > 1) {
        f->again = step;
        f->next_off = j->put_off;
        j->put_off = f;
        j->put_off_count++;
        return false;
    }
    if (atomic_compare_exchange_strong(&budget->used, &alone, alone + size))
        return charged(f, size); /* nobody else holds anything */
    struct err err;
    err_set(&err, ERR_BUSY, "Too many reads from the bucket are under way; try again in a moment");
    metric_add(METRIC_STORE_READS_REFUSED, 1);
    fail_soon(f, &err);
    return false;
}

/* A fetch has ended: try again what was put off, or let it end too. */
static void take_up(struct journey *j)
{
    struct fetch *f = j->put_off;
    j->put_off = NULL;
    j->put_off_count = 0;
    while (f) {
        struct fetch *next = f->next_off;
        if (j->err.code)
            fail_soon(f, &j->err);
        else
            f->again(f);
        f = next;
    }
}

static void get_soon(struct fetch *f, struct range_get *r, op_done_fn *done)
{
    struct objects *objects = f->journey->reader->objects;
    r->fetch = f;
    r->began_us = clock_mono_us();
    r->get.op = (struct op){.loop = f->journey->read->op.loop, .done = done};
    r->get.name = f->name;
    objects->ops->get(objects, &r->get);
}

static void end_read(struct journey *j)
{
    struct store_read *read = j->read;
    read->op.err = j->err;
    if (j->err.code == ERR_CORRUPT)
        metric_add(METRIC_STORE_CORRUPT, 1);
    metric_add(METRIC_STORE_READS, 1);
    metric_time(METRIC_STORE_READ_SECONDS, (uint64_t)(clock_mono_us() - j->began_us));
    free(j->wanted);
    free(j);
    op_finish(&read->op);
}

static void end_fetch(struct fetch *f, const struct err *err)
{
    struct journey *j = f->journey;
    if (err->code && !j->err.code)
        j->err = *err;
    for (size_t i = 0; i < f->range_count; i++)
        buf_unref(f->ranges[i].get.out);
    buf_unref(f->tail.get.out);
    budget_give(&j->reader->budget, f->charged);
    j->charged -= f->charged;
    shelf_give_back(j->reader->shelf, f->shelved);
    pack_free(f->opened);
    free(f->ranges);
    free(f->held);
    free(f->wanted);
    free(f);
    j->under_way--;
    take_up(j);
    start_next(j);
}

/* Everything that is needed is here. */
static void submit_unpack(struct fetch *f)
{
    struct journey *j = f->journey;
    f->held_count = 0;
    f->held = calloc(f->range_count + 1, sizeof *f->held);
    f->arena = arena_new(4096);
    if (!f->held)
        abort();
    for (size_t i = 0; i < f->range_count; i++) {
        const struct object_get *get = &f->ranges[i].get;
        f->held[f->held_count++] = (struct pack_held){get->offset, {get->out->at, get->out->len}};
    }
    if (f->tail.get.out && !f->whole)
        f->held[f->held_count++] =
            (struct pack_held){f->tail.get.offset, {f->tail.get.out->at, f->tail.get.out->len}};
    f->unpack = (struct op){.loop = j->read->op.loop, .done = unpacked};
    if (!lane_submit(j->reader->lane, &f->unpack)) {
        metric_add(METRIC_STORE_READS_REFUSED, 1);
        op_fail(&f->unpack, ERR_BUSY, "too many reads are waiting");
    }
}

static void unpacked(struct op *op)
{
    struct fetch *f = op_owner(op, struct fetch, unpack);
    arena_adopt(f->journey->read->arena, f->arena);
    end_fetch(f, &op->err);
}

static void get_ranges(struct fetch *f)
{
    size_t size = 0;
    for (size_t i = 0; i < f->range_count; i++)
        size += f->ranges[i].get.size;
    if (!has_room(f, size, get_ranges))
        return;
    f->pending = f->range_count;
    if (f->pending == 0)
        submit_unpack(f);
    for (size_t i = 0; i < f->range_count; i++)
        get_soon(f, &f->ranges[i], got_range);
}

static void fetch_ranges(struct fetch *f, const struct pack_range *ranges, size_t count)
{
    f->ranges = calloc(count + 1, sizeof *f->ranges);
    if (!f->ranges)
        abort();
    const struct object_get *tail = &f->tail.get;
    for (size_t i = 0; i < count; i++)
        if (!tail->out || f->whole || ranges[i].at < tail->offset) {
            struct object_get *get = &f->ranges[f->range_count++].get;
            get->offset = ranges[i].at;
            get->size = ranges[i].size;
        }
    get_ranges(f);
}

static void plan(struct fetch *f)
{
    struct journey *j = f->journey;
    const struct pack_file file = {.number = f->number, .pack = shelved_pack(f->shelved)};
    struct pack_range *ranges = NULL;
    size_t count = 0;
    struct err err = {0};
    if (pack_file_plan(&file, f->wanted, f->count, gap_of(j->reader), RANGE_MAX, j->read->arena,
                       &ranges, &count, &err))
        fail_soon(f, &err);
    else
        fetch_ranges(f, ranges, count);
}

/* What a GET failed with.  A row led here, so the object should be there. */
static struct err failure_of(const struct fetch *f, const struct op *op)
{
    struct err err = op->err;
    if (err.code == ERR_NOT_FOUND)
        err_set(&err, ERR_CORRUPT, "the bucket has no object %.*s, where the index knows runs",
                STR_FMT(f->name));
    return bucket_error(err);
}

static void got_range(struct op *op)
{
    struct range_get *r = op_owner(op, struct range_get, get.op);
    struct fetch *f = r->fetch;
    if (op->err.code) {
        r->get.out = NULL;
        if (!f->err.code)
            f->err = failure_of(f, op);
    } else {
        measure(f->journey->reader, r);
    }
    if (--f->pending > 0)
        return;
    if (f->err.code)
        end_fetch(f, &f->err);
    else
        submit_unpack(f);
}

/* What says where its runs are is damaged: all of it is needed. */
static void mend(struct fetch *f, const struct err *why)
{
    if (f->total == 0 || f->total > WHOLE_MAX) {
        end_fetch(f, why);
        return;
    }
    f->whole = true;
    fetch_ranges(f, &(struct pack_range){0, (size_t)f->total}, 1);
}

static void shelve(struct fetch *f, struct pack *pack)
{
    f->shelved = shelf_add(f->journey->reader->shelf, f->number, pack);
    plan(f);
}

static void got_runs(struct op *op)
{
    struct fetch *f = op_owner(op, struct range_get, get.op)->fetch;
    struct pack *pack = f->opened;
    struct err err = failure_of(f, op);
    if (err.code) {
        f->ranges[0].get.out = NULL;
        end_fetch(f, &err);
        return;
    }
    struct buf *out = f->ranges[0].get.out;
    int r = pack_load(pack, PACK_RUNS, (struct str){out->at, out->len}, &err);
    buf_unref(out);
    free(f->ranges);
    f->ranges = NULL;
    f->range_count = 0;
    f->opened = NULL;
    if (!r) {
        shelve(f, pack);
        return;
    }
    pack_free(pack);
    mend(f, &err);
}

static void get_runs(struct fetch *f)
{
    if (has_room(f, f->ranges[0].get.size, get_runs))
        get_soon(f, &f->ranges[0], got_runs);
}

static void fetch_runs(struct fetch *f, struct pack *pack)
{
    const struct pack_section *section = &pack->sections[PACK_RUNS];
    f->opened = pack;
    f->ranges = calloc(1, sizeof *f->ranges);
    if (!f->ranges)
        abort();
    f->range_count = 1;
    f->ranges[0].get.offset = section->at;
    f->ranges[0].get.size = (size_t)section->stored;
    get_runs(f);
}

static void get_tail(struct fetch *f)
{
    if (has_room(f, f->tail.get.size, get_tail))
        get_soon(f, &f->tail, got_tail);
}

static void fetch_tail(struct fetch *f, size_t size)
{
    f->tail.get = (struct object_get){.tail = true, .size = size};
    get_tail(f);
}

/* Sound, but not what it should be: nothing would mend that. */
static int check_pack(const struct fetch *f, const struct pack *pack, struct err *err)
{
    const struct pack_summary *sum = &pack->summary;
    if (sum->number != f->number)
        return err_set(err, ERR_CORRUPT, "object %.*s is number %016" PRIx64 " under another name",
                       STR_FMT(f->name), sum->number);
    return sum->runs > 0 ? 0
                         : err_set(err, ERR_CORRUPT, "object %.*s has no runs", STR_FMT(f->name));
}

static void got_tail(struct op *op)
{
    struct fetch *f = op_owner(op, struct range_get, get.op)->fetch;
    if (op->err.code) {
        f->tail.get.out = NULL;
        struct err err = failure_of(f, op);
        end_fetch(f, &err);
        return;
    }
    measure(f->journey->reader, &f->tail);
    const struct object_get *get = &f->tail.get;
    struct pack *pack = NULL;
    uint64_t need = 0;
    struct err err = {0};
    f->total = get->total;
    int r = pack_open((struct str){get->out->at, get->out->len}, get->total, &pack, &need, &err);
    if (r)
        (void)err_wrap(&err, "object %.*s", STR_FMT(f->name));
    if (r == ERR_UNAVAILABLE) /* of a newer program: trying again is of no use to anybody */
        err.code = ERR_IO;
    if (r == ERR_CORRUPT) {
        mend(f, &err);
    } else if (r || (!need && check_pack(f, pack, &err))) {
        if (!r)
            pack_free(pack);
        end_fetch(f, &err);
    } else if (need && ++f->tails == TAILS) { /* what comes is never what was asked for */
        err_set(&err, ERR_CORRUPT, "object %.*s shows another end each time", STR_FMT(f->name));
        end_fetch(f, &err);
    } else if (need) {
        f->tail.get.out = buf_unref(f->tail.get.out);
        fetch_tail(f, (size_t)need);
    } else if (!pack_loaded(pack, PACK_RUNS)) {
        fetch_runs(f, pack);
    } else {
        shelve(f, pack);
    }
}

static void start_fetch(struct journey *j, size_t from, size_t count)
{
    struct fetch *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->journey = j;
    f->number = j->wanted[from].place.container;
    f->name = bucket_name(f->number, f->name_room);
    f->count = count;
    f->wanted = malloc(count * sizeof *f->wanted);
    if (!f->wanted)
        abort();
    for (size_t i = 0; i < count; i++)
        f->wanted[i] =
            (struct pack_wanted){j->wanted[from + i].place.ordinal, j->wanted[from + i].index};
    f->shelved = shelf_find(j->reader->shelf, f->number);
    if (f->shelved)
        plan(f);
    else
        fetch_tail(f, PACK_TAIL);
}

/* ---- on the lane ---- */

static struct spare_scratch *take_scratch(struct bucket_reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    struct spare_scratch *spare = reader->spare;
    if (spare)
        reader->spare = spare->next;
    pthread_mutex_unlock(&reader->lock);
    if (!spare) {
        spare = calloc(1, sizeof *spare);
        if (!spare)
            abort();
        spare->scratch = pack_scratch_new();
    }
    return spare;
}

static void give_scratch(struct bucket_reader *reader, struct spare_scratch *spare)
{
    pthread_mutex_lock(&reader->lock);
    spare->next = reader->spare;
    reader->spare = spare;
    pthread_mutex_unlock(&reader->lock);
}

static void unpack(struct bucket_reader *reader, struct fetch *f)
{
    struct err *err = &f->unpack.err;
    struct pack_file file = {.number = f->number,
                             .pack = f->shelved ? shelved_pack(f->shelved) : NULL,
                             .held = f->held,
                             .held_count = f->held_count};
    struct spare_scratch *spare = take_scratch(reader);
    bool mend_it = false;
    int r = 0;
    if (f->whole)
        r = pack_file_hold(f->number, f->held, f->held_count, f->total, PACK_MEND, &file, err);
    if (!r)
        r = pack_file_load(&file, PACK_RUNS, err);
    if (!r)
        r = pack_file_read(&file, spare->scratch, f->wanted, f->count, f->arena,
                           f->journey->read->runs, &mend_it, err);
    if (f->whole && file.pack)
        pack_file_close(&file);
    if (r == ERR_UNAVAILABLE) /* as in got_tail() */
        err->code = ERR_IO;
    if (!r)
        *err = (struct err){0};
    give_scratch(reader, spare);
}

void bucket_reader_work(void *context, struct op *chain)
{
    while (chain) {
        struct fetch *f = op_owner(chain, struct fetch, unpack);
        chain = chain->next;
        unpack(context, f);
        op_finish(&f->unpack);
    }
}

/* ---- the read ---- */

static int by_place(const void *a, const void *b)
{
    const struct place *x = &((const struct wanted *)a)->place;
    const struct place *y = &((const struct wanted *)b)->place;
    if (x->container != y->container)
        return x->container > y->container ? 1 : -1;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static void start_next(struct journey *j)
{
    size_t count = j->read->count;
    while (j->next < count && j->under_way < WINDOW && !j->err.code) {
        size_t from = j->next;
        while (j->next < count &&
               j->wanted[j->next].place.container == j->wanted[from].place.container)
            j->next++;
        j->under_way++;
        start_fetch(j, from, j->next - from);
    }
    if (j->under_way == 0)
        end_read(j);
}

void bucket_read(struct bucket_reader *reader, struct store_read *read)
{
    struct journey *j = calloc(1, sizeof *j);
    if (!j)
        abort();
    j->reader = reader;
    j->read = read;
    j->began_us = clock_mono_us();
    j->wanted = malloc((read->count + 1) * sizeof *j->wanted);
    if (!j->wanted)
        abort();
    for (size_t i = 0; i < read->count; i++)
        j->wanted[i] = (struct wanted){read->places[i], i};
    qsort(j->wanted, read->count, sizeof *j->wanted, by_place);
    read->op.err = (struct err){0};
    read->runs = arena_make(read->arena, struct run, read->count);
    start_next(j);
}
