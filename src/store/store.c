/* store.c - see store.h.
 *
 * One segment, the container with the greatest number, is written (segment.h);
 * all containers are read (reader.h).  A group whose records would
 * not fit is given places in the next file when they are reserved, and that
 * file is made when they are appended, so reserving touches no disk.
 *
 * Places are given again when an append fails or a batch is refused; sequences
 * never are, so two records with one sequence do not exist even for a moment.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/metric.h"
#include "loop/lane.h"
#include "store/arrange.h"
#include "store/pack_file.h"
#include "store/reader.h"
#include "store/seal.h"
#include "store/segment.h"
#include "store/walk.h"

static const int64_t SEAL_RETRY_US = 600 * 1000000LL;

struct store {
    struct store_config config;
    const struct disk *disk;
    int dir_fd, packs_fd;
    struct reader *reader;
    struct lane *lane; /* reads; NULL when there are no threads for it */
    atomic_uint_fast64_t segments, bytes, packs, pack_bytes, last_sequence;
    atomic_int_fast64_t
        appended_us; /* when the segment that is written was, last; 0: it is empty */
    atomic_bool broken;

    /* Of the one writer. */
    struct segment last;          /* the file that is written; file.number 0: none yet */
    struct walk_container *older; /* the other containers, ascending */
    size_t older_count, older_cap;
    uint64_t next_number; /* of the next file */
    uint64_t next_sequence;
    struct segment_mark marks[STORE_GROUP_RECORDS];

    bool reserved; /* places were given, and not used yet */
    struct walk_stop stopped;

    /* Of the one that seals. */
    struct left {
        uint64_t number, sequence; /* of its last record */
    } * left;                      /* segments whose packs are there; oldest first */
    size_t left_count, left_cap;

    char *packs_dir; /* behind it, each with a NUL */
    char dir[];
};

/* ---- opening ---- */

static int add_older(struct store *store, uint64_t number, bool sealed, struct err *err)
{
    if (store->older_count == store->older_cap) {
        size_t cap = store->older_cap ? 2 * store->older_cap : 64;
        struct walk_container *more = realloc(store->older, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu containers", cap);
        store->older = more;
        store->older_cap = cap;
    }
    store->older[store->older_count++] = (struct walk_container){number, sealed};
    return 0;
}

static int add_left(struct store *store, uint64_t number, uint64_t sequence, struct err *err)
{
    if (store->left_count == store->left_cap) {
        size_t cap = store->left_cap ? 2 * store->left_cap : 8;
        struct left *more = realloc(store->left, cap * sizeof *more);
        if (!more)
            return err_set(err, ERR_BUSY, "no memory for %zu segments", cap);
        store->left = more;
        store->left_cap = cap;
    }
    store->left[store->left_count++] = (struct left){number, sequence};
    return 0;
}

static int remove_segment(struct store *store, uint64_t number, struct err *err)
{
    char path[SEGMENT_PATH];
    int r = segment_path(store->config.dir, number, path, err);
    if (!r && store->disk->unlink(path) < 0)
        r = err_sys(err, errno, "remove incomplete segment %016" PRIx64 ".seg", number);
    return r;
}

/* Nothing is written at the moment: sequences go on behind the newest container. */
static int follow(struct store *store, const struct arrange *arrange, struct err *err)
{
    uint64_t sequence = 0, had = store->config.durable_sequence;
    const struct containers *list = &arrange->list;
    bool sure = true;
    int r = 0;
    if (list->count > 0)
        r = arrange_end(arrange, &list->at[list->count - 1], &sequence, &sure, err);
    /* What is damaged may have gone further, and the index may know. */
    store->last.sequence = !sure && sequence < had ? had : sequence;
    return r;
}

/* The segment of the greatest number that was ever begun is the one that is
 * written, unless it has become a pack, which beside a server may be just now.
 * One that had is not written again.  It goes off the list. */
static int take_last(struct store *store, struct arrange *arrange, struct segment_file *file,
                     bool *found, struct err *err)
{
    bool repair = !store->config.read_only;
    struct containers *list = &arrange->list;
    *found = false;
    while (list->count > 0 && !*found) {
        struct container *c = &list->at[list->count - 1];
        bool incomplete = false;
        if (c->pack || c->number <= arrange->newest_pack)
            return 0;
        int r =
            segment_open(store->disk, store->config.dir, c->number, repair, file, &incomplete, err);
        if (r == ERR_NOT_FOUND && !repair) {
            *c = (struct container){.number = c->number, .pack = true};
            return 0;
        }
        if (!r && incomplete && repair)
            r = remove_segment(store, c->number, err);
        if (r)
            return r;
        list->count--;
        *found = !incomplete;
    }
    return 0;
}

/* All containers but the one that is written. */
static int add_containers(struct store *store, const struct containers *list, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < list->count && !r; i++) {
        const struct container *c = &list->at[i];
        r = add_older(store, c->number, c->pack, err);
        if (!r)
            r = reader_add(store->reader, c->number, c->pack, NULL, NULL, 0, err);
        atomic_fetch_add(c->pack ? &store->packs : &store->segments, 1);
    }
    return r;
}

static int add_last(struct store *store, struct segment_file *file, struct err *err)
{
    struct segment_marks marks = {0};
    int r = segment_recover(file, !store->config.read_only, store->config.durable_sequence,
                            &store->last, &marks, err);
    if (!r)
        r = reader_add(store->reader, file->number, false, file, &marks, store->last.end, err);
    if (r)
        store->disk->close(file->fd);
    else
        atomic_fetch_add(&store->segments, 1);
    free(marks.mark);
    return r;
}

static int note_left(void *context, uint64_t number, uint64_t sequence, struct err *err)
{
    return add_left(context, number, sequence, err);
}

static int recover(struct store *store, struct err *err)
{
    struct segment_file file;
    bool found = false;
    struct arrange there = {
        .disk = store->disk,
        .segments = store->config.dir,
        .packs = store->config.packs,
        .read_only = store->config.read_only,
    };
    int r = arrange(&there, note_left, store, err);
    store->next_number = there.newest + 1;
    if (!r)
        r = take_last(store, &there, &file, &found, err);
    if (!r)
        r = add_containers(store, &there.list, err);
    if (!r && found)
        r = add_last(store, &file, err);
    else if (found)
        store->disk->close(file.fd);
    else if (!r)
        r = follow(store, &there, err);
    containers_free(&there.list);
    store->next_sequence = store->last.sequence + 1;
    return r;
}

/* Bytes in all files, for the metrics; one that cannot be asked counts nothing. */
static void count_bytes(struct store *store)
{
    atomic_store(&store->bytes, store->last.end);
    atomic_store(&store->last_sequence, store->last.sequence);
    for (size_t i = 0; i < store->older_count; i++) {
        char path[PACK_PATH];
        struct stat st;
        bool sealed = store->older[i].sealed;
        uint64_t number = store->older[i].number;
        int r = sealed ? pack_path(store->config.packs, number, path, NULL)
                       : segment_path(store->config.dir, number, path, NULL);
        if (!r && stat(path, &st) == 0)
            atomic_fetch_add(sealed ? &store->pack_bytes : &store->bytes, (uint64_t)st.st_size);
    }
}

static void read_chain(void *context, struct op *chain);

int store_open(const struct store_config *config, struct store **result, struct err *err)
{
    struct store *store = calloc(1, sizeof *store + config->dir.len + config->packs.len + 2);
    if (!store)
        abort();
    store->packs_dir = store->dir + config->dir.len + 1;
    memcpy(store->dir, config->dir.at, config->dir.len);
    if (config->packs.len > 0)
        memcpy(store->packs_dir, config->packs.at, config->packs.len);
    store->config = *config;
    store->config.dir = (struct str){store->dir, config->dir.len};
    store->config.packs = (struct str){store->packs_dir, config->packs.len};
    if (store->config.segment_size == 0)
        store->config.segment_size = STORE_SEGMENT_SIZE;
    store->disk = config->disk;
    store->next_number = 1;
    store->last.direct_fd = -1;
    store->dir_fd = store->packs_fd = -1;
    store->reader =
        reader_new(config->disk, store->config.dir, store->config.packs, config->read_only);

    int r = 0;
    store->dir_fd = disk_open(store->disk, store->dir, O_RDONLY | O_DIRECTORY);
    if (store->dir_fd < 0) {
        r = err_sys(err, errno, "open directory %s", store->dir);
        goto out;
    }
    if (config->packs.len > 0)
        store->packs_fd = disk_open(store->disk, store->packs_dir, O_RDONLY | O_DIRECTORY);
    if (config->packs.len > 0 && store->packs_fd < 0 && !(config->read_only && errno == ENOENT)) {
        r = err_sys(err, errno, "open directory %s", store->packs_dir);
        goto out;
    }
    /* A pack that a killed process had just named must stay, or its segment. */
    if (store->packs_fd >= 0 && !config->read_only && store->disk->fsync(store->packs_fd) < 0) {
        r = err_sys(err, errno, "sync directory %s", store->packs_dir);
        goto out;
    }
    r = recover(store, err);
    /* The name of the last file is perhaps not durable yet, its records are. */
    if (!r && !config->read_only && store->disk->fsync(store->dir_fd) < 0)
        r = err_sys(err, errno, "sync directory %s", store->dir);
    if (r)
        goto out;
    count_bytes(store);
    if (store->last.end > SEGMENT_HEAD)
        atomic_store(&store->appended_us, clock_mono_us());
    if (!config->read_only && store->last.file.number != 0)
        segment_direct(&store->last, store->config.dir);
    if (config->read_threads > 0) {
        const struct lane_config lane = {
            .name = "store-read",
            .threads = config->read_threads,
            .queue_max = config->read_queue,
            .batch_max = 1,
            .work = read_chain,
            .context = store,
        };
        r = lane_open(&lane, &store->lane, err);
    }

out:
    if (r) {
        store_close(store);
        return err_wrap(err, "open store");
    }
    *result = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    lane_close(store->lane);
    segment_stop(&store->last);
    /* Everything that was promised is durable; this only gives space back. */
    if (store->last.allocated > store->last.end && !store->last.broken)
        (void)disk_truncate(store->disk, store->last.file.fd, store->last.end);
    reader_free(store->reader);
    walk_stop_end(&store->stopped);
    if (store->dir_fd >= 0)
        store->disk->close(store->dir_fd);
    if (store->packs_fd >= 0)
        store->disk->close(store->packs_fd);
    free(store->left);
    free(store->older);
    free(store);
}

/* ---- appending ---- */

uint64_t store_size(const struct record *record)
{
    return segment_record_size(record);
}

/* Must a group of `size` bytes and `runs` runs go into a new file? */
static bool must_roll(const struct store *store, uint64_t size, uint64_t runs)
{
    const struct segment *last = &store->last;
    if (last->file.number == 0)
        return true;
    if (last->end == SEGMENT_HEAD)
        return false; /* empty: there is no better one */
    return size > STORE_GROUP_MAX || last->end + size > store->config.segment_size ||
           last->ordinal + runs > SEGMENT_ORDINALS;
}

int store_reserve(struct store *store, struct store_record *records, size_t count, struct err *err)
{
    assert(count > 0 && count <= STORE_GROUP_RECORDS && !store->config.read_only);
    uint64_t size = 0, runs = 0;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = records[i].record;
        if (record->table.len > UINT32_MAX || record->body.len > UINT32_MAX || record->count == 0 ||
            record->count > RECORD_RUNS_MAX)
            return err_set(err, ERR_TOO_BIG, "a batch of %" PRIu32 " runs and %zu bytes",
                           record->count, record->body.len);
        size += segment_record_size(record);
        runs += record->count;
    }
    assert(count == 1 || size <= STORE_GROUP_MAX);
    if (store->last.broken)
        return err_set(err, ERR_IO, "segment %016" PRIx64 ".seg: broken by an earlier failure",
                       store->last.file.number);

    bool roll = must_roll(store, size, runs);
    uint64_t number = roll ? store->next_number : store->last.file.number;
    uint64_t ordinal = roll ? 0 : store->last.ordinal;
    for (size_t i = 0; i < count; i++) {
        records[i].first = (struct place){number, (uint32_t)ordinal};
        records[i].sequence = store->next_sequence++;
        ordinal += records[i].record->count;
    }
    store->reserved = true;
    return 0;
}

void store_forget(struct store *store)
{
    store->reserved = false;
}

static int free_bytes(const struct store *store, uint64_t *result, struct err *err)
{
    struct statvfs vfs;
    if (store->disk->fstatvfs(store->dir_fd, &vfs) < 0)
        return err_sys(err, errno, "free space of %s", store->dir);
    *result = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

/* Finish the last file and begin the next one. */
static int roll(struct store *store, uint64_t number, struct err *err)
{
    uint64_t available = 0;
    int r = free_bytes(store, &available, err);
    if (r)
        return r;
    if (available < store->config.reserve)
        return err_set(err, ERR_FULL, "disk full: %" PRIu64 " bytes free, %" PRIu64 " in reserve",
                       available, store->config.reserve);
    if (store->last.file.number != 0) {
        r = segment_finish(&store->last, err);
        if (!r)
            r = add_older(store, store->last.file.number, false, err);
        if (r)
            return r;
    }

    struct segment next = {0};
    struct segment_marks none = {0};
    store->next_number = number + 1; /* a failed one may leave its name */
    r = segment_create(store->disk, store->config.dir, store->dir_fd, number, store->last.sequence,
                       &next, err);
    if (!r) {
        r = reader_add(store->reader, number, false, &next.file, &none, next.end, err);
        if (r) {
            char path[SEGMENT_PATH];
            store->disk->close(next.file.fd);
            if (!segment_path(store->config.dir, number, path, NULL))
                (void)store->disk->unlink(path); /* empty, so it may stay too */
        }
    }
    if (r) {
        if (store->last.file.number != 0)
            store->older_count--;
        return r;
    }
    segment_stop(&store->last);
    store->last = next;
    segment_direct(&store->last, store->config.dir);
    atomic_fetch_add(&store->segments, 1);
    atomic_fetch_add(&store->bytes, next.end);
    return 0;
}

static int append(struct store *store, const struct store_record *records, size_t count,
                  struct err *err)
{
    if (records[0].first.container != store->last.file.number) {
        assert(records[0].first.container > store->last.file.number);
        int r = roll(store, records[0].first.container, err);
        if (r)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        assert(records[i].first.container == store->last.file.number);

    int r = reader_expect(store->reader, count, err);
    if (r)
        return r;
    uint64_t before = store->last.end;
    r = segment_append(&store->last, records, count, store->config.segment_size,
                       store->config.reserve, store->marks, err);
    if (r)
        return r;
    reader_publish(store->reader, store->marks, count, store->last.end);
    atomic_fetch_add(&store->bytes, store->last.end - before);
    atomic_store(&store->last_sequence, store->last.sequence);
    atomic_store(&store->appended_us, clock_mono_us());
    return 0;
}

void store_append(struct store *store, struct store_append *a)
{
    a->op.err = (struct err){0};
    if (a->count > 0 && append(store, a->records, a->count, &a->op.err) == 0)
        a->op.err = (struct err){0}; /* the error travels in op.err, and only one that is one */
    store->reserved = false;
    atomic_store(&store->broken, store->last.broken);
    op_finish(&a->op);
}

/* ---- reading ---- */

static void read_chain(void *context, struct op *chain)
{
    struct store *store = context;
    while (chain) {
        struct store_read *read = op_owner(chain, struct store_read, op);
        chain = chain->next;
        int64_t began_us = clock_mono_us();
        metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
        read->op.err = (struct err){0};
        read->runs = arena_make(read->arena, struct run, read->count);
        (void)reader_read(store->reader, read->places, read->count, read->arena, read->runs,
                          &read->op.err); /* likewise */
        if (read->op.err.code == ERR_CORRUPT)
            metric_add(METRIC_STORE_CORRUPT, 1);
        metric_add(METRIC_STORE_READS, 1);
        metric_time(METRIC_STORE_READ_SECONDS, (uint64_t)(clock_mono_us() - began_us));
        op_finish(&read->op);
    }
}

void store_read(struct store *store, struct store_read *read)
{
    metric_add(METRIC_STORE_QUEUE_DEPTH, 1);
    if (store->lane && lane_submit(store->lane, &read->op))
        return;
    metric_add(METRIC_STORE_QUEUE_DEPTH, -1);
    metric_add(METRIC_STORE_READS_REFUSED, 1);
    op_fail(&read->op, ERR_BUSY, "too many reads are waiting");
}

/* ---- walking ---- */

static struct walk_log log_of(const struct store *store)
{
    return (struct walk_log){
        .disk = store->disk,
        .segments = store->config.dir,
        .packs = store->config.packs,
        .containers = store->older,
        .count = store->older_count,
        .last = store->last.file.number ? &store->last : NULL,
        .live = store->config.read_only,
    };
}

void store_walk_end(struct store *store)
{
    walk_stop_end(&store->stopped);
}

int store_walk(struct store *store, uint64_t after_sequence, store_visit_fn *visit,
               store_damaged_fn *damaged, void *context, struct err *err)
{
    const struct walk_log log = log_of(store);
    return walk(&log, &store->stopped, after_sequence, visit, damaged, context, err);
}

/* ---- sealing ---- */

void store_rest(struct store *store, struct store_rest *rest)
{
    rest->op.err = (struct err){0};
    struct segment *last = &store->last;
    int r = 0;
    if (store->reserved || last->broken)
        r = err_set(&rest->op.err, ERR_BUSY, "the segment is being written");
    else if (last->file.number == 0 || last->end == SEGMENT_HEAD)
        r = err_set(&rest->op.err, ERR_NOT_FOUND, "nothing is in the segment");
    else if (atomic_load(&store->appended_us) > rest->before_us)
        r = err_set(&rest->op.err, ERR_BUSY, "the segment was written since");
    if (!r)
        r = segment_finish(last, &rest->op.err);
    if (!r)
        r = add_older(store, last->file.number, false, &rest->op.err);
    if (!r) {
        reader_rest(store->reader);
        segment_stop(last);
        *last = (struct segment){.sequence = last->sequence, .direct_fd = -1};
        atomic_store(&store->appended_us, 0);
    }
    op_finish(&rest->op);
}

static void count_sealed(struct store *store, uint64_t number, uint64_t pack_size)
{
    struct stat st;
    char path[SEGMENT_PATH];
    if (!segment_path(store->config.dir, number, path, NULL) && stat(path, &st) == 0)
        atomic_fetch_sub(&store->bytes, (uint64_t)st.st_size);
    atomic_fetch_sub(&store->segments, 1);
    atomic_fetch_add(&store->packs, 1);
    atomic_fetch_add(&store->pack_bytes, pack_size);
}

/* Where does a segment end, by what came after it?  The next container says;
 * when there is none, nothing was appended since.  0: nobody knows. */
static uint64_t end_by_next(struct store *store, uint64_t number)
{
    uint64_t newest = atomic_load(&store->last_sequence), sequence = 0; /* in this order */
    bool sealed;
    struct walk_container next = {.number = reader_next(store->reader, number, &sealed)};
    const struct walk_log where = {
        .disk = store->disk, .segments = store->config.dir, .packs = store->config.packs};
    next.sealed = sealed;
    if (next.number == 0)
        return newest;
    return walk_sequence_before(&where, next, &sequence) ? sequence : 0;
}

int store_seal(struct store *store, store_pace_fn *pace, void *context, struct store_sealed *result,
               struct err *err)
{
    assert(store->packs_fd >= 0 && !store->config.read_only);
    uint64_t number = reader_next_segment(store->reader, clock_mono_us());
    if (number == 0)
        return err_set(err, ERR_NOT_FOUND, "no segment is to be sealed");
    struct seal seal = {
        .disk = store->disk,
        .segments = store->config.dir,
        .packs = store->config.packs,
        .packs_fd = store->packs_fd,
        .number = number,
        .end_sequence = end_by_next(store, number),
        .keep_free = store->config.reserve / 2,
        .pace = pace,
        .context = context,
    };
    int r = seal_segment(&seal, err);
    if (r == ERR_NOT_FOUND) { /* it is known, and not there */
        r = ERR_CORRUPT;
        if (err)
            err->code = ERR_CORRUPT;
    }
    if (r == ERR_CORRUPT)
        reader_put_off(store->reader, number, INT64_MAX);
    else if (r == ERR_IO)
        reader_put_off(store->reader, number, clock_mono_us() + SEAL_RETRY_US);
    if (!r)
        r = add_left(store, number, seal.last_sequence, err);
    if (r)
        return r;
    reader_seal(store->reader, number);
    count_sealed(store, number, seal.pack_size);
    *result = (struct store_sealed){number, seal.raw_size, seal.pack_size};
    return 0;
}

uint64_t store_left(const struct store *store)
{
    return store->left_count > 0 ? store->left[0].sequence : 0;
}

int store_drop_left(struct store *store, struct err *err)
{
    assert(store->left_count > 0);
    char path[SEGMENT_PATH];
    uint64_t number = store->left[0].number;
    int r = segment_path(store->config.dir, number, path, err);
    if (!r && store->disk->unlink(path) < 0 && errno != ENOENT)
        r = err_sys(err, errno, "remove segment %016" PRIx64 ".seg", number);
    if (r)
        return r;
    store->left_count--;
    memmove(store->left, store->left + 1, store->left_count * sizeof *store->left);
    return 0;
}

void store_sizes(const struct store *store, struct store_size *result)
{
    uint64_t available = 0;
    (void)free_bytes(store, &available, NULL); /* unknown is none */
    *result = (struct store_size){
        .segments = atomic_load(&store->segments),
        .bytes = atomic_load(&store->bytes),
        .packs = atomic_load(&store->packs),
        .pack_bytes = atomic_load(&store->pack_bytes),
        .appended_us = atomic_load(&store->appended_us),
        .last_sequence = atomic_load(&store->last_sequence),
        .broken = atomic_load(&store->broken),
        .free_bytes = available > store->config.reserve ? available - store->config.reserve : 0,
    };
}
